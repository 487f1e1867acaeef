"""A live source in; its newest frame out whenever one is asked for, over losses and returns of the source."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Self

from av.error import FFmpegError
from av.video.frame import VideoFrame

from openplate.errors import SourceError
from openplate.streams.address import Address
from openplate.streams.clock import LiveClock
from openplate.streams.settings import StreamSettings
from openplate.streams.video import Video, fault_reason
from openplate.types import Frame

_CLOSE_WAIT_S = 2.0
_LOOK_S = 0.25
_PACED = ("hls", "dash")
"""These come in pieces of many seconds at once: they are played by their own times."""
_MAX_LOSSES = 50


class Camera:
    """The frames of a live source. A thread of its own reads and decodes everything; what is not fetched in time is dropped and counted.

    `close` waits for that thread for up to 2 s; one that waits for the network then ends by itself, within `stall_s` or `open_timeout_s`.

    Args:
        address: what to open.
        settings: how.
        video: the source, opened already; taken over.

    Raises:
        SourceError: the first attempt to get a frame failed.
    """

    live = True
    duration_s: float | None = None
    frames_total: int | None = None

    def __init__(self, address: Address, settings: StreamSettings, video: Video | None = None) -> None:
        self.name = address.name
        self.fps: float | None = None
        self.width = self.height = 0
        self.started_at: float | None = None
        self.dropped = 0
        self.reconnects = 0
        self._address = address
        self._settings = settings
        self._clock = LiveClock()
        self._changed = Condition()
        self._waiting: deque[tuple[Video, VideoFrame, int, float]] = deque()
        self._stop = Event()
        self._ended = False
        self._failure: BaseException | None = None
        self._number = 0
        self._last_arrival_s = time.monotonic()
        self._losses: list[str] = []
        self._more_losses = 0
        self._faults = 0
        self._thread = Thread(target=self._run, args=(video,), name=f"openplate stream {self.name}", daemon=True)
        self._thread.start()
        try:
            with self._changed:
                while not self._waiting and not self._ended:
                    self._changed.wait(_LOOK_S)
        except BaseException:
            self.close()
            raise
        if not self._waiting and self._failure is not None:
            raise self._failure from None

    @property
    def warnings(self) -> tuple[str, ...]:
        """When the source was lost, and how much was damaged."""
        told = [*self._losses]
        if self._more_losses:
            told.append(f"lost {self._more_losses} more times")
        if self._faults:
            told.append(f"{self._faults} packets could not be decoded")
        if self._clock.jumps:
            told.append(f"the source's clock jumped {self._clock.jumps} times")
        return tuple(told)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        with self._changed:
            while not self._waiting:
                if self._ended or self._stop.is_set() or self._over(self._clock.since_first_s(time.monotonic())):
                    self._finish()
                    raise StopIteration
                self._changed.wait(_LOOK_S)
            video, picture, number, time_s = self._waiting.popleft()
        if self._over(time_s):
            self._finish()
            raise StopIteration
        return Frame(video.image(picture), self.name, number, time_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; what waits is thrown away."""
        self._stop.set()
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(_CLOSE_WAIT_S)

    def _over(self, time_s: float) -> bool:
        return self._settings.to_s is not None and time_s >= self._settings.to_s

    def _finish(self) -> None:
        """End for the consumer; a fault of our own in the reading thread comes out here."""
        self._stop.set()
        failure, self._failure = self._failure, None
        if failure is not None and not isinstance(failure, SourceError):
            raise failure

    def _run(self, video: Video | None) -> None:
        """The thread: connect, read until the source is lost, wait, connect again."""
        try:
            wait_s = self._settings.retry_first_s
            while not self._stop.is_set():
                before = self._number
                try:
                    with video or Video(self._address, self._settings) as opened:
                        video = None
                        reason = self._read(opened, before)
                except SourceError as error:
                    reason = str(error).removeprefix(f"{self.name}: ")
                    if not self._number and not self._settings.wait_at_start:
                        self._failure = error
                        return
                if self._stop.is_set() or self._address.kind == "pipe":
                    return
                if self._number > before:
                    wait_s = self._settings.retry_first_s
                    self._note_loss(reason)
                if self._gone_for_good():
                    return
                self._stop.wait(wait_s)
                wait_s = min(2 * wait_s, self._settings.retry_last_s)
        except BaseException as error:  # noqa: BLE001  raised again where frames are asked for
            self._failure = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _read(self, video: Video, before: int) -> str:
        """Offer every picture of one connection; returns why it ended."""
        self._clock.connected(video.interval_s)
        self.fps = video.fps if video.has_clock else None
        progress_s = time.monotonic()
        paced = video.kind in _PACED
        for item in video.packets():
            if self._stop.is_set():
                return "stopped"
            if isinstance(item, FFmpegError):
                return fault_reason(item, self._settings.stall_s)
            try:
                pictures = video.decode(item)
            except FFmpegError:
                self._faults += 1
                pictures = []
            for picture in pictures:
                self._offer(video, picture, paced)
                if before and self._number == before + 1:
                    self._note_return()
            if pictures:
                progress_s = time.monotonic()
            elif time.monotonic() - progress_s > self._settings.stall_s:
                return f"no picture came for {self._settings.stall_s:g} s"
        if self._number == before:
            raise SourceError(f"{self.name}: expected a video, got none: it answers but sends no pictures")
        return "the source ended the stream"

    def _offer(self, video: Video, picture: VideoFrame, paced: bool) -> None:
        arrival_s = time.monotonic()
        if self.started_at is None:
            self.started_at = time.time()
        stamp_s = video.time_s(picture) if video.has_clock else None
        time_s = self._clock.time_s(stamp_s, arrival_s)
        if paced:
            early_s = time_s - self._clock.since_first_s(arrival_s)
            if early_s > 0:
                self._stop.wait(early_s)
        number, self._number = self._number, self._number + 1
        self._last_arrival_s = time.monotonic()
        if number % self._settings.stride:
            return
        with self._changed:
            if len(self._waiting) >= self._settings.queue:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((video, picture, number, time_s))
            self.width, self.height = video.upright_size(picture)
            self._changed.notify_all()

    def _gone_for_good(self) -> bool:
        limit_s = self._settings.give_up_s
        if limit_s is None or time.monotonic() - self._last_arrival_s < limit_s:
            return False
        self._note_loss(f"given up after {limit_s:g} s without a frame")
        return True

    def _note_loss(self, reason: str) -> None:
        if len(self._losses) < _MAX_LOSSES:
            self._losses.append(f"lost at {self._clock.last_s or 0:.2f} s: {reason}")
        else:
            self._more_losses += 1

    def _note_return(self) -> None:
        self.reconnects += 1
        if not self._more_losses:
            self._losses[-1] += f"; back at {self._clock.last_s or 0:.2f} s"
