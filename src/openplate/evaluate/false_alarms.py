"""Photos with their labelled plates painted over in, the confident readings that remain out: texts where no labelled plate is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.dataset import Dataset, LabelledImage
from openplate.evaluate.metrics import Rate, count
from openplate.evaluate.run import Recogniser, for_each_image, open_labelled
from openplate.evaluate.summary import Failure
from openplate.geometry import grow_quad, quad_size
from openplate.types import EngineReport, Frame, Image, Plate, Quad

Floats32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PaintedPhoto:
    """A photo without its labelled plates, and the confident readings in it."""

    image: LabelledImage
    alarms: tuple[Plate, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FalseAlarms:
    """Confident readings in the painted photos of a data set. A person has to look at each: it may be a plate that has no label."""

    name: str
    engine: EngineReport
    photos: tuple[PaintedPhoto, ...]
    problems: tuple[str, ...] = ()

    @property
    def alarms(self) -> int:
        """Number of confident readings."""
        return sum(len(photo.alarms) for photo in self.photos)

    @property
    def per_100_photos(self) -> float | None:
        """Confident readings in 100 photos; None without photos."""
        return 100 * self.alarms / len(self.photos) if self.photos else None

    @property
    def photos_with_alarm(self) -> Rate:
        """Photos with at least one confident reading."""
        return count(bool(photo.alarms) for photo in self.photos)

    def failures(self) -> list[Failure]:
        """Each confident reading, by image."""
        return [
            Failure("extra", photo.image.path, plate.detection.quad, None, plate.reading, plate.reading.confidence)
            for photo in self.photos
            for plate in photo.alarms
        ]

    def as_json(self) -> dict[str, Any]:
        """Numbers, problems and readings as a JSON object."""
        return {
            "name": self.name,
            "engine": self.engine.as_json(),
            "photos": len(self.photos),
            "alarms": self.alarms,
            "per_100_photos": self.per_100_photos,
            "photos_with_alarm": asdict(self.photos_with_alarm),
            "problems": list(self.problems),
            "failures": [failure.as_json() for failure in self.failures()],
        }


def count_false_alarms(pipeline: Recogniser, dataset: Dataset) -> FalseAlarms:
    """Paint every labelled plate over and count the texts that the pipeline still gives, with progress on stderr.

    Images that are plates are left out. The painting is the same each time.
    """

    def look(labelled: LabelledImage) -> PaintedPhoto | None:
        if labelled.cropped:
            return None
        frame = paint_labelled(labelled)
        return PaintedPhoto(labelled, tuple(plate for plate in pipeline.read_frame(frame).plates if plate.status == "read"))

    photos, problems = for_each_image(dataset, look)
    return FalseAlarms(dataset.name, pipeline.engine, tuple(photos), tuple(problems))


def combine_false_alarms(counts: Sequence[FalseAlarms], name: str = "all") -> FalseAlarms:
    """Several data sets as one."""
    photos = tuple(photo for one in counts for photo in one.photos)
    return FalseAlarms(name, counts[0].engine, photos, tuple(problem for one in counts for problem in one.problems))


def paint_labelled(labelled: LabelledImage) -> Frame:
    """A labelled photo's frame, its plates painted over.

    Raises:
        SourceError: the image cannot be read.
        DatasetError: its size is not what its label says.

    """
    frame = open_labelled(labelled)
    return replace(frame, image=paint_over(frame.image, [plate.quad for plate in labelled.plates if plate.quad is not None]))


def paint_over(image: Image, quads: Sequence[Quad], seed: int = 0) -> Image:
    """A copy of an `(H, W, 3) uint8 RGB` image without what lies in the quads (grown by a margin for their frames).

    Each place continues its surroundings smoothly and has their noise, so that no outline of a plate remains.
    """
    painted = image.copy()
    rng = np.random.default_rng(seed)
    for quad in quads:
        _paint_quad(painted, quad, rng)
    return painted


def _paint_quad(image: Image, quad: Quad, rng: np.random.Generator) -> None:
    height_px = max(quad_size(quad)[1], 4.0)
    hole = grow_quad(quad, 0.1, 0.3)
    reach = int(height_px) + 4
    x0, y0 = np.maximum(np.floor(hole.min(axis=0)).astype(int) - reach, 0)
    x1, y1 = np.ceil(hole.max(axis=0)).astype(int) + reach
    view = image[y0:y1, x0:x1]
    pixels = view.astype(np.float32)
    mask = np.zeros(view.shape[:2], dtype=np.float32)
    cv2.fillConvexPoly(mask, np.round(hole - [x0, y0]).astype(np.int32), 1.0)
    filled = _fill(pixels, 1 - mask)
    noise = rng.normal(0, _noise(pixels), (*mask.shape, 1)).astype(np.float32)
    soft = np.maximum(mask, cv2.GaussianBlur(mask, (0, 0), max(height_px / 10, 1.0)))[..., None]
    smooth = cv2.GaussianBlur(filled, (0, 0), max(height_px / 10, 1.0))
    view[:] = np.clip(pixels * (1 - soft) + (smooth + noise) * soft + 0.5, 0, 255).astype(np.uint8)


def _fill(pixels: Floats32, known: Floats32) -> Floats32:
    """`(H, W, 3)` pixels with those of `known` 0 filled from ever coarser means of the known ones (push and pull, Gortler et al. 1996)."""
    height, width = known.shape
    if known.min() > 0 or max(height, width) == 1:
        return pixels if known.max() > 0 else np.full_like(pixels, 128)
    half = (max(width // 2, 1), max(height // 2, 1))
    weight = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(pixels * known[..., None], half, interpolation=cv2.INTER_AREA) / np.maximum(weight, 1e-6)[..., None]
    filled = _fill(np.asarray(mean, dtype=np.float32), (weight > 0).astype(np.float32))
    coarse = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(pixels * known[..., None] + coarse * (1 - known[..., None]), dtype=np.float32)


def _noise(pixels: Floats32) -> float:
    """The standard deviation of a view's fine noise, 1 to 6 grey levels, from the median of its Laplacian (Immerkaer 1996)."""
    laplacian = cv2.filter2D(pixels.mean(axis=2), -1, np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32))
    return float(np.clip(np.median(np.abs(laplacian)) / (6 * 0.6745), 1, 6))
