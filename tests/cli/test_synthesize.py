from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from openplate.cli import main
from openplate.cli.synthesize import synthesize
from openplate.clips import load_clips, load_truth
from openplate.dataset import load_dataset
from openplate.formats import Automaton, load_formats, select
from openplate.sources import read_image
from openplate.synthesize import glyphs
from openplate.train.config import ReaderConfig
from tests.conftest import label


def test_crops_are_a_data_set_of_the_countries_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "drawn"
    result = CliRunner().invoke(main, ["synthesize", "crops", "--country", "ru, kz", "--count", "6", "--seed", "1", "--out", str(out)])
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    plates = [image.plates[0] for image in load_dataset(out).images]
    types = {f.code: Automaton(f.types) for f in select(load_formats(), ["RU", "KZ"])}
    assert len(plates) == 6
    assert all(types[p.country].matches(p.text or "") for p in plates)


def test_number_of_workers_does_not_change_the_crops(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        arguments = ["--country", "ru", "--count", "70", "--difficulty", "0", "--workers", workers, "--out", str(tmp_path / workers)]
        assert CliRunner().invoke(main, ["synthesize", "crops", *arguments]).exit_code == 0
    one, two = ([p.read_bytes() for p in sorted((tmp_path / name).rglob("*.*"))] for name in "12")
    assert len(one) == 71 and one == two


def test_crops_are_as_hard_as_those_that_training_ends_with() -> None:
    (option,) = (p for p in synthesize.params if p.name == "difficulty")
    assert option.default == ReaderConfig().difficulty == 0.85


def test_sheet_stands_beside_the_real_plates(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    real = make_dataset([label("A1")])
    arguments = ["--country", "ru", "--count", "2", "--sheet", str(tmp_path / "sheet.png"), "--beside", str(real)]
    result = CliRunner().invoke(main, ["synthesize", "crops", *arguments, "--out", str(tmp_path / "drawn")])
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'drawn'}\n")
    assert read_image(tmp_path / "sheet.png")[0].image.shape == (138, 2 * 248 + 8 + 6 + 248 + 8, 3)


@pytest.mark.parametrize(
    ("what", "arguments", "code", "fault"),
    [
        ("crops", ["--beside", "real"], 2, "--beside DIR belongs to --sheet PNG"),
        ("sequences", ["--sheet", "sheet.png"], 2, "of sequences there is none"),
        ("crops", ["--sheet", "sheet.pdf"], 1, "got '.pdf'"),
        ("crops", ["--sheet", "sheet.png", "--beside", "nowhere"], 1, "nowhere: expected a folder"),
        ("crops", ["--workers", "0"], 2, "--workers"),
    ],
)
def test_wrong_sheets_and_workers_are_refused_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, arguments: list[str], code: int, fault: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["synthesize", what, "--country", "ru", *arguments, "--out", "out"])
    assert result.exit_code == code
    assert fault in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_scenes_have_the_size_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "drawn"
    result = CliRunner().invoke(main, ["synthesize", "scenes", "--country", "ru", "--count", "2", "--size", "240x160", "--out", str(out)])
    assert result.exit_code == 0
    assert [(i.width, i.height) for i in load_dataset(out).images] == [(240, 160)] * 2


def test_scenes_in_photos_keep_their_size(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    photos = make_dataset([], [label("A1")])
    result = CliRunner().invoke(
        main, ["synthesize", "scenes", "--country", "ru", "--count", "1", "--photos", str(photos), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 0
    assert [(i.width, i.height, len(i.plates)) for i in load_dataset(tmp_path / "out").images] == [(200, 100, 1)]


def test_data_set_that_is_there_is_one_line_on_stderr(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([label("A1")])
    result = CliRunner().invoke(main, ["synthesize", "crops", "--country", "ru", "--count", "1", "--out", str(folder)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "holds a data set already" in result.stderr


@pytest.mark.parametrize("size", ["1280", "x720", "1280x", "100x100", "-640x480", "640x480x3"])
def test_wrong_size_is_refused_before_anything_is_written(tmp_path: Path, size: str) -> None:
    result = CliRunner().invoke(main, ["synthesize", "scenes", "--size", size, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "WIDTHxHEIGHT" in result.stderr
    assert not (tmp_path / "out").exists()


def test_unknown_country_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["synthesize", "crops", "--country", "xx", "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "country 'xx' is not known" in result.stderr


def test_without_fonts_everything_but_china_is_drawn_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "_installed", dict)
    glyphs.chinese_fonts.cache_clear()
    try:
        result = CliRunner().invoke(main, ["synthesize", "crops", "--count", "3", "--out", str(tmp_path / "all")])
        chinese = CliRunner().invoke(main, ["synthesize", "crops", "--count", "1", "--country", "cn", "--out", str(tmp_path / "cn")])
    finally:
        glyphs.chinese_fonts.cache_clear()
    assert result.exit_code == 0
    assert "drawing without cn" in result.stderr
    assert chinese.exit_code == 1 and "fonts-noto-cjk" in chinese.stderr
    assert not (tmp_path / "cn" / "labels.jsonl").exists()


def test_sequences_are_labelled_clips(tmp_path: Path) -> None:
    out = tmp_path / "drawn"
    arguments = [
        "--country",
        "ru",
        "--count",
        "2",
        "--seconds",
        "0.2",
        "--fps",
        "10",
        "--size",
        "320x180",
        "--plate-px",
        "30-40",
        "--situation",
        "parked",
    ]
    result = CliRunner().invoke(main, ["synthesize", "sequences", *arguments, "--pictures", "--out", str(out)])
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    clips = load_clips(out)
    assert [(clip.path.name, clip.country, clip.note) for clip in clips] == [("000", "RU", "parked"), ("001", "RU", "parked")]
    assert [len(load_truth(clip.truth).frames) for clip in clips if clip.truth] == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "code", "fault"),
    [
        (["--plate-px", "wide"], 2, "FROM-TO"),
        (["--plate-px", "90-60"], 1, "the smaller first"),
        (["--situation", "fog"], 1, "situation 'fog' is not known"),
        (["--seconds", "0"], 1, "expected up to 3600 seconds"),
    ],
)
def test_wrong_sequences_are_refused_before_anything_is_written(tmp_path: Path, arguments: list[str], code: int, fault: str) -> None:
    result = CliRunner().invoke(main, ["synthesize", "sequences", "--country", "ru", *arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == code
    assert fault in result.stderr
    assert not (tmp_path / "out").exists()
