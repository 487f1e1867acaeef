"""torchrun's environment in; this process's place among those that train together, and its share of the work out.

Every process draws and trains on its own share of each batch; gradients are averaged (PyTorch's DistributedDataParallel), so that all hold the same weights.
The first process alone validates, prints and writes files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import distributed, nn

from openplate.errors import ConfigError
from openplate.train.config import DetectorConfig, EndToEndConfig, ReaderConfig, StraightenerConfig

Shared = TypeVar("Shared", bound=ReaderConfig | DetectorConfig | StraightenerConfig | EndToEndConfig)

_SEED_STEP = 15_485_863
"""Between the seeds of two processes; a large prime, so that no process draws what another one draws for the seed that somebody chose next."""


@dataclass(frozen=True, slots=True)
class Place:
    """A process among `count` that train together; `local` is its number on its own machine."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0


ALONE = Place()


def find_place() -> Place:
    """The place that torchrun gave this process; `ALONE` when it was started by itself.

    Raises:
        ConfigError: torchrun's variables are no numbers.
    """
    values = [os.environ.get(name, default) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))]
    try:
        return Place(*(int(value) for value in values))
    except ValueError:
        raise ConfigError(f"RANK, WORLD_SIZE, LOCAL_RANK: expected the numbers that torchrun sets, got {', '.join(values)}") from None


def take_share(config: Shared, place: Place) -> Shared:
    """The config of one process: its share of batch and shard, and a seed of its own. The first process keeps the seed.

    Raises:
        ConfigError: batch or shard cannot be divided evenly.
    """
    if config.loop.batch % place.count or config.shard % place.count:
        raise ConfigError(f"batch = {config.loop.batch} and shard = {config.shard} must be multiples of the number of processes, {place.count}")
    loop = replace(config.loop, batch=config.loop.batch // place.count, seed=config.loop.seed + _SEED_STEP * place.rank)
    return replace(config, loop=loop, shard=config.shard // place.count)


def choose_device(name: str, place: Place = ALONE) -> torch.device:
    """The device of this process: "cuda" means a GPU of its own for each process of a machine.

    Raises:
        ConfigError: there is no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f'device: expected "cpu" or "cuda", got {name!r}') from None
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise ConfigError(f'device = "{name}": no CUDA device is there; set device = "cpu"')
    index = place.local if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise ConfigError(f'device = "{name}": expected a GPU number {index}, this machine has {torch.cuda.device_count()}; start fewer processes')
    return torch.device("cuda", index)


@contextmanager
def joined(place: Place, device: torch.device) -> Iterator[None]:
    """While it holds, this process belongs to the group; nothing happens for one that is alone."""
    if place.count == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=place.rank, world_size=place.count)
    try:
        yield
        distributed.barrier()  # what the first process wrote is there when the others end
    finally:
        distributed.destroy_process_group()


def in_parallel(network: nn.Module, place: Place, device: torch.device) -> nn.Module:
    """The network with gradients averaged over the group; it takes the first process's weights. The network itself for a process that is alone."""
    if place.count == 1:
        return network
    return nn.parallel.DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def check_together(step: int, place: Place, device: torch.device) -> None:
    """Makes sure that all processes go on from the same step; otherwise they would wait for each other without end.

    Raises:
        ConfigError: this process has found another checkpoint than the first one.
    """
    if place.count == 1:
        return
    word = torch.tensor(step, device=device)
    distributed.broadcast(word, src=0)
    if int(word) != step:
        raise ConfigError(
            f"process {place.rank} goes on from step {step}, the first one from step {int(word)}; all must see the same folder of the run"
        )


def agreed(decision: bool, place: Place, device: torch.device) -> bool:
    """What the first process decided; the others wait for it."""
    if place.count == 1:
        return decision
    word = torch.tensor(int(decision), device=device)
    distributed.broadcast(word, src=0)
    return bool(word.item())
