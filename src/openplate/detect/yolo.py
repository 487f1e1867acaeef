"""Image in, detections out, with a YOLOv8 detection or pose network that was exported by Ultralytics.

Such a file has one input `(1, 3, H, W) float32`, RGB 0-1, and one output `(1, R, A)` with a column for each of A anchor points: the box's centre x, y,
width and height in input px, one score (0-1) a class, and in a pose network x, y (and visibility 0-1) of each key point. Its metadata say
`task`, `names`, `imgsz`, `stride` and `kpt_shape`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.detect.contour import find_corners, order_corners
from openplate.detect.decode import suppress
from openplate.detect.detector import GREY, Seen
from openplate.engine import Network
from openplate.errors import WeightsError
from openplate.geometry import box_to_quad, quad_area
from openplate.types import Detection, EngineReport, Image, Quad

THRESHOLD = 0.25
"""Least score that is kept, as Ultralytics has it."""
SIDE = 640
STRIDE = 32
"""Input size and stride where the file does not say them."""
VISIBLE = 0.3
"""A corner less visible than this is not believed: the plate keeps its upright box."""

_EXPECTED = "expected a YOLOv8 detection or pose network as Ultralytics exports it"


@dataclass(frozen=True, slots=True)
class Layout:
    """What the rows of the output are: four of the box, then `classes` scores, then four corners of `values` numbers each (0: no corners).

    `plates` are the classes that count as plates.
    """

    classes: int
    plates: tuple[int, ...]
    values: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return 4 + self.classes + 4 * self.values


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How an image was put into the network's input: scaled, then moved by (left, top) px."""

    scale: float
    left: int
    top: int


class YoloDetector:
    """A user's YOLOv8 detection network (boxes get their corners by contour analysis) or pose network with four key points (the plate's corners).

    Args:
        path: the file, for messages.
        network: the file, opened.
        threshold: least score that is kept.

    Raises:
        WeightsError: the file's input, output or metadata are not those of such a network.
    """

    def __init__(self, path: Path, network: Network, threshold: float = THRESHOLD) -> None:
        metadata = network.metadata
        self._network = network
        self.threshold = threshold
        self._height, self._width = _input_size(path, network)
        self._stride = int(_number(metadata.get("stride"), STRIDE))
        self._side = _side(metadata)
        self._layout = read_layout(path, self._probe(path), metadata)
        self.report: EngineReport = network.report

    def see(self, image: Image) -> Seen:
        """The plates of one image: fainter ones are not kept."""
        return Seen(self(image))

    def __call__(self, image: Image) -> list[Detection]:
        """The plates of one image `(H, W, 3) uint8 RGB`, quads in its px, the most confident first."""
        prepared, place = self._prepare(image)
        found = decode_yolo(self._network(prepared)[0][0], self._layout, self.threshold)
        shift = np.array([place.left, place.top], np.float32)
        detections = []
        for detection, is_box in found:
            quad = np.asarray((detection.quad - shift) / place.scale, dtype=np.float32)
            if is_box:
                corners = find_corners(image, (float(quad[0, 0]), float(quad[0, 1]), float(quad[2, 0]), float(quad[2, 1])))
                quad = quad if corners is None else corners
            detections.append(Detection(quad, detection.confidence))
        return detections

    def _prepare(self, image: Image) -> tuple[NDArray[np.float32], Letterbox]:
        """The network's input `(1, 3, h, w) float32` 0-1; where the network takes any size, the image's own proportions in whole strides."""
        if self._height and self._width:
            size = self._width, self._height
        else:
            scale = self._side / max(image.shape[:2])
            size = tuple(max(self._stride, -(-round(scale * n) // self._stride) * self._stride) for n in (image.shape[1], image.shape[0]))
            size = self._width or size[0], self._height or size[1]
        padded, place = letterbox(image, *size)
        return np.ascontiguousarray(padded.transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255), place

    def _probe(self, path: Path) -> tuple[NDArray[np.float32], ...]:
        """What the network says of a grey image; a graph does not always tell its output's shape."""
        grey = np.full((self._height or self._side, self._width or self._side, 3), GREY, np.uint8)
        try:
            return self._network(self._prepare(grey)[0])
        except (RuntimeError, ValueError) as error:
            raise WeightsError(f"{path}: {_EXPECTED}, it does not run on an image of its size: {error}") from None


def letterbox(image: Image, width: int, height: int) -> tuple[Image, Letterbox]:
    """The image scaled to fit into `width` × `height`, in the middle, with grey around it."""
    image_h, image_w = image.shape[:2]
    scale = min(width / image_w, height / image_h)
    new_w, new_h = min(width, max(1, round(image_w * scale))), min(height, max(1, round(image_h * scale)))
    method = cv2.INTER_AREA if scale <= 0.5 else cv2.INTER_LINEAR
    scaled = image if (new_w, new_h) == (image_w, image_h) else cv2.resize(image, (new_w, new_h), interpolation=method)
    left, top = (width - new_w) // 2, (height - new_h) // 2
    padded = np.full((height, width, 3), GREY, np.uint8)
    padded[top : top + new_h, left : left + new_w] = scaled
    return padded, Letterbox(scale, left, top)


def decode_yolo(output: NDArray[np.float32], layout: Layout, threshold: float) -> list[tuple[Detection, bool]]:
    """The detections of one image, the most confident first, quads in input px; with each, whether its quad is only the upright box.

    Boxes are suppressed whatever their class. Corners that are hardly visible or make no plausible quad are replaced by the box.

    Args:
        output: `(R, A) float32` as the module describes.
        layout: what the rows are.
        threshold: least score that is kept.
    """
    columns = output.T
    scores = columns[:, 4 : 4 + layout.classes][:, list(layout.plates)].max(axis=1)
    kept = np.flatnonzero(scores >= threshold)
    kept = kept[np.argsort(-scores[kept], kind="stable")][:800]
    centre, size = columns[kept, 0:2], columns[kept, 2:4]
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    found = []
    for i in suppress(np.asarray(boxes, dtype=np.float32)):
        quad, is_box = box_to_quad(*boxes[i].tolist()), True
        if layout.values:
            points = columns[kept[i], 4 + layout.classes :].reshape(4, layout.values)
            corners = order_corners(np.asarray(points[:, :2], dtype=np.float32))
            seen = layout.values < 3 or float(points[:, 2].min()) >= VISIBLE
            if seen and _plausible(corners, quad):
                quad, is_box = corners, False
        found.append((Detection(quad, min(1.0, float(scores[kept[i]]))), is_box))
    return found


def read_layout(path: Path, outputs: tuple[NDArray[np.float32], ...], metadata: Mapping[str, str]) -> Layout:
    """What the rows of a network's output are, from its shape and what the file says of itself.

    A file that does not say its `task` is a pose network when it has 4 + 1 + 4 · 3 rows, and a detection network otherwise. Of several classes those
    whose name has "plate" in it count, and all when there is none such.

    Raises:
        WeightsError: shape and metadata do not go together, or are those of another kind of network.
    """
    task = metadata.get("task")
    if task not in (None, "detect", "pose"):
        raise WeightsError(f"{path}: {_EXPECTED}, its task is {task!r}")
    shapes = ", ".join("×".join(map(str, output.shape)) for output in outputs)
    if len(outputs) != 1 or outputs[0].ndim != 3 or outputs[0].shape[0] != 1:
        raise WeightsError(f"{path}: {_EXPECTED}, with one output 1 × (4 + classes + key points) × anchors; its outputs are {shapes}")
    names = _literal(path, metadata, "names")
    known = _class_names(names)
    points, values = _key_points(path, metadata) if task == "pose" else (0, 0)
    rows, anchors = outputs[0].shape[1:]
    if task is None and known is None and rows == 4 + 1 + 4 * 3:
        points, values = 4, 3
    classes = len(known) if known else rows - 4 - points * values
    wanted = 4 + classes + points * values
    if classes < 1 or rows != wanted or (not known and anchors < rows):
        hint = "; export it without NMS (nms=False, end2end=False)" if anchors in (6, 6 + points * values) else ""
        hint = hint or ("; export it as YOLOv8 has it, without an objectness and with the anchors last" if anchors in (wanted, wanted + 1) else "")
        raise WeightsError(
            f"{path}: {_EXPECTED}, with one output 1×{wanted if classes > 0 else '(4 + classes)'}×anchors; its output is {shapes}{hint}"
        )
    if points not in (0, 4):
        raise WeightsError(f"{path}: expected a pose network with four key points, the corners of a plate; this one has {points}")
    named = tuple(i for i, name in enumerate(known or ()) if "plate" in name.lower())
    return Layout(classes, named or tuple(range(classes)), values)


def _plausible(corners: Quad, box: Quad) -> bool:
    """Whether four corners are a convex quad of about the box's size."""
    if not np.isfinite(corners).all() or not cv2.isContourConvex(corners.reshape(4, 1, 2)):
        return False
    return 0.25 < quad_area(corners) / max(1e-6, quad_area(box)) < 1.5


def _input_size(path: Path, network: Network) -> tuple[int | None, int | None]:
    shape = network.input_shape
    if len(shape) != 4 or shape[0] not in (None, 1) or shape[1] not in (None, 3):
        wanted = "×".join("any" if n is None else str(n) for n in shape)
        raise WeightsError(f"{path}: {_EXPECTED}, with an input 1×3×H×W; its input is {wanted}")
    return shape[2], shape[3]


def _side(metadata: Mapping[str, str]) -> int:
    sizes = _parsed(metadata.get("imgsz"))
    sizes = sizes if isinstance(sizes, (list, tuple)) and sizes else [sizes]
    return max(int(_number(size, SIDE)) for size in sizes)


def _class_names(names: Any) -> list[str] | None:
    if isinstance(names, dict) and names:
        return [str(names[key]) for key in sorted(names, key=int)]
    return [str(name) for name in names] if isinstance(names, (list, tuple)) and names else None


def _key_points(path: Path, metadata: Mapping[str, str]) -> tuple[int, int]:
    shape = _literal(path, metadata, "kpt_shape")
    if shape is None:
        return 4, 3
    if not isinstance(shape, (list, tuple)) or len(shape) != 2 or not all(isinstance(n, int) for n in shape) or shape[1] not in (2, 3):
        raise WeightsError(f"{path}: metadata kpt_shape: expected [points, 2 or 3], got {metadata['kpt_shape']!r}")
    return shape[0], shape[1]


def _literal(path: Path, metadata: Mapping[str, str], key: str) -> Any:
    """A metadata entry that is written as Python writes values; None where it is missing."""
    if key not in metadata:
        return None
    value = _parsed(metadata[key])
    if value is None:
        raise WeightsError(f"{path}: metadata {key}: expected a list or a table as Ultralytics writes it, got {metadata[key]!r}")
    return value


def _parsed(text: str | None) -> Any:
    try:
        return ast.literal_eval(text) if text is not None else None
    except (ValueError, SyntaxError):
        return None


def _number(value: Any, default: float) -> float:
    value = _parsed(value) if isinstance(value, str) else value
    return value if isinstance(value, (int, float)) and value > 0 else default
