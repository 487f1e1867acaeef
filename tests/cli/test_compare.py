import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from openplate.cli import compare as command
from openplate.cli import main
from openplate.weights import network_path
from tests.conftest import FakePipeline, label, reading
from tests.networks import constant_network, grey_reader

MakeDataset = Callable[..., Path]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options that each opened pipeline was asked for; what it reads is the name of its reader's file."""
    options: list[dict[str, Any]] = []

    def opened(given: dict[str, Any]) -> FakePipeline:
        options.append(given)
        return FakePipeline([], [reading(given["reader"].stem.upper(), 0.9)] if "reader" in given else [])

    monkeypatch.setattr(command, "open_pipeline", opened)
    return options


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, ["compare", *[str(argument) for argument in arguments]])


@pytest.mark.usefixtures("asked")
def test_table_has_a_row_a_set_and_one_for_all(make_dataset: MakeDataset, tmp_path: Path) -> None:
    a, b = grey_reader(tmp_path / "a1.onnx"), grey_reader(tmp_path / "b1.onnx")
    result = run(a, b, make_dataset([label("A1")], name="one"), make_dataset([label("B1")], [label("B1")], name="two"))
    rows = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [row[:4] for row in rows[1:]] == [["one", "reader", "1", "100.0"], ["two", "reader", "2", "0.0"], ["all", "reader", "3", "33.3"]]


@pytest.mark.usefixtures("asked")
def test_labels_that_no_reading_can_match_are_said_once(make_dataset: MakeDataset, tmp_path: Path) -> None:
    a, b = grey_reader(tmp_path / "a1.onnx"), grey_reader(tmp_path / "b1.onnx")
    result = run(a, b, make_dataset([label("A1")], [label("가1")]))
    lines = [line for line in result.stderr.splitlines() if "does not know" in line]
    assert [line.partition(": they")[0] for line in lines] == ["street: 1 of 2 labelled texts have characters that either reader does not know (가)"]


@pytest.mark.usefixtures("asked")
def test_json_and_report_name_both(make_dataset: MakeDataset, tmp_path: Path) -> None:
    a, b = grey_reader(tmp_path / "a1.onnx"), grey_reader(tmp_path / "b1.onnx")
    result = run(a, b, make_dataset([label("A1")]), "--json", "--report", tmp_path / "out.html")
    data = json.loads(result.stdout)
    assert (data["version"], data["kind"], data["a"], data["b"]) == (1, "reader", str(a), str(b))
    assert (data["all"]["comparisons"][0]["broken"], data["sets"][0]["changes"]["reader"][0]["change"]) == (1, "broken")
    assert "broken (1)" in (tmp_path / "out.html").read_text(encoding="utf8")


@pytest.mark.usefixtures("asked")
def test_folder_of_a_report_is_made(make_dataset: MakeDataset, tmp_path: Path) -> None:
    a, b = grey_reader(tmp_path / "a1.onnx"), grey_reader(tmp_path / "b1.onnx")
    assert run(a, b, make_dataset([label("A1")]), "--report", tmp_path / "made" / "out.html").exit_code == 0
    assert "broken (1)" in (tmp_path / "made/out.html").read_text(encoding="utf8")


def test_each_pipeline_gets_its_network_and_options(make_dataset: MakeDataset, tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    a = grey_reader(tmp_path / "a1.onnx")
    folder = make_dataset([label("A1")])
    run("shipped", a, folder, "--threads", "2", "--engine", "onnxruntime")
    run(a, a, folder, "--precision", "bf16", "--precision", "fp32", "--country", "ru")
    assert asked == [
        {"reader": network_path("reader"), "threads": 2, "engine": "onnxruntime"},
        {"reader": a, "threads": 2, "engine": "onnxruntime"},
        {"reader": a, "precision": "bf16", "country": ("ru",)},
        {"reader": a, "precision": "fp32", "country": ("ru",)},
    ]


@pytest.mark.usefixtures("asked")
def test_networks_that_cannot_be_compared_are_refused(make_dataset: MakeDataset, tmp_path: Path) -> None:
    reader = grey_reader(tmp_path / "a1.onnx")
    detector = constant_network(tmp_path / "d.onnx", ("n", "h", "w", 3), [[0.0] * 9], {"openplate.kind": "detector"})
    folder = make_dataset([label("A1")])
    assert "expected two readers or two detectors, got reader and detector" in run(reader, detector, folder).stderr
    assert "beside the shipped one" in run("shipped", "shipped", folder).stderr
    assert "found no such file" in run(tmp_path / "none.onnx", reader, folder).stderr
    assert "got 3 times" in run(reader, reader, folder, *["--engine", "auto"] * 3).stderr


@pytest.mark.usefixtures("asked")
def test_bad_set_is_one_line_and_the_next_is_measured(make_dataset: MakeDataset, tmp_path: Path) -> None:
    a = grey_reader(tmp_path / "a1.onnx")
    result = run("shipped", a, tmp_path / "nowhere", make_dataset([label("A1")]))
    assert result.exit_code == 1
    assert "nowhere: expected a folder" in result.stderr
    assert "street" in result.stdout


@pytest.mark.usefixtures("asked")
def test_without_rapidfuzz_the_rest_is_compared_and_the_extra_named(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openplate.evaluate.characters", None)
    result = run("shipped", grey_reader(tmp_path / "a1.onnx"), make_dataset([label("A1")]))
    assert (result.exit_code, result.stdout.splitlines()[1].split()[:3]) == (0, ["street", "reader", "1"])
    assert "pip install 'openplate[evaluate]'" in result.stderr
