import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openplate.cli import main
from openplate.cli.data import KINDS
from openplate.data.kinds import KINDS as READERS
from openplate.dataset import load_dataset
from tests.conftest import label
from tests.data.conftest import picture, written


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_kinds_of_the_command_are_the_kinds_that_are_read() -> None:
    assert KINDS == tuple(READERS)


@pytest.mark.parametrize("command", ["convert", "inspect", "split", "merge", "fetch"])
def test_help_has_an_example(command: str) -> None:
    result = run(command, "--help")
    assert (result.exit_code, f"Example: openplate data {command}" in result.stdout) == (0, True)


def test_convert_prints_folders_and_counts(tmp_path: Path) -> None:
    for name in ("train/A129XY196.png", "train/K211PA69.png", "test/E353TA46.png"):
        picture(tmp_path / "src" / name)
    result = run("convert", "src", "--from", "ay000554-ocr", "--to", "out")
    assert (result.exit_code, result.stdout) == (0, "out/test\nout/train\n")
    assert "out/train: 2 images, 2 plates, 2 of them with a text" in result.stderr
    assert "fault" not in result.stderr
    assert len(load_dataset(tmp_path / "out/train").images) == 2


def test_convert_lists_faults_up_to_a_limit_and_ends_with_1(tmp_path: Path) -> None:
    picture(tmp_path / "src/a.png")
    written(tmp_path / "src/labels.csv", "a.png,A1\n" + "".join(f"lost{i}.png,A1\n" for i in range(25)))
    result = run("convert", "src", "--from", "csv", "--to", "out", "--faults", "faults.txt")
    assert (result.exit_code, result.stdout) == (1, "out\n")
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 20
    assert errors[0] == "error: labels.csv, line 2: picture lost0.png is not there"
    assert "and 5 more" in result.stderr
    assert "25 faults skipped" in result.stderr
    assert "plates without a country: 1, labelled XX" in result.stderr
    assert len((tmp_path / "faults.txt").read_text().splitlines()) == 25


def test_control_characters_of_a_name_are_not_sent_to_the_terminal(tmp_path: Path) -> None:
    picture(tmp_path / "src/train/A129XY196.png")
    picture(tmp_path / "src/train/\x1b[2J\nerror: x.png")
    result = run("convert", "src", "--from", "ay000554-ocr", "--to", "out")
    assert "error: train/\\x1b[2J\\nerror: x.png: expected a file name" in result.stderr
    assert "\x1b[2J" not in result.stderr


def test_convert_to_a_folder_that_is_there_or_from_another_layout_is_one_line(tmp_path: Path, make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([label("A1")])
    result = run("convert", folder, "--from", "openplate", "--to", folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "holds something already" in result.stderr
    result = run("convert", folder, "--from", "voc", "--to", "out")
    assert (result.exit_code, "expected an XML file for each picture" in result.stderr) == (1, True)
    assert not (tmp_path / "out").exists()


def test_inspect_prints_a_table_and_draws_a_sheet(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    result = run("inspect", make_dataset([label("A1"), label(None, (0, 0, 40, 10), "EU")], []))
    assert result.exit_code == 0, result.stderr
    lines = dict(line.split("  ", 1) for line in result.stdout.splitlines())
    assert {name: value.strip() for name, value in lines.items()} == {
        "data set": "street",
        "images": "2, 1 of them without a plate",
        "plates": "2, 1 with a text, 1 different texts",
        "country": "EU 1, RU 1",
        "quads": "upright boxes 2",
        "text length": "2 1",
        "characters": "1 1, A 1",
        "image width, px": "200 to 200, median 200, 80 % between 200 and 200",
        "image height, px": "100 to 100, median 100, 80 % between 100 and 100",
        "plate width, px": "40 to 80, median 60, 80 % between 44 and 76",
        "plate height, px": "10 to 20, median 15, 80 % between 11 and 19",
        "faults": "0",
    }
    assert (tmp_path / "street-sheet.png").stat().st_size > 0
    assert "street-sheet.png: 2 samples" in result.stderr


def test_inspect_goes_on_past_a_bad_data_set_and_ends_with_1(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    good = make_dataset([label("A1")], [label("Щ1")])
    result = run("inspect", "nowhere", good, "--json", "--no-sheet")
    assert result.exit_code == 1
    (one,) = json.loads(result.stdout)["sets"]
    assert (one["images"], one["outside_charset"]) == (2, {"Щ": 1})
    assert "2 faults found" in result.stderr
    assert run("inspect", good, "--no-sheet", "--characters", "Щ").exit_code == 0
    assert not list(tmp_path.glob("*.png"))


def test_inspect_of_sides_takes_each_but_one_sheet_for_all_is_refused(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    make_dataset([label("A1")], name="set/train")
    make_dataset([label("B2")], name="set/test")
    result = run("inspect", "set", "--json", "--labels-only")
    assert [one["name"] for one in json.loads(result.stdout)["sets"]] == ["test", "train"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["test-sheet.png", "train-sheet.png"]
    assert run("inspect", "set", "--sheet", "all.png").exit_code == 2


def test_sets_of_the_same_name_are_told_apart_and_none_is_taken_twice(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    one, two = make_dataset([label("A1")], name="a/train"), make_dataset([label("B2")], name="b/train")
    result = run("inspect", one, two)
    assert result.exit_code == 0
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["a-train-sheet.png", "b-train-sheet.png"]
    assert "a/train" in result.stdout and "b/train" in result.stdout
    for folders in ((one, one), (tmp_path / "a", one)):
        result = run("split", "--check", *folders)
        assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
        assert result.stderr.splitlines()[-1].endswith("expected different data sets, this one is named twice; name each once")
    result = run("split", "--check", one, tmp_path / "nowhere")
    assert result.exit_code == 2 and "expected at least two sides to compare; " in result.stderr and "nowhere" in result.stderr


def test_split_writes_parts_that_the_check_finds_clean(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_dataset(*[[label(f"A{i % 6}")] for i in range(10)])
    for i in range(10):
        picture(folder / f"images/{i}.png")
    result = run("split", folder, "--to", "out", "--parts", "train=60,test=40", "--seed", "3")
    assert (result.exit_code, result.stdout) == (0, "out/train\nout/test\n"), result.stderr
    assert "out/train: 6 images, 60.0%" in result.stderr
    check = run("split", "--check", "out")
    assert check.exit_code == 0, check.stderr
    assert check.stdout.split() == ["plates", "on", "several", "sides", "0", "same", "pictures", "on", "two", "sides", "0", "nearly", "the", "same", "pictures", "0"]  # fmt: skip


def test_check_reports_leaks_and_ends_with_1(make_dataset: Callable[..., Path]) -> None:
    sides = make_dataset([label("A1")], name="one"), make_dataset([label("A 1")], [], name="two")
    result = run("split", "--check", *sides, "--json")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert data["plates"] == [{"text": "A1", "images": {"one": 1, "two": 1}}]
    assert len(data["images"]) == 1  # the fixture draws the same picture each time; one pair stands for them
    texts = run("split", "--check", *sides, "--texts-only")
    assert (texts.exit_code, texts.stdout.splitlines()[-1]) == (1, "A1  one 1, two 1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one"], "expected either --to DIR"),
        (["one", "--to", "out", "--check"], "expected either --to DIR"),
        (["one", "two", "--to", "out"], "expected one data set to divide, got 2"),
        (["one", "--check"], "expected at least two sides"),
        (["one", "--to", "out", "--parts", "train"], "expected NAME=SHARE"),
        (["one", "--to", "out", "--parts", "train=0"], "expected NAME=SHARE"),
        (["one", "--to", "out", "--parts", "a=1,a=2"], "expected NAME=SHARE"),
    ],
)
def test_wrong_use_of_split_is_refused(make_dataset: Callable[..., Path], arguments: list[str], message: str) -> None:
    make_dataset([label("A1")], name="one")
    make_dataset([label("B2")], name="two")
    result = run("split", *arguments, "--texts-only")
    assert result.exit_code == 2
    assert message in result.stderr


def test_split_leaves_pictures_out_that_cannot_be_opened(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_dataset([label("A1")], [label("B2")], [label("C3")])
    (folder / "images/1.png").write_bytes(b"x")
    result = run("split", folder, "--to", "out", "--parts", "all=1")
    assert result.exit_code == 1
    assert "1 fault skipped" in result.stderr
    assert [image.plates[0].text for image in load_dataset(tmp_path / "out/all").images] == ["A1", "C3"]


def test_merge_writes_one_data_set_and_names_what_it_left_out(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    one, two = make_dataset([label("A1")], name="one"), make_dataset([label("B2")], [], name="two")
    picture(two / "images/0.png")
    result = run("merge", one, two, "--to", "all")
    assert (result.exit_code, result.stdout) == (1, "all\n")  # the second picture of `two` is the one of `one`
    assert "all: 2 images, 2 plates" in result.stderr
    assert "the same picture as" in result.stderr
    assert [image.path.name for image in load_dataset(tmp_path / "all").images] == ["0.png", "two_0.png"]


TABLE = """[[sets]]
name = "tiny"
title = "A tiny set"
kind = "csv"
licence = "CC0"
licence_url = "https://example.org/cc0"
credit = "nobody"
page = "https://example.org"
files = [{{ url = "http://127.0.0.1:{port}/tiny.zip", size = 1234567 }}]
"""


def test_fetch_without_a_name_lists_the_sets() -> None:
    result = run("fetch")
    assert result.exit_code == 0
    assert any(line.startswith("autoria-ocr-ru ") and " CC BY 4.0 " in line for line in result.stdout.splitlines())


def test_fetch_says_the_licence_first_and_asks_to_accept_it(tmp_path: Path) -> None:
    result = run("fetch", "autoria-ocr-ru")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "licence: CC BY 4.0, https://creativecommons.org/licenses/by/4.0/" in result.stderr
    assert "1,499,299,647 bytes" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("run the command again with --accept-licence")
    assert list(tmp_path.iterdir()) == []


def test_fetch_offline_says_what_it_would_have_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        (tmp_path / "more.toml").write_text(TABLE.format(port=port))
        result = run("fetch", "tiny", "--accept-licence", "--table", "more.toml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "licence: CC0" in result.stderr
    assert "the server cannot be reached" in result.stderr
    assert f"would have fetched http://127.0.0.1:{port}/tiny.zip (1,234,567 bytes) to tiny/tiny.zip" in result.stderr
    assert not (tmp_path / "tiny").exists()


def test_fetch_of_an_unknown_set_and_of_one_that_needs_a_person_are_one_line() -> None:
    result = run("fetch", "nothing")
    assert (result.exit_code, "data set 'nothing' is not known; known are ay000554-ocr" in result.stderr) == (1, True)
    result = run("fetch", "ccpd", "--accept-licence")
    assert (result.exit_code, "licence: MIT" in result.stderr, "its address needs a person: download CCPD2019" in result.stderr) == (1, True, True)
