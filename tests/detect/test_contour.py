import cv2
import numpy as np
import pytest

from openplate.detect.contour import find_corners, fit_quad, order_corners, plate_score
from openplate.geometry import box_to_quad, quad_to_box
from openplate.types import Image, Quad

UPRIGHT = box_to_quad(100, 80, 260, 120)
TILTED = np.array([[100, 100], [258, 72], [266, 112], [106, 142]], np.float32)
SLANTED = np.array([[104, 80], [254, 84], [257, 126], [99, 120]], np.float32)


def picture(quad: Quad, plate: int, around: int) -> Image:
    """A plain plate on a plain car, with dark characters."""
    image = np.full((220, 360, 3), around, np.uint8)
    cv2.fillConvexPoly(image, np.round(quad * 16).astype(np.int32) - 8, (plate, plate, plate), cv2.LINE_AA, 4)
    for i in range(7):
        share = (i + 0.9) / 8
        top, bottom = (quad[a] + share * (quad[b] - quad[a]) for a, b in ((0, 1), (3, 2)))
        first, last = top + 0.25 * (bottom - top), top + 0.75 * (bottom - top)
        ink = 255 - plate if abs(plate - 128) > 40 else 0
        cv2.line(image, first.astype(int).tolist(), last.astype(int).tolist(), (ink, ink, ink), 4, cv2.LINE_AA)
    return image


@pytest.mark.parametrize("quad", [UPRIGHT, TILTED, SLANTED], ids=["upright", "tilted", "slanted"])
@pytest.mark.parametrize(("plate", "around"), [(230, 60), (20, 150)], ids=["bright", "dark"])
def test_corners_are_found_within_a_twentieth_of_the_height(quad: Quad, plate: int, around: int) -> None:
    found = find_corners(picture(quad, plate, around), quad_to_box(quad))
    assert found is not None
    assert np.abs(found - quad).max() < 2


def test_box_that_is_off_by_a_twentieth_still_leads_to_the_corners() -> None:
    x0, y0, x1, y1 = quad_to_box(TILTED)
    found = find_corners(picture(TILTED, 230, 60), (x0 - 7, y0 + 7, x1 + 6, y1 + 6))
    assert found is not None
    assert np.abs(found - TILTED).max() < 2


def test_small_and_large_plates_are_measured_alike() -> None:
    for scale in (0.4, 3.0):
        large = np.asarray(TILTED * scale, np.float32)
        image = cv2.resize(picture(TILTED, 230, 60), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = find_corners(np.asarray(image, np.uint8), quad_to_box(large))
        assert found is not None
        assert np.abs(found - large).max() < 2 * max(1.0, scale)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.full((220, 360, 3), 128, np.uint8), id="nothing there"),
        pytest.param(np.random.default_rng(0).integers(0, 256, (220, 360, 3), dtype=np.uint8), id="noise"),
        pytest.param(np.repeat(np.linspace(0, 255, 360, dtype=np.uint8)[None, :, None], 220, axis=0).repeat(3, axis=2), id="a slope of grey"),
    ],
)
def test_no_plate_gives_no_corners(image: Image) -> None:
    assert find_corners(image, quad_to_box(UPRIGHT)) is None


def test_round_lamp_is_no_plate() -> None:
    image = np.full((220, 360, 3), 60, np.uint8)
    cv2.ellipse(image, (180, 100), (80, 20), 0, 0, 360, (230, 230, 230), -1)
    assert find_corners(image, quad_to_box(UPRIGHT)) is None


def test_white_plate_on_a_white_car_keeps_its_box() -> None:
    assert find_corners(picture(UPRIGHT, 230, 231), quad_to_box(UPRIGHT)) is None


def test_plate_much_smaller_than_the_box_is_not_believed() -> None:
    assert find_corners(picture(UPRIGHT, 230, 60), (60, 40, 300, 160)) is None


@pytest.mark.parametrize("box", [(10, 10, 60, 16), (10, 10, 14, 60), (400, 300, 500, 340), (-80, -60, -10, -20)])
def test_tiny_box_and_box_outside_the_image_give_none(box: tuple[float, float, float, float]) -> None:
    assert find_corners(picture(UPRIGHT, 230, 60), box) is None


def test_plate_cut_by_the_border_gives_none() -> None:
    quad = np.asarray(UPRIGHT - np.array([130, 0]), np.float32)
    assert find_corners(picture(quad, 230, 60), quad_to_box(quad)) is None


def test_sides_are_fitted_to_the_outline_of_a_rectangle() -> None:
    outline = np.array([[x, y] for x in range(11) for y in (0, 6)] + [[x, y] for y in range(1, 6) for x in (0, 10)], np.int32)
    assert fit_quad(outline) == pytest.approx(np.array([[0, 0], [10, 0], [10, 6], [0, 6]], np.float32), abs=1e-3)


def test_outline_without_extent_has_no_sides() -> None:
    assert fit_quad(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.int32)) is None


def test_score_is_fit_times_overlap() -> None:
    outline = np.array([[0, 0], [100, 0], [100, 20], [0, 20]], np.int32)
    quad = box_to_quad(0, 0, 100, 20)
    assert plate_score(quad, outline, np.array([0, 0, 100, 20], np.float32)) == pytest.approx(1.0)
    assert plate_score(quad, outline, np.array([0, 0, 100, 25], np.float32)) == pytest.approx(0.8)
    assert plate_score(quad, outline, np.array([0, 0, 100, 40], np.float32)) == 0.0  # ends half way down
    assert plate_score(quad, outline, np.array([-8, 0, 100, 20], np.float32)) == 0.0  # leaves out a band at its end
    assert plate_score(box_to_quad(0, 0, 100, 10), outline, np.array([0, 0, 100, 10], np.float32)) == 0.0  # half of the outline
    assert plate_score(box_to_quad(0, 0, 20, 100), outline, np.array([0, 0, 20, 100], np.float32)) == 0.0  # upended
    askew = np.array([[0, 0], [100, 0], [92, 20], [0, 20]], np.float32)  # one end leans by 22°
    assert plate_score(askew, np.array(askew, np.int32), np.array([0, 0, 100, 20], np.float32)) == 0.0
    crossed = np.array([[0, 0], [100, 0], [0, 20], [100, 20]], np.float32)
    assert plate_score(crossed, outline, np.array([0, 0, 100, 20], np.float32)) == 0.0


@pytest.mark.parametrize("quad", [UPRIGHT, TILTED, SLANTED], ids=["upright", "tilted", "slanted"])
def test_corners_in_any_order_are_put_in_order(quad: Quad) -> None:
    for order in ([0, 1, 2, 3], [2, 0, 3, 1], [3, 2, 1, 0], [1, 3, 0, 2]):
        assert order_corners(quad[order]).tolist() == quad.tolist()
