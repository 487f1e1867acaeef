"""Tiny networks whose outputs a test can name: a constant, or texts painted as grey values."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from openplate.charset import Charset
from openplate.rectify import CROP_HEIGHT, CROP_WIDTH

CELL_PX = 12
"""Width of one step of `grey_reader`: 16 steps a row, an upper and a lower row of 24 px each."""
_GREY_STEP = 3
CHARSET = Charset()


def _save(path: Path, nodes: list[onnx.NodeProto], shape: Sequence[str | int], constants: dict[str, ArrayLike], metadata: dict[str, str]) -> Path:
    taken = helper.make_tensor_value_info("image", TensorProto.UINT8, shape)
    given = helper.make_tensor_value_info("output", TensorProto.FLOAT, None)
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = helper.make_model(helper.make_graph(nodes, "tiny", [taken], [given], stored), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def constant_network(path: Path, shape: Sequence[str | int], output: ArrayLike, metadata: dict[str, str]) -> Path:
    """A network for `shape` uint8 (batch first) that answers `output` (without its batch axis) to every image."""
    answer = np.asarray(output, np.float32)[None]
    each = np.array([-1] + [1] * (answer.ndim - 1))
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0, axes=list(range(1, len(shape)))),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "each"], ["every"]),
        helper.make_node("Add", ["every", "answer"], ["output"]),
    ]
    constants: dict[str, ArrayLike] = {"zero": np.float32(0), "answer": answer, "each": each}
    return _save(path, nodes, shape, constants, metadata)


def grey_reader(path: Path, metadata: dict[str, str] | None = None, charset: Charset = CHARSET) -> Path:
    """A reader of two rows that reads what `paint` paints: each cell's mean grey is three times its class id."""
    greys = np.arange(len(charset), dtype=np.float32) * _GREY_STEP
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["x", "channel"], ["map"]),
        helper.make_node("AveragePool", ["map"], ["cells"], kernel_shape=[24, CELL_PX], strides=[24, CELL_PX]),
        helper.make_node("Reshape", ["cells", "steps"], ["seen"]),
        helper.make_node("Sub", ["seen", "greys"], ["off"]),
        helper.make_node("Mul", ["off", "off"], ["squared"]),
        helper.make_node("Mul", ["squared", "sharpness"], ["scores"]),
        helper.make_node("LogSoftmax", ["scores"], ["output"], axis=2),
    ]
    constants = {"channel": np.array([1]), "steps": np.array([0, -1, 1]), "greys": greys.reshape(1, 1, -1), "sharpness": np.float32(-2)}
    known = {"openplate.kind": "reader", "openplate.characters": charset.characters, "openplate.rows": "2"}
    return _save(path, nodes, ("n", CROP_HEIGHT, CROP_WIDTH), constants, known if metadata is None else metadata)


def paint(upper: str, lower: str = "", charset: Charset = CHARSET) -> np.ndarray:
    """A crop `(48, 192) uint8` that `grey_reader` reads as `upper` + `lower`, a blank cell after each character."""
    crop = np.zeros((CROP_HEIGHT, CROP_WIDTH), np.uint8)
    for top, text in ((0, upper), (24, lower)):
        for i, k in enumerate(charset.encode(text)):
            crop[top : top + 24, 2 * i * CELL_PX : (2 * i + 1) * CELL_PX] = k * _GREY_STEP
    return crop
