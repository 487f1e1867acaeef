"""Image in, detections and their readings out: one network that detects and reads, in two files that share its features."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openplate.detect.decode import decode_detections
from openplate.detect.detector import detection_scale, prepare
from openplate.engine import JointNetwork, open_joint_network, open_network
from openplate.errors import WeightsError
from openplate.formats import Format
from openplate.geometry import grow_quad
from openplate.read.decode import Decoder
from openplate.types import Detection, EngineReport, Image, Quad, Reading

MAPS = 4
"""Feature maps that the first file gives and the second takes."""


def reader_beside(path: Path) -> Path:
    """The file that reads what `path` has seen: `NAME-reader.onnx` beside `NAME.onnx`."""
    return path.with_name(f"{path.stem}-reader{path.suffix}")


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the network saw in one image: its detections, the most confident first, and the features in which it reads."""

    detections: tuple[Detection, ...]
    scale: float
    maps: tuple[NDArray[np.float32], ...]
    reader: JointNetwork

    def read(self, quads: Sequence[Quad]) -> NDArray[np.float32]:
        """`(Q, T, K)` log-probabilities of quads in the image's px; what one quad reads never depends on the others.

        Raises:
            ValueError: there are no quads.
        """
        if not quads:
            raise ValueError("expected one quad or more, got none")
        scaled = np.stack([np.asarray(quad, np.float32) for quad in quads]) * np.float32(self.scale)
        log_probabilities: NDArray[np.float32] = self.reader(*self.maps, scaled)[0]
        return log_probabilities


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
        self._reader = open_joint_network(beside, MAPS + 1, engine=engine, device=device, precision="fp32", threads=threads)
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
        self._threshold = float(metadata["openplate.threshold"])

    def __call__(self, image: Image) -> Look:
        """Looks at one image `(H, W, 3) uint8 RGB`; quads are in its px."""
        height, width = image.shape[:2]
        # SSD's 300 px are the longer side whatever the image; the light network takes images as the detector does.
        scale = self._side / max(width, height) if self._fixed else detection_scale(width, height, self._side)
        output, *maps = self._network(prepare(image, scale)[None])
        found = decode_detections(output[0], self._threshold)
        detections = tuple(Detection(np.asarray(d.quad / scale, dtype=np.float32), d.confidence) for d in found)
        return Look(detections, scale, tuple(maps), self._reader)


@dataclass(frozen=True, slots=True, eq=False)
class ReadDetection:
    """A detection and what was read in it."""

    detection: Detection
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

    def __call__(self, image: Image, unsure: Callable[[Reading], bool], margins: Sequence[tuple[float, float]]) -> list[ReadDetection]:
        """Finds and reads the plates of one image `(H, W, 3) uint8 RGB`, the most confident first; see `read`."""
        return self.read(self.look(image), unsure, margins)

    def read(self, look: Look, unsure: Callable[[Reading], bool], margins: Sequence[tuple[float, float]]) -> list[ReadDetection]:
        """Reads all detections of a look.

        Args:
            look: what `look` gave of an image.
            unsure: whether a reading of one view is to be helped by further views.
            margins: by how much the quad is grown for each further view, as `openplate.geometry.grow_quad` takes it; all views are decoded together.
        """
        if not look.detections:
            return []
        found = []
        for detection, first in zip(look.detections, look.read([d.quad for d in look.detections]), strict=True):
            reading = self.decoder.decode([first])
            if margins and unsure(reading):
                reading = self.decoder.decode([first, *look.read([grow_quad(detection.quad, *margin) for margin in margins])])
            found.append(ReadDetection(detection, reading))
        return found
