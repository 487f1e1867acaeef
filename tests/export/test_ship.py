import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openplate import pipeline, weights
from openplate.charset import CHARACTERS
from openplate.end_to_end import PARTS, part_beside
from openplate.engine import open_joint_network, open_network
from openplate.errors import FormatError, WeightsError
from openplate.export import ship
from openplate.export.onnx import write_metadata
from openplate.export.ship import calibrate_reader, reference_inputs, ship_network
from openplate.formats import Format, load_formats, select
from openplate.pipeline import Options, Pipeline
from openplate.read.reader import Reader
from openplate.selftest import open_tested, selftest
from openplate.synthesize.crops import draw_crops
from tests.conftest import label
from tests.export.conftest import Exported

RUSSIAN = select(load_formats(), ["RU"])


@pytest.fixture
def few_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Russian plates are drawn and read: a decoder of one country is built faster."""
    monkeypatch.setattr(ship, "load_formats", lambda: RUSSIAN)
    monkeypatch.setattr(pipeline, "load_formats", lambda: RUSSIAN)


@pytest.mark.usefixtures("few_formats")
def test_calibration_is_stored_in_the_file_and_used(exported: dict[str, Exported], tmp_path: Path) -> None:
    path = tmp_path / "reader.onnx"
    shutil.copyfile(exported["reader"].target, path)
    mapping = calibrate_reader(path, crops=3)
    metadata = open_network(path).metadata
    assert mapping.readings == 3
    assert metadata["openplate.slope"] == f"{mapping.a:.6f}" and metadata["openplate.offset"] == f"{mapping.b:.6f}"
    # An untrained reader is never right: what it says is lowered.
    crop = np.zeros((48, 192), np.uint8)
    before, after = (Reader(p, RUSSIAN)([crop]).confidence for p in (exported["reader"].target, path))
    assert after < before or before < 1e-6
    # A second calibration starts from the raw confidences again.
    assert calibrate_reader(path, crops=3) == mapping


@pytest.mark.usefixtures("few_formats")
def test_calibration_uses_the_held_out_fifth_of_photos(exported: dict[str, Exported], tmp_path: Path, make_dataset: Callable[..., Path]) -> None:
    path = tmp_path / "reader.onnx"
    shutil.copyfile(exported["reader"].target, path)
    folder = make_dataset(*[[label(f"A{i}", None)] for i in range(6)])
    assert calibrate_reader(path, [folder], crops=3).readings == 3 + 2


def further_formats(folder: Path) -> Path:
    """A folder with the format of one country that the package does not have: four digits."""
    folder.mkdir()
    row = '[{ baseline_mm = 95, fields = [{ text = "{d*4}", height_mm = 80, width_mm = 47, pitch_mm = 55 }] }]'
    lines = ['country = "XY"', 'name = "Somewhere"', 'characters = "가"', "", "[[types]]", 'id = "car"', 'title = "cars"', "weight = 1.0"]
    lines += ["size_mm = [520, 110]", 'colours = [["#ffffff", "#101010"]]', 'glyphs = "din"', f"rows = {row}"]
    (folder / "xy.toml").write_text("\n".join(lines), encoding="utf8")
    return folder


def test_reader_of_further_formats_is_calibrated_on_their_plates_and_reads_them(
    exported: dict[str, Exported], tmp_path: Path, make_dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, formats = tmp_path / "reader.onnx", further_formats(tmp_path / "formats")
    shutil.copyfile(exported["reader"].target, path)
    summary = json.dumps({"countries": ["XY", "RU"], "formats": ["formats"]})
    write_metadata(path, {"training": summary, "characters": CHARACTERS[:-1] + "가"})
    before = path.read_bytes()
    with pytest.raises(FormatError, match="trained on further formats, those of formats; name their folder with --formats"):
        calibrate_reader(path, crops=3)
    assert path.read_bytes() == before
    drawn: list[tuple[str, ...]] = []
    read: list[tuple[str, ...]] = []

    def draw(formats: tuple[Format, ...], *arguments: object) -> object:
        drawn.append(tuple(f.code for f in formats))
        return draw_crops(select(formats, ["RU"]), *arguments)  # type: ignore[arg-type]

    def make_pipeline(options: Options) -> Pipeline:
        read.append(tuple(options.formats))
        return Pipeline(options)

    monkeypatch.setattr(ship, "draw_crops", draw)
    monkeypatch.setattr(ship, "Pipeline", make_pipeline)
    photos = make_dataset([label("가123", None)])  # the first is held out, and of a character that only this reader has
    assert calibrate_reader(path, [photos], 3, [formats]).readings == 3 + 1
    assert drawn == [("XY", "RU")] * 3
    assert read == [(str(formats),)]


@pytest.mark.usefixtures("few_formats")
def test_calibration_says_on_stderr_what_it_does(
    exported: dict[str, Exported], tmp_path: Path, make_dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "reader.onnx"
    shutil.copyfile(exported["reader"].target, path)
    calibrate_reader(path, [make_dataset([label("A1", None)])], crops=3)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["calibrating on drawn plates", "calibrating on photos"]


def test_calibrating_what_is_no_reader_gives_error_and_leaves_the_file(exported: dict[str, Exported], tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    shutil.copyfile(exported["straightener"].target, path)
    with pytest.raises(WeightsError, match="expected a reader of openplate, got kind 'straightener'"):
        calibrate_reader(path, crops=1)
    assert path.read_bytes() == exported["straightener"].target.read_bytes()
    with pytest.raises(WeightsError, match="found no such file"):
        calibrate_reader(tmp_path / "none.onnx", crops=1)


def test_shipped_networks_get_checksums_and_reference_outputs(
    exported: dict[str, Exported], end_to_end: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    assert ship_network(exported["detector"].target) == tmp_path / "detector.onnx"
    assert sorted(weights.checksums()) == ["detector.onnx"]  # the others are not there yet, so there is no reference
    for kind in ("reader", "straightener"):
        ship_network(exported[kind].target)
    assert ship_network(end_to_end) == tmp_path / "end-to-end.onnx"
    assert "secret" not in open_network(tmp_path / "end-to-end.onnx").metadata["openplate.training"]
    for part in PARTS:
        assert (tmp_path / f"end-to-end-{part}.onnx").read_bytes() == part_beside(end_to_end, part).read_bytes()
    assert weights.verify() == []
    networks = {name: open_tested(name, precision="fp32") for name in weights.NETWORKS}
    assert [(row.network, row.passed, row.agreement) for row in selftest(networks)] == [(name, True, 1.0) for name in weights.NETWORKS]


def test_end_to_end_network_is_not_shipped_without_its_other_files(end_to_end: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "weights")
    (tmp_path / "weights").mkdir()
    shutil.copyfile(end_to_end, tmp_path / "plates.onnx")
    shutil.copyfile(part_beside(end_to_end, "straightener"), tmp_path / "plates-straightener.onnx")
    with pytest.raises(WeightsError, match=r"plates-reader\.onnx: expected a network"):
        ship_network(tmp_path / "plates.onnx")
    assert not list((tmp_path / "weights").iterdir())


@pytest.mark.usefixtures("few_formats")
def test_end_to_end_network_is_calibrated_in_its_reader(end_to_end: Path, tmp_path: Path) -> None:
    path = tmp_path / "plates.onnx"
    shutil.copyfile(end_to_end, path)
    for part in PARTS:
        shutil.copyfile(part_beside(end_to_end, part), part_beside(path, part))
    mapping = calibrate_reader(path, crops=6)
    assert mapping.readings == 6
    assert path.read_bytes() == end_to_end.read_bytes()
    assert open_joint_network(part_beside(path, "reader"), 4).metadata["openplate.slope"] == f"{mapping.a:.6f}"


def test_file_of_another_kind_is_not_shipped(exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "weights")
    path = tmp_path / "net.onnx"
    shutil.copyfile(exported["straightener"].target, path)
    write_metadata(path, {"kind": "tracker"})
    with pytest.raises(WeightsError, match="expected a network of kind detector, straightener, reader, end-to-end, got 'tracker'"):
        ship_network(path)
    assert not (tmp_path / "weights").exists()


def test_reference_inputs_are_the_same_each_time() -> None:
    first, again = reference_inputs(), reference_inputs()
    assert {name: value.shape for name, value in first.items()} == {
        "detector": (1, 256, 384, 3),
        "straightener": (1, 48, 128),
        "reader": (1, 48, 192),
        "end-to-end": (1, 128, 192, 3),
    }
    assert all(np.array_equal(first[name], again[name]) for name in first)
