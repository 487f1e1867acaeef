"""How sightings are made: one frozen value, checked when it is made, and the geometry of its masks, zones and line."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from openplate.errors import ConfigError

Point = tuple[float, float]
"""`(x, y)` as fractions of the picture's width and height, 0 to 1."""
Polygon = tuple[Point, ...]
"""At least three corners."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How sightings are made; lengths of time in seconds, places as fractions of the picture's width and height (0 to 1).

    What counts as a plate: detections whose centre lies in a polygon of `masks`, in none of `zones` (where there are any), or whose width is not within
    `min_width_px` to `max_width_px`, are left out. `line` is the counting line, from its first point to its second; who crosses it from its left to its
    right, seen along it, goes "in".

    What makes a sighting: a text of at least `min_confidence` that fits a format, known to at least `agreeing` looks, or to one look of at least
    `very_sure`; one of a country that is not expected, on something clearly detected. `static_agreeing` looks over `static_s` are needed where nothing
    ever moved: overlays and signs do not move. Of all looks at a plate the `looks` most telling ones are kept.

    When networks run: the detector every `detect_s` (after `trigger_s` where something new moves, every `idle_s` while nothing moves; while no plate is in
    sight either, it waits a quarter longer each time, up to four times `idle_s`); the reader while the text is not sure, where the plate is `better` times
    as telling as ever before (while the text is not sure: a twentieth more at most), and every `check_s` (`parked_check_s` when it stands) to see that it
    still is the same plate.

    What is one visit: a plate not seen for `lost_s` is lost, one that is followed without being detected after `follow_s`; the same plate back within
    `rejoin_s` (`parked_rejoin_s` when it stood) joins its sighting. A plate that stood still for `parked_s` is parked; it is reported again every
    `parked_update_s`. What was seen for less than `glimpse_s` and not read is not reported.

    `keep_frames` keeps the frame of each look as JPEG, for evidence.

    Raises:
        ConfigError: a value is out of range; the message names the key.
    """

    min_confidence: float = 0.95
    very_sure: float = 0.99
    agreeing: int = 2
    static_agreeing: int = 3
    static_s: float = 0.8
    looks: int = 8
    masks: tuple[Polygon, ...] = ()
    zones: tuple[Polygon, ...] = ()
    line: tuple[Point, Point] | None = None
    min_width_px: float = 16.0
    max_width_px: float = 4000.0
    detect_s: float = 0.24
    idle_s: float = 0.48
    trigger_s: float = 0.12
    better: float = 1.25
    check_s: float = 3.0
    parked_check_s: float = 15.0
    lost_s: float = 1.0
    follow_s: float = 2.5
    rejoin_s: float = 20.0
    parked_rejoin_s: float = 180.0
    parked_s: float = 10.0
    parked_update_s: float = 900.0
    glimpse_s: float = 0.3
    keep_frames: bool = False

    def __post_init__(self) -> None:
        for name in ("min_confidence", "very_sure"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: expected 0 to 1, got {getattr(self, name):g}")
        for name, least in (
            ("agreeing", 1),
            ("static_agreeing", 1),
            ("looks", 1),
            ("better", 1),
            ("min_width_px", 0),
            ("static_s", 0),
            ("glimpse_s", 0),
        ):
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name}: expected {least} or more, got {getattr(self, name):g}")
        times = [f.name for f in fields(self) if f.name.endswith("_s") and f.name not in ("static_s", "glimpse_s")]
        for name in times:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: expected more than 0, got {getattr(self, name):g}")
        if not self.max_width_px > self.min_width_px:
            raise ConfigError(f"max_width_px: expected more than min_width_px ({self.min_width_px:g}), got {self.max_width_px:g}")
        for name in ("masks", "zones"):
            for number, polygon in enumerate(getattr(self, name)):
                if len(polygon) < 3:
                    raise ConfigError(f"{name}[{number}]: expected at least 3 corners, got {len(polygon)}")
                _check_points(f"{name}[{number}]", polygon)
        if self.line is not None:
            _check_points("line", self.line)
            if self.line[0] == self.line[1]:
                raise ConfigError("line: expected two different points, got the same one twice")


def contains(polygon: Polygon, point: Point) -> bool:
    """Whether a point lies inside a polygon (even-odd rule)."""
    x, y = point
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def crossing(line: tuple[Point, Point], before: Point, after: Point) -> Literal["in", "out"] | None:
    """How a step crosses the line: "in" from its left to its right as seen from its first point to its second, "out" the other way, None not at all."""
    first, second = line
    sides = _side(first, second, before), _side(first, second, after)
    if (sides[0] < 0) == (sides[1] < 0) or (_side(before, after, first) < 0) == (_side(before, after, second) < 0):
        return None
    return "in" if sides[0] < 0 else "out"


def _side(first: Point, second: Point, point: Point) -> float:
    """Above 0 on the right of the way from `first` to `second` (y goes down), under 0 on its left."""
    return (second[0] - first[0]) * (point[1] - first[1]) - (second[1] - first[1]) * (point[0] - first[0])


def _check_points(name: str, points: tuple[Point, ...]) -> None:
    for point in points:
        if not all(0 <= value <= 1 for value in point):
            raise ConfigError(f"{name}: expected fractions of the picture, 0 to 1, got {list(point)}")


DEFAULT_SETTINGS = WatchSettings()
