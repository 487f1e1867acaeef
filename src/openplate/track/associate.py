"""Where plates should be and where detections are in; which detection is which plate out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openplate.geometry import quad_size
from openplate.track.follow import distance
from openplate.types import Quad

IMPOSSIBLE = math.inf
_SIZE_RATIO = 1.8
_SIZE_COST = 0.7
_CLOSE_CALL = 0.8
"""Where two plates' costs for a detection differ by less than this, places alone do not tell them apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Where a plate should be now: its quad, and how far off it may be, in plate sizes (the root of the quad's area)."""

    quad: Quad
    reach: float


def place_costs(expected: Sequence[Expected], detected: Sequence[Quad]) -> NDArray[np.float64]:
    """What it costs to take each detection for each plate, `(plates, detections)`: the distance in plate sizes and the change of size; infinite out of reach."""
    costs = np.full((len(expected), len(detected)), IMPOSSIBLE)
    sizes = [quad_size(quad) for quad in detected]
    for i, plate in enumerate(expected):
        size = quad_size(plate.quad)
        for j, quad in enumerate(detected):
            ratio = abs(math.log(max(1e-3, sizes[j][0] * sizes[j][1]) / max(1e-3, size[0] * size[1]))) / 2
            apart = distance(plate.quad, quad)
            if apart <= plate.reach and ratio <= math.log(_SIZE_RATIO):
                costs[i, j] = apart + _SIZE_COST * ratio
    return costs


def contested(costs: NDArray[np.float64]) -> list[int]:
    """The detections that two plates want about as much, and those of a plate that could take two: their texts must tell."""
    found: set[int] = set()
    for axis in (0, 1):
        for line in range(costs.shape[1 - axis]):
            values = costs[:, line] if axis == 0 else costs[line]
            order = np.argsort(values, kind="stable")[:2]
            if len(order) == 2 and values[order[1]] < IMPOSSIBLE and values[order[1]] - values[order[0]] < _CLOSE_CALL:
                found.update([line] if axis == 0 else order.tolist())
    return sorted(found)


def assign(costs: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs (plate, detection) by rising cost, each plate and each detection once; what is out of reach stays alone."""
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for flat in np.argsort(costs, axis=None, kind="stable"):
        i, j = divmod(int(flat), costs.shape[1])
        if costs[i, j] == IMPOSSIBLE:
            break
        if i not in taken[0] and j not in taken[1]:
            pairs.append((i, j))
            taken[0].add(i)
            taken[1].add(j)
    return pairs
