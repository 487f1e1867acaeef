import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

SCRIPT = Path(__file__).parents[2] / "bench" / "model_table.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("model_table", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rate(right: int, total: int) -> dict[str, Any]:
    return {"right": right, "total": total}


def reading(right: int, total: int, cer: float, precision: str = "fp32") -> dict[str, Any]:
    found = {"exact": rate(right, total), "characters": rate(0, 8 * total), "cer": cer, "engine": engine("openvino", precision)}
    return {"images": total, "plates": total, "reading": found}


def engine(name: str, precision: str, threads: int = 1) -> dict[str, Any]:
    return {"name": name, "version": "9", "device": "cpu", "precision": precision, "threads": threads}


def speed(name: str, precision: str, batch: int, median: float, threads: int = 1) -> dict[str, Any]:
    return {
        "engine": engine(name, precision, threads),
        "batch": batch,
        "shape": [batch, 48, 192],
        "image_ms": {"median": median, "mean": median, "p95": 2 * median},
        "peak_memory_mb": 150.4,
        "cpu": "a CPU",
    }


def model(name: str, sets: dict[str, Any], speeds: list[dict[str, Any]], kind: str = "reader", **changes: Any) -> dict[str, Any]:
    network = {"name": name, "kind": kind, "file": f"{name}.onnx", "sha256": name, "bytes": 4_133_260, "parameters": 2_059_438}
    network |= {"macs": 356_474_880, "shape": [1, 48, 192], "weights": "float", "note": ""} | changes
    return {"version": 1, "network": network, "sets": sets, "speeds": speeds}


CRNN = model(
    "crnn",
    {"ru_street": reading(90, 100, 0.02), "us_cars": reading(5, 10, 0.10), "drawn_tilted": reading(3, 4, 0.05)},
    [
        speed("openvino", "bf16", 1, 1.5),
        speed("openvino", "fp32", 1, 3.0),
        speed("openvino", "bf16", 8, 0.75),
        speed("openvino", "bf16", 1, 0.1, threads=4),
    ],
)
LPRNET = model(
    "lprnet", {"ru_street": reading(95, 100, 0.01), "drawn_tilted": reading(1, 4, 0.5)}, [speed("onnxruntime", "fp32", 1, 7.25)], note="stopped early"
)
BLOCK = "before\n<!-- models reader {} -->\nold\n<!-- /models -->\nafter\n"


def rows(script: ModuleType, table: str, *models: dict[str, Any], kind: str = "reader") -> list[list[str]]:
    text = script.fill(BLOCK.format(table).replace("reader", kind), models)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]


def test_which_table_sums_photos_and_keeps_drawn_sets_apart(script: ModuleType) -> None:
    """95 of 110 photos' plates; CER (0.02 · 800 + 0.10 · 80) / 880; drawn 3 of 4. A network that misses a set has no sum."""
    heading, _, crnn, lprnet = rows(script, "which", CRNN, LPRNET)
    assert heading[:4] == ["reader", "weights", "parameters", "file"]
    assert heading[-4:] == ["photos, exact %", "photos, CER %", "drawn_tilted, exact %", "note"]
    assert crnn == ["crnn", "float", "2.06 M", "4.1 MB", "1.50 / 0.75", "- / -", "86.4 (78.7-91.6)", "2.73", "75.0 (30.1-95.4)", ""]
    assert lprnet[4:] == ["- / -", "7.25 / -", "-", "-", "25.0 (4.6-69.9)", "stopped early"]


def test_sets_table_has_a_column_a_set_photos_first(script: ModuleType) -> None:
    heading, _, crnn, lprnet = rows(script, "sets", LPRNET, CRNN)
    assert heading == ["reader", "weights", "ru_street, 100 plates", "us_cars, 10 plates", "drawn_tilted, 4 plates"]
    assert lprnet == ["lprnet", "float", "95.0 (1.00)", "-", "25.0 (50.00)"]
    assert crnn == ["crnn", "float", "90.0 (2.00)", "50.0 (10.00)", "75.0 (5.00)"]


def test_tables_say_in_which_precision_sets_were_measured(script: ModuleType) -> None:
    quantised = model("crnn", {"ru_street": reading(90, 100, 0.02, "fp32+int8")}, [], weights="int8")
    mixed = model("crnn", {"ru_street": reading(90, 100, 0.02), "us_cars": reading(1, 2, 0.1, "bf16")}, [])
    for table in ("which", "sets"):
        text = script.fill(BLOCK.format(table), [quantised, mixed])
        assert "Sets measured in OpenVINO bf16, OpenVINO fp32 (float); OpenVINO fp32+int8 (int8)." in text


def test_speed_table_has_a_row_a_batch_for_one_thread(script: ModuleType) -> None:
    heading, _, *found = rows(script, "speed", CRNN, LPRNET)
    assert heading == ["reader", "weights", "parameters", "multiply-adds", "file", "batch", "OpenVINO bf16", "OpenVINO fp32", "ONNX Runtime fp32"]
    assert [row[:1] + row[5:] for row in found] == [
        ["crnn", "1", "1.50 (3.00), 150 MB", "3.00 (6.00), 150 MB", "-"],
        ["crnn", "8", "0.75 (1.50), 150 MB", "-", "-"],
        ["lprnet", "1", "-", "-", "7.25 (14.50), 150 MB"],
    ]


def test_shipped_network_is_marked_and_comes_first(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "checksums", lambda: {"reader.onnx": "worse"})
    worse = model("worse", {"ru_street": reading(1, 100, 0.5)}, [])
    better = model("better", {"ru_street": reading(99, 100, 0.5)}, [])
    good = model("good", {"ru_street": reading(50, 100, 0.5)}, [])
    assert [row[0] for row in rows(script, "which", good, better, worse)[2:]] == ["**worse** (shipped)", "better", "good"]


def test_detectors_have_recall_and_map(script: ModuleType) -> None:
    found = {"recall": rate(98, 100), "matched": rate(98, 140), "map50_95": 0.5432, "engine": engine("openvino", "bf16")}
    detector = model("yolo", {"ru_street": {"images": 90, "plates": 100, "detection": found}}, [], "detector")
    heading, _, row = rows(script, "which", detector, CRNN, kind="detector")
    assert (heading[0], heading[-2:]) == ("detector", ["photos, recall %", "photos, matched %"])
    assert row[-2:] == ["98.0 (93.0-99.4)", "70.0 (62.0-77.0)"]
    assert rows(script, "sets", detector, kind="detector")[2] == ["yolo", "float", "98.0 (0.543)"]


def test_only_what_stands_between_the_marks_changes(script: ModuleType) -> None:
    text = script.fill(BLOCK.format("sets"), [CRNN])
    assert text.startswith("before\n<!-- models reader sets -->\n| reader |")
    assert text.endswith("\n<!-- /models -->\nafter\n")
    assert "old" not in text
    assert script.fill(text, [CRNN]) == text


def test_document_without_a_place_or_with_an_unknown_table_is_refused(script: ModuleType) -> None:
    with pytest.raises(click.ClickException, match="expected a line such as"):
        script.fill("nothing here", [CRNN])
    with pytest.raises(click.ClickException, match="expected a kind with results, and one of which, sets, speed"):
        script.fill(BLOCK.format("best"), [CRNN])
    with pytest.raises(click.ClickException, match="expected a kind with results"):
        script.fill(BLOCK.format("which").replace("reader", "detector"), [CRNN])


def run(script: ModuleType, *arguments: str | Path) -> Result:
    return CliRunner().invoke(script.main, [str(argument) for argument in arguments])


def test_documents_are_written_and_then_checked(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results/crnn.json").write_text(json.dumps(CRNN))
    document = tmp_path / "MODELS.md"
    document.write_text(BLOCK.format("which"))
    folder = ("--results", tmp_path / "results")
    stale = run(script, document, *folder, "--check")
    assert (stale.exit_code, document.read_text()) == (1, BLOCK.format("which"))
    assert "run python bench/model_table.py" in stale.stderr
    assert run(script, document, *folder).exit_code == 0
    assert "| crnn |" in document.read_text()
    assert run(script, document, *folder, "--check").exit_code == 0


def test_no_results_or_damaged_ones_are_one_line(script: ModuleType, tmp_path: Path) -> None:
    document = tmp_path / "MODELS.md"
    document.write_text(BLOCK.format("which"))
    assert "found none" in run(script, document, "--results", tmp_path).stderr
    (tmp_path / "x.json").write_text("{}")
    result = run(script, document, "--results", tmp_path)
    assert result.exit_code == 1
    assert "x.json: expected results of a network" in result.stderr


def test_tables_of_this_project_say_what_its_results_say(script: ModuleType) -> None:
    root = SCRIPT.parents[1]
    models = [script.load_results(path) for path in sorted((root / "bench/results").glob("*.json"))]
    for name in ("README.md", "MODELS.md"):
        text = (root / name).read_text(encoding="utf8")
        places = script.BLOCK.findall(text)
        assert not places or script.fill(text, models) == text, f"run python bench/model_table.py {name}"
