import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openplate.dataset import load_dataset
from openplate.errors import ConfigError
from openplate.evaluate.bench_network import NetworkMeasurement, NetworkOutcome, NetworkSetup, Times
from openplate.evaluate.model_results import NetworkFacts, load_results, store_results
from openplate.evaluate.run import evaluate
from openplate.evaluate.summary import Part, Report
from openplate.geometry import box_to_quad
from openplate.types import EngineReport
from tests.conftest import BOX, FakePipeline, label, plate, reading

FACTS = NetworkFacts("crnn", "reader", "reader.onnx", "ab" * 32, 4_000_000, 2_000_000, 356_000_000, (1, 48, 192), "float")
MakeDataset = Callable[..., Path]


def report(folder: Path, text: str = "A1", part: Part = "reader") -> Report:
    return evaluate(FakePipeline([plate(box_to_quad(*BOX), text, 0.9)], [reading(text, 0.9)]), load_dataset(folder), part=part)


def speed(batch: int, median: float, precision: str = "bf16") -> NetworkOutcome:
    times = Times(median, median, median)
    engine = EngineReport("openvino", "1", "cpu", precision, 1)
    return NetworkOutcome(
        NetworkSetup("reader.onnx", batch=batch), NetworkMeasurement(engine, (batch, 48, 192), times, times, 1.0, 1.0, None, "a CPU"), None
    )


def test_sets_and_speeds_gather_in_one_file(make_dataset: MakeDataset, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "crnn.json"
    store_results(path, FACTS, reports=[report(make_dataset([label("A1")], name="one"))], settings="part reader")
    store_results(path, FACTS, reports=[report(make_dataset([label("B1")], name="two"))])
    store_results(path, FACTS, speeds=[speed(8, 0.5), speed(1, 1.5), NetworkOutcome(NetworkSetup("reader.onnx"), None, "no such engine")])
    found = load_results(path)
    assert {name: one["reading"]["exact"]["right"] for name, one in found["sets"].items()} == {"one": 1, "two": 0}
    assert found["sets"]["one"]["reading"]["settings"] == "part reader"
    assert found["sets"]["two"]["reading"]["cer"] == 0.5
    assert [(s["batch"], s["image_ms"]["median"]) for s in found["speeds"]] == [(1, 1.5), (8, 0.5)]
    assert found["network"]["parameters"] == 2_000_000


def test_what_is_measured_again_replaces_the_older(make_dataset: MakeDataset, tmp_path: Path) -> None:
    path = tmp_path / "crnn.json"
    folder = make_dataset([label("A1")])
    store_results(path, FACTS, reports=[report(folder, "B1")], speeds=[speed(1, 1.5), speed(1, 3.0, "fp32")])
    store_results(path, replace(FACTS, note="stopped early"), reports=[report(folder, "A1", part="all")], speeds=[speed(1, 1.0)])
    store_results(path, FACTS)
    found = load_results(path)
    assert found["sets"]["street"]["reading"]["exact"]["right"] == 1
    assert found["sets"]["street"]["end_to_end"]["exact"]["right"] == 1
    assert [(s["engine"]["precision"], s["image_ms"]["median"]) for s in found["speeds"]] == [("bf16", 1.0), ("fp32", 3.0)]
    assert found["network"]["note"] == "stopped early"


def test_name_and_note_stay_until_others_are_given(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for name, note in (("crnn", "young"), ("reader", ""), ("deep", "old"), ("reader", "")):
        store_results(path, replace(FACTS, name=name, note=note))
    assert (load_results(path)["network"]["name"], load_results(path)["network"]["note"]) == ("deep", "old")


def test_results_of_two_networks_are_never_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "crnn.json"
    store_results(path, FACTS)
    with pytest.raises(ConfigError, match=r"results of another network \(reader.onnx\)"):
        store_results(path, replace(FACTS, sha256="cd" * 32))
    assert load_results(path)["network"]["sha256"] == FACTS.sha256


@pytest.mark.parametrize("content", ["", "[]", '{"version": 2, "network": {}, "sets": {}, "speeds": []}', '{"version": 1, "sets": {}}'])
def test_file_that_keeps_no_results_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="expected results of a network"):
        store_results(path, FACTS)
    assert path.read_text() == content


def test_file_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        store_results(tmp_path / "file" / "x.json", FACTS)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_file_is_json_that_a_person_can_read(tmp_path: Path) -> None:
    store_results(tmp_path / "x.json", FACTS)
    text = (tmp_path / "x.json").read_text(encoding="utf8")
    data: dict[str, Any] = json.loads(text)
    assert list(data) == ["version", "network", "sets", "speeds"]
    assert text.count("\n") > 10
