"""Plate types in, one automaton over characters out: which texts and which beginnings of texts some type allows.

The pieces of all types form one non-deterministic automaton; its deterministic form (subset construction, Rabin & Scott 1959) is built
lazily and kept, so a step costs one dictionary look-up after its first use.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from openplate.formats.model import PlateType

DEAD = -1
START = 0


class Automaton:
    """Accepts the texts of `types`. States are whole numbers: `START`, `DEAD`, and those that `step` returns. Safe for several threads."""

    def __init__(self, types: Iterable[PlateType]) -> None:
        self.types = tuple(types)
        self._edges: list[dict[str, list[int]]] = []
        self._skips: list[list[int]] = []
        self._ends: dict[int, int] = {}
        starts = [self._add_type(number, plate_type) for number, plate_type in enumerate(self.types)]
        self._sets: list[frozenset[int]] = []
        self._ids: dict[frozenset[int], int] = {}
        self._steps: dict[tuple[int, str], int] = {}
        self._accepts: dict[int, tuple[PlateType, ...]] = {}
        self._lock = threading.Lock()
        self._state(self._close(starts))

    def step(self, state: int, character: str) -> int:
        """The state after one more character, `DEAD` when no type allows it."""
        if state == DEAD:
            return DEAD
        key = (state, character)
        known = self._steps.get(key)
        if known is None:
            targets = [t for node in self._sets[state] for t in self._edges[node].get(character, ())]
            with self._lock:
                known = self._steps[key] = self._state(self._close(targets)) if targets else DEAD
        return known

    def run(self, text: str) -> int:
        """The state after a whole text."""
        state = START
        for character in text:
            state = self.step(state, character)
        return state

    def accepted(self, state: int) -> tuple[PlateType, ...]:
        """The types whose grammar a text that led to `state` fulfils, in the order given."""
        if state == DEAD:
            return ()
        if state not in self._accepts:
            numbers = sorted(self._ends[node] for node in self._sets[state] if node in self._ends)
            self._accepts[state] = tuple(self.types[n] for n in numbers)
        return self._accepts[state]

    def matches(self, text: str) -> tuple[PlateType, ...]:
        """The types whose grammar the text fulfils."""
        return self.accepted(self.run(text))

    def _node(self) -> int:
        self._edges.append({})
        self._skips.append([])
        return len(self._edges) - 1

    def _add_type(self, number: int, plate_type: PlateType) -> int:
        start = here = self._node()
        for piece in plate_type.pieces:
            skippable: list[int] = []
            for count in range(piece.most):
                if count >= piece.least:
                    skippable.append(here)
                after = self._node()
                for choice in piece.choices:
                    node = here
                    for character in choice[:-1]:
                        successor = self._node()
                        self._edges[node].setdefault(character, []).append(successor)
                        node = successor
                    self._edges[node].setdefault(choice[-1], []).append(after)
                here = after
            for node in skippable:
                self._skips[node].append(here)
        self._ends[here] = number
        return start

    def _close(self, nodes: Iterable[int]) -> frozenset[int]:
        closed: set[int] = set()
        pending = list(nodes)
        while pending:
            node = pending.pop()
            if node not in closed:
                closed.add(node)
                pending.extend(self._skips[node])
        return frozenset(closed)

    def _state(self, nodes: frozenset[int]) -> int:
        if nodes not in self._ids:
            self._ids[nodes] = len(self._sets)
            self._sets.append(nodes)
        return self._ids[nodes]
