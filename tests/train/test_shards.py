import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from openplate.errors import ConfigError
from openplate.train.shards import Shard, in_order, shard_batches

pytestmark = pytest.mark.usefixtures("draw_in_thread")


class Draw:
    """Shard n holds the numbers 100 n to 100 n + size - 1; remembers which shards were asked for."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked: list[int] = []

    def __call__(self, number: int) -> Shard:
        self.asked.append(number)
        return {"value": 100 * number + np.arange(self.size), "row": np.arange(self.size)}


def values(draw: Draw, first_step: int, steps: int, batch: int = 2, passes: int = 2, seed: int = 1) -> list[list[int]]:
    return [rows["value"].tolist() for rows in shard_batches(draw, draw.size, passes, batch, first_step, steps, seed)]


def test_every_pass_shows_every_row_once_in_another_order() -> None:
    batches = values(Draw(6), 0, 12)
    passes = [list(chain(*batches[i : i + 3])) for i in (0, 3, 6, 9)]
    assert [sorted(p) for p in passes] == [[0, 1, 2, 3, 4, 5]] * 2 + [[100, 101, 102, 103, 104, 105]] * 2
    assert passes[0] != passes[1] and passes[2] != passes[3]


def test_rows_of_different_arrays_stay_together() -> None:
    for rows in shard_batches(Draw(6), 6, 2, 2, 0, 12, 5):
        assert (rows["value"] % 100).tolist() == rows["row"].tolist()


@pytest.mark.parametrize("stop", [1, 3, 5, 6, 7, 11])
def test_resumed_batches_equal_unbroken_ones(stop: int) -> None:
    assert values(Draw(7), 0, stop) + values(Draw(7), stop, 14) == values(Draw(7), 0, 14)


def test_order_depends_on_the_seed() -> None:
    assert values(Draw(6), 0, 6, seed=1) != values(Draw(6), 0, 6, seed=2)


def test_rows_that_fill_no_batch_are_left_out_of_a_pass() -> None:
    assert [len(batch) for batch in values(Draw(5), 0, 8)] == [2] * 8
    draw = Draw(5)
    assert max(chain(*values(draw, 0, 8))) >= 100  # two batches a pass, two passes: the second shard begins with step 4
    assert draw.asked == [0, 1]


def test_only_shards_that_are_needed_are_drawn() -> None:
    for first_step, steps, asked in ((0, 6, [0]), (0, 7, [0, 1]), (6, 12, [1]), (13, 18, [2]), (12, 12, []), (20, 12, [])):
        draw = Draw(6)
        assert len(values(draw, first_step, steps)) == max(0, steps - first_step)
        assert draw.asked == asked


def test_next_shard_is_drawn_while_the_present_one_is_used() -> None:
    draw = Draw(6)
    batches = shard_batches(draw, 6, 1, 2, 0, 6, 1)
    next(batches)
    for _ in range(500):
        if draw.asked == [0, 1]:
            break
        time.sleep(0.01)
    assert draw.asked == [0, 1]
    batches.close()  # type: ignore[attr-defined]


def test_error_while_drawing_reaches_the_training() -> None:
    def draw(number: int) -> Shard:
        raise ConfigError(f"shard {number}")

    with pytest.raises(ConfigError, match="shard 0"):
        next(shard_batches(draw, 6, 1, 2, 0, 6, 1))


@pytest.mark.parametrize("drawers", [1, 2, 3, 9])
def test_several_drawing_processes_give_the_same_batches_and_draw_as_many_shards_ahead(drawers: int) -> None:
    draw = Draw(6)
    got = [rows["value"].tolist() for rows in shard_batches(draw, 6, 2, 2, 0, 24, 1, drawers)]
    assert got == values(Draw(6), 0, 24)
    assert sorted(draw.asked) == [0, 1, 2, 3]
    ahead = Draw(6)
    batches = shard_batches(ahead, 6, 2, 2, 0, 24, 1, drawers)
    next(batches)
    batches.close()  # type: ignore[attr-defined]  # waits for what was begun
    assert sorted(ahead.asked) == list(range(min(4, drawers + 1)))


def test_drawing_process_that_is_killed_is_named_with_what_to_lower() -> None:
    def draw(number: int) -> Shard:
        raise ChildProcessError("the drawing process was ended")

    with pytest.raises(ConfigError, match="the process that draws ended without a word; if memory ran out, lower shard = 6 or drawers = 1"):
        next(shard_batches(draw, 6, 1, 2, 0, 6, 1))


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_drawing_process_ends_in_the_midst_of_a_shard_and_leaves_nothing(how: str) -> None:
    """In a program of its own: what is left behind is told when Python ends."""
    program = f"""
import multiprocessing, os, signal, sys, time
from tests.train.drawing import Endless
from openplate.errors import ConfigError
from openplate.train.shards import shard_batches

if __name__ == "__main__":
    batches = shard_batches(Endless(), 4, 1, 2, 0, 8, 1)
    next(batches)
    (process,) = multiprocessing.active_children()
    os.kill(process.pid, signal.SIGINT)  # Ctrl-C reaches every process of a terminal; this one is not its business
    time.sleep(0.2)
    assert process.is_alive()
    if "{how}" == "closed":
        batches.close()
    else:
        process.kill()
        try:
            list(batches)
        except ConfigError as error:
            print(error)
    assert not process.is_alive() and multiprocessing.active_children() == []
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "" if how == "closed" else "the process that draws ended without a word; if memory ran out, lower shard = 4 or drawers = 1\n"
    )


def test_no_drawing_process_gives_error() -> None:
    with pytest.raises(ConfigError, match="drawers: expected 1 or more, got 0"):
        next(shard_batches(Draw(6), 6, 1, 2, 0, 6, 1, drawers=0))


@pytest.mark.parametrize(("size", "passes", "batch"), [(6, 1, 7), (6, 0, 2), (6, 1, 0)])
def test_shard_without_a_whole_batch_gives_error(size: int, passes: int, batch: int) -> None:
    with pytest.raises(ConfigError, match=f"got batch = {batch}, shard = {size}, passes = {passes}"):
        next(shard_batches(Draw(size), size, passes, batch, 0, 6, 1))


def test_rows_in_their_order_come_in_whole_batches() -> None:
    assert [rows["value"].tolist() for rows in in_order(Draw(8)(1), 3)] == [[100, 101, 102], [103, 104, 105]]
