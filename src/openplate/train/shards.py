"""A drawing function in, an endless series of shards out: the next shard is drawn in a process of its own while the present one is trained on."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from numpy.typing import NDArray

from openplate.errors import ConfigError

Shard = dict[str, NDArray[np.generic]]


def _end_with_parent() -> None:
    """Runs in the drawing process: ends it when the training process is gone, also after a kill."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def shard_batches(
    draw: Callable[[int], Shard], shard_size: int, passes: int, batch: int, first_step: int, steps: int, seed: int, drawers: int = 1
) -> Iterator[Shard]:
    """Batches for the steps `first_step` to `steps`; `draw(number)` gives shard `number` with `shard_size` rows in every array.

    Each shard is used `passes` times in an order that only `seed` and the pass decide, so that a resumed run sees what an unbroken one sees.
    `draw` must be picklable: it runs in processes of their own, of which `drawers` draw one shard each ahead.

    Raises:
        ConfigError: a shard holds not even one batch, or a drawing process was ended from outside.
    """
    if not 1 <= batch <= shard_size or passes < 1:
        raise ConfigError(f"expected batch from 1 to shard, and passes from 1; got batch = {batch}, shard = {shard_size}, passes = {passes}")
    if drawers < 1:
        raise ConfigError(f"drawers: expected 1 or more, got {drawers}")
    if first_step >= steps:
        return
    per_pass = shard_size // batch
    per_shard = per_pass * passes
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(drawers, context, initializer=_end_with_parent) as pool:
        number = first_step // per_shard
        last = (steps - 1) // per_shard
        upcoming: deque[Future[Shard]] = deque(pool.submit(draw, n) for n in range(number, min(number + drawers, last + 1)))
        step = first_step
        while step < steps:
            try:
                shard = upcoming.popleft().result()
            except BrokenProcessPool:
                raise ConfigError(
                    f"the process that draws ended without a word; if memory ran out, lower shard = {shard_size} or drawers = {drawers}"
                ) from None
            if number + drawers <= last:
                upcoming.append(pool.submit(draw, number + drawers))
            while step < min(steps, (number + 1) * per_shard):
                turn, place = divmod(step - number * per_shard, per_pass)
                order = np.random.default_rng((seed, number, turn)).permutation(shard_size)
                rows = order[place * batch : (place + 1) * batch]
                yield {key: value[rows] for key, value in shard.items()}
                step += 1
            number += 1
