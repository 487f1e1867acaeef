import numpy as np
import pytest

from openplate.geometry import box_to_quad
from openplate.track.motion import Motion


def at(x: float, y: float = 100.0, width: float = 80.0) -> np.ndarray:
    return box_to_quad(x - width / 2, y - width / 8, x + width / 2, y + width / 8)


def test_speed_is_that_of_the_places() -> None:
    motion = Motion()
    for n in range(10):
        motion.add(n * 0.04, at(100 + 4 * n, 100 - 2 * n), None)
    assert motion.velocity() == pytest.approx([100, -50], rel=0.02)


def test_one_place_has_no_speed() -> None:
    motion = Motion()
    motion.add(0, at(100), None)
    assert motion.velocity().tolist() == [0, 0]


def test_two_places_in_a_row_off_by_more_than_0_6_heights_are_a_move() -> None:
    """The plate is 20 px high: 12 px are the limit."""
    motion = Motion()
    for n, x in enumerate((100, 113, 100, 113)):
        motion.add(n, at(x), None)
    assert not motion.moved
    motion.add(4, at(114), None)
    assert motion.moved
    assert motion.still_s(10) == 6


def test_detections_beside_a_followed_plate_are_no_move() -> None:
    motion = Motion()
    motion.add(0, at(100), None)
    for n in range(1, 40):
        motion.add(n * 0.2, at(100 + 60 * (n // 3 % 2)), np.zeros(2, np.float32))
    assert not motion.moved
    assert motion.direction() == "still"
    assert motion.heading() is None


@pytest.mark.parametrize(
    ("step", "direction", "heading"),
    [((5, 0, 0), "across", "right"), ((-5, 0, 0), "across", "left"), ((3, 3, 2), "approaching", "down-right"), ((0, -5, -2), "receding", "up")],
)
def test_direction_and_heading_follow_size_and_place(step: tuple[float, float, float], direction: str, heading: str) -> None:
    motion = Motion()
    for n in range(20):
        motion.add(n * 0.04, at(200 + step[0] * n, 200 + step[1] * n, 80 + step[2] * n), None)
    assert (motion.direction(), motion.heading()) == (direction, heading)


def test_joining_a_path_that_begins_elsewhere_is_a_move() -> None:
    earlier, later = Motion(), Motion()
    earlier.add(0, at(100), None)
    later.add(5, at(300), None)
    earlier.join(later)
    assert earlier.moved
    assert earlier.still_s(6) == 1
