"""One network that detects and reads, in three files: one looks at an image, one corrects corners, one reads plates in what the first one saw.

They do what the detector, the straightener and the reader of the two-stage path do, and are used in their places; the image passes the backbone once, and
the reader sees of each plate its crop and, laid into its quad in perspective, the features of the backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.detect.detector import Detector, Seen
from openplate.errors import WeightsError
from openplate.formats import Format
from openplate.geometry import box_to_quad, grow_quad
from openplate.read.reader import Reader
from openplate.rectify import MARGIN_X, MARGIN_Y
from openplate.straighten import Straightener
from openplate.types import EngineReport, Quad

GRIDS = ((24, 96), (12, 48), (12, 48))
"""Height and width of the grids in which the maps of features are sampled, the finest map first."""
PARTS = ("straightener", "reader")
"""What the files beside the first one do: `NAME-straightener.onnx` and `NAME-reader.onnx` beside `NAME.onnx`."""


_MOST_CHANNELS = 64
"""OpenCV 5.0 gives rubbish for pictures of more than 128 channels."""


def part_beside(path: Path, part: str) -> Path:
    """The file of one of `PARTS` beside the first one."""
    return path.with_name(f"{path.stem}-{part}{path.suffix}")


class Stages(NamedTuple):
    """The three files of one network."""

    detector: Detector
    straightener: Straightener
    reader: Reader


def open_end_to_end(
    path: Path,
    formats: Sequence[Format],
    country: Sequence[str] = (),
    only: Sequence[str] = (),
    engine: str = "auto",
    device: str = "cpu",
    precision: str = "auto",
    threads: int = 1,
) -> Stages:
    """Opens the first file and the two beside it; arguments as `openplate.read.reader.Reader` has them.

    Raises:
        WeightsError: a file is missing or of another kind, or they are not of one training.
        EngineError: the engine, device or precision is not available.
        FormatError: a country code is not known.
    """
    run = (engine, device, precision, threads)
    detector = Detector(path, *run, kind="end-to-end")
    for beside in (part_beside(path, part) for part in PARTS):
        if not beside.is_file():
            raise WeightsError(f"{beside}: expected a network beside {path.name}, found no such file; the three files of a network belong together")
    straightener = Straightener(part_beside(path, "straightener"), *run)
    reader = Reader(part_beside(path, "reader"), formats, country, only, *run, features=len(GRIDS))
    for part, metadata in zip(PARTS, (straightener.metadata, reader.metadata), strict=True):
        if any(metadata.get(key) != detector.metadata.get(key) for key in ("openplate.step", "openplate.training")):
            raise WeightsError(f"{part_beside(path, part)}: is not of the same training as {path.name}; export all three again")
    return Stages(detector, straightener, reader)


def joined_report(reports: Sequence[EngineReport]) -> EngineReport:
    """What runs a network of several files: the last one's engine, with the precisions of all."""
    return replace(reports[-1], precision="+".join(sorted({name for report in reports for name in report.precision.split("+")})))


def sample_features(seen: Seen, quad: Quad) -> tuple[NDArray[np.float32], ...]:
    """What of an image's features lies in a quad and the reader's margins, `(C, height, width)` for each of `GRIDS`; nothing where there are no features.

    Args:
        seen: of the image.
        quad: in the image's px; beyond the features their border is repeated.
    """
    if not seen.features:
        return ()
    return tuple(_sample(features, seen.features_px, quad, size) for features, size in zip(seen.features, GRIDS, strict=True))


def _sample(features: NDArray[np.float32], covered: tuple[float, float], quad: Quad, size: tuple[int, int]) -> NDArray[np.float32]:
    _, high, wide = features.shape
    corners = grow_quad(quad, MARGIN_X, MARGIN_Y) * np.array([wide / covered[0], high / covered[1]], np.float32)
    height, width = size
    homography = cv2.getPerspectiveTransform(box_to_quad(0, 0, width, height), np.ascontiguousarray(corners, dtype=np.float32))
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
    places = cv2.perspectiveTransform(np.stack([columns, rows], axis=-1), homography) - np.float32(0.5)  # OpenCV counts from a cell's centre
    # Beyond a map its border goes on. Corners on one line have no homography: what is seen through them means nothing, but it must be somewhere.
    places = np.clip(np.nan_to_num(places), -1, max(wide, high)).astype(np.float32)
    # Only what lies around the quad is turned into OpenCV's order of axes: a map is a hundred times as large.
    (left, top), (right, bottom) = np.floor(places.min(axis=(0, 1))), np.ceil(places.max(axis=(0, 1)))
    x0, y0 = int(np.clip(left, 0, wide - 1)), int(np.clip(top, 0, high - 1))
    x1, y1 = int(np.clip(right + 1, x0 + 1, wide)), int(np.clip(bottom + 1, y0 + 1, high))
    region = np.ascontiguousarray(features[:, y0:y1, x0:x1].transpose(1, 2, 0))
    at = places[..., 0] - np.float32(x0), places[..., 1] - np.float32(y0)
    views = [
        cv2.remap(np.ascontiguousarray(part), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).reshape(height, width, -1)
        for part in np.split(region, range(_MOST_CHANNELS, region.shape[2], _MOST_CHANNELS), axis=2)
    ]
    return np.ascontiguousarray(np.concatenate(views, axis=2, dtype=np.float32).transpose(2, 0, 1))
