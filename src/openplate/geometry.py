"""Quads and boxes: order, size, overlap, homographies.

Convention: `(x, y)` in px, x to the right, y down; pixel centres at whole numbers are not assumed (a quad's coordinates are continuous,
the image spans 0..W and 0..H); corners in the order TL TR BR BL *of the plate*, as its text is read.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from openplate.types import Quad

FloatArray = NDArray[np.float32]


def as_quad(points: ArrayLike) -> Quad:
    """Four corners as `(4, 2) float32`.

    Raises:
        ValueError: the points are not four finite (x, y) pairs.
    """
    quad = np.asarray(points, dtype=np.float32)
    if quad.shape != (4, 2) or not np.isfinite(quad).all():
        raise ValueError(f"expected four finite (x, y) corners, got an array of shape {quad.shape}")
    return quad


def box_to_quad(x0: float, y0: float, x1: float, y1: float) -> Quad:
    """The upright quad of a box given by two corners."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float32)


def quad_to_box(quad: Quad) -> tuple[float, float, float, float]:
    """The upright box around a quad as (x0, y0, x1, y1)."""
    x0, y0 = quad.min(axis=0)
    x1, y1 = quad.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def quad_size(quad: Quad) -> tuple[float, float]:
    """Mean length of the two horizontal and the two vertical sides, (width_px, height_px)."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = quad.tolist()  # a tenth of the time that NumPy takes for four points, and this is asked often
    top, right, bottom, left = math.hypot(x1 - x0, y1 - y0), math.hypot(x2 - x1, y2 - y1), math.hypot(x3 - x2, y3 - y2), math.hypot(x0 - x3, y0 - y3)
    return (top + bottom) / 2, (left + right) / 2


def quad_area(quad: Quad) -> float:
    """Area in px² by the shoelace formula, always ≥ 0."""
    x, y = quad[:, 0].astype(np.float64), quad[:, 1].astype(np.float64)
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def grow_quad(quad: Quad, width_fraction: float, height_fraction: float) -> Quad:
    """The quad with a margin on each side, as fractions of its own width and height, grown in the plate's perspective."""
    return quad_with_margins(quad, width_fraction, width_fraction, height_fraction, height_fraction)


def quad_with_margins(quad: Quad, left: float, right: float, above: float, below: float) -> Quad:
    """As `grow_quad`, with a margin for each side."""
    homography = cv2.getPerspectiveTransform(box_to_quad(0, 0, 1, 1), np.ascontiguousarray(quad, dtype=np.float32))
    grown = cv2.perspectiveTransform(box_to_quad(-left, -above, 1 + right, 1 + below)[None], homography)
    return np.asarray(grown[0], dtype=np.float32)


def box_iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """Overlap of every box of `first (A, 4)` with every box of `second (B, 4)`, boxes as (x0, y0, x1, y1); result `(A, B)` in 0..1."""
    a, b = first[:, None, :], second[None, :, :]
    width = np.clip(np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0]), 0, None)
    height = np.clip(np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1]), 0, None)
    intersection = width * height
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return np.asarray(intersection / np.maximum(area_a + area_b - intersection, 1e-9), dtype=np.float32)


def quad_iou(first: Quad, second: Quad) -> float:
    """Overlap of two convex quads, 0..1; a quad that is not convex is replaced by its convex hull."""
    a, b = (cv2.convexHull(np.ascontiguousarray(q, dtype=np.float32)) for q in (first, second))
    area_a, area_b = float(cv2.contourArea(a)), float(cv2.contourArea(b))
    # OpenCV can give less than nothing, and more than the smaller of the two, where a quad is as good as a line.
    intersection = max(0.0, min(float(cv2.intersectConvexConvex(a, b)[0]), area_a, area_b))
    union = area_a + area_b - intersection
    return intersection / union if union > 0 else 0.0
