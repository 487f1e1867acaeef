"""A pipeline and a data set in, a `Report` out: what became of every labelled plate, and of everything found beside the labels.

Three parts: *detection* (`detect`), *reading* (`read_quads` on the labelled quads) and *end to end* (`read_frame`).
Images that are plates already go through `read_cropped`, which serves reading and end to end, and take no part in detection.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import click
import numpy as np

from openplate.dataset import Dataset, LabelledImage
from openplate.errors import DatasetError, OpenPlateError
from openplate.evaluate.metrics import corner_distance, match, overlaps, same_text
from openplate.evaluate.summary import FOUND_IOU, READ_IOU, ImageOutcome, Judged, Kind, Part, PlateOutcome, Report
from openplate.read.decode import Decoder
from openplate.sources import read_image
from openplate.types import Detection, EngineReport, Frame, Image, PhotoResult, Plate, Quad, Reading

T = TypeVar("T")


class Recogniser(Protocol):
    """What is measured: `openplate.pipeline.Pipeline`, or a fake of it."""

    engine: EngineReport

    @property
    def decoder(self) -> Decoder:
        """Decodes what the reader says; it knows the reader's charset."""
        ...

    def detect(self, image: Image) -> list[Detection]:
        """The plates' places in an image."""
        ...

    def read_quads(self, image: Image, quads: Sequence[Quad]) -> list[Reading]:
        """A reading for each quad, whatever its confidence."""
        ...

    def read_frame(self, frame: Frame) -> PhotoResult:
        """The plates of a photo, found and read."""
        ...

    def read_cropped(self, frame: Frame) -> PhotoResult:
        """The plate that the image is."""
        ...


def evaluate(pipeline: Recogniser, dataset: Dataset, *, part: Part = "all", alike: Sequence[str] = ()) -> Report:
    """Measure a pipeline on a data set, with progress on stderr.

    `alike` holds groups of characters that count as one ("O0"). An image that cannot be read, or has another size than its label says,
    is left out of all counts and named in the report's `problems`.
    """

    def look(image: LabelledImage) -> ImageOutcome | None:
        frame = open_labelled(image)
        return _look_at_plate(pipeline, image, frame, part, alike) if image.cropped else _look_at_photo(pipeline, image, frame, part, alike)

    outcomes, problems = for_each_image(dataset, look)
    return Report(dataset.name, pipeline.engine, tuple(outcomes), tuple(problems), tuple(alike))


def for_each_image(dataset: Dataset, look: Callable[[LabelledImage], T | None]) -> tuple[list[T], list[str]]:
    """`look` at each image with progress on stderr: what it returned (None left out), and a line for each image that raised an `OpenPlateError`."""
    seen: list[T] = []
    problems: list[str] = []
    with click.progressbar(dataset.images, label=dataset.name, file=sys.stderr, show_pos=True) as images:
        for image in images:
            try:
                outcome = look(image)
            except OpenPlateError as error:
                problems.append(str(error))
                continue
            if outcome is not None:
                seen.append(outcome)
    return seen, problems


def open_labelled(image: LabelledImage) -> Frame:
    """The first frame of a labelled image.

    Raises:
        SourceError: the image cannot be read.
        DatasetError: its size is not what its label says, so the quads do not fit it.

    """
    frame = read_image(image.path)[0]
    height, width = frame.image.shape[:2]
    if (width, height) != (image.width, image.height):
        raise DatasetError(f"{image.path}: the label says {image.width}×{image.height} px, the image has {width}×{height}; correct the label")
    return frame


def _look_at_plate(pipeline: Recogniser, image: LabelledImage, frame: Frame, part: Part, alike: Sequence[str]) -> ImageOutcome | None:
    if part == "detector":
        return None
    label = image.plates[0]
    plates = pipeline.read_cropped(frame).plates
    judged = tuple(_judge(plate, [label.text], alike) for plate in plates) if label.text else ()
    first = plates[0] if plates else None
    kind, plate = _end_to_end(label.text, plates, alike) if part == "all" else (None, None)
    outcome = PlateOutcome(
        label,
        height_px=image.height_px(label),
        reading=first.reading if first else None,
        reading_right=judged[0].right if judged else (False if label.text else None),
        kind=kind,
        plate=plate,
    )
    return ImageOutcome(image, part, (outcome,), judged=judged if part == "all" else ())


def _look_at_photo(pipeline: Recogniser, image: LabelledImage, frame: Frame, part: Part, alike: Sequence[str]) -> ImageOutcome | None:
    labels = image.plates
    quads = [label.quad for label in labels if label.quad is not None]

    detections: list[Detection] = []
    table = np.zeros((0, len(quads)))
    finder: dict[int, int] = {}
    if part != "reader":
        detections = sorted(pipeline.detect(frame.image), key=lambda d: -d.confidence)
        table = overlaps([d.quad for d in detections], quads)
        finder = {label: row for row, label in enumerate(match(table, FOUND_IOU)) if label is not None}

    readable = [i for i, label in enumerate(labels) if label.text is not None]
    readings: dict[int, Reading] = {}
    if part != "detector" and readable:
        readings = dict(zip(readable, pipeline.read_quads(frame.image, [quads[i] for i in readable]), strict=True))

    plates: tuple[Plate, ...] = ()
    overlap = np.zeros((0, len(quads)))
    if part == "all":
        plates = pipeline.read_frame(frame).plates
        overlap = overlaps([plate.detection.quad for plate in plates], quads)
    touching = overlap >= READ_IOU

    outcomes = []
    for i, label in enumerate(labels):
        kind, plate = _end_to_end(label.text, [p for row, p in enumerate(plates) if touching[row, i]], alike) if part == "all" else (None, None)
        reading = readings.get(i)
        outcomes.append(
            PlateOutcome(
                label,
                height_px=image.height_px(label),
                found=i in finder if part != "reader" else None,
                corners=corner_distance(detections[finder[i]].quad, quads[i]) if i in finder and not label.upright else None,
                reading=reading,
                reading_right=same_text(reading.text, label.text, alike) if reading and label.text else None,
                kind=kind,
                plate=plate,
            )
        )
    judged = []
    for row, plate in enumerate(plates):
        truths = [labels[i].text for i in np.argsort(-overlap[row]) if touching[row, i]]
        if truths and all(truths):
            judged.append(_judge(plate, truths, alike))
    return ImageOutcome(
        image,
        part,
        tuple(outcomes),
        detections=tuple(detections),
        overlaps=table,
        judged=tuple(judged),
        extra=tuple(plate for row, plate in enumerate(plates) if plate.status == "read" and not touching[row].any()),
    )


def _end_to_end(truth: str | None, plates: Sequence[Plate], alike: Sequence[str]) -> tuple[Kind | None, Plate | None]:
    """What became of one label, given the plates on it, and the plate that shows it."""
    if truth is None:
        return None, None
    read = [plate for plate in plates if plate.status == "read"]
    for plate in read:
        if same_text(plate.text or "", truth, alike):
            return "exact", plate
    if read:
        return "wrong", max(read, key=lambda plate: plate.reading.confidence)
    if plates:
        return "unreadable", max(plates, key=lambda plate: plate.reading.confidence)
    return "not found", None


def _judge(plate: Plate, truths: Sequence[str | None], alike: Sequence[str]) -> Judged:
    """Right when the best text is that of any label that the plate lies on; the first is named as the truth."""
    return Judged(plate, truths[0] or "", any(same_text(plate.reading.text, truth, alike) for truth in truths if truth))
