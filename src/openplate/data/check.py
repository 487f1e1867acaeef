"""Marks and labelled plates in; sound plates, or what is wrong with them, out. One place says what a fault is, for `convert` and `inspect` alike."""

from __future__ import annotations

import cv2
import numpy as np

from openplate.charset import CHARACTERS, Charset, normalise
from openplate.data.rows import Mark, quad_around
from openplate.dataset import LabelledPlate
from openplate.geometry import as_quad, quad_area, quad_to_box
from openplate.types import Quad

UNKNOWN_COUNTRY = "XX"
"""The country of a plate whose source says none; ISO 3166-1 keeps the code free for users."""
_LEAST_AREA_PX = 4.0
_LEAST_INSIDE = 0.5
"""Fraction of a quad's upright box that has to lie in the image: a label may reach over the edge, one that mostly does not belong there."""


def sound_plate(mark: Mark, width: int, height: int, country: str, charset: Charset) -> LabelledPlate:
    """The plate that a mark stands for in an image of `width`×`height` px: its text in the project's spelling, its quad in px.

    Raises:
        ValueError: the text has no character or one outside the charset, or the quad has no area, crosses itself or lies outside the image.

    """
    text = None if mark.text is None else sound_text(mark.text, charset)
    land = (mark.country or "").strip() or country
    if not land.isprintable() or len(land) > 32:
        raise ValueError(f"expected a country's code, got {land!r}")
    if mark.points is None:
        return LabelledPlate(text, land, None)
    points = np.array(mark.points, np.float64) * ((width, height) if mark.fractions else 1)
    quad = as_quad(points) if mark.ordered else quad_around(points.astype(np.float32))
    fault = quad_fault(quad, width, height)
    if fault:
        raise ValueError(fault)
    return LabelledPlate(text, land, quad)


def sound_text(text: str, charset: Charset) -> str:
    """A text in the project's spelling.

    Raises:
        ValueError: nothing is left of it, or a character is not in the charset.

    """
    spelled = normalise(text)
    if not spelled:
        raise ValueError(f"text: expected a plate's characters, got {text!r}")
    unknown = "".join(sorted({character for character in spelled if not charset.covers(character)}))
    if unknown:
        raise ValueError(f"text {text!r}: {unknown!r} is not in the charset")
    return spelled


def quad_fault(quad: Quad, width: int, height: int) -> str:
    """What is wrong with a quad in an image of `width`×`height` px; "" when nothing is."""
    shown = np.round(quad, 1).tolist()
    if not np.isfinite(quad).all() or quad_area(quad) < _LEAST_AREA_PX:
        return f"quad: expected corners around an area of at least {_LEAST_AREA_PX:g} px², got {shown}"
    if not cv2.isContourConvex(np.ascontiguousarray(quad, np.float32)):
        return f"quad: expected corners in their order around the plate, got {shown}"
    x0, y0, x1, y1 = quad_to_box(quad)
    inside = max(0.0, min(x1, width) - max(x0, 0.0)) * max(0.0, min(y1, height) - max(y0, 0.0))
    if inside < _LEAST_INSIDE * (x1 - x0) * (y1 - y0):
        return f"quad: expected a place in the image of {width}×{height} px, got {shown}"
    return ""


def charset_with(further: str) -> Charset:
    """The built-in charset and further characters (such as those of a country that it does not cover yet)."""
    spelled = normalise(further)
    return Charset(CHARACTERS + "".join(dict.fromkeys(c for c in spelled if c not in CHARACTERS)))
