import random

import cv2
import numpy as np
import pytest

from openplate.geometry import box_to_quad
from openplate.synthesize import backdrops
from openplate.synthesize.backdrops import cover, draw_street, is_open_road, light_of, photo_backdrop
from openplate.synthesize.faces import Camera
from openplate.synthesize.photos import Photo

CAMERA = Camera(192, 108, focal_px=190, height_m=1.5, pitch=0.02)


def photo(image: np.ndarray, *boxes: tuple[float, float, float, float]) -> Photo:
    quads = tuple(box_to_quad(*box) for box in boxes)
    return Photo(image, quads, tuple(True for _ in quads), tuple(None for _ in quads))


def test_street_has_the_picture_s_size_with_its_margin_and_the_same_seed_draws_it_again() -> None:
    first, again, other = (draw_street(CAMERA, 8, (-1.6, 1.6), 3.2, random.Random(seed))[0] for seed in (1, 1, 2))
    assert first.shape == (108 + 16, 192 + 16, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_signs_are_where_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a street and the same one without its signs nothing differs but what lies in their quads."""
    boards, found = backdrops._boards, 0
    for seed in range(6):
        image, signs = draw_street(CAMERA, 8, (-1.6, 1.6), 3.2, random.Random(seed))
        with monkeypatch.context() as patch:
            patch.setattr(backdrops, "_boards", lambda *given: boards(*given)[:0])
            bare, none = draw_street(CAMERA, 8, (-1.6, 1.6), 3.2, random.Random(seed))
        inside = np.zeros(image.shape[:2], np.uint8)
        for sign in signs:
            cv2.fillConvexPoly(inside, np.round(sign).astype(np.int32), 255)
        changed = np.abs(image.astype(int) - bare).max(axis=2) > 8
        assert none == () and not changed[cv2.dilate(inside, np.ones((5, 5), np.uint8)) == 0].any()
        found += bool(changed.any())
    assert found >= 2


def test_sky_is_above_the_horizon_and_the_road_below() -> None:
    """Over the middle of the street there is sky, and right before the camera asphalt, which is darker."""
    for seed in (3, 4):
        image, _ = draw_street(CAMERA, 0, (-1.6, 1.6), 3.2, random.Random(seed))
        assert np.percentile(image[:10, 60:132], 80) > np.median(image[100:, 80:112]) + 30


@pytest.mark.parametrize(("width", "height", "factor"), [(100, 50, 1.0), (50, 100, 1.0), (40, 40, 1.5), (300, 10, 1.0)])
def test_cover_is_just_large_enough(width: int, height: int, factor: float) -> None:
    image = cover(np.zeros((60, 80, 3), np.uint8), width, height, factor)
    assert image.shape[1] >= factor * width and image.shape[0] >= factor * height
    assert min(image.shape[1] - factor * width, image.shape[0] - factor * height) < 2


def test_backdrop_of_a_photo_has_no_plate_any_more() -> None:
    image = np.full((108, 192, 3), 80, np.uint8)
    image[60:70, 90:130] = 255
    backdrop = photo_backdrop(photo(image, (90, 60, 130, 70)), CAMERA, 8, random.Random(1))
    assert backdrop.shape == (124, 208, 3)
    assert backdrop.max() < 120


def test_photo_with_small_plates_is_an_open_road() -> None:
    image = np.zeros((540, 960, 3), np.uint8)
    assert is_open_road(photo(image))
    assert is_open_road(photo(image, (10, 10, 60, 20)))  # 50 of 960 px
    assert not is_open_road(photo(image, (10, 10, 60, 20), (100, 100, 180, 116)))


def test_light_is_that_of_the_lower_half() -> None:
    image = np.full((100, 100, 3), 250, np.uint8)
    image[50:] = (100, 50, 25)
    assert light_of(photo(image)).tolist() == pytest.approx([0.9, 0.5, 0.3])  # 0.8 × (1, 0.5, 0.25) + 0.1
