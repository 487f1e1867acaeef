"""A video file, a file on the web or a pipe in; every frame in order out, as far as it can be decoded, and where it is broken."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import chain, count
from types import TracebackType
from typing import Self, TypeAlias

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from openplate.errors import SourceError
from openplate.streams.settings import StreamSettings
from openplate.streams.video import DecodedFrame, Video
from openplate.types import Frame

_MOMENT_S = 1e-6
"""Times closer than this are the same."""
_JUMP_BACK_S = 0.5
"""Packets never go back by more, unless a new clock starts: another recording was appended."""
_MOST_DELAYED = 32
"""Pictures of the old clock that a decoder may still give after the first packet of a new one."""
_HELD_PACKETS = 1000
_MAX_PLACES = 20

Item: TypeAlias = "Packet[VideoStream] | FFmpegError | None"


class Recording:
    """Every frame of an opened video in order. Takes the video over and closes it.

    Raises:
        SourceError: not one frame can be decoded, or none lies in the time asked for.
    """

    live = False
    started_at: float | None = None
    dropped = 0
    reconnects = 0

    def __init__(self, video: Video, settings: StreamSettings) -> None:
        self.name = video.address.name
        self.fps = video.fps
        self.duration_s = video.length_s
        self.frames_total = _frames_total(video, settings)
        self._settings = settings
        self._video = video
        self._damage = _Damage()
        self._ending: str | None = None
        self._frames = self._play()
        try:
            self._first = next(self._frames, None)
        except BaseException:
            self._video.close()
            raise
        if self._first is None:
            self.close()
            raise SourceError(f"{self.name}: {self._empty()}")
        self.height, self.width = self._first.picture.shape[:2]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was broken so far: one sentence each, with the place."""
        return (*self._damage.sentences(), *([self._ending] if self._ending else []))

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the stream and close the file."""
        self._first = None
        self._frames.close()
        self._video.close()

    def _play(self) -> Generator[Frame]:
        """The frames asked for, `loop` times over; a later turn goes on in number and time where the one before ended."""
        settings = self._settings
        shift_s, number = 0.0, 0
        for turn in count() if settings.loop == 0 else range(settings.loop):
            if turn:
                again = Video(self._video.address, settings)
                self._video.close()
                self._video = again
            last: tuple[float, int] | None = None
            for position, (time_s, index, picture) in enumerate(self._decoded(self._damage if turn == 0 else _Damage())):
                last = time_s, index
                if position % settings.stride == 0:
                    yield DecodedFrame(self._video, picture, self.name, number + index, round(shift_s + time_s, 6))
            if last is None:
                return
            shift_s += last[0] + self._video.interval_s - settings.from_s
            number += last[1] + 1

    def _decoded(self, damage: _Damage) -> Iterator[tuple[float, int, VideoFrame]]:
        """Time, number and picture of every frame of one turn from `from_s` until `to_s`; faults go into `damage`."""
        video, settings = self._video, self._settings
        end_s = math.inf if settings.to_s is None else settings.to_s
        timeline = _Timeline(video, damage)
        before, items = _approach(video, settings.from_s)
        due: list[float] = []
        number: int | None = None
        passed = 0
        for item in items:
            if number is None and isinstance(item, Packet):
                stamp = video.packet_time_s(item)
                due.extend([] if stamp is None else [stamp - video.start_s])
            for picture in self._pictures(item, timeline):
                time_s = timeline.place(video.time_s(picture))
                if time_s is None:
                    continue
                if time_s >= end_s - _MOMENT_S:
                    return
                if settings.from_s > 0 and time_s < settings.from_s - _MOMENT_S:
                    passed += 1
                    continue
                if number is None:
                    # A decoder that starts in the middle leaves out pictures that need earlier ones: count by time, not by what came out.
                    earlier = sum(one < time_s - _MOMENT_S for one in due)
                    number = before + (earlier if due else passed)
                if picture.is_corrupt:
                    damage.add(time_s, "shown with faults:")
                yield time_s, number, picture
                number += 1
        self._finish(timeline)

    def _pictures(self, item: Item, timeline: _Timeline) -> list[VideoFrame]:
        if isinstance(item, Packet):
            timeline.watch(None if item.dts is None else item.dts * self._video.tick_s)
        if isinstance(item, FFmpegError):
            timeline.damage.add(timeline.next_s, "not read:")
            return []
        try:
            return self._video.decode(item)
        except FFmpegError:
            stamp = None if item is None else self._video.packet_time_s(item)
            timeline.damage.add(timeline.next_s if stamp is None else stamp - self._video.start_s, "not decoded:")
            return []

    def _finish(self, timeline: _Timeline) -> None:
        """After the end of a turn: whether the video was as long as its header says."""
        end_s = 0.0 if timeline.last_s is None else timeline.next_s
        promised_s = None if timeline.restarted else self._video.length_s
        if promised_s is not None and promised_s - end_s > max(0.1, 1.5 * self._video.interval_s):
            self._ending = f"ends at {end_s:.2f} s, its header promises {promised_s:.2f} s: the file is cut or its end is damaged"

    def _empty(self) -> str:
        if self._settings.from_s > 0 and not self._damage.places:
            length = "" if self.duration_s is None else f" (it is {self.duration_s:.2f} s long)"
            return f"expected frames from {self._settings.from_s:g} s on, got none{length}; choose an earlier time"
        if self._video.address.kind == "pipe":
            return "expected a video with at least one whole frame, got none: it is cut, or needs jumping (mp4); pipe mkv, ts, y4m or MJPEG"
        return "expected a video with at least one whole frame, got none: it is cut or damaged; copy it again"


@dataclass(slots=True)
class _Place:
    first_s: float
    last_s: float
    counts: dict[str, int]


class _Damage:
    """Faults gathered by place: those less than a second apart are one place."""

    def __init__(self) -> None:
        self.places: list[_Place] = []
        self._more = 0

    def add(self, time_s: float, what: str, count: int = 1, until_s: float | None = None) -> None:
        """Note `count` frames with a fault at a time, or from it until another."""
        last = self.places[-1] if self.places else None
        if last is None or not last.first_s - 1 < time_s < last.last_s + 1:
            if len(self.places) == _MAX_PLACES:
                self._more += 1
                return
            last = _Place(time_s, time_s, {})
            self.places.append(last)
        last.first_s, last.last_s = min(last.first_s, time_s), max(last.last_s, time_s, until_s or 0.0)
        last.counts[what] = last.counts.get(what, 0) + count

    def explains(self, first_s: float, last_s: float) -> bool:
        """Whether the last fault lies between two times."""
        return bool(self.places) and first_s < self.places[-1].last_s < last_s

    def sentences(self) -> list[str]:
        """One sentence a place, in the order in which they were met."""
        told = []
        for place in self.places:
            counts = ", ".join(f"{what} {number}" for what, number in place.counts.items())
            where = f"at {place.first_s:.2f} s" if place.last_s - place.first_s < 0.005 else f"from {place.first_s:.2f} s to {place.last_s:.2f} s"
            told.append(f"damaged {where}: frames {counts}")
        return [*told, f"damaged in further places: {self._more} faults"] if self._more else told


class _Timeline:
    """Container times in, times from the source's start out; they never go back."""

    def __init__(self, video: Video, damage: _Damage) -> None:
        self.damage = damage
        self.last_s: float | None = None
        self.restarted = False
        self._interval_s = video.interval_s
        self._shift_s = -video.start_s
        self._end_s = math.inf if video.length_s is None else video.length_s + 1
        self._packet_s = -math.inf
        self._new_clock = 0

    @property
    def next_s(self) -> float:
        """When the next frame is due, by the average rate."""
        return 0.0 if self.last_s is None else self.last_s + self._interval_s

    def watch(self, packet_s: float | None) -> None:
        """Take note of a packet's decoding time: where it goes back, a new clock starts."""
        if packet_s is not None:
            if packet_s < self._packet_s - _JUMP_BACK_S:
                self._new_clock = _MOST_DELAYED
            self._packet_s = packet_s

    def place(self, stamp_s: float | None) -> float | None:
        """The time of the next frame; None when it must be left out: a later one was there before, or its time is impossible."""
        time_s = self.next_s if stamp_s is None else stamp_s + self._shift_s
        if self.last_s is not None and time_s <= self.last_s - _MOMENT_S:
            if not self._new_clock:
                self.damage.add(time_s, "out of order:")
                return None
            self._shift_s += self.next_s - time_s
            self._new_clock, self.restarted = 0, True
            time_s = self.next_s
        if time_s > self._end_s and not self.restarted:
            self.damage.add(self.next_s, "with an impossible time:")
            return None
        gap_s = 0.0 if self.last_s is None else time_s - self.last_s
        if gap_s > max(0.3, 8 * self._interval_s) and not self.damage.explains(time_s - gap_s, time_s):
            self.damage.add(self.next_s, "missing:", max(1, round(gap_s / self._interval_s) - 1), time_s - self._interval_s)
        self._new_clock = max(0, self._new_clock - 1)
        self.last_s = round(time_s, 6)
        return self.last_s


def _approach(video: Video, from_s: float) -> tuple[int, Iterator[Item]]:
    """Packets from the last key picture at or before `from_s` on, and how many packets lie before them.

    Where the container's index is whole, by jumping; else by reading on without decoding.
    """
    if from_s <= 0:
        return 0, video.packets()
    target_s = video.start_s + from_s
    if video.seeks and (before := video.seek(target_s)) is not None:
        return before, video.packets()
    before = 0
    items = video.packets()
    held: list[Item] = []
    for item in items:
        stamp = video.packet_time_s(item) if isinstance(item, Packet) else None
        if isinstance(item, Packet) and item.is_keyframe and stamp is not None and stamp <= target_s + _MOMENT_S:
            before += len(held)
            held = []
        if not isinstance(item, FFmpegError):
            held.append(item)
        if (stamp is not None and stamp >= target_s) or len(held) >= _HELD_PACKETS:
            break
    return before, chain(held, items)


def _frames_total(video: Video, settings: StreamSettings) -> int | None:
    if settings.loop == 0 or video.length_s is None:
        return None
    end_s = video.length_s if settings.to_s is None else min(settings.to_s, video.length_s)
    whole = video.stream.frames or round(video.length_s / video.interval_s)
    part = max(0.0, end_s - settings.from_s) / video.length_s
    return max(1, math.ceil(whole * part / settings.stride)) * settings.loop
