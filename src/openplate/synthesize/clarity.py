"""A plate as it was drawn and its picture in a recording in, how much of its writing the recording kept out.

Distance, lens, noise, light and above all the codec can wipe out characters for good. As a drawn plate is known, this can be measured without any reader.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.geometry import quad_size
from openplate.rectify import rectify
from openplate.types import Image, Quad

Strip = NDArray[np.uint8]
"""`(height, width) uint8` grey: a plate, straightened, without its rim, which says nothing of its characters."""
_INSET = -0.06
_STROKE = 0.1
"""What is wider than about this share of a row's height is light, dirt or a whole character, not a stroke."""


def plate_strip(image: Image, quad: Quad) -> Strip:
    """A plate of an image, as many px high and wide as it is there."""
    width, height = quad_size(quad)
    return rectify(image, quad, max(4, round(height)), max(8, round(width)), margin=(_INSET, _INSET))


def clarity(artwork: Strip, recorded: Strip, lines: int) -> float:
    """How much of the writing of a plate a recording kept, 0 to 1: the correlation of its strokes with those that were drawn.

    Args:
        artwork: the plate as it was drawn.
        recorded: its picture in a recording, of any size.
        lines: rows of text.
    """
    height, width = artwork.shape
    seen = np.asarray(cv2.resize(recorded, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    before, after = _strokes(artwork, lines), _strokes(seen, lines)
    power = math.sqrt(float((before**2).sum()) * float((after**2).sum()))
    return max(0.0, float((before * after).sum()) / power) if power > 0 else 0.0


def _strokes(strip: Strip, lines: int) -> NDArray[np.float32]:
    """A strip without what changes slowly."""
    grey = strip.astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), _STROKE * strip.shape[0] / lines, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(fine - fine.mean(), dtype=np.float32)
