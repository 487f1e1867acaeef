"""Image and a coarse quad in, the exact quad out: a small network looks at the plate once more and corrects the detector's corners."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.engine import open_network
from openplate.errors import WeightsError
from openplate.geometry import box_to_quad
from openplate.rectify import rectify
from openplate.types import Image, Quad

HEIGHT, WIDTH = 48, 128
MARGIN = (0.20, 0.45)
"""What is seen around the coarse quad, as fractions of its width and height."""


class Straightener:
    """See the module.

    Raises:
        WeightsError: the file is not a straightener of this project.
        EngineError: the engine, device or precision is not available.
    """

    def __init__(self, path: Path, engine: str = "auto", device: str = "cpu", precision: str = "auto", threads: int = 1) -> None:
        self._network = open_network(path, engine=engine, device=device, precision=precision, threads=threads)
        self.metadata = self._network.metadata
        if self.metadata.get("openplate.kind") != "straightener":
            raise WeightsError(f"{path}: expected a straightener of openplate, got kind {self.metadata.get('openplate.kind')!r}")
        self.report = self._network.report

    def __call__(self, image: Image, quad: Quad) -> Quad:
        """The corrected quad in image px."""
        crop = look(image, quad)
        offsets = self._network(crop[None])[0][0]
        return apply_offsets(quad, offsets)


def look(image: NDArray[np.uint8], quad: Quad) -> NDArray[np.uint8]:
    """What the network sees: the coarse quad and its margin as `(48, 128) uint8` grey."""
    return rectify(image, quad, HEIGHT, WIDTH, MARGIN)


def apply_offsets(quad: Quad, offsets: NDArray[np.float32]) -> Quad:
    """The coarse quad with the network's correction: `offsets (8,)` are dx dy of TL TR BR BL in plate widths and heights of the straightened view."""
    unit = box_to_quad(0, 0, 1, 1)
    corrected = unit + offsets.reshape(4, 2)
    homography = cv2.getPerspectiveTransform(unit, np.ascontiguousarray(quad, dtype=np.float32))
    return np.asarray(cv2.perspectiveTransform(corrected[None].astype(np.float32), homography)[0], dtype=np.float32)


def find_offsets(coarse: Quad, exact: Quad) -> NDArray[np.float32]:
    """The `(8,)` offsets that `apply_offsets` needs to turn `coarse` into `exact`: what the network learns."""
    unit = box_to_quad(0, 0, 1, 1)
    homography = cv2.getPerspectiveTransform(np.ascontiguousarray(coarse, dtype=np.float32), unit)
    seen = cv2.perspectiveTransform(np.ascontiguousarray(exact[None], dtype=np.float32), homography)[0]
    return np.asarray((seen - unit).reshape(8), dtype=np.float32)
