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
from openplate.export.end_to_end import export_end_to_end
from openplate.train.config import EndToEndConfig, ReaderConfig, save_resolved
from openplate.train.networks.crnn import Crnn
from openplate.train.networks.detector import Detector
from openplate.train.networks.end_to_end import EndToEnd
from openplate.train.networks.straightener import Straightener

KINDS = ("reader", "detector", "straightener")
"""Those of one file."""


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


@pytest.fixture(scope="session")
def end_to_end(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first file of an untrained end-to-end network."""
    torch.manual_seed(0)
    channels = (8, 16, 16, 16, 16)
    settings: dict[str, Any] = {"characters": CHARACTERS, "backbone": "light", "width": 0.25, "hidden": 8, "longest_px": 192}
    settings |= {"channels": list(channels), "origins": []}
    network = EndToEnd(len(Charset()), "light", 0.25, 8, channels)
    folder = tmp_path_factory.mktemp("end-to-end")
    config = EndToEndConfig(detector="/secret/place/detector.pt", reader="package", photos=("/secret/place/streets",))
    save_resolved(config, folder / "config.json")
    torch.save({"kind": "end-to-end", "settings": settings, "network": network.state_dict(), "step": 7}, folder / "best.pt")
    export_end_to_end(folder / "best.pt", folder / "plates.onnx")
    return folder / "plates.onnx"
