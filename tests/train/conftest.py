"""A task small enough to train in a test: two layers with dropout and batch normalisation on seeded numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from openplate.train import log
from openplate.train.config import LoopConfig
from openplate.train.loop import Batch

TINY = LoopConfig(steps=6, batch=8, learning_rate=0.05, warmup_steps=2, validate_every=2, ema=0.9, mixed_precision=False, seed=3)


class TinyTask:
    """Learns to add four numbers; every score is better than the one before it."""

    kind = "tiny"

    def __init__(self, spoil_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.network: nn.Module = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1))
        self.settings: dict[str, Any] = {"width": 16}
        self.spoil_at = spoil_at
        self.checks = 0

    def batches(self, first_step: int, steps: int) -> Iterator[Batch]:
        for step in range(first_step, steps):
            inputs = torch.randn((8, 4), generator=torch.Generator().manual_seed(step))
            yield {"inputs": inputs, "step": torch.tensor(step)}

    def settling(self) -> Iterator[Batch]:
        yield from self.batches(1000, 1004)

    def inputs(self, batch: Batch) -> Tensor:
        return batch["inputs"]

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        error: Tensor = (network(self.inputs(batch))[:, 0] - batch["inputs"].sum(dim=1)).square().mean()
        if int(batch["step"]) == self.spoil_at:
            error = error * float("nan")
        return error, {"twice": 2 * float(error.detach())}

    def validate(self, network: nn.Module) -> dict[str, float]:
        assert not network.training
        inputs = torch.randn((64, 4), generator=torch.Generator().manual_seed(99))
        with torch.inference_mode():
            error = float((network(inputs)[:, 0] - inputs.sum(dim=1)).square().mean())
        self.checks += 1
        return {"error": error, "score": -error}


@pytest.fixture
def tiny() -> LoopConfig:
    return TINY


@pytest.fixture
def curves(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pictures that would have been drawn: matplotlib takes far longer than these trainings."""
    pictures: list[Path] = []
    monkeypatch.setattr(log, "draw_curves", lambda _, picture: pictures.append(picture))
    return pictures
