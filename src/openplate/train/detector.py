"""The detector's training task: windows of scenes, task-aligned assignment, focal score loss, box and corner losses, recall and corner error."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from openplate.detect.decode import decode_detections
from openplate.errors import DatasetError
from openplate.formats.model import Format
from openplate.geometry import box_iou, quad_size, quad_to_box
from openplate.synthesize.photos import Photo, open_photos
from openplate.synthesize.scenes import ScenePlate, draw_window
from openplate.synthesize.sequences import draw_frames
from openplate.train.config import DetectorConfig
from openplate.train.loop import Batch
from openplate.train.networks.detector import STRIDES, Detector, anchor_points
from openplate.train.reader import chosen_formats
from openplate.train.shards import SETTLING, Shard, in_order, shard_batches

MOST_PLATES = 8
WINDOWS_OF_A_FRAME = 20
"""One frame of drawn video is drawn for so many windows of a shard; `FRAME_SHARE` of them show one."""
EXACT, UPRIGHT, IGNORE, NONE = 0, 1, 2, 3


@lru_cache(maxsize=2)
def window_photos(folders: tuple[str, ...], held_out: bool) -> Sequence[Photo]:
    """The photos that windows are cut from, their labels read once a process.

    Raises:
        DatasetError: there are data sets, and no photos to train on in them.
    """
    photos = open_photos([Path(f) for f in folders], held_out, 1100)
    if folders and not held_out and not photos:
        raise DatasetError(f"photos: expected whole photos, found only plates cut out (or one photo, which is held out) in {', '.join(folders)}")
    return photos


def pack_plates(plates: Sequence[ScenePlate]) -> tuple[np.ndarray, np.ndarray]:
    """Quads `(8, 4, 2) float32` and states `(8,)` (`EXACT`, `UPRIGHT`, `IGNORE`, `NONE`); plates too small to see are ignored."""
    quads = np.zeros((MOST_PLATES, 4, 2), np.float32)
    states = np.full(MOST_PLATES, NONE, np.int64)
    for i, plate in enumerate(plates[:MOST_PLATES]):
        quads[i] = plate.quad
        width, height = quad_size(plate.quad)
        tiny = width < 12 or height < 3.5
        states[i] = IGNORE if plate.ignore or tiny else EXACT if plate.exact else UPRIGHT
    return quads, states


def even_types(chosen: Format, share: float) -> Format:
    """A format of which a share of the plates is drawn with all its types equally often, the others by the types' weights."""
    drawn = [t for t in chosen.types if t.drawn]
    total = sum(t.weight * t.drawn for t in drawn)
    types = [dataclasses.replace(t, weight=((1 - share) * t.weight * t.drawn / total + share / len(drawn)) / t.drawn) for t in drawn]
    return dataclasses.replace(chosen, types=tuple(types))


@dataclass(frozen=True, slots=True)
class DrawDetectorShard:
    """Draws shard `number`: images `(S, window, window, 3) uint8`, quads `(S, 8, 4, 2)`, states `(S, 8)`."""

    config: DetectorConfig
    held_out: bool = False

    def __call__(self, number: int) -> Shard:
        cv2.setNumThreads(1)
        config = self.config
        rng = random.Random(f"{config.loop.seed} {number} {self.held_out}")
        formats = tuple(even_types(chosen, config.even_types) for chosen in chosen_formats(config.countries))
        photos = window_photos(config.photos, self.held_out)
        count = config.validation_windows if self.held_out else config.shard
        frames = draw_frames(formats, photos, max(1, count // WINDOWS_OF_A_FRAME), rng) if config.frames else ()
        images = np.zeros((count, config.window, config.window, 3), np.uint8)
        quads, states = np.zeros((count, MOST_PLATES, 4, 2), np.float32), np.zeros((count, MOST_PLATES), np.int64)
        for i in range(count):
            images[i], plates = draw_window(photos, formats, rng, config.window, config.keep_share, config.lean_share, frames)
            quads[i], states[i] = pack_plates(plates)
        return {"images": images, "quads": quads, "states": states}


class DetectorTask:
    """See the module."""

    kind = "detector"

    def __init__(self, config: DetectorConfig) -> None:
        self.config = config
        self.settings = {"channels": list(config.channels)}
        torch.manual_seed(config.loop.seed)
        self.network: nn.Module = Detector(config.channels)
        self._validation: Shard | None = None
        self._settling: Shard | None = None

    def batches(self, first_step: int, steps: int) -> Iterator[Batch]:
        config, loop = self.config, self.config.loop
        for rows in shard_batches(DrawDetectorShard(config), config.shard, config.passes, loop.batch, first_step, steps, loop.seed, loop.drawers):
            yield {key: torch.from_numpy(value) for key, value in rows.items()}

    def settling(self) -> Iterator[Batch]:
        batch = self.config.loop.batch
        if self._settling is None:
            rows_drawn = min(self.config.shard, max(480, batch))
            self._settling = DrawDetectorShard(dataclasses.replace(self.config, shard=rows_drawn))(SETTLING)
        for rows in in_order(self._settling, batch):
            yield {key: torch.from_numpy(value) for key, value in rows.items()}

    def inputs(self, batch: Batch) -> Tensor:
        # Whole numbers up to 255 are exact in bfloat16, and half the memory traffic.
        precision = torch.bfloat16 if self.config.loop.mixed_precision else torch.float32
        return batch["images"].permute(0, 3, 1, 2).to(precision)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        images = self.inputs(batch)
        output = network(images)
        with torch.autocast(images.device.type, enabled=False):
            return detection_loss(output.float(), batch["quads"], batch["states"], self.config.window)

    def validate(self, network: nn.Module) -> dict[str, float]:
        if self._validation is None:
            self._validation = DrawDetectorShard(self.config, held_out=True)(0)
        shard = self._validation
        network.eval()
        device = next(network.parameters()).device
        found = wanted = false = 0
        errors: list[float] = []
        with torch.inference_mode():
            for image, quads, states in zip(shard["images"], shard["quads"], shard["states"], strict=True):
                tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float().to(device)
                detections = decode_detections(network(tensor)[0].float().cpu().numpy(), threshold=0.4)
                boxes = np.array([quad_to_box(d.quad) for d in detections], np.float32).reshape(-1, 4)
                truth = np.array([quad_to_box(q) for q in quads], np.float32)
                overlaps = box_iou(truth, boxes) if len(boxes) else np.zeros((len(truth), 0), np.float32)
                for i in np.flatnonzero(states <= UPRIGHT):
                    wanted += 1
                    if overlaps.shape[1] and overlaps[i].max() >= 0.5:
                        found += 1
                        if states[i] == EXACT:
                            distance = np.linalg.norm(detections[int(overlaps[i].argmax())].quad - quads[i], axis=1).mean()
                            errors.append(float(distance) / max(1.0, quad_size(quads[i])[1]))
                false += int((overlaps[states < NONE].max(axis=0, initial=0) < 0.3).sum()) if overlaps.shape[1] else 0
        recall = found / max(1, wanted)
        error = float(np.median(errors)) if errors else 1.0
        precision = found / max(1, found + false)
        return {"recall": recall, "precision": precision, "corner_error": error, "score": recall + precision - error}


def hull_boxes(quads: Tensor) -> Tensor:
    """Upright boxes `(..., 4)` as x0 y0 x1 y1 around quads `(..., 4, 2)`."""
    return torch.cat([quads.amin(dim=-2), quads.amax(dim=-2)], dim=-1)


def generalised_iou(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and GIoU (Rezatofighi et al. 2019) of boxes `(..., 4)` that broadcast."""
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    area = (first[..., 2:] - first[..., :2]).prod(dim=-1) + (second[..., 2:] - second[..., :2]).prod(dim=-1) - common
    iou = common / area.clamp(min=1e-6)
    hull = (torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])).prod(dim=-1)
    return iou, iou - (hull - area) / hull.clamp(min=1e-6)


def assign(output: Tensor, quads: Tensor, states: Tensor, points: Tensor, strides: Tensor, most: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    """Task-aligned assignment (Feng et al. 2021): for every anchor point the plate it answers for.

    Args:
        output: `(N, A, 9)`.
        quads: `(N, M, 4, 2)`.
        states: `(N, M)`.
        points: `(A, 2)`.
        strides: `(A,)`.
        most: anchor points a plate gets at most.

    Returns:
        index of the plate `(N, A)` (-1 none), target quality `(N, A)`, and where anchor points are ignored `(N, A)`.
    """
    boxes = hull_boxes(quads)  # N M 4
    predicted = hull_boxes(output[..., 1:].reshape(*output.shape[:2], 4, 2))  # N A 4
    iou, _ = generalised_iou(boxes[:, :, None], predicted[:, None])  # N M A
    score = output[:, None, :, 0].sigmoid()
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = (boxes[..., 2:] - boxes[..., :2]) / 2
    away = (points[None, None] - centre[:, :, None]).abs()  # N M A 2
    near = (away <= torch.maximum(half[:, :, None], 0.75 * strides[None, None, :, None])).all(dim=-1)
    span = 2 * half[..., 0]
    ratio = span[:, :, None] / strides[None, None]
    near &= (ratio > 1.0) & (ratio < 16.0)
    real = (states <= UPRIGHT)[:, :, None]
    # The small constants let plates that nothing hits yet be learnt: nearness decides then.
    closeness = torch.exp(-(away / (half[:, :, None] + 0.5 * strides[None, None, :, None])).square().sum(dim=-1))
    fit = torch.exp(-((ratio / 5.0).log() / 0.8).square())
    metric = ((score + 0.02).sqrt() * (iou + 0.05 * closeness * fit).pow(3)) * near * real
    top = metric.topk(min(most, metric.shape[-1]), dim=-1).indices
    chosen = torch.zeros_like(metric, dtype=torch.bool).scatter_(2, top, True) & (metric > 0)
    metric = metric * chosen
    best, index = metric.max(dim=1)  # N A
    index = torch.where(best > 0, index, torch.full_like(index, -1))
    peak = metric.amax(dim=-1, keepdim=True).clamp(min=1e-9)
    iou_peak = (iou * chosen).amax(dim=-1, keepdim=True)
    quality = (metric / peak * iou_peak.clamp(min=0.1)).amax(dim=1)  # N A
    skipped = states == IGNORE
    inside = (away <= half[:, :, None] * 1.1).all(dim=-1)
    ignored = (inside & skipped[:, :, None]).any(dim=1) & (index < 0)
    return index, quality, ignored


def detection_loss(output: Tensor, quads: Tensor, states: Tensor, window: int) -> tuple[Tensor, dict[str, float]]:
    """`anchor_loss` of the detector's anchor points in square windows of `window` px."""
    parts = [anchor_points(window // s, window // s, s, output) for s in STRIDES]
    strides = torch.cat([torch.full((len(p),), float(s), device=output.device) for p, s in zip(parts, STRIDES, strict=True)])
    return anchor_loss(output, quads, states, torch.cat(parts), strides)


def anchor_loss(output: Tensor, quads: Tensor, states: Tensor, points: Tensor, strides: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Quality focal loss on scores (Li et al. 2020), GIoU on boxes, smooth L1 on corners in plate heights where labels have true corners.

    The arguments are those of `assign`.
    """
    with torch.no_grad():
        index, quality, ignored = assign(output, quads, states, points, strides)
    positive = index >= 0
    logit = output[..., 0]
    focus = (quality - logit.sigmoid()).abs().square()
    score_losses = nn.functional.binary_cross_entropy_with_logits(logit, quality, reduction="none") * focus
    weight = quality[positive]
    total = weight.sum().clamp(min=1.0)
    score_loss = (score_losses * ~ignored).sum() / total
    batch_index, anchor_index = positive.nonzero(as_tuple=True)
    picked = index[batch_index, anchor_index]
    target, state = quads[batch_index, picked], states[batch_index, picked]
    predicted = output[batch_index, anchor_index, 1:].reshape(-1, 4, 2)
    _, giou = generalised_iou(hull_boxes(predicted), hull_boxes(target))
    box_loss = ((1 - giou) * weight).sum() / total
    height = ((target[:, 3] - target[:, 0]).norm(dim=-1) + (target[:, 2] - target[:, 1]).norm(dim=-1)) / 2
    errors = nn.functional.smooth_l1_loss(predicted / height[:, None, None], target / height[:, None, None], beta=0.1, reduction="none").mean(
        dim=(1, 2)
    )
    exact = weight * (state == EXACT)
    corner_loss = (errors * exact).sum() / exact.sum().clamp(min=1.0)
    loss = 2.0 * score_loss + 1.5 * box_loss + 3.0 * corner_loss
    return loss, {"score_loss": float(score_loss.detach()), "box_loss": float(box_loss.detach()), "corner_loss": float(corner_loss.detach())}
