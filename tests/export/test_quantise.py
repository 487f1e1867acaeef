from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from openplate.engine import open_network
from openplate.errors import WeightsError
from openplate.export.int8 import halve_exact_weights
from openplate.export.material import samples
from openplate.export.quantise import floating_nodes, is_quantised, quantise, quantised_layers
from openplate.export.simplify import simplify
from tests.export.conftest import Exported


def chain(*kinds: str) -> onnx.GraphProto:
    """Nodes one behind the other, named by their kind and place: `Conv0`, `Relu1` …; every Conv has a weight."""
    nodes = []
    for place, kind in enumerate(kinds):
        inputs = [f"t{place}", f"w{place}"] if kind in ("Conv", "Add", "Div") else [f"t{place}"]
        nodes.append(helper.make_node(kind, inputs, [f"t{place + 1}"], name=f"{kind}{place}"))
    return helper.make_graph(nodes, "chain", [], [])


def test_only_what_lies_between_convolutions_is_quantised() -> None:
    graph = chain("Div", "Conv", "Relu", "Conv", "Relu", "Conv", "Softmax")
    assert floating_nodes(graph, 0) == ["Div0", "Softmax6"]
    assert floating_nodes(graph, 1) == ["Div0", "Conv1", "Relu2", "Softmax6"]
    assert floating_nodes(graph, 2) == ["Div0", "Conv1", "Relu2", "Conv3", "Relu4", "Softmax6"]


def test_delicate_kinds_stay_floating_between_convolutions_too() -> None:
    assert floating_nodes(chain("Conv", "Div", "Relu", "Conv", "Add", "Conv"), 0) == ["Div1"]


def test_branch_that_leads_to_no_convolution_stays_floating() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="to_second"),
        helper.make_node("Conv", ["b", "v"], ["c"], name="second"),
        helper.make_node("Sigmoid", ["a"], ["d"], name="aside"),
    ]
    assert floating_nodes(helper.make_graph(nodes, "fork", [], []), 0) == ["aside"]


def normalised() -> onnx.GraphProto:
    """A convolution, its features over the root of their mean square, and another one."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
        helper.make_node("Mul", ["a", "a"], ["square"], name="square"),
        helper.make_node("ReduceMean", ["square"], ["mean"], name="mean", axes=[1], keepdims=1),
        helper.make_node("Add", ["mean", "least"], ["sum"], name="sum"),
        helper.make_node("Sqrt", ["sum"], ["root"], name="root"),
        helper.make_node("Div", ["a", "root"], ["b"], name="over"),
        helper.make_node("Conv", ["b", "v"], ["y"], name="second"),
    ]
    taken = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2, 4, 4])
    given = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 2, 4, 4])
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.normal(size=(2, 2, 1, 1)).astype(np.float32), name) for name in "wv"]
    return helper.make_graph(nodes, "normalised", [taken], [given], [*weights, numpy_helper.from_array(np.float32([1e-3]), "least")])


def test_squares_and_what_is_summed_of_their_means_stay_floating() -> None:
    assert floating_nodes(normalised(), 0) == ["square", "mean", "sum", "root", "over"]
    model = helper.make_model(normalised(), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    batches = [np.random.default_rng(i).normal(size=(1, 2, 4, 4)).astype(np.float32) for i in range(3)]
    assert quantised_layers(quantise(model, batches, 0, fast=True)) == 2  # with a square among what is quantised NNCF ends in an error


def test_too_few_convolutions_are_an_error() -> None:
    with pytest.raises(WeightsError, match="more than 2 convolutions, this one has 2"):
        floating_nodes(chain("Conv", "Relu", "Conv"), 2)


@pytest.fixture(scope="module")
def reader(exported: dict[str, Exported]) -> onnx.ModelProto:
    simple = simplify(onnx.load(str(exported["reader"].target)), samples("reader"))
    rng = np.random.default_rng(0)
    return quantise(simple, [rng.integers(0, 256, (1, 48, 192), np.uint8) for _ in range(4)], 1)


def test_all_convolutions_but_the_first_get_whole_numbers(reader: onnx.ModelProto) -> None:
    # The reader has 11 convolutions; its LSTM and its last layer stay floating point.
    assert sum(node.op_type == "Conv" for node in reader.graph.node) == 11
    assert quantised_layers(reader) == 10
    assert is_quantised(reader)
    stored = {t.name: t for t in reader.graph.initializer}
    (recurrent,) = [node for node in reader.graph.node if node.op_type == "LSTM"]
    assert all(stored[name].data_type == onnx.TensorProto.FLOAT for name in recurrent.input[1:4])


@pytest.mark.parametrize(("engine", "precision"), [("onnxruntime", "fp32+int8"), ("openvino", "fp32+int8")])
def test_one_file_runs_in_int8_on_both_engines(
    reader: onnx.ModelProto, exported: dict[str, Exported], tmp_path: Path, engine: str, precision: str
) -> None:
    onnx.save(reader, str(tmp_path / "q.onnx"))
    network = open_network(tmp_path / "q.onnx", engine=engine, precision="fp32")
    assert network.report.precision == precision
    crops = np.random.default_rng(1).integers(0, 256, (3, 48, 192), np.uint8)
    (expected,) = open_network(exported["reader"].target, engine="onnxruntime")(crops)
    (got,) = network(crops)
    assert np.abs(np.exp(got) - np.exp(expected)).mean() < 0.01
    assert not np.array_equal(got, expected)
    assert network.metadata["openplate.kind"] == "reader"


def test_batch_changes_nothing(reader: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(reader, str(tmp_path / "q.onnx"))
    crops = np.random.default_rng(1).integers(0, 256, (4, 48, 192), np.uint8)
    for engine in ("onnxruntime", "openvino"):
        network = open_network(tmp_path / "q.onnx", engine=engine)
        (together,) = network(crops)
        assert all(np.abs(network(crops[i : i + 1])[0][0] - together[i]).max() < 1e-3 for i in range(4))


def test_large_weights_are_halved_only_where_that_loses_nothing() -> None:
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(64, 64)).astype(np.float16).astype(np.float32)
    tensors = {"exact": exact, "inexact": rng.normal(size=(64, 64)).astype(np.float32), "small": exact[:4, :4].copy(), "scale": exact}
    nodes = [helper.make_node("MatMul", ["x", "exact"], ["y"]), helper.make_node("QuantizeLinear", ["y", "scale"], ["q"])]
    graph = helper.make_graph(nodes, "g", [], [], [numpy_helper.from_array(array, name) for name, array in tensors.items()])
    smaller = halve_exact_weights(helper.make_model(graph)).graph
    kinds = {t.name: t.data_type for t in smaller.initializer}
    assert kinds == {"exact_half": onnx.TensorProto.FLOAT16} | dict.fromkeys(["inexact", "small", "scale"], onnx.TensorProto.FLOAT)
    assert [(node.op_type, node.output[0]) for node in smaller.node] == [("Cast", "exact"), ("MatMul", "y"), ("QuantizeLinear", "q")]


def test_biases_are_corrected_the_fast_way_where_the_slow_one_loses_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    import nncf

    tried: list[bool] = []
    quantises = nncf.quantize

    def lose(*given: object, fast_bias_correction: bool, **options: object) -> object:
        tried.append(fast_bias_correction)
        if not fast_bias_correction:
            raise KeyError("/stages.2/Conv")
        return quantises(*given, fast_bias_correction=True, **options)

    monkeypatch.setattr(nncf, "quantize", lose)
    model = helper.make_model(normalised(), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    batches = [np.random.default_rng(i).normal(size=(1, 2, 4, 4)).astype(np.float32) for i in range(2)]
    assert quantised_layers(quantise(model, batches, 0)) == 2
    assert tried == [False, True]
