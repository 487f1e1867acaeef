"""Weights that a training starts from: a checkpoint or an exported `.onnx` file in, a network that computes what the file computes out.

The last layer of a reader is matched character by character: a charset that is larger, smaller or in another order keeps what the file knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openplate.charset import BLANK
from openplate.errors import ConfigError, WeightsError
from openplate.train.checkpoint import load_checkpoint
from openplate.train.narrow import narrow
from openplate.train.networks.detector import Detector
from openplate.train.networks.end_to_end import EndToEnd
from openplate.train.networks.stn import Transformed

Array = NDArray[np.float32]
Layer = nn.Conv2d | nn.Linear | nn.LSTM | nn.GRU
Called = tuple[str, Layer, int]
"""A layer with weights as it runs: its name, and which of its levels (recurrent layers may have several)."""

_OPERATORS: dict[str, tuple[type[nn.Module], ...]] = {
    "Conv": (nn.Conv2d,),
    "Gemm": (nn.Linear,),
    "MatMul": (nn.Linear,),
    "LSTM": (nn.LSTM,),
    "GRU": (nn.GRU,),
}
_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2)}
"""Where torch's gates stand in a file: torch has input, forget, cell, output and reset, update, new; ONNX input, output, forget, cell and update, reset, hidden."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredLayer:
    """A layer of an exported graph.

    `weight` is `(out, in, ...)` as torch keeps it, `bias` `(out,)`. Of one level of a recurrent layer `weight` is `(directions, gates·H, in)`,
    `recurrence` `(directions, gates·H, H)` and `bias` `(directions, 2·gates·H)`.
    """

    operator: str
    weight: Array
    bias: Array | None
    recurrence: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StoredNetwork:
    """An exported graph: its layers with weights in the order in which it runs them, a reader's charset ("" for other networks), and whether it tells
    countries."""

    path: Path
    characters: str
    layers: tuple[StoredLayer, ...]
    tells_countries: bool = False


def start_from(network: nn.Module, path: Path, characters: str, sample: Callable[[], Tensor]) -> str:
    """Fills `network` from a checkpoint (`.pt`) or an exported file (`.onnx`).

    Args:
        network: what to fill, on any device.
        path: the file.
        characters: the network's charset; "" for other networks than readers.
        sample: gives a batch of inputs as the network takes them; called for exported files alone (see `fill_network`).

    Returns:
        what was taken, in words.

    Raises:
        ConfigError: the file is that of another network.
        WeightsError: the file is missing, damaged or something else.
    """
    if isinstance(network, Detector) and path.suffix.lower() == ".pt" and (wide := _wider(network, path)):
        narrow(wide, network, sample())
        return f"started from {path}: the most useful channels of a wider detector"
    if path.suffix.lower() == ".onnx":
        if isinstance(network, EndToEnd):
            raise ConfigError(
                f"start_from: expected a checkpoint (.pt), got {path}; name exported files of its parts with detector, straightener and reader"
            )
        stored = read_exported(path)
        fill_network(network, stored, sample(), characters)
        return f"started from {path}: all {len(stored.layers)} layers" + _new_classes(characters, stored.characters)
    return load_weights(network, path, characters)


def _wider(network: Detector, path: Path) -> Detector | None:
    """The detector of a checkpoint where it has other channels than `network`, which then is narrower."""
    state = load_checkpoint(path)
    channels = state["settings"].get("channels")
    if state["kind"] != "detector" or not channels or tuple(channels) == network.channels:
        return None
    wide = Detector(channels).to(next(network.parameters()).device)
    wide.load_state_dict(state.get("average", state["network"]))
    return wide


def load_weights(network: nn.Module, path: Path, characters: str = "") -> str:
    """Loads the tensors of a checkpoint that fit, the averaged ones where there are some; others keep their start values.

    A checkpoint without a spatial transformer fills the reader behind one.

    Returns:
        what was taken, in words.

    Raises:
        ConfigError: nothing in the file fits.
        WeightsError: the file is missing or damaged.
    """
    state = load_checkpoint(path)
    source: dict[str, Tensor] = state.get("average", state["network"])
    stored_characters = str(state["settings"].get("characters", ""))
    target = network.reader if isinstance(network, Transformed) and not state["settings"].get("transformer", False) else network
    own = target.state_dict()
    taken = {}
    for name, value in source.items():
        if name not in own:
            continue
        if name.split(".")[-2:-1] == ["classify"] and characters and stored_characters and own[name].shape[1:] == value.shape[1:]:
            rows, stored_rows = class_rows(characters, stored_characters)
            taken[name] = own[name].clone()
            taken[name][rows] = value[stored_rows].to(own[name].device)
        elif own[name].shape == value.shape:
            taken[name] = value
    if not taken:
        raise ConfigError(f"start_from: nothing in {path} fits this network; take a checkpoint of the same network and width")
    target.load_state_dict({**own, **taken})
    return f"started from {path}: {len(taken)} of {len(own)} tensors" + _new_classes(characters, stored_characters)


def load_exported(network: nn.Module, path: Path, sample: Tensor, characters: str = "") -> None:
    """Fills `network` with the weights of an exported file of the same architecture; see `read_exported` and `fill_network`."""
    fill_network(network, read_exported(path), sample, characters)


def class_rows(characters: str, stored: str) -> tuple[list[int], list[int]]:
    """Rows of the last layer that mean the same class: those in a network with the charset `characters`, and those in a file with the charset `stored`."""
    place = {character: i + 1 for i, character in enumerate(stored)}
    known = [(i + 1, place[character]) for i, character in enumerate(characters) if character in place]
    return [BLANK, *(own for own, _ in known)], [BLANK, *(there for _, there in known)]


def _new_classes(characters: str, stored: str) -> str:
    missing = "".join(c for c in characters if c not in stored) if stored else ""
    return f"; it does not know {missing}" if missing else ""


def read_exported(path: Path) -> StoredNetwork:
    """The layers with weights of an `.onnx` file.

    Raises:
        WeightsError: the file is missing, no ONNX file, or keeps its weights in another form (INT8).
    """
    import onnx

    try:
        model = onnx.load(str(path))
    except FileNotFoundError:
        raise WeightsError(f"{path}: expected an .onnx file of openplate export, found no such file") from None
    except Exception:  # noqa: BLE001  what protobuf raises for a damaged file has no common root
        raise WeightsError(f"{path}: expected an .onnx file of openplate export, this file is damaged or something else") from None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    products: dict[str, StoredLayer] = {}  # by the name of what a layer gives: a bias may be added to it by the next node
    for node in model.graph.node:
        if node.op_type in ("Cast", "Identity") and node.input[0] in values:  # weights stored as float16; weights used at several places
            values[node.output[0]] = values[node.input[0]]
        elif node.op_type == "Add":
            constants = [values[name] for name in node.input if name in values]
            layers = [name for name in node.input if name in products]
            if len(constants) == len(layers) == 1 and products[layers[0]].operator == "MatMul":
                layer = products[layers[0]]
                products[layers[0]] = StoredLayer(layer.operator, layer.weight, constants[0].astype(np.float32))
        elif node.op_type in _OPERATORS and not (node.op_type in ("MatMul", "Gemm") and node.input[1] not in values):
            products[node.output[0]] = _stored_layer(path, node, values)
    return StoredNetwork(path, metadata.get("openplate.characters", ""), tuple(products.values()), "openplate.origins" in metadata)


def _stored_layer(path: Path, node: Any, values: dict[str, NDArray[Any]]) -> StoredLayer:
    found = [values[name].astype(np.float32) if name in values else None for name in node.input[1:4]]
    weight, second, third = (*found, None, None, None)[:3]
    if weight is None:
        raise WeightsError(f"{path}: the weights of {node.op_type} {node.name} are not stored as numbers; start from the fp32 file, not from INT8")
    if node.op_type in _GATES:
        return StoredLayer(node.op_type, weight, third, second)
    stands = node.op_type == "Conv" or (node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute))
    return StoredLayer(node.op_type, weight if stands else weight.T, second)


def fill_network(network: nn.Module, stored: StoredNetwork, sample: Tensor, characters: str = "") -> None:
    """Fills `network` with the weights of an exported graph of the same architecture.

    A graph holds convolutions with their batch normalisation folded in and keeps no names, but it runs its layers in the order in which the network does:
    they are paired in that order. Each batch normalisation is then set, layer by layer, to the statistics of `sample` with a scale and shift that undo
    them, so that training begins from the file's function and not from a disturbed one. Classes that the file lacks keep their start values.
    A graph without a spatial transformer fills the reader behind one.

    Args:
        network: what to fill, on any device.
        stored: what `read_exported` gave.
        sample: a batch of inputs as the network takes them; at least 16 of them give steady statistics.
        characters: the network's charset; "" for other networks than readers.

    Raises:
        ConfigError: the graph's layers are not this network's.
    """
    called = _run_order(network, sample)
    if isinstance(network, Transformed) and len(called) != len(stored.layers):
        network = network.reader
        called = _run_order(network, sample)
    called, layers = _without_origins(called, stored)
    if len(called) != len(layers):
        raise ConfigError(f"{stored.path}: expected {len(called)} layers for this network, the file runs {len(layers)}; its settings differ")
    rows = class_rows(characters, stored.characters) if characters and stored.characters else None
    for (name, layer, level), entry in zip(called, layers, strict=True):
        _fill(layer, level, entry, rows if name.split(".")[-1] == "classify" else None, f"{stored.path}: layer {name}")
    biases = {id(layer): entry.bias for (_, layer, _), entry in zip(called, layers, strict=True)}
    _settle_normalisations(network, sample, biases)


def _without_origins(called: list[Called], stored: StoredNetwork) -> tuple[list[Called], tuple[StoredLayer, ...]]:
    """The layers to pair, without those that tell countries where only one side has them; other countries than the file's are learned anew."""
    text = [entry for entry in called if "origin" not in entry[0].split(".")]
    if not stored.tells_countries:
        return text, stored.layers
    first = len(stored.layers) - 2  # they run last
    if len(text) == len(called):
        return text, stored.layers[:first]
    same = called[-1][1].state_dict()["weight"].shape == stored.layers[-1].weight.shape
    return (called, stored.layers) if same else (called[:-1], stored.layers[:-1])


def _run_order(network: nn.Module, sample: Tensor) -> list[Called]:
    called: list[Called] = []

    def note(name: str) -> Callable[[Any, Any, Any], None]:
        def hook(layer: Layer, _inputs: object, _output: object) -> None:
            levels = layer.num_layers if isinstance(layer, (nn.LSTM, nn.GRU)) else 1
            called.extend((name, layer, level) for level in range(levels))

        return hook

    named = [(name, module) for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear, nn.LSTM, nn.GRU))]
    with _hooked(module.register_forward_hook(note(name)) for name, module in named), torch.no_grad():
        network.eval()(sample[:2])
    return called


@contextmanager
def _hooked(handles: Iterator[Any]) -> Iterator[None]:
    """Hooks that are taken off at the end."""
    kept = list(handles)
    try:
        yield
    finally:
        for handle in kept:
            handle.remove()


def _fill(layer: Layer, level: int, stored: StoredLayer, rows: tuple[list[int], list[int]] | None, where: str) -> None:
    if not isinstance(layer, _OPERATORS[stored.operator]):
        raise ConfigError(f"{where}: expected a {type(layer).__name__}, the file has a {stored.operator}")
    with torch.no_grad():
        if isinstance(layer, (nn.LSTM, nn.GRU)):
            _fill_recurrent(layer, level, stored, where)
            return
        weight = torch.from_numpy(np.array(stored.weight)).to(layer.weight.device)
        own, there = rows or (list(range(len(layer.weight))), list(range(len(weight))))
        if weight.shape[1:] != layer.weight.shape[1:] or len(own) != len(there):
            raise ConfigError(f"{where}: expected weights of shape {tuple(layer.weight.shape)}, got {tuple(weight.shape)}; its settings differ")
        layer.weight[own] = weight[there]
        if layer.bias is not None and stored.bias is not None:
            layer.bias[own] = torch.from_numpy(np.array(stored.bias)).to(layer.bias.device)[there]


def _fill_recurrent(layer: nn.LSTM | nn.GRU, level: int, stored: StoredLayer, where: str) -> None:
    assert stored.recurrence is not None and stored.bias is not None
    gates = _GATES[stored.operator]
    suffixes = [f"_l{level}", f"_l{level}_reverse"][: 2 if layer.bidirectional else 1]
    expected = (len(suffixes), *getattr(layer, f"weight_ih_l{level}").shape)
    if stored.weight.shape != expected:
        raise ConfigError(f"{where}: expected weights of shape {expected}, got {stored.weight.shape}; its settings differ")
    for direction, suffix in enumerate(suffixes):
        bias_ih, bias_hh = np.split(stored.bias[direction], 2)
        parts = {"weight_ih": stored.weight[direction], "weight_hh": stored.recurrence[direction], "bias_ih": bias_ih, "bias_hh": bias_hh}
        for name, value in parts.items():
            by_gate = np.split(value, len(gates))
            getattr(layer, name + suffix).copy_(torch.from_numpy(np.concatenate([by_gate[gate] for gate in gates])))


def _settle_normalisations(network: nn.Module, sample: Tensor, biases: dict[int, Array | None]) -> None:
    """Sets each batch normalisation to undo the statistics of its input and to add the bias that was folded into the convolution before it."""
    before: list[nn.Conv2d] = []
    settled: set[int] = set()

    def remember(layer: nn.Conv2d, _inputs: object, _output: object) -> None:
        before[:] = [layer]

    def settle(module: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        if id(module) in settled:
            return
        settled.add(id(module))
        mean = inputs[0].mean(dim=(0, 2, 3))
        variance = inputs[0].var(dim=(0, 2, 3), unbiased=False).clamp(min=1e-4)
        assert module.running_mean is not None and module.running_var is not None
        module.running_mean.copy_(mean)
        module.running_var.copy_(variance)
        module.weight.copy_((variance + module.eps).sqrt())
        bias = biases[id(before[0])] if before[0].bias is None else None  # a convolution's own bias was filled already
        module.bias.copy_(mean if bias is None else mean + torch.from_numpy(np.array(bias)).to(mean.device))

    handles: list[Any] = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_pre_hook(settle))
        elif isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(remember))
    with _hooked(iter(handles)), torch.no_grad():
        network.eval()(sample)
