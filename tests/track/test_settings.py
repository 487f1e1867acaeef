import pytest

from openplate.errors import ConfigError
from openplate.track.settings import WatchSettings, contains, crossing

SQUARE = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6))
L_SHAPE = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.5, 0.5), (0.5, 1.0), (0.0, 1.0))


@pytest.mark.parametrize(
    ("polygon", "point", "inside"),
    [
        (SQUARE, (0.4, 0.4), True),
        (SQUARE, (0.7, 0.4), False),
        (SQUARE, (0.4, 0.1), False),
        (L_SHAPE, (0.25, 0.9), True),
        (L_SHAPE, (0.75, 0.75), False),
    ],
)
def test_point_is_inside_a_polygon_or_not(polygon: tuple[tuple[float, float], ...], point: tuple[float, float], inside: bool) -> None:
    assert contains(polygon, point) is inside


@pytest.mark.parametrize(
    ("before", "after", "crossed"),
    [
        ((0.5, 0.4), (0.5, 0.6), "in"),  # the line goes to the right: its right is below
        ((0.5, 0.6), (0.5, 0.4), "out"),
        ((0.5, 0.2), (0.5, 0.4), None),
        ((0.9, 0.4), (0.9, 0.6), None),  # beside its end
    ],
)
def test_step_crosses_the_line_from_left_to_right_inwards(before: tuple[float, float], after: tuple[float, float], crossed: str | None) -> None:
    assert crossing(((0.2, 0.5), (0.8, 0.5)), before, after) == crossed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"min_confidence": 1.5}, "min_confidence: expected 0 to 1, got 1.5"),
        ({"looks": 0}, "looks: expected 1 or more, got 0"),
        ({"detect_s": 0.0}, "detect_s: expected more than 0, got 0"),
        ({"min_width_px": 50.0, "max_width_px": 40.0}, r"max_width_px: expected more than min_width_px \(50\), got 40"),
        ({"masks": (((0, 0), (1, 1)),)}, r"masks\[0\]: expected at least 3 corners, got 2"),
        ({"zones": (SQUARE, ((0, 0), (640, 0), (1, 1)))}, r"zones\[1\]: expected fractions of the picture, 0 to 1, got \[640, 0\]"),
        ({"line": ((0.5, 0.5), (0.5, 0.5))}, "line: expected two different points"),
    ],
)
def test_value_out_of_range_names_its_key(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WatchSettings(**given)  # type: ignore[arg-type]
