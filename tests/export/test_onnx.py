import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from openplate.charset import CHARACTERS
from openplate.detect.detector import Detector
from openplate.engine import open_network
from openplate.errors import ConfigError, FormatError, WeightsError
from openplate.export import export_checkpoint
from openplate.export import onnx as export
from openplate.export.onnx import TOLERANCE, build_network, halve_weights, training_formats, training_summary, write_metadata
from openplate.formats import load_formats, select
from openplate.geometry import box_to_quad
from openplate.read.reader import Reader
from openplate.straighten import Straightener
from openplate.train.networks.detector import Detector as DetectorNetwork
from tests.export.conftest import KINDS, Exported, write_checkpoint

SHAPES = {"reader": (None, 48, 192), "detector": (None, None, None, 3), "straightener": (None, 48, 128)}


@pytest.mark.parametrize("kind", KINDS)
def test_export_is_checked_on_both_engines(exported: dict[str, Exported], kind: str) -> None:
    differences = exported[kind].differences
    assert set(differences) == {"onnxruntime", "openvino"}
    assert all(0 <= value < TOLERANCE for value in differences.values())
    assert [p.name for p in exported[kind].target.parent.iterdir()] == [f"{kind}.onnx"]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("kind", KINDS)
def test_file_says_what_it_is_in_both_engines(exported: dict[str, Exported], kind: str, engine: str) -> None:
    network = open_network(exported[kind].target, engine=engine, precision="fp32")
    metadata = {k.removeprefix("openplate."): v for k, v in network.metadata.items() if k.startswith("openplate.")}
    own = {
        "reader": {"characters": CHARACTERS, "height": "48", "width": "192", "margin": "0.04 0.1", "rows": "2"},
        "detector": {"side": "960", "threshold": "0.45", "faint": "0.35", "strides": "8 16 32 64", "reach": "4"},
        "straightener": {"height": "48", "width": "128"},
    }[kind]
    training = metadata.pop("training")
    assert metadata == {"kind": kind, "version": "1", "step": "7", "normalisation": "uint8 0-255, inside the graph", "note": "a test", **own}
    assert (training == "unknown") == (kind != "reader")
    assert network.input_shape == SHAPES[kind]


def test_summary_of_the_training_names_data_sets_without_their_folders(exported: dict[str, Exported]) -> None:
    training = json.loads(open_network(exported["reader"].target).metadata["openplate.training"])
    assert (training["photos"], training["validation"]) == (["streets"], ["yard"])
    assert (training["hidden"], training["loop"]["steps"]) == (16, 8000)
    assert training_summary(exported["detector"].checkpoint.parent) == "unknown"


@pytest.mark.parametrize("kind", KINDS)
def test_file_computes_what_torch_computes_at_other_sizes(exported: dict[str, Exported], kind: str) -> None:
    network = build_network(torch.load(exported[kind].checkpoint, weights_only=True))
    shape = (2, 128, 64, 3) if kind == "detector" else (3, 48, SHAPES[kind][2] or 0)
    batch = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    tensor = torch.from_numpy(batch).float()
    with torch.inference_mode():
        expected = (network.cells(tensor.permute(0, 3, 1, 2)) if isinstance(network, DetectorNetwork) else network(tensor[:, None])).numpy()
    for engine in ("onnxruntime", "openvino"):
        (got,) = open_network(exported[kind].target, engine=engine, precision="fp32")(batch)
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() < TOLERANCE * max(1.0, float(np.abs(expected).max()))


def test_exported_networks_are_ready_to_use(exported: dict[str, Exported]) -> None:
    image = np.full((90, 160, 3), 90, np.uint8)
    assert Detector(exported["detector"].target, precision="fp32")(image) == []  # untrained: sees no plates
    quad = Straightener(exported["straightener"].target, precision="fp32")(image, box_to_quad(20, 20, 120, 45))
    assert np.abs(quad - box_to_quad(20, 20, 120, 45)).max() < 15
    reader = Reader(exported["reader"].target, select(load_formats(), ["RU"]))
    assert reader.log_probabilities(np.zeros((48, 192), np.uint8)).shape == (96, len(CHARACTERS) + 1)


def test_difference_from_torch_is_an_error_and_nothing_is_written(
    exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(path: Path) -> None:
        model = onnx.load(str(path))
        weight = max((t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT), key=lambda t: int(np.prod(t.dims)))
        weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 1.5 + 0.1, weight.name))
        onnx.save(model, str(path))

    monkeypatch.setattr(export, "halve_weights", spoilt)
    with pytest.raises(WeightsError, match=r"onnxruntime differs from torch by .* nothing was written"):
        export_checkpoint(exported["straightener"].checkpoint, tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []


def test_output_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, "straightener")
    state = torch.load(checkpoint, weights_only=True)
    state["network"]["head.2.bias"][:] = float("nan")
    torch.save(state, checkpoint)
    with pytest.raises(WeightsError, match="nothing was written"):
        export_checkpoint(checkpoint, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_old_export_stays_when_the_next_one_fails(exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.onnx"
    target.write_bytes(b"old")
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(WeightsError):
        export_checkpoint(exported["straightener"].checkpoint, target)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("out.onnx", b"old")]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param(b"PK\x03\x04 and then nothing", id="cut-archive"),
        pytest.param(pickle.dumps(print, protocol=2), id="pickled-function"),
        pytest.param(pickle.dumps([1, 2], protocol=2), id="pickled-list"),
    ],
)
def test_file_that_is_no_checkpoint_gives_weights_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\.pt: expected a checkpoint of openplate train"):
        export_checkpoint(tmp_path / "bad.pt", tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_missing_cut_and_foreign_checkpoints_give_errors(exported: dict[str, Exported], tmp_path: Path) -> None:
    data = exported["straightener"].checkpoint.read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: len(data) // 2])
    torch.save({"weights": torch.zeros(3)}, tmp_path / "foreign.pt")
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    for name in ("none.pt", "cut.pt", "foreign.pt", "list.pt"):
        with pytest.raises(WeightsError, match="expected a checkpoint"):
            export_checkpoint(tmp_path / name, tmp_path / "out.onnx")


def test_unknown_kind_and_weights_that_do_not_fit_give_errors(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, "detector")
    state = torch.load(checkpoint, weights_only=True)
    with pytest.raises(ConfigError, match="kind 'tracker' is not one of reader, detector, straightener"):
        build_network({**state, "kind": "tracker"})
    torch.save({**state, "settings": {"width": 0.5}}, checkpoint)
    with pytest.raises(WeightsError, match=r"weights do not fit a detector of settings \{'width': 0.5\}"):
        export_checkpoint(checkpoint, tmp_path / "out.onnx")


def test_averaged_weights_of_a_last_checkpoint_are_taken(tmp_path: Path) -> None:
    state = torch.load(write_checkpoint(tmp_path, "straightener"), weights_only=True)
    average = {key: torch.full_like(value, 2) for key, value in state["network"].items()}
    network = build_network({**state, "average": average})
    assert all((value == 2).all() for value in network.state_dict().values())


def test_large_weights_are_stored_in_half_the_bytes(exported: dict[str, Exported], tmp_path: Path) -> None:
    # The straightener has 443,896 weights in tensors of 256 and more, and few others.
    state = torch.load(exported["straightener"].checkpoint, weights_only=True)
    large = sum(value.numel() for value in state["network"].values() if value.numel() >= 256)
    assert 2 * large < exported["straightener"].target.stat().st_size < 2.2 * large
    model = onnx.load(str(exported["straightener"].target))
    kinds = {t.data_type for t in model.graph.initializer if np.prod(t.dims) >= 256}
    assert kinds == {onnx.TensorProto.FLOAT16}


def test_halving_rounds_weights_to_float16_and_keeps_small_ones(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
    bias = np.full(16, 0.1, np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["product"]), onnx.helper.make_node("Add", ["product", "b"], ["y"])],
        "tiny",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 16])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 16])],
        [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(bias, "b")],
    )
    path = tmp_path / "tiny.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), str(path))
    before = path.stat().st_size
    halve_weights(path)
    assert before - path.stat().st_size > 16 * 16 * 2 - 120  # two bytes a weight, less the cast's name
    (output,) = open_network(path, engine="onnxruntime")(np.eye(16, dtype=np.float32))
    assert np.allclose(output, weights.astype(np.float16).astype(np.float32) + np.float32(0.1), atol=1e-6)


def test_metadata_is_added_to_what_is_there(exported: dict[str, Exported], tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    shutil.copyfile(exported["straightener"].target, path)
    write_metadata(path, {"note": "another", "slope": "1.5"})
    metadata = open_network(path, engine="onnxruntime").metadata
    assert (metadata["openplate.note"], metadata["openplate.slope"], metadata["openplate.kind"]) == ("another", "1.5", "straightener")


def test_formats_are_those_that_the_file_was_trained_on(exported: dict[str, Exported], tmp_path: Path) -> None:
    known = load_formats()
    path = tmp_path / "r.onnx"
    path.write_bytes(exported["detector"].target.read_bytes())
    assert training_formats(path, known) == known  # it says nothing
    write_metadata(path, {"training": json.dumps({"countries": ["ru", "kz"], "formats": []})})
    assert [f.code for f in training_formats(path, known)] == ["RU", "KZ"]
    write_metadata(path, {"training": json.dumps({"countries": ["xx"]})})
    with pytest.raises(FormatError, match="name their folder with --formats"):
        training_formats(path, known)


def test_file_trained_with_folders_of_formats_needs_them_though_it_names_no_country(exported: dict[str, Exported], tmp_path: Path) -> None:
    known = load_formats()
    path = tmp_path / "r.onnx"
    path.write_bytes(exported["detector"].target.read_bytes())
    write_metadata(path, {"training": json.dumps({"countries": [], "formats": ["more/formats"]})})
    with pytest.raises(FormatError, match="trained on further formats, those of more/formats; name their folder with --formats"):
        training_formats(path, known)
    more = (*known, replace(known[0], code="XY"))
    assert training_formats(path, more) == more
