"""A data set and a pipeline in; the same data set with labels for the plates that nobody labelled out, to be looked at by a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openplate.data.place import IMAGES, FreeNames, place_picture, whole_folder
from openplate.dataset import Dataset, DatasetWriter, Fault, LabelledImage, LabelledPlate
from openplate.errors import SourceError
from openplate.geometry import box_iou, box_to_quad, quad_to_box
from openplate.pipeline import Pipeline
from openplate.sources import read_image
from openplate.types import Plate

APART = 0.1
"""A plate whose box overlaps a labelled one by more (IoU) is that one."""
UNKNOWN = "XX"


@dataclass(frozen=True, slots=True)
class Prelabelling:
    """How many images were written, how many plates they had, how many were added, how many of those with a text, and what was left out."""

    images: int
    labelled: int
    added: int
    read: int
    faults: tuple[Fault, ...]


def prelabel(
    dataset: Dataset,
    target: Path,
    pipeline: Pipeline,
    least: float = 0.6,
    least_text: float = 0.99,
    *,
    link: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Prelabelling:
    """Write the images with their labels and further ones to `target`: all of them, or nothing. Cut-out plates keep the labels that they have.

    An added plate is an upright box: it says where the plate lies and not where its corners are.

    Args:
        dataset: what to complete.
        target: a folder that holds nothing yet.
        pipeline: what finds and reads.
        least: detection confidence from which a plate is added.
        least_text: confidence from which its text and country are; otherwise the text is null and the country `UNKNOWN`.
        link: hard links instead of copies of the pictures.
        progress: called with the number of images done.

    Raises:
        DatasetError: `target` holds something already or cannot be written.
    """
    faults: list[Fault] = []
    names = FreeNames()
    images = labelled = added = read = 0
    with whole_folder(target) as building:
        (building / IMAGES).mkdir()
        with DatasetWriter(building) as writer:
            for done, entry in enumerate(dataset.images, 1):
                progress(done)
                further: list[LabelledPlate] = []
                if not entry.cropped:
                    try:
                        found = pipeline.read_frame(read_image(entry.path)[0]).plates
                    except SourceError as error:
                        faults.append(Fault(str(entry.path), str(error)))
                        continue
                    further = [_label(plate, entry, least_text) for plate in found if plate.detection.confidence >= least and _is_new(plate, entry)]
                path = building / IMAGES / names.take(Path(dataset.name) / entry.path.name)
                place_picture(entry.path, path, link=link)
                writer.add(LabelledImage(path, entry.width, entry.height, (*entry.plates, *further)))
                images += 1
                labelled += len(entry.plates)
                added += len(further)
                read += sum(plate.text is not None for plate in further)
    return Prelabelling(images, labelled, added, read, tuple(faults))


def _is_new(plate: Plate, entry: LabelledImage) -> bool:
    boxes = np.array([quad_to_box(known.quad) for known in entry.plates if known.quad is not None], np.float32).reshape(-1, 4)
    box = np.array([quad_to_box(plate.detection.quad)], np.float32)
    return not len(boxes) or float(box_iou(box, boxes).max()) <= APART


def _label(plate: Plate, entry: LabelledImage, least_text: float) -> LabelledPlate:
    x0, y0, x1, y1 = quad_to_box(plate.detection.quad)
    quad = box_to_quad(max(0.0, x0), max(0.0, y0), min(float(entry.width), x1), min(float(entry.height), y1))
    reading = plate.reading
    if not reading.text or reading.country is None or reading.confidence < least_text:
        return LabelledPlate(None, UNKNOWN, quad)
    return LabelledPlate(reading.text, reading.country, quad)
