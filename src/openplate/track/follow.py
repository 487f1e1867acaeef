"""Two grey frames and a quad in the first, the quad in the second out: how plates are followed where the detector does not run.

Median flow (Kalal et al. 2010): points inside the quad are followed by pyramidal Lucas-Kanade there and back; the quad takes the median shift and scale
of those that come back to where they started.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.geometry import quad_size, quad_to_box
from openplate.rectify import rectify
from openplate.types import Quad

Grey = NDArray[np.uint8]
"""`(H, W) uint8` grey."""

_POINTS = 24
_LEAST_POINTS = 5
_SEARCH_PX = 32
_WINDOW = (15, 15)
_LEVELS = 2
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.05)
_PATCH = (16, 64)


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """A quad in the next frame, and how far it moved as `(dx, dy)` px."""

    quad: Quad
    shift: NDArray[np.float32]


def follow(before: Grey, after: Grey, quad: Quad, expected: NDArray[np.float32]) -> Followed | None:
    """Where a quad went from one frame to the next; None where too few of its points are found again.

    Args:
        before: the frame in which `quad` is known.
        after: the next frame, of the same size.
        quad: the plate.
        expected: `(dx, dy)` px it should have moved by; what differs from it by more than about 60 px is not found.
    """
    height, width = before.shape
    x0, y0, x1, y1 = quad_to_box(quad)
    pad = _SEARCH_PX + 0.25 * (x1 - x0)
    dx, dy = (int(v) for v in np.round(expected))
    # Both windows have the same size and lie inside their frames.
    left, top = int(max(0, x0 - pad, -dx)), int(max(0, y0 - pad, -dy))
    right, bottom = int(min(width, x1 + pad, width - dx)), int(min(height, y1 + pad, height - dy))
    if right - left < 24 or bottom - top < 24:
        return None
    first, second = before[top:bottom, left:right], after[top + dy : bottom + dy, left + dx : right + dx]
    corners = _corners(first, quad - np.array([left, top], np.float32))
    if corners is None:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(first, second, corners, corners.copy(), winSize=_WINDOW, maxLevel=_LEVELS, criteria=_STOP)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(second, first, there, there.copy(), winSize=_WINDOW, maxLevel=_LEVELS, criteria=_STOP)
    starts, ends = corners.reshape(-1, 2), there.reshape(-1, 2)
    astray = np.linalg.norm(back.reshape(-1, 2) - starts, axis=1)
    good = (found.ravel() == 1) & (found_back.ravel() == 1) & (astray < 1.0)
    if good.sum() < _LEAST_POINTS:
        return None
    starts, ends = starts[good], ends[good]
    shift = _middle(ends - starts)
    a, b = np.triu_indices(len(starts), 1)
    apart = np.linalg.norm(starts[a] - starts[b], axis=1)
    far = apart > 4
    scale = float(_middle(np.linalg.norm(ends[a] - ends[b], axis=1)[far] / apart[far])) if far.any() else 1.0
    # The shift is that of the points' middle; the quad grows around it.
    middle = _middle(starts) + (left, top)
    total = shift + (dx, dy)
    moved = middle + total + float(np.clip(scale, 0.8, 1.25)) * (quad - middle)
    return Followed(np.asarray(moved, np.float32), np.asarray(total, np.float32))


def _corners(grey: Grey, quad: Quad) -> NDArray[np.float32] | None:
    """Points of a quad that can be followed, `(n, 1, 2)`; None when there are too few."""
    x0, y0, x1, y1 = quad_to_box(quad)
    left, top, right, bottom = max(0, int(x0)), max(0, int(y0)), min(grey.shape[1], int(x1) + 1), min(grey.shape[0], int(y1) + 1)
    if right - left < 6 or bottom - top < 6:
        return None
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillConvexPoly(mask, np.round(quad - (left, top)).astype(np.int32), 255)
    corners = cv2.goodFeaturesToTrack(grey[top:bottom, left:right], _POINTS, 0.02, 3, mask=mask)
    if corners is None or len(corners) < _LEAST_POINTS:
        return None
    return np.asarray(corners + np.array([left, top], np.float32), np.float32)


def _middle(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The upper median along the first axis."""
    return np.asarray(np.sort(values, axis=0)[len(values) // 2], np.float32)


def patch(grey: Grey, quad: Quad) -> NDArray[np.float32]:
    """What a plate looks like, `(16, 64) float32` of mean 0 and length 1; two patches' sum of products is their likeness, -1 to 1."""
    seen = rectify(grey, quad, *_PATCH).astype(np.float32)
    seen -= seen.mean()
    return np.asarray(seen / max(1e-6, float(np.linalg.norm(seen))), np.float32)


def likeness(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Normalised correlation of two patches, -1 to 1; 1 is the same picture."""
    return float((first * second).sum())


def inside(quad: Quad, width: int, height: int, slack_px: float = 2.0) -> bool:
    """Whether a whole quad lies in a picture, but for `slack_px`."""
    x0, y0, x1, y1 = quad_to_box(quad)
    return x0 >= -slack_px and y0 >= -slack_px and x1 <= width + slack_px and y1 <= height + slack_px


def distance(first: Quad, second: Quad) -> float:
    """Between the middles of two quads, in their mean size (width and height weigh alike, as the root of the area)."""
    sizes = [float(np.sqrt(max(1.0, w * h))) for w, h in (quad_size(first), quad_size(second))]
    return float(np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))) / (sum(sizes) / 2)
