"""Numbers that measure: overlaps, matches, texts and confidences in; rates with intervals, errors and tables out. No images, no files.

Every rate carries the Wilson score interval of 95 % (Wilson 1927). Average precision is COCO's: the mean over 101 recall points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openplate.charset import normalise
from openplate.dataset import is_upright
from openplate.geometry import box_iou, quad_iou, quad_size, quad_to_box
from openplate.types import Quad

Floats = NDArray[np.float64]
COCO_IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
CONFIDENCE_EDGES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
HEIGHT_EDGES = (16, 24, 32, 48)
_Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Rate:
    """`right` of `total`, the share, and its 95 % interval; share and interval are None when there was nothing to count."""

    right: int
    total: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A rate of a second model less that of a first, and its 95 % interval; all None when there was nothing to count."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class CornerError:
    """Distance between found and labelled corners, the mean of a plate's four; over plates, in px and as a fraction of the plate's height."""

    plates: int
    median_px: float
    p90_px: float
    median_fraction: float
    p90_fraction: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Readings with a confidence in `low` ≤ c < `high` (the last bin includes 1): the mean confidence promised, and the rate kept."""

    low: float
    high: float
    promised: float | None
    kept: Rate


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """Taking only readings with at least `confidence`: the share of all that remains, and the share of those that is wrong."""

    confidence: float
    coverage: float
    risk: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What confidences promise against what they keep: `sure` counts readings with confidence ≥ 0.99; `error` is the expected calibration error."""

    sure: Rate
    error: float | None
    bins: tuple[Bin, ...]
    risk_coverage: tuple[CoveragePoint, ...]


def rate(right: int, total: int) -> Rate:
    """`right` of `total` with the Wilson score interval of 95 %."""
    if total == 0:
        return Rate(right, total, None, None, None)
    share, z2 = right / total, _Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return Rate(right, total, share, max(0.0, centre - half), min(1.0, centre + half))


def count(flags: Iterable[bool]) -> Rate:
    """How many of the flags are set."""
    seen = list(flags)
    return rate(sum(seen), len(seen))


def overlap(found: Quad, labelled: Quad) -> float:
    """IoU of a found quad and a label: of the boxes around both when the label is an upright box, of the quads when it is a true quad."""
    if not is_upright(labelled):
        return quad_iou(found, labelled)
    boxes = [np.array([quad_to_box(quad)], dtype=np.float32) for quad in (found, labelled)]
    return float(box_iou(*boxes)[0, 0])


def overlaps(found: Sequence[Quad], labelled: Sequence[Quad]) -> Floats:
    """`overlap` of every found quad (rows) with every labelled one (columns)."""
    table = [[overlap(f, label) for label in labelled] for f in found]
    return np.array(table, dtype=np.float64).reshape(len(found), len(labelled))


def match(table: Floats, at_least: float) -> list[int | None]:
    """The label that each found quad takes, None for none: in the order of rows (most confident first) each takes its best free one."""
    free = np.ones(table.shape[1], dtype=bool)
    taken: list[int | None] = []
    for row in table:
        best = int(np.argmax(np.where(free, row, -1.0))) if free.any() else None
        if best is not None and row[best] < at_least:
            best = None
        if best is not None:
            free[best] = False
        taken.append(best)
    return taken


def average_precision(images: Sequence[tuple[Sequence[float], Floats]], at_least: float) -> float | None:
    """Area under precision over recall of all images at one IoU; an image is (confidences, falling; its table of `overlaps`). None without labels."""
    labels = sum(table.shape[1] for _, table in images)
    if labels == 0:
        return None
    confidences = np.array([c for scores, _ in images for c in scores], dtype=np.float64)
    hits = np.array([label is not None for _, table in images for label in match(table, at_least)], dtype=bool)
    hits = hits[np.argsort(-confidences, kind="stable")]
    found = np.cumsum(hits)
    recall = found / labels
    precision = found / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, np.arange(101) / 100 - 1e-12, side="left")
    return float(np.mean([precision[place] if place < len(precision) else 0.0 for place in places]))


def mean_average_precision(images: Sequence[tuple[Sequence[float], Floats]]) -> float | None:
    """mAP50-95: the mean `average_precision` at IoU 0.50, 0.55 … 0.95."""
    values = [average_precision(images, at_least) for at_least in COCO_IOUS]
    return None if values[0] is None else float(np.mean([v for v in values if v is not None]))


def corner_distance(found: Quad, labelled: Quad) -> tuple[float, float]:
    """Mean distance of the four corners: (in px, as a fraction of the labelled plate's height)."""
    distance_px = float(np.linalg.norm(found - labelled, axis=1).mean())
    return distance_px, distance_px / quad_size(labelled)[1]


def corner_error(distances: Sequence[tuple[float, float]]) -> CornerError | None:
    """Median and 90th percentile of `corner_distance` values; None without any."""
    if not distances:
        return None
    (px_50, fraction_50), (px_90, fraction_90) = (np.percentile(np.array(distances), q, axis=0).tolist() for q in (50, 90))
    return CornerError(len(distances), px_50, px_90, fraction_50, fraction_90)


def canonical(text: str, alike: Sequence[str] = ()) -> str:
    """A text as it is compared: normalised, and each character of a group in `alike` (such as "O0") replaced by the group's first."""
    text = normalise(text)
    for group in alike:
        text = text.translate({ord(character): group[0] for character in group[1:]})
    return text


def same_text(first: str, second: str, alike: Sequence[str] = ()) -> bool:
    """Whether two texts are equal when compared as `canonical`."""
    return canonical(first, alike) == canonical(second, alike)


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value of McNemar's test (1947): how likely so uneven a split of the changes, or a more uneven one, is by chance.

    `only_first` and `only_second` count what one of two models has right and the other wrong; 1 when nothing changed.
    """
    changed = only_first + only_second
    tail = sum(math.comb(changed, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, float(2 * tail / 2**changed))


def paired_difference(both: int, only_first: int, only_second: int, neither: int) -> Difference:
    """Share right of the second model less that of the first, on the same plates, with Newcombe's 95 % interval (1998, paired data, method 10)."""
    total = both + only_first + only_second + neither
    if total == 0:
        return Difference(None, None, None)
    first, second = rate(both + only_first, total), rate(both + only_second, total)
    assert first.share is not None and first.low is not None and first.high is not None
    assert second.share is not None and second.low is not None and second.high is not None
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    product = both * neither - only_first * only_second
    corrected = max(product - total / 2, 0.0) if product > 0 else float(product)
    phi = corrected / math.sqrt(margins) if margins else 0.0
    share = (only_second - only_first) / total

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))

    low = share - reach(second.share - second.low, first.high - first.share)
    high = share + reach(second.high - second.share, first.share - first.low)
    return Difference(share, max(low, -1.0), min(high, 1.0))


def resampled_difference(first: ArrayLike, second: ArrayLike, sizes: ArrayLike, rounds: int = 2000, seed: int = 0) -> Difference:
    """Rate of errors of the second model less that of the first, with the 95 % percentile interval of the bootstrap over plates (Efron 1979).

    `first` and `second` `(N,)` count each plate's errors, `sizes` `(N,)` what they are counted of (its characters). The same for the same seed.
    """
    gained, counted = np.subtract(second, first).astype(np.float64), np.asarray(sizes, dtype=np.float64)
    if counted.sum() == 0:
        return Difference(None, None, None)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        drawn = rng.integers(0, len(gained), len(gained))
        values.append(gained[drawn].sum() / max(counted[drawn].sum(), 1.0))
    low, high = np.percentile(values, (2.5, 97.5))
    return Difference(float(gained.sum() / counted.sum()), float(low), float(high))


def height_group(height_px: float) -> str:
    """The name of a plate height's group: "<16", "16-24", "24-32", "32-48" or "48+" px, the lower end included."""
    edges = HEIGHT_EDGES
    place = sum(height_px >= edge for edge in edges)
    if place == 0:
        return f"<{edges[0]}"
    return f"{edges[-1]}+" if place == len(edges) else f"{edges[place - 1]}-{edges[place]}"


def height_groups() -> list[str]:
    """All names that `height_group` gives, smallest first."""
    return [height_group(h) for h in (0, *HEIGHT_EDGES)]


def calibration(confidences: ArrayLike, right: ArrayLike) -> Calibration:
    """What `(N,)` confidences promise against the `(N,)` truth of their readings."""
    values, truth = np.asarray(confidences, dtype=np.float64), np.asarray(right, dtype=bool)
    return Calibration(
        sure=count(truth[values >= 0.99].tolist()),
        error=calibration_error(values, truth),
        bins=reliability(values, truth),
        risk_coverage=risk_coverage(values, truth),
    )


def reliability(confidences: Floats, right: NDArray[np.bool_], edges: Sequence[float] = CONFIDENCE_EDGES) -> tuple[Bin, ...]:
    """The readings sorted into bins of confidence; the bins are narrow where the confidences matter."""
    bins = []
    for low, high in pairwise(edges):
        inside = (confidences >= low) & ((confidences < high) | (high == edges[-1]))
        promised = float(confidences[inside].mean()) if inside.any() else None
        bins.append(Bin(low, high, promised, count(right[inside].tolist())))
    return tuple(bins)


def calibration_error(confidences: Floats, right: NDArray[np.bool_], bins: int = 15) -> float | None:
    """Expected calibration error: the mean of |promised - kept| over equally wide bins, weighted by readings (Guo et al. 2017). None without any."""
    if len(confidences) == 0:
        return None
    place = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=confidences - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidences))


def risk_coverage(confidences: Floats, right: NDArray[np.bool_]) -> tuple[CoveragePoint, ...]:
    """One point for each confidence that occurs, the highest first (El-Yaniv & Wiener 2010)."""
    order = np.argsort(-confidences, kind="stable")
    values, wrong = confidences[order], np.cumsum(~right[order])
    last = [i for i in range(len(values)) if i + 1 == len(values) or values[i + 1] != values[i]]
    return tuple(CoveragePoint(float(values[i]), (i + 1) / len(values), float(wrong[i] / (i + 1))) for i in last)
