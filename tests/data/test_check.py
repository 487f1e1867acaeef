import numpy as np
import pytest

from openplate.charset import Charset
from openplate.data.check import charset_with, quad_fault, sound_plate, sound_text
from openplate.data.rows import Mark, Points, box_points


def plate(mark: Mark):  # type: ignore[no-untyped-def]
    return sound_plate(mark, 200, 100, "XX", Charset())


def test_text_comes_out_in_the_project_s_spelling() -> None:
    assert sound_text(" а123вс 77", Charset()) == "A123BC77"
    assert sound_text("2914 KC-7", Charset()) == "2914KC7"


@pytest.mark.parametrize(
    ("text", "message"), [("", "expected a plate's characters"), (" - ", "expected a plate's characters"), ("AЩ1Щ", "'Щ' is not in")]
)
def test_text_of_nothing_or_of_unknown_characters_gives_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sound_text(text, Charset())


def test_further_characters_widen_the_charset() -> None:
    wide = charset_with("щA Щ")
    assert sound_text("aЩ1", wide) == "AЩ1"
    assert len(wide) == len(Charset()) + 1


def test_country_of_the_source_goes_before_the_one_given() -> None:
    assert plate(Mark("A1", "RU", None)).country == "RU"
    assert plate(Mark("A1", None, None)).country == "XX"
    with pytest.raises(ValueError, match="country's code"):
        plate(Mark("A1", "R\ud800", None))


def test_fractions_are_scaled_to_the_picture() -> None:
    found = plate(Mark(None, None, box_points(0.1, 0.2, 0.5, 0.4), fractions=True))
    assert found.quad.tolist() == [pytest.approx(corner) for corner in [(20, 20), (100, 20), (100, 40), (20, 40)]]


def test_ordered_corners_stay_and_others_are_put_in_order() -> None:
    turned: Points = ((100, 40), (20, 40), (20, 20), (100, 20))
    assert plate(Mark(None, None, turned, ordered=True)).quad.tolist() == [list(corner) for corner in turned]
    assert plate(Mark(None, None, turned)).quad.tolist() == [[20, 20], [100, 20], [100, 40], [20, 40]]


@pytest.mark.parametrize(
    ("situation", "corners", "message"),
    [
        ("inside", [(10, 10), (90, 10), (90, 30), (10, 30)], ""),
        ("half of it over the edge", [(150, 10), (250, 10), (250, 30), (150, 30)], ""),
        ("more than half over the edge", [(151, 10), (251, 10), (251, 30), (151, 30)], "a place in the image of 200×100 px"),
        ("beside the image", [(300, 10), (400, 10), (400, 30), (300, 30)], "a place in the image of 200×100 px"),
        ("as good as nothing", [(10, 10), (12, 10), (12, 11.9), (10, 11.9)], "an area of at least 4 px²"),
        ("crossed", [(10, 10), (90, 30), (90, 10), (10, 40)], "in their order around the plate"),
    ],
)
def test_quad_is_checked_against_the_image(situation: str, corners: list[tuple[float, float]], message: str) -> None:
    fault = quad_fault(np.array(corners, np.float32), 200, 100)
    assert message in fault, situation
    assert bool(fault) == bool(message), situation
