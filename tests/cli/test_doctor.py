import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from openplate import selftest, weights
from openplate.cli import main
from openplate.engine import open_network
from openplate.selftest import write_reference

NAMES = ("detector", "straightener", "reader", "end-to-end")
PARTS = ("end-to-end-straightener", "end-to-end-reader")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whole weights: networks that double, their reference and their checksums, in the place of the shipped ones."""
    taken, given = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
    model = helper.make_model(helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubled", [taken], [given]))
    model.opset_import[0].version = 17
    model.ir_version = 9
    for name in (*NAMES, *PARTS):
        onnx.save(model, tmp_path / f"{name}.onnx")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    monkeypatch.setattr(selftest, "AllFiles", open_network)  # networks that double have one file each
    write_reference({name: np.array([[1, 2]], np.float32) for name in NAMES})
    weights.write_checksums(tmp_path)
    return tmp_path


def test_whole_installation_has_no_fault_and_exit_code_0(folder: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--engine", "onnxruntime", "--json"])
    found = json.loads(result.stdout)
    assert (result.exit_code, found["faults"]) == (0, [])
    assert {name: (r["name"], r["device"], r["precision"], r["threads"]) for name, r in found["networks"].items()} == dict.fromkeys(
        NAMES, ("onnxruntime", "cpu", "fp32", 1)
    )
    assert [(t["network"], t["error"], t["passed"]) for t in found["selftest"]] == [(name, 0.0, True) for name in NAMES]


def test_table_names_what_runs(folder: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--engine", "onnxruntime"])
    assert result.exit_code == 0
    assert "reader        runs in onnxruntime, cpu, fp32, 1 thread" in result.stdout.splitlines()
    assert "weights       all files are as shipped" in result.stdout.splitlines()


def test_weights_files_are_told_with_size_and_checksum(folder: Path) -> None:
    (folder / "reader.onnx").write_bytes(b"abc")
    # SHA-256 of "abc", from FIPS 180-2, appendix B.1
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (
        f"weights       reader.onnx                           3 bytes  SHA-256 {digest[:12]}"
        in CliRunner().invoke(main, ["doctor"]).stdout.splitlines()
    )
    found = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)["weights"]
    assert list(found) == [*(f"{name}.onnx" for name in NAMES), *(f"{name}.onnx" for name in PARTS), "reference.npz"]
    assert found["reader.onnx"] == {"bytes": 3, "sha256": digest}


def test_missing_network_is_a_fault_and_exit_code_1(folder: Path) -> None:
    (folder / "reader.onnx").unlink()
    result = CliRunner().invoke(main, ["doctor", "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert len(found["faults"]) == 1
    assert "reader.onnx: the file is missing" in found["faults"][0]
    assert sorted(found["networks"]) == ["detector", "end-to-end", "straightener"]


def test_network_that_computes_something_else_fails_the_self_test(folder: Path) -> None:
    model = onnx.load(folder / "detector.onnx")
    model.graph.node[0].op_type = "Mul"
    onnx.save(model, folder / "detector.onnx")
    weights.write_checksums(folder)
    result = CliRunner().invoke(main, ["doctor", "--precision", "fp32", "--json"])
    # stored 2, 4; given 1, 4: off by 1 of 4
    assert json.loads(result.stdout)["faults"] == ["self-test: detector is off by 0.25, at most 0.001 is right"]
    assert result.exit_code == 1


def test_device_that_is_not_there_is_a_fault_for_every_network(folder: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--device", "tpu", "--json"])
    found = json.loads(result.stdout)
    assert (result.exit_code, found["networks"]) == (1, {})
    assert [fault.partition(":")[0] for fault in found["faults"]] == list(NAMES)
