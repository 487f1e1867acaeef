import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from openplate.cli import bench as command
from openplate.cli import main
from openplate.evaluate.bench import Case, Outcome, Setup
from openplate.sources import read_image, write_image
from tests.networks import grey_reader


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, ["bench", *[str(argument) for argument in arguments]])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Setup, Case]]:
    """What the pipeline would have been measured on, one after the other; nothing is measured."""
    seen: list[tuple[Setup, Case]] = []

    def measure(wanted: list[Setup], cases: list[Case], *, runs: int, warm_up: int) -> list[Outcome]:
        seen.extend((setup, case) for case in cases for setup in wanted)
        return [Outcome(case.name, setup, None, None) for case in cases for setup in wanted]

    monkeypatch.setattr(command, "measure", measure)
    return seen


def test_first_drawn_street_has_exactly_one_plate_in_full_hd(asked: list[tuple[Setup, Case]], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, int]] = []
    drawn = command.draw_cases

    def draw(folder: Path) -> list[Case]:
        cases = drawn(folder)
        (photo,) = cases[0].photos
        height, width = read_image(photo)[0].image.shape[:2]
        shown.append((photo.suffix, width * 10_000 + height))
        return cases

    monkeypatch.setattr(command, "draw_cases", draw)
    result = run()
    assert result.exit_code == 0
    assert shown == [(".jpg", 19_201_080)]
    assert [case.name for _, case in asked] == ["drawn street, 1 plate", "drawn street, 3 plates"]
    assert result.stdout.splitlines()[1].startswith("drawn street, 1 plate ")


def test_photos_that_are_named_are_one_case(asked: list[tuple[Setup, Case]], tmp_path: Path) -> None:
    photos = [tmp_path / "a.png", tmp_path / "b.png"]
    for photo in photos:
        write_image(photo, np.zeros((16, 16, 3), np.uint8))
    result = run(*photos, "--engine", "openvino", "--engine", "onnxruntime", "--batch", "2", "--json")
    assert [case for _, case in asked] == [Case("2 photos", tuple(photos))] * 2
    assert [(setup.engine, setup.batch) for setup, _ in asked] == [("openvino", 2), ("onnxruntime", 2)]
    assert [row["case"] for row in json.loads(result.stdout)["setups"]] == ["2 photos"] * 2
    assert result.stderr.splitlines() == [
        "measuring 1 of 2: 2 photos, openvino, auto, 1 thread, batch 2",
        "measuring 2 of 2: 2 photos, onnxruntime, auto, 1 thread, batch 2",
    ]
    asked.clear()
    run(photos[0])
    assert [case for _, case in asked] == [Case("a.png", (photos[0],))]


def test_checkpoint_is_no_network_and_no_photo(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"PK")
    result = run(tmp_path / "best.pt")
    assert (
        result.exit_code == 2 and "best.pt: expected a network (.onnx) or photos, got a checkpoint; export it with openplate export" in result.stderr
    )


def test_setup_is_told_before_it_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    def measure(wanted: list[Setup], cases: list[Case], *, runs: int, warm_up: int) -> list[Outcome]:
        said.append(capsys.readouterr().err)
        return [Outcome(cases[0].name, wanted[0], None, None)]

    write_image(tmp_path / "a.png", np.zeros((16, 16, 3), np.uint8))
    monkeypatch.setattr(command, "measure", measure)
    command.bench.main([str(tmp_path / "a.png"), "--threads", "1", "--threads", "2"], standalone_mode=False)
    assert said == ["measuring 1 of 2: a.png, auto, auto, 1 thread, batch 1\n", "measuring 2 of 2: a.png, auto, auto, 2 threads, batch 1\n"]


def test_network_is_measured_and_stored(tmp_path: Path) -> None:
    network = grey_reader(tmp_path / "tiny.onnx")
    arguments = ("--engine", "onnxruntime", "--batch", "1", "--batch", "2", "--runs", "2", "--warm-up", "0")
    result = run(network, *arguments, "--json", "--store", tmp_path / "tiny.json", "--name", "grey")
    assert result.exit_code == 0, result.output
    setups = json.loads(result.stdout)["setups"]
    assert [s["measurement"]["shape"] for s in setups] == [[1, 48, 192], [2, 48, 192]]
    assert result.stderr.splitlines() == [
        "measuring 1 of 2: tiny.onnx, onnxruntime, auto, 1 thread, batch 1",
        "measuring 2 of 2: tiny.onnx, onnxruntime, auto, 1 thread, batch 2",
        f"stored: {tmp_path / 'tiny.json'}",
    ]
    stored = json.loads((tmp_path / "tiny.json").read_text(encoding="utf8"))
    assert stored["network"]["name"] == "grey"
    assert [s["batch"] for s in stored["speeds"]] == [1, 2]


def test_engine_that_is_not_there_is_a_row_and_exit_1(tmp_path: Path) -> None:
    result = run(grey_reader(tmp_path / "tiny.onnx"), "--engine", "steam", "--runs", "1")
    assert result.exit_code == 1
    assert "not measured: engine 'steam' is not known" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tiny.onnx", "photo.png"), "got both"),
        (("photo.png", "--store", "x.json"), "expected one MODEL.onnx"),
        (("tiny.onnx", "--size", "big"), "expected WIDTHxHEIGHT"),
        (("photo.png", "--size", "64x64"), "--size belongs to a MODEL.onnx"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str) -> None:
    monkeypatch.chdir(tmp_path)
    grey_reader(tmp_path / "tiny.onnx")
    write_image(tmp_path / "photo.png", np.zeros((16, 16, 3), np.uint8))
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
