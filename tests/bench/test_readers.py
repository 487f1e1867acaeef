import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner
from torch import nn

ROOT = Path(__file__).parents[2]
CONFIG = 'network = "residual"\nwidth = 0.25\n'


@pytest.fixture(scope="module")
def readers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_readers", ROOT / "bench" / "readers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_multiply_adds_are_counted_by_layer(readers: ModuleType) -> None:
    # 24×96 places × 8 channels × 3×3 of one channel; then channel by channel: 8 channels × 3×3 each.
    assert readers.count_macs(nn.Conv2d(1, 8, 3, 2, 1), torch.zeros(1, 1, 48, 192)) == 24 * 96 * 8 * 9
    assert readers.count_macs(nn.Conv2d(8, 8, 3, 1, 1, groups=8), torch.zeros(1, 8, 4, 4)) == 16 * 8 * 9
    assert readers.count_macs(nn.Linear(5, 3), torch.zeros(1, 7, 5)) == 7 * 5 * 3
    # A step of an LSTM: four gates of 6 units, each over 5 inputs and 6 of its own outputs; in two directions, over 7 steps of 2 rows.
    assert readers.count_macs(nn.LSTM(5, 6, batch_first=True, bidirectional=True), torch.zeros(2, 7, 5)) == 2 * 7 * 2 * 4 * 6 * (5 + 6)
    assert readers.count_macs(nn.GRU(5, 6, batch_first=True), torch.zeros(1, 7, 5)) == 7 * 3 * 6 * (5 + 6)


def test_networks_take_turns_and_warm_up_is_not_counted(readers: ModuleType) -> None:
    order: list[str] = []
    networks = [lambda crops, name=name: order.append(f"{name}{len(crops)}") for name in "ab"]
    times = readers.time_in_turns(networks, batch=8, runs=2, warm_up=1)
    assert order == ["a8", "b8"] * 3
    assert [len(row) for row in times] == [2, 2]


def test_config_checkpoint_and_file_are_measured_alike(readers: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(CONFIG)
    measured, exported = readers.prepare(tmp_path / "small.toml", tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "small.pt").rename(tmp_path / "run" / "best.pt")
    exported.rename(tmp_path / "file.onnx")
    paths = [str(tmp_path / name) for name in ("small.toml", "run/best.pt", "file.onnx")]
    result = CliRunner().invoke(readers.main, [*paths, "--runs", "2", "--warm-up", "0", "--json", str(tmp_path / "out.json")])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out.json").read_text())["readers"]
    assert [(r["name"], r["network"]) for r in found] == [("small", "residual"), ("run", "residual"), ("file", "exported")]
    assert found[0]["parameters"] == found[1]["parameters"] == measured.parameters
    assert (found[2]["parameters"], found[2]["macs"]) == (None, None)
    assert len({r["file_bytes"] for r in found}) == 1
    assert [(s["engine"], s["batch"]) for s in found[0]["speeds"]] == [("openvino", 1), ("openvino", 8), ("onnxruntime", 1), ("onnxruntime", 8)]
    assert all(0 < s["fastest_ms"] <= s["median_ms"] for r in found for s in r["speeds"])
    table = result.stdout.splitlines()
    assert len(table) == 5 and table[0].startswith("| reader | network ") and table[4].startswith("| file   | exported | -  ")


def test_network_that_is_no_reader_is_one_line(readers: ModuleType, tmp_path: Path) -> None:
    torch.save({"kind": "detector", "settings": {"width": 0.25}, "network": {}, "step": 0}, tmp_path / "best.pt")
    result = CliRunner().invoke(readers.main, [str(tmp_path / "best.pt")])
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path / 'best.pt'}: expected a reader, got a detector\n"
