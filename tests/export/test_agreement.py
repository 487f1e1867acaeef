import itertools
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from openplate.dataset import Dataset, load_dataset
from openplate.detect import open as detect_open
from openplate.export import agreement
from openplate.export.agreement import Agreement, Kind, Speed, compare_detections, compare_on_data, compare_readings, compare_speed, compare_whole
from openplate.formats import load_formats, select
from openplate.geometry import box_to_quad
from openplate.pipeline import Options
from openplate.read import reader
from openplate.synthesize.crops import LabelledCrop
from openplate.synthesize.scenes import ScenePlate
from openplate.types import Detection, EngineReport, Frame, Image, Quad
from tests.conftest import label
from tests.networks import CHARSET, constant_network, grey_reader, paint

RUSSIAN = select(load_formats(), ["RU"])
DETECTOR = {"openplate.kind": "detector", "openplate.side": "960", "openplate.threshold": "0.4"}
FP32 = EngineReport("onnxruntime", "1", "cpu", "fp32", 1)
INT8 = EngineReport("onnxruntime", "1", "cpu", "fp32+int8", 1)


def silent(_: int) -> None:
    """Progress that nobody looks at."""


def blank_reader(path: Path) -> Path:
    """A reader that sees no character anywhere."""
    answer = np.full((32, len(CHARSET)), -50.0)
    answer[:, 0] = 0
    return constant_network(
        path, ("n", 48, 192), answer, {"openplate.kind": "reader", "openplate.characters": CHARSET.characters, "openplate.rows": "2"}
    )


def test_lost_plates_and_points_by_hand() -> None:
    found = Agreement("drawn crops", INT8, total=2000, same=1990, right_before=1500, right_after=1499, fixed=2, broken=3, difference=0.01)
    assert (found.lost, found.lost_points) == (1, pytest.approx(0.05))
    assert found.as_text() == (
        "drawn crops, onnxruntime fp32+int8: right 75.00 → 74.95 % of 2000 (2 more, 3 fewer); the same for 99.50 %; mean difference 0.01"
    )
    assert Agreement("x", INT8, 0, 0, 0, 0, 0, 0).lost_points == 0.0


def test_reader_agrees_with_itself_on_both_engines(tmp_path: Path) -> None:
    path = grey_reader(tmp_path / "r.onnx")
    crops = [LabelledCrop(paint("A123BC77"), "A123BC77", 8), LabelledCrop(paint("K456MH99"), "K456MH90", 8)]
    done: list[int] = []
    found = compare_readings(path, [(path, "onnxruntime"), (path, "openvino")], crops, RUSSIAN, done.append)
    assert [f.engine.name for f in found] == ["onnxruntime", "openvino"]
    # The second label is not what is painted: both read the same, and one of two is right.
    assert {(f.total, f.same, f.right_before, f.right_after, f.fixed, f.broken) for f in found} == {(2, 2, 1, 1, 0, 0)}
    assert found[0].difference == pytest.approx(0, abs=1e-6)
    assert sum(done) == 2


def test_reader_that_sees_nothing_loses_what_the_other_reads(tmp_path: Path) -> None:
    before, after = grey_reader(tmp_path / "r.onnx"), blank_reader(tmp_path / "blank.onnx")
    crops = [LabelledCrop(paint(text), label, 8) for text, label in (("A123BC77", "A123BC77"), ("K456MH99", "K456MH99"), ("M777MM77", "M777MM78"))]
    (found,) = compare_readings(before, [(after, "onnxruntime")], crops, RUSSIAN, silent)
    assert (found.total, found.same, found.right_before, found.right_after, found.fixed, found.broken) == (3, 0, 2, 0, 0, 2)
    assert found.lost == 2
    assert found.difference == pytest.approx(8 * 2 / (32 * len(CHARSET)), abs=1e-5)  # in 8 of 32 steps the character and the blank change places


def test_plates_found_by_both_by_one_and_by_none_are_told_apart(tmp_path: Path) -> None:
    def detector(name: str, *boxes: tuple[float, float, float, float]) -> Path:
        rows = [[3, *box_to_quad(*box).ravel()] for box in boxes]
        return constant_network(tmp_path / name, ("n", "h", "w", 3), rows, DETECTOR)

    before = detector("before.onnx", (100, 100, 200, 120), (300, 100, 400, 120), (500, 100, 600, 120))
    after = detector("after.onnx", (102, 100, 202, 120), (300, 300, 400, 320), (500, 100, 600, 120))
    quads = [box_to_quad(x, 100, x + 100, 120) for x in (100, 300, 700)]
    (found,) = compare_detections(before, [(after, "onnxruntime")], [(np.zeros((540, 960, 3), np.uint8), quads)], silent)
    assert (found.total, found.same, found.right_before, found.right_after, found.fixed, found.broken) == (3, 2, 2, 1, 0, 1)
    assert found.difference == pytest.approx(2 / 20)  # only the first is found by both: 2 px of 20


def test_data_sets_are_read_by_the_pipeline_with_either_file(tmp_path: Path, make_dataset) -> None:  # type: ignore[no-untyped-def]
    dataset = load_dataset(make_dataset([label("A123BC77")], [label(None)], [label("K456MH99", None)]))
    grey, blank = grey_reader(tmp_path / "a.onnx"), blank_reader(tmp_path / "b.onnx")
    (found,) = compare_on_data("reader", blank, blank, ["onnxruntime"], [dataset])
    assert (found.total, found.same, found.right_before, found.right_after) == (2, 2, 0, 0)  # a plate without a text does not count
    (found,) = compare_on_data("reader", blank, grey, ["onnxruntime"], [dataset])
    assert (found.on, found.total, found.right_before) == ("data sets", 2, 0)


@pytest.mark.parametrize(("kind", "module"), [("reader", reader), ("detector", detect_open)])
def test_file_before_computes_in_fp32_on_data_sets_and_all_else_by_default(  # type: ignore[no-untyped-def]
    tmp_path: Path, make_dataset, monkeypatch: pytest.MonkeyPatch, kind: Kind, module: ModuleType
) -> None:
    opened: list[tuple[str, str]] = []

    name = "open_joint_network" if kind == "reader" else "open_network"
    opens = getattr(module, name)

    def open_and_note(path: Path, *arguments: Any, precision: str = "auto", **options: Any) -> Any:
        opened.append((path.name, precision))
        return opens(path, *arguments, precision=precision, **options)

    monkeypatch.setattr(module, name, open_and_note)
    monkeypatch.setattr(agreement, "evaluate", lambda *_, **__: opened.append(("evaluate", "")) or SimpleNamespace(images=()))
    row = [[3, *box_to_quad(0, 0, 30, 10).ravel()]]
    before, after = (
        grey_reader(tmp_path / name) if kind == "reader" else constant_network(tmp_path / name, ("n", "h", "w", 3), row, DETECTOR)
        for name in ("a.onnx", "b.onnx")
    )
    compare_on_data(kind, before, after, ["openvino"], [load_dataset(make_dataset([label("A123BC77")]))])
    # The last one that was opened before measuring is the one that is measured.
    measured = [opened[at - 1] for at, (name, _) in enumerate(opened) if name == "evaluate"]
    assert measured == [("a.onnx", "fp32"), ("b.onnx", "auto")]


def test_detections_that_find_no_plate_are_counted_for_either_file(tmp_path: Path, make_dataset) -> None:  # type: ignore[no-untyped-def]
    from tests.conftest import BOX

    def detector(name: str, *boxes: tuple[float, float, float, float]) -> Path:
        # The pictures of 200 × 100 px are seen at twice their size.
        rows = [[3, *(2 * box_to_quad(*box)).ravel()] for box in boxes]
        return constant_network(tmp_path / name, ("n", "h", "w", 3), rows, DETECTOR)

    dataset = load_dataset(make_dataset([label("A123BC77")], [label("K456MH99")]))
    before, after = detector("a.onnx", BOX), detector("b.onnx", (0, 0, 30, 10), (0, 80, 30, 90))
    (found,) = compare_on_data("detector", before, after, ["onnxruntime"], [dataset])
    assert (found.total, found.right_before, found.right_after, found.lost) == (2, 2, 0, 2)
    assert (found.unmatched_before, found.unmatched_after, found.more_unmatched) == (0, 4, 4)
    assert found.as_text().endswith("(0 more, 2 fewer); the same for 0.00 %; detections that find none 0 → 4")


def scene(*plates: tuple[str | None, Quad]) -> tuple[Image, list[ScenePlate]]:
    return np.zeros((100, 200, 3), np.uint8), [ScenePlate(quad, text, "RU", None) for text, quad in plates]


LEFT, RIGHT = box_to_quad(10, 10, 90, 30), box_to_quad(110, 10, 190, 30)


class FakePipeline:
    """Gives what `TEXTS` says of its file: a text and where it stands."""

    TEXTS: ClassVar[dict[str, list[tuple[str | None, Quad]]]] = {}

    def __init__(self, options: Options) -> None:
        assert options.model == "end-to-end" and options.detector is not None
        self.name = options.detector.name
        self.engine = EngineReport(options.engine, "1", "cpu", options.precision, 1)

    def read_frame(self, frame: Frame) -> SimpleNamespace:
        return SimpleNamespace(plates=[SimpleNamespace(text=text, detection=Detection(quad, 0.9)) for text, quad in self.TEXTS[self.name]])


def test_whole_networks_are_judged_by_the_texts_that_they_give_where_plates_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "Pipeline", FakePipeline)
    far = box_to_quad(10, 70, 90, 90)
    texts = {
        "a.onnx": [("A1", LEFT), ("B2", RIGHT + 4)],
        "b.onnx": [("A1", LEFT), (None, RIGHT), ("B2", far)],
        "c.onnx": [("A7", LEFT), ("B2", RIGHT)],
    }
    monkeypatch.setattr(FakePipeline, "TEXTS", texts)
    done: list[int] = []
    scenes = [scene(("A1", LEFT), ("B2", RIGHT), (None, far))] * 2
    runs = [(Path(name), "openvino") for name in ("a.onnx", "b.onnx", "c.onnx")]
    found = compare_whole(Path("a.onnx"), runs, scenes, done.append)
    # Plates without a text do not count; a text that stands elsewhere, or is withheld, is none.
    assert [(a.total, a.same, a.right_before, a.right_after, a.fixed, a.broken) for a in found] == [
        (4, 4, 4, 4, 0, 0),
        (4, 2, 4, 2, 0, 2),
        (4, 2, 4, 2, 0, 2),
    ]
    assert done == [1, 1]
    (better,) = compare_whole(Path("b.onnx"), runs[:1], scenes[:1], silent)
    assert (better.lost, better.fixed, better.engine.name) == (-1, 1, "openvino")


def test_whole_networks_are_judged_on_data_sets_by_what_became_of_each_plate(monkeypatch: pytest.MonkeyPatch) -> None:
    def outcome(*plates: tuple[str | None, str | None], detections: int = 2) -> SimpleNamespace:
        found = [SimpleNamespace(kind=kind, plate=text and SimpleNamespace(text=text), found=kind is not None) for kind, text in plates]
        return SimpleNamespace(plates=found, detections=[None] * detections)

    def evaluated(pipeline: FakePipeline, dataset: object) -> SimpleNamespace:
        assert pipeline.engine.precision == ("fp32" if pipeline.name == "a.onnx" else "auto")
        if pipeline.name == "a.onnx":
            return SimpleNamespace(images=[outcome(("exact", "A1"), ("wrong", "B3")), outcome((None, None), ("exact", "C3"))])
        return SimpleNamespace(images=[outcome(("wrong", "A7"), ("exact", "B2"), detections=5), outcome((None, None), ("not found", None))])

    monkeypatch.setattr(agreement, "Pipeline", FakePipeline)
    monkeypatch.setattr(agreement, "evaluate", evaluated)
    (found,) = compare_on_data("end-to-end", Path("a.onnx"), Path("b.onnx"), ["openvino"], [Dataset("streets", Path(), ())])
    # Three plates have a text: one is right only after, two only before. Of four detections one found none before, of seven four after.
    assert (found.total, found.same, found.right_before, found.right_after, found.fixed, found.broken) == (3, 0, 2, 1, 1, 2)
    assert (found.unmatched_before, found.unmatched_after) == (1, 4)


@pytest.mark.parametrize(("resolution", "clock"), [(1e-9, "process_time"), (1 / 64, "perf_counter")])
def test_fastest_of_the_runs_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resolution: float, clock: str) -> None:
    path = constant_network(tmp_path / "n.onnx", ("n", 4), np.zeros(1), {})
    # Start and end of each run in seconds, the two files taking turns: 8 and 2 ms, then 4 and 1 ms.
    ticks = itertools.accumulate([0, 0.008, 1, 0.002, 1, 0.004, 1, 0.001])
    monkeypatch.setattr(agreement.time, clock, lambda: next(ticks))
    monkeypatch.setattr(agreement.time, "get_clock_info", lambda _: SimpleNamespace(resolution=resolution))
    found = compare_speed(path, path, "onnxruntime", np.zeros((4, 4), np.uint8), runs=2)
    assert (found.before_ms, found.after_ms) == (pytest.approx(1.0), pytest.approx(0.25))  # an image of a batch of four
    assert found.ratio == pytest.approx(4)


def test_speed_is_one_line() -> None:
    line = "onnxruntime, batch 8, one thread: 6.00 ms an image in fp32, 2.50 ms in fp32+int8: 2.40 times as fast"
    assert Speed(FP32, INT8, 8, 6.0, 2.5).as_text() == line
