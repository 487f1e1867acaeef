"""CTC log-probabilities of one crop or of several in, exact text probabilities and the best texts out.

Notation follows Graves et al. 2006: a path gives one class a step; a text's probability is the sum over the paths that collapse to it.
Everything here is computed in the linear domain with double precision.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from openplate.charset import BLANK

_SURE_BLANK = 1e-4
_NEGLIGIBLE = 1e-5
_HOPELESS = 1e-7


_Lists = tuple[list[float], list[float]]
"""Probability of a prefix ending in blank, and in a label, after each step; entry 0 is before the first step."""

Known = TypeVar("Known")


class Prefixes(Protocol[Known]):
    """What the search asks of a crop, or of several together; a `Known` is what is known of one prefix."""

    @property
    def classes(self) -> list[int]:
        """Labels that may come next; the others never do."""
        ...

    def start(self) -> Known:
        """The prefix ""."""
        ...

    def extend(self, before: Known, k: int, last: int) -> Known:
        """The prefix `before`, which ends with label `last`, with one more label `k`."""
        ...

    def following(self, before: Known, last: int) -> list[float]:
        """For each of `classes` the probability that a text starts with the prefix `before`, which ends with label `last`, and then this label."""
        ...

    def complete(self, known: Known) -> float:
        """The probability of the text that is just this prefix."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The steps of one crop that matter.

    `blank` has one probability a step; `classes (C,)` are the labels that are likely anywhere and `likely (C, S) float64` their probabilities;
    `rows` finds a label's row.
    """

    blank: list[float]
    classes: list[int]
    likely: NDArray[np.float64]
    rows: dict[int, list[float]]

    @property
    def length(self) -> int:
        """Number of steps kept, S."""
        return len(self.blank)

    def start(self) -> _Lists:
        """See `Prefixes`."""
        ending_blank = [1.0]
        for p in self.blank:
            ending_blank.append(ending_blank[-1] * p)
        return ending_blank, [0.0] * (self.length + 1)

    def extend(self, before: _Lists, k: int, last: int) -> _Lists:
        """See `Prefixes`; a label that is likely nowhere gives a prefix without any probability."""
        before_blank, before_label = before
        if k not in self.rows:
            return [0.0] * (self.length + 1), [0.0] * (self.length + 1)
        repeated = k == last
        b = n = 0.0
        ending_blank, ending_label = [0.0], [0.0]
        for p_blank, p, from_blank, from_label in zip(self.blank, self.rows[k], before_blank, before_label, strict=False):
            b, n = p_blank * (b + n), p * (n + from_blank if repeated else n + from_blank + from_label)
            ending_blank.append(b)
            ending_label.append(n)
        return ending_blank, ending_label

    def following(self, before: _Lists, last: int) -> list[float]:
        """See `Prefixes`."""
        blank, label = np.array(before[0][:-1]), np.array(before[1][:-1])
        totals = self.likely @ (blank + label)
        if last in self.rows:
            row = self.classes.index(last)
            totals[row] = self.likely[row] @ blank
        values: list[float] = totals.tolist()
        return values

    def complete(self, known: _Lists) -> float:
        """See `Prefixes`."""
        return known[0][-1] + known[1][-1]


class Together:
    """Several crops of one plate as one: a text's probability is the product of what it has in each, raised to that crop's power.

    None of them rules a text out for good: a crop leaves each text and each prefix at least `least`.
    What the search knows of a prefix bounds all texts that begin with it, as long as the powers add up to 1 or more (Hölder's inequality).

    Args:
        steps: of each crop.
        powers: of each crop.
        least: least probability in a crop.
    """

    def __init__(self, steps: Sequence[Steps], powers: Sequence[float], least: float) -> None:
        self._steps = steps
        self._powers = np.array(powers)
        self._least = least
        self.classes = sorted({k for one in steps for k in one.classes})
        self._row = {k: i for i, k in enumerate(self.classes)}
        longest = max(one.length for one in steps)
        self._likely = np.zeros((len(steps), len(self.classes), longest))
        for place, one in zip(self._likely, steps, strict=True):
            place[[self._row[k] for k in one.classes], : one.length] = one.likely

    def start(self) -> list[_Lists]:
        """See `Prefixes`."""
        return [one.start() for one in self._steps]

    def extend(self, before: list[_Lists], k: int, last: int) -> list[_Lists]:
        """See `Prefixes`."""
        return [one.extend(lists, k, last) for one, lists in zip(self._steps, before, strict=True)]

    def following(self, before: list[_Lists], last: int) -> list[float]:
        """See `Prefixes`."""
        crops, _, longest = self._likely.shape
        blank, label = np.zeros((crops, longest, 1)), np.zeros((crops, longest, 1))
        for i, (ending_blank, ending_label) in enumerate(before):
            blank[i, : len(ending_blank) - 1, 0], label[i, : len(ending_label) - 1, 0] = ending_blank[:-1], ending_label[:-1]
        totals = (self._likely @ (blank + label))[..., 0]
        row = self._row.get(last)
        if row is not None:
            totals[:, row] = (self._likely[:, row, None] @ blank)[:, 0, 0]
        values: list[float] = self._joined(totals).tolist()
        return values

    def complete(self, known: list[_Lists]) -> float:
        """See `Prefixes`."""
        return float(self._joined(np.array([one.complete(lists) for one, lists in zip(self._steps, known, strict=True)])))

    def _joined(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.exp(self._powers @ np.log(np.maximum(probabilities, self._least))), np.float64)


def compress(log_probabilities: NDArray[np.float32]) -> Steps:
    """Drops what cannot matter from `(T, K)`: runs of sure blanks (≥ 1 - 1e-4) become one blank step, classes never above 1e-5 are left out.

    One blank of each run stays, so that equal neighbours ("777") stay apart.
    """
    probabilities = np.exp(log_probabilities.astype(np.float64))
    sure = probabilities[:, BLANK] >= 1 - _SURE_BLANK
    keep = ~(sure & np.concatenate(([False], sure[:-1])))
    kept = probabilities[keep]
    classes = [int(k) for k in np.flatnonzero(kept.max(axis=0) > _NEGLIGIBLE) if k != BLANK]
    likely = np.ascontiguousarray(kept[:, classes].T)
    return Steps(kept[:, BLANK].tolist(), classes, likely, dict(zip(classes, likely.tolist(), strict=True)))


def text_probability(steps: Steps, ids: list[int]) -> float:
    """Probability of one text (class ids) given the steps: the forward algorithm, without the prefix search."""
    if any(k not in steps.rows for k in ids):
        return 0.0
    lists = steps.start()
    last = BLANK
    for k in ids:
        lists = steps.extend(lists, k, last)
        last = k
    return steps.complete(lists)


@dataclass(frozen=True, slots=True, eq=False)
class _Children(Generic[Known]):
    """Prefixes that add one label to `ids`, the likeliest first: (bound, label, state) of each; `before` is what is known of `ids`.

    The prefix "" stands alone, without it. A complete text is `ids` itself, with its probability in place of the bound.
    """

    ids: tuple[int, ...]
    before: Known | None
    ranked: list[tuple[float, int, int]]


@dataclass(frozen=True, slots=True)
class Found:
    """A text (class ids) with its probability and its score (probability × prior)."""

    ids: tuple[int, ...]
    probability: float
    score: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Texts by falling score, and `rest`: an upper bound on the summed score of all texts not listed."""

    found: tuple[Found, ...]
    rest: float


def search(
    steps: Prefixes[Known],
    step_state: Callable[[int, int], int | None],
    bound: Callable[[int], float],
    prior: Callable[[int], float],
    start_state: int,
    most: int = 8,
    rest_share: float = 1e-3,
    least_share: float = 0.015,
    expansions: int = 80,
) -> SearchResult:
    """Best-first prefix search (Graves et al. 2006) over texts weighted by a prior.

    It is exact: a prefix waits under an upper bound for all its completions, so a complete text that comes first cannot be beaten. It ends after
    `most` texts, when all that is left weighs less than `rest_share` of what was found, when none was found and none can have `least_share` of all
    weight any more (most often there is no text), or after `expansions`. `rest` is a true bound however it ends.

    Args:
        steps: of one crop (`compress`), or of several (`Together`).
        step_state: (state, class) → next state of the grammar, None where the text cannot go on.
        bound: state → largest prior that any completion can have.
        prior: state → prior of the text that ends here, 0 when it may not end.
        start_state: the grammar's state for "".
        most: texts wanted at most.
        rest_share: stop once the rest is below this share.
        least_share: a text below this share of all weight is not worth finding.
        expansions: most prefixes to expand.
    """
    order = count()
    # Of a prefix's children only the likeliest waits in the heap; when it is taken, the next one comes in its place. Most are never reached.
    # (-score or bound, order, children, place among them); place -1 marks a complete text.
    heap: list[tuple[float, int, _Children[Known], int]] = []
    waiting = bound(start_state)
    heapq.heappush(heap, (-waiting, next(order), _Children((), None, [(waiting, BLANK, start_state)]), 0))
    found: list[Found] = []
    found_score = 0.0
    while heap and len(found) < most and expansions > 0:
        negative, _, children, place = heapq.heappop(heap)
        if not found and -negative < least_share * waiting:
            break
        waiting += negative
        if place < 0:
            found.append(Found(children.ids, children.ranked[0][0], -negative))
            found_score -= negative
            if waiting <= rest_share * found_score:
                break
            continue
        expansions -= 1
        if place + 1 < len(children.ranked):
            heapq.heappush(heap, (-children.ranked[place + 1][0], next(order), children, place + 1))
        _, last, state = children.ranked[place]
        if children.before is None:
            ids, known = children.ids, steps.start()
        else:
            ids = (*children.ids, last)
            known = steps.extend(children.before, last, ids[-2] if len(ids) > 1 else BLANK)
        ends = steps.complete(known)
        score = ends * prior(state)
        if score > 0:
            heapq.heappush(heap, (-score, next(order), _Children(ids, None, [(ends, BLANK, state)]), -1))
            waiting += score
        ranked = []
        for k, total in zip(steps.classes, steps.following(known, last), strict=True):
            if total < _HOPELESS:
                waiting += total
                continue
            following = step_state(state, k)
            if following is None:
                continue
            value = total * bound(following)
            ranked.append((value, k, following))
            waiting += value
        if ranked:
            ranked.sort(key=_by_value)
            heapq.heappush(heap, (-ranked[0][0], next(order), _Children(ids, known, ranked), 0))
    return SearchResult(tuple(found), max(0.0, waiting))


def _by_value(child: tuple[float, int, int]) -> float:
    return -child[0]
