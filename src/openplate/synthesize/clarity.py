"""A plate as it was drawn and its picture in a recording in, how much of its writing the recording kept out.

Distance, lens, noise, light and above all the codec can wipe out characters for good. As a drawn plate is known, this can be measured without any reader.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.charset import UMLAUTS
from openplate.geometry import quad_size
from openplate.rectify import rectify
from openplate.synthesize.plates import CharacterBox
from openplate.types import Image, Quad

Strip = NDArray[np.uint8]
"""`(height, width) uint8` grey: a plate, straightened."""
_STROKE = 0.1
"""What is wider than about this share of a row's height is light, dirt or a whole character, not a stroke."""
_AROUND = 0.08
"""Of a character's height: so much around it counts as well."""
_DOTS = 0.22
"""The dots of Ä, Ö and Ü stand in so much of the character's height. They are all that tells it from A, O and U, and are lost first."""


def plate_strip(image: Image, quad: Quad) -> Strip:
    """A plate of an image, as many px high and wide as it is there."""
    width, height = quad_size(quad)
    return rectify(image, quad, max(4, round(height)), max(8, round(width)), margin=(0.0, 0.0))


def parts_to_tell(text: str, characters: Sequence[CharacterBox]) -> tuple[CharacterBox, ...]:
    """The places on a plate that all have to be seen for its text to be told: its characters', and those of the dots of umlauts."""
    dots = ((x0, y0, x1, y0 + _DOTS * (y1 - y0)) for character, (x0, y0, x1, y1) in zip(text, characters, strict=False) if character in UMLAUTS)
    return (*characters, *dots)


def clarity(artwork: Strip, recorded: Strip, lines: int, parts: Sequence[CharacterBox]) -> float:
    """How much of its worst part a recording kept, 0 to 1: the correlation of the strokes there with those that were drawn.

    Args:
        artwork: the plate as it was drawn.
        recorded: its picture in a recording, of any size.
        lines: rows of text.
        parts: the places that matter (see `parts_to_tell`); none: the plate counts as one.
    """
    height, width = artwork.shape
    seen = np.asarray(cv2.resize(recorded, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    before, after = _strokes(artwork, lines), _strokes(seen, lines)
    return min(_kept(before[part], after[part]) for part in (_part(place, width, height) for place in parts or [(0.0, 0.0, 1.0, 1.0)]))


def _part(place: CharacterBox, width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns of a strip in which a character is."""
    x0, y0, x1, y1 = place[0] * width, place[1] * height, place[2] * width, place[3] * height
    more = _AROUND * (y1 - y0)
    return slice(max(0, round(y0 - more)), round(y1 + more)), slice(max(0, round(x0 - more)), round(x1 + more))


def _kept(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    power = math.sqrt(float((before**2).sum()) * float((after**2).sum()))
    return max(0.0, float((before * after).sum()) / power) if power > 0 else 0.0


def _strokes(strip: Strip, lines: int) -> NDArray[np.float32]:
    """A strip without what changes slowly."""
    grey = strip.astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), _STROKE * strip.shape[0] / lines, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(fine - fine.mean(), dtype=np.float32)
