from __future__ import annotations

import numpy as np

from openplate.page.pictures import cut, mark
from openplate.sources import read_image
from openplate.types import Detection, Plate, Reading

NOTHING = Reading("", 0.0, (), (), None, None, 1)


def plate(x: float, y: float, width: float, height: float) -> Plate:
    quad = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float32)
    return Plate("unreadable", None, "no text was found", Detection(quad, 0.9), NOTHING)


def test_a_large_picture_is_shown_smaller_and_a_small_plate_larger() -> None:
    image = np.full((1000, 2000, 3), 120, np.uint8)
    shown = read_image(mark(image, [plate(100, 100, 100, 20)]))[0].image
    crop = read_image(cut(image, plate(100, 100, 100, 20)))[0].image
    assert shown.shape == (800, 1600, 3)
    assert crop.shape[0] == 120
    assert crop.shape[1] > 4 * crop.shape[0]


def test_the_mark_lies_on_the_plate() -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    shown = read_image(mark(image, [plate(100, 80, 120, 40)]))[0].image
    ys, xs = np.nonzero(shown.max(axis=2) > 100)
    assert abs(int(xs.min()) - 100) <= 4
    assert abs(int(xs.max()) - 220) <= 4
    assert abs(int(ys.max()) - 120) <= 4
