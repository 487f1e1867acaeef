"""Readers in (checkpoints, training configs, exported files), a table of their sizes and speeds out.

Each is measured on one thread at batch 1 and 8, with every engine that is installed. The networks take turns, so that a busy machine slows all alike.
A config gives an untrained network: it is as large and as fast as a trained one.

Example: python bench/readers.py configs/reader*.toml --json readers.json
"""

from __future__ import annotations

import json
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import nn

from openplate.engine import Network, installed_engines, open_network
from openplate.errors import OpenPlateError
from openplate.export.onnx import build_network, export_checkpoint
from openplate.rectify import CROP_HEIGHT, CROP_WIDTH
from openplate.train.checkpoint import load_checkpoint, save_checkpoint
from openplate.train.config import ReaderConfig, load_config
from openplate.train.reader import ReaderTask

BATCHES = (1, 8)


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds a crop: the median of all runs, and the fastest run."""

    engine: str
    precision: str
    batch: int
    median_ms: float
    fastest_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A reader's size and speed; `parameters` and `macs` (multiply-adds a crop) are None for exported files, which no longer tell them."""

    name: str
    network: str
    parameters: int | None
    macs: int | None
    file_bytes: int
    speeds: tuple[Speed, ...] = ()


def count_macs(network: nn.Module, crop: torch.Tensor) -> int:
    """Multiply-adds of convolutions, matrix products and recurrent layers for one input `(1, ...)`."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features
        elif isinstance(layer, (nn.LSTM, nn.GRU)):
            steps = inputs[0].shape[0] * inputs[0].shape[1]
            total += steps * sum(p.numel() for name, p in layer.named_parameters() if name.startswith("weight"))

    handles = [module.register_forward_hook(count) for module in network.modules()]
    with torch.inference_mode():
        network.eval()(crop)
    for handle in handles:
        handle.remove()
    return total


def prepare(path: Path, folder: Path) -> tuple[Measured, Path]:
    """The sizes of a reader, and its exported file (made in `folder` where `path` is not one).

    Raises:
        OpenPlateError: the file is no config, no checkpoint or no network of a reader.
    """
    name = path.parent.name if path.stem in ("best", "last") else path.stem
    if path.suffix == ".onnx":
        return Measured(name, "exported", None, None, path.stat().st_size if path.exists() else 0), path
    checkpoint = path
    if path.suffix == ".toml":
        task = ReaderTask(load_config(path, ReaderConfig))
        checkpoint = folder / f"{name}.pt"
        save_checkpoint(checkpoint, {"kind": "reader", "settings": task.settings, "network": task.network.state_dict(), "step": 0})
    state = load_checkpoint(checkpoint)
    if state["kind"] != "reader":
        raise OpenPlateError(f"{path}: expected a reader, got a {state['kind']}")
    network = build_network(state)
    exported = folder / f"{name}.onnx"
    export_checkpoint(checkpoint, exported)
    settings = state["settings"]
    kind = settings.get("network", "crnn") + (" behind a transformer" if settings.get("transformer") else "")
    macs = count_macs(network, torch.zeros(1, 1, CROP_HEIGHT, CROP_WIDTH))
    return Measured(name, kind, sum(p.numel() for p in network.parameters()), macs, exported.stat().st_size), exported


def time_in_turns(networks: Sequence[Network], batch: int, runs: int, warm_up: int) -> list[list[float]]:
    """Milliseconds a crop of every run of each network."""
    crops = np.random.default_rng(0).integers(0, 256, (batch, CROP_HEIGHT, CROP_WIDTH), np.uint8)
    times: list[list[float]] = [[] for _ in networks]
    for run in range(-warm_up, runs):
        for network, row in zip(networks, times, strict=True):
            start = time.perf_counter()
            network(crops)
            if run >= 0:
                row.append((time.perf_counter() - start) * 1000 / batch)
    return times


def measure(paths: Sequence[Path], runs: int, warm_up: int) -> list[Measured]:
    """Sizes and speeds of all readers.

    Raises:
        OpenPlateError: see `prepare`.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = [prepare(path, Path(folder)) for path in paths]
        speeds: list[list[Speed]] = [[] for _ in prepared]
        for engine in installed_engines():
            networks = [open_network(file, engine=engine, threads=1) for _, file in prepared]
            for batch in BATCHES:
                for network, row, times in zip(networks, speeds, time_in_turns(networks, batch, runs, warm_up), strict=True):
                    row.append(Speed(engine, network.report.precision, batch, statistics.median(times), min(times)))
    return [replace(entry, speeds=tuple(row)) for (entry, _), row in zip(prepared, speeds, strict=True)]


def as_table(readers: Sequence[Measured]) -> str:
    """The readers side by side, as a Markdown table: milliseconds a crop, median and in brackets the fastest run."""
    columns = [f"{s.engine} {s.precision}, batch {s.batch}" for s in readers[0].speeds]
    if any([f"{s.engine} {s.precision}, batch {s.batch}" for s in entry.speeds] != columns for entry in readers):
        columns = [f"{s.engine}, batch {s.batch}" for s in readers[0].speeds]  # INT8 beside others: the precision differs by row
    rows = [["reader", "network", "parameters", "multiply-adds", "file", *columns]]
    for entry in readers:
        sizes = ["-" if value is None else f"{value / 1e6:.2f} M" for value in (entry.parameters, entry.macs)]
        speeds = [f"{s.median_ms:.2f} ({s.fastest_ms:.2f})" for s in entry.speeds]
        rows.append([entry.name, entry.network, *sizes, f"{entry.file_bytes / 1e6:.2f} MB", *speeds])
    rows.insert(1, ["---"] * len(rows[0]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="READER...")
@click.option("--runs", default=100, show_default=True, type=click.IntRange(min=1), help="How often each is measured.")
@click.option("--warm-up", default=10, show_default=True, type=click.IntRange(min=0), help="How often each runs before.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write everything as one JSON object to this file too.")
def main(paths: tuple[Path, ...], runs: int, warm_up: int, target: Path | None) -> None:
    """Sizes and speeds of READERs: training configs (.toml), checkpoints (.pt) or exported files (.onnx), on one thread.

    Example: python bench/readers.py configs/reader*.toml runs/reader/best.pt --json readers.json
    """
    try:
        readers = measure(paths, runs, warm_up)
    except OpenPlateError as error:
        raise click.ClickException(str(error)) from None
    if target is not None:
        document = {
            "version": 1,
            "machine": platform.processor() or platform.machine(),
            "threads": 1,
            "readers": [asdict(entry) for entry in readers],
        }
        target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf8")
    click.echo(as_table(readers))
    click.echo("milliseconds a crop on one thread: median (fastest run)", err=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
