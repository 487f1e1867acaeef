import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openplate.geometry import as_quad, box_iou, box_to_quad, grow_quad, quad_area, quad_iou, quad_size, quad_to_box
from openplate.types import Quad

SQUARE = box_to_quad(0, 0, 10, 10)
DIAMOND = as_quad([[5, 0], [10, 5], [5, 10], [0, 5]])
TRAPEZIUM = as_quad([[0, 0], [100, 10], [100, 30], [0, 40]])


def test_four_pairs_become_float32() -> None:
    quad = as_quad([(0, 0), (4, 0), (4, 2), (0, 2)])
    assert quad.dtype == np.float32
    assert quad.tolist() == [[0, 0], [4, 0], [4, 2], [0, 2]]


@pytest.mark.parametrize(
    "points",
    [
        [(0, 0), (4, 0), (4, 2)],
        [0, 0, 4, 0, 4, 2, 0, 2],
        [(0, 0, 1)] * 4,
        [(0, 0), (4, 0), (4, math.nan), (0, 2)],
        [(0, 0), (math.inf, 0), (4, 2), (0, 2)],
    ],
    ids=["three corners", "flat list", "three axes", "nan", "infinite"],
)
def test_what_is_no_four_corners_is_refused(points: list[object]) -> None:
    with pytest.raises(ValueError, match="expected four finite"):
        as_quad(points)


def test_box_gives_its_corners_clockwise_from_top_left_and_comes_back() -> None:
    quad = box_to_quad(1, 2, 5, 8)
    assert quad.tolist() == [[1, 2], [5, 2], [5, 8], [1, 8]]
    assert quad_to_box(quad) == (1, 2, 5, 8)


def test_box_around_a_slanted_quad_touches_its_outermost_corners() -> None:
    assert quad_to_box(as_quad([[3, 1], [9, 2], [8, 7], [2, 6]])) == (2, 1, 9, 7)


def test_size_is_the_mean_of_opposite_sides() -> None:
    # top and bottom √(100² + 10²), left 40, right 20
    assert quad_size(TRAPEZIUM) == pytest.approx((math.hypot(100, 10), 30))


def test_size_of_a_plate_on_its_side_follows_the_text() -> None:
    assert quad_size(as_quad([[10, 0], [10, 50], [0, 50], [0, 0]])) == (50, 10)


@pytest.mark.parametrize(("quad", "area"), [(SQUARE, 100), (SQUARE[::-1], 100), (DIAMOND, 50), (TRAPEZIUM, 3000), (box_to_quad(3, 3, 3, 9), 0)])
def test_area_by_hand(quad: Quad, area: float) -> None:
    assert quad_area(quad) == area


def test_rectangle_grows_by_fractions_of_its_own_sides() -> None:
    assert grow_quad(box_to_quad(10, 20, 110, 40), 0.1, 0.5) == pytest.approx(box_to_quad(0, 10, 120, 50), abs=1e-3)


def test_plate_on_its_side_grows_along_its_text() -> None:
    # 50 px of text downwards, 10 px high to the left
    grown = grow_quad(as_quad([[10, 0], [10, 50], [0, 50], [0, 0]]), 0.1, 0.0)
    assert grown == pytest.approx(as_quad([[10, -5], [10, 55], [0, 55], [0, -5]]), abs=1e-3)


def test_growth_follows_the_perspective() -> None:
    # The right side looks half as high as the left one, so it is twice as far away: x = 200 t / (1 + t), and 10 % count for more on the near side.
    left, right = -20 / 0.9, 220 / 2.1
    assert grow_quad(TRAPEZIUM, 0.1, 0.0)[:, 0] == pytest.approx([left, right, right, left], abs=1e-2)


def test_grown_corners_stay_on_the_lines_of_the_quads_edges() -> None:
    x, y = grow_quad(TRAPEZIUM, 0.1, 0.0).T
    assert y == pytest.approx([x[0] / 10, x[1] / 10, 40 - x[2] / 10, 40 - x[3] / 10], abs=1e-2)


def test_margin_of_nothing_changes_nothing() -> None:
    assert grow_quad(TRAPEZIUM, 0, 0) == pytest.approx(TRAPEZIUM, abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.floats(-0.3, 0.5), st.floats(-0.3, 0.5))
def test_growing_back_by_the_grown_fraction_gives_the_quad_again(x: float, y: float) -> None:
    back = grow_quad(grow_quad(TRAPEZIUM, x, y), -x / (1 + 2 * x), -y / (1 + 2 * y))
    assert back == pytest.approx(TRAPEZIUM, abs=0.05)


def test_every_box_meets_every_box() -> None:
    first = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    second = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]], np.float32)
    # half of one square in another: 50 / (100 + 100 - 50); boxes that only touch share nothing
    assert box_iou(first, second) == pytest.approx(np.array([[1, 1 / 3, 0], [0, 0, 0]]))


def test_boxes_without_area_share_nothing() -> None:
    point = np.array([[5, 5, 5, 5]], np.float32)
    assert box_iou(point, point).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        (SQUARE, SQUARE, 1),
        (SQUARE, SQUARE[::-1], 1),
        (SQUARE, np.roll(SQUARE, 2, axis=0), 1),
        (SQUARE, DIAMOND, 0.5),
        (SQUARE, box_to_quad(5, 0, 15, 10), 1 / 3),
        (SQUARE, box_to_quad(20, 20, 30, 30), 0),
        (SQUARE, SQUARE[[0, 2, 1, 3]], 1),
        (SQUARE, box_to_quad(2, 2, 2, 8), 0),
        (np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32), 0),
    ],
    ids=["same", "other direction", "other first corner", "diamond inside", "half", "apart", "crossed corners: hull", "no area", "points"],
)
def test_overlap_of_quads_by_hand(first: Quad, second: Quad, overlap: float) -> None:
    assert quad_iou(first, second) == pytest.approx(overlap, abs=1e-6)
    assert quad_iou(second, first) == pytest.approx(overlap, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 100, width=32), min_size=8, max_size=8), st.lists(st.floats(0, 100, width=32), min_size=8, max_size=8))
def test_overlap_of_any_quads_lies_within_0_and_1(first: list[float], second: list[float]) -> None:
    a, b = as_quad(np.reshape(first, (4, 2))), as_quad(np.reshape(second, (4, 2)))
    assert -1e-6 <= quad_iou(a, b) <= 1 + 1e-6
