"""Image in, detections and their readings out: one network that detects and reads, in two files that share its features."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.detect.decode import decode_detections
from openplate.detect.detector import detection_scale, prepare
from openplate.engine import JointNetwork, open_joint_network, open_network
from openplate.errors import WeightsError
from openplate.formats import Format
from openplate.geometry import grow_quad, quad_size
from openplate.read.decode import Decoder
from openplate.rectify import CROP_HEIGHT, CROP_WIDTH
from openplate.types import Detection, EngineReport, Image, Quad, Reading

MAPS = 3
"""Maps of features that the first file gives and the second takes."""
COARSER = 1.5
"""From how many pixels to one of the reader's on, along both sides, a plate is read in pixels of half the number."""


def reader_beside(path: Path) -> Path:
    """The file that reads what `path` has seen: `NAME-reader.onnx` beside `NAME.onnx`."""
    return path.with_name(f"{path.stem}-reader{path.suffix}")


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the network saw in one image: detections, the most confident first, those under the network's threshold in `faint`; the features in which it
    reads; and the image's pixels, `(h, w) uint8` grey, which cover what the features cover."""

    detections: tuple[Detection, ...]
    faint: tuple[Detection, ...]
    grey: NDArray[np.uint8]
    maps: tuple[NDArray[np.float32], ...]
    reader: JointNetwork
    _levels: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def read(self, quads: Sequence[Quad], correct: bool = True) -> tuple[NDArray[np.float32], list[Quad]]:
        """`(Q, T, K)` log-probabilities of quads in the image's px, and the quads through which they were read; what one quad reads never depends on the
        others.

        Args:
            quads: as they were detected.
            correct: whether their corners are corrected first, or they are read as they are.

        Raises:
            ValueError: there are no quads.
        """
        if not quads:
            raise ValueError("expected one quad or more, got none")
        levels = [_level(quad) for quad in quads]
        found: dict[int, tuple[NDArray[np.float32], Quad]] = {}
        for level in sorted(set(levels)):
            places = [i for i, own in enumerate(levels) if own == level]
            pixels = self.pixels(level)
            factor = np.array([pixels.shape[3] / self.grey.shape[1], pixels.shape[2] / self.grey.shape[0]], np.float32)
            scaled = np.stack([np.asarray(quads[i], np.float32) for i in places]) * factor
            said, seen = self.reader(pixels, *self.maps, scaled, np.full(len(places), correct, np.float32))
            found |= dict(zip(places, zip(said, seen / factor, strict=True), strict=True))
        return np.stack([found[i][0] for i in range(len(quads))]), [found[i][1] for i in range(len(quads))]

    def pixels(self, level: int) -> NDArray[np.float32]:
        """The pixels averaged down by 2 ** `level`, `(1, 1, h, w)`."""
        if level not in self._levels:
            height, width = self.grey.shape
            size = max(1, round(width / 2**level)), max(1, round(height / 2**level))
            smaller = self.grey if level == 0 else cv2.resize(self.grey, size, interpolation=cv2.INTER_AREA)
            self._levels[level] = np.asarray(smaller, dtype=np.float32)[None, None]
        return self._levels[level]


def _level(quad: Quad) -> int:
    """How often the pixels are to be halved so that a plate does not alias when it is sampled at the reader's size."""
    width, height = quad_size(quad)
    shrink = min(width / CROP_WIDTH, height / CROP_HEIGHT)
    return max(0, math.ceil(math.log2(max(shrink, 1e-6) / COARSER)))


def grey_pixels(image: Image, width: int, height: int) -> NDArray[np.uint8]:
    """An image `(H, W, 3) uint8 RGB` in grey, its last row and column repeated up to `width` and `height` px."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    right, below = max(0, width - grey.shape[1]), max(0, height - grey.shape[0])
    return np.asarray(cv2.copyMakeBorder(grey, 0, below, 0, right, cv2.BORDER_REPLICATE)[:height, :width], dtype=np.uint8)


class EndToEnd:
    """The end-to-end network with its preparation: the image goes through the backbone once, however many quads are read.

    `path` is the first file, the second lies beside it (`reader_beside`). The second always runs in fp32: places in an image need the digits.

    Raises:
        WeightsError: a file is missing or no end-to-end network of this project, or the two are not of one training.
        EngineError: the engine, device or precision is not available.
    """

    def __init__(self, path: Path, engine: str = "auto", device: str = "cpu", precision: str = "auto", threads: int = 1) -> None:
        self._network = open_network(path, engine=engine, device=device, precision=precision, threads=threads)
        metadata = self._network.metadata
        if metadata.get("openplate.kind") != "end-to-end":
            raise WeightsError(f"{path}: expected an end-to-end network of openplate, got kind {metadata.get('openplate.kind')!r}")
        beside = reader_beside(path)
        self._reader = open_joint_network(beside, MAPS + 3, engine=engine, device=device, precision="fp32", threads=threads)
        other = self._reader.metadata
        if other.get("openplate.kind") != "end-to-end-reader":
            raise WeightsError(f"{beside}: expected the reader of {path.name}, got kind {other.get('openplate.kind')!r}")
        if any(metadata.get(key) != other.get(key) for key in ("openplate.step", "openplate.training")):
            raise WeightsError(f"{beside}: is not of the same training as {path.name}; export both again")
        self.metadata = other
        """What the reader says of itself: charset, rows, calibration."""
        self.report: EngineReport = self._network.report
        self._side = int(metadata["openplate.side"])
        self._fixed = metadata.get("openplate.scaling") == "side"
        self.threshold = float(metadata["openplate.threshold"])
        self._faint = float(metadata.get("openplate.faint", metadata["openplate.threshold"]))

    def __call__(self, image: Image) -> Look:
        """Looks at one image `(H, W, 3) uint8 RGB`; quads are in its px."""
        height, width = image.shape[:2]
        # SSD's 300 px are the longer side whatever the image; the light network takes images as the detector does.
        scale = self._side / max(width, height) if self._fixed else detection_scale(width, height, self._side)
        prepared = prepare(image, scale)
        # The sides were rounded to whole pixels, each by itself.
        scales = np.array([max(1, round(width * scale)) / width, max(1, round(height * scale)) / height], np.float32)
        output, *maps = self._network(prepared[None])
        found = decode_detections(output[0], self._faint)
        detections = [Detection(np.asarray(d.quad / scales, dtype=np.float32), d.confidence) for d in found]
        sure = tuple(d for d in detections if d.confidence >= self.threshold)
        grey = grey_pixels(image, round(prepared.shape[1] / float(scales[0])), round(prepared.shape[0] / float(scales[1])))
        return Look(sure, tuple(detections[len(sure) :]), grey, tuple(maps), self._reader)


@dataclass(frozen=True, slots=True, eq=False)
class ReadQuad:
    """A quad with its corners corrected, and what was read in it."""

    quad: Quad
    reading: Reading


class OnePass:
    """The end-to-end network with the decoder of the two-stage path: an image's detections and their readings.

    Raises:
        WeightsError: see `EndToEnd`.
        EngineError: the engine, device or precision is not available.
        FormatError: a country code is not known.
    """

    def __init__(
        self,
        path: Path,
        formats: Sequence[Format],
        country: Sequence[str] = (),
        only: Sequence[str] = (),
        engine: str = "auto",
        device: str = "cpu",
        precision: str = "auto",
        threads: int = 1,
    ) -> None:
        self.look = EndToEnd(path, engine, device, precision, threads)
        self.decoder = Decoder.of_network(self.look.metadata, formats, country, only)
        self.report = self.look.report

    def hinting(self, formats: Sequence[Format], country: Sequence[str], only: Sequence[str]) -> OnePass:
        """The same network with other hints.

        Raises:
            FormatError: a country code is not known.
        """
        other = copy.copy(self)
        other.decoder = self.decoder.hinting(formats, country, only)
        return other

    def read(
        self,
        look: Look,
        quads: Sequence[Quad],
        unsure: Callable[[Reading], bool],
        margins: Sequence[tuple[float, float]],
        correct: bool = True,
    ) -> list[ReadQuad]:
        """Reads quads in the image of a look.

        Args:
            look: what `look` gave of an image.
            quads: places in it, in its px.
            unsure: whether a reading of one view is to be helped by further views.
            margins: by how much the corrected quad is grown for each further view, as `openplate.geometry.grow_quad` takes it; all views are decoded
                together.
            correct: whether corners are corrected first.
        """
        if not quads:
            return []
        found = []
        for first, quad in zip(*look.read(quads, correct), strict=True):
            reading = self.decoder.decode([first])
            if margins and unsure(reading):
                reading = self.decoder.decode([first, *look.read([grow_quad(quad, *margin) for margin in margins], correct=False)[0]])
            found.append(ReadQuad(quad, reading))
        return found
