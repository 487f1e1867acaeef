"""A task in, a trained checkpoint out: optimiser, schedule, averaging, validation, log, curves, exact resume."""

from __future__ import annotations

import copy
import csv
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from openplate.errors import ConfigError
from openplate.train.config import LoopConfig, save_resolved

Batch = dict[str, Tensor]


class Task(Protocol):
    """What a kind of network brings to the loop."""

    network: nn.Module
    kind: str
    settings: dict[str, Any]

    def batches(self, first_step: int, steps: int) -> Iterator[Batch]:
        """The batches from `first_step` on; a step's batch depends on nothing but the config and its number."""
        ...

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The loss to minimise and figures for the log."""
        ...

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures on held-out data; "score" decides which checkpoint is best (higher is better)."""
        ...


def learning_rate(step: int, config: LoopConfig) -> float:
    """Linear warm-up, then a cosine to zero at `config.steps`."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def train(task: Task, config: LoopConfig, whole_config: object, folder: Path, stop_after: int | None = None) -> Path:
    """Trains until `config.steps`, going on from `folder`'s last checkpoint if there is one.

    Args:
        task: network, data and loss.
        config: the loop's part of the config.
        whole_config: saved beside the run.
        folder: gets `config.json`, `log.csv`, `curves.png`, `last.pt`, `best.pt`.
        stop_after: stop (with a checkpoint) after this step, as an interruption would.

    Returns:
        The path of the best checkpoint.

    Raises:
        ConfigError: the device is not there, or `start_from` does not fit the network.
    """
    device = torch.device(config.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError('device = "cuda": no CUDA device is there; set device = "cpu"')
    folder.mkdir(parents=True, exist_ok=True)
    save_resolved(whole_config, folder / "config.json")
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    network = task.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.start_from:
        load_weights(network, Path(config.start_from))
    average = copy.deepcopy(network).eval()
    decay = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
    step, best = 0, -math.inf
    last = folder / "last.pt"
    if last.exists():
        state = torch.load(last, map_location=device, weights_only=False)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["rng"].cpu())
        step, best = state["step"], state["best"]
        _truncate_log(folder / "log.csv", step)
    started = time.monotonic()
    running: dict[str, float] = {}
    seen = 0
    with tqdm(total=config.steps, initial=step, desc=task.kind, file=sys.stderr, mininterval=10, dynamic_ncols=True) as bar:
        for batch in task.batches(step, config.steps):
            network.train()
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, config)
            batch = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.mixed_precision):
                loss, figures = task.loss(network, batch)
            if not torch.isfinite(loss):
                raise ConfigError(f"the loss is {loss.item()} at step {step}; lower learning_rate or raise warmup_steps")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
            optimiser.step()
            step += 1
            _average(average, network, min(config.ema, (1 + step) / (10 + step)))
            for key, value in {"loss": float(loss.detach()), **figures}.items():
                running[key] = running.get(key, 0.0) + value
            seen += 1
            bar.update()
            bar.set_postfix(loss=f"{running['loss'] / seen:.3f}", refresh=False)
            at_end = step == config.steps or step == stop_after
            if step % config.validate_every == 0 or step == config.steps:
                figures = {key: value / seen for key, value in running.items()}
                running, seen = {}, 0
                checked = task.validate(average)
                improved = checked["score"] > best
                best = max(best, checked["score"])
                _log(folder / "log.csv", {"step": step, "learning_rate": learning_rate(step, config), **figures, **checked})
                tqdm.write(f"{task.kind} step {step}: " + " ".join(f"{k} {v:.4f}" for k, v in {**figures, **checked}.items()), file=sys.stderr)
                if improved:
                    _save(folder / "best.pt", {"kind": task.kind, "settings": task.settings, "network": average.state_dict(), "step": step})
                draw_curves(folder / "log.csv", folder / "curves.png")
                at_end = at_end or improved
            if at_end or time.monotonic() - started > 60 * config.checkpoint_minutes:
                started = time.monotonic()
                state = {"network": network.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
                _save(last, {**state, "rng": torch.get_rng_state(), "step": step, "best": best, "kind": task.kind, "settings": task.settings})
            if step == stop_after:
                break
    return folder / "best.pt"


def load_weights(network: nn.Module, checkpoint: Path) -> None:
    """Loads the weights of a checkpoint whose tensors fit; those of another shape (a larger charset) keep their start values.

    Raises:
        ConfigError: the file is missing or nothing in it fits.
    """
    if not checkpoint.exists():
        raise ConfigError(f"start_from: {checkpoint} is not there")
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)
    source = state.get("average", state["network"])
    own = network.state_dict()
    fitting = {k: v for k, v in source.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise ConfigError(f"start_from: nothing in {checkpoint} fits this network")
    network.load_state_dict({**own, **fitting})


def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def _save(path: Path, state: dict[str, Any]) -> None:
    """Writes beside and renames: a full disk or a kill leaves the checkpoint before it."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def _log(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" for k, v in row.items()})


def _truncate_log(path: Path, step: int) -> None:
    """Drops rows after the checkpoint that training goes on from, so that a resumed run's log equals an unbroken one's."""
    if path.exists():
        rows = path.read_text().splitlines()
        path.write_text("\n".join([rows[0], *(r for r in rows[1:] if float(r.split(",")[0]) <= step)]) + "\n")


def draw_curves(log: Path, picture: Path) -> None:
    """One small plot for each column of the log over the steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with log.open() as file:
        rows = list(csv.DictReader(file))
    names = [n for n in rows[0] if n != "step"]
    figure, axes = pyplot.subplots(math.ceil(len(names) / 3), 3, figsize=(12, 3 * math.ceil(len(names) / 3)), squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        axis.plot([float(r["step"]) for r in rows], [float(r[name]) for r in rows], marker=".")
        axis.set_title(name)
        axis.grid(alpha=0.3)
    for axis in list(axes.flat)[len(names) :]:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(picture, dpi=80)
    pyplot.close(figure)
