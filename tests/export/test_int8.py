import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from openplate.dataset import Dataset
from openplate.engine import open_network
from openplate.errors import FormatError, WeightsError
from openplate.export import int8
from openplate.export.agreement import Agreement, Speed
from openplate.export.int8 import LIMITS, Report, Settings, export_int8, training_formats
from openplate.export.onnx import write_metadata
from openplate.formats import load_formats, select
from openplate.types import EngineReport
from tests.export.conftest import Exported

RUSSIAN = select(load_formats(), ["RU"])
QUICK = Settings(keep=(1,), calibration=3, drawn=4, any_speed=True)


@pytest.fixture
def few_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Russian plates are drawn and read: a decoder of one country is built faster."""
    monkeypatch.setattr(int8, "load_formats", lambda *_: RUSSIAN)


def fixed_speed(monkeypatch: pytest.MonkeyPatch, ratio: float, precision: str = "fp32+int8") -> None:
    def compare(before: Path, after: Path, engine: str, batch: object, *, precision: str = "fp32", runs: int = 40) -> Speed:
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


@pytest.mark.parametrize(("after", "written"), [(25, True), (26, False)])
def test_detector_may_give_five_detections_more_that_find_no_plate(
    exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, written: bool
) -> None:
    def on_data(kind: str, before: Path, file: Path, engines: object, data: object, formats: object) -> list[Agreement]:
        return [Agreement("data sets", EngineReport(name, "1", "cpu", "int8", 1), 99, 99, 90, 90, 0, 0, None, 20, after) for name in int8.ENGINES]

    monkeypatch.setattr(int8, "load_formats", lambda *_: RUSSIAN)
    monkeypatch.setattr(int8, "compare_on_data", on_data)
    settings = replace(QUICK, drawn=1, data=(Dataset("streets", tmp_path, ()),))
    if written:
        assert export_int8(exported["detector"].target, tmp_path / "d.onnx", settings).agreements[-1].more_unmatched == 5
    else:
        with pytest.raises(WeightsError, match="openvino gives 6 detections more that find no plate of the data sets, allowed are 5"):
            export_int8(exported["detector"].target, tmp_path / "d.onnx", settings)


def test_other_kinds_and_quantised_files_are_refused(exported: dict[str, Exported], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="INT8 is for readers and detectors of openplate, this file's kind is 'straightener'"):
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


def test_formats_are_those_that_the_file_was_trained_on(exported: dict[str, Exported], tmp_path: Path) -> None:
    known = load_formats()
    path = tmp_path / "r.onnx"
    path.write_bytes(exported["detector"].target.read_bytes())
    assert training_formats(path, known) == known  # it says nothing
    write_metadata(path, {"training": json.dumps({"countries": ["ru", "kz"]})})
    assert [f.code for f in training_formats(path, known)] == ["RU", "KZ"]
    write_metadata(path, {"training": json.dumps({"countries": ["xx"]})})
    with pytest.raises(FormatError, match="name their folder with --formats"):
        training_formats(path, known)


def test_limits_are_the_ones_that_the_documents_give() -> None:
    reader = LIMITS["reader"]
    assert (reader.points, reader.plates, reader.batch, reader.onnxruntime, reader.openvino, reader.drawn) == (0.05, 2, 8, 2.0, 4.0, 20_000)


def test_report_is_lines_for_people() -> None:
    assert Report(1, 10, 4_130_000, 2_560_000, (), ()).as_text() == ("INT8: 10 layers, 1 of the first convolutions in floating point; 4.13 → 2.56 MB")
