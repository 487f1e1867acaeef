"""Things that resemble plates and are none: they show, keep off plates, and are the same for a seed."""

import random

import numpy as np
import pytest

from openplate.geometry import box_to_quad
from openplate.synthesize import decoys
from openplate.synthesize.decoys import letter_around, scatter_decoys


def grey() -> np.ndarray:
    return np.full((200, 300, 3), 128, np.uint8)


def test_decoys_show_and_are_the_same_for_a_seed() -> None:
    first, second, other = grey(), grey(), grey()
    scatter_decoys(first, [], random.Random(1), 6)
    scatter_decoys(second, [], random.Random(1), 6)
    scatter_decoys(other, [], random.Random(2), 6)
    assert (first != 128).mean() > 0.01
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_plates_are_never_covered() -> None:
    for seed in range(40):
        image = grey()
        scatter_decoys(image, [box_to_quad(60, 50, 240, 150)], random.Random(seed), 8)
        assert (image[50:150, 60:240] == 128).all()


@pytest.mark.parametrize(
    "make", [decoys._badge, decoys._print, decoys._phone, decoys._line, decoys._windows, decoys._board, decoys._grille, decoys._lamp]
)
@pytest.mark.parametrize("wide", [8, 21, 250])
def test_every_kind_has_the_asked_width_and_is_not_empty(make: "decoys.Maker", wide: int) -> None:
    for seed in range(10):
        picture, alpha = make(wide, random.Random(seed))
        assert picture.shape == (*alpha.shape, 3)
        assert wide <= alpha.shape[1] <= wide + 4  # a printed line has a margin of 2 px
        assert 0.05 < alpha.max() <= 1.0


def test_lettering_stands_around_the_plate_and_off_others() -> None:
    plate, other = box_to_quad(120, 90, 200, 110), box_to_quad(100, 30, 220, 60)
    drawn, near = 0, 0
    for seed in range(40):
        image = grey()
        letter_around(image, plate, [other], random.Random(seed))
        assert (image[30:60, 100:220] == 128).all()
        drawn += bool((image != 128).any())
        near += bool((image[70:130, 80:240] != 128).any())
    assert drawn > 25
    assert near > 0.7 * drawn


def test_lettering_is_the_same_for_a_seed_and_none_around_a_plate_outside() -> None:
    first, second, outside = grey(), grey(), grey()
    letter_around(first, box_to_quad(120, 90, 200, 110), [], random.Random(3))
    letter_around(second, box_to_quad(120, 90, 200, 110), [], random.Random(3))
    letter_around(outside, box_to_quad(900, 900, 980, 920), [], random.Random(3))
    assert np.array_equal(first, second)
    assert (outside == 128).all()
