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

from openplate.errors import ConfigError, WeightsError
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
        ConfigError: the device is not there, `start_from` or the last checkpoint does not fit the network, or the loss is no finite number.
        WeightsError: `start_from` or the last checkpoint is damaged.
    """
    device = _device(config.device)
    folder.mkdir(parents=True, exist_ok=True)
    save_resolved(whole_config, folder / "config.json")
    torch.set_num_threads(config.threads)
    network = task.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    last = folder / "last.pt"
    if config.start_from and not last.exists():
        load_weights(network, Path(config.start_from))
    average = copy.deepcopy(network).eval()
    decay = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
    step, best = 0, -math.inf
    running: dict[str, float] = {}
    seen = 0
    if last.exists():
        state = load_checkpoint(last, device)
        try:
            network.load_state_dict(state["network"])
            average.load_state_dict(state["average"])
            optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError):
            raise ConfigError(f"{last}: does not fit this config; go on with the config it began with, or train into another folder") from None
        step, best = state["step"], state["best"]
        running, seen = state.get("running", {}), state.get("seen", 0)
    _truncate_log(folder / "log.csv", step)
    started = time.monotonic()
    with tqdm(total=config.steps, initial=step, desc=task.kind, file=sys.stderr, mininterval=10, dynamic_ncols=True) as bar:
        for batch in task.batches(step, config.steps):
            network.train()
            torch.manual_seed(config.seed * 1_000_003 + step)  # dropout, on every device: a resumed run draws what an unbroken one draws
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
                state |= {"step": step, "best": best, "running": running, "seen": seen, "kind": task.kind, "settings": task.settings}
                _save(last, state)
            if step == stop_after:
                break
    return folder / "best.pt"


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `train` saved in `last.pt` or `best.pt`: kind, settings, network, step and more. Only tensors and plain values are read, no code.

    Raises:
        WeightsError: the file is missing, damaged or something else.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: expected a checkpoint of openplate train, found no such file")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception:  # noqa: BLE001  what torch raises for a damaged file has no other common root
        state = None
    if not isinstance(state, dict) or not {"kind", "settings", "network", "step"} <= set(state):
        raise WeightsError(f"{path}: expected a checkpoint of openplate train, this file is damaged or something else; take another or train again")
    return state


def load_weights(network: nn.Module, checkpoint: Path) -> None:
    """Loads the weights of a checkpoint whose tensors fit; those of another shape (a larger charset) keep their start values.

    Raises:
        ConfigError: nothing in the file fits.
        WeightsError: the file is missing or damaged.
    """
    state = load_checkpoint(checkpoint)
    source = state.get("average", state["network"])
    own = network.state_dict()
    fitting = {k: v for k, v in source.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise ConfigError(f"start_from: nothing in {checkpoint} fits this network")
    network.load_state_dict({**own, **fitting})


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f'device: expected "cpu" or "cuda", got {name!r}') from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f'device = "{name}": no CUDA device is there; set device = "cpu"')
    return device


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
    try:
        torch.save(state, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _log(path: Path, row: dict[str, float]) -> None:
    new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" for k, v in row.items()})


def _truncate_log(path: Path, step: int) -> None:
    """Drops rows after the checkpoint that training goes on from, so that a resumed run's log equals an unbroken one's."""
    rows = path.read_text().splitlines() if path.exists() else []
    if rows:
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
