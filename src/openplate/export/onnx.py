"""A checkpoint in, an `.onnx` file with charset, sizes, normalisation and a summary of its training data inside out.

The exported graph takes uint8: crops `(N, 48, 192)`, looks `(N, 48, 128)`, or images `(N, H, W, 3)` RGB, and normalises inside.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from openplate.charset import CHARACTERS
from openplate.engine import open_network
from openplate.errors import ConfigError, FormatError, WeightsError
from openplate.formats import Format, load_formats, select
from openplate.rectify import CROP_HEIGHT, CROP_WIDTH, MARGIN_X, MARGIN_Y
from openplate.straighten import HEIGHT, WIDTH
from openplate.train.checkpoint import load_checkpoint
from openplate.train.networks.crnn import ROWS
from openplate.train.networks.detector import REACH, STRIDES, Detector
from openplate.train.networks.end_to_end import EndToEnd
from openplate.train.networks.readers import build_reader
from openplate.train.networks.straightener import Straightener

TOLERANCE = 2e-3


class Grey(nn.Module):
    """uint8 `(N, H, W)` in front of a network that takes `(N, 1, H, W)` floats."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        result: Tensor = self.network(crops.float().unsqueeze(1))
        return result


class _Cells(nn.Module):
    """uint8 `(N, H, W, 3)` in front of a detector, which gives corners as its cells see them: `decode` places the few that count."""

    def __init__(self, network: Detector) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.cells(images.permute(0, 3, 1, 2).float())


def build_network(state: dict[str, Any]) -> nn.Module:
    """The network of a checkpoint, with its weights.

    Raises:
        ConfigError: the checkpoint's kind is not known.
    """
    settings = state["settings"]
    network: nn.Module
    if state["kind"] == "reader":
        network = build_reader(settings)
    elif state["kind"] == "detector":
        network = Detector(settings["channels"])
    elif state["kind"] == "straightener":
        network = Straightener()
    elif state["kind"] == "end-to-end":
        classes, countries = len(settings["characters"]) + 1, len(settings["origins"])
        network = EndToEnd(classes, settings["backbone"], settings["width"], settings["hidden"], settings["channels"], countries)
    else:
        raise ConfigError(f"kind {state['kind']!r} is not one of reader, detector, straightener, end-to-end")
    network.load_state_dict(state.get("average", state["network"]))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.numel() >= 256:
                parameter.copy_(parameter.half().float())  # what the file will hold
    return network.eval()


def export_checkpoint(checkpoint: Path, target: Path, extra: dict[str, str] | None = None) -> dict[str, float]:
    """Writes `target` from a checkpoint and checks it against torch on both engines that are installed.

    Args:
        checkpoint: a `best.pt` or `last.pt` of `openplate train`.
        target: the `.onnx` file to write (atomically).
        extra: further metadata, keys without the `openplate.` prefix.

    Returns:
        the largest difference from torch of each engine.

    Raises:
        WeightsError: the checkpoint cannot be read, or an engine's output differs by more than the tolerance.
    """
    state = load_checkpoint(checkpoint)
    try:
        network = build_network(state)
    except (KeyError, RuntimeError):
        raise WeightsError(f"{checkpoint}: its weights do not fit a {state['kind']} of settings {state['settings']}; train again") from None
    kind = state["kind"]
    rng = np.random.default_rng(0)
    wrapper: nn.Module
    if isinstance(network, Detector):
        wrapper, name = _Cells(network), "images"
        sample = rng.integers(0, 256, (1, 192, 256, 3), np.uint8)
        axes = {0: "n", 1: "height", 2: "width"}
    else:
        wrapper, name = Grey(network), "crops"
        size = (CROP_HEIGHT, CROP_WIDTH) if kind == "reader" else (HEIGHT, WIDTH)
        sample = rng.integers(0, 256, (2, *size), np.uint8)
        axes = {0: "n"}
    wrapper.eval()
    metadata = {
        "kind": kind,
        "version": "1",
        "step": str(state["step"]),
        "normalisation": "uint8 0-255, inside the graph",
        **describe(kind, state["settings"]),
    }
    metadata |= {"training": training_summary(checkpoint.parent)} | (extra or {})
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        partial = Path(folder) / target.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns that it is old, and of fixed sizes: outputs are compared below
            torch.onnx.export(
                wrapper,
                (torch.from_numpy(sample),),
                str(partial),
                dynamo=False,
                opset_version=17,
                input_names=[name],
                output_names=["output"],
                dynamic_axes={name: axes, "output": {0: "n"}},
            )
        wrapper.eval()
        halve_weights(partial)
        write_metadata(partial, metadata)
        with torch.inference_mode():
            expected = wrapper(torch.from_numpy(sample)).numpy()
        differences = {}
        for engine in ("onnxruntime", "openvino"):
            got = open_network(partial, engine=engine, precision="fp32")(sample)[0]
            difference = float(np.abs(got - expected).max() / max(1.0, float(np.abs(expected).max())))
            if not difference < TOLERANCE:
                raise WeightsError(
                    f"{target}: {engine} differs from torch by {difference:.2g} of the largest output, allowed is {TOLERANCE}; nothing was written"
                )
            differences[engine] = difference
        partial.replace(target)
    return differences


def describe(kind: str, settings: dict[str, Any]) -> dict[str, str]:
    """What a predictor needs to know of a network of this kind."""
    if kind == "reader":
        characters = str(settings.get("characters", CHARACTERS))
        margin = f"{MARGIN_X} {MARGIN_Y}"
        countries = {"origins": " ".join(settings["origins"])} if settings.get("origins") else {}
        return {"characters": characters, "height": str(CROP_HEIGHT), "width": str(CROP_WIDTH), "margin": margin, "rows": str(ROWS), **countries}
    if kind == "detector":
        # Chosen on the photos that training holds out: 0.4 finds as many of their plates as 0.1 does (99.2 % of eu_dashcam), 0.5 fewer (98.5 %).
        return {"side": "960", "threshold": "0.45", "faint": "0.35", "strides": " ".join(map(str, STRIDES)), "reach": f"{REACH:g}"}
    return {"height": str(HEIGHT), "width": str(WIDTH)}


def training_summary(folder: Path) -> str:
    """The run's config on one line, without the paths' folders."""
    file = folder / "config.json"
    if not file.exists():
        return "unknown"
    config = json.loads(file.read_text(encoding="utf8"))
    for folders in ("photos", "validation", "formats"):
        config[folders] = [Path(p).name for p in config.get(folders, [])]
    config["loop"]["start_from"] = Path(config["loop"]["start_from"]).name
    config |= {part: Path(config[part]).name for part in ("detector", "straightener", "reader", "teacher") if part in config}
    return json.dumps(config, ensure_ascii=False, separators=(",", ":"))


def training_formats(source: Path, known: Sequence[Format]) -> tuple[Format, ...]:
    """The formats that a file was trained on, as it says; all that are known when it does not say.

    Raises:
        FormatError: one of them is not known here, or there were folders of formats in training and only the package's own are known.
    """
    try:
        said = json.loads(open_network(source, engine="onnxruntime").metadata.get("openplate.training", "{}"))
    except json.JSONDecodeError:
        said = {}
    countries, folders = (said.get(key, ()) if isinstance(said, dict) else () for key in ("countries", "formats"))
    if folders and tuple(known) == load_formats():
        raise FormatError(f"{source.name} was trained on further formats, those of {', '.join(map(str, folders))}; name their folder with --formats")
    try:
        return select(known, countries) or tuple(known)
    except FormatError as error:
        raise FormatError(f"{source.name} was trained on further formats; name their folder with --formats: {error}") from None


def halve_weights(path: Path) -> None:
    """Stores the large weights of a file as float16 behind a cast: half the size on disk, computed in the engine's precision as before."""
    import onnx

    model = onnx.load(str(path))
    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        if tensor.data_type != onnx.TensorProto.FLOAT or int(np.prod(tensor.dims)) < 256:
            continue
        half = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float16), tensor.name + "_half")
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
        casts.append(onnx.helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
    onnx.save(model, str(path))


def write_metadata(path: Path, metadata: dict[str, str]) -> None:
    """Sets the file's `openplate.*` metadata, keeping entries with other keys."""
    import onnx

    model = onnx.load(str(path))
    kept = {p.key: p.value for p in model.metadata_props} | {f"openplate.{key}": value for key, value in metadata.items()}
    onnx.helper.set_model_props(model, kept)
    onnx.save(model, str(path))
