"""Where a plate was, frame by frame, in; how it moves out: velocity, direction, standing still."""

from __future__ import annotations

import math
from collections import deque
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openplate.geometry import quad_size
from openplate.types import Quad

MOVED = 0.6
"""A plate that is this many plate heights from where it stood has moved."""
_RECENT = 12
_RECENT_S = 0.6
_ENDS = 3
_NEARER = math.log(1.1)
_PULL = 0.1
"""Share of the distance between following and detections that each detection makes good, so that following does not drift."""
_HEADINGS = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")

Vector = NDArray[np.float32]
"""`(dx, dy)` px."""
_Place = tuple[float, float, float, float]
"""Time in s, x and y in px, logarithm of the root of the quad's area in px."""


class Motion:
    """How one plate moves; bounded however long it is watched.

    Detections of what stands still flicker, its points do not: where a plate was followed, that is how it moved, and a detection elsewhere is no move.
    """

    def __init__(self) -> None:
        self._first: list[_Place] = []
        self._recent: deque[_Place] = deque(maxlen=_RECENT)
        self._at = np.zeros(2, np.float32)
        self._measured: Vector | None = None
        self._anchor = np.zeros(2, np.float32)
        self._anchor_s = 0.0
        self._off = 0
        self._height = 1.0
        self.moved = False

    def add(self, time_s: float, quad: Quad, shift: Vector | None) -> None:
        """The plate was seen at a place; `shift` is how far it was followed to there, zeros for a detection of where it is, None when nobody saw."""
        width, height = quad_size(quad)
        self._height = max(1.0, height)
        middle = np.asarray(quad.mean(axis=0), np.float32)
        if self._measured is None:
            self._at = self._anchor = middle
            self._anchor_s = time_s
        else:
            self._at = self._at + (middle - self._measured if shift is None else shift)
            astray = middle - self._at
            if float(np.abs(astray).max()) < MOVED * self._height:
                self._at = self._at + np.float32(_PULL) * astray
        self._measured = middle
        place = (time_s, float(self._at[0]), float(self._at[1]), math.log(max(1.0, width * height)) / 2)
        if len(self._first) < _ENDS:
            self._first.append(place)
        self._recent.append(place)
        self._watch_anchor(time_s)

    def join(self, later: Motion) -> None:
        """Go on as another plate's motion that turned out to be this one's."""
        jump = float(np.linalg.norm(later._anchor - self._at)) > MOVED * later._height
        self.moved = self.moved or later.moved or jump
        if jump or later.moved:
            self._anchor, self._anchor_s = later._anchor, later._anchor_s
        self._at, self._measured, self._height, self._off, self._recent = later._at, later._measured, later._height, later._off, later._recent

    def velocity(self) -> Vector:
        """Speed of the last 0.6 s as `(vx, vy)` px/s."""
        now = self._recent[-1][0] if self._recent else 0.0
        recent = [place for place in self._recent if now - place[0] <= _RECENT_S]
        if len(recent) < 2 or recent[-1][0] - recent[0][0] < 1e-3:
            return np.zeros(2, np.float32)
        # The slope of the line of least squares; in plain numbers, which for so few is faster.
        mean_s, mean_x, mean_y = (sum(place[i] for place in recent) / len(recent) for i in range(3))
        weights = [place[0] - mean_s for place in recent]
        along = sum(w * w for w in weights)
        x, y = (sum(w * (place[i] - mean) for w, place in zip(weights, recent, strict=True)) for i, mean in ((1, mean_x), (2, mean_y)))
        return np.array([x / along, y / along], np.float32)

    def still_s(self, now_s: float) -> float:
        """For how long the plate has not moved."""
        return max(0.0, now_s - self._anchor_s) if self._recent else 0.0

    def direction(self) -> Literal["approaching", "receding", "across", "still"]:
        """Towards the camera or away from it, by the plate's size in the picture; across when only its place changed."""
        if not self.moved:
            return "still"
        grown = _middle(list(self._recent)[-_ENDS:])[2] - _middle(self._first)[2]
        return "approaching" if grown > _NEARER else "receding" if grown < -_NEARER else "across"

    def heading(self) -> str | None:
        """Where it moved in the picture, as one of eight directions; None when it is about where it began."""
        if not self.moved:
            return None
        start, end = _middle(self._first), _middle(list(self._recent)[-_ENDS:])
        dx, dy = end[0] - start[0], end[1] - start[1]
        if math.hypot(dx, dy) < MOVED * self._height:
            return None
        return _HEADINGS[round(math.atan2(dy, dx) / (math.pi / 4)) % 8]

    def _watch_anchor(self, time_s: float) -> None:
        """One place off may be an error; two in a row are a move."""
        if float(np.linalg.norm(self._at - self._anchor)) <= MOVED * self._height:
            self._off = 0
            return
        self._off += 1
        if self._off > 1:
            self.moved, self._off = True, 0
            self._anchor, self._anchor_s = self._at, time_s


def _middle(places: list[_Place]) -> tuple[float, float, float]:
    """The median x, y and size of some places."""
    x, y, size = (float(v) for v in np.median(np.array(places)[:, 1:], axis=0))
    return x, y, size
