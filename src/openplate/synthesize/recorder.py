"""A photo of a plate in, one frame of a film of it out, as a recorder keeps it.

Recorders wipe out fine strokes otherwise than photos do: a frame repeats what the ones before it kept, moved, and adds coarse steps of what changed (H.264).
What is lost in one frame is mostly lost in all, so that looks at the same plate are wrong in the same way.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import av
import cv2
import numpy as np
from av.codec import Codec
from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from openplate.errors import OpenPlateError
from openplate.synthesize.camera import add_noise

Grey = NDArray[np.uint8]
"""`(H, W) uint8`."""
_SIZES = ((160, 96), (352, 224))
"""Widths and heights of films; photos larger than all of them are shown by the largest one, smaller."""
_QUANTISERS = range(22, 40, 2)
"""Of moving pictures; crf 20 to 29 gives plates, which are full of detail, about these."""
_NEUTRAL = 128
_OPTIONS = {"preset": "veryfast", "tune": "zerolatency", "forced-idr": "1", "g": "1000000"}


class _Recorder:
    """Films of one size at one quantiser. Each begins with a picture that refers to none before: it does not depend on what was filmed before."""

    def __init__(self, size: tuple[int, int], quantiser: int) -> None:
        try:
            self._encoder = _open("libx264", "w")
        except UnknownCodecError:
            raise OpenPlateError(
                "filmed_share: expected PyAV with the encoder libx264, this one has none; install the wheel of PyAV, or set filmed_share to 0"
            ) from None
        self._encoder.width, self._encoder.height = size
        self._encoder.pix_fmt = "yuv420p"
        self._encoder.framerate = Fraction(25)
        self._encoder.options = _OPTIONS | {"qp": str(quantiser)}
        self._decoder = _open("h264", "r")
        self._count = 0

    def last_of(self, frames: Sequence[Grey]) -> Grey:
        """The last of some frames, as it is seen once they are recorded."""
        seen = []
        for number, frame in enumerate(frames):
            height, width = frame.shape
            planes = np.concatenate((frame, np.full((height // 2, width), _NEUTRAL, np.uint8)))
            picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            picture.pts, self._count = self._count, self._count + 1
            picture.pict_type = PictureType.NONE if number else PictureType.I
            for packet in self._encoder.encode(picture):
                seen += self._decoder.decode(packet)
        return np.asarray(seen[-1].to_ndarray(format="yuv420p")[:height, :width], dtype=np.uint8)


def film(photo: Grey, rng: random.Random) -> Grey:
    """A photo of a plate as one frame of a film shows it: it comes nearer, goes by or stands, through a lens, with the noise of each frame.

    Raises:
        OpenPlateError: there is no encoder for H.264.
    """
    height, width = photo.shape
    fitting = [size for size in _SIZES if size[0] >= width and size[1] >= height]
    wide, high = fitting[0] if fitting else _SIZES[-1]
    photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.35, 1.0)), dtype=np.uint8)
    shrink = min(1.0, wide / width, high / height)
    left, top = rng.random() * (wide - width * shrink), rng.random() * (high - height * shrink)
    stands = rng.random() < 0.25
    dx, dy, nearer = (0.0, 0.0, 0.0) if stands else (rng.gauss(0, 1.5), rng.gauss(0, 2.0), rng.gauss(0, 0.012))
    sigma = rng.uniform(0.5, 6.0)
    count = rng.randint(2, 6)
    frames = []
    for ahead in range(count - 1, -1, -1):
        scale = shrink * math.exp(-nearer * ahead)
        x, y = left + width * (shrink - scale) / 2 - dx * ahead, top + height * (shrink - scale) / 2 - dy * ahead
        moved = cv2.warpAffine(photo, np.array([[scale, 0, x], [0, scale, y]]), (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        frames.append(add_noise(np.asarray(moved, dtype=np.uint8), sigma, False, rng))
    seen = _recorder((wide, high), rng.choice(_QUANTISERS)).last_of(frames)
    back = np.array([[1 / shrink, 0, -left / shrink], [0, 1 / shrink, -top / shrink]])
    return np.asarray(cv2.warpAffine(seen, back, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


@lru_cache(maxsize=len(_SIZES) * len(_QUANTISERS))
def _recorder(size: tuple[int, int], quantiser: int) -> _Recorder:
    return _Recorder(size, quantiser)


def _open(name: str, mode: str) -> VideoCodecContext:
    context = Codec(name, mode).create("video")  # type: ignore[arg-type]
    context.thread_count = 1
    return context
