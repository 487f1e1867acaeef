"""Photos and setups in, times per stage and peak memory out; each setup runs in a process of its own, so that memory and threads are honest.

`python -m openplate.evaluate.bench` is that process: one JSON object in on stdin, one out on stdout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from openplate.errors import ConfigError, OpenPlateError
from openplate.sources import read_image
from openplate.types import MODELS, EngineReport, Frame, PhotoResult

JSON_VERSION = 1
STAGES = ("decode", "detect", "rectify", "read")


class Timed(Protocol):
    """What is timed: `openplate.pipeline.Pipeline`, or a fake of it."""

    engine: EngineReport

    def read_frames(self, frames: Sequence[Frame]) -> list[PhotoResult]: ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What to measure: the engine's options, how many photos go through it at once, other networks than the shipped ones, and one of the `MODELS`."""

    engine: str = "auto"
    device: str = "cpu"
    precision: str = "auto"
    threads: int = 1
    batch: int = 1
    detector: str | None = None
    reader: str | None = None
    model: str = MODELS[0]


@dataclass(frozen=True, slots=True)
class Case:
    """What is read: photos under one name, measured together."""

    name: str
    photos: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and 95th percentile, in milliseconds a photo."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """One setup measured.

    `stages` is by the names in `STAGES`; `total` is from the bytes in memory to the text; `imdecode` is what OpenCV alone takes to decode
    the same bytes, measured in between; `ratio` is the median total over the median imdecode; `first_read_ms` goes from making the pipeline to
    the first photo's text, imports of the engine included; `plates` counts those found in all photos; `peak_memory_mb` is the process's largest resident size, None where that is not known.
    """

    engine: EngineReport
    stages: dict[str, Spread]
    total: Spread
    imdecode: Spread
    ratio: float
    photos_per_s: float
    plates: int
    first_read_ms: float
    peak_memory_mb: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case and a setup with its measurement, or with the error that kept it from running."""

    case: str
    setup: Setup
    measurement: Measurement | None
    error: str | None

    def as_json(self) -> dict[str, Any]:
        """The outcome as a JSON object."""
        return asdict(self)


def setups(
    engines: Iterable[str],
    precisions: Iterable[str],
    threads: Iterable[int],
    batches: Iterable[int],
    *,
    device: str = "cpu",
    detector: Path | None = None,
    reader: Path | None = None,
    models: Sequence[str] = MODELS[:1],
) -> list[Setup]:
    """Every combination, engines varying slowest."""
    first = Setup(device=device, detector=str(detector) if detector else None, reader=str(reader) if reader else None)
    chosen = product(models, engines, precisions, threads, batches)
    return [replace(first, model=m, engine=e, precision=p, threads=t, batch=b) for m, e, p, t, b in chosen]


def bench(wanted: Sequence[Setup], cases: Iterable[Case], *, runs: int, warm_up: int) -> list[Outcome]:
    """Measure each case with each setup in a fresh process, one after the other; a setup that cannot run gives an outcome with an error."""
    outcomes = []
    for case in cases:
        for setup in wanted:
            order = {"setup": asdict(setup), "photos": [str(p.resolve()) for p in case.photos], "runs": runs, "warm_up": warm_up}
            found, error = in_own_process("openplate.evaluate.bench", order, setup.threads)
            outcomes.append(Outcome(case.name, setup, None if found is None else _measurement(found), error))
    return outcomes


def in_own_process(module: str, order: dict[str, Any], threads: int) -> tuple[dict[str, Any] | None, str | None]:
    """What `python -m module` answers to an order, or None and the last line that it said when it failed; `threads` bounds libraries beside the engine."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True, encoding="utf8", env=environment, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return None, lines[-1] if lines else f"the process ended with code {done.returncode}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found, None


def measure(
    open_pipeline: Callable[[], Timed],
    photos: Sequence[bytes],
    *,
    runs: int,
    warm_up: int,
    batch: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Measurement:
    """Read each photo (bytes of an image file) `runs` times after `warm_up` unmeasured rounds, `batch` copies of it at once. `clock` gives seconds.

    Raises:
        ConfigError: there is no photo, or a number is out of range.
        OpenPlateError: a photo cannot be read, or the pipeline cannot be opened.
    """
    if not photos or runs < 1 or warm_up < 0 or batch < 1:
        raise ConfigError(f"expected photos, runs ≥ 1, warm-up ≥ 0, batch ≥ 1; got {len(photos)} photos, {runs}, {warm_up}, {batch}")
    start = clock()
    pipeline = open_pipeline()
    pipeline.read_frames([read_image(photos[0])[0]])
    first_read_ms = (clock() - start) * 1000
    times: dict[str, list[float]] = {name: [] for name in (*STAGES, "total", "imdecode")}
    plates = 0
    for run in range(-warm_up, runs):
        plates = 0
        for photo in photos:
            row, result = _time_once(pipeline, photo, batch, clock)
            plates += len(result.plates)
            if run >= 0:
                for name, value in row.items():
                    times[name].append(value)
    spreads = {name: spread(values) for name, values in times.items()}
    return Measurement(
        engine=pipeline.engine,
        stages={name: spreads[name] for name in STAGES},
        total=spreads["total"],
        imdecode=spreads["imdecode"],
        ratio=spreads["total"].median / max(spreads["imdecode"].median, 1e-9),
        photos_per_s=1000 * len(times["total"]) / max(sum(times["total"]), 1e-9),
        plates=plates,
        first_read_ms=first_read_ms,
        peak_memory_mb=peak_memory_mb(),
    )


def spread(values: Sequence[float]) -> Spread:
    """Median and 95th percentile (linear between the two nearest)."""
    return Spread(float(np.median(values)), float(np.percentile(values, 95)))


def peak_memory_mb() -> float | None:
    """Largest resident size of this process so far, in 10⁶ bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage counts the parent's memory too when the process was started with vfork; this line is of this program alone.
        for line in status.read_text(encoding="utf8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def pipeline_table(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """The outcomes side by side, a heading first: milliseconds a photo, median and in brackets the 95th percentile."""
    rows = [
        [
            "photo",
            "plates",
            "model",
            "engine",
            "precision",
            "threads",
            "batch",
            *STAGES,
            "total",
            "imdecode",
            "ratio",
            "photos/s",
            "first read",
            "memory",
        ]
    ]
    for outcome in outcomes:
        setup, found = outcome.setup, outcome.measurement
        if found is None:
            rows.append(
                [
                    outcome.case,
                    "-",
                    setup.model,
                    setup.engine,
                    setup.precision,
                    str(setup.threads),
                    str(setup.batch),
                    f"not measured: {outcome.error}",
                ]
            )
            continue
        spreads = [*found.stages.values(), found.total, found.imdecode]
        rows.append(
            [
                outcome.case,
                str(found.plates),
                setup.model,
                f"{found.engine.name} {found.engine.device}",
                found.engine.precision,
                str(found.engine.threads),
                str(setup.batch),
                *(f"{s.median:.2f} ({s.p95:.2f})" for s in spreads),
                f"{found.ratio:.2f}",
                f"{found.photos_per_s:.1f}",
                f"{found.first_read_ms:.0f} ms",
                "-" if found.peak_memory_mb is None else f"{found.peak_memory_mb:.0f} MB",
            ]
        )
    return rows


def side_by_side(rows: Sequence[Sequence[str]]) -> str:
    """A table for people: columns as wide as needed; a row that is shorter than the heading may say more in its last cell."""
    whole = [row for row in rows if len(row) == len(rows[0])]
    widths = [max(len(row[column]) for row in whole) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows)


def _time_once(pipeline: Timed, photo: bytes, batch: int, clock: Callable[[], float]) -> tuple[dict[str, float], PhotoResult]:
    """Milliseconds a photo of one pass, and what was read in one of its copies."""
    begin = clock()
    cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    start = clock()
    frames = [read_image(photo)[0] for _ in range(batch)]
    decoded = clock()
    results = pipeline.read_frames(frames)
    end = clock()
    stages = {name: sum(getattr(r.milliseconds, name) for r in results) / batch for name in STAGES[1:]}
    row = {"imdecode": (start - begin) * 1000, "decode": (decoded - start) * 1000 / batch, "total": (end - start) * 1000 / batch}
    return row | stages, results[0]


def _measurement(found: dict[str, Any]) -> Measurement:
    return Measurement(
        engine=EngineReport(**found["engine"]),
        stages={name: Spread(**values) for name, values in found["stages"].items()},
        total=Spread(**found["total"]),
        imdecode=Spread(**found["imdecode"]),
        ratio=found["ratio"],
        photos_per_s=found["photos_per_s"],
        plates=found["plates"],
        first_read_ms=found["first_read_ms"],
        peak_memory_mb=found["peak_memory_mb"],
    )


def _main() -> None:
    order = json.load(sys.stdin)
    setup = Setup(**order["setup"])
    cv2.setNumThreads(setup.threads)

    def open_pipeline() -> Timed:
        from openplate.pipeline import Options, Pipeline

        detector, reader = (Path(path) if path else None for path in (setup.detector, setup.reader))
        files: dict[str, Any] = {"detector": detector, "reader": reader, "model": setup.model}
        return Pipeline(Options(engine=setup.engine, device=setup.device, precision=setup.precision, threads=setup.threads, **files))

    try:
        photos = [Path(p).read_bytes() for p in order["photos"]]
        found = measure(open_pipeline, photos, runs=order["runs"], warm_up=order["warm_up"], batch=setup.batch)
    except (OpenPlateError, OSError) as error:
        sys.exit(str(error))
    json.dump(asdict(found), sys.stdout)


if __name__ == "__main__":
    _main()
