"""A task in, a trained checkpoint out: optimiser, schedule, averaging, validation, log, early stopping, exact resume."""

from __future__ import annotations

import copy
import dataclasses
import math
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from tqdm import tqdm

from openplate.errors import ConfigError
from openplate.train.checkpoint import load_checkpoint, save_checkpoint, writing
from openplate.train.config import LoopConfig, save_resolved
from openplate.train.log import RunLog
from openplate.train.processes import ALONE, Place, agreed, check_together, choose_device, in_parallel, joined
from openplate.train.start import start_from

Batch = dict[str, Tensor]

_REMEDY = "go on with the config it began with, or train into another folder"
_FREE = {"loop.drawers", "loop.checkpoint_minutes", "loop.tensorboard", "loop.start_from", "detector", "straightener", "reader"}
"""Keys of a config that change nothing of what a run computes from its checkpoint on."""


class Task(Protocol):
    """What a kind of network brings to the loop."""

    network: nn.Module
    kind: str
    settings: dict[str, Any]

    def batches(self, first_step: int, steps: int) -> Iterator[Batch]:
        """The batches from `first_step` on; a step's batch depends on nothing but the config and its number."""
        ...

    def inputs(self, batch: Batch) -> Tensor:
        """What the network takes of a batch."""
        ...

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The loss to minimise and figures for the log."""
        ...

    def settling(self) -> Iterator[Batch]:
        """Always the same batches, as training sees them: the averaged network's batch statistics are taken of them."""
        ...

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures on held-out data; "score" decides which checkpoint is best (higher is better)."""
        ...


@runtime_checkable
class DescribesData(Protocol):
    """A task that has something to say of its data before it is trained."""

    def describe_data(self) -> str:
        """Lines for people, "" for none.

        Raises:
            DatasetError: there is nothing to train on where there should be.
        """
        ...


@runtime_checkable
class StartsParts(Protocol):
    """A task of which parts can start from files of their own."""

    def start_parts(self) -> str:
        """Fills these parts of the network, in place; lines for people that say what was taken, "" for nothing."""
        ...


@dataclass(slots=True)
class Progress:
    """How far a training is: steps done, the best score, validations since then, and sums of figures over the `seen` steps since the log's last row."""

    step: int = 0
    best: float = -math.inf
    stale: int = 0
    running: dict[str, float] = field(default_factory=dict)
    seen: int = 0

    def add(self, figures: dict[str, float]) -> None:
        """One more step with its figures."""
        for key, value in figures.items():
            self.running[key] = self.running.get(key, 0.0) + value
        self.step += 1
        self.seen += 1

    def take_means(self) -> dict[str, float]:
        """Means of the figures since the last time."""
        means = {key: value / self.seen for key, value in self.running.items()}
        self.running, self.seen = {}, 0
        return means

    def improve(self, score: float) -> bool:
        """Whether a validation's score is the best so far."""
        improved = score > self.best
        self.best, self.stale = (score, 0) if improved else (self.best, self.stale + 1)
        return improved


class Training:
    """What a training changes: the network, its average, the optimiser, the progress."""

    def __init__(self, network: nn.Module, config: LoopConfig) -> None:
        decay = [p for p in network.parameters() if p.ndim > 1]
        plain = [p for p in network.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.network = network
        self.average = copy.deepcopy(network).eval()
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
        self.progress = Progress()

    def state(self) -> dict[str, Any]:
        """Everything that an exact resume needs."""
        now = self.progress
        tensors = {"network": self.network.state_dict(), "average": self.average.state_dict(), "optimiser": self.optimiser.state_dict()}
        return tensors | {"step": now.step, "best": now.best, "stale": now.stale, "running": now.running, "seen": now.seen}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a state.

        Raises:
            RuntimeError, ValueError: it is that of another network.
        """
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(state["step"], state["best"], state.get("stale", 0), state.get("running", {}), state.get("seen", 0))


def learning_rate(step: int, config: LoopConfig) -> float:
    """Linear warm-up, then a cosine to zero at `config.steps`."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def train(task: Task, config: LoopConfig, whole_config: object, folder: Path, stop_after: int | None = None, place: Place = ALONE) -> Path:
    """Trains until `config.steps`, or until the score no longer gets better, going on from `folder`'s last checkpoint if there is one.

    Args:
        task: network, data and loss.
        config: the loop's part of the config.
        whole_config: saved beside the run.
        folder: gets `config.json`, `log.csv`, `curves.png`, `last.pt`, `best.pt`.
        stop_after: stop (with a checkpoint) after this step, as an interruption would.
        place: among the processes that train together; task and config are this process's share. The first process alone validates and writes.

    Returns:
        The path of the best checkpoint.

    Raises:
        ConfigError: the device is not there or too small, `start_from` or the last checkpoint does not fit the network, or the loss is no finite number.
        WeightsError: `start_from` or the last checkpoint is damaged.
        DatasetError: the data sets hold nothing that can be trained on.
        OpenPlateError: a file cannot be written; the last checkpoint stays as it was.
    """
    device = choose_device(config.device, place)
    said = task.describe_data() if isinstance(task, DescribesData) else ""
    if place.first:
        if said:
            tqdm.write(said, file=sys.stderr)
        with writing(folder / "config.json"):
            folder.mkdir(parents=True, exist_ok=True)
            save_resolved(whole_config, folder / "config.json")
    torch.set_num_threads(config.threads)
    network = task.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = _last_state(folder / "last.pt", task, device)
    setup = _flat(whole_config) | {"processes": place.count}
    if state is not None and place.first and (changes := _changes(state.get("config", {}), setup)) and state["step"] < config.steps:
        tqdm.write(f"goes on from {folder / 'last.pt'}, and not as an unbroken run would: {changes}", file=sys.stderr)
    if state is None and isinstance(task, StartsParts):
        taken = task.start_parts()
        if taken and place.first:
            tqdm.write(taken, file=sys.stderr)
    drawn = task.batches(state["step"] if state else 0, config.steps)
    with _closing(drawn):
        fresh = state is None and config.start_from
        batches = _start(task, network, Path(config.start_from), drawn, place) if fresh else drawn
        with joined(place, device):
            check_together(state["step"] if state else 0, place, device)
            parallel = in_parallel(network, place, device)
            training = Training(network, config)
            if state is not None:
                try:
                    training.restore(state)
                except (RuntimeError, ValueError):
                    reason = _one_sided(state["settings"], task.settings)
                    raise ConfigError(f"{folder / 'last.pt'}: does not fit this config{reason}; {_REMEDY}") from None
            try:
                _run(task, config, setup, folder, stop_after, place, training, parallel, batches)
            except torch.OutOfMemoryError:
                raise ConfigError(f"the memory of {device} is full at batch = {config.batch}; lower it") from None
    return folder / "best.pt"


def _run(
    task: Task,
    config: LoopConfig,
    setup: dict[str, Any],
    folder: Path,
    stop_after: int | None,
    place: Place,
    training: Training,
    parallel: nn.Module,
    batches: Iterator[Batch],
) -> None:
    progress = training.progress
    device = next(training.network.parameters()).device
    early = 0 < config.patience <= progress.stale
    if early or progress.step >= config.steps:  # it ended, and does so again
        if place.first:
            more = "loop.patience=0" if early else f"loop.steps={2 * config.steps}"
            tqdm.write(f"{task.kind}: ended already at step {progress.step}; for more: --set {more}", file=sys.stderr)
        return
    log = RunLog(folder, progress.step, config.tensorboard) if place.first else None
    started = time.monotonic()
    with tqdm(
        total=config.steps, initial=progress.step, desc=task.kind, file=sys.stderr, mininterval=10, dynamic_ncols=True, disable=not place.first
    ) as bar:
        for batch in batches:
            _step(task, config, training, parallel, {key: value.to(device, non_blocking=True) for key, value in batch.items()})
            bar.update()
            bar.set_postfix(loss=f"{progress.running['loss'] / progress.seen:.3f}", refresh=False)
            ended = progress.step == stop_after
            save = ended or progress.step == config.steps
            if progress.step % config.validate_every == 0 or progress.step == config.steps:
                if log is not None:
                    save |= _validate(task, config, folder, training, log)
                if agreed(0 < config.patience <= progress.stale, place, device):
                    ended = save = True
            if log is not None and (save or time.monotonic() - started > 60 * config.checkpoint_minutes):
                started = time.monotonic()
                save_checkpoint(folder / "last.pt", training.state() | {"kind": task.kind, "settings": task.settings, "config": setup})
            if ended:
                break
    if log is not None:
        log.close()


def _step(task: Task, config: LoopConfig, training: Training, parallel: nn.Module, batch: Batch) -> None:
    """One step of the optimiser; `parallel` is the network as it averages its gradients with other processes."""
    step = training.progress.step
    training.network.train()
    torch.manual_seed(config.seed * 1_000_003 + step)  # dropout, on every device: a resumed run draws what an unbroken one draws
    for group in training.optimiser.param_groups:
        group["lr"] = learning_rate(step, config)
    with torch.autocast(next(iter(batch.values())).device.type, dtype=torch.bfloat16, enabled=config.mixed_precision):
        loss, figures = task.loss(parallel, batch)
    if not torch.isfinite(loss):
        raise ConfigError(f"the loss is {loss.item()} at step {step}; lower learning_rate or raise warmup_steps")
    training.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(training.network.parameters(), config.clip_norm)
    training.optimiser.step()
    training.progress.add({"loss": float(loss.detach()), **figures})
    _average(training.average, training.network, min(config.ema, (2 + step) / (11 + step)))


def _validate(task: Task, config: LoopConfig, folder: Path, training: Training, log: RunLog) -> bool:
    """A row of the log, and the best checkpoint if the score got better; whether it did."""
    progress = training.progress
    means = progress.take_means()
    network = settle(task, training.average, config.mixed_precision)
    checked = task.validate(network)
    log.write({"step": progress.step, "learning_rate": learning_rate(progress.step, config), **means, **checked})
    tqdm.write(f"{task.kind} step {progress.step}: " + " ".join(f"{k} {v:.4f}" for k, v in {**means, **checked}.items()), file=sys.stderr)
    improved = progress.improve(checked["score"])
    if improved:
        state = {"kind": task.kind, "settings": task.settings, "network": network.state_dict(), "step": progress.step}
        save_checkpoint(folder / "best.pt", state)
    if 0 < config.patience <= progress.stale:
        tqdm.write(f"{task.kind}: no better score in {progress.stale} validations, training ends", file=sys.stderr)
    return improved


class _Loss(nn.Module):
    """A batch in, its loss out: whatever a network takes."""

    def __init__(self, task: Task, network: nn.Module) -> None:
        super().__init__()
        self.task, self.network = task, network

    def forward(self, batch: Batch) -> Tensor:
        return self.task.loss(self.network, batch)[0]


def settle(task: Task, average: nn.Module, mixed_precision: bool) -> nn.Module:
    """The averaged network with batch statistics of its own (Izmailov et al. 2018).

    The average of the statistics that many networks had is not what the average of their weights makes of a picture.
    """
    network = copy.deepcopy(average)
    device = next(network.parameters()).device
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed_precision):
        update_bn(({key: value.to(device) for key, value in batch.items()} for batch in task.settling()), _Loss(task, network))
    return network.eval()


def _last_state(path: Path, task: Task, device: torch.device) -> dict[str, Any] | None:
    """The checkpoint that training goes on from, if there is one."""
    if not path.exists():
        return None
    state = load_checkpoint(path, device)
    for key, value in state["settings"].items():
        if task.settings.get(key, value) != value:
            raise ConfigError(f"{path}: does not fit this config: {key} was {value!r}, now it is {task.settings[key]!r}; {_REMEDY}")
    return state


def _flat(config: object) -> dict[str, Any]:
    """The values of a config by their keys, those of the table `loop` as `loop.KEY`."""
    values: dict[str, Any] = {}
    for key, value in dataclasses.asdict(config).items():  # type: ignore[call-overload]
        entries = {f"{key}.{inner}": one for inner, one in value.items()} if isinstance(value, dict) else {key: value}
        values |= {name: list(one) if isinstance(one, tuple) else one for name, one in entries.items()}
    return values


def _changes(was: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs between the config of the run so far and the present one, in words; keys that one of them lacks are those of another version."""
    changed = [key for key in now if key in was and key not in _FREE and was[key] != now[key]]
    return "; ".join(f"{key} was {was[key]!r}, now it is {now[key]!r}" for key in changed)


def _one_sided(was: dict[str, Any], now: dict[str, Any]) -> str:
    """The settings that only the checkpoint or only the config has, in words; files of older versions lack some and fit all the same."""
    named = {"origins": "tell_countries"}  # a config has another key for it
    parts = [f"{named.get(key, key)} was set, now it is not" for key in was if key not in now]
    parts += [f"{named.get(key, key)} is set, it was not" for key in now if key not in was]
    return ": " + "; ".join(parts) if parts else ""


def _start(task: Task, network: nn.Module, path: Path, batches: Iterator[Batch], place: Place) -> Iterator[Batch]:
    """Fills the network from a file; the batches, as many as before."""
    taken: list[Batch] = []

    def sample() -> Tensor:
        taken.append(next(batches))
        return task.inputs(taken[0]).float().to(next(network.parameters()).device)

    said = start_from(network, path, str(task.settings.get("characters", "")), sample)
    if place.first:
        tqdm.write(said, file=sys.stderr)
    return chain(taken, batches)


@contextmanager
def _closing(batches: Iterator[Batch]) -> Iterator[None]:
    """Ends what draws the batches, however training ends: an error keeps them alive, and the program would wait for a shard that nobody wants."""
    try:
        yield
    finally:
        if isinstance(batches, Generator):
            batches.close()


def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)
