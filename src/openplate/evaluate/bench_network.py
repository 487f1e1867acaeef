"""A network file and setups in, milliseconds an image and peak memory out; each setup runs in a process of its own.

The network alone is measured, on noise of the size it takes: no decoding of files, no preparation, no search in its output.
`python -m openplate.evaluate.bench_network` is that process: one JSON object in on stdin, one out on stdout.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from openplate.detect.detector import detection_scale, prepare
from openplate.engine import Network, installed_engines, open_network
from openplate.errors import ConfigError, OpenPlateError
from openplate.evaluate.bench import in_own_process, peak_memory_mb
from openplate.types import EngineReport

WIDE_PX = (1920, 1080)
"""The photo whose size a detector that takes any size is measured on."""


@dataclass(frozen=True, slots=True)
class NetworkSetup:
    """What to measure: a network (.onnx), the engine's options, and how many images go through it at once; `size` (width, height) as the photo's."""

    network: str
    engine: str = "auto"
    device: str = "cpu"
    precision: str = "auto"
    threads: int = 1
    batch: int = 1
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds: the median, the mean and the 95th percentile."""

    median: float
    mean: float
    p95: float


@dataclass(frozen=True, slots=True)
class NetworkMeasurement:
    """One setup measured.

    `call_ms` is a call with the whole batch of `shape`, `image_ms` the same divided by the batch, once; `images_per_s` is all images over the time
    of all calls; `load_ms` is opening the network, the engine's import included; `peak_memory_mb` is the process's largest resident size with
    Python and the engine in it, None where that is not known.
    """

    engine: EngineReport
    shape: tuple[int, ...]
    call_ms: Times
    image_ms: Times
    images_per_s: float
    load_ms: float
    peak_memory_mb: float | None
    cpu: str


@dataclass(frozen=True, slots=True)
class NetworkOutcome:
    """A setup with its measurement, or with the error that kept it from running."""

    setup: NetworkSetup
    measurement: NetworkMeasurement | None
    error: str | None

    def as_json(self) -> dict[str, Any]:
        """The outcome as a JSON object."""
        return asdict(self)


def network_setups(
    networks: Iterable[Path],
    engines: Sequence[str],
    precisions: Sequence[str],
    threads: Iterable[int],
    batches: Iterable[int],
    *,
    device: str = "cpu",
    size: tuple[int, int] | None = None,
) -> list[NetworkSetup]:
    """Every combination, networks varying slowest; without engines or precisions, what is installed and can differ: OpenVINO's own choice and its fp32."""
    pairs = [
        (engine, precision)
        for engine in (engines or installed_engines())
        for precision in (precisions or (("auto", "fp32") if engine == "openvino" else ("auto",)))
    ]
    return [NetworkSetup(str(n), e, device, p, t, b, size) for n, t, b, (e, p) in product(networks, threads, batches, pairs)]


def bench_networks(wanted: Iterable[NetworkSetup], *, runs: int, warm_up: int) -> list[NetworkOutcome]:
    """Measure each setup in a fresh process, one after the other; one that runs as another that was measured is left out (auto is fp32 on old processors)."""
    outcomes: list[NetworkOutcome] = []
    done: set[tuple[object, ...]] = set()
    for setup in wanted:
        order = {"setup": asdict(setup), "runs": runs, "warm_up": warm_up}
        found, error = in_own_process("openplate.evaluate.bench_network", order, setup.threads)
        measurement = None if found is None else _measurement(found)
        if measurement is not None:
            key = (setup.network, setup.batch, *measurement.engine.as_json().values())
            if key in done:
                continue
            done.add(key)
        outcomes.append(NetworkOutcome(setup, measurement, error))
    return outcomes


def measure_network(
    opened: Callable[[], Network],
    *,
    runs: int,
    warm_up: int,
    batch: int,
    size: tuple[int, int] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> NetworkMeasurement:
    """Call a network `runs` times after `warm_up` unmeasured calls, with `batch` images of noise at once. `clock` gives seconds.

    Raises:
        ConfigError: a number is out of range, or the network does not take such a batch or size.
        OpenPlateError: the network cannot be opened.
    """
    if runs < 1 or warm_up < 0 or batch < 1:
        raise ConfigError(f"expected runs ≥ 1, warm-up ≥ 0, batch ≥ 1; got {runs}, {warm_up}, {batch}")
    start = clock()
    network = opened()
    load_ms = (clock() - start) * 1000
    images = _noise(network, input_shape(network, batch, size))
    for _ in range(warm_up):
        network(images)
    calls = []
    for _ in range(runs):
        begin = clock()
        network(images)
        calls.append((clock() - begin) * 1000)
    whole = _times(calls)
    return NetworkMeasurement(
        engine=network.report,
        shape=images.shape,
        call_ms=whole,
        image_ms=Times(whole.median / batch, whole.mean / batch, whole.p95 / batch),
        images_per_s=1000 * batch * runs / max(sum(calls), 1e-9),
        load_ms=load_ms,
        peak_memory_mb=peak_memory_mb(),
        cpu=cpu_name(),
    )


def input_shape(network: Network, batch: int, size: tuple[int, int] | None = None) -> tuple[int, ...]:
    """The shape of a batch that the network takes; where it takes any height and width, those of a prepared photo of `size` (width, height).

    Without a size that is a photo of 1920×1080, scaled as the file says (`openplate.side`), or 960 px wide where it says nothing.

    Raises:
        ConfigError: the network takes another number of images at once, or its own size alone, or has axes whose length nothing says.
    """
    taken = network.input_shape
    shape = [batch, *taken[1:]]
    if taken[0] not in (None, batch):
        raise ConfigError(f"batch {batch}: this network takes {taken[0]} at once")
    free = [axis for axis, length in enumerate(shape) if length is None]
    if size and not free:
        raise ConfigError(f"size {size[0]}x{size[1]}: this network takes images of its own size alone, {taken}; leave it out")
    if free:
        rows = next((i for i in (1, 2) if free == [i, i + 1]), None)
        if rows is None or len(shape) != 4:
            raise ConfigError(f"expected a network whose height and width alone are free, this one takes {taken}")
        width, height = size or WIDE_PX
        scale = 1.0 if size else detection_scale(width, height, int(network.metadata.get("openplate.side", 960)))
        shape[rows : rows + 2] = prepare(np.zeros((height, width, 3), np.uint8), scale).shape[:2]
    return tuple(int(length) for length in shape if length is not None)


def network_table(outcomes: Sequence[NetworkOutcome]) -> list[list[str]]:
    """The outcomes side by side, a heading first: milliseconds an image."""
    rows = [["network", "engine", "precision", "threads", "batch", "input", "median", "mean", "p95", "images/s", "load", "memory"]]
    for outcome in outcomes:
        setup, found = outcome.setup, outcome.measurement
        name = Path(setup.network).name
        if found is None:
            rows.append([name, setup.engine, setup.precision, str(setup.threads), str(setup.batch), f"not measured: {outcome.error}"])
            continue
        times = found.image_ms
        rows.append(
            [
                name,
                f"{found.engine.name} {found.engine.device}",
                found.engine.precision,
                str(found.engine.threads),
                str(setup.batch),
                "×".join(str(length) for length in found.shape[1:]),
                *(f"{value:.2f}" for value in (times.median, times.mean, times.p95)),
                f"{found.images_per_s:.1f}",
                f"{found.load_ms:.0f} ms",
                "-" if found.peak_memory_mb is None else f"{found.peak_memory_mb:.0f} MB",
            ]
        )
    return rows


def cpu_name() -> str:
    """The processor's name, as far as the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _times(values: Sequence[float]) -> Times:
    return Times(float(np.median(values)), float(np.mean(values)), float(np.percentile(values, 95)))


def _noise(network: Network, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Noise in the element type that the network takes: bytes for the networks of this project, floats from 0 to 1 for others."""
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    try:
        network(images)
    except ValueError:
        return (images / np.float32(255)).astype(np.float32)
    return images


def _measurement(found: dict[str, Any]) -> NetworkMeasurement:
    times = {name: Times(**found[name]) for name in ("call_ms", "image_ms")}
    return NetworkMeasurement(**(found | times | {"engine": EngineReport(**found["engine"]), "shape": tuple(found["shape"])}))


def _main() -> None:
    order = json.load(sys.stdin)
    size = order["setup"].pop("size")
    setup = NetworkSetup(**order["setup"], size=tuple(size) if size else None)

    def opened() -> Network:
        return open_network(Path(setup.network), engine=setup.engine, device=setup.device, precision=setup.precision, threads=setup.threads)

    try:
        found = measure_network(opened, runs=order["runs"], warm_up=order["warm_up"], batch=setup.batch, size=setup.size)
    except (OpenPlateError, OSError, ValueError) as error:
        sys.exit(str(error))
    json.dump(asdict(found), sys.stdout)


if __name__ == "__main__":
    _main()
