"""How a stream is read: one frozen value, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from openplate.errors import ConfigError


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How frames are taken from a source. Times are in seconds from the source's start.

    What is recorded (files, folders, pipes): every `stride`-th frame whose time lies in `from_s` ≤ time < `to_s`, played `loop` times (0 = without end).
    What is live: `to_s` ends it, `stride` holds, the others do not.

    `fps` is the rate of a folder's pictures (25 when not given), of piped pictures that carry no times, and the rate asked of a webcam;
    `size` is the (width, height) in px asked of a webcam. `live` is for addresses that do not say what they are: None takes an HTTP address
    that knows its length for a file and a pipe for recorded.

    Live: `queue` frames wait at most, newer ones push older ones out. A source that sends nothing for `stall_s` counts as lost. Attempts to get it back
    wait `retry_first_s`, then twice as long each time up to `retry_last_s`; after `give_up_s` without a frame the stream ends (None = never).
    The first attempt must succeed within `open_timeout_s`, unless `wait_at_start` says to keep trying. `transport` is how RTSP sends: tcp, udp or http.

    `decode_threads` None takes two for a file, so that the next pictures are decoded while one is looked at, and one for all else, which is decoded
    beside that anyway or must not wait.

    Raises:
        ConfigError: a value is out of range.
    """

    stride: int = 1
    from_s: float = 0.0
    to_s: float | None = None
    loop: int = 1
    fps: float | None = None
    size: tuple[int, int] | None = None
    live: bool | None = None
    queue: int = 1
    transport: Literal["tcp", "udp", "http"] = "tcp"
    open_timeout_s: float = 10.0
    stall_s: float = 10.0
    retry_first_s: float = 0.5
    retry_last_s: float = 30.0
    give_up_s: float | None = None
    wait_at_start: bool = False
    decode_threads: int | None = None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("stride", self.stride, 1),
            ("from_s", self.from_s, 0),
            ("loop", self.loop, 0),
            ("queue", self.queue, 1),
            ("decode_threads", self.decode_threads, 1),
        ):
            if value is not None and not value >= least:
                raise ConfigError(f"{name}: expected {least} or more, got {value}")
        for name, seconds in (
            ("fps", self.fps),
            ("open_timeout_s", self.open_timeout_s),
            ("stall_s", self.stall_s),
            ("retry_first_s", self.retry_first_s),
            ("retry_last_s", self.retry_last_s),
            ("give_up_s", self.give_up_s),
        ):
            if seconds is not None and not seconds > 0:
                raise ConfigError(f"{name}: expected more than 0, got {seconds}")
        if self.to_s is not None and not self.to_s > self.from_s:
            raise ConfigError(f"to_s: expected more than from_s ({self.from_s:g}), got {self.to_s:g}")
        if self.size is not None and min(self.size) < 16:
            raise ConfigError(f"size: expected width and height of at least 16 px, got {self.size[0]}×{self.size[1]}")
        if self.transport not in ("tcp", "udp", "http"):
            raise ConfigError(f"transport: expected tcp, udp or http, got {self.transport!r}")


DEFAULT_FPS = 25.0
"""The rate of pictures that carry no times."""
DEFAULT_SETTINGS = StreamSettings()
