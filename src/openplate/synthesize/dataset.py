"""Formats (and photos) in, a labelled data set on disk out."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from openplate.data.inspect import cells_of, draw_sheet, shuffled
from openplate.dataset import LABELS, Dataset, DatasetWriter, LabelledImage, LabelledPlate, load_dataset
from openplate.errors import DatasetError, SourceError
from openplate.formats.model import Format
from openplate.sources import encode_image, write_image
from openplate.synthesize.camera import Lean
from openplate.synthesize.crops import draw_photo
from openplate.synthesize.photos import load_photos
from openplate.synthesize.scenes import draw_scene, replace_plates
from openplate.types import Image

SHEET_CELLS = 48
"""Plates that a sheet shows of each data set."""
_LINE_PX = 6
"""Width of the black line between drawn and real plates."""
_PART = 32
"""Crops that a drawing process takes at once; fewer than two parts are not worth a process of their own, whose start takes longer."""


def write_crops(
    out: Path,
    formats: Sequence[Format],
    count: int,
    seed: int,
    difficulty: float,
    done: Callable[[int], None],
    workers: int = 1,
    lean: Lean | None = None,
) -> None:
    """Writes `count` photos of single plates with their surroundings in colour, each with its quad; `done(n)` is called when n more are there.

    `lean` takes the place of the angles that `difficulty` gives.

    Crop i depends on `seed` and i alone, not on `count` nor on `workers`, the number of processes that draw. With several, a script that calls this
    needs `if __name__ == "__main__":` around its own work, as multiprocessing asks for.

    Raises:
        OpenPlateError: a Chinese plate is to be drawn and no font has its characters.
        DatasetError: the folder holds a data set already, or a drawing process was ended from outside.
        SourceError: a picture cannot be written.
    """
    draw = _DrawCrops(out, tuple(formats), seed, difficulty, lean)
    with _begin(out) as writer:
        for images in _drawn(draw, count, min(workers, count // _PART)):
            for image in images:
                writer.add(image)
            done(len(images))


@dataclass(frozen=True, slots=True)
class _DrawCrops:
    """Draws and writes crops of some numbers; gives their labels."""

    out: Path
    formats: tuple[Format, ...]
    seed: int
    difficulty: float
    lean: Lean | None

    def __call__(self, numbers: range) -> list[LabelledImage]:
        cv2.setNumThreads(1)
        return [self._write(number) for number in numbers]

    def _write(self, number: int) -> LabelledImage:
        drawn = draw_photo(self.formats, random.Random(f"{self.seed} {number}"), self.difficulty, self.lean)
        plates = (LabelledPlate(drawn.text, drawn.type.country, drawn.quad),)
        return _write(self.out, number, np.ascontiguousarray(drawn.image), plates, "png")


def _drawn(draw: _DrawCrops, count: int, workers: int) -> Iterator[list[LabelledImage]]:
    """The labels of all crops in order, part by part."""
    if workers < 2:
        yield from (draw(range(number, number + 1)) for number in range(count))
        return
    parts = iter([range(first, min(first + _PART, count)) for first in range(0, count, _PART)])
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin_drawing)
    try:
        upcoming: deque[Future[list[LabelledImage]]] = deque()
        for part in parts:
            upcoming.append(pool.submit(draw, part))
            if len(upcoming) > 2 * workers:
                yield upcoming.popleft().result()
        while upcoming:
            yield upcoming.popleft().result()
    except BrokenProcessPool:
        raise DatasetError(f"a process that draws ended without a word; if memory ran out, give fewer than {workers} workers") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_drawing() -> None:
    """Runs in each drawing process: leaves Ctrl-C to the process that waits for it, and ends when that one is gone, also after a kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def write_drawn_sheet(drawn: Path, path: Path, beside: Dataset | None = None, seed: int = 0) -> None:
    """Writes a picture of the first 48 plates of a drawn data set; 48 of `beside`, chosen by `seed`, stand to the right of them.

    Raises:
        DatasetError: `drawn` is not a data set, or no picture of `beside` can be opened.
        SourceError: the file's suffix is unknown, or it cannot be written.
    """
    samples = [(image, plate) for image in load_dataset(drawn).images[:SHEET_CELLS] for plate in image.plates]
    halves = [draw_sheet(cells_of(samples, SHEET_CELLS))]
    if beside is not None:
        cells = cells_of(shuffled(beside, seed), SHEET_CELLS)
        if not cells:
            raise DatasetError(f"{beside.folder}: expected plates to show beside the drawn ones, found no picture that can be opened")
        halves += [np.zeros((1, _LINE_PX, 3), np.uint8), draw_sheet(cells)]
    sheet = np.zeros((max(half.shape[0] for half in halves), sum(half.shape[1] for half in halves), 3), np.uint8)
    left = 0
    for half in halves:
        sheet[: half.shape[0], left : left + half.shape[1]] = half
        left += half.shape[1]
    write_image(path, sheet)


def check_sheet(path: Path) -> None:
    """Nothing where a sheet can have this name; before anything is drawn for it.

    Raises:
        SourceError: the file's suffix is unknown.
    """
    encode_image(np.zeros((1, 1, 3), np.uint8), path.suffix)


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
            writer.add(_write(out, i, image, tuple(LabelledPlate(p.text, p.country or "", p.quad) for p in plates), "jpg"))
            done(1)


def _begin(out: Path) -> DatasetWriter:
    if (out / LABELS).exists():
        raise DatasetError(f"{out}: holds a data set already; give another folder, or delete it")
    (out / "images").mkdir(parents=True, exist_ok=True)
    return DatasetWriter(out)


def _write(out: Path, number: int, image: Image, plates: tuple[LabelledPlate, ...], suffix: str) -> LabelledImage:
    path = out / "images" / f"{number:06d}.{suffix}"
    data = encode_image(image, path.suffix)
    try:
        path.write_bytes(data)  # at once: what a kill leaves is no data set, since the labels come last
    except OSError as error:
        raise SourceError(f"{path}: cannot be written: {error.strerror or error}") from None
    return LabelledImage(path, image.shape[1], image.shape[0], plates)
