"""Images with their times in; a video file out, with the sound of the source copied as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.container.output import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from openplate.errors import SourceError
from openplate.streams.address import parse_source
from openplate.types import Image

SUFFIXES = (".mp4", ".mov", ".mkv")
"""What a video that is written may end in: kinds that hold pictures at any time."""
_TICKS = 90_000
_KEY_EVERY_S = 2
_BT709, _LIMITED = 1, 1
_OPTIONS = {"preset": "veryfast", "bf": "0"}
"""Without pictures that are sent out of order: no time is negative then, and each picture is in the file when it is written."""
_LIBX264, _ANY_H264, _LAST_RESORT = "libx264", "h264", "mpeg4"


class VideoWriter:
    """Writes images as H.264; each is shown from its time until that of the next. Use it in a `with` block: without `close` the file has no index.

    Args:
        path: ends in .mp4, .mov or .mkv; an older file is replaced.
        fps: the rate on average; the images' own times decide.
        size: (width, height) in px; images of another size are scaled, odd sizes are rounded down.
        audio_from: a video file whose sound is copied. What cannot be copied is named in `warnings`.
        threads: of the encoder.
        crf: the encoder's constant rate factor, 0 to 51: higher is smaller and worse.

    Raises:
        SourceError: the suffix is unknown or the file cannot be written.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int], audio_from: str | None = None, threads: int = 1, crf: int = 23) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise SourceError(f"{path}: expected a name that ends in one of {' '.join(SUFFIXES)}, got {path.suffix!r}")
        self.path = path
        self.warnings: tuple[str, ...] = ()
        self.frames = 0
        self._width, self._height = (max(2, side - side % 2) for side in size)
        self._interval = max(1, round(_TICKS / fps))
        self._first_s = 0.0
        self._last_tick = -1
        self._reformatter = VideoReformatter()
        self._sound: _Sound | None = None
        form = {"flush_packets": "1"}  # with this and in fragments, what was written is playable even after a crash
        if path.suffix.lower() != ".mkv":
            form["movflags"] = "+hybrid_fragmented"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(f"file:{path.absolute()}", "w", options=form)
        except (FFmpegError, OSError) as error:
            raise SourceError(f"{path}: cannot be written: {(error.strerror or str(error)).lower()}") from None
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = cast(VideoStream, self._container.add_stream(_encoder(), rate=rate, options=_OPTIONS | {"crf": str(crf)}))
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = self._width, self._height, "yuv420p"
        context.time_base = Fraction(1, _TICKS)
        context.thread_count = threads
        context.gop_size = max(1, round(_KEY_EVERY_S * fps))
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        if audio_from is not None:
            try:
                self._sound = _open_sound(audio_from, self._container)
            except SourceError as error:
                self.warnings = (f"the sound is left out: {error}",)

    def write(self, image: Image, time_s: float | None = None) -> None:
        """Append an image `(H, W, 3) uint8 RGB`; the first one's time becomes 0. Without a time it comes one interval after the last.

        Raises:
            SourceError: the file cannot be written, or the time lies before that of the last image.
        """
        if self.frames == 0:
            self._first_s = time_s or 0.0
        tick = self._last_tick + self._interval if time_s is None and self.frames else round(((time_s or 0.0) - self._first_s) * _TICKS)
        if 0 <= self._last_tick - tick < _TICKS // 1000:
            tick = self._last_tick + 1
        if tick <= self._last_tick:
            raise SourceError(f"{self.path}: expected an image later than {self._first_s + self._last_tick / _TICKS:g} s, got one at {time_s} s")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        picture = self._reformatter.reformat(
            picture, self._width, self._height, "yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
        )
        picture.pts, picture.time_base = tick, Fraction(1, _TICKS)
        self._last_tick = tick
        self.frames += 1
        self._put(self._stream.encode(picture))
        self._copy_sound(tick / _TICKS)

    def close(self) -> None:
        """Finish the file.

        Raises:
            SourceError: it cannot be written, or no image was.
        """
        try:
            if self.frames:
                self._put(self._stream.encode(None))
                self._copy_sound((self._last_tick + self._interval) / _TICKS)
            self._container.close()
        except (FFmpegError, OSError) as error:
            raise self._fault(error) from None
        finally:
            if self._sound is not None:
                self._sound.close()
        if not self.frames:
            with suppress(OSError):
                self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _put(self, packets: list[Packet[VideoStream]]) -> None:
        try:
            self._container.mux(packets)
        except (FFmpegError, OSError) as error:
            raise self._fault(error) from None

    def _copy_sound(self, until_s: float) -> None:
        if self._sound is not None:
            try:
                for packet in self._sound.until(self._first_s, until_s):
                    self._container.mux(packet)
            except (FFmpegError, OSError) as error:
                raise self._fault(error) from None

    def _fault(self, error: FFmpegError | OSError) -> SourceError:
        return SourceError(f"{self.path}: cannot be written: {(error.strerror or str(error)).lower()}")


class _Sound:
    """The sound of a video file, packet by packet."""

    def __init__(self, source: InputContainer, stream: AudioStream, target: OutputContainer) -> None:
        self._container, self._stream = source, stream
        self._start_s = (source.start_time or 0) / av.time_base
        self._out = target.add_stream_from_template(stream)
        self._packets = self._read()
        self._next: Packet[AudioStream] | None = None

    def until(self, first_s: float, end_s: float) -> Iterator[Packet[AudioStream]]:
        """The packets up to `end_s`, with times moved so that what sounds at `first_s` in the source sounds at 0."""
        tick_s = float(self._stream.time_base or 1)
        shift = round((self._start_s + first_s) / tick_s)
        while True:
            packet = self._next or next(self._packets, None)
            self._next = None
            if packet is None or packet.pts is None:
                return
            moved = packet.pts - shift
            if moved * tick_s > end_s:
                self._next = packet
                return
            if moved < 0:
                continue
            packet.pts = moved
            packet.dts = moved if packet.dts is None else packet.dts - shift
            packet.stream = self._out
            yield packet

    def close(self) -> None:
        """Close the source."""
        self._container.close()

    def _read(self) -> Iterator[Packet[AudioStream]]:
        packets = self._container.demux(self._stream)
        with suppress(FFmpegError):  # a cut file: its sound ends there
            yield from packets


def _open_sound(source: str, target: OutputContainer) -> _Sound | None:
    """The sound of a file, joined to a container that is written; None when it has none."""
    address = parse_source(source)
    if address.kind != "file":
        raise SourceError(f"{address.name}: only that of a file can be copied")
    try:
        container: InputContainer = av.open(address.location, "r", options={"protocol_whitelist": "file"})
    except (FFmpegError, OSError) as error:
        raise SourceError(f"{source}: {(error.strerror or str(error)).lower()}") from None
    stream = next(iter(container.streams.audio), None)
    if stream is None:
        container.close()
        return None
    if stream.codec_context.name not in target.supported_codecs:
        container.close()
        raise SourceError(f"{source}: {stream.codec_context.name} does not fit into {target.format.name.partition(',')[0]}; try .mkv or .mov")
    return _Sound(container, stream, target)


def _encoder() -> str:
    for name in (_LIBX264, _ANY_H264):
        with suppress(FFmpegError, ValueError):
            return av.codec.Codec(name, "w").name
    return _LAST_RESORT
