"""An exported network in; its calibration, and its place among the package's weights with checksum and reference outputs out."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from openplate.end_to_end import PARTS, open_end_to_end, part_beside
from openplate.engine import open_network
from openplate.errors import WeightsError
from openplate.evaluate.calibrate import Mapping, fit_calibration
from openplate.export.onnx import training_formats, write_metadata
from openplate.formats import load_formats
from openplate.pipeline import Options, Pipeline
from openplate.read.reader import Reader
from openplate.selftest import write_reference
from openplate.synthesize.crops import draw_crops, jitter_quad
from openplate.synthesize.photos import open_patches, spread
from openplate.weights import NETWORKS, network_path, reference_path, write_checksums

CALIBRATION_CROPS = 6000
CALIBRATION_SEED = 77_000_001
"""Training seeds its crops from `seed · 1,000,003 + shard`; this one lies far from all of them."""


def calibrate_reader(path: Path, photos: Sequence[Path] = (), crops: int = CALIBRATION_CROPS, formats: Sequence[Path] = ()) -> Mapping:
    """Fits the confidence of an exported reader and stores it in the file, with progress on stderr.

    The plates are drawn with seeds that training never uses, of the formats that the reader was trained on, and come from the fifth of each data set
    that training leaves out. Each is read as the pipeline reads: from a quad like a detector's, straightened, with further looks where the first is
    not sure; over all formats of the package and of the folders `formats`.

    Of an end-to-end network `path` is the first file; the confidence is stored in that of its reader.

    Raises:
        WeightsError: the file is not a reader.
        FormatError: the reader was trained on formats that are not known; name the folder of their files.
    """
    folders = tuple(str(folder) for folder in formats)
    known = load_formats(*folders)
    # What is no reader, or one of unknown formats, is refused before its file is changed.
    whole = open_network(path, engine="onnxruntime").metadata.get("openplate.kind") == "end-to-end"
    target = part_beside(path, "reader") if whole else path
    characters = (open_end_to_end(path, known).reader if whole else Reader(path, known)).decoder.charset.characters
    trained = training_formats(path, known)
    write_metadata(target, {"slope": "1", "offset": "0"})
    pipeline = Pipeline(Options(model="end-to-end", detector=path, formats=folders) if whole else Options(reader=path, formats=folders))
    rng = random.Random(CALIBRATION_SEED)
    pairs: list[tuple[float, bool]] = []
    levels = (0.3, 0.6, 0.9)
    each = crops // len(levels)
    with click.progressbar(length=each * len(levels), label="calibrating on drawn plates", file=sys.stderr, show_pos=True) as bar:
        for level in levels:
            for entry in islice(draw_crops(trained, CALIBRATION_SEED + round(10 * level), level, 1, 0.0), each):
                image = np.repeat(entry.photo[..., None], 3, axis=-1)
                reading = pipeline.read_quads(image, [jitter_quad(entry.quad, rng, 0.06)])[0]
                pairs.append((reading.confidence, reading.text == entry.text))
                bar.update(1)
    patches, _ = open_patches(photos, held_out=True, characters=characters)
    if patches:
        chosen = spread(len(patches), crops)
        with click.progressbar(chosen, label="calibrating on photos", file=sys.stderr, show_pos=True) as shown:
            for patch in (patches[place] for place in shown):
                reading = pipeline.read_quads(patch.image, [jitter_quad(patch.quad, rng, 0.06)])[0]
                pairs.append((reading.confidence, reading.text == patch.text))
    mapping = fit_calibration(pairs)
    write_metadata(target, {"slope": f"{mapping.a:.6f}", "offset": f"{mapping.b:.6f}"})
    return mapping


def ship_network(path: Path) -> Path:
    """Copies a network to the package's weights, and renews the checksums and the reference outputs of the self-test.

    Raises:
        WeightsError: the file is no network of this project, or one of the others is missing; of an end-to-end network, another of its files.
    """
    kind = open_network(path, precision="fp32").metadata.get("openplate.kind", "")
    if kind not in NETWORKS:
        raise WeightsError(f"{path}: expected a network of kind {', '.join(NETWORKS)}, got {kind!r}")
    target = network_path(kind)
    if kind == "end-to-end":
        open_end_to_end(path, load_formats())  # its other files must be there, and of the same training
        for part in PARTS:
            shutil.copyfile(part_beside(path, part), part_beside(target, part))
    shutil.copyfile(path, target)
    if all(network_path(name).exists() for name in NETWORKS):
        inputs = reference_inputs()
        # The other networks' inputs and outputs stay: they compute what they computed, whatever is drawn by now.
        write_reference({kind: inputs[kind]} if reference_path().exists() else inputs)
    write_checksums()
    return target


def reference_inputs() -> dict[str, NDArray[np.uint8]]:
    """One drawn input for each network, the same on every machine that has the same fonts."""
    from openplate.straighten import look
    from openplate.synthesize.scenes import draw_scene

    entry = next(draw_crops([f for f in load_formats() if f.code == "RU"], 11, 0.4, 1))
    scene, _ = draw_scene(3, 384, 256)
    rng = random.Random(1)
    wrong = np.asarray(entry.quad + np.array([[rng.gauss(0, 2), rng.gauss(0, 1)] for _ in range(4)]), dtype=np.float32)
    small = np.ascontiguousarray(scene[None, :128, :192])
    return {"detector": scene[None], "straightener": look(entry.photo, wrong)[None], "reader": entry.crop[None], "end-to-end": small}
