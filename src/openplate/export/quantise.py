"""An ONNX model and batches that training might have seen in; the same model with INT8 convolutions out (static, quantise-dequantise pairs).

The pairs are ONNX's own operators, so that one file runs on both engines. NNCF (Apache-2.0) chooses scales and zero points, and corrects biases.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterable, Sequence

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from openplate.engine import no_telemetry
from openplate.errors import WeightsError
from openplate.export.simplify import Inputs

_DELICATE = ("Sub", "Div", "ReduceMean", "ReduceMax", "Sqrt", "Pow", "Softmax", "LogSoftmax", "GridSample", "LSTM", "GRU", "RNN", "MatMul", "Gemm")
"""Kinds of nodes that stay floating point wherever they are: standardisation, probabilities, recurrent and last layers lose most and cost least."""


def quantise(model: ModelProto, batches: Sequence[Inputs], keep: int = 1, *, fast: bool = False) -> ModelProto:
    """A copy of a model whose convolutions, and what lies between them, run in INT8.

    Weights get a scale for each output channel, activations one for each tensor. What stands before the first convolution and behind the last one,
    recurrent layers and matrix products stay floating point.

    Args:
        model: the model, simplified (`openplate.export.simplify`).
        batches: what the model takes, as in training; never what measures it.
        keep: that many convolutions at the beginning stay floating point: they see the raw picture, lose most, and are small.
        fast: correct biases from each layer's own statistics instead of running the network up to it. The slow way is a little better; NNCF 3.4 cannot
            do it for networks with several outputs joined into one, such as detectors, and loses its way (a KeyError) in some that join several layers,
            such as LPRNet: these are corrected the fast way.

    Raises:
        WeightsError: fewer than `keep` + 1 convolutions are there.
        ModuleNotFoundError: NNCF is not installed.
    """
    names = [taken.name for taken in model.graph.input]
    stay = floating_nodes(model.graph, keep)
    # NNCF talks on stdout; and it would send a usage event over the network where openvino_telemetry can be imported.
    with no_telemetry(), contextlib.redirect_stdout(sys.stderr):
        import nncf

        nncf.set_log_level(logging.ERROR)
        dataset = nncf.Dataset(list(batches), lambda given: dict(zip(names, given if isinstance(given, tuple) else (given,), strict=True)))

        def run(fast: bool) -> ModelProto:
            quantised: ModelProto = nncf.quantize(
                model,
                dataset,
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(batches),
                fast_bias_correction=fast,
                ignored_scope=nncf.IgnoredScope(names=stay, validate=False),  # NNCF drops casts by itself, and would miss them
            )
            return quantised

        try:
            return run(fast)
        except KeyError:
            if fast:
                raise
            return run(fast=True)


def floating_nodes(graph: GraphProto, keep: int) -> list[str]:
    """Names of the nodes that stay floating point: the first `keep` convolutions, all that is not on a way from one of the others to another, what is
    delicate by its kind, squares (NNCF cannot quantise a product of a tensor with itself), and sums and products of these alone.

    Raises:
        WeightsError: fewer than `keep` + 1 convolutions are there.
    """
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    if len(convolutions) <= keep:
        raise WeightsError(f"INT8: expected a network with more than {keep} convolutions, this one has {len(convolutions)}")
    chosen = convolutions[keep:]
    after = _reached(graph.node, chosen, forwards=True)
    before = _reached(reversed(graph.node), chosen, forwards=False)
    wanted = {node.name for node in chosen}
    makers = {name: node.name for node in graph.node for name in node.output}
    stay: dict[str, None] = {}
    for node in graph.node:
        if node.name in wanted:
            continue
        made_by = [makers[name] for name in node.input if name in makers]
        apart = node.op_type in _DELICATE or node.name not in after or node.name not in before or len(set(node.input)) < len(node.input)
        if apart or (node.op_type in ("Add", "Mul") and made_by and all(name in stay for name in made_by)):
            stay[node.name] = None
    return list(stay)


def quantised_layers(model: ModelProto) -> int:
    """How many convolutions and matrix products of a model have INT8 weights."""
    stored = {t.name for t in model.graph.initializer}
    whole = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in stored}
    return sum(any(name in whole for name in node.input[1:2]) for node in model.graph.node)


def is_quantised(model: ModelProto) -> bool:
    """Whether a model has quantised tensors already."""
    return any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node)


def floating_weights(model: ModelProto) -> int:
    """How many numbers of a model are stored as floating point."""
    return sum(int(np.prod(t.dims)) for t in model.graph.initializer if numpy_helper.to_array(t).dtype.kind == "f")


def _reached(nodes: Iterable[NodeProto], start: Sequence[NodeProto], *, forwards: bool) -> set[str]:
    """Names of the nodes behind (or before) the given ones, in the order of the graph (or its reverse)."""
    tensors = {name for node in start for name in (node.output if forwards else node.input)}
    found: set[str] = set()
    for node in nodes:
        taken, given = (node.input, node.output) if forwards else (node.output, node.input)
        if tensors.intersection(taken):
            found.add(node.name)
            tensors.update(given)
    return found
