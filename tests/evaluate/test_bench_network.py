import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from openplate.errors import ConfigError
from openplate.evaluate import bench_network
from openplate.evaluate.bench_network import (
    NetworkOutcome,
    NetworkSetup,
    Times,
    bench_networks,
    input_shape,
    measure_network,
    network_setups,
    network_table,
)
from openplate.types import EngineReport
from tests.networks import grey_reader


class FakeNetwork:
    """Takes what a test says, and remembers the batches."""

    report = EngineReport("fake", "1", "cpu", "fp32", 1)

    def __init__(self, shape: tuple[int | None, ...], metadata: dict[str, str] | None = None, kind: type = np.uint8) -> None:
        self.input_shape = shape
        self.metadata = metadata or {}
        self._kind = kind
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, batch: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        if batch.dtype != self._kind:
            raise ValueError("another element type")
        self.seen.append(batch.shape)
        return ()


def test_time_of_an_image_is_the_call_s_divided_by_the_batch_once() -> None:
    # The clock moves one second a look: opening takes one, and so does each call, whatever its batch.
    network = FakeNetwork((None, 48, 192))
    found = measure_network(lambda: network, runs=4, warm_up=2, batch=8, clock=itertools.count().__next__)
    assert found.call_ms == Times(1000, 1000, 1000)
    assert found.image_ms == Times(125, 125, 125)
    assert found.images_per_s == 8
    assert found.load_ms == 1000
    assert network.seen == [(8, 48, 192)] * (1 + 2 + 4)


def test_median_mean_and_95th_percentile_are_of_the_calls() -> None:
    ticks = iter([0.0, 0.0, *itertools.chain.from_iterable((0.0, 0.001 * (k + 1)) for k in range(21))])
    found = measure_network(lambda: FakeNetwork((None, 4)), runs=21, warm_up=0, batch=2, clock=lambda: next(ticks))
    assert (found.call_ms.median, found.call_ms.mean, found.call_ms.p95) == pytest.approx((11, 11, 20))
    assert found.images_per_s == pytest.approx(1000 * 2 * 21 / 231)


def test_network_that_takes_floats_gets_floats_from_0_to_1() -> None:
    network = FakeNetwork((1, 3, 64, 96), kind=np.float32)
    assert measure_network(lambda: network, runs=1, warm_up=0, batch=1).shape == (1, 3, 64, 96)


@pytest.mark.parametrize(
    ("taken", "metadata", "size", "shape"),
    [
        ((None, 48, 192), {}, None, (2, 48, 192)),
        ((None, None, None, 3), {"openplate.side": "960"}, None, (2, 576, 960, 3)),
        ((None, None, None, 3), {"openplate.side": "640"}, None, (2, 576, 960, 3)),
        ((None, None, None, 3), {}, (200, 100), (2, 128, 256, 3)),
        ((None, 3, None, None), {}, (640, 640), (2, 3, 640, 640)),
        ((2, 3, 640, 640), {}, None, (2, 3, 640, 640)),
    ],
)
def test_free_axes_are_those_of_a_prepared_photo(
    taken: tuple[int | None, ...], metadata: dict[str, str], size: tuple[int, int] | None, shape: tuple[int, ...]
) -> None:
    # Photos are never scaled below a half, so a side of 640 px makes 960 px of 1920.
    assert input_shape(FakeNetwork(taken, metadata), 2, size) == shape


def test_network_with_another_batch_or_unknown_axes_is_an_error() -> None:
    with pytest.raises(ConfigError, match="takes 1 at once"):
        input_shape(FakeNetwork((1, 3, 64, 64)), 8)
    with pytest.raises(ConfigError, match="height and width alone"):
        input_shape(FakeNetwork((None, None, 3)), 1)
    with pytest.raises(ConfigError, match=r"size 960x576: this network takes images of its own size alone, \(None, 48, 192\)"):
        input_shape(FakeNetwork((None, 48, 192)), 1, (960, 576))
    with pytest.raises(ConfigError, match="runs ≥ 1"):
        measure_network(lambda: FakeNetwork((None, 4)), runs=0, warm_up=0, batch=1)


def test_setups_put_the_engines_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_network, "installed_engines", lambda: ("openvino", "onnxruntime"))
    found = network_setups([Path("a.onnx")], [], [], [1], [1, 8])
    assert [(s.batch, s.engine, s.precision) for s in found] == [
        (1, "openvino", "auto"),
        (1, "openvino", "fp32"),
        (1, "onnxruntime", "auto"),
        (8, "openvino", "auto"),
        (8, "openvino", "fp32"),
        (8, "onnxruntime", "auto"),
    ]
    assert [(s.engine, s.precision) for s in network_setups([Path("a.onnx")], ["openvino"], ["bf16"], [1], [1])] == [("openvino", "bf16")]


def test_real_network_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    setup = NetworkSetup(str(grey_reader(tmp_path / "tiny.onnx")), engine="onnxruntime", batch=3)
    (outcome,) = bench_networks([setup], runs=2, warm_up=1)
    found = outcome.measurement
    assert found is not None, outcome.error
    assert (found.engine.name, found.engine.threads, found.shape) == ("onnxruntime", 1, (3, 48, 192))
    assert found.images_per_s > 0
    assert found.cpu
    assert found.peak_memory_mb is None or found.peak_memory_mb > 30
    rows = network_table([outcome])
    assert rows[1][:6] == ["tiny.onnx", "onnxruntime cpu", "fp32", "1", "3", "48×192"]
    assert json.loads(json.dumps(outcome.as_json()))["setup"]["batch"] == 3


def test_setup_that_cannot_run_says_why_and_the_next_is_measured(tmp_path: Path) -> None:
    network = str(grey_reader(tmp_path / "tiny.onnx"))
    wanted = [NetworkSetup(network, engine="onnxruntime", precision="bf16"), NetworkSetup(network, engine="onnxruntime")]
    refused, found = bench_networks(wanted, runs=1, warm_up=0)
    assert refused.measurement is None
    assert "precision bf16: ONNX Runtime" in str(refused.error)
    assert network_table([refused])[1][-1].startswith("not measured: precision bf16")
    assert found.measurement is not None


def test_setup_that_runs_as_an_earlier_one_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measure_network(lambda: FakeNetwork((None, 4)), runs=1, warm_up=0, batch=1)
    monkeypatch.setattr(bench_network, "in_own_process", lambda module, order, threads: (json.loads(json.dumps(bench_network.asdict(found))), None))
    wanted = [NetworkSetup("a.onnx"), NetworkSetup("a.onnx", precision="fp32"), NetworkSetup("a.onnx", batch=2)]
    assert [(o.setup.precision, o.setup.batch) for o in bench_networks(wanted, runs=1, warm_up=0)] == [("auto", 1), ("auto", 2)]
    assert isinstance(bench_networks(wanted[:1], runs=1, warm_up=0)[0], NetworkOutcome)


def test_measuring_process_loads_no_torch(tmp_path: Path) -> None:
    program = "import sys, openplate.evaluate.bench_network; print(sorted({'torch', 'onnx', 'matplotlib', 'click'} & set(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"
