"""An `.onnx` file in, how large its network is and what it is called out: parameters, multiply-adds, and whether its weights are INT8."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from openplate.engine import open_network
from openplate.errors import WeightsError
from openplate.evaluate.bench_network import input_shape
from openplate.evaluate.model_results import NetworkFacts
from openplate.weights import sha256

_WEIGHTS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE, TensorProto.INT8, TensorProto.UINT8)
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """How large a network is.

    `parameters` are the numbers that the file stores as weights: normalisation that was folded into convolutions is in them, scales and zero points of
    INT8 are not. `macs` are the multiply-adds of convolutions, matrix products and recurrent layers for the input `shape`. `weights` is "int8" when
    the graph dequantises its weights, otherwise "float".
    """

    parameters: int
    macs: int
    shape: tuple[int, ...]
    weights: str


def network_size(path: Path, shape: Sequence[int]) -> NetworkSize:
    """The size of a network with one input, for an input of `shape`.

    Raises:
        WeightsError: the file is missing or no network.
        EngineError: ONNX Runtime is not installed.
        ValueError: the network takes another shape.
    """
    try:
        model = onnx.load(path)
    except Exception as error:  # noqa: BLE001  protobuf's own errors have no other common root
        raise WeightsError(f"{path}: expected a network (.onnx): {error}") from None
    graph = model.graph
    scales = {name for node in graph.node if node.op_type in ("DequantizeLinear", "QuantizeLinear") for name in node.input[1:]}
    parameters = sum(prod(t.dims) for t in graph.initializer if t.data_type in _WEIGHTS and t.name not in scales)
    heavy = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul", *_GATES)]
    shapes = _shapes(model, heavy, shape)
    quantised = any(node.op_type == "DequantizeLinear" for node in graph.node)
    return NetworkSize(parameters, sum(_macs(node, shapes) for node in heavy), tuple(shape), "int8" if quantised else "float")


def network_facts(path: Path, name: str = "", note: str = "") -> NetworkFacts:
    """What a table says of a network file beside what was measured; without a name, the file's name.

    Raises:
        WeightsError: the file is missing or no network.
        EngineError: ONNX Runtime is not installed.
    """
    network = open_network(path)
    size = network_size(path, input_shape(network, 1))
    kind = network.metadata.get("openplate.kind", "detector")
    digest, length = sha256(path), path.stat().st_size
    return NetworkFacts(name or path.stem, kind, path.name, digest, length, size.parameters, size.macs, size.shape, size.weights, note)


def _shapes(model: ModelProto, nodes: Sequence[NodeProto], shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor that the nodes take or give, seen in one run: inferring them fails on graphs that compute sizes from sizes."""
    initial = {t.name: tuple(t.dims) for t in model.graph.initializer}
    wanted = dict.fromkeys(name for node in nodes for name in (node.input[0], node.input[1], node.output[0]) if name not in initial)
    probe = ModelProto()
    probe.CopyFrom(model)
    probe.graph.ClearField("output")
    probe.graph.output.extend(ValueInfoProto(name=name) for name in wanted)
    kind = np.uint8 if model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8 else np.float32
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.onnx"
        onnx.save(probe, path)
        seen = open_network(path, engine="onnxruntime")(np.zeros(tuple(shape), kind)) if wanted else ()
    return initial | {name: array.shape for name, array in zip(wanted, seen, strict=True)}


def _macs(node: NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    """Multiply-adds of a convolution, a matrix product or a recurrent layer."""
    taken, weight, given = (shapes[name] for name in (node.input[0], node.input[1], node.output[0]))
    if node.op_type == "Conv":
        return prod(given) * prod(weight[1:])
    if node.op_type == "ConvTranspose":
        return prod(taken) * prod(weight[1:])
    if node.op_type == "MatMul":
        return prod(given) * taken[-1]
    if node.op_type == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return prod(given) * taken[0 if transposed else 1]
    time, batch, width = taken  # a recurrent layer: (T, N, width); its weight is (directions, gates · hidden, width)
    hidden = weight[1] // _GATES[node.op_type]
    return time * batch * weight[0] * weight[1] * (width + hidden)
