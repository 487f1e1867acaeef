from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from openplate.engine import open_network
from openplate.export.simplify import simplify

SAMPLES = [np.arange(n * 6, dtype=np.float32).reshape(n, 6) for n in (2, 3)]


def model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    """A network of `(n, 6) float32` with one output `y`."""
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_model(helper.make_graph(nodes, "tiny", [taken], [given], stored), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, {"openplate.kind": "reader"})
    return made


def kinds(made: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in made.graph.node]


def run(made: onnx.ModelProto, path: Path, batch: np.ndarray) -> np.ndarray:
    onnx.save(made, str(path))
    return open_network(path, engine="onnxruntime")(batch)[0]


def test_half_weights_behind_a_cast_become_single_ones(tmp_path: Path) -> None:
    weights = np.arange(12, dtype=np.float16).reshape(6, 2)
    nodes = [helper.make_node("Cast", ["w_half"], ["w"], to=TensorProto.FLOAT), helper.make_node("MatMul", ["x", "w"], ["y"])]
    simple = simplify(model(nodes, {"w_half": weights}), SAMPLES)
    assert kinds(simple) == ["MatMul"]
    (stored,) = simple.graph.initializer
    assert (stored.name, stored.data_type) == ("w", TensorProto.FLOAT)
    # Row 0 of the first sample is 0 … 5: its products with the columns 0 2 4 … and 1 3 5 … are 110 and 125.
    assert run(simple, tmp_path / "s.onnx", SAMPLES[0])[0].tolist() == [110.0, 125.0]


def test_size_computed_from_the_batch_leaves_one_free_axis(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["n"]),
        helper.make_node("Concat", ["n", "three", "two"], ["size"], axis=0),
        helper.make_node("Reshape", ["x", "size"], ["y"]),
    ]
    constants = {"zero": np.array([0]), "three": np.array([3]), "two": np.array([2])}
    simple = simplify(model(nodes, constants), SAMPLES)
    assert kinds(simple) == ["Reshape"]
    assert numpy_helper.to_array(simple.graph.initializer[0]).tolist() == [-1, 3, 2]
    assert run(simple, tmp_path / "s.onnx", np.zeros((5, 6), np.float32)).shape == (5, 3, 2)


def test_number_that_is_the_same_for_every_input_becomes_a_constant(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["columns"]),
        helper.make_node("Div", ["columns", "two"], ["half"]),
        helper.make_node("Slice", ["x", "zero", "half", "one"], ["y"]),
    ]
    simple = simplify(model(nodes, {"zero": np.array([0]), "one": np.array([1]), "two": np.array([2])}), SAMPLES)
    assert kinds(simple) == ["Slice"]
    assert run(simple, tmp_path / "s.onnx", SAMPLES[1]).tolist() == SAMPLES[1][:, :3].tolist()


def test_reshape_beside_a_number_that_is_always_the_same_has_a_constant_size(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["n"]),
        helper.make_node("Gather", ["shape", "one"], ["columns"]),
        helper.make_node("Div", ["columns", "two"], ["half"]),
        helper.make_node("Concat", ["n", "two", "half"], ["size"], axis=0),
        helper.make_node("Slice", ["x", "zero", "columns", "one"], ["sliced"]),
        helper.make_node("Reshape", ["sliced", "size"], ["y"]),
    ]
    given = model(nodes, {"zero": np.array([0]), "one": np.array([1]), "two": np.array([2])})
    simple = simplify(given, SAMPLES)
    assert kinds(simple) == ["Slice", "Reshape"]
    assert np.array_equal(run(simple, tmp_path / "s.onnx", SAMPLES[1]), SAMPLES[1].reshape(-1, 2, 3))


def test_number_that_differs_between_inputs_stays_computed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["n"]),
        helper.make_node("Slice", ["x", "one", "n", "zero"], ["y"]),
    ]
    simple = simplify(model(nodes, {"zero": np.array([0]), "one": np.array([1])}), SAMPLES)
    assert kinds(simple) == ["Shape", "Gather", "Slice"]
    assert run(simple, tmp_path / "s.onnx", SAMPLES[1]).tolist() == SAMPLES[1][1:].tolist()


def recurrent(state: float) -> onnx.ModelProto:
    """`(n, 6)` → an LSTM of two units over six steps of one number, whose first states are `state`."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0]),
        helper.make_node("Unsqueeze", ["turned", "last"], ["steps"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["n"]),
        helper.make_node("Concat", ["one", "n", "two"], ["size"], axis=0),
        helper.make_node("ConstantOfShape", ["size"], ["state"], value=numpy_helper.from_array(np.array([state], np.float32))),
        helper.make_node("LSTM", ["steps", "w", "r", "b", "", "state", "state"], ["y"], hidden_size=2),
    ]
    constants = {"w": (1, 8, 1), "r": (1, 8, 2), "b": (1, 16)}
    drawn = {name: rng.normal(size=shape).astype(np.float32) for name, shape in constants.items()}
    return model(nodes, drawn | {"last": np.array([2]), "zero": np.array([0]), "one": np.array([1]), "two": np.array([2])})


def test_first_states_of_zeros_are_left_out_and_others_stay(tmp_path: Path) -> None:
    simple = simplify(recurrent(0.0), SAMPLES)
    assert kinds(simple) == ["Transpose", "Unsqueeze", "LSTM"]
    expected = run(recurrent(0.0), tmp_path / "m.onnx", SAMPLES[1])
    assert np.array_equal(run(simple, tmp_path / "s.onnx", SAMPLES[1]), expected)
    assert "ConstantOfShape" in kinds(simplify(recurrent(0.5), SAMPLES))


def test_names_metadata_and_the_model_given_stay_as_they_are() -> None:
    given = model([helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Relu", ["r"], ["y"])], {"unused": np.zeros(3, np.float32)})
    before = given.SerializeToString()
    simple = simplify(given, SAMPLES)
    assert given.SerializeToString() == before
    assert len({node.name for node in simple.graph.node}) == 2 and all(node.name for node in simple.graph.node)
    assert [(p.key, p.value) for p in simple.metadata_props] == [("openplate.kind", "reader")]
    assert (simple.graph.input[0].name, simple.graph.output[0].name) == ("x", "y")
    assert not simple.graph.initializer


@pytest.mark.parametrize("kind", ["reader", "detector", "straightener"])
def test_exported_network_computes_the_same_from_fewer_nodes(kind: str, exported: dict, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {"reader": [(2, 48, 192), (3, 48, 192)], "detector": [(1, 128, 192, 3), (2, 192, 320, 3)], "straightener": [(2, 48, 128), (3, 48, 128)]}
    samples = [rng.integers(0, 256, shape, np.uint8) for shape in shapes[kind]]
    given = onnx.load(str(exported[kind].target))
    simple = simplify(given, samples)
    assert len(simple.graph.node) < len(given.graph.node)
    assert "Shape" not in kinds(simple) or kind == "detector"
    onnx.save(simple, str(tmp_path / "s.onnx"))
    other = rng.integers(0, 256, (4, 256, 64, 3) if kind == "detector" else (5, *shapes[kind][0][1:]), np.uint8)
    for engine in ("onnxruntime", "openvino"):
        expected, got = (open_network(path, engine=engine, precision="fp32")(other)[0] for path in (exported[kind].target, tmp_path / "s.onnx"))
        assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()
