"""CTC log-probabilities in, exact text probabilities and the best texts out.

Notation follows Graves et al. 2006: a path gives one class a step; a text's probability is the sum over the paths that collapse to it.
Everything here is computed in the linear domain with double precision.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from openplate.charset import BLANK

_SURE_BLANK = 1e-4
_NEGLIGIBLE = 1e-5
_HOPELESS = 1e-7


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
    lists = _start(steps)
    last = BLANK
    for k in ids:
        if k not in steps.rows:
            return 0.0
        lists = _extend(steps, lists, k, last)
        last = k
    return lists[0][-1] + lists[1][-1]


_Lists = tuple[list[float], list[float]]
"""Probability of a prefix ending in blank, and in a label, after each step; entry 0 is before the first step."""


def _start(steps: Steps) -> _Lists:
    """The prefix ""."""
    ending_blank = [1.0]
    for p in steps.blank:
        ending_blank.append(ending_blank[-1] * p)
    return ending_blank, [0.0] * (steps.length + 1)


def _extend(steps: Steps, before: _Lists, k: int, last: int) -> _Lists:
    """The prefix `before`, which ends with label `last`, with one more label `k`."""
    before_blank, before_label = before
    repeated = k == last
    b = n = 0.0
    ending_blank, ending_label = [0.0], [0.0]
    for p_blank, p, from_blank, from_label in zip(steps.blank, steps.rows[k], before_blank, before_label, strict=False):
        b, n = p_blank * (b + n), p * (n + from_blank if repeated else n + from_blank + from_label)
        ending_blank.append(b)
        ending_label.append(n)
    return ending_blank, ending_label


def _following(steps: Steps, before: _Lists, last: int) -> list[float]:
    """For each of `steps.classes` the probability that a text starts with the prefix `before` and then this label."""
    blank, label = np.array(before[0][:-1]), np.array(before[1][:-1])
    totals = steps.likely @ (blank + label)
    if last in steps.rows:
        row = steps.classes.index(last)
        totals[row] = steps.likely[row] @ blank
    values: list[float] = totals.tolist()
    return values


@dataclass(frozen=True, slots=True, eq=False)
class _Children:
    """Prefixes that add one label to `ids`, the likeliest first: (bound, label, state) of each; `before` are the lists of `ids`.

    The prefix "" stands alone, without lists. A complete text is `ids` itself, with its probability in place of the bound.
    """

    ids: tuple[int, ...]
    before: _Lists | None
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
    steps: Steps,
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
        steps: see `compress`.
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
    heap: list[tuple[float, int, _Children, int]] = []
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
            ids, lists = children.ids, _start(steps)
        else:
            ids = (*children.ids, last)
            lists = _extend(steps, children.before, last, ids[-2] if len(ids) > 1 else BLANK)
        ends = lists[0][-1] + lists[1][-1]
        score = ends * prior(state)
        if score > 0:
            heapq.heappush(heap, (-score, next(order), _Children(ids, None, [(ends, BLANK, state)]), -1))
            waiting += score
        ranked = []
        for k, total in zip(steps.classes, _following(steps, lists, last), strict=True):
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
            heapq.heappush(heap, (-ranked[0][0], next(order), _Children(ids, lists, ranked), 0))
    return SearchResult(tuple(found), max(0.0, waiting))


def _by_value(child: tuple[float, int, int]) -> float:
    return -child[0]
