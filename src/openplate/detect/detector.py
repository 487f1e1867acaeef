"""Image in, detections out, with a network of this project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a detector saw in an image.

    `candidates` are what may be plates, the most confident first: those that count and fainter ones. A network that reads in its own features gives those
    of its first look too, `(C, h, w) float32` each, which cover `features_px` (width, height) of the image's px.
    """

    candidates: list[Detection]
    features: tuple[NDArray[np.float32], ...] = ()
    features_px: tuple[float, float] = (0.0, 0.0)


class Detects(Protocol):
    """A detector: one image in, its detections out, the most confident first.

    A detection at least as confident as `threshold` counts; `see` gives fainter ones too, of which a reading has to say whether they are plates.
    """

    report: EngineReport
    threshold: float

    def __call__(self, image: Image) -> list[Detection]: ...

    def see(self, image: Image) -> Seen: ...


class Detector:
    """The detector network with its preparation: scaled, padded with grey to whole strides; a second look from farther away where the first is not sure.

    Args:
        path: the network's file.
        engine: engine, device, precision and threads as in `openplate.engine.open_network`.
        device: see `engine`.
        precision: see `engine`.
        threads: see `engine`.
        network: the file when it is open already.
        kind: what the file has to be; "end-to-end" gives features beside its detections.

    Raises:
        WeightsError: the file is not a detector of this project, or not of that kind.
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
        kind: str = "detector",
    ) -> None:
        self._network = network or open_network(path, engine=engine, device=device, precision=precision, threads=threads)
        self.metadata = metadata = self._network.metadata
        found = metadata.get("openplate.kind")
        if found != kind:
            wanted = "a detector" if kind == "detector" else "the first file of an end-to-end network"
            advice = "; read with --model end-to-end" if found == "end-to-end" else "; name the file that openplate export gave"
            raise WeightsError(f"{path}: expected {wanted} of openplate, got kind {found!r}{advice}")
        self.report = self._network.report
        self._side = int(metadata["openplate.side"])
        self.threshold = float(metadata["openplate.threshold"])
        self._faint = float(metadata.get("openplate.faint", self.threshold))
        # Files without strides give corners in px; placing all 11,475 rows of a photo in the network took 1.2 ms of 28.
        self._strides = tuple(int(stride) for stride in metadata.get("openplate.strides", "").split())
        self._reach = float(metadata.get("openplate.reach", 1))
        self.looks_once = metadata.get("openplate.scaling") == "side"
        """Whether an image has one scale, whatever its size, as SSD's have."""

    def __call__(self, image: Image) -> list[Detection]:
        """The plates of one image `(H, W, 3) uint8 RGB`, quads in its px, the most confident first."""
        return [d for d in self.see(image).candidates if d.confidence >= self.threshold]

    def see(self, image: Image) -> Seen:
        """What may be plates in one image, and the network's features where it gives them."""
        height, width = image.shape[:2]
        # SSD's 300 px are the longer side whatever the image, and it has no levels to spare for a second look.
        scale = self._side / max(width, height) if self.looks_once else detection_scale(width, height, self._side)
        seen = self._look(image, scale)
        if self.looks_once or any(d.confidence >= SURE for d in seen.candidates):
            return seen
        least = CLOSE * max(width, height)
        candidates = seen.candidates + [d for d in self._look(image, FARTHER * scale).candidates if quad_size(d.quad)[0] >= least]
        candidates.sort(key=lambda d: -d.confidence)
        boxes = np.array([quad_to_box(d.quad) for d in candidates], np.float32).reshape(-1, 4)
        return Seen([candidates[i] for i in suppress(boxes)], seen.features, seen.features_px)

    def _look(self, image: Image, scale: float) -> Seen:
        height, width = image.shape[:2]
        # The sides are rounded to whole pixels, each by itself.
        scales = np.array([max(1, round(width * scale)) / width, max(1, round(height * scale)) / height], np.float32)
        prepared = prepare(image, scale)
        output, *maps = self._network(prepared[None])
        rows = output[0]
        if self._strides:
            rows = place_corners(rows, (prepared.shape[0], prepared.shape[1]), self._strides, self._reach, self._faint)
        detections = [Detection(np.asarray(d.quad / scales, dtype=np.float32), d.confidence) for d in decode_detections(rows, self._faint)]
        covered = float(prepared.shape[1] / scales[0]), float(prepared.shape[0] / scales[1])
        return Seen(detections, tuple(features[0] for features in maps), covered)


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
    scaled: Image = image
    while scaled.shape[1] >= 2 * new_w and scaled.shape[0] >= 2 * new_h and scaled.shape[0] % 2 == scaled.shape[1] % 2 == 0:
        scaled = np.asarray(cv2.resize(scaled, (scaled.shape[1] // 2, scaled.shape[0] // 2), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if scaled.shape[:2] != (new_h, new_w):
        # Above a half, INTER_LINEAR looks at every pixel too; halving before is ten times as fast as INTER_AREA alone.
        method = cv2.INTER_AREA if scaled.shape[1] >= 2 * new_w else cv2.INTER_LINEAR
        scaled = np.asarray(cv2.resize(scaled, (new_w, new_h), interpolation=method), dtype=np.uint8)
    padded = np.full((-(-new_h // MULTIPLE) * MULTIPLE, -(-new_w // MULTIPLE) * MULTIPLE, 3), GREY, np.uint8)
    padded[:new_h, :new_w] = scaled
    return padded
