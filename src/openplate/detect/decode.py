"""The detector network's output in, detections out: threshold and non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openplate.geometry import FloatArray, box_iou
from openplate.types import Detection


def place_corners(output: NDArray[np.float32], size: tuple[int, int], strides: Sequence[int], reach: float, threshold: float) -> NDArray[np.float32]:
    """The rows of a detector's output that reach the threshold, `(B, 9) float32`, with their corners in the network's input px.

    Args:
        output: `(A, 9) float32`: logit, then four corners as seen from the centre of the row's cell. Cells come line by line, one level after the other.
        size: the input's height and width.
        strides: each level's distance between cells, in input px.
        reach: how many strides a corner's unit is.
        threshold: least confidence (0-1) that is kept.
    """
    kept = np.flatnonzero(output[:, 0] > _logit(threshold))
    placed = np.array(output[kept], np.float32)
    first = 0
    for stride in strides:
        rows, columns = size[0] // stride, size[1] // stride
        level = np.flatnonzero((kept >= first) & (kept < first + rows * columns))
        y, x = np.divmod(kept[level] - first, columns)
        centres = np.stack([(x + 0.5) * stride, (y + 0.5) * stride], axis=1).astype(np.float32)
        placed[level, 1:] = placed[level, 1:] * np.float32(reach * stride) + np.tile(centres, 4)
        first += rows * columns
    return placed


def decode_detections(output: NDArray[np.float32], threshold: float, overlap: float = 0.45, most: int = 200) -> list[Detection]:
    """Detections of one image, the most confident first.

    Args:
        output: `(A, 9) float32`: logit, then four corners x0 y0 … x3 y3 in the network's input px.
        threshold: least confidence (0-1) that is kept.
        overlap: as in `suppress`.
        most: detections kept at most.
    """
    kept = np.flatnonzero(output[:, 0] > _logit(threshold))
    kept = kept[np.argsort(-output[kept, 0], kind="stable")][: 4 * most]
    quads = output[kept, 1:].reshape(-1, 4, 2)
    boxes = np.concatenate([quads.min(axis=1), quads.max(axis=1)], axis=1)
    return [
        Detection(np.array(quads[i], np.float32), float(1 / (1 + np.exp(-output[kept[i], 0])))) for i in suppress(boxes, overlap=overlap, most=most)
    ]


def suppress(boxes: FloatArray, overlap: float = 0.45, most: int = 200) -> list[int]:
    """Which boxes `(N, 4)` (x0, y0, x1, y1), the surest first, stay: at most `most`, in their order.

    Of two that overlap by more than `overlap` (IoU), or one of which lies within the other, the surer one stays.
    """
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    iou = box_iou(boxes, boxes)
    common = iou * (area[:, None] + area) / (1 + iou)
    rivals = (iou > overlap) | (common > 0.7 * np.minimum(area[:, None], area).clip(1e-6))
    alive = np.ones(len(boxes), bool)
    stay: list[int] = []
    for i in range(len(boxes)):
        if not alive[i]:
            continue
        stay.append(i)
        if len(stay) == most:
            break
        alive &= ~rivals[i]
    return stay


def _logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))
