"""A checkpoint of the end-to-end network in, three `.onnx` files out: one looks at an image, one corrects corners, one reads plates in what the first saw.

`NAME.onnx` takes images `(N, H, W, 3) uint8` and gives detections `(N, A, 9)` and features `(N, C, h, w) float32` at strides 4, 8 and 16.
`NAME-straightener.onnx` is a straightener as the two-stage path has one. `NAME-reader.onnx` takes of Q plates, for any Q from 1, crops `(Q, 48, 192) uint8` grey
and the features as they lie in the plates, `(Q, C, 24, 96)` and twice `(Q, C, 12, 48) float32`, and gives log-probabilities `(Q, T, K)`. An image so goes
through the backbone once, and plates are read in all the pixels that the photo has.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from openplate.end_to_end import GRIDS, PARTS, part_beside
from openplate.engine import open_joint_network
from openplate.errors import WeightsError
from openplate.export.onnx import Grey, build_network, describe, halve_weights, training_summary, write_metadata
from openplate.rectify import CROP_HEIGHT, CROP_WIDTH
from openplate.straighten import HEIGHT, WIDTH
from openplate.train.checkpoint import load_checkpoint
from openplate.train.networks.end_to_end import EndToEnd, ReadingBranch

TOLERANCE = 5e-3
"""More than a single network's: weights stored as float16 lie behind one another in more layers, and what is compared holds features, too."""
_NAMES = [f"map{i}" for i in range(len(GRIDS))]


class _Look(nn.Module):
    """Images `(N, H, W, 3) uint8` to detections and features."""

    def __init__(self, network: EndToEnd) -> None:
        super().__init__()
        self.backbone = network.backbone

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        seen: tuple[Tensor, ...] = self.backbone.see(images.permute(0, 3, 1, 2).float())
        return seen


class _Read(nn.Module):
    """Crops `(Q, 48, 192) uint8` and features in their quads to log-probabilities."""

    def __init__(self, branch: ReadingBranch) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, crops: Tensor, at4: Tensor, at8: Tensor, at16: Tensor) -> Tensor:
        return self.branch.write(crops.float().unsqueeze(1), at4, at8, at16)


def export_end_to_end(checkpoint: Path, target: Path) -> dict[str, float]:
    """Writes `target` and the files beside it, and checks all against torch, at sizes other than those of the tracing, on both engines.

    Args:
        checkpoint: a `best.pt` or `last.pt` of `openplate train end-to-end`.
        target: the first `.onnx` file; the others are `part_beside(target, part)`. All appear only when all are right.

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
    common = {
        "version": "1",
        "step": str(state["step"]),
        "training": training_summary(checkpoint.parent),
        "normalisation": "uint8 0-255, inside the graph",
    }
    parts = [_Look(network), Grey(network.reading.straightener), _Read(network.reading)]
    kinds = ("end-to-end", "straightener", "end-to-end-reader")
    metadata = [{**common, "kind": kind, **_described(kind, settings)} for kind in kinds]
    inputs = [["images"], ["crops"], ["crops", *_NAMES]]
    outputs = [["output", *_NAMES], ["output"], ["output"]]
    seen = {name: {0: "n", 2: f"{name}_height", 3: f"{name}_width"} for name in _NAMES}
    axes: list[dict[str, dict[int, str]]] = [{"images": {0: "n", 1: "height", 2: "width"}, "output": {0: "n", 1: "a"}, **seen}]
    axes += [{name: {0: "q"} for name in (*taken, "output")} for taken in inputs[1:]]
    samples = _inputs(network, 2, (128, 192))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        first = Path(folder) / target.name
        partial = [first, *(part_beside(first, part) for part in PARTS)]
        for part, sample, path, taken, given, free, described in zip(parts, samples, partial, inputs, outputs, axes, metadata, strict=True):
            _trace(part.eval(), sample, path, taken, given, free)
            halve_weights(path)
            write_metadata(path, described)
        # More anchors than in tracing, and more plates.
        others = _inputs(network, 3, (192, 192))
        differences = {
            engine: max(_difference(part, sample, path, engine) for part, sample, path in zip(parts, others, partial, strict=True))
            for engine in ("onnxruntime", "openvino")
        }
        for engine, difference in differences.items():
            if not difference < TOLERANCE:
                raise WeightsError(
                    f"{target}: {engine} differs from torch by {difference:.2g} of the largest output, allowed is {TOLERANCE}; nothing was written"
                )
        for part_name, path in zip(PARTS, partial[1:], strict=True):
            path.replace(part_beside(target, part_name))
        first.replace(target)
    return differences


def _described(kind: str, settings: dict[str, Any]) -> dict[str, str]:
    """What a predictor needs to know of each file."""
    if kind != "end-to-end":
        return describe("reader" if kind == "end-to-end-reader" else kind, settings)
    side = {"side": str(settings["longest_px"])}
    return describe("detector", settings) | side if settings["backbone"] == "light" else {"scaling": "side", "threshold": "0.3", **side}


def _inputs(network: EndToEnd, plates: int, size: tuple[int, int]) -> list[tuple[Tensor, ...]]:
    """What the three files take: noise of as many looks and plates, and of one image less of `size` (height, width)."""
    rng = np.random.default_rng(plates)
    bytes_ = [rng.integers(0, 256, shape, np.uint8) for shape in ((plates - 1, *size, 3), (plates, HEIGHT, WIDTH), (plates, CROP_HEIGHT, CROP_WIDTH))]
    image, looks, crops = map(torch.from_numpy, bytes_)
    views = [rng.normal(0, 1, (plates, channels, *grid)).astype(np.float32) for channels, grid in zip(network.backbone.channels, GRIDS, strict=True)]
    return [(image,), (looks,), (crops, *map(torch.from_numpy, views))]


def _trace(
    network: nn.Module, sample: tuple[Tensor, ...], path: Path, inputs: list[str], outputs: list[str], axes: dict[str, dict[int, str]]
) -> None:
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing warns that it is old, and of fixed sizes: outputs are compared at other sizes
        torch.onnx.export(network, sample, str(path), dynamo=False, opset_version=17, input_names=inputs, output_names=outputs, dynamic_axes=axes)
    network.eval()


def _difference(network: nn.Module, sample: tuple[Tensor, ...], path: Path, engine: str) -> float:
    """The largest difference of a file's outputs from torch's, as a share of the largest output."""
    with torch.inference_mode():
        outputs = network(*sample)
    expected = [t.numpy() for t in (outputs if isinstance(outputs, tuple) else (outputs,))]
    got = open_joint_network(path, len(sample), engine=engine, precision="fp32")(*(t.numpy() for t in sample))
    return max(
        float(np.abs(a - b).max() / max(1.0, float(np.abs(a).max()))) if a.shape == b.shape else np.inf for a, b in zip(expected, got, strict=True)
    )
