"""What several tests of drawing need: fonts that are there or not, and a picture whose corners can be told apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from openplate.formats import load_formats
from openplate.formats.model import PlateType
from openplate.synthesize import glyphs
from openplate.synthesize.plates import drawable

LEVELS = (90, 140, 190, 240)
"""Grey of the quarters TL TR BR BL of `quartered`."""


def quartered(width: int, height: int, margin: int = 0) -> NDArray[np.uint8]:
    """A grey picture of four plain quarters, with a black margin."""
    picture = np.zeros((height + 2 * margin, width + 2 * margin), np.uint8)
    x, y, mid_x, mid_y = margin, margin, margin + width // 2, margin + height // 2
    picture[y:mid_y, x:mid_x] = LEVELS[0]
    picture[y:mid_y, mid_x : x + width] = LEVELS[1]
    picture[mid_y : y + height, mid_x : x + width] = LEVELS[2]
    picture[mid_y : y + height, x:mid_x] = LEVELS[3]
    return picture


def scaled(quad: NDArray[np.float32], factor: float) -> list[tuple[int, int]]:
    """The corners of a quad, pulled to its centre (factor below 1) or pushed off it, as the pixels (x, y) that they lie in."""
    centre = quad.mean(axis=0)
    return [(int(x), int(y)) for x, y in np.floor(centre + (quad - centre) * factor)]


def drawable_types() -> list[PlateType]:
    """The types that can be drawn with this machine's fonts."""
    return [plate_type for entry in drawable(load_formats()) for plate_type in entry.types]


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without any font."""
    monkeypatch.setattr(glyphs, "_installed", dict)
    glyphs.chinese_fonts.cache_clear()
    glyphs.latin_fonts.cache_clear()
    yield
    glyphs.chinese_fonts.cache_clear()
    glyphs.latin_fonts.cache_clear()
