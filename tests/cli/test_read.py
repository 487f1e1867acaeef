from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import openplate.pipeline
from openplate.cli import main
from openplate.cli.read import Pictures, printer, read_all
from openplate.errors import EngineError
from openplate.geometry import box_to_quad
from openplate.pipeline import Options, Pipeline
from openplate.results import CSV_HEADER, photo_as_json
from openplate.sources import encode_image, read_image
from openplate.types import Candidate, Detection, EngineReport, Frame, Milliseconds, PhotoResult, Plate, Reading

ENGINE = EngineReport("fake", "1", "CPU", "fp32", 1)


class FakePipeline:
    """Finds one plate in every image that is wider than 70 px; its text tells the image's brightness, so that results are told apart."""

    made: list[Options]
    on_frame: Callable[[Frame], None]

    def __init__(self, options: Options | None = None) -> None:
        options = options or Options()
        self.made.append(options)
        if options.engine == "missing":
            raise EngineError("engine: expected auto, openvino or onnxruntime, got 'missing'")

    def read_frame(self, frame: Frame, decode_ms: float = 0.0) -> PhotoResult:
        type(self).on_frame(frame)
        height, width = frame.image.shape[:2]
        plates = () if width <= 70 else (plate(f"A{frame.image[0, 0, 0]:03}AA77", box_to_quad(20, 20, 60, 30)),)
        return PhotoResult(frame.source, width, height, plates, ENGINE, Milliseconds(decode_ms, 1, 2, 3))

    def read_cropped(self, frame: Frame, decode_ms: float = 0.0) -> PhotoResult:
        height, width = frame.image.shape[:2]
        whole = plate("CROPPED", box_to_quad(0, 0, width, height))
        return PhotoResult(frame.source, width, height, (whole,), ENGINE, Milliseconds(decode_ms, 0, 2, 3))


def plate(text: str, quad: Any) -> Plate:
    reading = Reading(text, 0.97, (), (Candidate(text, 0.97, "RU/type1"),), "RU", "RU/type1", 1)
    return Plate("read", text, None, Detection(quad, 0.9), reading)


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakePipeline]:
    monkeypatch.setattr(FakePipeline, "made", [], raising=False)
    monkeypatch.setattr(FakePipeline, "on_frame", lambda _: None, raising=False)
    monkeypatch.setattr(openplate.pipeline, "Pipeline", FakePipeline)
    return FakePipeline


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `in/a.png` and `in/sub/b.png` (a plate each) and `in/c.png` (none)."""
    for name, width, level in (("in/a.png", 100, 101), ("in/c.png", 64, 103), ("in/sub/b.png", 100, 102)):
        save(tmp_path / name, width, level)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(path: Path, width: int, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_image(np.full((48, width, 3), level, np.uint8), path.suffix))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["read", *arguments])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_default_prints_a_table_with_a_line_a_plate(folder: Path) -> None:
    result = run("in")
    assert result.exit_code == 0
    assert result.stderr == ""
    header, first, second, third = result.stdout.splitlines()
    assert header.startswith("TEXT")
    assert first.split() == ["A101AA77", "97.0", "%", "RU", "RU/type1", "in/a.png"]
    assert second.endswith("in/c.png  (no plate found)")
    assert third.startswith("A102AA77")


def test_json_prints_one_array(folder: Path) -> None:
    result = run("in", "--json")
    photos = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [photo["image"] for photo in photos] == ["in/a.png", "in/c.png", "in/sub/b.png"]
    assert [len(photo["plates"]) for photo in photos] == [1, 0, 1]
    assert photos[0]["milliseconds"]["decode"] > 0
    frame = read_image("in/a.png")[0]
    expected = photo_as_json(FakePipeline().read_frame(frame))
    assert {**photos[0], "milliseconds": None} == {**expected, "milliseconds": None}


def test_jsonl_prints_a_line_as_soon_as_an_image_is_read(folder: Path, fake: type[FakePipeline], monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = io.StringIO()
    printed: list[int] = []
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(fake, "on_frame", lambda _: printed.append(stdout.getvalue().count("\n")))
    paths = [Path("in/a.png"), Path("in/c.png"), Path("in/sub/b.png")]
    assert read_all(fake(), paths, printer("jsonl"), Pictures(None, None, None), cropped=False) == 0
    assert printed == [0, 1, 2]
    assert [json.loads(line)["image"] for line in stdout.getvalue().splitlines()] == [str(path) for path in paths]


def test_csv_prints_a_header_and_a_row_a_plate(folder: Path) -> None:
    save(folder / 'in/odd, "name".png', 100, 110)
    rows = list(csv.reader(io.StringIO(run("in", "--csv").stdout)))
    assert rows[0] == list(CSV_HEADER)
    assert [row[0] for row in rows[1:]] == ["in/a.png", 'in/odd, "name".png', "in/sub/b.png"]
    assert [row[2] for row in rows[1:]] == ["A101AA77", "A110AA77", "A102AA77"]


def test_bad_inputs_are_named_in_a_line_each_and_the_rest_is_read(folder: Path) -> None:
    (folder / "in/b1.jpg").write_text("text")
    (folder / "in/b2.jpg").touch()
    (folder / "none").mkdir()
    result = run("missing.jpg", "in", "none", "in/a.png", "--jsonl")
    assert result.exit_code == 1
    assert [json.loads(line)["image"] for line in result.stdout.splitlines()] == ["in/a.png", "in/c.png", "in/sub/b.png", "in/a.png"]
    faults = result.stderr.splitlines()
    assert [fault.split(":")[:2] for fault in faults] == [["error", f" {name}"] for name in ("missing.jpg", "in/b1.jpg", "in/b2.jpg", "none")]


@pytest.mark.parametrize(("option", "expected"), [("--json", "[]\n"), ("--jsonl", ""), ("--csv", ",".join(CSV_HEADER) + "\n")])
def test_only_bad_inputs_give_a_well_formed_empty_output(folder: Path, option: str, expected: str) -> None:
    result = run("missing.jpg", option)
    assert (result.exit_code, result.stdout) == (1, expected)


def test_damaged_picture_leaves_one_line_on_the_real_stderr(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiff = encode_image(np.random.default_rng(1).integers(0, 256, (48, 100, 3), dtype=np.uint8), ".tif")
    (folder / "cut.tif").write_bytes(tiff[: len(tiff) // 2] + tiff[-200:])
    result = run("cut.tif")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: cut.tif: expected a whole TIFF picture")
    assert capfd.readouterr().err == ""


def test_jpeg_damaged_in_the_middle_is_read_and_named_in_one_line(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    noise = cv2.resize(np.random.default_rng(1).integers(0, 256, (12, 25, 3), dtype=np.uint8), (200, 96))
    jpeg = encode_image(noise, ".jpg")
    (folder / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2] + jpeg[-2:])  # the last two bytes are the end marker
    (folder / "padded.jpg").write_bytes(jpeg[:-2] + bytes(7) + jpeg[-2:])
    result = run("half.jpg", "padded.jpg", "--jsonl")
    assert result.exit_code == 1
    assert [json.loads(line)["image"] for line in result.stdout.splitlines()] == ["half.jpg", "padded.jpg"]
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: half.jpg: expected a whole JPEG picture, got a damaged one (Corrupt JPEG data: premature end of data segment); ")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("option", "plates"), [("--json", 1), ("--csv", 1), ("--jsonl", 1)])
def test_ctrl_c_prints_what_was_done_and_ends_with_130(
    folder: Path, fake: type[FakePipeline], monkeypatch: pytest.MonkeyPatch, option: str, plates: int
) -> None:
    def interrupt(frame: Frame) -> None:
        if frame.source == "in/c.png":
            raise KeyboardInterrupt

    monkeypatch.setattr(fake, "on_frame", interrupt)
    result = run("in", option)
    assert result.exit_code == 130
    assert result.stderr == "stopped after 1 of 3\n"
    assert result.stdout.count("in/a.png") == plates
    if option == "--json":
        assert [photo["image"] for photo in json.loads(result.stdout)] == ["in/a.png"]


def test_frames_of_one_file_are_numbered(folder: Path) -> None:
    pages = [np.full((48, 100, 3), level, np.uint8) for level in (50, 60)]
    assert cv2.imwritemulti("scan.tif", pages)
    photos = json.loads(run("scan.tif", "--json", "--annotate", "out").stdout)
    assert [photo["image"] for photo in photos] == ["scan.tif", "scan.tif#2"]
    assert [photo["plates"][0]["text"] for photo in photos] == ["A050AA77", "A060AA77"]
    assert names(folder / "out") == ["scan.annotated.jpg", "scan.frame2.annotated.jpg"]


def test_frames_of_one_file_share_a_number(folder: Path) -> None:
    save(folder / "in/m.png", 100, 40)
    pages = [np.full((48, 100, 3), level, np.uint8) for level in (50, 60)]
    assert cv2.imwritemulti("in/m.tif", pages)
    assert run("in/m.png", "in/m.tif", "--crops", "out").exit_code == 0
    assert names(folder / "out") == ["m-2.frame2.plate1.png", "m-2.plate1.png", "m.plate1.png"]
    levels = [int(read_image(folder / "out" / name)[0].image[0, 0, 0]) for name in names(folder / "out")]
    assert levels == [60, 50, 40]


def test_frame_whose_name_another_file_took_moves_its_whole_file(folder: Path) -> None:
    save(folder / "in/m.frame2.png", 100, 40)
    assert cv2.imwritemulti("in/m.tif", [np.full((48, 100, 3), level, np.uint8) for level in (50, 60)])
    assert run("in/m.frame2.png", "in/m.tif", "--crops", "out").exit_code == 0
    assert names(folder / "out") == ["m-2.frame2.plate1.png", "m-2.plate1.png", "m.frame2.plate1.png"]


def test_cropped_reads_the_whole_picture_as_a_plate(folder: Path) -> None:
    (photo,) = json.loads(run("in/c.png", "--cropped", "--json").stdout)
    assert photo["plates"][0]["text"] == "CROPPED"
    assert photo["plates"][0]["quad"] == [[0, 0], [64, 0], [64, 48], [0, 48]]


def test_saved_pictures_have_their_names_and_contents(folder: Path) -> None:
    assert run("in", "--annotate", "marked", "--blur", "private", "--crops", "cut/out").exit_code == 0
    assert names(folder / "marked") == ["a.annotated.jpg", "b.annotated.jpg", "c.annotated.jpg"]
    assert names(folder / "private") == ["a.blurred.jpg", "b.blurred.jpg", "c.blurred.jpg"]
    assert names(folder / "cut/out") == ["a.plate1.png", "b.plate1.png"]
    crop = read_image(folder / "cut/out/b.plate1.png")[0].image
    assert crop.shape == (12, 43, 3)  # 40 × 10 px with 4 % and 10 % on each side
    assert (crop == 102).all()
    marked = read_image(folder / "marked/a.annotated.jpg")[0].image
    assert np.abs(marked.astype(int) - 101).max() > 60
    unmarked = read_image(folder / "marked/c.annotated.jpg")[0].image
    assert np.abs(unmarked.astype(int) - 103).max() < 3


def test_equal_names_from_different_folders_do_not_collide(folder: Path) -> None:
    for i, name in enumerate(("x/p.png", "y/p.png", "y/P.jpg", "z/p-2.png")):
        save(folder / name, 100, 120 + i)
    assert run("x", "y", "z", "--crops", "out", "--annotate", "out").exit_code == 0
    stems = ["P-2", "p", "p-2-2", "p-3"]
    assert names(folder / "out") == sorted(f"{stem}.{end}" for stem in stems for end in ("annotated.jpg", "plate1.png"))
    assert read_image(folder / "out/p.plate1.png")[0].image[0, 0, 0] == 120
    assert read_image(folder / "out/p-3.plate1.png")[0].image[0, 0, 0] == 121


def test_no_input_is_written_over(folder: Path) -> None:
    save(folder / "in/a.annotated.jpg", 100, 30)
    before = (folder / "in/a.annotated.jpg").read_bytes()
    assert run("in/a.png", "in/a.annotated.jpg", "--annotate", "in").exit_code == 0
    assert (folder / "in/a.annotated.jpg").read_bytes() == before
    assert {"a-2.annotated.jpg", "a.annotated.annotated.jpg"} <= set(names(folder / "in"))


def test_picture_that_cannot_be_saved_is_named_and_its_result_is_printed(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "a.annotated.jpg").mkdir()
    result = run("in/a.png", "in/c.png", "--annotate", "out", "--jsonl")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr.startswith("error: out/a.annotated.jpg: cannot be written: ")
    assert names(folder / "out") == ["a.annotated.jpg", "c.annotated.jpg"]


def test_input_behind_a_link_is_not_written_over(folder: Path) -> None:
    save(folder / "out/a.plate1.png", 100, 30)
    (folder / "link.png").symlink_to(folder / "out/a.plate1.png")
    assert run("in/a.png", "link.png", "--crops", "out").exit_code == 0
    assert read_image("link.png")[0].image[0, 0, 0] == 30
    assert names(folder / "out") == ["a-2.plate1.png", "a.plate1.png", "link.plate1.png"]


def test_picture_is_saved_before_its_result_is_printed(folder: Path) -> None:
    class Gone:
        def add(self, result: PhotoResult) -> None:
            raise BrokenPipeError

        def close(self) -> None:
            pass

    with pytest.raises(BrokenPipeError):
        read_all(FakePipeline(), [Path("in/a.png")], Gone(), Pictures(None, None, Path("out")), cropped=False)
    assert names(folder / "out") == ["a.blurred.jpg"]


def test_no_option_leaves_every_default(folder: Path, fake: type[FakePipeline]) -> None:
    run("in/a.png")
    assert fake.made == [Options()]


def test_options_reach_the_pipeline(folder: Path, fake: type[FakePipeline]) -> None:
    assert run(
        *("in/a.png", "--country", "ru, kz", "--only", "ru", "--min-confidence", "0", "--engine", "onnxruntime", "--device", "cuda"),
        *("--precision", "fp32", "--threads", "3", "--detector", "d.onnx", "--reader", "r.onnx", "--formats", "one", "--formats", "two"),
    ).exit_code == 0  # fmt: skip
    assert fake.made == [
        replace(
            Options(("ru", "kz"), ("ru",), 0.0, "onnxruntime", "cuda", "fp32", 3),
            detector=Path("d.onnx"),
            reader=Path("r.onnx"),
            formats=("one", "two"),
        )
    ]


@pytest.mark.parametrize("option", ["--reader", "--detector", "--formats"])
def test_file_that_may_not_be_read_gives_exit_code_2(folder: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    result = run("in", option, "in/a.png")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not readable" in result.stderr


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("option", ["--reader", "--detector"])
def test_picture_in_the_place_of_a_network_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], option: str, engine: str
) -> None:
    monkeypatch.setattr(openplate.pipeline, "Pipeline", Pipeline)
    result = run("in", option, "in/a.png", "--engine", engine)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: in/a.png: expected an .onnx file, got something else; export the checkpoint with openplate export\n"
    assert capfd.readouterr().err == ""


def test_hint_outside_of_the_strict_choice_is_told_with_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openplate.pipeline, "Pipeline", Pipeline)
    result = run("in", "--country", "kz", "--only", "ru")
    assert result.exit_code == 1
    assert result.stderr == "Error: country hint KZ contradicts the strict choice RU; name it in both, or leave the hint out\n"


def test_file_name_with_a_line_break_leaves_a_line_a_plate(folder: Path) -> None:
    save(folder / "in/a\nb.png", 100, 110)
    assert [line.split()[-1] for line in run("in/a\nb.png", "in/a.png").stdout.splitlines()] == ["IMAGE", "in/a\\nb.png", "in/a.png"]


def test_pattern_reads_each_picture_once(folder: Path) -> None:
    result = run("in/**", "--csv")
    assert [row[0] for row in csv.reader(io.StringIO(result.stdout))] == ["image", "in/a.png", "in/sub/b.png"]


def test_error_at_set_up_is_one_line_and_exit_code_1(folder: Path) -> None:
    result = run("in", "--engine", "missing", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: engine: expected auto, openvino or onnxruntime, got 'missing'\n"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--country", "zz"),
        ("--only", "zz"),
        ("--engine", "no"),
        ("--device", "no"),
        ("--precision", "no"),
        ("--detector", "no.onnx"),
        ("--reader", "no.onnx"),
        ("--formats", "no"),
    ],
)
def test_what_is_not_here_gives_exit_code_1_and_nothing_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: str) -> None:
    monkeypatch.setattr(openplate.pipeline, "Pipeline", Pipeline)
    result = run("in", option, value)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert value in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("in", "--json", "--csv"),
        ("in", "--min-confidence", "2"),
        ("in", "--threads", "0"),
        ("in", "--only", ","),
        ("in", "--country", ""),
        ("in", "--model", "no"),
        ("in", "--crops", "in/a.png"),
        ("in", "--no"),
    ],
)
def test_wrong_usage_gives_exit_code_2(folder: Path, fake: type[FakePipeline], arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert fake.made == []


def test_help_names_every_option() -> None:
    text = run("--help").stdout
    for name in (
        "json",
        "jsonl",
        "csv",
        "annotate",
        "crops",
        "blur",
        "cropped",
        "country",
        "only",
        "min-confidence",
        "engine",
        "device",
        "precision",
    ):
        assert f"--{name}" in text


@dataclass
class Terminal:
    """Which streams are terminals."""

    stdout: bool
    stderr: bool


@pytest.mark.parametrize(
    ("terminal", "count", "shown"),
    [
        (Terminal(stdout=False, stderr=True), 3, True),
        (Terminal(stdout=False, stderr=True), 1, False),
        (Terminal(stdout=False, stderr=False), 3, False),
        (Terminal(stdout=True, stderr=True), 3, False),
    ],
)
def test_progress_is_shown_only_where_it_helps(
    folder: Path, fake: type[FakePipeline], monkeypatch: pytest.MonkeyPatch, terminal: Terminal, count: int, shown: bool
) -> None:
    streams = {name: io.StringIO() for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(stream, "isatty", lambda name=name: getattr(terminal, name))
        monkeypatch.setattr(sys, name, stream)
    paths = [Path("in/a.png"), Path("in/c.png"), Path("in/sub/b.png")][:count]
    assert read_all(fake(), paths, printer("jsonl"), Pictures(None, None, None), cropped=False) == 0
    assert ("100%" in streams["stderr"].getvalue()) == shown
    assert len(streams["stdout"].getvalue().splitlines()) == count
