"""An ONNX model in; a model that computes the same from plainer nodes out, as quantisation needs it.

Weights that are stored as float16 behind a cast become float32, sizes that are the same for every input become constants, and nodes that nothing
needs go. A reshape whose size is computed from its input's own shape is not only slower: OpenVINO 2026.4 gave wrong outputs for an INT8 network with such
shapes, a recurrent layer and a free batch (a bias went missing), and right ones after this.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper, save

from openplate.engine import open_joint_network

_FLOATS = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


Inputs = NDArray[Any] | tuple[NDArray[Any], ...]
"""What a model takes: its one input, or all of them in their order."""


def simplify(model: ModelProto, samples: Sequence[Inputs]) -> ModelProto:
    """A simpler copy of a model.

    Args:
        model: the model; the copy keeps its inputs, outputs, names and metadata.
        samples: two inputs (batches) that the model takes and that differ in every axis whose length is free: what is alike for both is taken for constant.

    Raises:
        EngineError: ONNX Runtime is not installed.
    """
    simpler = ModelProto()
    simpler.CopyFrom(model)
    graph = simpler.graph
    _name_nodes(graph)
    _fold_constants(graph)
    _drop_zero_states(graph)
    _fix_sizes(simpler, samples)
    _prune(graph)
    return simpler


def _name_nodes(graph: GraphProto) -> None:
    """Gives every node a name of its own: quantisation tells nodes by them."""
    taken: set[str] = set()
    for place, node in enumerate(graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{place}_{node.output[0]}"
        taken.add(node.name)


def _fold_constants(graph: GraphProto) -> None:
    """Constants, identities and casts of stored tensors become stored tensors themselves."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept: list[NodeProto] = []
    for node in graph.node:
        values = {a.name: a for a in node.attribute}
        known = bool(node.input) and node.input[0] in stored
        if node.op_type == "Constant" and "value" in values:
            array = numpy_helper.to_array(values["value"].t)
        elif node.op_type == "Identity" and known:
            array = stored[node.input[0]]
        elif node.op_type == "Cast" and known and values["to"].i == TensorProto.FLOAT:
            array = stored[node.input[0]].astype(np.float32)
        else:
            kept.append(node)
            continue
        stored[node.output[0]] = array
        graph.initializer.append(numpy_helper.from_array(np.asarray(array), node.output[0]))
    _replace_nodes(graph, kept)


def _drop_zero_states(graph: GraphProto) -> None:
    """Recurrent layers start from zero by themselves: first states that are only zeros of a computed size are left out."""
    made = {output: node for node in graph.node for output in node.output}

    def is_zero(name: str) -> bool:
        node = made.get(name)
        if node is None or node.op_type != "ConstantOfShape":
            return not name
        return all(not numpy_helper.to_array(a.t).any() for a in node.attribute if a.name == "value")

    for node in graph.node:
        if node.op_type in ("LSTM", "GRU", "RNN") and all(is_zero(name) for name in node.input[5:7]):
            inputs = [*node.input[:5], *("" for _ in node.input[5:7]), *node.input[7:]]
            while inputs and not inputs[-1]:
                inputs.pop()
            del node.input[:]
            node.input.extend(inputs)


def _fix_sizes(model: ModelProto, samples: Sequence[Inputs]) -> None:
    """Whole numbers computed from shapes become constants where both samples give the same; so do the sizes of reshapes with one free axis at most."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    sizes: list[str] = []
    derived: set[str] = set()
    for node in graph.node:
        if node.op_type == "Shape" or (node.input and all(not name or name in derived or name in stored for name in node.input)):
            derived.update(node.output)
            sizes.extend(node.output)
    needed = {name for node in graph.node for name in node.input if not set(node.output) <= derived}
    sizes = [name for name in sizes if name in needed]
    reshapes = [node for node in graph.node if node.op_type == "Reshape" and node.output[0] not in derived]
    wanted = [*sizes, *(node.output[0] for node in reshapes)]
    if not wanted:
        return
    kinds = {name: kind for name, kind in _kinds(model).items() if name in sizes}
    seen = [_values(model, wanted, sample) for sample in samples]
    for node, *results in zip(reshapes, *(run[len(sizes) :] for run in seen), strict=True):
        shapes = np.array([result.shape for result in results])
        free = (shapes != shapes[0]).any(axis=0)
        if free.sum() <= 1:
            name = f"{node.output[0]}_size"
            graph.initializer.append(numpy_helper.from_array(np.where(free, -1, shapes[0]).astype(np.int64), name))
            del node.attribute[:]  # allowzero
            node.input[1] = name
    # Last: storing a tensor puts new nodes in the place of all that are here.
    for name, *values in zip(sizes, *(run[: len(sizes)] for run in seen), strict=True):
        whole = kinds.get(name) == TensorProto.INT64
        if whole and all(np.array_equal(value, values[0]) for value in values):
            _store(graph, name, values[0].astype(np.int64))


def _kinds(model: ModelProto) -> dict[str, int]:
    """The element type of every tensor that inference of types tells."""
    from onnx import shape_inference

    return {value.name: value.type.tensor_type.elem_type for value in shape_inference.infer_shapes(model).graph.value_info}


def _values(model: ModelProto, names: Sequence[str], sample: Inputs) -> list[NDArray[np.float32]]:
    """What tensors of a model hold for a batch; whole numbers come as floats, exact up to 2²⁴."""
    probe = ModelProto()
    probe.CopyFrom(model)
    probe.graph.ClearField("output")
    probe.graph.output.extend(ValueInfoProto(name=name) for name in names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.onnx"
        save(probe, str(path))
        inputs = sample if isinstance(sample, tuple) else (sample,)
        return list(open_joint_network(path, len(inputs), engine="onnxruntime")(*inputs))


def _store(graph: GraphProto, name: str, array: NDArray[np.int64]) -> None:
    """Puts a stored tensor in place of the node that computes it."""
    kept = [node for node in graph.node if name not in node.output]
    _replace_nodes(graph, kept)
    graph.initializer.append(numpy_helper.from_array(array, name))


def _replace_nodes(graph: GraphProto, kept: list[NodeProto]) -> None:
    copies = []
    for node in kept:
        copy = NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    graph.ClearField("node")
    graph.node.extend(copies)


def _prune(graph: GraphProto) -> None:
    """Takes out nodes and stored tensors that no output needs."""
    needed = {output.name for output in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    _replace_nodes(graph, kept[::-1])
    stored: dict[str, TensorProto] = {}
    for tensor in graph.initializer:
        if tensor.name in needed:
            copy = TensorProto()
            copy.CopyFrom(tensor)
            stored.setdefault(tensor.name, copy)
    graph.ClearField("initializer")
    graph.initializer.extend(stored.values())
