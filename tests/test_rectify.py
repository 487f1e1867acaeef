import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openplate.geometry import as_quad, box_to_quad
from openplate.rectify import CROP_HEIGHT, CROP_WIDTH, MARGIN_X, MARGIN_Y, rectify

NO_MARGIN = (0.0, 0.0)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (120, 300), dtype=np.uint8)


def test_plate_of_the_crops_size_is_copied_pixel_by_pixel(noise: np.ndarray) -> None:
    crop = rectify(noise, box_to_quad(40, 30, 40 + CROP_WIDTH, 30 + CROP_HEIGHT), margin=NO_MARGIN)
    assert crop.shape == (48, 192)
    assert crop.dtype == np.uint8
    assert np.array_equal(crop, noise[30:78, 40:232])


def test_margins_are_fractions_of_the_plate(noise: np.ndarray) -> None:
    # 100 × 40 px with 0.1 and 0.25: 10 px on each side, 10 px above and below
    crop = rectify(noise, box_to_quad(50, 40, 150, 80), height=60, width=120, margin=(0.1, 0.25))
    assert np.array_equal(crop, noise[30:90, 40:160])


def test_margins_of_training_and_reading_are_the_default(noise: np.ndarray) -> None:
    quad = box_to_quad(50, 40, 150, 80)
    assert np.array_equal(rectify(noise, quad), rectify(noise, quad, 48, 192, (MARGIN_X, MARGIN_Y)))
    assert not np.array_equal(rectify(noise, quad), rectify(noise, quad, margin=NO_MARGIN))


def test_colour_is_turned_into_grey_by_the_weights_of_rgb() -> None:
    image = np.zeros((60, 200, 3), np.uint8)
    image[..., 0] = 100  # red: 0.299 × 100
    assert np.unique(rectify(image, box_to_quad(4, 4, 196, 52))).tolist() == [30]
    image = image[..., ::-1]  # blue: 0.114 × 100
    assert np.unique(rectify(image, box_to_quad(4, 4, 196, 52))).tolist() == [11]


def test_large_plate_is_averaged_and_does_not_alias() -> None:
    # One column of four is 200: every crop pixel covers one such column, wherever it looks.
    stripes = np.zeros((4 * CROP_HEIGHT, 4 * CROP_WIDTH), np.uint8)
    stripes[:, 1::4] = 200
    crop = rectify(stripes, box_to_quad(0, 0, 4 * CROP_WIDTH, 4 * CROP_HEIGHT), margin=NO_MARGIN)
    assert np.unique(crop).tolist() == [50]


def test_upside_down_plate_comes_out_upright(noise: np.ndarray) -> None:
    turned = np.ascontiguousarray(noise[::-1, ::-1])
    quad = as_quad([[260, 90], [68, 90], [68, 42], [260, 42]])  # TL of the plate lies at the lower right
    assert np.array_equal(rectify(turned, quad, margin=NO_MARGIN), rectify(noise, box_to_quad(40, 30, 232, 78), margin=NO_MARGIN))


def test_plate_on_its_side_is_turned(noise: np.ndarray) -> None:
    tall = np.ascontiguousarray(np.rot90(noise, -1))  # clockwise: the plate's top is at the right now
    # (x, y) of the upright picture lies at (120 - y, x)
    quad = as_quad([[90, 40], [90, 232], [42, 232], [42, 40]])
    assert np.array_equal(rectify(tall, quad, margin=NO_MARGIN), noise[30:78, 40:232])


def test_plate_seen_in_perspective_is_flattened() -> None:
    board = np.zeros((48, 192), np.uint8)
    board[:, 96:] = 200
    board[24:] += 50
    seen = as_quad([[30, 20], [250, 40], [240, 90], [40, 110]])
    flat = np.array([[0, 0], [192, 0], [192, 48], [0, 48]], np.float32)
    photo = cv2.warpPerspective(board, cv2.getPerspectiveTransform(flat - 0.5, seen - 0.5), (300, 130), flags=cv2.INTER_LINEAR)
    crop = rectify(np.asarray(photo, np.uint8), seen, margin=NO_MARGIN)
    centres = [int(crop[12, 48]), int(crop[12, 144]), int(crop[36, 48]), int(crop[36, 144])]
    assert centres == [0, 200, 50, 250]
    assert np.abs(crop.astype(int) - board).mean() < 3


def test_outside_the_image_its_border_is_repeated() -> None:
    image = np.full((48, 100), 10, np.uint8)
    image[:, -1] = 90
    crop = rectify(image, box_to_quad(0, 0, 192, 48), margin=NO_MARGIN)
    assert np.unique(crop[:, :99]).tolist() == [10]
    assert np.unique(crop[:, 99:]).tolist() == [90]


@pytest.mark.parametrize("box", [(-500, -500, -400, -450), (1000, 1000, 1100, 1040), (0, 0, 1, 1), (5, 5, 5, 20)])
def test_quad_beside_the_image_or_without_area_still_gives_a_crop(noise: np.ndarray, box: tuple[float, float, float, float]) -> None:
    assert rectify(noise, box_to_quad(*box)).shape == (48, 192)


def test_image_of_one_pixel_gives_its_grey() -> None:
    assert np.unique(rectify(np.full((1, 1, 3), 77, np.uint8), box_to_quad(0, 0, 1, 1))).tolist() == [77]


def test_strided_view_reads_as_its_copy(noise: np.ndarray) -> None:
    view = noise[:, ::2]
    quad = box_to_quad(20, 20, 130, 60)
    assert np.array_equal(rectify(view, quad), rectify(np.ascontiguousarray(view), quad))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 30), st.integers(0, 30))
def test_what_lies_around_the_plate_does_not_change_its_crop(left: int, top: int, right: int, bottom: int) -> None:
    plate = np.random.default_rng(1).integers(0, 256, (30, 110), dtype=np.uint8)
    photo = np.pad(plate, ((top, bottom), (left, right)))
    quad = as_quad([[12, 8], [98, 6], [96, 24], [14, 22]])
    moved = rectify(photo, quad + np.array([left, top], np.float32))
    assert np.abs(moved.astype(int) - rectify(plate, quad)).max() <= 1
