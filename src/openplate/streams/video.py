"""An address in; one opened container out, whose packets become pictures with times and upright RGB images. Only this folder imports av."""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock
from typing import IO, Self, cast

import av
import cv2
import numpy as np
from av.buffer import Buffer
from av.container.input import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from openplate.errors import SourceError
from openplate.streams.address import Address, webcam_input
from openplate.streams.settings import DEFAULT_FPS, StreamSettings
from openplate.types import Frame, Image

_NO_TIMESTAMPS = 0x80
_WEBCAM_FPS = 30.0
_MAX_FPS = 1000
_FROM_AFAR = ("camera", "web", "webcam")
_FILE_THREADS = 2
_HOPELESS_FAULTS = 64
"""A demuxer that fails this often in a row is at the end of what it can give."""
_SILENCE = (av.error.ExitError, av.error.TimeoutError)
_WITH_LUMA = frozenset(("gray", "nv12", "nv21", "yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"))
"""Pixel formats whose first plane is 8 bits of brightness."""
_MATRIX = struct.Struct("=9i")
_NETWORK_PROTOCOLS = "http,https,tcp,tls,udp,rtp,srtp,rtsp,rtsps,rtmp,rtmps,srt,crypto,httpproxy"


class Video:
    """One opened container and its first real video stream. Every time is in seconds on the container's own clock; `start_s` is where it begins.

    Raises:
        SourceError: it cannot be opened, or has no video.
    """

    def __init__(self, address: Address, settings: StreamSettings) -> None:
        self.address = address
        self._pipe: PipeReader | None = None
        self._container = self._open(address, settings)
        try:
            self.stream = _video_stream(self._container)
        except SourceError as error:
            self._container.close()
            raise SourceError(f"{address.name}: {error}") from None
        for other in self._container.streams:
            if other is not self.stream:
                other.discard = Discard.all
        threads = settings.decode_threads or (_FILE_THREADS if address.kind == "file" else 1)
        self.stream.codec_context.thread_count = threads
        self.stream.thread_type = "AUTO" if threads > 1 else "NONE"
        self.kind = self._container.format.name
        self.tick_s = float(self.stream.time_base or 0)
        rate = self.stream.average_rate or self.stream.guessed_rate
        self.fps: float | None = float(rate) if rate and rate < _MAX_FPS else None
        self.interval_s = 1 / (self.fps or settings.fps or DEFAULT_FPS)
        start = self._container.start_time
        self.start_s = (start or 0) / av.time_base
        self.has_clock = not (self._container.format.flags & _NO_TIMESTAMPS or self.kind.endswith("_pipe"))
        # AVI stores no presentation times: libav makes them up, out of order where pictures are. The order of decoding is true.
        self._by_dts = self.kind == "avi"
        self._delay: int | None = None
        self._first_dts: int | None = None
        self._turned: tuple[int, tuple[bool, int | None]] | None = None
        self._reformatter = VideoReformatter()
        self._one_at_a_time = Lock()
        """Frames may ask for their images in any thread, and the reformatter is one for all."""

    def _open(self, address: Address, settings: StreamSettings) -> InputContainer:
        options: dict[str, str] = {}
        location, form = address.location, None
        if address.kind == "webcam":
            location, form = webcam_input(address.location)
            if form == "dshow":
                location = _directshow_name(location)
            options["framerate"] = f"{settings.fps or _WEBCAM_FPS:g}"
            if settings.size:
                options["video_size"] = f"{settings.size[0]}x{settings.size[1]}"
        else:
            options["protocol_whitelist"] = {"file": "file", "pipe": "pipe"}.get(address.kind, _NETWORK_PROTOCOLS)
            if settings.fps:
                options["framerate"] = f"{settings.fps:g}"
        if address.kind in _FROM_AFAR:
            options["fpsprobesize"] = "0"  # do not hold back a second of pictures to measure their rate
        if address.kind == "camera" and location.lower().startswith("rtsp"):
            options |= {"rtsp_transport": settings.transport, "allowed_media_types": "video"}
        waits = (settings.open_timeout_s, settings.stall_s) if address.kind in _FROM_AFAR else None
        try:
            if address.kind == "pipe":
                self._pipe = PipeReader(cast(IO[bytes], sys.stdin.buffer))
                container = av.open(self._pipe, "r", options=options)
                self.raise_interrupt()
                return container
            return av.open(location, "r", format=form, options=options, timeout=waits)
        except (FFmpegError, OSError, ValueError) as error:
            self.raise_interrupt()
            raise SourceError(f"{address.name}: expected a video, got none: {_open_reason(error, address, settings)}") from None

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture file, not a video."""
        return self.kind == "image2" or self.kind.endswith("_pipe")

    @property
    def length_s(self) -> float | None:
        """How long the video is, from `start_s` on, as the container's header says; None when it does not."""
        stream, tags = self.stream, self.stream.metadata
        end: float | None = None
        if stream.duration is not None:
            first = stream.start_time * self.tick_s if stream.start_time is not None else self.start_s
            end = first - self.start_s + stream.duration * self.tick_s
        elif "DURATION" in tags:
            with suppress(ValueError):
                hours, minutes, seconds = tags["DURATION"].split(":")
                end = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        elif self._container.duration is not None:
            end = self._container.duration / av.time_base
        if self._by_dts and stream.frames:
            end = stream.frames * self.interval_s
        return end if end and end > 0 else None

    def packets(self) -> Iterator[Packet[VideoStream] | FFmpegError | None]:
        """The video's packets, then None (`decode` takes it to give what is held back); a fault in the place of what cannot be read."""
        packets = self._container.demux(self.stream)
        faults = 0
        while faults < _HOPELESS_FAULTS:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                faults += 1
                yield error
                if isinstance(error, _SILENCE):
                    break
                packets = self._container.demux(self.stream)
                continue
            if packet is None or (packet.dts is None and packet.pts is None and not packet.size):
                break
            faults = 0
            if packet.size:
                if self._first_dts is None:
                    self._first_dts = packet.dts
                yield packet
        self.raise_interrupt()
        yield None

    def decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """The pictures that a packet completes; those that are held back for None.

        Raises:
            FFmpegError: the packet is damaged.
        """
        return self.stream.codec_context.decode(packet)

    def packet_time_s(self, packet: Packet[VideoStream]) -> float | None:
        """When a packet's picture is due; None when the container does not say."""
        stamp = packet.dts if self._by_dts or packet.pts is None else packet.pts
        return None if stamp is None else stamp * self.tick_s

    def time_s(self, frame: VideoFrame) -> float | None:
        """When a picture is due; None when the container does not say."""
        if not self._by_dts:
            return None if frame.pts is None else frame.pts * self.tick_s
        if frame.dts is None:
            return None
        if self._delay is None:  # a picture carries the stamp of the packet that brought it out, always the same number of packets late
            self._delay = frame.dts - (self._first_dts if self._first_dts is not None else frame.dts)
        return (frame.dts - self._delay) * self.tick_s

    def image(self, frame: VideoFrame) -> Image:
        """A picture as an upright image `(H, W, 3) uint8 RGB`."""
        with self._one_at_a_time:
            rgb = self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        return self._upright(np.ascontiguousarray(rgb, np.uint8), frame)

    def grey(self, frame: VideoFrame) -> NDArray[np.uint8] | None:
        """A picture as an upright `(H, W) uint8`: the brightness as the decoder has it, of which 16 may be black and 235 white. It cannot be written to: unless
        the video is turned, it is the decoder's own. None where a picture's pixels are of another kind."""
        if frame.format.name not in _WITH_LUMA:
            return None
        plane = frame.planes[0]
        luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        luma.flags.writeable = False
        return self._upright(luma[: frame.height, : frame.width], frame)

    def _upright(self, pixels: NDArray[np.uint8], frame: VideoFrame) -> NDArray[np.uint8]:
        transposed, flip = self._orientation(frame)
        if transposed:
            pixels = np.asarray(cv2.transpose(pixels), np.uint8)
        return pixels if flip is None else np.asarray(cv2.flip(pixels, flip), np.uint8)

    def upright_size(self, frame: VideoFrame) -> tuple[int, int]:
        """Width and height in px of a picture's upright image."""
        return (frame.height, frame.width) if self._orientation(frame)[0] else (frame.width, frame.height)

    def _orientation(self, frame: VideoFrame) -> tuple[bool, int | None]:
        # Asking for the matrix is dear: the angle tells whether it is still the same.
        angle = frame.rotation
        if self._turned is None or self._turned[0] != angle:
            self._turned = angle, orientation(frame)
        return self._turned[1]

    @property
    def seeks(self) -> bool:
        """Whether the container's index knows every packet, so that jumping is exact."""
        return self._pipe is None and 0 < self.stream.frames == len(self.stream.index_entries)

    def seek(self, time_s: float) -> int | None:
        """Jump to the last key picture due at or before `time_s` (to the start when there is none).

        Returns:
            How many packets lie before it; None where that cannot be told: then reading goes on from the start.
        """
        entries = self.stream.index_entries
        first = entries[0].timestamp
        if entries[0].is_discard:
            return None
        target = round(time_s / self.tick_s)
        while target > first:
            self._container.seek(target, stream=self.stream)
            packet = next(self._container.demux(self.stream), None)
            if packet is None or packet.dts is None or packet.pts is None:
                break
            if packet.is_keyframe and packet.pts * self.tick_s <= time_s:
                number = entries.search_timestamp(packet.dts, any_frame=True)
                if number < 0 or entries[number].timestamp != packet.dts:
                    break
                self._container.seek(target, stream=self.stream)
                self._first_dts, self._delay = None, None
                return number
            target = min(target, packet.dts) - 1
        self._container.seek(first, stream=self.stream)
        self._first_dts, self._delay = None, None
        return 0 if target <= first else None

    def raise_interrupt(self) -> None:
        """Raise the Ctrl-C that came while libav was reading the pipe: it cannot pass through libav itself."""
        if self._pipe is not None and self._pipe.interrupt is not None:
            raise self._pipe.interrupt

    def close(self) -> None:
        """Close the container; nothing of it may be used any more."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DecodedFrame(Frame):
    """A frame of a video, whose image is made when it is first asked for: plates are followed in the brightness that the decoder
    gives."""

    __slots__ = ("_decoded", "_image", "_picture", "_video")
    _video: Video
    _decoded: VideoFrame
    _image: Image | None
    _picture: NDArray[np.uint8] | None

    def __init__(self, video: Video, decoded: VideoFrame, source: str, index: int, time_s: float | None) -> None:
        values = {"source": source, "index": index, "time_s": time_s, "_video": video, "_decoded": decoded, "_image": None, "_picture": None}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[type[Frame], tuple[Image, str, int, float | None]]:
        """Copied or sent to another process, it is a plain frame."""
        return Frame, (self.image, self.source, self.index, self.time_s)

    @property
    def image(self) -> Image:
        """`(H, W, 3) uint8 RGB`."""
        image = self._image
        if image is None:
            image = self._video.image(self._decoded)
            object.__setattr__(self, "_image", image)
        return image

    @property
    def picture(self) -> NDArray[np.uint8]:
        """`(H, W) uint8`, see `Video.grey`; the image where there is none."""
        picture = self._picture
        if picture is None:
            grey = self._video.grey(self._decoded)
            picture = self.image if grey is None else grey
            object.__setattr__(self, "_picture", picture)
        return picture


class PipeReader:
    """What libav reads a pipe through: as much as is there, so that live pictures do not wait for a full buffer."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.interrupt: BaseException | None = None

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end and after Ctrl-C."""
        if self.interrupt is not None:
            return b""
        try:
            return cast(bytes, self._file.read1(size))  # type: ignore[attr-defined]
        except OSError:
            return b""
        except BaseException as error:  # noqa: BLE001  Ctrl-C, which libav would swallow
            self.interrupt = error
            return b""


def orientation(frame: VideoFrame) -> tuple[bool, int | None]:
    """Whether a picture must be transposed to stand upright, and how it must be flipped then (OpenCV's code: 1 sideways, 0 over, -1 both, None not).

    From the display matrix, rows (a b u) (c d v): a pixel (x, y) is shown at (a·x + c·y, b·x + d·y). Only quarter turns are followed.
    """
    # A picture that was asked for its side data lives until the next garbage collection; a thumbnail of it has the same data.
    matrix = frame.reformat(width=16, height=16).side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, None
    a, b, _, c, d = _MATRIX.unpack(bytes(cast(Buffer, matrix))[: _MATRIX.size])[:5]
    transposed = abs(b) > abs(a)
    sideways, over = (c < 0, b < 0) if transposed else (a < 0, d < 0)
    return transposed, {(True, False): 1, (False, True): 0, (True, True): -1}.get((sideways, over))


def fault_reason(error: FFmpegError, stall_s: float) -> str:
    """Why reading a live source failed, in words."""
    if isinstance(error, _SILENCE):
        return f"nothing came for {stall_s:g} s"
    return "the connection broke off" if _is_broken(error) else _reason(error)


def _video_stream(container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if getattr(stream, "codec_context", None) is None:
                raise SourceError("expected a video that can be decoded, got an unknown codec; convert it to H.264")
            return stream
    found = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise SourceError(f"expected a video, got a file with {found} alone")


def _open_reason(error: Exception, address: Address, settings: StreamSettings) -> str:
    if isinstance(error, _SILENCE):
        return f"no answer within {settings.open_timeout_s:g} s; check that it is switched on and can be reached"
    if isinstance(error, av.error.InvalidDataError):
        if address.kind == "file":
            return "it is no video, or it is cut before its index (mp4 and mov files often keep it at the end); copy it again"
        if address.kind == "pipe":
            return "what is piped is no video, or a kind that needs jumping (mp4); pipe mkv, ts, y4m or MJPEG"
        return "what it sends is no video"
    if address.kind == "webcam" and isinstance(error, av.error.FileNotFoundError):
        return (
            f"there is no webcam {address.name} here; a file of this name is ./{address.name}"
            if address.name.isdigit()
            else "there is no such webcam"
        )
    if address.kind in ("camera", "web") and _is_broken(error):
        return "the host is unknown, or it ended the connection; check the address"
    return _reason(error)


def _is_broken(error: Exception) -> bool:
    """Whether libav says no more than that input or output failed."""
    return getattr(error, "errno", None) in (errno.EIO, errno.ECONNRESET, errno.EPIPE)


def _reason(error: Exception) -> str:
    for kind, words in (
        (av.error.HTTPUnauthorizedError, "user name or password is refused; write rtsp://user:password@host/…"),
        (av.error.HTTPForbiddenError, "access is forbidden"),
        (av.error.HTTPNotFoundError, "nothing is under this path"),
        (av.error.ConnectionRefusedError, "nothing listens there; check host and port"),
        (av.error.PermissionError, "permission denied"),
        (av.error.ProtocolNotFoundError, "this kind of address is not supported here"),
    ):
        if isinstance(error, kind):
            return words
    return (getattr(error, "strerror", None) or str(error)).lower()


def _directshow_name(location: str) -> str:
    cameras = [device.name for device in av.enumerate_input_devices("dshow") if "video" in device.media_types]
    if not location.isdigit() or int(location) >= len(cameras):
        raise ValueError(f"there are {len(cameras)} webcams, counted from 0")
    return f"video={cameras[int(location)]}"
