"""A checkpoint of the end-to-end network in, two `.onnx` files out that share its features: one looks at an image, the other reads quads in what it saw.

`NAME.onnx` takes an image `(1, H, W, 3) uint8` and gives detections `(1, A, 9)` and maps of features; `NAME-reader.onnx` takes grey pixels
`(1, 1, h, w) float32` of the same picture at any size, those maps, quads `(Q, 4, 2) float32` in px of the pixels given, for any Q from 1, and `correct`
`(Q,) float32`, 1 where corners are to be corrected first; it gives log-probabilities `(Q, T, K)` and the quads that were read. An image so goes through the backbone once, and plates are read in all the pixels that the photo has.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openplate.end_to_end import MAPS, reader_beside
from openplate.engine import open_joint_network, open_network
from openplate.errors import WeightsError
from openplate.export.onnx import build_network, halve_weights, training_summary, write_metadata
from openplate.geometry import box_to_quad
from openplate.train.checkpoint import load_checkpoint
from openplate.train.networks.crnn import ROWS
from openplate.train.networks.end_to_end import Choice, EndToEnd

TOLERANCE = 5e-3
"""More than a single network's: weights stored as float16 lie behind one another in more layers, and what is compared holds features, too."""
_NAMES = [f"map{i}" for i in range(MAPS)]
_AXES = {name: {2: f"{name}_height", 3: f"{name}_width"} for name in ("pixels", *_NAMES)}


_THRESHOLDS = {"light": {"threshold": "0.45", "faint": "0.35"}, "vgg16": {"threshold": "0.3"}}
"""Those of the detector, which the light backbone is; see `openplate.export.onnx.describe`."""


class _Look(nn.Module):
    """An image `(1, H, W, 3) uint8` to detections and features."""

    def __init__(self, network: EndToEnd) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        seen = self.network.look(images.permute(0, 3, 1, 2).float())
        return seen.detections, *seen.maps[1:]


class _Read(nn.Module):
    """The pixels and features of one image and quads to log-probabilities and quads."""

    def __init__(self, network: EndToEnd) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor, at4: Tensor, at8: Tensor, at16: Tensor, quads: Tensor, correct: Tensor) -> tuple[Tensor, Tensor]:
        choice = Choice(quads, torch.zeros_like(quads[:, 0, 0], dtype=torch.long))
        return self.network.read((pixels, at4, at8, at16), choice, correct)


def export_end_to_end(checkpoint: Path, target: Path) -> dict[str, float]:
    """Writes `target` and the reader beside it, and checks both against torch, at sizes other than those of the tracing, on both engines.

    Args:
        checkpoint: a `best.pt` or `last.pt` of `openplate train end-to-end`.
        target: the first `.onnx` file; the second is `reader_beside(target)`. Both are written atomically.

    Returns:
        the largest difference from torch of each engine.

    Raises:
        WeightsError: the checkpoint is that of another network, or an engine's output differs by more than the tolerance.
    """
    state = load_checkpoint(checkpoint)
    try:
        network = build_network(state)
    except (KeyError, RuntimeError):
        raise WeightsError(f"{checkpoint}: its weights do not fit a {state['kind']} of settings {state['settings']}; train again") from None
    if not isinstance(network, EndToEnd):
        raise WeightsError(f"{checkpoint}: expected a checkpoint of openplate train end-to-end, got kind {state['kind']!r}")
    settings = state["settings"]
    look, read = _Look(network).eval(), _Read(network).eval()
    metadata = {"version": "1", "step": str(state["step"]), "training": training_summary(checkpoint.parent)}
    looks = {
        **metadata,
        "kind": "end-to-end",
        "normalisation": "uint8 0-255, inside the graph",
        "side": str(settings["longest_px"]),
        "scaling": "detector" if settings["backbone"] == "light" else "side",
        **_THRESHOLDS[settings["backbone"]],
    }
    reads = {**metadata, "kind": "end-to-end-reader", "characters": settings["characters"], "rows": str(ROWS)}
    if settings["origins"]:
        reads["origins"] = " ".join(settings["origins"])
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(0, 256, (1, 128, 192, 3), np.uint8))
    quads = torch.from_numpy(np.stack([box_to_quad(20, 20, 90, 44), box_to_quad(100, 60, 180, 80)]))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        partial, partial_reader = Path(folder) / target.name, Path(folder) / reader_beside(target).name
        with torch.inference_mode():
            seen = look(image)
        maps = tuple(m.clone() for m in seen[1:])
        given = (_pixels(image, rng), *maps, quads, torch.ones(len(quads)))
        _trace(look, (image,), partial, ["images"], ["output", *_NAMES], {"images": {1: "height", 2: "width"}, "output": {1: "a"}, **_AXES})
        free = {name: {0: "q"} for name in ("quads", "correct", "output", "seen")}
        _trace(read, given, partial_reader, ["pixels", *_NAMES, "quads", "correct"], ["output", "seen"], {**free, **_AXES})
        for path, described in ((partial, looks), (partial_reader, reads)):
            halve_weights(path)
            write_metadata(path, described)
        differences = {engine: _difference(look, read, partial, partial_reader, engine, rng) for engine in ("onnxruntime", "openvino")}
        for engine, difference in differences.items():
            if not difference < TOLERANCE:
                raise WeightsError(
                    f"{target}: {engine} differs from torch by {difference:.2g} of the largest output, allowed is {TOLERANCE}; nothing was written"
                )
        partial_reader.replace(reader_beside(target))
        partial.replace(target)
    return differences


def _pixels(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Grey pixels for an image `(1, H, W, 3)`, of another size than it."""
    return torch.from_numpy(rng.integers(0, 256, (1, 1, image.shape[1] * 3 // 2, image.shape[2] * 3 // 2)).astype(np.float32))


def _trace(
    network: nn.Module, sample: tuple[Tensor, ...], path: Path, inputs: list[str], outputs: list[str], axes: dict[str, dict[int, str]]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns that it is old, and of fixed sizes: outputs are compared at other sizes
        torch.onnx.export(network, sample, str(path), dynamo=False, opset_version=17, input_names=inputs, output_names=outputs, dynamic_axes=axes)
    network.eval()


def _difference(look: nn.Module, read: nn.Module, path: Path, reader: Path, engine: str, rng: np.random.Generator) -> float:
    """The largest difference of the files from torch, at 192 × 192 px (more anchors than in tracing) and three quads."""
    image = rng.integers(0, 256, (1, 192, 192, 3), np.uint8)
    tilted = np.array([[30, 90], [88, 102], [90, 122], [28, 110]], np.float32)
    quads = np.stack([box_to_quad(10, 10, 60, 26), tilted, box_to_quad(100, 150, 140, 170)])
    with torch.inference_mode():
        expected = [t.numpy() for t in look(torch.from_numpy(image))]
        pixels = _pixels(torch.from_numpy(image), rng)
        correct = np.array([1, 1, 0], np.float32)
        texts = [t.numpy() for t in read(pixels, *(torch.from_numpy(m) for m in expected[1:]), torch.from_numpy(quads), torch.from_numpy(correct))]
    got = open_network(path, engine=engine, precision="fp32")(image)
    got_texts = open_joint_network(reader, MAPS + 3, engine=engine, precision="fp32")(pixels.numpy(), *expected[1:], quads, correct)
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = list(zip((*expected, *texts), (*got, *got_texts), strict=True))
    return max(float(np.abs(a - b).max() / max(1.0, float(np.abs(a).max()))) if a.shape == b.shape else np.inf for a, b in pairs)
