import math

import numpy as np
import pytest

from openplate.geometry import box_to_quad
from openplate.track.associate import Expected, assign, contested, place_costs

PLATE = box_to_quad(100, 60, 180, 80)
"""80×20 px: its size is 40 px."""


def test_cost_is_the_distance_in_plate_sizes() -> None:
    costs = place_costs([Expected(PLATE, 1.0)], [PLATE, PLATE + np.float32([20, 0]), PLATE + np.float32([60, 0])])
    assert costs[0].tolist() == pytest.approx([0.0, 0.5, math.inf])


def test_detection_of_another_size_costs_more_and_twice_the_size_is_out() -> None:
    """1.5 times as wide and as high: 0.7 · ln 1.5."""
    larger, twice = box_to_quad(80, 55, 200, 85), box_to_quad(60, 50, 220, 90)
    costs = place_costs([Expected(PLATE, 1.0)], [larger, twice])
    assert costs[0].tolist() == pytest.approx([0.7 * math.log(1.5), math.inf])


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([[0.1, math.inf], [math.inf, 0.2]], []),
        ([[0.1, math.inf], [0.5, math.inf]], [0]),  # two plates want one detection
        ([[0.1, 1.5], [math.inf, math.inf]], []),  # clearly the nearer one
        ([[0.1, 0.4], [math.inf, math.inf]], [0, 1]),  # one plate could take either
    ],
    ids=["apart", "two plates", "clear", "two detections"],
)
def test_only_close_calls_are_contested(costs: list[list[float]], expected: list[int]) -> None:
    assert contested(np.array(costs)) == expected


def test_cheapest_pairs_come_first_and_what_is_out_of_reach_stays_alone() -> None:
    costs = np.array([[0.4, 0.1], [0.2, 0.3], [math.inf, math.inf]])
    assert assign(costs) == [(0, 1), (1, 0)]


def test_nothing_to_assign_gives_no_pairs() -> None:
    assert assign(np.zeros((0, 3))) == []
    assert assign(np.zeros((2, 0))) == []
