"""Plates of a clip as they are and as they were followed in, how well identities were kept out: IDF1, switches, fragments. No images, no files.

IDF1 is that of Ristani et al. 2016; switches and fragments are those of CLEAR MOT (Bernardin and Stiefelhagen 2008), in whose matches a plate
keeps the track that it had last where they still overlap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openplate.evaluate.metrics import Floats, overlaps
from openplate.geometry import quad_size
from openplate.types import Quad

MATCH_IOU = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class FrameMatch:
    """One frame: names of the true plates (rows) and of the followed ones (columns), and their overlaps `(rows, columns)`, 0 to 1."""

    true: tuple[int, ...]
    found: tuple[str, ...]
    overlap: Floats


@dataclass(frozen=True, slots=True)
class TrackScore:
    """How well identities were kept, over all frames of one clip or of several.

    `matched`, `wrong` and `missed` are plates in frames under the best assignment of whole followed tracks to whole true ones (IDTP, IDFP, IDFN);
    `switches` counts how often a true plate was matched by another track than before, `fragments` how often one was lost and found again.
    """

    matched: int
    wrong: int
    missed: int
    switches: int
    fragments: int
    tracks: int

    @property
    def idf1(self) -> float | None:
        """2 IDTP / (2 IDTP + IDFP + IDFN), 0 to 1; None where there was nothing."""
        total = 2 * self.matched + self.wrong + self.missed
        return 2 * self.matched / total if total else None


def score_tracks(frames: Iterable[FrameMatch], at_least: float = MATCH_IOU) -> TrackScore:
    """The score of one clip, frame after frame; pairs that overlap by `at_least` may match.

    Needs SciPy (extra `evaluate`).
    """
    together: Counter[tuple[int, str]] = Counter()
    true_frames: Counter[int] = Counter()
    found_frames: Counter[str] = Counter()
    last: dict[int, str] = {}
    lost: set[int] = set()
    switches = fragments = 0
    for frame in frames:
        true_frames.update(frame.true)
        found_frames.update(frame.found)
        close = frame.overlap >= at_least
        together.update((frame.true[i], frame.found[j]) for i, j in zip(*np.nonzero(close), strict=True))
        now = _match(frame, close, last)
        for name in frame.true:
            if name not in now:
                if name in last:
                    lost.add(name)
                continue
            switches += name in last and last[name] != now[name]
            fragments += name in lost
            lost.discard(name)
            last[name] = now[name]
    matched = _best_total(together, sorted(true_frames), sorted(found_frames))
    return TrackScore(
        matched=matched,
        wrong=sum(found_frames.values()) - matched,
        missed=sum(true_frames.values()) - matched,
        switches=switches,
        fragments=fragments,
        tracks=len(true_frames),
    )


def combine_scores(scores: Sequence[TrackScore]) -> TrackScore:
    """Several clips as one; a track of one clip is never one of another."""
    return TrackScore(*(sum(getattr(score, name) for score in scores) for name in ("matched", "wrong", "missed", "switches", "fragments", "tracks")))


def match_frame(
    true: Sequence[tuple[int, Quad]],
    ignored: Sequence[Quad],
    found: Sequence[tuple[str, Quad]],
    at_least: float = MATCH_IOU,
    least_width_px: float = 0.0,
) -> FrameMatch:
    """The overlaps of one frame.

    Followed plates that lie on no counted plate are left out where they lie on an `ignored` one, and where they are narrower than counted plates are.
    """
    counted = overlaps([quad for _, quad in found], [quad for _, quad in true])
    aside = overlaps([quad for _, quad in found], ignored)
    kept = []
    for j, (_, quad) in enumerate(found):
        on_counted, on_ignored = counted[j].max(initial=0.0), aside[j].max(initial=0.0)
        if on_counted >= at_least and on_counted >= on_ignored or on_ignored < at_least and quad_size(quad)[0] >= least_width_px:
            kept.append(j)
    return FrameMatch(tuple(name for name, _ in true), tuple(found[j][0] for j in kept), counted[kept].T.reshape(len(true), len(kept)))


def _match(frame: FrameMatch, close: NDArray[np.bool_], before: dict[int, str]) -> dict[int, str]:
    """True name → followed name: each plate keeps the track that it had last where they still overlap, then comes the best of what is left."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = set(range(len(frame.true))), set(range(len(frame.found)))
    pairs: dict[int, str] = {}
    for i, name in enumerate(frame.true):
        j = frame.found.index(before[name]) if before.get(name) in frame.found else None
        if j is not None and close[i, j] and j in columns:
            pairs[name] = frame.found[j]
            rows.remove(i)
            columns.remove(j)
    left, right = sorted(rows), sorted(columns)
    if left and right:
        # Every pair that may match is worth more than any difference of overlaps: as many as possible first, then the closest.
        worth = np.where(close, frame.overlap + len(left) + 1, 0.0)[np.ix_(left, right)]
        for i, j in zip(*linear_sum_assignment(worth, maximize=True), strict=True):
            if close[left[i], right[j]]:
                pairs[frame.true[left[i]]] = frame.found[right[j]]
    return pairs


def _best_total(together: Counter[tuple[int, str]], true: Sequence[int], found: Sequence[str]) -> int:
    """Most frames that any one-to-one assignment of followed to true tracks can match."""
    from scipy.optimize import linear_sum_assignment

    table = np.array([[together[t, f] for f in found] for t in true], dtype=np.int64).reshape(len(true), len(found))
    rows, columns = linear_sum_assignment(table, maximize=True)
    return int(table[rows, columns].sum())
