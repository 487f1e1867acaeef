import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from openplate.errors import ConfigError
from openplate.evaluate import bench
from openplate.evaluate.bench import Case, Setup, Spread, in_own_process, measure, pipeline_table, setups, side_by_side, spread
from openplate.types import EngineReport, Frame, Milliseconds, PhotoResult

PHOTO = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()


class FakePipeline:
    engine = EngineReport("fake", "1", "cpu", "fp32", 1)

    def __init__(self) -> None:
        self.batches: list[int] = []

    def read_frames(self, frames: Sequence[Frame]) -> list[PhotoResult]:
        self.batches.append(len(frames))
        return [PhotoResult("", 8, 8, (), self.engine, Milliseconds(0.0, 6.0, 2.0, 4.0)) for _ in frames]


def test_spread_is_median_and_95th_percentile() -> None:
    assert spread([float(v) for v in range(21)][::-1]) == Spread(10.0, 19.0)


def test_times_come_from_the_clock_and_the_stages() -> None:
    # The clock moves one second a look: imdecode, decode and the rest take one each.
    found = measure(FakePipeline, [PHOTO], runs=3, warm_up=1, batch=1, clock=itertools.count().__next__)
    assert found.imdecode == Spread(1000.0, 1000.0)
    assert found.stages == {"decode": Spread(1000.0, 1000.0), "detect": Spread(6.0, 6.0), "rectify": Spread(2.0, 2.0), "read": Spread(4.0, 4.0)}
    assert found.total == Spread(2000.0, 2000.0)
    assert (found.ratio, found.photos_per_s, found.first_read_ms, found.plates) == (2.0, 0.5, 1000.0, 0)


def test_batch_is_counted_by_photo() -> None:
    found = measure(FakePipeline, [PHOTO], runs=2, warm_up=0, batch=4, clock=itertools.count().__next__)
    assert found.total == Spread(500.0, 500.0)
    assert (found.stages["detect"], found.photos_per_s) == (Spread(6.0, 6.0), 2.0)


def test_warm_up_and_every_photo_are_read() -> None:
    pipeline = FakePipeline()
    measure(lambda: pipeline, [PHOTO, PHOTO], runs=3, warm_up=2, batch=2)
    assert pipeline.batches == [1] + [2] * 10


def test_no_photo_is_an_error() -> None:
    with pytest.raises(ConfigError, match="got 0 photos"):
        measure(FakePipeline, [], runs=1, warm_up=0, batch=1)


def test_peak_memory_does_not_fall_short_of_what_is_held() -> None:
    held = np.ones(40_000_000, np.uint8)
    peak = bench.peak_memory_mb()
    assert peak is None or peak > held.nbytes / 1e6


def test_setups_are_all_combinations() -> None:
    found = setups(["openvino", "onnxruntime"], ["fp32"], [1, 2], [1])
    assert [(s.engine, s.threads) for s in found] == [("openvino", 1), ("openvino", 2), ("onnxruntime", 1), ("onnxruntime", 2)]


def test_setup_that_cannot_run_is_an_outcome_with_its_reason(tmp_path: Path) -> None:
    (outcome,) = bench.bench([Setup()], [Case("one", (tmp_path / "none.jpg",))], runs=1, warm_up=0)
    assert outcome.measurement is None
    assert "none.jpg" in str(outcome.error)
    assert pipeline_table([outcome])[1][0] == "one"
    assert "not measured: " in side_by_side(pipeline_table([outcome]))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """A program in place of Python that reads its order and then runs some lines of its own."""

    python = sys.executable

    def make(lines: str) -> None:
        path = tmp_path / "stand_in"
        path.write_text(f"#!{python}\nimport sys\norder = sys.stdin.read()\n{lines}\n")
        path.chmod(0o755)
        monkeypatch.setattr(bench.sys, "executable", str(path))

    return make


def test_measurement_crosses_the_process_border_unchanged(stand_in: Callable[[str], None], tmp_path: Path) -> None:
    found = measure(FakePipeline, [PHOTO], runs=1, warm_up=0, batch=1, clock=itertools.count().__next__)
    stand_in(f"print({bench.json.dumps(bench.asdict(found))!r})")
    outcomes = bench.bench(
        [Setup(), Setup(threads=2)], [Case("first", (tmp_path / "a.jpg",)), Case("second", (tmp_path / "b.jpg",))], runs=1, warm_up=0
    )
    assert [(o.case, o.setup.threads) for o in outcomes] == [("first", 1), ("first", 2), ("second", 1), ("second", 2)]
    assert outcomes[0].measurement == found
    rows = pipeline_table(outcomes)
    assert rows[1][:7] == ["first", "0", "two-stage", "fake cpu", "fp32", "1", "1"]
    assert rows[1][rows[0].index("ratio")] == "2.00"


def test_process_that_fails_gives_its_last_line(stand_in: Callable[[str], None]) -> None:
    stand_in("print('one', file=sys.stderr); sys.exit('no such engine')")
    assert in_own_process("any", {}, 1) == (None, "no such engine")
    stand_in("sys.exit(3)")
    assert in_own_process("any", {}, 1) == (None, "the process ended with code 3")


def test_process_is_told_its_threads_and_its_order(stand_in: Callable[[str], None]) -> None:
    stand_in("import json, os\nprint(json.dumps({'order': order, 'threads': os.environ['OMP_NUM_THREADS']}))")
    assert in_own_process("any", {"runs": 3}, 2) == ({"order": '{"runs": 3}', "threads": "2"}, None)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert side_by_side([["a", "b"], ["ccc", "d"], ["e"]]) == "a    b\nccc  d\ne"
