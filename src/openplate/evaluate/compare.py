"""Two models' reports on the same data set in; which plates the second fixes and which it breaks, with a p-value and intervals, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from openplate.dataset import LabelledImage, LabelledPlate
from openplate.evaluate.metrics import Difference, Rate, canonical, count, mcnemar, paired_difference, resampled_difference
from openplate.evaluate.summary import ImageOutcome, Part, PlateOutcome, Report, summarise
from openplate.types import EngineReport

Task = Literal["reader", "detector", "end to end"]
"""What is compared: exact texts on labelled quads, labels that a detection finds, exact texts end to end."""
Change = Literal["fixed", "broken", "changed", "same"]
CHANGES: dict[Change, str] = {
    "fixed": "A is wrong, B is right.",
    "broken": "A is right, B is wrong.",
    "changed": "Both are wrong, in different ways.",
}


@dataclass(frozen=True, slots=True)
class Side:
    """What one model made of a plate: whether that is right, the text it gave (None for none), how sure it was, and what became of the plate."""

    right: bool
    text: str | None
    confidence: float | None
    said: str


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One labelled plate as both models see it."""

    image: LabelledImage
    label: LabelledPlate
    a: Side
    b: Side

    @property
    def change(self) -> Change:
        """What B does differently from A."""
        if self.a.right != self.b.right:
            return "fixed" if self.b.right else "broken"
        return "same" if self.a.right or (self.a.text, self.a.said) == (self.b.text, self.b.said) else "changed"

    def as_json(self) -> dict[str, Any]:
        """The pair as a JSON object."""
        quad = None if self.label.quad is None else np.round(self.label.quad.astype(float), 1).tolist()
        sides = {"a": asdict(self.a), "b": asdict(self.b)}
        return {"change": self.change, "image": str(self.image.path), "quad": quad, "truth": self.label.text, "country": self.label.country, **sides}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired numbers of one task.

    `a` and `b` are both models' shares right of the same plates; `both`, `fixed`, `broken` and `neither` make up all plates. `difference` is the share
    of B less that of A with Newcombe's interval for paired data, `p_value` that of McNemar's exact test: how often chance alone would split the changes
    so unevenly. `same_text` counts plates to which both give the same text, right or wrong. The character error rates, and their difference with
    an interval of the bootstrap over plates, are None for a detector and where rapidfuzz (extra `evaluate`) is not installed.
    `beside_a` and `beside_b` count what each model gave where no label is: detections of a detector, texts end to end, None for a reader.
    """

    task: Task
    plates: int
    a: Rate
    b: Rate
    both: int
    fixed: int
    broken: int
    neither: int
    difference: Difference
    p_value: float
    same_text: Rate | None
    cer_a: float | None
    cer_b: float | None
    cer_difference: Difference | None
    beside_a: int | None
    beside_b: int | None


@dataclass(frozen=True, slots=True, eq=False)
class PairedReport:
    """Both models on one data set.

    `beside` counts what A and B gave where no label is, for the tasks that can; `problems` names images that one of them could not be measured on;
    `alike` holds the characters taken as one.
    """

    name: str
    engine_a: EngineReport
    engine_b: EngineReport
    pairs: dict[Task, tuple[Pair, ...]]
    beside: dict[Task, tuple[int, int]]
    problems: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()

    def comparisons(self) -> list[Comparison]:
        """The numbers of each task that was measured."""
        return [_compare(task, pairs, self.beside.get(task, (None, None)), self.alike) for task, pairs in self.pairs.items()]

    def as_json(self) -> dict[str, Any]:
        """Numbers, problems and every changed plate as a JSON object."""
        return {
            "name": self.name,
            "engine_a": self.engine_a.as_json(),
            "engine_b": self.engine_b.as_json(),
            "comparisons": [asdict(comparison) for comparison in self.comparisons()],
            "problems": list(self.problems),
            "changes": {task: [pair.as_json() for pair in pairs if pair.change != "same"] for task, pairs in self.pairs.items()},
        }


def pair_reports(a: Report, b: Report) -> PairedReport:
    """Two reports on the same data set as one; an image that only one of them could be measured on is left out and named in `problems`."""
    images_b = {image.image.path: image for image in b.images}
    images_a = {image.image.path for image in a.images}
    both = [(image, images_b[image.image.path]) for image in a.images if image.image.path in images_b]
    alone = [image.image.path for image in (*a.images, *b.images) if not (image.image.path in images_a and image.image.path in images_b)]
    problems = dict.fromkeys((*a.problems, *b.problems, *(f"{path}: only one of the two models was measured on it; left out" for path in alone)))
    tasks = _tasks(a.images[0].part) if a.images else ()
    pairs = {task: tuple(pair for one in both for pair in _image_pairs(task, *one)) for task in tasks}
    counts_a, counts_b = (_beside([one[side] for one in both]) for side in (0, 1))
    beside = {task: (counts_a[task], counts_b[task]) for task in counts_a}
    return PairedReport(a.name, a.engine, b.engine, {task: found for task, found in pairs.items() if found}, beside, tuple(problems), a.alike)


def combine_pairs(reports: Sequence[PairedReport], name: str = "all") -> PairedReport:
    """Several data sets as one: each plate counts the same."""
    tasks = dict.fromkeys(task for report in reports for task in report.pairs)
    pairs = {task: tuple(pair for report in reports for pair in report.pairs.get(task, ())) for task in tasks}
    counts = {task: [report.beside[task] for report in reports if task in report.beside] for task in tasks}
    beside = {task: (sum(a for a, _ in found), sum(b for _, b in found)) for task, found in counts.items() if found}
    problems = tuple(problem for report in reports for problem in report.problems)
    return PairedReport(name, reports[0].engine_a, reports[0].engine_b, pairs, beside, problems, reports[0].alike)


def _tasks(part: Part) -> tuple[Task, ...]:
    if part == "all":
        return ("end to end", "reader", "detector")
    return (part,)


def _beside(images: Sequence[ImageOutcome]) -> dict[Task, int]:
    """How many texts, and how many detections, one model gave where no label is."""
    summary = summarise(images)
    found: dict[Task, int] = {}
    if summary.end_to_end:
        found["end to end"] = summary.end_to_end.extra
    if summary.detection:
        found["detector"] = summary.detection.matched.total - summary.detection.matched.right
    return found


def _image_pairs(task: Task, a: ImageOutcome, b: ImageOutcome) -> list[Pair]:
    pairs = []
    for plate_a, plate_b in zip(a.plates, b.plates, strict=True):
        side_a, side_b = _side(task, plate_a), _side(task, plate_b)
        if side_a is not None and side_b is not None:
            pairs.append(Pair(a.image, plate_a.label, side_a, side_b))
    return pairs


def _side(task: Task, plate: PlateOutcome) -> Side | None:
    """What a model made of a plate in one task, None where that was not measured or the label cannot say."""
    if task == "detector":
        return None if plate.found is None else Side(plate.found, None, None, "found" if plate.found else "not found")
    if task == "end to end":
        if plate.kind is None:
            return None
        given = plate.plate if plate.kind in ("exact", "wrong") else None
        return Side(plate.kind == "exact", given.text if given else None, given.reading.confidence if given else None, plate.kind)
    if plate.reading_right is None:
        return None
    reading = plate.reading
    return Side(
        plate.reading_right, reading.text if reading else "", reading.confidence if reading else None, "exact" if plate.reading_right else "wrong"
    )


def _compare(task: Task, pairs: Sequence[Pair], beside: tuple[int | None, int | None], alike: Sequence[str]) -> Comparison:
    kinds = [pair.change for pair in pairs]
    fixed, broken = kinds.count("fixed"), kinds.count("broken")
    both = sum(pair.a.right and pair.b.right for pair in pairs)
    neither = len(pairs) - both - fixed - broken
    cer_a, cer_b, cer_difference = _character_rates(pairs, alike) if task == "reader" else (None, None, None)
    return Comparison(
        task=task,
        plates=len(pairs),
        a=count(pair.a.right for pair in pairs),
        b=count(pair.b.right for pair in pairs),
        both=both,
        fixed=fixed,
        broken=broken,
        neither=neither,
        difference=paired_difference(both, broken, fixed, neither),
        p_value=mcnemar(broken, fixed),
        same_text=None if task == "detector" else count(_same_text(pair, alike) for pair in pairs),
        cer_a=cer_a,
        cer_b=cer_b,
        cer_difference=cer_difference,
        beside_a=beside[0],
        beside_b=beside[1],
    )


def _same_text(pair: Pair, alike: Sequence[str]) -> bool:
    return canonical(pair.a.text or "", alike) == canonical(pair.b.text or "", alike)


def _character_rates(pairs: Sequence[Pair], alike: Sequence[str]) -> tuple[float | None, float | None, Difference | None]:
    try:
        from openplate.evaluate.characters import edits
    except ModuleNotFoundError:  # rapidfuzz: all other numbers do without it
        return None, None, None
    sizes = [len(canonical(pair.label.text or "", alike)) for pair in pairs]
    errors = [[edits(pair.label.text or "", side.text or "", alike) for side in (pair.a, pair.b)] for pair in pairs]
    if not sum(sizes):
        return None, None, None
    errors_a, errors_b = zip(*errors, strict=True)
    return sum(errors_a) / sum(sizes), sum(errors_b) / sum(sizes), resampled_difference(errors_a, errors_b, sizes)
