"""What INT8 files are calibrated with and measured on: drawn plates of seeds that neither training nor each other use, and photos that training may see."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from openplate.charset import CHARACTERS
from openplate.detect.detector import Detector, detection_scale, prepare
from openplate.end_to_end import sample_features
from openplate.export.agreement import Kind
from openplate.formats import Format
from openplate.rectify import CROP_HEIGHT, CROP_WIDTH, rectify
from openplate.synthesize.crops import Material, jitter_quad, mix_crops
from openplate.synthesize.photos import Photo, load_patches, load_photos
from openplate.synthesize.scenes import ScenePlate, draw_scene, draw_window
from openplate.types import Image

CALIBRATION_SEED = 1_978_000_001
MEASURING_SEED = 1_979_000_001
"""Training seeds its drawings from `seed · 1,000,003 + shard`; these lie far from all of them, and from those that fit the confidence."""
DIFFICULTY = 0.85
"""Where the reader's training ends."""
SCENE_PX = (1280, 720)
WINDOW_PX = 384


def samples(kind: Kind) -> list[NDArray[np.uint8]]:
    """Two inputs that differ in every free axis; of an end-to-end network, those of its first file."""
    noise = np.random.default_rng(0)
    shapes = [(2, CROP_HEIGHT, CROP_WIDTH), (3, CROP_HEIGHT, CROP_WIDTH)] if kind == "reader" else [(1, 128, 192, 3), (2, 192, 320, 3)]
    return [noise.integers(0, 256, shape, np.uint8) for shape in shapes]


def noise_views(plates: int, shapes: Sequence[Sequence[int]]) -> tuple[NDArray[Any], ...]:
    """Noise as an end-to-end network's reader takes it: a crop and features of each of `plates`; `shapes` are those of one plate's features."""
    noise = np.random.default_rng(plates)
    crops = noise.integers(0, 256, (plates, CROP_HEIGHT, CROP_WIDTH), np.uint8)
    return crops, *(noise.normal(0, 1, (plates, *shape)).astype(np.float32) for shape in shapes)


def draw_inputs(kind: Kind, formats: Sequence[Format], number: int, photos: Sequence[Path], characters: str = CHARACTERS) -> list[NDArray[np.uint8]]:
    """Inputs to calibrate on, one at a time as the pipeline runs them: what training draws, with its photos' training part; `characters` are a reader's."""
    patches = load_patches(list(photos), held_out=False, characters=characters) if kind == "reader" else []
    whole = load_photos(list(photos), held_out=False)
    crops = _crops(formats, Material(tuple(patches), tuple(whole)))
    pictures: Iterator[NDArray[np.uint8]] = (image for image, _ in _pictures(formats, whole))
    inputs = crops if kind == "reader" else pictures
    return [image[None] for image in _counted(inputs, number, "drawing what calibrates")]


def draw_views(detector: Detector, formats: Sequence[Format], number: int, photos: Sequence[Path]) -> list[tuple[NDArray[Any], ...]]:
    """Inputs for an end-to-end network's reader, one plate at a time: crops, and the features that `detector`, its first file, sees in the same quads."""
    rng = random.Random(CALIBRATION_SEED + 1)

    def inputs() -> Iterator[tuple[NDArray[Any], ...]]:
        for image, plates in _pictures(formats, load_photos(list(photos), held_out=False)):
            seen = detector.see(image)
            for plate in plates:
                if not plate.ignore:
                    quad = jitter_quad(plate.quad, rng, 0.03, upright_share=0.0)
                    views: list[NDArray[Any]] = [rectify(image, quad), *sample_features(seen, quad)]
                    yield tuple(view[None] for view in views)

    return list(_counted(inputs(), number, "drawing what calibrates reading"))


def _counted(inputs: Iterator[Any], number: int, label: str) -> Iterator[Any]:
    with click.progressbar(length=number, label=label, file=sys.stderr, show_pos=True) as bar:
        for given in islice(inputs, number):
            yield given
            bar.update(1)


def _crops(formats: Sequence[Format], material: Material) -> Iterator[NDArray[np.uint8]]:
    for entry in mix_crops(formats, material, CALIBRATION_SEED, DIFFICULTY, views=1):
        yield entry.crop


def _pictures(formats: Sequence[Format], whole: Sequence[Photo]) -> Iterator[tuple[Image, list[ScenePlate]]]:
    """What the detector's network sees, a whole street to two windows, with its plates."""
    rng = random.Random(CALIBRATION_SEED)
    for i in count():
        if i % 3 == 0:
            image, plates = draw_scene(rng.getrandbits(32), *SCENE_PX, formats)
            yield prepare(image, detection_scale(*SCENE_PX, 960)), _scaled(plates, detection_scale(*SCENE_PX, 960))
        else:
            yield draw_window(whole, formats, rng, WINDOW_PX, keep_share=0.3)


def _scaled(plates: Sequence[ScenePlate], scale: float) -> list[ScenePlate]:
    return [replace(plate, quad=np.asarray(plate.quad * scale, dtype=np.float32)) for plate in plates]


def draw_scenes(formats: Sequence[Format], number: int) -> Iterator[tuple[Image, list[ScenePlate]]]:
    """Drawn streets to measure on with their plates that count, of sizes from phones to dashboard cameras."""
    rng = random.Random(MEASURING_SEED)
    for _ in range(number):
        image, plates = draw_scene(rng.getrandbits(32), *rng.choice(((1280, 720), (960, 540), (1920, 1080), (720, 960))), formats)
        yield image, [plate for plate in plates if not plate.ignore]
