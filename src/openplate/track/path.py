"""Where one plate is in each frame: detections and frames in, a quad and how far it can be trusted out."""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openplate.track.associate import Expected
from openplate.track.follow import Around, Picture, follow, likeness, look_around, patch, stands
from openplate.track.motion import Motion, Vector
from openplate.track.settings import Point, WatchSettings, crossing
from openplate.types import Detection, Quad

_SAME_LOOK = 0.35
"""A patch less like the detected one is no longer that plate: it is covered, or the points stuck to something else."""
_REACH, _BLIND_REACH, _MOST_REACH = 1.0, 2.0, 3.0
"""Within how many plate sizes a plate is expected that was followed, more for each second that it was not seen, and at most."""
_PREDICTED_S = 1.0
_STANDING_S = 1.0
_IN_A_ROW = 3
"""So many detections one after another, whatever chance does to one of them."""
_EDGE_PX = 2.0
"""A quad this near to the picture's edge is leaving, or coming in."""
_LEAST_STEP_PX, _OTHER_WAY = 2.0, 0.6
"""What leaves the picture goes on as it went: where a step of at least so many px was expected and one was found that is off by this part of it, it is
the ground at the edge that was found."""
_SLOW_PX = 0.5
"""What is expected to move by less from one frame to the next may stand."""


class Path:
    """One plate's way through the frames, from one detection on."""

    def __init__(self, detection: Detection, time_s: float, frame: Picture, settings: WatchSettings) -> None:
        self._settings = settings
        self._frame = (frame.shape[1], frame.shape[0])
        self.motion = Motion()
        self.quad: Quad = detection.quad
        self.seen = True
        self.changes = 0
        """How often it was found in another place or looking different."""
        self.first_s = self.last_seen_s = self.last_detected_s = time_s
        self.detections = 0
        self._confidences = 0.0
        self._latest: deque[float] = deque(maxlen=_IN_A_ROW)
        self.best_in_a_row = 0.0
        """The largest mean confidence of three detections in a row, 0 while there were fewer."""
        self.best_detection = 0.0
        self.crossed: Literal["in", "out"] | None = None
        self.broken = False
        """Whether this may have become another plate since this was last set to False: it looked different, or was out of sight."""
        self.away = False
        """Whether it was lost and found again by its place, since this was last set to False."""
        self._updated_s = time_s
        self._patch = patch(frame, detection.quad)
        self._around: Around | None = None
        self.detect(detection, time_s, frame)

    @property
    def detection_confidence(self) -> float:
        """Mean confidence of the detections."""
        return self._confidences / max(1, self.detections)

    def detect(self, detection: Detection, time_s: float, frame: Picture) -> None:
        """The detector found the plate."""
        now = patch(frame, detection.quad)
        if not self.seen or likeness(self._patch, now) < _SAME_LOOK:
            self.broken = True
        self._patch = now
        self._look_around(frame, detection.quad)
        self.detections += 1
        self._confidences += detection.confidence
        self._latest.append(detection.confidence)
        if len(self._latest) == _IN_A_ROW:
            self.best_in_a_row = max(self.best_in_a_row, sum(self._latest) / _IN_A_ROW)
        self.best_detection = max(self.best_detection, detection.confidence)
        self.last_detected_s = time_s
        # Where following led into this frame, a detection beside it corrects the place; it is not a move.
        self._place(detection.quad, time_s, np.zeros(2, np.float32) if self.seen else None)

    def follow(self, frame: Picture, time_s: float) -> None:
        """Go on to the next frame without the detector."""
        expected = self.motion.velocity() * min(time_s - self._updated_s, _PREDICTED_S)
        around = self._around if self.seen else None
        if around is not None and float(np.abs(expected).max()) < _SLOW_PX and stands(around, frame):
            # Against the frame in which it was last placed, so that a slow movement adds up until it shows.
            self._place(self.quad, time_s, np.zeros(2, np.float32))
            return
        found = None if around is None else follow(around, frame, expected)
        if found is not None and self._at_edge(found.quad) and _goes_elsewhere(found.shift, expected):
            found = None
        if found is not None and likeness(self._patch, found.patch) >= _SAME_LOOK:
            self._place(found.quad, time_s, found.shift)
            self._look_around(frame, found.quad)
            return
        self.seen, self._around = False, None
        if time_s - self.last_seen_s <= _PREDICTED_S:
            self.quad = np.asarray(self.quad + expected, np.float32)
        self._updated_s = time_s

    def go_on(self, later: Path) -> None:
        """Become a later path of the same plate."""
        self._cross(self.quad, later.quad)
        self.crossed = later.crossed or self.crossed
        self.motion.join(later.motion)
        self.quad, self.seen, self.broken, self.away = later.quad, later.seen, later.broken, later.away
        self.changes += 1
        self.last_seen_s, self.last_detected_s, self._updated_s = later.last_seen_s, later.last_detected_s, later._updated_s
        self.detections += later.detections
        self._confidences += later._confidences
        self._latest, self.best_in_a_row = later._latest, max(self.best_in_a_row, later.best_in_a_row)
        self.best_detection = max(self.best_detection, later.best_detection)
        self._patch, self._around = later._patch, later._around

    def restart(self, time_s: float) -> None:
        """Go on from here as another plate's path: what is known of the place stays, what was the other plate's goes."""
        self.first_s = time_s
        self.crossed, self.broken, self.away = None, False, False
        self._latest.clear()
        self.best_in_a_row = 0.0
        moved = self.motion.moved
        self.motion = Motion()
        self.motion.add(self.last_seen_s, self.quad, None)
        self.motion.moved = moved

    def expected(self, time_s: float) -> Expected:
        """Where the plate should be, and how far off it may be."""
        if self.seen:
            return Expected(self.quad, _REACH)
        if self.standing(self.last_seen_s):
            return Expected(self.quad, _REACH)
        blind = time_s - self.last_seen_s
        reach = _MOST_REACH if self.detections < 2 else min(_MOST_REACH, _REACH + _BLIND_REACH * blind)
        return Expected(self.quad, reach)

    def standing(self, time_s: float) -> bool:
        """Whether the plate has stood still for a second."""
        return self.motion.still_s(time_s) >= _STANDING_S

    def is_lost(self, time_s: float) -> bool:
        """Whether it was not seen for too long, or has left the picture."""
        x, y = self.quad.mean(axis=0)
        gone = not self.seen and not (0 <= x <= self._frame[0] and 0 <= y <= self._frame[1])
        return gone or time_s - self.last_seen_s > self._settings.lost_s or time_s - self.last_detected_s > self._settings.follow_s

    def _at_edge(self, quad: Quad) -> bool:
        """Whether a quad reaches the picture's edge."""
        return bool(quad.min() < _EDGE_PX or (quad.max(axis=0) > np.array(self._frame) - _EDGE_PX).any())

    def _place(self, quad: Quad, time_s: float, shift: Vector | None) -> None:
        self._cross(self.quad, quad)
        self.quad, self.seen = quad, True
        self.last_seen_s = self._updated_s = time_s
        self.motion.add(time_s, quad, shift)

    def _look_around(self, frame: Picture, quad: Quad) -> None:
        self._around = look_around(frame, quad)
        self.changes += 1

    def _cross(self, before: Quad, after: Quad) -> None:
        if self._settings.line is not None:
            self.crossed = crossing(self._settings.line, self._point(before), self._point(after)) or self.crossed

    def _point(self, quad: NDArray[np.float32]) -> Point:
        x, y = quad.mean(axis=0)
        return float(x) / self._frame[0], float(y) / self._frame[1]


def _goes_elsewhere(shift: Vector, expected: Vector) -> bool:
    """Whether a step is not the one that was expected of what moves."""
    speed = float(np.linalg.norm(expected))
    return speed >= _LEAST_STEP_PX and float(np.linalg.norm(shift - expected)) > _OTHER_WAY * speed
