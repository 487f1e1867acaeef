"""Started twice by torchrun: trains a toy, and writes what this process ended with."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from openplate.train import log
from openplate.train.config import ReaderConfig
from openplate.train.loop import Batch, train
from openplate.train.processes import find_place, take_share
from tests.train.conftest import TINY, TinyTask


class SharedTask(TinyTask):
    """Every process takes its rows of a batch of eight."""

    def __init__(self, rank: int, count: int) -> None:
        super().__init__()
        torch.manual_seed(rank)  # start weights that differ: the first process's must be taken
        for parameter in self.network.parameters():
            torch.nn.init.uniform_(parameter, -0.5, 0.5)
        self.rank, self.count = rank, count

    def batches(self, first_step: int, steps: int):  # type: ignore[no-untyped-def]
        for batch in super().batches(first_step, steps):
            rows = slice(self.rank, None, self.count)
            yield {"inputs": batch["inputs"][rows], "step": batch["step"]}

    def loss(self, network: torch.nn.Module, batch: Batch):  # type: ignore[no-untyped-def]
        self.rows = len(batch["inputs"])
        return super().loss(network, batch)


def main(out: Path, stop_after: int | None) -> None:
    """Trains six steps, or `stop_after` of them, or what is left of them after an earlier start."""
    log.draw_curves = lambda *_: None  # matplotlib takes longer than everything else
    place = find_place()
    config = take_share(ReaderConfig(loop=replace(TINY, validate_every=3), shard=16), place)
    task = SharedTask(place.rank, place.count)
    train(task, config.loop, config, out / "run", stop_after=stop_after, place=place)
    weights = {name: value for name, value in task.network.named_parameters()}
    torch.save(
        {"weights": weights, "rows": task.rows, "checks": task.checks, "batch": config.loop.batch, "seed": config.loop.seed}, out / f"{place.rank}.pt"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
