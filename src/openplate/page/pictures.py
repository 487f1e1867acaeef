"""A picture and its plates in; the picture with the plates marked, and each plate cut out, as files for browsers out."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from openplate.annotate import annotate, cut_plate
from openplate.sources import encode_image
from openplate.types import Image, Plate

_WIDEST_PX = 1600
"""More is not shown, and would only be sent to phones."""
_LEAST_CROP_PX = 120
"""Smaller plates are enlarged to this height: browsers' own enlarging is coarse."""


def mark(image: Image, plates: Sequence[Plate]) -> bytes:
    """The picture with its plates marked, as a JPEG file."""
    return encode_image(_at_most(annotate(image, plates), _WIDEST_PX), ".jpg")


def cut(image: Image, plate: Plate) -> bytes:
    """A plate cut out, as a PNG file."""
    return encode_image(_at_least(cut_plate(image, plate), _LEAST_CROP_PX), ".png")


def _at_most(image: Image, width_px: int) -> Image:
    height, width = image.shape[:2]
    if width <= width_px:
        return image
    return np.asarray(cv2.resize(image, (width_px, max(1, round(height * width_px / width))), interpolation=cv2.INTER_AREA), np.uint8)


def _at_least(image: Image, height_px: int) -> Image:
    height, width = image.shape[:2]
    if height >= height_px:
        return image
    return np.asarray(cv2.resize(image, (max(1, round(width * height_px / height)), height_px), interpolation=cv2.INTER_CUBIC), np.uint8)
