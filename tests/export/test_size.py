from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from openplate.errors import WeightsError
from openplate.export.size import network_facts, network_size
from openplate.weights import network_path, sha256
from tests.networks import grey_reader


def save(path: Path, nodes: list[onnx.NodeProto], constants: dict[str, NDArray[np.generic]], shape: tuple[str | int, ...]) -> Path:
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "tiny", [taken], [given], [numpy_helper.from_array(value, name) for name, value in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


def ones(*shape: int) -> NDArray[np.float32]:
    return np.ones(shape, np.float32)


def test_convolution_counts_its_kernel_at_every_place(tmp_path: Path) -> None:
    """3 → 8 channels, 3×3, stride 2 on 8×8: 4·4 places × 8 × 27; then a grouped 1×1 of 2 groups: 16 × 6 × 4."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["m"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node("Conv", ["r", "v"], ["y"], group=2),
    ]
    path = save(tmp_path / "a.onnx", nodes, {"w": ones(8, 3, 3, 3), "b": ones(8), "v": ones(6, 4, 1, 1)}, ("n", 3, "h", "w"))
    size = network_size(path, (1, 3, 8, 8))
    assert (size.parameters, size.macs, size.weights) == (216 + 8 + 24, 16 * 8 * 27 + 16 * 6 * 4, "float")
    assert network_size(path, (2, 3, 8, 16)).macs == 4 * size.macs


def test_products_and_recurrent_layers_are_counted(tmp_path: Path) -> None:
    """A product of 5 × 6 by 6 × 4, then an LSTM of 4 → 3 in both directions over 5 steps: 5 · 2 · 12 · (4 + 3)."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("LSTM", ["m", "wx", "wh"], ["y"], hidden_size=3, direction="bidirectional"),
    ]
    path = save(tmp_path / "a.onnx", nodes, {"w": ones(6, 4), "wx": ones(2, 12, 4), "wh": ones(2, 12, 3)}, (5, "n", 6))
    assert network_size(path, (5, 1, 6)).macs == 5 * 4 * 6 + 5 * 2 * 12 * 7
    gemm = [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)]
    assert network_size(save(tmp_path / "b.onnx", gemm, {"w": ones(7, 6)}, ("n", 6)), (2, 6)).macs == 2 * 7 * 6


def test_int8_weights_are_told_and_their_scales_are_no_parameters(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["v"], axis=0),
        helper.make_node("Conv", ["x", "v"], ["y"]),
    ]
    constants = {"w": np.ones((8, 3, 1, 1), np.int8), "scale": ones(8), "zero": np.zeros(8, np.int8)}
    size = network_size(save(tmp_path / "a.onnx", nodes, constants, (1, 3, 4, 4)), (1, 3, 4, 4))
    assert (size.parameters, size.macs, size.weights) == (24, 16 * 24, "int8")


def test_sizes_that_the_graph_computes_are_followed() -> None:
    # The detector slices and reshapes by shapes that it computes; only running it tells them all.
    size = network_size(network_path("detector"), (1, 64, 128, 3))
    assert size.macs > 10_000_000
    assert network_size(network_path("detector"), (1, 128, 128, 3)).macs == 2 * size.macs


def test_facts_name_the_file_and_what_it_holds(tmp_path: Path) -> None:
    path = grey_reader(tmp_path / "tiny.onnx")
    facts = network_facts(path)
    assert (facts.name, facts.kind, facts.file, facts.sha256, facts.bytes) == ("tiny", "reader", "tiny.onnx", sha256(path), path.stat().st_size)
    assert (facts.shape, facts.macs, facts.note) == ((1, 48, 192), 0, "")
    assert network_facts(path, "grey", "a toy").name == "grey"


def test_file_that_is_no_network_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\x00not a network")
    with pytest.raises(WeightsError, match="expected a network"):
        network_size(tmp_path / "bad.onnx", (1,))
    with pytest.raises(WeightsError, match="expected a network"):
        network_size(tmp_path / "none.onnx", (1,))
