"""Data sets in, one data set with the images of all out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from openplate.data.place import IMAGES, FreeNames, place_picture, whole_folder
from openplate.data.split import texts_of
from openplate.dataset import Dataset, DatasetWriter, Fault, LabelledImage
from openplate.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Merge:
    """How many images and plates were written, and what was left out."""

    images: int
    plates: int
    faults: tuple[Fault, ...]


def merge(datasets: Sequence[Dataset], target: Path, *, link: bool = False, progress: Callable[[int], None] = lambda done: None) -> Merge:
    """Write the images of all data sets into one, `target`: all of them, or nothing. A file that was there already is left out and listed.

    Raises:
        DatasetError: `target` holds something already or cannot be written, or no image is left.

    """
    faults: list[Fault] = []
    first: dict[str, LabelledImage] = {}
    names = FreeNames()
    done = images = plates = 0
    with whole_folder(target) as building:
        (building / IMAGES).mkdir()
        with DatasetWriter(building) as writer:
            for dataset in datasets:
                for image in dataset.images:
                    done += 1
                    progress(done)
                    try:
                        content = hashlib.sha256(image.path.read_bytes()).hexdigest()
                    except OSError as error:
                        faults.append(Fault(str(image.path), f"cannot be read: {error.strerror or error}"))
                        continue
                    if content in first:
                        faults.append(Fault(str(image.path), _repeated(image, first[content])))
                        continue
                    first[content] = image
                    path = building / IMAGES / names.take(Path(dataset.name) / image.path.name)
                    place_picture(image.path, path, link=link)
                    writer.add(LabelledImage(path, image.width, image.height, image.plates))
                    images += 1
                    plates += len(image.plates)
            if not images:
                raise DatasetError(f"{target}: expected at least one image to merge, found none")
    return Merge(images, plates, tuple(faults))


def _repeated(image: LabelledImage, first: LabelledImage) -> str:
    ours, theirs = sorted(texts_of(image)), sorted(texts_of(first))
    what = f"the same picture as {first.path}"
    return what if ours == theirs else f"{what}, but labelled {' '.join(ours) or 'without a text'} and there {' '.join(theirs) or 'without a text'}"
