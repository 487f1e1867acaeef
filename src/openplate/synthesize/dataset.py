"""Formats (and photos) in, a labelled data set on disk out."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from openplate.dataset import LABELS, DatasetWriter, LabelledImage, LabelledPlate
from openplate.errors import DatasetError
from openplate.formats.model import Format
from openplate.sources import write_image
from openplate.synthesize.crops import draw_crops
from openplate.synthesize.photos import load_photos
from openplate.synthesize.scenes import draw_scene, replace_plates
from openplate.types import Image


def write_crops(out: Path, formats: Sequence[Format], count: int, seed: int, difficulty: float, done: Callable[[int], None]) -> None:
    """Writes `count` photographed single plates with their surroundings, each with its quad; `done(1)` is called after each.

    Raises:
        OpenPlateError: a Chinese plate is to be drawn and no font has its characters.
        DatasetError: the folder holds a data set already.
    """
    with _begin(out) as writer:
        for i, entry in enumerate(islice(draw_crops(formats, seed, difficulty, views=1), count)):
            country = entry.type.country if entry.type else ""
            image = np.asarray(cv2.cvtColor(entry.photo, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
            _add(writer, out, i, image, (LabelledPlate(entry.text, country, entry.quad),), "png")
            done(1)


def write_scenes(
    out: Path, formats: Sequence[Format], count: int, seed: int, photos: Sequence[Path], size: tuple[int, int], done: Callable[[int], None]
) -> None:
    """Writes `count` scenes: photos of the data sets `photos` with drawn plates in place of their labelled ones, or drawn streets of `size` px.

    Raises:
        OpenPlateError: a Chinese plate is to be drawn and no font has its characters.
        DatasetError: a folder of `photos` is not a data set or has no photos, or `out` holds a data set already.
    """
    rng = random.Random(seed)
    pool = load_photos(photos, held_out=False)
    if photos and not pool:
        raise DatasetError(f"{', '.join(map(str, photos))}: expected photos with labelled plates, found only whole-image crops")
    with _begin(out) as writer:
        for i in range(count):
            if pool:
                photo = rng.choice(pool)
                image, plates = replace_plates(photo.image, photo.quads, formats, rng)
            else:
                image, plates = draw_scene(rng.getrandbits(32), size[0], size[1], formats)
            _add(writer, out, i, image, tuple(LabelledPlate(p.text, p.country or "", p.quad) for p in plates), "jpg")
            done(1)


def _begin(out: Path) -> DatasetWriter:
    if (out / LABELS).exists():
        raise DatasetError(f"{out}: holds a data set already; give another folder, or delete it")
    (out / "images").mkdir(parents=True, exist_ok=True)
    return DatasetWriter(out)


def _add(writer: DatasetWriter, out: Path, number: int, image: Image, plates: tuple[LabelledPlate, ...], suffix: str) -> None:
    path = out / "images" / f"{number:06d}.{suffix}"
    write_image(path, image)
    writer.add(LabelledImage(path, image.shape[1], image.shape[0], plates))
