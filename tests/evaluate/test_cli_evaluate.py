import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from openplate.cli import evaluate as command
from openplate.cli import main
from openplate.errors import EngineError
from openplate.geometry import box_to_quad
from tests.conftest import BOX, FakePipeline, label, plate, reading

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
    result = run(make_dataset([label("B1")]), "--report", tmp_path / "nowhere" / "out.html")
    assert result.exit_code == 1
    assert "cannot write the report" in result.stderr


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
