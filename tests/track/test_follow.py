import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from openplate.geometry import box_to_quad, quad_size
from openplate.track.follow import Followed, Grey, Picture, distance, follow, inside, likeness, look_around, patch, stands
from openplate.types import Quad

QUAD = box_to_quad(100, 60, 180, 80)
STILL = np.zeros(2, np.float32)


@pytest.fixture(scope="module")
def street() -> Grey:
    rough = np.random.default_rng(3).integers(0, 256, (40, 60), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (300, 200), interpolation=cv2.INTER_CUBIC), np.uint8)


def moved(street: Grey, matrix: list[list[float]]) -> Grey:
    return np.asarray(cv2.warpAffine(street, np.array(matrix, np.float32), (300, 200), borderMode=cv2.BORDER_REFLECT), np.uint8)


def followed(before: Picture, after: Picture, expected: NDArray[np.float32] = STILL) -> Followed | None:
    around = look_around(before, QUAD)
    assert around is not None
    return follow(around, after, expected)


def test_picture_that_shifts_takes_the_quad_along(street: Grey) -> None:
    found = followed(street, moved(street, [[1, 0, 7], [0, 1, -3]]))
    assert found is not None
    assert found.shift == pytest.approx([7, -3], abs=0.1)
    assert np.abs(found.quad - (QUAD + [7, -3])).max() < 0.3


def test_long_way_is_found_where_it_is_expected(street: Grey) -> None:
    found = followed(street, moved(street, [[1, 0, 70], [0, 1, 0]]), np.array([66, 0], np.float32))
    assert found is not None
    assert found.shift == pytest.approx([70, 0], abs=0.2)


def test_picture_that_grows_about_the_plate_makes_the_quad_grow(street: Grey) -> None:
    """By a tenth about the quad's middle (140, 70): x' = 1.1 x - 14, y' = 1.1 y - 7."""
    found = followed(street, moved(street, [[1.1, 0, -14], [0, 1.1, -7]]))
    assert found is not None
    assert quad_size(found.quad) == pytest.approx((88, 22), rel=0.02)


def test_plate_without_texture_is_not_followed() -> None:
    flat = np.full((200, 300), 90, np.uint8)
    assert followed(flat, flat) is None


def test_picture_that_is_another_one_is_not_followed(street: Grey) -> None:
    other = np.asarray(np.random.default_rng(9).integers(0, 256, street.shape), np.uint8)
    assert followed(street, other) is None


def test_picture_of_another_size_is_not_followed(street: Grey) -> None:
    assert followed(street, street[:150]) is None


def test_frame_in_colour_is_followed_as_in_grey(street: Grey) -> None:
    """Red, green and blue alike are that grey."""
    after = moved(street, [[1, 0, 7], [0, 1, -3]])
    in_grey, in_colour = followed(street, after), followed(cv2.merge([street] * 3), cv2.merge([after] * 3))
    assert in_grey is not None and in_colour is not None
    assert np.array_equal(in_grey.quad, in_colour.quad)


def test_plate_by_the_edge_is_followed_within_the_frame(street: Grey) -> None:
    """Nothing is left of x = 0: the window is the frame's corner."""
    around = look_around(street, box_to_quad(2, 2, 82, 22))
    assert around is not None
    assert (around.left, around.top, around.pixels.shape) == (0, 0, (22 + 32 + 20, 82 + 32 + 20))
    found = follow(around, moved(street, [[1, 0, 5], [0, 1, 4]]), STILL)
    assert found is not None
    assert found.shift == pytest.approx([5, 4], abs=0.2)


def test_quad_outside_the_frame_has_nothing_to_follow(street: Grey) -> None:
    assert look_around(street, box_to_quad(400, 60, 480, 80)) is None


@pytest.mark.parametrize(("shift", "still"), [((0, 0), True), ((0.05, 0), True), ((0.5, 0), False), ((0, 0.5), False), ((7, 0), False)])
def test_plate_stands_where_its_pixels_do_not_change(street: Grey, shift: tuple[float, float], still: bool) -> None:
    around = look_around(street, QUAD)
    assert around is not None
    assert stands(around, moved(street, [[1, 0, shift[0]], [0, 1, shift[1]]])) is still


def test_plate_stands_whatever_moves_beside_it(street: Grey) -> None:
    around, after = look_around(street, QUAD), street.copy()
    after[90:], after[:, :90] = 0, 255
    assert around is not None
    assert stands(around, after)


def test_flat_plate_does_not_tell_whether_it_stands() -> None:
    """No pixel differs from the next one: a picture that had moved would look the same."""
    flat = np.full((200, 300), 90, np.uint8)
    around = look_around(flat, QUAD)
    assert around is not None
    assert not stands(around, flat)


@pytest.mark.parametrize("quad", [QUAD, box_to_quad(-10, -10, 30, 5), box_to_quad(280, 190, 320, 210)])
def test_face_is_the_part_of_the_window_that_the_plate_is_in(street: Grey, quad: Quad) -> None:
    around = look_around(street, quad)
    assert around is not None
    x0, y0 = np.maximum(quad[0], 0).astype(int)
    face = street[y0 : int(quad[2, 1]) + 1, x0 : int(quad[2, 0]) + 1]
    assert np.array_equal(around.pixels[around.face], face)


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
