import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.track.stir import Stir

STREET = np.full((180, 320, 3), 100, np.uint8)
"""Cells are 80×80 px: 4 in a row, and in the third row what is left."""


def with_box(x0: int, y0: int, x1: int, y1: int, level: int = 200) -> NDArray[np.uint8]:
    image = STREET.copy()
    image[y0:y1, x0:x1] = level
    return image


def stirred(*images: NDArray[np.uint8], step_s: float = 0.04) -> Stir:
    """What is known of the last image when the detector has seen the first."""
    stir = Stir()
    for number, image in enumerate(images):
        stir.add(image, number * step_s)
        if number == 0:
            stir.clear()
    return stir


def test_first_frame_is_something_to_look_at() -> None:
    stir = Stir()
    stir.add(STREET, 0.0)
    assert stir.something


def test_nothing_stirs_in_a_picture_that_stays() -> None:
    assert not stirred(STREET, STREET).something


def test_ten_of_a_hundred_pixels_of_a_cell_are_something_and_nine_are_not() -> None:
    """Every eighth pixel counts: a box of 8 px a side is one, one of 80×8 px is a row of ten."""
    assert stirred(STREET, with_box(0, 0, 80, 8)).something
    assert not stirred(STREET, with_box(0, 0, 72, 8)).something


def test_change_of_24_levels_is_none_and_of_25_is_one() -> None:
    assert not stirred(STREET, with_box(0, 0, 80, 80, 124)).something
    assert stirred(STREET, with_box(0, 0, 80, 80, 125)).something


def test_part_of_a_cell_at_the_edge_counts_as_of_a_whole_one() -> None:
    """The third row of cells has 20 px: 3 rows of compared pixels, of which one whole row is ten."""
    assert stirred(STREET, with_box(80, 168, 160, 180)).something


def test_two_cells_that_stir_where_nothing_did_are_new() -> None:
    stir = stirred(STREET, with_box(0, 0, 160, 80))
    assert stir.something and stir.something_new


def test_one_cell_alone_is_not_new() -> None:
    stir = stirred(STREET, with_box(0, 0, 80, 80))
    assert stir.something and not stir.something_new


def test_what_stirs_beside_what_stirred_lately_is_not_new() -> None:
    """Two cells stir, then the two to their right."""
    stir = Stir()
    for number, image in enumerate((STREET, with_box(0, 0, 80, 160), STREET, with_box(80, 0, 160, 160))):
        stir.clear()
        stir.add(image, 0.04 * number)
    assert stir.something and not stir.something_new


def test_grey_frames_stir_as_coloured_ones_do() -> None:
    grey = [np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8) for image in (STREET, with_box(0, 0, 160, 80))]
    assert stirred(*grey).something_new


def test_frame_of_another_size_is_something() -> None:
    assert stirred(STREET, STREET[:100]).something
