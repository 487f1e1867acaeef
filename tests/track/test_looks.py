import numpy as np
import pytest

from openplate.geometry import box_to_quad
from openplate.read.decode import NOTHING
from openplate.track.looks import ALIKE, PlateLook, agreeing, correlations, evidence, fuse, keep, look_weight, sharpness
from tests.track.scenes import Film, view

DECODER = Film(lambda n: []).decoder


def look(says: object = "A123BC77", frame: int = 0, x: float = 100.0, weight: float = 0.5) -> PlateLook:
    """A look at a plate of 80×20 px."""
    texts = DECODER.look(view(says))  # type: ignore[arg-type]
    quad = box_to_quad(x - 40, 90, x + 40, 110)
    return PlateLook(frame, frame / 25, quad, 0.9, 80.0, 20.0, 0.05, weight, texts, DECODER.fuse([texts]), None, None)


def test_two_looks_in_one_place_are_one_look() -> None:
    assert evidence([look(), look()]) == pytest.approx(1.0)


def test_two_looks_far_apart_are_worth_as_much_as_they_differ() -> None:
    """2 equal looks with correlation r are worth 2 / (1 + r)."""
    assert evidence([look(), look(x=1000)]) == pytest.approx(2 / (1 + ALIKE), abs=1e-6)


def test_correlation_falls_with_the_distance_in_plate_heights() -> None:
    """20 px are one plate height."""
    alike = correlations([look(), look(x=120)])
    assert alike[0, 0] == 1
    assert alike[0, 1] == pytest.approx(ALIKE + (1 - ALIKE) * np.exp(-1))


def test_looks_without_text_do_not_drown_the_others() -> None:
    assert fuse(DECODER, [look(), look(""), look(""), look("")]).text == "A123BC77"
    assert fuse(DECODER, [look(""), look("")]) == NOTHING


def test_clear_look_outweighs_poor_ones_that_disagree() -> None:
    poor = [look([{"B": 0.9, "A": 0.1}, *"123BC77"], weight=0.2) for _ in range(3)]
    clear = look([{"A": 0.9, "B": 0.1}, *"123BC77"], weight=0.9)
    assert fuse(DECODER, [*poor, clear]).text == "A123BC77"


def test_agreeing_looks_are_those_that_know_the_text() -> None:
    knows, rather, never = look(), look([{"A": 0.3, "B": 0.7}, *"123BC77"]), look("K999KK77")
    assert agreeing(DECODER, [knows, rather, never], "A123BC77") == [knows, rather]


def test_looks_that_are_kept_are_the_weightiest_of_different_places() -> None:
    """Of two looks in one place the lighter one goes, though a third one elsewhere is lighter still."""
    best, again, elsewhere = look(weight=0.8), look(weight=0.7), look(x=500, weight=0.5)
    assert keep([best, again, elsewhere], 2) == [best, elsewhere]
    assert keep([best, again], 2) == [best, again]


def test_blur_and_smallness_make_a_look_less_telling() -> None:
    stripes = np.zeros((48, 192), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = 255
    soft = np.repeat(np.linspace(0, 255, 192)[None], 48, axis=0).astype(np.uint8)
    assert sharpness(stripes) > 10 * sharpness(soft)
    large, small = box_to_quad(0, 0, 120, 30), box_to_quad(0, 0, 60, 15)
    weights = [look_weight(large, 0.1), look_weight(large, 0.02), look_weight(small, 0.1)]
    assert weights[0] > weights[1]
    assert weights[0] > weights[2]


def test_weight_is_the_logistic_function_of_sharpness_and_height() -> None:
    """Height 1 px and sharpness 1: both logarithms are 0, sigmoid(2) is left."""
    assert look_weight(box_to_quad(0, 0, 4, 1), 1.0) == pytest.approx(0.8808, abs=1e-4)
