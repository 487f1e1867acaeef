"""Both paths over images with 1, 4 and 16 plates on one thread: milliseconds of the networks alone, without decoding of texts.

Weights do not change the times: quads are given, so that both paths read the same number of plates. Example:

    python bench/one_pass.py plates.onnx
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from openplate import Pipeline
from openplate.end_to_end import EndToEnd
from openplate.geometry import box_to_quad
from openplate.rectify import rectify
from openplate.types import Quad

SIZE = (540, 960)
RUNS = 15


def median_ms(call: Callable[[], object]) -> float:
    """Median of some runs after two unmeasured ones."""
    times = []
    for _ in range(RUNS + 2):
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times[2:]))


def main(path: Path) -> None:
    """Prints a table."""
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    pipeline, network = Pipeline(threads=1), EndToEnd(path, threads=1)
    print("| plates | two stages, ms | one network, ms |\n|---|---|---|")
    for count in (1, 4, 16):
        quads = [box_to_quad(40 + 220 * (i % 4), 40 + 120 * (i // 4), 160 + 220 * (i % 4), 70 + 120 * (i // 4)) for i in range(count)]

        def two_stages(quads: list[Quad] = quads) -> None:
            pipeline.detect(image)
            for quad in quads:
                pipeline.straighten(image, quad)
                pipeline.log_probabilities(rectify(image, quad))

        print(f"| {count} | {median_ms(two_stages):.1f} | {median_ms(lambda quads=quads: network(image).read(quads)):.1f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
