"""What became of each labelled plate in, rates by part, country and height and the list of failures out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from openplate.charset import normalise
from openplate.dataset import LabelledImage, LabelledPlate
from openplate.evaluate.metrics import (
    Calibration,
    CornerError,
    Floats,
    Rate,
    average_precision,
    calibration,
    corner_error,
    count,
    height_group,
    height_groups,
    match,
    mean_average_precision,
)
from openplate.formats import load_formats
from openplate.types import Detection, EngineReport, Plate, Quad, Reading

if TYPE_CHECKING:
    from openplate.evaluate.characters import CharacterErrors

FOUND_IOU = 0.5
"""A detection finds a label from this overlap on."""
READ_IOU = 0.3
"""A reading speaks of a label from this overlap on."""

Part = Literal["reader", "detector", "all"]
Kind = Literal["exact", "wrong", "unreadable", "not found"]
FailureKind = Literal["not found", "unreadable", "wrong", "extra", "misread label", "detection missed", "detection unmatched"]
FAILURE_KINDS: dict[FailureKind, str] = {
    "not found": "No plate was reported where the label is.",
    "unreadable": "A plate was found there and its text was not given, because its confidence is low or no text came out.",
    "wrong": "A text was given there and it is not the label's.",
    "extra": "A text was given where no label is: a false alarm, or a plate that has no label.",
    "misread label": "The reader alone, on the labelled quad, gave another text; end to end was right or was not measured.",
    "detection missed": "No detection overlaps the label by IoU 0.5 (the plate may still have been read).",
    "detection unmatched": "A detection that matches no label and has no confident text; often a plate without a label.",
}
_NOT_FOUND = ("no plate was reported here", "no plate was reported here; the text is the reader's on the labelled quad")


@dataclass(frozen=True, slots=True, eq=False)
class PlateOutcome:
    """What became of one labelled plate; None stands for what was not measured or cannot be known.

    `found` and `corners` (distance in px, as a fraction of the height) are detection's; `reading` is the reader's on the labelled quad;
    `kind` is end to end, `plate` the one that shows it.
    """

    label: LabelledPlate
    height_px: float
    found: bool | None = None
    corners: tuple[float, float] | None = None
    reading: Reading | None = None
    reading_right: bool | None = None
    kind: Kind | None = None
    plate: Plate | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A plate found end to end on a label with a text: was its best text right, whether it was given or held back?"""

    plate: Plate
    truth: str
    right: bool


@dataclass(frozen=True, slots=True, eq=False)
class ImageOutcome:
    """What became of one image, of which `part` was measured.

    `plates` are its labels in order; `detections`, most confident first, have `(D, L)` `overlaps` with the labels; `judged` are the plates on labels;
    `extra` the confident readings that touch no label.
    """

    image: LabelledImage
    part: Part
    plates: tuple[PlateOutcome, ...]
    detections: tuple[Detection, ...] = ()
    overlaps: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    judged: tuple[Judged, ...] = ()
    extra: tuple[Plate, ...] = ()


@dataclass(frozen=True, slots=True)
class DetectionSummary:
    """How well plates are found, at IoU 0.5 where nothing else is said.

    `recall` counts labels that a detection finds; `matched` detections that find a label: a lower bound of precision, for lack of labels.
    """

    recall: Rate
    matched: Rate
    ap50: float | None
    map50_95: float | None
    corners: CornerError | None


@dataclass(frozen=True, slots=True)
class ReadingSummary:
    """The reader alone, on labelled quads and on images that are plates: exact texts (word accuracy), the character error rate, and every character.

    `cer` and `characters` are None where rapidfuzz (extra `evaluate`) is not installed. `country` counts, among right texts whose label names a country with
    a shipped format, those that are said to be of that country; None where there are none.
    """

    exact: Rate
    country: Rate | None
    cer: float | None
    characters: CharacterErrors | None
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class EndToEndSummary:
    """Labels by what became of them: `exact`, `wrong`, `unreadable` and `not_found` make up all that have a text.

    `wrong_readings` counts those that are wrong among the texts given on labels, `wrong_length` those that have too few or too many characters;
    `extra` the texts given where no label is.
    """

    exact: Rate
    wrong: int
    unreadable: int
    not_found: int
    wrong_readings: Rate
    wrong_length: Rate
    extra: int
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class Group:
    """The labels of one country, or of one height; `country` as in `ReadingSummary`."""

    name: str
    plates: int
    found: Rate
    reading_exact: Rate
    exact: Rate
    country: Rate


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of one data set, or of several together; a part that was not measured is None."""

    images: int
    plates: int
    detection: DetectionSummary | None
    reading: ReadingSummary | None
    end_to_end: EndToEndSummary | None
    by_country: tuple[Group, ...]
    by_height_px: tuple[Group, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """Something to look at: where (`quad` None is the whole image), the truth when there is a label with a text, and what was read."""

    kind: FailureKind
    image: Path
    quad: Quad | None
    truth: str | None
    reading: Reading | None = None
    confidence: float | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The failure as a JSON object."""
        return {
            "kind": self.kind,
            "image": str(self.image),
            "quad": None if self.quad is None else np.round(self.quad.astype(float), 1).tolist(),
            "truth": self.truth,
            "text": self.reading.text if self.reading else None,
            "confidence": self.confidence,
            "candidates": [asdict(candidate) for candidate in self.reading.candidates] if self.reading else [],
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What became of every image of a data set; `problems` names images that could not be measured, `alike` the characters taken as one."""

    name: str
    engine: EngineReport
    images: tuple[ImageOutcome, ...]
    problems: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()

    def summary(self) -> Summary:
        """The numbers."""
        return summarise(self.images, self.alike)

    def failures(self) -> list[Failure]:
        """Everything that went wrong, by kind in the order of `FAILURE_KINDS`, then by image."""
        found = [failure for image in self.images for failure in image_failures(image)]
        return [failure for kind in FAILURE_KINDS for failure in found if failure.kind == kind]

    def as_json(self) -> dict[str, Any]:
        """Numbers, problems and failures as a JSON object."""
        return {
            "name": self.name,
            "engine": self.engine.as_json(),
            **asdict(self.summary()),
            "problems": list(self.problems),
            "failures": [failure.as_json() for failure in self.failures()],
        }


def combine(reports: Sequence[Report], name: str = "all") -> Report:
    """Several reports of one pipeline as one: each plate counts the same, whichever set it is from."""
    images = tuple(image for report in reports for image in report.images)
    return Report(name, reports[0].engine, images, tuple(problem for report in reports for problem in report.problems), reports[0].alike)


def summarise(images: Sequence[ImageOutcome], alike: Sequence[str] = ()) -> Summary:
    """The numbers of images that were looked at."""
    plates = [plate for image in images for plate in image.plates]
    return Summary(
        images=len(images),
        plates=len(plates),
        detection=_detection(images),
        reading=_reading(plates, alike),
        end_to_end=_end_to_end(images),
        by_country=_groups(plates, sorted({plate.label.country for plate in plates}), lambda plate: plate.label.country),
        by_height_px=_groups(plates, height_groups(), lambda plate: height_group(plate.height_px)),
    )


def _detection(images: Sequence[ImageOutcome]) -> DetectionSummary | None:
    measured = [image for image in images if image.part != "reader" and not image.image.cropped]
    if not measured:
        return None
    plates = [plate for image in measured for plate in image.plates]
    recall = count(plate.found is True for plate in plates)
    tables = [([d.confidence for d in image.detections], image.overlaps) for image in measured]
    return DetectionSummary(
        recall=recall,
        matched=count(label for image in measured for label in _matched(image)),
        ap50=average_precision(tables, FOUND_IOU),
        map50_95=mean_average_precision(tables),
        corners=corner_error([plate.corners for plate in plates if plate.corners is not None]),
    )


def _matched(image: ImageOutcome) -> list[bool]:
    return [label is not None for label in match(image.overlaps, FOUND_IOU)]


def _reading(plates: Sequence[PlateOutcome], alike: Sequence[str]) -> ReadingSummary | None:
    measured = [plate for plate in plates if plate.reading_right is not None]
    if not measured:
        return None
    right = [plate.reading_right is True for plate in measured]
    characters = _characters(measured, alike)
    country = _countries(measured)
    return ReadingSummary(
        exact=count(right),
        country=country if country.total else None,
        cer=characters.cer if characters else None,
        characters=characters,
        calibration=calibration([plate.reading.confidence if plate.reading else 0.0 for plate in measured], right),
    )


def _countries(plates: Sequence[PlateOutcome]) -> Rate:
    right = [(plate.label.country.upper(), plate.reading.country) for plate in plates if plate.reading_right and plate.reading]
    known = {f.code for f in load_formats()} | {said for _, said in right}  # further format files are known by what was read
    return count(said == true for true, said in right if true in known)


def _characters(plates: Sequence[PlateOutcome], alike: Sequence[str]) -> CharacterErrors | None:
    try:
        from openplate.evaluate.characters import TextPair, character_errors
    except ModuleNotFoundError:  # rapidfuzz: all other numbers do without it
        return None
    pairs = [TextPair(plate.label.text or "", plate.reading.text if plate.reading else "", plate.label.country) for plate in plates]
    return character_errors(pairs, alike)


def _end_to_end(images: Sequence[ImageOutcome]) -> EndToEndSummary | None:
    measured = [image for image in images if image.part == "all"]
    if not measured:
        return None
    kinds = [plate.kind for image in measured for plate in image.plates if plate.kind is not None]
    judged = [plate for image in measured for plate in image.judged]
    return EndToEndSummary(
        exact=count(kind == "exact" for kind in kinds),
        wrong=kinds.count("wrong"),
        unreadable=kinds.count("unreadable"),
        not_found=kinds.count("not found"),
        wrong_readings=count(not j.right for j in judged if j.plate.status == "read"),
        wrong_length=count(
            not j.right and len(normalise(j.plate.reading.text)) != len(normalise(j.truth)) for j in judged if j.plate.status == "read"
        ),
        extra=sum(len(image.extra) for image in measured),
        calibration=calibration([j.plate.reading.confidence for j in judged], [j.right for j in judged]),
    )


def _groups(plates: Sequence[PlateOutcome], names: Iterable[str], name_of: Callable[[PlateOutcome], str]) -> tuple[Group, ...]:
    groups = []
    for name in names:
        members = [plate for plate in plates if name_of(plate) == name]
        groups.append(
            Group(
                name,
                len(members),
                found=count(plate.found for plate in members if plate.found is not None),
                reading_exact=count(plate.reading_right for plate in members if plate.reading_right is not None),
                exact=count(plate.kind == "exact" for plate in members if plate.kind is not None),
                country=_countries(members),
            )
        )
    return tuple(groups)


def image_failures(outcome: ImageOutcome) -> list[Failure]:
    """Everything that went wrong in one image."""
    path = outcome.image.path
    failures = [failure for plate in outcome.plates for failure in _plate_failures(path, plate)]
    for judged in outcome.judged:
        if judged.plate.status == "read" and not judged.right and all(plate.plate is not judged.plate for plate in outcome.plates):
            failures.append(_plate_failure("wrong", path, judged.plate, judged.truth))
    failures += [_plate_failure("extra", path, plate, None) for plate in outcome.extra]
    read = {plate.detection.quad.tobytes() for plate in outcome.extra}
    for detection, matched, row in zip(outcome.detections, _matched(outcome), outcome.overlaps, strict=True):
        if not matched and detection.quad.tobytes() not in read and not (row >= READ_IOU).any():
            failures.append(Failure("detection unmatched", path, detection.quad, None, confidence=detection.confidence))
    return failures


def _plate_failures(path: Path, outcome: PlateOutcome) -> list[Failure]:
    label = outcome.label
    failures = []
    if outcome.kind in ("wrong", "unreadable") and outcome.plate is not None:
        failures.append(_plate_failure(outcome.kind, path, outcome.plate, label.text, whole=label.quad is None))
    elif outcome.kind == "not found":
        failures.append(
            Failure("not found", path, label.quad, label.text, outcome.reading, reason=_NOT_FOUND[bool(outcome.reading and outcome.reading.text)])
        )
    elif outcome.reading_right is False:
        confidence = outcome.reading.confidence if outcome.reading else None
        failures.append(Failure("misread label", path, label.quad, label.text, outcome.reading, confidence))
    if outcome.found is False and outcome.kind != "not found":
        failures.append(Failure("detection missed", path, label.quad, label.text, reason="no detection at IoU 0.5"))
    return failures


def _plate_failure(kind: FailureKind, path: Path, plate: Plate, truth: str | None, whole: bool = False) -> Failure:
    quad = None if whole else plate.detection.quad
    return Failure(kind, path, quad, truth, plate.reading, plate.reading.confidence, plate.reason)
