import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from openplate.dataset import Dataset, DatasetWriter, LabelledImage, LabelledPlate, load_dataset
from openplate.end_to_end import open_end_to_end, part_beside
from openplate.engine import open_network
from openplate.errors import ConfigError, WeightsError
from openplate.export import int8
from openplate.export.agreement import Agreement, Speed
from openplate.export.int8 import LIMITS, Report, Settings, check_apart, export_int8, unmeasured
from openplate.export.quantise import quantised_layers
from openplate.formats import load_formats, select
from openplate.pipeline import Options, Pipeline
from openplate.sources import write_image
from openplate.types import EngineReport
from tests.export.conftest import Exported

RUSSIAN = select(load_formats(), ["RU"])
QUICK = Settings(keep=(1,), calibration=3, drawn=4, any_speed=True)


@pytest.fixture
def few_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Russian plates are drawn and read: a decoder of one country is built faster."""
    monkeypatch.setattr(int8, "load_formats", lambda *_: RUSSIAN)


def fixed_speed(monkeypatch: pytest.MonkeyPatch, ratio: float, precision: str = "fp32+int8") -> None:
    def compare(before: Path, after: Path, engine: str, *inputs: object, precision: str = "fp32", runs: int = 40) -> Speed:
        reports = [EngineReport(engine, "1", "cpu", name, 1) for name in ("fp32", shown)]
        return Speed(reports[0], reports[1], 8, ratio, 1.0)

    shown = precision
    monkeypatch.setattr(int8, "compare_speed", compare)


def fixed_agreement(monkeypatch: pytest.MonkeyPatch, right_after: int) -> None:
    def compare(before: Path, after: object, crops: object, formats: object, advance: object) -> list[Agreement]:
        engines = [EngineReport(name, "1", "cpu", "fp32+int8", 1) for name in int8.ENGINES]
        return [Agreement("drawn crops", engine, 20_000, 19_000, 18_000, right_after, 0, 18_000 - right_after) for engine in engines]

    monkeypatch.setattr(int8, "compare_readings", compare)


@pytest.mark.usefixtures("few_formats")
def test_reader_keeps_its_metadata_and_says_how_it_was_made(exported: dict[str, Exported], tmp_path: Path) -> None:
    lines: list[str] = []
    report = export_int8(exported["reader"].target, tmp_path / "r.int8.onnx", QUICK, lines.append)
    before, after = (open_network(path, engine="onnxruntime") for path in (exported["reader"].target, tmp_path / "r.int8.onnx"))
    assert after.report.precision == "fp32+int8"
    assert {key: after.metadata[key] for key in before.metadata} == before.metadata
    assert after.metadata["openplate.precision"] == "int8"
    said = json.loads(after.metadata["openplate.int8"])
    assert (said["layers"], said["first_convolutions_floating"]) == (10, 1)
    assert said["calibration"]["inputs"] == 3
    assert [speed["engine"] for speed in said["speeds"]] == ["onnxruntime", "openvino"]
    assert all(a.total == 4 for a in report.agreements)
    assert any(line.startswith("drawn crops, openvino") for line in lines)
    assert [p.name for p in tmp_path.iterdir()] == ["r.int8.onnx"]


def test_detector_is_int8_from_its_first_convolution_and_measured_on_drawn_scenes(
    exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "load_formats", lambda *_: RUSSIAN)
    source, target = exported["detector"].target, tmp_path / "d.int8.onnx"
    report = export_int8(source, target, replace(QUICK, keep=None, drawn=2))
    assert {a.on for a in report.agreements} == {"drawn scenes"}
    assert (report.kept, report.layers) == (0, sum(node.op_type == "Conv" for node in onnx.load(str(source)).graph.node))
    after = open_network(target, engine="openvino")
    assert "int8" in after.report.precision.split("+")
    assert (after.metadata["openplate.kind"], after.metadata["openplate.strides"]) == ("detector", "8 16 32 64")


@pytest.mark.usefixtures("few_formats")
def test_file_that_is_too_slow_is_not_written(exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed_speed(monkeypatch, 3.0)
    with pytest.raises(WeightsError, match=r"not written.*openvino is 3\.00 times as fast \(fp32 → fp32\+int8\), expected 4 times"):
        export_int8(exported["reader"].target, tmp_path / "r.onnx", replace(QUICK, any_speed=False))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("few_formats")
def test_engine_that_computes_in_floats_is_named(exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed_speed(monkeypatch, 9.0, "fp32")
    with pytest.raises(WeightsError, match="onnxruntime computes it in fp32, expected int8"):
        export_int8(exported["reader"].target, tmp_path / "r.onnx", QUICK)


@pytest.mark.usefixtures("few_formats")
@pytest.mark.parametrize(("right_after", "written"), [(17_990, True), (17_989, False)])
def test_ten_of_twenty_thousand_crops_may_be_lost(
    exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right_after: int, written: bool
) -> None:
    fixed_speed(monkeypatch, 5.0)
    fixed_agreement(monkeypatch, right_after)
    target = tmp_path / "r.onnx"
    target.write_bytes(b"old")
    settings = replace(QUICK, any_speed=False)
    if written:
        export_int8(exported["reader"].target, target, settings)
        assert target.read_bytes() != b"old"
    else:
        with pytest.raises(WeightsError, match=r"reads 0\.0[56] points fewer of the drawn plates, allowed are 0\.05"):
            export_int8(exported["reader"].target, target, settings)
        assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("r.onnx", b"old")]


def without_computing(monkeypatch: pytest.MonkeyPatch, right_on_data: int = 90) -> None:
    """The file stays as it is, is five times as fast, reads the drawn crops as before, and `right_on_data` of 99 plates where it was 90."""

    def on_data(kind: str, before: Path, file: Path, engines: object, data: object, formats: object) -> list[Agreement]:
        engine = EngineReport("openvino", "1", "cpu", "fp32+int8", 1)
        return [Agreement("data sets", engine, 99, 90, 90, right_on_data, 0, 90 - right_on_data)]

    monkeypatch.setattr(int8, "quantise", lambda model, *_, **__: model)
    monkeypatch.setattr(int8, "compare_on_data", on_data)
    fixed_speed(monkeypatch, 5.0)
    fixed_agreement(monkeypatch, 18_000)


@pytest.mark.usefixtures("few_formats")
@pytest.mark.parametrize(("right_after", "written"), [(88, True), (87, False)])
def test_two_plates_of_the_data_sets_may_be_lost(
    exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right_after: int, written: bool
) -> None:
    without_computing(monkeypatch, right_after)
    settings = replace(QUICK, drawn=None, data=(Dataset("streets", tmp_path, ()),))
    if written:
        report = export_int8(exported["reader"].target, tmp_path / "r.onnx", settings)
        assert (report.agreements[-1].lost, report.remarks) == (2, ())
    else:
        with pytest.raises(WeightsError, match="openvino loses 3 plates of the data sets, allowed are 2"):
            export_int8(exported["reader"].target, tmp_path / "r.onnx", settings)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("few_formats")
def test_gate_that_was_not_held_in_full_is_told_and_stored(exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_computing(monkeypatch)
    lines: list[str] = []
    report = export_int8(exported["reader"].target, tmp_path / "r.onnx", replace(QUICK, drawn=8000), lines.append)
    remarks = [
        "not measured on data sets, where at most 2 plates may be lost: name them with --data",
        "8,000 drawn crops; the gate's own number is 20,000",
    ]
    assert lines[-2:] == remarks
    assert report.as_text().splitlines()[-2:] == remarks
    said = json.loads(open_network(tmp_path / "r.onnx", engine="onnxruntime").metadata["openplate.int8"])
    assert said["remarks"] == remarks


def test_data_sets_without_a_plate_that_counts_are_no_measurement(tmp_path: Path) -> None:
    nothing = Agreement("data sets", EngineReport("openvino", "1", "cpu", "int8", 1), 0, 0, 0, 0, 0, 0)
    settings = Settings(data=(Dataset("streets", tmp_path, ()),))
    said = ("not measured on data sets, where at most 2 plates may be lost: they have no plate that counts",)
    assert unmeasured("reader", settings, [nothing]) == said
    assert unmeasured("reader", settings, [nothing, replace(nothing, total=1)]) == ()
    assert unmeasured("detector", replace(settings, drawn=400), [replace(nothing, total=1)]) == ()
    assert unmeasured("detector", replace(settings, drawn=399), [replace(nothing, total=1)]) == ("399 drawn scenes; the gate's own number is 400",)


@pytest.mark.usefixtures("few_formats")
def test_long_steps_are_told_on_stderr(
    exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_computing(monkeypatch)
    export_int8(exported["reader"].target, tmp_path / "r.onnx", QUICK, lambda line: print(line, file=sys.stderr))
    said = capsys.readouterr()
    assert said.out == ""
    order = ["drawing what calibrates", "quantising; 1 of the first convolutions stays floating point", "INT8 with 0 layers"]
    assert said.err.splitlines()[:3] == order


def small_set(folder: Path, *grey: int) -> Path:
    """A data set of pictures of one colour each."""
    folder.mkdir()
    with DatasetWriter(folder) as writer:
        for number, value in enumerate(grey):
            path = folder / f"{number}.png"
            write_image(path, np.full((20, 40, 3), value, np.uint8))
            writer.add(LabelledImage(path, 40, 20, (LabelledPlate("A1", "RU", None),)))
    return folder


def test_data_set_that_calibrates_and_measures_is_refused(exported: dict[str, Exported], tmp_path: Path) -> None:
    folder = small_set(tmp_path / "a", 10)
    other = small_set(tmp_path / "b", 20)
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    settings = Settings(photos=(other, linked), data=(load_dataset(folder),))
    with pytest.raises(ConfigError, match="linked: expected other data sets to measure on than to calibrate with"):
        export_int8(exported["reader"].target, tmp_path / "r.onnx", settings)
    assert not (tmp_path / "r.onnx").exists()


def test_picture_that_is_in_a_set_that_calibrates_and_in_one_that_measures_is_refused(tmp_path: Path) -> None:
    photos, data = small_set(tmp_path / "a", 10, 20, 30), small_set(tmp_path / "b", 40, 30, 20, 50)
    with pytest.raises(ConfigError, match=r"a.1\.png: .* is the same file as .*b.2\.png \(2 in all\)"):
        check_apart([photos], [load_dataset(data)])
    check_apart([photos], [load_dataset(small_set(tmp_path / "c", 60, 70))])


@pytest.mark.parametrize(("after", "written"), [(25, True), (26, False)])
def test_detector_may_give_five_detections_more_that_find_no_plate(
    exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, written: bool
) -> None:
    def on_data(kind: str, before: Path, file: Path, engines: object, data: object, formats: object) -> list[Agreement]:
        return [Agreement("data sets", EngineReport(name, "1", "cpu", "int8", 1), 99, 99, 90, 90, 0, 0, None, 20, after) for name in int8.ENGINES]

    monkeypatch.setattr(int8, "load_formats", lambda *_: RUSSIAN)
    monkeypatch.setattr(int8, "quantise", lambda model, *_, **__: model)
    fixed_speed(monkeypatch, 5.0)
    monkeypatch.setattr(int8, "compare_on_data", on_data)
    settings = replace(QUICK, drawn=1, data=(Dataset("streets", tmp_path, ()),))
    if written:
        assert export_int8(exported["detector"].target, tmp_path / "d.onnx", settings).agreements[-1].more_unmatched == 5
    else:
        with pytest.raises(WeightsError, match="openvino gives 6 detections more that find no plate of the data sets, allowed are 5"):
            export_int8(exported["detector"].target, tmp_path / "d.onnx", settings)


def test_other_kinds_and_quantised_files_are_refused(exported: dict[str, Exported], tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match="INT8 is for readers, detectors and end-to-end networks .* of openplate, this file's kind is 'straightener'"
    ):
        export_int8(exported["straightener"].target, tmp_path / "s.onnx")
    node = onnx.helper.make_node("DequantizeLinear", ["a", "b"], ["c"])
    model = onnx.load(str(exported["reader"].target))
    scale, whole = onnx.numpy_helper.from_array(np.float32(1), "b"), onnx.numpy_helper.from_array(np.int8(1), "a")
    model.graph.node.insert(0, node)
    model.graph.initializer.extend([scale, whole])
    onnx.save(model, str(tmp_path / "q.onnx"))
    with pytest.raises(WeightsError, match="this one is quantised already"):
        export_int8(tmp_path / "q.onnx", tmp_path / "qq.onnx")
    with pytest.raises(WeightsError, match="found no such file"):
        export_int8(tmp_path / "none.onnx", tmp_path / "n.onnx")


def test_limits_are_the_ones_that_the_documents_give() -> None:
    found = {kind: (a.points, a.plates, a.batch, a.onnxruntime, a.openvino, a.drawn, a.unmatched) for kind, a in LIMITS.items()}
    assert found == {
        "reader": (0.05, 2, 8, 2.0, 4.0, 20_000, 0),
        "detector": (0.5, 2, 1, 1.5, 1.2, 400, 5),
        "end-to-end": (0.5, 2, 1, 1.2, 1.2, 400, 5),
    }


def test_report_is_lines_for_people() -> None:
    assert Report(1, 10, 4_130_000, 2_560_000, (), ()).as_text() == ("INT8: 10 layers, 1 of the first convolutions in floating point; 4.13 → 2.56 MB")


@pytest.mark.usefixtures("few_formats")
def test_end_to_end_network_has_two_int8_files_beside_its_straightener(end_to_end: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    target = tmp_path / "plates.int8.onnx"
    report = export_int8(end_to_end, target, replace(QUICK, drawn=2), lines.append)
    names = ("plates.int8-reader.onnx", "plates.int8-straightener.onnx", "plates.int8.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == list(names)
    layers = [quantised_layers(onnx.load(str(tmp_path / name))) for name in names]
    assert min(layers[0], layers[2]) > 5 and layers[1] == 0 and report.layers == sum(layers)
    assert (tmp_path / names[1]).read_bytes() == part_beside(end_to_end, "straightener").read_bytes()
    assert {(a.on, a.engine.name) for a in report.agreements} >= {("drawn scenes", engine) for engine in int8.ENGINES}
    assert len(report.speeds) == 4 and sum(line.startswith("reading: ") for line in lines) == 2
    network = open_end_to_end(target, RUSSIAN)
    assert all("int8" in part.report.precision for part in (network.detector, network.reader))
    assert json.loads(network.detector.metadata["openplate.int8"])["layers"] == report.layers


@pytest.mark.usefixtures("few_formats")
def test_file_that_reads_worse_is_written_when_asked_for_and_says_so(
    exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_computing(monkeypatch)
    fixed_agreement(monkeypatch, 17_000)
    lines: list[str] = []
    settings = replace(QUICK, keep=(1, 2), any_speed=False, any_accuracy=True)
    report = export_int8(exported["reader"].target, tmp_path / "r.onnx", settings, lines.append)
    assert report.kept == 2  # the one with most in floating point
    remarks = [line for line in lines if line.startswith("less accurate than allowed: ")]
    assert len(remarks) == 2 and all("points fewer of the drawn plates, allowed are 0.05" in line for line in remarks)
    said = json.loads(open_network(tmp_path / "r.onnx").metadata["openplate.int8"])
    assert said["remarks"][:2] == remarks
    assert unmeasured("reader", replace(settings, data=(Dataset("street", tmp_path, ()),)), report.agreements)[0].endswith(
        ": the drawn plates ruled it out before"
    )
    slow = int8.slow
    monkeypatch.setattr(int8, "slow", lambda kind, source, made, *rest: ([], ["too slow"]) if "1" in made.parts else slow(kind, source, made, *rest))
    assert export_int8(exported["reader"].target, tmp_path / "first.onnx", settings).kept == 1  # the second is too slow as well
    fixed_speed(monkeypatch, 1.0)
    with pytest.raises(WeightsError, match="too slow"):  # speed is another matter
        export_int8(exported["reader"].target, tmp_path / "slow.onnx", settings)
    assert not list(tmp_path.glob("slow*"))


@pytest.mark.usefixtures("few_formats")
def test_part_of_an_end_to_end_network_that_gains_little_stays_in_floating_point(
    end_to_end: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare(before: Path, after: Path, engine: str, *inputs: object, precision: str = "fp32", runs: int = 40) -> Speed:
        reports = [EngineReport(engine, "1", "cpu", name, 1) for name in ("fp32", "fp32+int8")]
        return Speed(reports[0], reports[1], 1, gain if after.name == "reading" else 1.3, 1.0)

    gain = 1.19
    monkeypatch.setattr(int8, "compare_speed", compare)
    monkeypatch.setattr(int8, "disagreeing", lambda *_: ([], []))
    lines: list[str] = []
    settings = replace(QUICK, any_speed=False)
    export_int8(end_to_end, tmp_path / "p.onnx", settings, lines.append)
    assert part_beside(tmp_path / "p.onnx", "reader").read_bytes() == part_beside(end_to_end, "reader").read_bytes()
    assert quantised_layers(onnx.load(str(tmp_path / "p.onnx"))) > 5
    assert any(line.startswith("reading stays in floating point: onnxruntime is 1.19 times as fast") for line in lines)
    gain = 1.2
    export_int8(end_to_end, tmp_path / "p.onnx", settings)
    assert quantised_layers(onnx.load(str(part_beside(tmp_path / "p.onnx", "reader")))) > 5
    monkeypatch.setattr(int8, "slow", lambda *_: ([], ["too slow"]))
    with pytest.raises(WeightsError, match="with nothing in INT8 looking: too slow and reading: too slow"):
        export_int8(end_to_end, tmp_path / "q.onnx", settings)
    assert not list(tmp_path.glob("q*"))


@pytest.mark.usefixtures("few_formats")
def test_reading_alone_becomes_int8_where_both_lose_too_much(end_to_end: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[bool, bool]] = []

    def disagreeing(kind: str, source: Path, made: Path, *_: object) -> tuple[list[Agreement], list[str]]:
        tried.append(tuple(quantised_layers(onnx.load(str(path))) > 0 for path in (made, part_beside(made, "reader"))))  # type: ignore[arg-type]
        return [], ["loses too much"] if len(tried) == 1 else []

    monkeypatch.setattr(int8, "disagreeing", disagreeing)
    report = export_int8(end_to_end, tmp_path / "p.onnx", QUICK)
    assert tried == [(True, True), (False, True)]
    network = open_end_to_end(tmp_path / "p.onnx", RUSSIAN, engine="onnxruntime")
    assert [part.report.precision for part in (network.detector, network.reader)] == ["fp32", "fp32+int8"]
    assert ["openplate.precision" in part.metadata for part in (network.detector, network.reader)] == [False, True]
    assert len(report.speeds) == 2 and json.loads(network.detector.metadata["openplate.int8"])["layers"] == report.layers
    assert Pipeline(Options(model="end-to-end", detector=tmp_path / "p.onnx", engine="onnxruntime")).engine.precision == "fp32+int8"
    with pytest.raises(WeightsError, match=r"p\.onnx: expected a floating point network, this one is quantised already"):
        export_int8(tmp_path / "p.onnx", tmp_path / "q.onnx", QUICK)
    part_beside(tmp_path / "p.onnx", "reader").unlink()
    with pytest.raises(WeightsError, match=r"p-reader\.onnx: expected a network"):
        export_int8(tmp_path / "p.onnx", tmp_path / "q.onnx", QUICK)


def test_reader_of_an_end_to_end_network_is_not_quantised_by_itself(end_to_end: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"end-to-end networks \(their first file\) of openplate, this file's kind is 'end-to-end-reader'"):
        export_int8(part_beside(end_to_end, "reader"), tmp_path / "r.onnx", QUICK)
