from __future__ import annotations

import cv2
import numpy as np
import pytest

from openplate.annotate import READ_COLOUR, UNREADABLE_COLOUR, annotate, blur_plates, cut_plate
from openplate.charset import CHARACTERS
from openplate.geometry import as_quad, box_to_quad
from openplate.types import Detection, Image, Plate, Quad, Reading

GREY = 90


def plate(quad: Quad, text: str = "A123BC77", confidence: float = 0.97, *, read: bool = True) -> Plate:
    reading = Reading(text, confidence, (), (), None, None, 1)
    return Plate("read" if read else "unreadable", text if read else None, None if read else "unsure", Detection(quad, 0.9), reading)


def blank(width: int = 640, height: int = 480) -> Image:
    return np.full((height, width, 3), GREY, np.uint8)


def box_of(image: Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The box (x0, y0, x1, y1) around the pixels of a colour, the last ones included."""
    ys, xs = np.nonzero((image == colour).all(axis=2))
    assert len(xs)
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())


def test_no_plate_gives_an_equal_copy() -> None:
    image = blank()
    marked = annotate(image, [])
    np.testing.assert_array_equal(marked, image)
    assert marked is not image


def test_annotating_leaves_the_argument_as_it_was() -> None:
    image = blank()
    annotate(image, [plate(box_to_quad(100, 100, 300, 150))])
    assert (image == GREY).all()


def test_quad_is_drawn_and_the_label_stands_above_it() -> None:
    marked = annotate(blank(), [plate(box_to_quad(100, 200, 300, 250))])
    assert marked[225, 100].tolist() == list(READ_COLOUR)
    assert marked[225, 200].tolist() == [GREY] * 3
    left, top, _, bottom = box_of(marked, READ_COLOUR)
    assert 98 <= left <= 101
    assert 160 <= top < 190
    assert 250 <= bottom <= 252


@pytest.mark.parametrize(("read", "colour", "other"), [(True, READ_COLOUR, UNREADABLE_COLOUR), (False, UNREADABLE_COLOUR, READ_COLOUR)])
def test_status_decides_the_colour(read: bool, colour: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    marked = annotate(blank(), [plate(box_to_quad(100, 200, 300, 250), read=read)])
    assert (marked == colour).all(axis=2).any()
    assert not (marked == other).all(axis=2).any()


@pytest.mark.parametrize(
    ("box", "width", "height"),
    [
        ((0, 0, 60, 20), 640, 480),
        ((600, 0, 640, 20), 640, 480),
        ((0, 460, 40, 480), 640, 480),
        ((600, 465, 640, 480), 640, 480),
        ((0, 0, 640, 480), 640, 480),
        ((0, 0, 40, 20), 40, 20),
        ((-50, -20, 700, 500), 640, 480),
    ],
)
def test_whole_label_stays_inside_the_image(box: tuple[int, int, int, int], width: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[tuple[tuple[int, int], tuple[int, int]]] = []
    texts: list[tuple[int, int, int, int]] = []
    rectangle, put_text = cv2.rectangle, cv2.putText

    def seen_rectangle(image: Image, first: tuple[int, int], last: tuple[int, int], *rest: object) -> object:
        labels.append((first, last))
        return rectangle(image, first, last, *rest)

    def seen_text(image: Image, text: str, origin: tuple[int, int], colour: object, font: cv2.FontFace, size: int, weight: int) -> object:
        texts.append(cv2.getTextSize((0, 0), text, origin, font, size, weight))
        return put_text(image, text, origin, colour, font, size, weight)

    monkeypatch.setattr(cv2, "rectangle", seen_rectangle)
    monkeypatch.setattr(cv2, "putText", seen_text)
    annotate(blank(width, height), [plate(box_to_quad(*box), "京A12345")])
    ((left, top), (right, bottom)) = labels[0]
    x, y, text_width, text_height = texts[0]
    assert 0 <= left <= right < width
    assert 0 <= top <= bottom < height
    assert left <= x
    assert x + text_width <= right + 1
    assert top <= y
    assert y + text_height <= bottom + 1


def test_image_too_small_for_a_label_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "putText", lambda *_: pytest.fail("drawn"))
    assert annotate(blank(8, 8), [plate(box_to_quad(0, 0, 8, 8))]).shape == (8, 8, 3)


def test_label_grows_with_the_image() -> None:
    small = box_of(annotate(blank(640, 480), [plate(box_to_quad(100, 200, 110, 205))]), READ_COLOUR)
    large = box_of(annotate(blank(2560, 1920), [plate(box_to_quad(400, 800, 440, 820))]), READ_COLOUR)
    assert 3.5 < (large[2] - large[0]) / (small[2] - small[0]) < 4.5


def test_labels_of_two_plates_at_one_place_do_not_cover_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[tuple[int, int, int, int]] = []
    rectangle = cv2.rectangle

    def seen(image: Image, first: tuple[int, int], last: tuple[int, int], *rest: object) -> object:
        labels.append((*first, *last))
        return rectangle(image, first, last, *rest)

    monkeypatch.setattr(cv2, "rectangle", seen)
    annotate(blank(), [plate(box_to_quad(100, 200, 300, 250)), plate(box_to_quad(105, 203, 305, 252))])
    first, second = labels
    assert first[3] < second[1] or second[3] < first[1]


def test_every_character_of_the_charset_has_its_own_glyph() -> None:
    font = cv2.FontFace("sans")
    missing = np.zeros((60, 60, 3), np.uint8)
    cv2.putText(missing, "?", (5, 45), (255, 255, 255), font, 40, 600)
    pictures = set()
    for character in CHARACTERS:
        glyph = np.zeros_like(missing)
        cv2.putText(glyph, character, (5, 45), (255, 255, 255), font, 40, 600)
        assert (glyph != missing).any(), character
        pictures.add(glyph.tobytes())
    assert len(pictures) == len(CHARACTERS)


def test_unreadable_plate_without_any_text_gets_a_question_mark_label() -> None:
    marked = annotate(blank(), [plate(box_to_quad(100, 200, 300, 250), "", 0.0, read=False)])
    assert box_of(marked, UNREADABLE_COLOUR)[1] < 190


def test_cut_plate_is_straight_and_has_its_own_size_with_a_margin() -> None:
    image = blank()
    quad = as_quad([[100, 100], [300, 140], [300, 190], [100, 150]])
    cv2.fillConvexPoly(image, np.round(quad).astype(np.int32), (250, 10, 10))
    crop = cut_plate(image, plate(quad))
    # sides 203.96 and 50 px, grown by 4 % and 10 % on each side
    assert crop.shape == (60, 220, 3)
    assert crop[30, 110].tolist() == [250, 10, 10]
    inside = crop[9:51, 14:206]
    assert (np.abs(inside.astype(int) - (250, 10, 10)) < 12).all()


def test_cut_plate_reaching_out_of_the_image_repeats_the_border() -> None:
    crop = cut_plate(blank(), plate(box_to_quad(-20, -10, 80, 20)))
    assert (crop == GREY).all()


def written(text: str) -> Image:
    image = blank()
    cv2.rectangle(image, (200, 200), (399, 249), (255, 255, 255), cv2.FILLED)
    cv2.putText(image, text, (205, 243), (0, 0, 0), cv2.FontFace("sans"), 34, 700)
    return image


def test_blurred_plate_keeps_no_strokes() -> None:
    image = written("A123BC77")
    blurred = blur_plates(image, [plate(box_to_quad(200, 200, 400, 250))])
    inside = blurred[200:250, 200:400].astype(int)
    assert np.abs(np.diff(inside, axis=1)).max() <= 3
    assert np.abs(np.diff(inside, axis=0)).max() <= 1
    assert np.abs(np.diff(image[200:250, 200:400].astype(int), axis=1)).max() > 200


def test_different_texts_blur_to_the_same_picture() -> None:
    quad = box_to_quad(200, 200, 400, 250)
    first, second, third = (blur_plates(written(text), [plate(quad)]) for text in ("A123BC77", "A128BC77", "E123PC77"))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)


def test_blur_covers_unreadable_plates_and_a_margin_and_nothing_else() -> None:
    image = np.random.default_rng(3).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    before = image.copy()
    blurred = blur_plates(image, [plate(box_to_quad(200, 200, 400, 250), read=False)])
    changed = (blurred != before).any(axis=2)
    ys, xs = np.nonzero(changed)
    # grown by 12 % of 200 px and 25 % of 50 px
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == pytest.approx((176, 424, 188, 262), abs=1)
    assert changed[195:255, 180:420].mean() > 0.98
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("box", [(-30, -10, 50, 20), (600, 470, 700, 500), (700, 500, 800, 540), (-90, -50, -60, -40)])
def test_plate_partly_or_wholly_outside_is_blurred_as_far_as_it_is_seen(box: tuple[int, int, int, int]) -> None:
    image = np.random.default_rng(3).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    blurred = blur_plates(image, [plate(box_to_quad(*box))])
    x0, y0, x1, y1 = np.clip(box, 0, (640, 480, 640, 480))
    region = blurred[y0:y1, x0:x1].astype(int)
    assert blurred.shape == image.shape
    assert region.size == 0 or np.abs(np.diff(region, axis=1)).max() <= 8


def test_slanted_plate_is_blurred_within_its_own_quad() -> None:
    image = np.random.default_rng(3).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    blurred = blur_plates(image, [plate(as_quad([[100, 100], [300, 300], [280, 340], [80, 140]]))])
    changed = (blurred != image).any(axis=2)
    assert changed[220, 190]
    assert not changed[110:150, 240:300].any()
