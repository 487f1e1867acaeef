import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openplate.errors import SourceError
from openplate.geometry import box_to_quad, quad_to_box
from openplate.synthesize.crops import Material
from openplate.synthesize.photos import Opened, Photo, TextCounts, count_texts, load_patches, load_photos, open_patches, open_photos, paint_over
from tests.conftest import label

LEANING = {"text": "а123вс77", "country": "RU", "quad": [[50, 40], [130, 42], [130, 60], [50, 58]]}


def test_every_fifth_image_is_held_out(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset(*[[label(f"A{i}")] for i in range(11)])
    kept = [photo.texts[0] for photo in load_photos([folder], held_out=True)]
    rest = [photo.texts[0] for photo in load_photos([folder], held_out=False)]
    assert kept == ["A0", "A5", "A10"]
    assert rest == ["A1", "A2", "A3", "A4", "A6", "A7", "A8", "A9"]


def test_patches_are_held_out_with_their_images(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset(*[[label(f"A{i}", None)] for i in range(7)])
    assert [patch.text for patch in load_patches([folder], held_out=True)] == ["A0", "A5"]
    assert [patch.text for patch in load_patches([folder], held_out=False)] == ["A1", "A2", "A3", "A4", "A6"]


def test_all_images_are_given_where_no_part_is_asked_for(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset(*[[label(f"A{i}", None)] for i in range(3)], [label("A3")])
    assert [patch.text for patch in load_patches([folder], held_out=None)] == ["A0", "A1", "A2"]
    assert [photo.texts for photo in load_photos([folder], held_out=None)] == [("A3",)]


def test_texts_too_long_or_of_separators_alone_are_no_patches(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([{**LEANING, "text": text} for text in ("A23456789012", "A234567890123", " - ", "A-234 567 890-12")])
    assert [patch.text for patch in load_patches([folder], held_out=True)] == ["A23456789012", "A23456789012"]


def test_texts_are_counted_by_why_they_are_left_out(make_dataset: Callable[..., Path]) -> None:
    texts = ("A1", "A?!", "A?", "A234567890123", "-", None)
    folder = make_dataset([label("A1"), *({**LEANING, "text": text, "country": "X"} for text in texts)], [label("A1", None)], [label("A2", None)])
    assert count_texts([folder], held_out=True) == TextCounts(used=1, outside=2, upright=1, long=1, characters="?!")
    assert count_texts([folder], held_out=False) == TextCounts(used=2, outside=0, upright=0, long=0, characters="")
    assert count_texts([folder], held_out=None).total == 7
    assert count_texts([folder], held_out=True, characters="A1?!") == TextCounts(used=3, outside=1, upright=1, long=0, characters="234567890")


def test_photo_is_shrunk_with_its_quads_and_crops_are_no_photos(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([label("A1"), LEANING], [label("A2", None)])
    (photo,) = load_photos([folder], held_out=True, longest_px=100)
    assert load_photos([folder], held_out=False) == []
    assert photo.image.shape == (50, 100, 3)
    assert quad_to_box(photo.quads[0]) == (25, 20, 65, 30)
    assert photo.upright == (True, False)


def test_patches_have_true_corners_and_known_characters(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([label("A1"), label(None, (0, 0, 9, 9)), {**LEANING, "text": "A1?"}, LEANING])
    (patch,) = load_patches([folder], held_out=True)
    assert patch.text == "A123BC77"  # Cyrillic look-alikes are spelt in Latin letters
    # A quarter of the width (80.02 px) and 0.6 of the height (18 px) around it: from 29 to 150 px across and from 29 to 70 px down.
    assert patch.quad.tolist() == [[21, 11], [101, 13], [101, 31], [21, 29]]
    assert patch.image.shape[:2] == (42, 122)
    assert patch.image[22, 60].tolist() == [255, 255, 255] and patch.image[2, 2].tolist() == [90, 90, 90]


def test_whole_image_is_a_patch_and_large_ones_are_shrunk(make_dataset: Callable[..., Path]) -> None:
    (patch,) = load_patches([make_dataset([label("A1", None)])], held_out=True, width_px=100)
    assert patch.image.shape == (50, 100, 3)
    assert quad_to_box(patch.quad) == (0, 0, 100, 50)


def test_painting_over_takes_the_plate_away_and_leaves_the_rest() -> None:
    image = np.full((200, 400, 3), 100, np.uint8)
    quad = box_to_quad(120, 80, 280, 120)
    image[80:120, 120:280] = 250
    image[88:112, 130:270:10] = 10
    before = image.copy()
    clean = paint_over(image, [quad], random.Random(0))
    assert np.array_equal(image, before)
    assert image[80:120, 120:280].std() > 50
    assert clean[80:120, 120:280].std() < 8
    assert abs(float(clean[80:120, 120:280].mean()) - 100) < 8
    outside = np.ones((200, 400), bool)
    outside[70:130, 100:300] = False
    assert np.array_equal(clean[outside], image[outside])


def test_painting_over_a_plate_at_the_edge_is_harmless() -> None:
    image = np.full((60, 80, 3), 100, np.uint8)
    for box in ((-30, -10, 30, 10), (70, 50, 130, 70), (300, 300, 360, 320)):
        assert paint_over(image, [box_to_quad(*box)], random.Random(0)).shape == (60, 80, 3)


def test_pictures_are_opened_when_asked_for_and_kept_as_far_as_there_is_room() -> None:
    opened: list[int] = []

    def load(number: int) -> Photo:
        opened.append(number)
        return Photo(np.full((10, 10, 3), number, np.uint8), (), (), ())

    photos = Opened(range(4), load, kept_bytes=650)  # two of 300 bytes
    assert (len(photos), opened) == (4, [])
    assert [photos[i].image[0, 0, 0] for i in (2, 0, 3, 2, 0, 3, -1)] == [2, 0, 3, 2, 0, 3, 3]
    assert opened == [2, 0, 3, 3, 3]
    assert [p.image[0, 0, 0] for p in photos[1:3]] == [1, 2]
    assert random.Random(1).choice(photos).image.shape == (10, 10, 3)
    with pytest.raises(IndexError):
        photos[4]


def test_broken_photo_is_named_when_it_is_asked_for(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset(*[[label(f"A{i}")] for i in range(3)])
    images = sorted((folder / "images").iterdir())
    images[2].write_bytes(b"no picture")
    photos = open_photos([folder], held_out=False)
    assert photos[0].texts == ("A1",)
    with pytest.raises(SourceError, match=images[2].name):
        photos[1]


def test_texts_of_patches_are_known_before_they_are_opened(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset(*[[label(text, None)] for text in ("A1", "B2", "A3")])
    for image in (folder / "images").iterdir():
        image.write_bytes(b"no picture")
    patches, texts = open_patches([folder], held_out=None)
    assert (len(patches), texts) == (3, ("A1", "B2", "A3"))
    assert Material(patches, (), texts).patch_weights() == pytest.approx([2**-0.75, 1, 2**-0.75])
