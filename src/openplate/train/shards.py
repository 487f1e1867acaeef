"""A drawing function in, an endless series of shards out: the next shard is drawn in a process of its own while the present one is trained on."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from openplate.errors import ConfigError

Shard = dict[str, NDArray[np.generic]]
SETTLING = 1_000_000_000
"""Number of the shard that batch statistics are taken of: far behind those that are trained on."""


class DrawingProcess:
    """A process that draws shards when it is called, one at a time. `draw` must be picklable.

    It has nothing but a pipe to the training process, so that it can be ended at any time and leaves nothing behind.
    """

    def __init__(self, draw: Callable[[int], Shard]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_draw_what_is_asked, args=(draw, other), daemon=True)
        with _ctrl_c_ignored():
            self._process.start()
        other.close()

    def __call__(self, number: int) -> Shard:
        """Shard `number`.

        Raises:
            ChildProcessError: the process was ended.
            Exception: what `draw` raised.
        """
        try:
            self._connection.send(number)
            answer: Shard | Exception = self._connection.recv()
        except (EOFError, OSError):
            raise ChildProcessError("the drawing process was ended") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        """Ends the process, also in the midst of a shard; a call that waits for it raises."""
        self._process.terminate()
        self._process.join()


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """A process that is started in it ignores Ctrl-C from its first moment: it reaches all processes of a terminal, and the training ends the others."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _draw_what_is_asked(draw: Callable[[int], Shard], connection: Connection) -> None:
    """Runs in the drawing process until the training process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            number = connection.recv()
            try:
                answer: Shard | Exception = draw(number)
            except Exception as error:  # noqa: BLE001  it is raised in the training process
                error.add_note(traceback.format_exc())
                answer = error
            connection.send(answer)


def _end_with_parent() -> None:
    """Ends the drawing process when the training process is gone, also after a kill and in the midst of a shard."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


@contextlib.contextmanager
def _drawing(draw: Callable[[int], Shard], drawers: int) -> Iterator[Callable[[int], Future[Shard]]]:
    """What begins to draw a shard; `drawers` are drawn at once. Threads take them over, so that the training does not wait for the pipe."""
    processes = [DrawingProcess(draw) for _ in range(drawers)]
    free: SimpleQueue[DrawingProcess] = SimpleQueue()
    for process in processes:
        free.put(process)

    def fetch(number: int) -> Shard:
        process = free.get()
        try:
            return process(number)
        finally:
            free.put(process)

    with ThreadPoolExecutor(drawers) as threads:
        try:
            yield lambda number: threads.submit(fetch, number)
        finally:
            for process in processes:
                process.end()


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
    number = first_step // per_shard
    last = (steps - 1) // per_shard
    with _drawing(draw, min(drawers, last + 1 - number)) as begin:
        upcoming: deque[Future[Shard]] = deque(begin(n) for n in range(number, min(number + drawers, last + 1)))
        step = first_step
        while step < steps:
            try:
                shard = upcoming.popleft().result()
            except ChildProcessError:
                raise ConfigError(
                    f"the process that draws ended without a word; if memory ran out, lower shard = {shard_size} or drawers = {drawers}"
                ) from None
            if number + drawers <= last:
                upcoming.append(begin(number + drawers))
            while step < min(steps, (number + 1) * per_shard):
                turn, place = divmod(step - number * per_shard, per_pass)
                order = np.random.default_rng((seed, number, turn)).permutation(shard_size)
                rows = order[place * batch : (place + 1) * batch]
                yield {key: value[rows] for key, value in shard.items()}
                step += 1
            number += 1


def in_order(shard: Shard, batch: int) -> Iterator[Shard]:
    """A shard's rows in equal batches, in their order; what does not fill a batch is left out."""
    for start in range(0, len(next(iter(shard.values()))) - batch + 1, batch):
        yield {key: value[start : start + batch] for key, value in shard.items()}
