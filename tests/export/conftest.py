"""A small, untrained checkpoint of each network, exported once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from openplate.charset import CHARACTERS, Charset
from openplate.export import export_checkpoint
from openplate.train.config import ReaderConfig, save_resolved
from openplate.train.networks.crnn import Crnn
from openplate.train.networks.detector import Detector
from openplate.train.networks.straightener import Straightener

KINDS = ("reader", "detector", "straightener")


@dataclass(frozen=True)
class Exported:
    """A checkpoint, its `.onnx` file, and what the export said."""

    checkpoint: Path
    target: Path
    differences: dict[str, float]


def write_checkpoint(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    network: nn.Module
    settings: dict[str, Any]
    if kind == "reader":
        network, settings = Crnn(len(Charset()), 0.25, 16), {"characters": CHARACTERS, "width": 0.25, "hidden": 16}
    elif kind == "detector":
        network, settings = Detector((8, 16, 32, 40, 16)), {"channels": [8, 16, 32, 40, 16]}
    else:
        network, settings = Straightener(), {}
    path = folder / f"{kind}.pt"
    torch.save({"kind": kind, "settings": settings, "network": network.state_dict(), "step": 7}, path)
    return path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    made = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        if kind == "reader":
            save_resolved(ReaderConfig(photos=("/secret/place/streets",), validation=("/secret/place/yard",), hidden=16), folder / "config.json")
        checkpoint, target = write_checkpoint(folder, kind), folder / "out" / f"{kind}.onnx"
        made[kind] = Exported(checkpoint, target, export_checkpoint(checkpoint, target, {"note": "a test"}))
    return made
