"""Both paths over pictures with 1, 4 and 16 drawn plates on one thread: milliseconds a picture, the networks alone and the whole flow.

*Networks* finds plates once and looks once at each, at the drawn quads, so that both paths look equally often; decoding of texts is left out.
*Whole* is `Pipeline.read_frame`: all detections, further looks at unsure plates, decoding. Example:

    python bench/one_pass.py
    python bench/one_pass.py plates.onnx
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from openplate import Options, Pipeline
from openplate.end_to_end import open_end_to_end, sample_features
from openplate.errors import OpenPlateError
from openplate.formats import load_formats, select
from openplate.geometry import box_to_quad
from openplate.rectify import rectify
from openplate.synthesize.plates import draw_plate
from openplate.synthesize.scenes import paste
from openplate.types import Frame, Image, Quad
from openplate.weights import network_path

WIDTH, HEIGHT = 960, 540
RUNS = 25


def draw_picture(count: int) -> tuple[Image, list[Quad]]:
    """A plain picture of `WIDTH` × `HEIGHT` with that many Russian plates of the common type, and their quads."""
    rng = random.Random(count)
    image = np.random.default_rng(count).normal(110, 6, (HEIGHT, WIDTH, 3)).clip(0, 255).astype(np.uint8)
    (russia,) = select(load_formats(), ["RU"])
    common = max(russia.types, key=lambda t: t.weight)
    quads = [box_to_quad(40 + 225 * (i % 4), 50 + 125 * (i // 4), 180 + 225 * (i % 4), 80 + 125 * (i // 4)) for i in range(count)]
    for quad in quads:
        paste(image, draw_plate(replace(common, drawn=1.0), rng, width_px=240, margin=0.12, wear=0.2), quad, rng)
    return image, quads


def medians_ms(calls: Sequence[Callable[[], object]]) -> list[float]:
    """Medians of calls that take turns, after two unmeasured rounds: what else the machine does meets all alike."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(RUNS + 2):
        for call, kept in zip(calls, times, strict=True):
            started = time.perf_counter()
            call()
            kept.append(1000 * (time.perf_counter() - started))
    return [float(np.median(kept[2:])) for kept in times]


def main(path: Path) -> None:
    """Prints a table."""
    two, one = Pipeline(Options(threads=1)), Pipeline(Options(model="end-to-end", detector=path, threads=1))
    detector, straightener, reader = open_end_to_end(path, load_formats(), threads=1)
    print(
        "| plates | read: two stages, one network | networks: two stages, ms | one network, ms | ratio | whole: two stages, ms | one network, ms | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for count in (1, 4, 16):
        image, quads = draw_picture(count)
        frame = Frame(image, "")

        def two_stages(image: Image = image, quads: list[Quad] = quads) -> None:
            two.detect(image)
            for quad in quads:
                two.straighten(image, quad)
                two.log_probabilities(rectify(image, quad))

        def one_network(image: Image = image, quads: list[Quad] = quads) -> None:
            seen = detector.see(image)
            for quad in quads:
                straightener(image, quad)
                reader.log_probabilities(rectify(image, quad), *sample_features(seen, quad))

        read = [sum(p.status == "read" for p in pipeline.read_frame(frame).plates) for pipeline in (two, one)]
        pairs = [medians_ms(pair) for pair in ((two_stages, one_network), (lambda f=frame: two.read_frame(f), lambda f=frame: one.read_frame(f)))]
        cells = [f"{first:.1f} | {second:.1f} | {second / first:.2f}" for first, second in pairs]
        print(f"| {count} | {read[0]}, {read[1]} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", type=Path, default=network_path("end-to-end"), help="the first file of an end-to-end network")
    try:
        main(parser.parse_args().network)
    except OpenPlateError as error:
        sys.exit(f"Error: {error}")
