"""Time stamps of a live source and the times at which its pictures arrive in; seconds since its first picture out."""

from __future__ import annotations

_DRIFT_S = 30.0
"""A source's clock further than this from the arrivals is set anew."""
_SLACK_S = 2.0
_SLEW = 1e-3
"""Share of the distance to the arrivals beyond `_SLACK_S` that each picture makes good, so that clocks of different speed stay together."""
_TICK_S = 1e-3


class LiveClock:
    """The source's own clock, tied to the arrivals once a connection: stamps tell short times exactly, arrivals tell how long a source was away.

    A time is always later than the one before. Where stamps are missing, go back or have run away by 30 s, the arrival counts.
    """

    def __init__(self) -> None:
        self.last_s: float | None = None
        self.jumps = 0
        self._first_arrival_s: float | None = None
        self._shift_s: float | None = None
        self._interval_s = 0.0

    def connected(self, interval_s: float) -> None:
        """The next picture comes from a new connection, whose clock has nothing to do with the one before and ticks about every `interval_s`."""
        self._shift_s = None
        self._interval_s = interval_s

    def since_first_s(self, now_s: float) -> float:
        """How long ago the first picture arrived; 0 before it."""
        return 0.0 if self._first_arrival_s is None else now_s - self._first_arrival_s

    def time_s(self, stamp_s: float | None, arrival_s: float) -> float:
        """When a picture was taken.

        Args:
            stamp_s: by the source's clock; None when it has none.
            arrival_s: by a clock that never goes back, such as `time.monotonic()`.
        """
        if self._first_arrival_s is None or self.last_s is None:
            self._first_arrival_s = arrival_s
            least_s, next_s = 0.0, 0.0
        else:
            least_s, next_s = self.last_s + _TICK_S, self.last_s + self._interval_s
        since_first_s = self.since_first_s(arrival_s)
        if stamp_s is None:
            time_s = since_first_s
        else:
            if self._shift_s is None:
                self._shift_s = max(since_first_s, next_s) - stamp_s
            time_s = stamp_s + self._shift_s
            if time_s < least_s - 2 * _TICK_S or abs(time_s - since_first_s) > _DRIFT_S:
                self.jumps += 1
                time_s = max(since_first_s, next_s)
                self._shift_s = time_s - stamp_s
            late_s = since_first_s - time_s
            self._shift_s += _SLEW * (late_s - min(_SLACK_S, max(-_SLACK_S, late_s)))
        self.last_s = round(max(time_s, least_s), 6)
        return self.last_s
