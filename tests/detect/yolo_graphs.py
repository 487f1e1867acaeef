"""Graphs with the input, output and metadata of YOLOv8 exports, whose outputs a test can name."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

DETECT = {"task": "detect", "names": "{0: 'license_plate'}", "imgsz": "[640, 640]", "stride": "32", "batch": "1", "author": "Ultralytics"}
POSE = DETECT | {"task": "pose", "kpt_shape": "[4, 3]"}
ANCHORS = 8400
"""80² + 40² + 20² for an input of 640 × 640."""
FIXED = (1, 3, 640, 640)
DYNAMIC = ("batch", 3, "height", "width")


def yolo_network(path: Path, columns: ArrayLike, metadata: dict[str, str], shape: Sequence[str | int] = FIXED, anchors: int = ANCHORS) -> Path:
    """A network that answers the given columns (box, scores, key points) and, for all other anchor points, boxes without any score."""
    answer = np.zeros((1, np.shape(columns)[1], anchors), np.float32)
    answer[0, :, : len(np.asarray(columns))] = np.asarray(columns, np.float32).T
    return constant_graph(path, [answer], metadata, shape)


def constant_graph(path: Path, answers: Sequence[np.ndarray], metadata: dict[str, str], shape: Sequence[str | int] = FIXED, kind: int = 0) -> Path:
    """A network for `shape` that answers the given arrays to every image; `kind` is the input's element type, float32 by default."""
    nodes = [
        helper.make_node("Cast", ["images"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        *(helper.make_node("Add", ["nothing", f"answer{i}"], [f"output{i}"]) for i in range(len(answers))),
    ]
    constants = {"zero": np.float32(0)} | {f"answer{i}": answer for i, answer in enumerate(answers)}
    return save_graph(path, nodes, constants, len(answers), metadata, shape, kind or TensorProto.FLOAT)


def mean_graph(path: Path, shape: Sequence[str | int] = FIXED) -> Path:
    """A network whose one box has the mean of the first channel (red) as its score, and whose width is the input's least value times 1000."""
    nodes = [
        helper.make_node("Gather", ["images", "red"], ["channel"], axis=1),
        helper.make_node("ReduceMean", ["channel"], ["score"], keepdims=0),
        helper.make_node("ReduceMin", ["images"], ["least"], keepdims=0),
        helper.make_node("Mul", ["score", "row_of_score"], ["scored"]),
        helper.make_node("Mul", ["least", "row_of_width"], ["widened"]),
        helper.make_node("Add", ["scored", "widened"], ["both"]),
        helper.make_node("Add", ["both", "answer"], ["output0"]),
    ]
    score, width, answer = (np.zeros((1, 5, ANCHORS), np.float32) for _ in range(3))
    score[0, 4, 0], width[0, 2, 0], answer[0, :4, 0] = 1, 1000, (320, 320, 0, 50)
    constants = {"red": np.int64(0), "row_of_score": score, "row_of_width": width, "answer": answer}
    return save_graph(path, nodes, constants, 1, DETECT, shape)


def save_graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray | np.generic],
    outputs: int,
    metadata: dict[str, str],
    shape: Sequence[str | int],
    kind: int = TensorProto.FLOAT,
) -> Path:
    taken = helper.make_tensor_value_info("images", kind, shape)
    given = [helper.make_tensor_value_info(f"output{i}", TensorProto.FLOAT, None) for i in range(outputs)]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = helper.make_model(helper.make_graph(nodes, "yolo", [taken], given, stored), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path
