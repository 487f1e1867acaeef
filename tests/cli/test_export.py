from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from openplate import weights
from openplate.cli import main
from openplate.engine import open_network
from openplate.evaluate.calibrate import Mapping
from openplate.export import ship
from tests.conftest import label
from tests.export.conftest import write_checkpoint
from tests.networks import constant_network


def test_checkpoint_is_exported_beside_itself_and_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "weights")
    (tmp_path / "weights").mkdir()
    checkpoint = write_checkpoint(tmp_path, "straightener")
    result = CliRunner().invoke(main, ["export", str(checkpoint), "--ship"])
    shipped = tmp_path / "weights" / "straightener.onnx"
    assert (result.exit_code, result.stdout) == (0, f"{shipped}\n")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["onnxruntime", "openvino"]
    assert (tmp_path / "straightener.onnx").read_bytes() == shipped.read_bytes()
    assert weights.checksums() == {"straightener.onnx": weights.sha256(shipped)}


@pytest.mark.parametrize("int8", [(), ("--int8",)])
def test_place_that_cannot_be_written_is_one_line(tmp_path: Path, int8: tuple[str, ...]) -> None:
    checkpoint = write_checkpoint(tmp_path, "reader")
    taken = tmp_path / "taken"
    taken.write_text("a file")
    result = CliRunner().invoke(main, ["export", str(checkpoint), "--out", str(taken / "reader.onnx"), *int8])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert f"{taken / 'reader.onnx'}: cannot be written: file exists ({taken}); make room" in line and line.endswith("--out")


def test_exported_file_is_shipped_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "weights")
    (tmp_path / "weights").mkdir()
    file = tmp_path / "best.int8.onnx"
    constant_network(file, ("n", "h", "w", 3), [[0.0] * 9], {"openplate.kind": "detector"})
    result = CliRunner().invoke(main, ["export", str(file), "--ship"])
    shipped = tmp_path / "weights" / "detector.onnx"
    assert (result.exit_code, result.stdout) == (0, f"{shipped}\n")
    assert shipped.read_bytes() == file.read_bytes()


def test_reader_is_calibrated_on_the_photos_and_formats_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    target = tmp_path / "out" / "net.onnx"

    def calibrate(path: Path, photos: tuple[Path, ...], *, formats: tuple[Path, ...]) -> Mapping:
        asked.extend([path.name, photos, formats, target.exists()])
        return Mapping(1.5, -0.5, 40, 0.1, 0.02)

    monkeypatch.setattr(ship, "calibrate_reader", calibrate)
    arguments = ["export", str(write_checkpoint(tmp_path, "straightener")), "--out", str(target), "--calibrate", "--photos", str(tmp_path)]
    arguments += ["--formats", str(tmp_path / "formats")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    assert asked == ["net.onnx", (tmp_path,), (tmp_path / "formats",), False]  # the file appears when it is calibrated
    assert [path.name for path in target.parent.iterdir()] == ["net.onnx"]
    assert result.stderr.splitlines()[-1] == "calibrated on 40 readings: expected error 0.1000 → 0.0200"
    assert open_network(target).metadata["openplate.kind"] == "straightener"


def test_reader_that_is_not_calibrated_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["export", str(write_checkpoint(tmp_path, "reader"))])
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == "its confidences are as the network gives them: --calibrate makes probabilities of them"


def test_photos_that_nothing_would_use_are_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["export", str(write_checkpoint(tmp_path, "reader")), "--photos", str(tmp_path)])
    assert result.exit_code == 2
    assert "--photos belongs to --calibrate or --int8" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["reader.pt"]


def test_file_that_is_no_checkpoint_is_one_line_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_text("hello")
    result = CliRunner().invoke(main, ["export", str(tmp_path / "bad.pt")])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "bad.pt: expected a checkpoint of openplate train" in result.stderr
    assert not (tmp_path / "bad.onnx").exists()


def test_int8_of_a_network_file_is_asked_for_with_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from openplate.export import int8

    asked: list[object] = []
    monkeypatch.setattr(
        int8,
        "export_int8",
        lambda source, target, settings, say: asked.append((source, target, settings.drawn, settings.any_speed, settings.any_accuracy)),
    )
    result = CliRunner().invoke(main, ["export", str(tmp_path / "reader.onnx"), "--int8", "--drawn", "500", "--any-speed"])
    target = tmp_path / "reader.int8.onnx"
    assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    assert asked == [(tmp_path / "reader.onnx", target, 500, True, False)]


def test_checkpoint_whose_int8_file_fails_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from openplate.errors import WeightsError
    from openplate.export import int8

    def refuse(*_: object) -> None:
        raise WeightsError("not written, openvino is 3.10 times as fast, expected 4 times")

    monkeypatch.setattr(int8, "export_int8", refuse)
    result = CliRunner().invoke(main, ["export", str(write_checkpoint(tmp_path, "detector")), "--int8"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "openvino is 3.10 times as fast, expected 4 times" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["detector.pt"]


def test_data_set_that_calibrates_and_measures_is_refused_before_anything_is_done(tmp_path: Path, make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([label("A123BC77")])
    checkpoint = write_checkpoint(tmp_path, "reader")
    result = CliRunner().invoke(main, ["export", str(checkpoint), "--calibrate", "--int8", "--photos", str(folder), "--data", str(folder)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"Error: {folder}: expected other data sets to measure on than to calibrate with, this one is in both --photos and --data"
    ]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["reader.onnx"], "of an .onnx file only --int8 can be made"),
        (["best.pt", "--int8", "--ship"], "--ship is for the floating point file"),
        (["reader.onnx", "--ship", "--calibrate"], "leave --out and --calibrate out"),
    ],
)
def test_options_that_do_not_go_together_are_a_usage_error(arguments: list[str], fault: str) -> None:
    result = CliRunner().invoke(main, ["export", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert fault in result.stderr
