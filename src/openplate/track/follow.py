"""A quad and what was around it in one frame, and another frame in; the quad there out: how plates are followed where the detector does not run.

Median flow (Kalal et al. 2010): points inside the quad are followed by pyramidal Lucas-Kanade there and back; the quad takes the median shift and scale
of those that come back to where they started. Only the parts of a frame that plates are in are ever made grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.geometry import quad_size, quad_to_box
from openplate.rectify import rectify
from openplate.types import Quad

Grey = NDArray[np.uint8]
"""`(H, W) uint8` grey."""
Picture = NDArray[np.uint8]
"""A frame as `(H, W, 3) uint8 RGB` or `(H, W) uint8` grey."""

_POINTS = 16
_LEAST_POINTS = 5
_SEARCH_PX = 32
_WINDOW = (11, 11)
_LEVELS = 3
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.05)
_PATCH = (16, 64)
_LEAST_PX = 24
_STANDS_PX = 0.1
"""A picture that changed by less than a shift of this would change it shows the plate where it was."""


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """A plate in a frame of `size` (width, height) px, and what is around it: `pixels`, whose first one is the frame's `(left, top)`."""

    quad: Quad
    pixels: Grey
    left: int
    top: int
    size: tuple[int, int]

    @property
    def face(self) -> tuple[slice, slice]:
        """Rows and columns of `pixels` in which the plate is."""
        x0, y0, x1, y1 = quad_to_box(self.quad)
        height, width = self.pixels.shape
        left, top = max(0, int(x0) - self.left), max(0, int(y0) - self.top)
        return slice(top, min(height, int(y1) - self.top + 1)), slice(left, min(width, int(x1) - self.left + 1))


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """A quad in the next frame, how far it moved as `(dx, dy)` px, and the plate's `patch` there."""

    quad: Quad
    shift: NDArray[np.float32]
    patch: NDArray[np.float32]


def look_around(frame: Picture, quad: Quad) -> Around | None:
    """What `follow` needs of the frame in which a quad is known; None where the quad does not lie in the frame."""
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = quad_to_box(quad)
    pad = _SEARCH_PX + 0.25 * (x1 - x0)
    left, top, right, bottom = int(max(0, x0 - pad)), int(max(0, y0 - pad)), int(min(width, x1 + pad)), int(min(height, y1 + pad))
    if right - left < _LEAST_PX or bottom - top < _LEAST_PX:
        return None
    return Around(quad, _grey(frame[top:bottom, left:right]), left, top, (width, height))


def stands(before: Around, after: Picture) -> bool:
    """Whether a later frame shows a plate where it was, as far as its pixels tell."""
    rows, columns = before.face
    face = before.pixels[rows, columns]
    if (after.shape[1], after.shape[0]) != before.size or min(face.shape) < 2:
        return False
    now = _grey(after[before.top + rows.start : before.top + rows.stop, before.left + columns.start : before.left + columns.stop])
    # By how much a pixel differs from the next one, in the direction in which that is less: about what a shift of 1 px would change.
    slope = min(cv2.norm(first, second, cv2.NORM_L1) / first.size for first, second in ((face[1:], face[:-1]), (face[:, 1:], face[:, :-1])))
    return cv2.norm(face, now, cv2.NORM_L1) < _STANDS_PX * slope * now.size


def follow(before: Around, after: Picture, expected: NDArray[np.float32]) -> Followed | None:
    """Where a quad went from one frame to a later one; None where too few of its points are found again.

    Args:
        before: of the frame in which the quad is known.
        after: the later frame.
        expected: `(dx, dy)` px it should have moved by; what differs from it by more than about 60 px is not found.
    """
    height, width = after.shape[:2]
    if (width, height) != before.size:
        return None
    dx, dy = (int(v) for v in np.round(expected))
    # Both windows have the same size and lie inside their frames.
    left, top = max(before.left, -dx), max(before.top, -dy)
    right, bottom = min(before.left + before.pixels.shape[1], width - dx), min(before.top + before.pixels.shape[0], height - dy)
    if right - left < _LEAST_PX or bottom - top < _LEAST_PX:
        return None
    first = before.pixels[top - before.top : bottom - before.top, left - before.left : right - before.left]
    second = _grey(after[top + dy : bottom + dy, left + dx : right + dx])
    quad = before.quad
    corners = _corners(first, quad - np.array([left, top], np.float32))
    if corners is None:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(first, second, corners, corners.copy(), winSize=_WINDOW, maxLevel=_LEVELS, criteria=_STOP)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(second, first, there, there.copy(), winSize=_WINDOW, maxLevel=_LEVELS, criteria=_STOP)
    starts, ends = corners.reshape(-1, 2), there.reshape(-1, 2)
    astray = np.hypot(*(back.reshape(-1, 2) - starts).T)
    good = (found.ravel() == 1) & (found_back.ravel() == 1) & (astray < 1.0)
    if good.sum() < _LEAST_POINTS:
        return None
    starts, ends = starts[good], ends[good]
    shift = _middle(ends - starts)
    a, b = _pairs(len(starts))
    apart, apart_after = np.hypot(*(starts[a] - starts[b]).T), np.hypot(*(ends[a] - ends[b]).T)
    far = apart > 4
    scale = float(_middle(apart_after[far] / apart[far])) if far.any() else 1.0
    # The shift is that of the points' middle; the quad grows around it.
    middle = _middle(starts) + (left, top)
    total = shift + (dx, dy)
    moved = np.asarray(middle + total + min(1.25, max(0.8, scale)) * (quad - middle), np.float32)
    return Followed(moved, np.asarray(total, np.float32), patch(second, moved - np.array([left + dx, top + dy], np.float32)))


@cache
def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The indices of all pairs of `count` points."""
    return np.triu_indices(count, 1)


def _grey(part: Picture) -> Grey:
    """A part of a frame in grey: its own pixels, not the frame's."""
    return np.asarray(part.copy() if part.ndim == 2 else cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.uint8)


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


def patch(frame: Picture, quad: Quad) -> NDArray[np.float32]:
    """What a plate looks like, `(16, 64) float32` of mean 0 and length 1; two patches' sum of products is their likeness, -1 to 1."""
    seen = rectify(frame, quad, *_PATCH).astype(np.float32)
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
