"""Image in, detections out, with a network of this project."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from openplate.detect.decode import decode_detections, place_corners, suppress
from openplate.engine import Network, open_network
from openplate.errors import WeightsError
from openplate.geometry import quad_size, quad_to_box
from openplate.types import Detection, EngineReport, Image

MULTIPLE = 64
GREY = 114
SURE = 0.75
"""Where no detection is as confident as this, the image is looked at a second time, from farther away: a plate close to the camera may be too large to see."""
FARTHER = 0.35
"""The second look's scale: an eighth of the first one's cost."""
CLOSE = 0.1
"""The second look is for plates at least this wide, as a part of the first look's longer side; smaller ones are the first one's to judge."""


class Detects(Protocol):
    """A detector: one image in, its detections out, the most confident first.

    A detection at least as confident as `threshold` counts; `candidates` are these and fainter ones, of which a reading has to say whether they are plates.
    """

    report: EngineReport
    threshold: float

    def __call__(self, image: Image) -> list[Detection]: ...

    def candidates(self, image: Image) -> list[Detection]: ...


class Detector:
    """The detector network with its preparation: scaled, padded with grey to whole strides; a second look from farther away where the first is not sure.

    Args:
        path: the network's file.
        engine: engine, device, precision and threads as in `openplate.engine.open_network`.
        device: see `engine`.
        precision: see `engine`.
        threads: see `engine`.
        network: the file when it is open already.

    Raises:
        WeightsError: the file is not a detector of this project.
        EngineError: the engine, device or precision is not available.
    """

    def __init__(
        self,
        path: Path,
        engine: str = "auto",
        device: str = "cpu",
        precision: str = "auto",
        threads: int = 1,
        network: Network | None = None,
    ) -> None:
        self._network = network or open_network(path, engine=engine, device=device, precision=precision, threads=threads)
        metadata = self._network.metadata
        if metadata.get("openplate.kind") != "detector":
            kind = metadata.get("openplate.kind")
            advice = "; read with --model end-to-end" if kind == "end-to-end" else ""
            raise WeightsError(f"{path}: expected a detector of openplate, got kind {kind!r}{advice}")
        self.report = self._network.report
        self._side = int(metadata["openplate.side"])
        self.threshold = float(metadata["openplate.threshold"])
        self._faint = float(metadata.get("openplate.faint", self.threshold))
        # Files without strides give corners in px; placing all 11,475 rows of a photo in the network took 1.2 ms of 28.
        self._strides = tuple(int(stride) for stride in metadata.get("openplate.strides", "").split())
        self._reach = float(metadata.get("openplate.reach", 1))

    def __call__(self, image: Image) -> list[Detection]:
        """The plates of one image `(H, W, 3) uint8 RGB`, quads in its px, the most confident first."""
        return [d for d in self.candidates(image) if d.confidence >= self.threshold]

    def candidates(self, image: Image) -> list[Detection]:
        """What may be plates in one image, those that are and fainter ones, the most confident first."""
        scale = detection_scale(image.shape[1], image.shape[0], self._side)
        detections = self._look(image, scale)
        if any(d.confidence >= SURE for d in detections):
            return detections
        least = CLOSE * max(image.shape[:2])
        detections += [d for d in self._look(image, FARTHER * scale) if quad_size(d.quad)[0] >= least]
        detections.sort(key=lambda d: -d.confidence)
        boxes = np.array([quad_to_box(d.quad) for d in detections], np.float32).reshape(-1, 4)
        return [detections[i] for i in suppress(boxes)]

    def _look(self, image: Image, scale: float) -> list[Detection]:
        prepared = prepare(image, scale)
        output = self._network(prepared[None])[0][0]
        if self._strides:
            output = place_corners(output, (prepared.shape[0], prepared.shape[1]), self._strides, self._reach, self._faint)
        return [Detection(np.asarray(d.quad / scale, dtype=np.float32), d.confidence) for d in decode_detections(output, self._faint)]


def detection_scale(width: int, height: int, side: int) -> float:
    """How much an image is scaled before detection.

    The longer side becomes `side` px, but photos are never scaled below a half (up to twice `side`): plates of 4K photos stay large enough. Small photos
    are enlarged at most twice.
    """
    longest = max(width, height)
    wanted = max(side, min(longest / 2, 2 * side))
    return float(min(2.0, wanted / longest))


def prepare(image: Image, scale: float) -> Image:
    """The image scaled, and padded with grey on the right and below to multiples of 64 px."""
    height, width = image.shape[:2]
    new_h, new_w = max(1, round(height * scale)), max(1, round(width * scale))
    # Above a half, INTER_LINEAR looks at every pixel too, and is faster.
    method = cv2.INTER_AREA if scale <= 0.5 else cv2.INTER_LINEAR
    scaled = image if (new_w, new_h) == (width, height) else cv2.resize(image, (new_w, new_h), interpolation=method)
    padded = np.full((-(-new_h // MULTIPLE) * MULTIPLE, -(-new_w // MULTIPLE) * MULTIPLE, 3), GREY, np.uint8)
    padded[:new_h, :new_w] = scaled
    return padded
