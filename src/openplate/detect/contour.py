"""Image and an upright box around a plate in, the plate's four corners out, by contour analysis; None where no contour looks like a plate.

The plate's face is brighter or darker than what is around it. Some thresholds cut it out, the holes of its characters are closed, and straight lines
are fitted to the four sides of each outline. Only an outline that is nearly all of a quad, of a plate's proportions, and nearly fills the box is
believed: corners that are wrong read worse than the box itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.geometry import FloatArray, box_iou, grow_quad, quad_iou, quad_size, quad_to_box
from openplate.types import Image, Quad

AROUND_X, AROUND_Y = 0.12, 0.3
"""How much is looked at around the box, as fractions of its width and height."""
WORKING_HEIGHT = 64
"""Boxes are brought to this height in px."""
_CLOSING, _OPENING = (17, 11), (15, 15)
"""What is closed (characters) and opened (what hangs on to the plate), in px at that height; odd, so that nothing is shifted."""
LEAST_HEIGHT = 8.0
"""Lower boxes hold too few pixels for an outline."""
LEAST_FIT = 0.90
"""Overlap (IoU) of quad and outline, at least."""
SHIFT_X, SHIFT_Y = 0.055, 0.22
"""How far the box around the quad may lie from the given one, as fractions of its width and height: less than the coloured band at a plate's end."""
MOST_TURN = 12.0
"""Degrees that opposite sides may be turned against each other."""
ASPECTS = (1.0, 8.0)
"""Width over height of plates, from two-line motorcycle plates to long ones."""


def find_corners(image: Image, box: tuple[float, float, float, float]) -> Quad | None:
    """The corners of the plate in a box, None where no outline is surely one.

    Args:
        image: `(H, W, 3) uint8 RGB`.
        box: x0 y0 x1 y1 in image px, around the plate.

    Returns:
        `(4, 2) float32 px, (x, y)`, TL TR BR BL as the picture is held: a plate turned by more than 45° gets its corners in another order.
    """
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    left, top = max(0, int(x0 - AROUND_X * width)), max(0, int(y0 - AROUND_Y * height))
    right, bottom = min(image.shape[1], int(np.ceil(x1 + AROUND_X * width))), min(image.shape[0], int(np.ceil(y1 + AROUND_Y * height)))
    if height < LEAST_HEIGHT or width < LEAST_HEIGHT or right - left < 4 or bottom - top < 4:
        return None
    scale = float(np.clip(WORKING_HEIGHT / height, 0.05, 4.0))
    grey = cv2.cvtColor(np.ascontiguousarray(image[top:bottom, left:right]), cv2.COLOR_RGB2GRAY)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    region = np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=method), dtype=np.uint8)
    stretch = np.array([region.shape[1] / grey.shape[1], region.shape[0] / grey.shape[0]], np.float32)
    corner = np.array([left, top], np.float32)
    seen = np.concatenate([(np.array([x0, y0], np.float32) - corner) * stretch, (np.array([x1, y1], np.float32) - corner) * stretch])
    best, best_score = None, 0.0
    for outline in _outlines(region, seen):
        quad = fit_quad(outline)
        score = 0.0 if quad is None else plate_score(quad, outline, seen)
        if score > best_score:
            best, best_score = quad, score
    if best is None:
        return None
    # An outline runs through the middles of its outermost pixels.
    quad_w, quad_h = quad_size(best)
    whole = grow_quad(best, 0.5 / quad_w, 0.5 / quad_h)
    return np.asarray((whole + 0.5) / stretch + corner, dtype=np.float32)


def fit_quad(outline: NDArray[np.int32]) -> Quad | None:
    """Four straight sides fitted to an outline `(N, 2)`, as corners TL TR BR BL; None where it has no four sides.

    Each point belongs to the nearest side of the smallest rectangle around all; lines are fitted to the middle parts of the sides (rounded and torn
    corners do not count) and cut with each other.
    """
    start = order_corners(np.asarray(cv2.boxPoints(cv2.minAreaRect(outline)), dtype=np.float32))
    points = outline.astype(np.float32)
    sides = np.roll(start, -1, axis=0) - start
    lengths = np.linalg.norm(sides, axis=1)
    if lengths.min() < 4:
        return None
    along = np.einsum("nsd,sd->ns", points[:, None] - start[None], sides) / lengths**2
    away = np.abs(np.einsum("nsd,sd->ns", points[:, None] - start[None], np.stack([-sides[:, 1], sides[:, 0]], axis=1))) / lengths
    nearest = away.argmin(axis=1)
    lines = []
    for side in range(4):
        own = points[(nearest == side) & (along[:, side] > 0.08) & (along[:, side] < 0.92)]
        if len(own) < 5:
            return None
        dx, dy, x, y = cv2.fitLine(own, cv2.DIST_HUBER, 0, 0.01, 0.01).ravel().tolist()
        lines.append((-dy, dx, -dy * x + dx * y))  # normal and offset: n · p = c
    corners = []
    for side in range(4):
        (a, b, c), (d, e, f) = lines[side - 1], lines[side]
        determinant = a * e - b * d
        if abs(determinant) < 0.3:  # the sine of the angle between neighbours: less than 17°
            return None
        corners.append([(c * e - b * f) / determinant, (a * f - c * d) / determinant])
    return np.array(corners, dtype=np.float32)


def plate_score(quad: Quad, outline: NDArray[np.int32], box: FloatArray) -> float:
    """How surely a quad is the plate in the box `(4,)`: its overlap with the outline times that with the box; 0 where it is no plate."""
    if not np.isfinite(quad).all() or not cv2.isContourConvex(quad.reshape(4, 1, 2)):
        return 0.0
    width, height = quad_size(quad)
    around = np.array(quad_to_box(quad), np.float32)
    size = box[2:] - box[:2]
    if not ASPECTS[0] <= width / max(height, 1e-6) <= ASPECTS[1] or (np.abs(around - box) > np.tile(size * [SHIFT_X, SHIFT_Y], 2)).any():
        return 0.0
    sides = np.roll(quad, -1, axis=0) - quad
    angles = np.degrees(np.arctan2(sides[:, 1], sides[:, 0]))
    turned = (angles[2:] - angles[:2]) % 360 - 180
    if (np.abs(turned) > MOST_TURN).any():
        return 0.0
    hull = cv2.convexHull(outline).reshape(-1, 2).astype(np.float32)
    fit = quad_iou(hull, quad) * float(cv2.contourArea(outline)) / max(1e-6, float(cv2.contourArea(hull)))
    overlap = float(box_iou(around[None], box[None].astype(np.float32))[0, 0])
    return fit * overlap if fit >= LEAST_FIT else 0.0


def order_corners(points: FloatArray) -> Quad:
    """Four points in the order TL TR BR BL: clockwise as seen, beginning with the one nearest to the top left."""
    centre = points.mean(axis=0)
    spread = np.maximum(np.ptp(points, axis=0), 1e-6)
    angles = np.arctan2(points[:, 1] - centre[1], points[:, 0] - centre[0])
    clockwise = points[np.argsort(angles, kind="stable")]  # y runs down, so that growing angles run clockwise
    first = int(((clockwise - centre) / spread).sum(axis=1).argmin())
    return np.asarray(np.roll(clockwise, -first, axis=0), dtype=np.float32)


def _outlines(region: NDArray[np.uint8], box: FloatArray) -> Iterator[NDArray[np.int32]]:
    """Outlines `(N, 2)` of bright and of dark areas that hold the middle of the box and could be a plate."""
    smooth = np.asarray(cv2.GaussianBlur(region, (0, 0), 1.2), dtype=np.uint8)
    x0, y0, x1, y1 = (round(v) for v in box.tolist())
    inside = smooth[max(0, y0) : max(1, y1), max(0, x0) : max(1, x1)]
    otsu, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_OTSU)
    low, high = (float(np.percentile(inside, share)) for share in (15, 85))
    levels = sorted({round(otsu), *(round(low + (high - low) * share) for share in (0.35, 0.5, 0.65))})
    closing = cv2.getStructuringElement(cv2.MORPH_RECT, _CLOSING)
    opening = cv2.getStructuringElement(cv2.MORPH_RECT, _OPENING)
    middle = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
    least = 0.3 * float((box[2] - box[0]) * (box[3] - box[1]))
    for level in levels:
        _, bright = cv2.threshold(smooth, level, 255, cv2.THRESH_BINARY)
        for mask in (bright, cv2.bitwise_not(bright)):
            padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
            whole = cv2.morphologyEx(cv2.morphologyEx(padded, cv2.MORPH_CLOSE, closing), cv2.MORPH_OPEN, opening)
            contours, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            for contour in contours:
                outline = np.asarray(contour.reshape(-1, 2) - 1, dtype=np.int32)
                if float(cv2.contourArea(outline)) >= least and cv2.pointPolygonTest(outline, middle, False) >= 0:
                    yield outline
