"""Image and quad in, crop out: the plate seen from straight ahead at the reader's input size. Training uses the same function.

Convention: quads are continuous coordinates (the image spans 0..W), so half a pixel is taken off for OpenCV's pixel-centre coordinates.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.geometry import grow_quad, quad_size, quad_to_box
from openplate.types import Crop, Quad

CROP_HEIGHT = 48
CROP_WIDTH = 192
MARGIN_X = 0.04
"""Margin on the left and right as a fraction of the plate's width: corners are never exact, and a cut character is lost."""
MARGIN_Y = 0.10
"""Margin above and below as a fraction of the plate's height."""


def rectify(
    image: NDArray[np.uint8], quad: Quad, height: int = CROP_HEIGHT, width: int = CROP_WIDTH, margin: tuple[float, float] = (MARGIN_X, MARGIN_Y)
) -> Crop:
    """One plate as a crop.

    Args:
        image: `(H, W, 3) uint8 RGB` or `(H, W) uint8` grey.
        quad: `(4, 2) float32 px, (x, y), TL TR BR BL`; may reach outside the image, whose border is then repeated.
        height: crop height in px.
        width: crop width in px.
        margin: horizontal and vertical margin as fractions of the plate's width and height.

    Returns:
        `(height, width) uint8` grey. A plate much larger than the crop is averaged down first, so that nothing aliases.
    """
    grown = grow_quad(quad, *margin)
    x0, y0, x1, y1 = quad_to_box(grown)
    image_h, image_w = image.shape[:2]
    left, top = int(np.clip(x0 - 2, 0, image_w - 1)), int(np.clip(y0 - 2, 0, image_h - 1))
    right, bottom = int(np.clip(np.ceil(x1) + 2, left + 1, image_w)), int(np.clip(np.ceil(y1) + 2, top + 1, image_h))
    region = image[top:bottom, left:right]
    if region.ndim == 3:
        region = np.asarray(cv2.cvtColor(region, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    local = grown - np.array([left, top], np.float32)
    plate_w, plate_h = quad_size(grown)
    shrink = max(1.0, min(plate_w / width, plate_h / height))
    if shrink > 1.5:
        size = max(1, round(region.shape[1] / shrink)), max(1, round(region.shape[0] / shrink))
        local = local * np.array([size[0] / region.shape[1], size[1] / region.shape[0]], np.float32)
        region = np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    homography = cv2.getPerspectiveTransform((local - 0.5).astype(np.float32), target - 0.5)
    crop = cv2.warpPerspective(region, homography, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, dtype=np.uint8)
