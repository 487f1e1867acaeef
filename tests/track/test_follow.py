import cv2
import numpy as np
import pytest

from openplate.geometry import box_to_quad, quad_size
from openplate.track.follow import Grey, distance, follow, inside, likeness, patch

QUAD = box_to_quad(100, 60, 180, 80)
STILL = np.zeros(2, np.float32)


@pytest.fixture(scope="module")
def street() -> Grey:
    rough = np.random.default_rng(3).integers(0, 256, (40, 60), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (300, 200), interpolation=cv2.INTER_CUBIC), np.uint8)


def moved(street: Grey, matrix: list[list[float]]) -> Grey:
    return np.asarray(cv2.warpAffine(street, np.array(matrix, np.float32), (300, 200), borderMode=cv2.BORDER_REFLECT), np.uint8)


def test_picture_that_shifts_takes_the_quad_along(street: Grey) -> None:
    found = follow(street, moved(street, [[1, 0, 7], [0, 1, -3]]), QUAD, STILL)
    assert found is not None
    assert found.shift == pytest.approx([7, -3], abs=0.1)
    assert np.abs(found.quad - (QUAD + [7, -3])).max() < 0.3


def test_long_way_is_found_where_it_is_expected(street: Grey) -> None:
    found = follow(street, moved(street, [[1, 0, 70], [0, 1, 0]]), QUAD, np.array([66, 0], np.float32))
    assert found is not None
    assert found.shift == pytest.approx([70, 0], abs=0.2)


def test_picture_that_grows_about_the_plate_makes_the_quad_grow(street: Grey) -> None:
    """By a tenth about the quad's middle (140, 70): x' = 1.1 x - 14, y' = 1.1 y - 7."""
    found = follow(street, moved(street, [[1.1, 0, -14], [0, 1.1, -7]]), QUAD, STILL)
    assert found is not None
    assert quad_size(found.quad) == pytest.approx((88, 22), rel=0.02)


def test_plate_without_texture_is_not_followed() -> None:
    flat = np.full((200, 300), 90, np.uint8)
    assert follow(flat, flat, QUAD, STILL) is None


def test_picture_that_is_another_one_is_not_followed(street: Grey) -> None:
    other = np.asarray(np.random.default_rng(9).integers(0, 256, street.shape), np.uint8)
    assert follow(street, other, QUAD, STILL) is None


def test_patch_is_like_itself_in_other_light_and_not_like_its_negative(street: Grey) -> None:
    seen = patch(street, QUAD)
    assert likeness(seen, patch(np.asarray(street // 2 + 40, np.uint8), QUAD)) > 0.99
    assert likeness(seen, patch(255 - street, QUAD)) == pytest.approx(-1, abs=0.01)


def test_distance_is_in_mean_plate_sizes() -> None:
    """80×20 px have the size 40: 20 px are half of it."""
    assert distance(QUAD, QUAD + np.float32([20, 0])) == pytest.approx(0.5)


@pytest.mark.parametrize(("left", "whole"), [(0, True), (-2, True), (-5, False), (221, True), (225, False)])
def test_quad_that_the_edge_cuts_is_not_inside(left: float, whole: bool) -> None:
    assert inside(box_to_quad(left, 60, left + 80, 80), 300, 200) is whole
