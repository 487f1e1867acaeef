"""Small videos whose pictures show their own number, as ten blocks in a row: the lowest bit is on the left."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from openplate.types import Image

WIDTH, HEIGHT, BITS = 160, 96, 10
FPS = 25
CORNER = (200, 40, 30)
"""Colour of the top left corner, the only coloured part."""


def draw(number: int) -> Image:
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    image[:8, :24] = CORNER
    for bit in range(BITS):
        image[8:40, 8 + 14 * bit : 20 + 14 * bit] = 255 if number >> bit & 1 else 0
    return image


def number(image: Image) -> int:
    return sum(1 << bit for bit in range(BITS) if image[12:36, 10 + 14 * bit : 18 + 14 * bit].mean() > 128)


def write_clip(
    path: Path,
    codec: str = "libx264",
    count: int = 50,
    *,
    times_s: Sequence[float] | None = None,
    key_every: int = 10,
    turn: tuple[float, bool] | None = None,
    container: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    sound: bool = False,
    form: str | None = None,
    pixels: str | None = None,
) -> Path:
    """A video of `count` pictures at 25 a second, or at the times given; `turn`: counter-clockwise degrees and whether mirrored, kept as metadata."""
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    with av.open(str(path), "w", format=form, options=container or {}) as output:
        stream: Any = output.add_stream(codec, rate=FPS, options=quiet | (options or {}))
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = pixels or ("yuvj420p" if codec == "mjpeg" else "yuv420p")
        stream.codec_context.gop_size = key_every
        if times_s is not None:
            stream.codec_context.time_base = Fraction(1, 90_000)
        if turn is not None:
            stream.set_display_rotation(turn[0], hflip=turn[1])
        tone: Any = output.add_stream("aac", rate=8000, layout="mono") if sound else None
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(draw(i), format="rgb24")
            if times_s is not None:
                frame.pts, frame.time_base = round(times_s[i] * 90_000), Fraction(1, 90_000)
            output.mux(stream.encode(frame))
            if tone is not None:
                wave = np.sin(np.arange(320) * 0.3 + i, dtype=np.float32).reshape(1, -1)
                samples = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = 8000, i * 320, Fraction(1, 8000)
                output.mux(tone.encode(samples))
        for one in (stream, tone):
            if one is not None:
                output.mux(one.encode(None))
    return path


def spoil(path: Path, first: int, end: int) -> Path:
    """The file with noise in place of the packets `first` to `end` - 1, in the order of the file."""
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.pos is not None]
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(1).integers(0, 256, places[end] - places[first], np.uint8)
    data[places[first] : places[end]] = noise.tobytes()
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    """The first part of the file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
