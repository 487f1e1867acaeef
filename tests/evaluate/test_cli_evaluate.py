import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from openplate.charset import Charset
from openplate.cli import evaluate as command
from openplate.cli import main
from openplate.errors import EngineError
from openplate.geometry import box_to_quad
from tests.conftest import BOX, FakePipeline, label, plate, reading
from tests.networks import grey_reader

MakeDataset = Callable[..., Path]
HERE = box_to_quad(*BOX)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options that each opened pipeline was asked for; the pipeline is a fake that reads A123BC77."""
    options: list[dict[str, Any]] = []

    def opened(given: dict[str, Any]) -> FakePipeline:
        options.append(given)
        return FakePipeline([plate(HERE, "A123BC77", 0.9)], [reading("A123BC77", 0.9)])

    monkeypatch.setattr(command, "open_pipeline", opened)
    return options


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, ["evaluate", *[str(argument) for argument in arguments]])


@pytest.mark.usefixtures("asked")
def test_table_has_a_row_a_set_and_one_for_all(make_dataset: MakeDataset) -> None:
    one, two = make_dataset([label("A123BC77")], name="one"), make_dataset([label("B1")], name="two")
    result = run(one, two)
    rows = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [row[:4] for row in rows[1:4]] == [["one", "1", "1", "100.0"], ["two", "1", "1", "0.0"], ["all", "2", "2", "50.0"]]
    assert ["RU", "2", "50.0"] in [row[:3] for row in rows]
    assert ["16-24", "2", "50.0"] in [row[:3] for row in rows]


@pytest.mark.usefixtures("asked")
def test_sets_of_the_same_name_are_told_apart_and_none_counts_twice(make_dataset: MakeDataset) -> None:
    one, two = make_dataset([label("A123BC77")], name="a/test"), make_dataset([label("B1")], name="b/test")
    found = json.loads(run(one, two, "--json").stdout)
    assert [only["name"] for only in found["sets"]] == ["a/test", "b/test"]
    result = run(one, one)
    assert result.exit_code == 1 and "this one is named twice" in result.stderr and not result.stdout


@pytest.mark.usefixtures("asked")
def test_results_of_another_network_are_refused_before_anything_is_measured(
    make_dataset: MakeDataset, tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    one, other = grey_reader(tmp_path / "one.onnx"), grey_reader(tmp_path / "other.onnx", charset=Charset("0123456789XYZ"))
    folder, kept = make_dataset([label("A123BC77")]), tmp_path / "kept.json"
    assert run(folder, "--part", "reader", "--reader", one, "--store", kept).exit_code == 0
    before = len(asked)
    result = run(folder, "--part", "reader", "--reader", other, "--store", kept)
    assert result.exit_code == 1 and "keeps results of another network (one.onnx)" in result.stderr
    assert len(asked) == before


@pytest.mark.usefixtures("asked")
def test_held_out_images_are_every_fifth(make_dataset: MakeDataset) -> None:
    folder = make_dataset(*[[label(f"A{i}")] for i in range(11)])
    found = json.loads(run(folder, "--held-out", "--json").stdout)["sets"][0]
    assert found["images"] == 3
    assert sorted(f["truth"] for f in found["failures"]) == ["A0", "A10", "A5"]


@pytest.mark.usefixtures("asked")
def test_labels_that_no_reading_can_match_are_said(make_dataset: MakeDataset) -> None:
    folder = make_dataset([label("12가3456")], [label("34나1 23")], [label("a123bc77")])
    asked_for: list[tuple[tuple[str, ...], bool]] = [(("--part", "reader"), True), ((), True), (("--part", "detector"), False)]
    for arguments, said in [*asked_for, (("--equal", "가A", "--equal", "나B"), False)]:
        result = run(folder, *arguments)
        lines = [line for line in result.stderr.splitlines() if "does not know" in line]
        assert result.exit_code == 0
        assert [line.partition(": they count")[0] for line in lines] == [
            "street: 2 of 3 labelled texts have characters that the reader does not know (가 나)"
        ] * said


@pytest.mark.usefixtures("asked")
def test_reader_cannot_be_measured_without_texts(make_dataset: MakeDataset) -> None:
    result = run(make_dataset([label(None)], name="bare"), make_dataset([label("A123BC77")]), "--part", "reader")
    assert result.exit_code == 1
    assert "error: bare: expected labels with a text, got none: of the reader nothing can be measured" in result.stderr.splitlines()
    assert "street" in result.stdout and "bare" not in result.stdout


@pytest.mark.usefixtures("asked")
def test_json_is_one_object_with_sets_failures_and_all(make_dataset: MakeDataset) -> None:
    result = run(make_dataset([label("A123BC77")], [label("B1")]), "--json")
    data = json.loads(result.stdout)
    assert data["version"] == 1
    (only,) = data["sets"]
    assert (only["name"], only["images"], only["end_to_end"]["exact"]["share"]) == ("street", 2, 0.5)
    assert [(f["kind"], f["truth"], f["text"]) for f in only["failures"]] == [("wrong", "B1", "A123BC77")]
    assert data["all"]["end_to_end"]["exact"]["right"] == 1
    assert "failures" not in data["all"]


@pytest.mark.usefixtures("asked")
def test_bad_set_is_one_line_and_the_next_is_measured(make_dataset: MakeDataset, tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere", make_dataset([label("A123BC77")]))
    assert result.exit_code == 1
    assert [line for line in result.stderr.splitlines() if "nowhere" in line] == [
        f"error: {tmp_path}/nowhere: expected a folder with labels.jsonl and images, found nothing"
    ]
    assert "street" in result.stdout
    assert "100.0" in result.stdout


@pytest.mark.usefixtures("asked")
def test_image_that_cannot_be_measured_gives_exit_1(make_dataset: MakeDataset) -> None:
    folder = make_dataset([label("A123BC77")], [])
    (folder / "images/1.png").write_bytes(b"")
    result = run(folder)
    assert result.exit_code == 1
    assert "1.png" in result.stderr
    assert "100.0" in result.stdout


@pytest.mark.usefixtures("asked")
def test_only_bad_sets_print_nothing(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")


@pytest.mark.usefixtures("asked")
def test_report_is_written(make_dataset: MakeDataset, tmp_path: Path) -> None:
    result = run(make_dataset([label("B1")]), "--report", tmp_path / "out.html")
    assert result.exit_code == 0
    assert "wrong (1)" in (tmp_path / "out.html").read_text(encoding="utf8")


@pytest.mark.usefixtures("asked")
def test_report_that_cannot_be_written_is_one_line(make_dataset: MakeDataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = make_dataset([label("B1")])
    path = tmp_path / "file" / "out.html"
    result = run(folder, "--report", path)
    assert (result.exit_code, result.stdout) == (1, "")  # told before anything was measured
    assert result.stderr == f"Error: {path}: cannot write the report: file exists; give the path of a file that can be made\n"


@pytest.mark.usefixtures("asked")
def test_folder_of_a_report_is_made(make_dataset: MakeDataset, tmp_path: Path) -> None:
    result = run(make_dataset([label("B1")]), "--report", tmp_path / "made" / "for" / "out.html")
    assert result.exit_code == 0
    assert "wrong (1)" in (tmp_path / "made/for/out.html").read_text(encoding="utf8")


@pytest.mark.parametrize("part", ["reader", "detector"])
def test_false_alarms_of_one_part_are_refused(make_dataset: MakeDataset, asked: list[dict[str, Any]], part: str) -> None:
    result = run(make_dataset([label("B1")]), "--false-alarms", "--part", part)
    assert (result.exit_code, result.stdout, asked) == (2, "", [])
    assert f"--false-alarms counts what all networks together read: leave out --part {part}" in result.stderr


@pytest.mark.usefixtures("asked")
def test_false_alarms_are_counted(make_dataset: MakeDataset, tmp_path: Path) -> None:
    folder = make_dataset([label("B1")], [])
    result = run(folder, "--false-alarms", "--report", tmp_path / "out.html")
    assert result.stdout.splitlines()[1].split()[:4] == ["street", "2", "2", "100.0"]
    assert json.loads(run(folder, "--false-alarms", "--json").stdout)["all"]["per_100_photos"] == 100.0
    assert "false alarms" in (tmp_path / "out.html").read_text(encoding="utf8")


def test_options_given_reach_the_pipeline_and_no_others(make_dataset: MakeDataset, asked: list[dict[str, Any]]) -> None:
    folder = make_dataset([label("O1")])
    run(folder)
    run(folder, "--country", "ru, kz", "--only", "ru", "--min-confidence", "0.5", "--threads", "2", "--reader", "r.onnx", "--formats", "mine")
    assert asked == [
        {},
        {"country": ("ru", "kz"), "only": ("ru",), "min_confidence": 0.5, "threads": 2, "reader": Path("r.onnx"), "formats": ("mine",)},
    ]


@pytest.mark.usefixtures("asked")
def test_limit_part_and_equal(make_dataset: MakeDataset) -> None:
    folder = make_dataset([label("AI23BC77")], [label("B1")])
    data = json.loads(run(folder, "--json", "--limit", "1", "--part", "reader", "--equal", "I1").stdout)["all"]
    assert (data["images"], data["reading"]["exact"]["right"], data["detection"], data["end_to_end"]) == (1, 1, None, None)


def test_pipeline_that_cannot_be_opened_is_one_line(make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(given: dict[str, Any]) -> FakePipeline:
        raise EngineError("no engine 'x'; use auto")

    monkeypatch.setattr(command, "open_pipeline", refused)
    result = run(make_dataset([]), "--engine", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no engine 'x'; use auto" in result.stderr


@pytest.mark.usefixtures("asked")
def test_json_has_the_errors_of_the_reader_s_characters(make_dataset: MakeDataset) -> None:
    characters = json.loads(run(make_dataset([label("A128BC77")]), "--json", "--part", "reader").stdout)["all"]["reading"]["characters"]
    assert characters["confusions"] == [{"truth": "8", "read": "3", "count": 1}]
    assert (characters["right"]["right"], characters["right"]["total"], characters["cer"]) == (7, 8, 1 / 8)
    assert [one["replaced"] for one in characters["by_position"]] == [0, 0, 0, 1, 0, 0, 0, 0]


@pytest.mark.usefixtures("asked")
def test_confusions_are_written(make_dataset: MakeDataset, tmp_path: Path) -> None:
    result = run(make_dataset([label("A128BC77")]), "--part", "reader", "--confusions", tmp_path / "out")
    assert result.exit_code == 0
    assert "\n8,0,0,1,0,0,0,0,0,0\n" in (tmp_path / "out/confusions.csv").read_text(encoding="utf8")  # columns 1 2 3 7 8 A B C (missing)
    assert (tmp_path / "out/confusions.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("option", [("--part", "detector"), ("--false-alarms",)])
def test_confusions_without_the_reader_are_refused(make_dataset: MakeDataset, tmp_path: Path, option: tuple[str, ...]) -> None:
    result = run(make_dataset([]), *option, "--confusions", tmp_path / "out")
    assert (result.exit_code, (tmp_path / "out").exists()) == (2, False)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("package", ["rapidfuzz", "matplotlib"])
def test_confusions_without_the_extra_are_refused_before_measuring(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    for module in ("confusions", "characters"):
        monkeypatch.delitem(sys.modules, f"openplate.evaluate.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    result = run(make_dataset([label("A1")]), "--confusions", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"this needs the package {package}: pip install 'openplate[evaluate]'" in result.stderr


@pytest.mark.usefixtures("asked")
def test_without_rapidfuzz_the_rest_is_measured_and_the_extra_named(make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openplate.evaluate.characters", None)
    result = run(make_dataset([label("A123BC77")]), "--json", "--part", "reader")
    reading_ = json.loads(result.stdout)["all"]["reading"]
    assert (result.exit_code, reading_["exact"]["right"], reading_["cer"], reading_["characters"]) == (0, 1, None, None)
    assert "pip install 'openplate[evaluate]'" in result.stderr


@pytest.mark.usefixtures("asked")
def test_results_of_a_network_are_stored(make_dataset: MakeDataset, tmp_path: Path) -> None:
    network = grey_reader(tmp_path / "tiny.onnx")
    store = tmp_path / "results" / "tiny.json"
    arguments = ("--reader", network, "--part", "reader", "--store", store, "--note", "a toy")
    assert run(make_dataset([label("A123BC77")], [label("A123BC70")], name="one"), *arguments).exit_code == 0
    assert run(make_dataset([label("B1")], name="two"), *arguments, "--name", "grey").exit_code == 0
    stored = json.loads(store.read_text(encoding="utf8"))
    facts = stored["network"]
    assert (facts["name"], facts["kind"], facts["file"], facts["bytes"], facts["note"]) == (
        "grey",
        "reader",
        "tiny.onnx",
        network.stat().st_size,
        "a toy",
    )
    assert {name: (one["plates"], one["reading"]["exact"]["right"]) for name, one in stored["sets"].items()} == {"one": (2, 1), "two": (1, 0)}
    assert stored["sets"]["one"]["reading"]["cer"] == 1 / 16
    (tmp_path / "formats").mkdir()
    assert run(make_dataset([label("B1")], name="three"), *arguments, "--formats", tmp_path / "formats").exit_code == 0
    settings = [one["reading"]["settings"] for one in json.loads(store.read_text(encoding="utf8"))["sets"].values()]
    # And not where they lay on this computer.
    assert settings == ["part reader, reader tiny.onnx"] * 2 + ["part reader, reader tiny.onnx, formats ('formats',)"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say which with --reader, --detector or --part"),
        (("--part", "reader", "--limit", "1"), "leave out --false-alarms, --limit and --held-out"),
        (("--part", "reader", "--held-out"), "leave out --false-alarms, --limit and --held-out"),
        (("--reader", "a.onnx", "--detector", "b.onnx"), "not both"),
        (("--reader", "a.onnx", "--part", "detector"), "part detector does not measure a.onnx"),
    ],
)
def test_results_that_speak_of_no_one_network_are_not_stored(
    make_dataset: MakeDataset, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = run(make_dataset([]), *arguments, "--store", tmp_path / "x.json")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "x.json").exists()
