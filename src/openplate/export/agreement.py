"""Two files of one network in; how often they say the same, how often each is right, and how long each takes out.

`before` is the floating point file, `after` the one made from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from openplate.dataset import Dataset
from openplate.detect.detector import Detector
from openplate.detect.open import open_detector
from openplate.engine import open_joint_network, open_network
from openplate.evaluate.metrics import match, overlaps
from openplate.evaluate.run import evaluate
from openplate.evaluate.summary import FOUND_IOU, READ_IOU, ImageOutcome
from openplate.formats import Format
from openplate.geometry import quad_size
from openplate.pipeline import Options, Pipeline
from openplate.read.reader import Reader
from openplate.synthesize.crops import LabelledCrop
from openplate.synthesize.scenes import ScenePlate
from openplate.types import Detection, EngineReport, Frame, Image, Quad

Kind = Literal["reader", "detector", "end-to-end"]
Run = tuple[Path, str]
"""A file and the engine that runs it."""
BATCH = 32
DATA_SETS = "data sets"
"""What an agreement on labelled photos is on."""
FINE_S = 1e-4
"""Windows tells a process's time in steps of 1/64 s."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What two files make of the same plates.

    Of `total` plates, `right_before` and `right_after` were read (or found) rightly by either; `same` got the same text from both (or were found by
    both or by neither); `fixed` are right only after, `broken` only before. `difference` is the mean absolute difference of the readers'
    probabilities, or the mean distance of the detectors' corners in plate heights; `unmatched_before` and `unmatched_after` are detections that find
    no plate; None where it was not measured.
    """

    on: str
    engine: EngineReport
    total: int
    same: int
    right_before: int
    right_after: int
    fixed: int
    broken: int
    difference: float | None = None
    unmatched_before: int | None = None
    unmatched_after: int | None = None

    @property
    def lost(self) -> int:
        """How many plates fewer are right after than before; negative when more are."""
        return self.right_before - self.right_after

    @property
    def lost_points(self) -> float:
        """The same in percentage points of all plates."""
        return 100 * self.lost / self.total if self.total else 0.0

    @property
    def more_unmatched(self) -> int:
        """How many detections more find no plate after than before."""
        return (self.unmatched_after or 0) - (self.unmatched_before or 0)

    def as_json(self) -> dict[str, Any]:
        """The agreement as a JSON object."""
        return {**asdict(self), "engine": self.engine.as_json()}

    def as_text(self) -> str:
        """One line for people."""
        if self.total == 0:
            return f"{self.on}, {self.engine.name} {self.engine.precision}: nothing to compare"
        shares = [100 * n / self.total for n in (self.right_before, self.right_after, self.same)]
        more = "" if self.difference is None else f"; mean difference {self.difference:.2g}"
        if self.unmatched_before is not None:
            more += f"; detections that find none {self.unmatched_before} → {self.unmatched_after}"
        return (
            f"{self.on}, {self.engine.name} {self.engine.precision}: right {shares[0]:.2f} → {shares[1]:.2f} % of {self.total} "
            f"({self.fixed} more, {self.broken} fewer); the same for {shares[2]:.2f} %{more}"
        )


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds an image of both files on one engine, at `batch` images at once on one thread: the fastest of many runs, which took turns."""

    before: EngineReport
    after: EngineReport
    batch: int
    before_ms: float
    after_ms: float

    @property
    def ratio(self) -> float:
        """How many times faster the second file is."""
        return self.before_ms / self.after_ms

    def as_json(self) -> dict[str, Any]:
        """The speed as a JSON object."""
        return {"engine": self.after.name, "batch": self.batch, "before": self.before.precision, "after": self.after.precision} | {
            "before_ms": round(self.before_ms, 3),
            "after_ms": round(self.after_ms, 3),
        }

    def as_text(self) -> str:
        """One line for people."""
        return (
            f"{self.after.name}, batch {self.batch}, one thread: {self.before_ms:.2f} ms an image in {self.before.precision}, "
            f"{self.after_ms:.2f} ms in {self.after.precision}: {self.ratio:.2f} times as fast"
        )


def compare_readings(
    before: Path, after: Sequence[Run], crops: Iterable[LabelledCrop], formats: Sequence[Format], advance: Callable[[int], None]
) -> list[Agreement]:
    """Readers on the same crops, each decoded over formats from one look: one agreement for each of `after`.

    `before` computes in fp32 on ONNX Runtime, `after` as its engine runs it by default. `advance` is told how many crops were done.
    """
    reader = Reader(before, formats, engine="onnxruntime", precision="fp32")
    reference = open_network(before, engine="onnxruntime", precision="fp32")
    networks = [open_network(path, engine=engine) for path, engine in after]
    judges = [_Judge("drawn crops", network.report) for network in networks]
    for block in _blocks(crops):
        batch = np.stack([entry.crop for entry in block])
        expected = reference(batch)[0]
        texts = [reader.decoder.decode([row]).text for row in expected]
        for network, judge in zip(networks, judges, strict=True):
            found = network(batch)[0]
            for entry, text, row, wanted in zip(block, texts, found, expected, strict=True):
                other = reader.decoder.decode([row]).text
                judge.add(text == other, text == entry.text, other == entry.text)
                judge.differences.append(float(np.abs(np.exp(row) - np.exp(wanted)).mean()))
        advance(len(block))
    return [judge.agreement() for judge in judges]


def compare_detections(
    before: Path, after: Sequence[Run], scenes: Iterable[tuple[Image, Sequence[Quad]]], advance: Callable[[int], None]
) -> list[Agreement]:
    """Detectors on the same scenes with their plates' quads: one agreement over the plates for each of `after`; found is IoU ≥ 0.5.

    `before` computes in fp32 on ONNX Runtime, `after` as its engine runs it by default. `advance` is told how many scenes were done.
    """
    reference = Detector(before, engine="onnxruntime", precision="fp32")
    detectors = [Detector(path, engine=engine) for path, engine in after]
    judges = [_Judge("drawn scenes", detector.report) for detector in detectors]
    for image, quads in scenes:
        expected = _found(reference(image), quads)
        for detector, judge in zip(detectors, judges, strict=True):
            for one, other in zip(expected, _found(detector(image), quads), strict=True):
                judge.add((one is None) == (other is None), one is not None, other is not None)
                if one is not None and other is not None:
                    judge.differences.append(float(np.linalg.norm(one - other, axis=1).mean()) / quad_size(one)[1])
        advance(1)
    return [judge.agreement() for judge in judges]


def compare_whole(
    before: Path,
    after: Sequence[Run],
    scenes: Iterable[tuple[Image, Sequence[ScenePlate]]],
    advance: Callable[[int], None],
    formats: Sequence[Path] = (),
) -> list[Agreement]:
    """End-to-end networks on the same scenes: one agreement over the plates with a text for each of `after`; right is the exact text, given where the plate is.

    `before` computes in fp32 on ONNX Runtime, `after` as its engine runs it by default. `advance` is told how many scenes were done.
    """
    folders = tuple(str(folder) for folder in formats)
    reference = Pipeline(Options(model="end-to-end", detector=before, engine="onnxruntime", precision="fp32", formats=folders))
    pipelines = [Pipeline(Options(model="end-to-end", detector=path, engine=engine, formats=folders)) for path, engine in after]
    judges = [_Judge("drawn scenes", pipeline.engine) for pipeline in pipelines]
    for image, drawn in scenes:
        plates = [plate for plate in drawn if plate.text]
        expected = _texts(reference, image, plates)
        for pipeline, judge in zip(pipelines, judges, strict=True):
            for plate, one, other in zip(plates, expected, _texts(pipeline, image, plates), strict=True):
                judge.add(one == other, one == plate.text, other == plate.text)
        advance(1)
    return [judge.agreement() for judge in judges]


def _texts(pipeline: Pipeline, image: Image, plates: Sequence[ScenePlate]) -> list[str | None]:
    """For each drawn plate the text that was given where it is."""
    found = [plate for plate in pipeline.read_frame(Frame(image, "")).plates if plate.text]
    texts: list[str | None] = [None] * len(plates)
    places = overlaps([plate.detection.quad for plate in found], [plate.quad for plate in plates])
    for plate, label in zip(found, match(places, READ_IOU), strict=True):
        if label is not None:
            texts[label] = plate.text
    return texts


def compare_on_data(
    kind: Kind, before: Path, after: Path, engines: Sequence[str], datasets: Sequence[Dataset], formats: Sequence[Path] = ()
) -> list[Agreement]:
    """Both files in the whole pipeline on labelled data sets, all together, everything else alike: one agreement an engine.

    Readers read the labelled quads, detectors look for them, as `openplate evaluate --part` does; end-to-end networks find and read. `before` computes in
    fp32, `after` as the engine runs it by default, and so do the other networks beside either.
    """
    if kind == "end-to-end":
        return [_compare_whole_on_data(before, after, engine, datasets, formats) for engine in engines]
    agreements = []
    for engine in engines:
        outcomes = []
        for path, make in ((before, _InFp32), (after, Pipeline)):
            options = Options(engine=engine, formats=tuple(str(folder) for folder in formats))
            pipeline = make(replace(options, reader=path) if kind == "reader" else replace(options, detector=path))
            outcomes.append([image for dataset in datasets for image in evaluate(pipeline, dataset, part=kind).images])
        judge = _Judge(DATA_SETS, open_network(after, engine=engine).report)
        for pair in zip(*outcomes, strict=True):
            _judge_image(judge, *pair)
        agreement = judge.agreement()
        if kind == "detector":
            first, second = (sum(map(_unmatched, images)) for images in outcomes)
            agreement = replace(agreement, unmatched_before=first, unmatched_after=second)
        agreements.append(agreement)
    return agreements


def _compare_whole_on_data(before: Path, after: Path, engine: str, datasets: Sequence[Dataset], formats: Sequence[Path]) -> Agreement:
    """End-to-end networks on labelled photos; images that are plates, where there is nothing to find, are left out."""
    options = Options(engine=engine, model="end-to-end", formats=tuple(str(folder) for folder in formats))
    pipelines = [Pipeline(replace(options, detector=before, precision="fp32")), Pipeline(replace(options, detector=after))]
    outcomes = [[image for dataset in datasets for image in evaluate(pipeline, dataset).images] for pipeline in pipelines]
    judge = _Judge(DATA_SETS, pipelines[1].engine)
    for pair in zip(*outcomes, strict=True):
        for one, other in zip(*(image.plates for image in pair), strict=True):
            if one.kind is not None and other.kind is not None:
                texts = [plate.plate.text if plate.plate else None for plate in (one, other)]
                judge.add(texts[0] == texts[1], one.kind == "exact", other.kind == "exact")
    first, second = (sum(map(_unmatched, images)) for images in outcomes)
    return replace(judge.agreement(), unmatched_before=first, unmatched_after=second)


def compare_speed(
    before: Path, after: Path, engine: str, batch: NDArray[Any], *others: NDArray[Any], precision: str = "fp32", runs: int = 40
) -> Speed:
    """Both files on one engine and one thread, in turns; `before` in `precision`, `after` as the engine runs it by default. `others` are further inputs.

    The fastest run of each counts: whatever else the machine does only ever makes a run slower (as in Python's `timeit`). The processor's time is
    measured where the system tells it finely enough: on a busy machine no run may pass without a pause.
    """
    clock = time.process_time if time.get_clock_info("process_time").resolution <= FINE_S else time.perf_counter
    inputs = (batch, *others)
    networks = [open_joint_network(before, len(inputs), engine=engine, precision=precision), open_joint_network(after, len(inputs), engine=engine)]
    for network in networks:
        network(*inputs)
        network(*inputs)
    times: list[list[float]] = [[], []]
    for _ in range(runs):
        for network, kept in zip(networks, times, strict=True):
            start = clock()
            network(*inputs)
            kept.append(1000 * (clock() - start) / len(batch))
    return Speed(networks[0].report, networks[1].report, len(batch), min(times[0]), min(times[1]))


class _InFp32(Pipeline):
    """A pipeline whose own reader or detector, the one that `options` names, computes in fp32; its other networks run by default."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if options.reader:
            self._reader = Reader(options.reader, self._formats, engine=options.engine, precision="fp32")
        if options.detector:
            self._detector = open_detector(options.detector, options.engine, precision="fp32")


class _Judge:
    """Counts what two files said of each plate."""

    def __init__(self, on: str, engine: EngineReport) -> None:
        self.on, self.engine = on, engine
        self.differences: list[float] = []
        self._rows: list[tuple[bool, bool, bool]] = []

    def add(self, same: bool, right_before: bool, right_after: bool) -> None:
        self._rows.append((same, right_before, right_after))

    def agreement(self) -> Agreement:
        same, before, after = (sum(row[i] for row in self._rows) for i in range(3))
        fixed, broken = (sum(row[1:] == pair for row in self._rows) for pair in ((False, True), (True, False)))
        difference = float(np.mean(self.differences)) if self.differences else None
        return Agreement(self.on, self.engine, len(self._rows), same, before, after, fixed, broken, difference)


def _judge_image(judge: _Judge, before: ImageOutcome, after: ImageOutcome) -> None:
    for one, other in zip(before.plates, after.plates, strict=True):
        if one.reading_right is not None and other.reading_right is not None:
            texts = [plate.reading.text if plate.reading else "" for plate in (one, other)]
            judge.add(texts[0] == texts[1], one.reading_right, other.reading_right)
        elif one.found is not None and other.found is not None:
            judge.add(one.found == other.found, one.found, other.found)


def _unmatched(image: ImageOutcome) -> int:
    """How many detections of an image find none of its labels."""
    return len(image.detections) - sum(plate.found is True for plate in image.plates)


def _found(detections: Sequence[Detection], quads: Sequence[Quad]) -> list[Quad | None]:
    """For each labelled quad the quad of the detection that finds it."""
    found: list[Quad | None] = [None] * len(quads)
    for detection, label in zip(detections, match(overlaps([d.quad for d in detections], quads), FOUND_IOU), strict=True):
        if label is not None:
            found[label] = detection.quad
    return found


def _blocks(crops: Iterable[LabelledCrop]) -> Iterable[list[LabelledCrop]]:
    block: list[LabelledCrop] = []
    for entry in crops:
        block.append(entry)
        if len(block) == BATCH:
            yield block
            block = []
    if block:
        yield block
