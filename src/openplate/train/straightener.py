"""The straightener's training task: looks at drawn plates through wrong quads, smooth L1 on corner corrections."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from openplate.geometry import box_to_quad, quad_size, quad_to_box, quad_with_margins
from openplate.straighten import HEIGHT, WIDTH, apply_offsets, find_offsets, look
from openplate.synthesize.crops import draw_crops, view
from openplate.synthesize.photos import Patch, open_patches
from openplate.train.config import StraightenerConfig
from openplate.train.loop import Batch
from openplate.train.networks.straightener import Straightener
from openplate.train.reader import chosen_formats
from openplate.train.shards import SETTLING, Shard, in_order, shard_batches
from openplate.types import Quad


def coarse_quad(quad: Quad, rng: random.Random) -> Quad:
    """The quad with a detector's errors, larger than those that readers are trained with: corners, shift, scale, or only the upright box.

    One in five is the outline of something around the plate: a frame, a panel.
    """
    kind = rng.random()
    _, height = quad_size(quad)
    if kind < 0.3:
        x0, y0, x1, y1 = quad_to_box(quad)
        quad = box_to_quad(x0, y0, x1, y1)
    if rng.random() < 0.2:
        left, right, above, below = (rng.uniform(0, most) for most in (0.22, 0.22, 0.35, 0.35))
        quad = quad_with_margins(quad, left, right, above, below)
    spread = height * (0.04 if rng.random() < 0.5 else 0.11)
    centre = quad.mean(axis=0)
    scale = np.array([1 + rng.gauss(0, 0.04), 1 + rng.gauss(0, 0.09)], np.float32)
    corners = np.array([[rng.gauss(0, 1.4), rng.gauss(0, 1)] for _ in range(4)], np.float32) * spread
    shift = np.array([rng.gauss(0, 1.4), rng.gauss(0, 1)], np.float32) * spread
    return np.asarray(centre + (quad - centre) * scale + corners + shift, dtype=np.float32)


@lru_cache(maxsize=1)
def corner_patches(folders: tuple[str, ...]) -> Sequence[Patch]:
    """The real plates in photos that are trained on, labels read once a process; a plate that fills its image has no corners to look for."""
    return open_patches([Path(folder) for folder in folders], False, in_photos=True)[0]


@dataclass(frozen=True, slots=True)
class DrawStraightenerShard:
    """Draws shard `number`: looks `(S, 48, 128) uint8` and offsets `(S, 8) float32`; a tenth comes from real plates with true corners."""

    config: StraightenerConfig

    def __call__(self, number: int) -> Shard:
        config = self.config
        rng = random.Random(f"straightener {config.loop.seed} {number}")
        difficulty = 0.85 if number else 0.5
        drawn = draw_crops(chosen_formats(config.countries), rng.getrandbits(48), difficulty, views=3)
        patches = corner_patches(config.photos)
        looks, offsets = np.zeros((config.shard, HEIGHT, WIDTH), np.uint8), np.zeros((config.shard, 8), np.float32)
        for i in range(config.shard):
            if patches and rng.random() < 0.1:
                patch = rng.choice(patches)
                photo, quad = view(patch.image, patch.quad, rng, difficulty)
            else:
                entry = next(drawn)
                photo, quad = entry.photo, entry.quad
            coarse = coarse_quad(quad, rng)
            looks[i], offsets[i] = look(photo, coarse), find_offsets(coarse, quad)
        return {"looks": looks, "offsets": np.clip(offsets, -0.6, 0.6)}


class StraightenerTask:
    """See the module."""

    kind = "straightener"

    def __init__(self, config: StraightenerConfig) -> None:
        self.config = config
        self.settings: dict[str, object] = {}
        torch.manual_seed(config.loop.seed)
        self.network: nn.Module = Straightener()
        self._validation: list[tuple[np.ndarray, Quad, Quad]] = []
        self._settling: Shard | None = None

    def batches(self, first_step: int, steps: int) -> Iterator[Batch]:
        config, loop = self.config, self.config.loop
        for rows in shard_batches(DrawStraightenerShard(config), config.shard, config.passes, loop.batch, first_step, steps, loop.seed, loop.drawers):
            yield {key: torch.from_numpy(value) for key, value in rows.items()}

    def settling(self) -> Iterator[Batch]:
        batch = self.config.loop.batch
        if self._settling is None:
            rows_drawn = min(self.config.shard, max(2048, batch))
            self._settling = DrawStraightenerShard(dataclasses.replace(self.config, shard=rows_drawn))(SETTLING)
        for rows in in_order(self._settling, batch):
            yield {key: torch.from_numpy(value) for key, value in rows.items()}

    def inputs(self, batch: Batch) -> Tensor:
        return batch["looks"][:, None].float()

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        offsets = network(self.inputs(batch))
        weight = torch.tensor([2.0, 1.0] * 4, device=offsets.device)  # a width is some three heights
        losses = nn.functional.smooth_l1_loss(offsets.float() * weight, batch["offsets"] * weight, beta=0.02, reduction="mean")
        return losses * 10, {}

    def validate(self, network: nn.Module) -> dict[str, float]:
        if not self._validation:
            rng = random.Random(4242)
            drawn = draw_crops(chosen_formats(self.config.countries), 31337, 0.8, views=1)
            for entry in islice(drawn, self.config.validation_crops):
                coarse = coarse_quad(entry.quad, rng)
                self._validation.append((look(entry.photo, coarse), coarse, entry.quad))
        network.eval()
        device = next(network.parameters()).device
        looks = np.stack([v[0] for v in self._validation])
        with torch.inference_mode():
            offsets = np.concatenate(
                [network(torch.from_numpy(part)[:, None].float().to(device)).cpu().numpy() for part in np.array_split(looks, 12)]
            )
        before, after = [], []
        for (_, coarse, exact), offset in zip(self._validation, offsets, strict=True):
            height = quad_size(exact)[1]
            before.append(np.linalg.norm(coarse - exact, axis=1).mean() / height)
            after.append(np.linalg.norm(apply_offsets(coarse, offset) - exact, axis=1).mean() / height)
        figures = {"before": float(np.median(before)), "after": float(np.median(after)), "after_p90": float(np.percentile(after, 90))}
        return {**figures, "score": -figures["after"]}
