from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from openplate.charset import CHARACTERS
from openplate.end_to_end import EndToEnd, OnePass, reader_beside
from openplate.engine import open_joint_network
from openplate.errors import WeightsError
from openplate.export import end_to_end as export
from openplate.export.end_to_end import export_end_to_end
from openplate.export.onnx import TOLERANCE, build_network, write_metadata
from openplate.formats import load_formats, select
from openplate.geometry import box_to_quad, grow_quad
from openplate.train.checkpoint import save_checkpoint
from openplate.train.networks.end_to_end import Choice
from openplate.train.networks.end_to_end import EndToEnd as Network
from openplate.types import Image

IMAGE: Image = np.random.default_rng(1).integers(0, 256, (120, 200, 3), np.uint8)
QUADS = [box_to_quad(30, 20, 90, 36), np.array([[100, 40], [150, 60], [146, 82], [98, 58]], np.float32)]


def write_checkpoint(folder: Path, backbone: str, longest_px: int = 192) -> Path:
    """A checkpoint of an untrained network that gives some detections of more than the threshold."""
    torch.manual_seed(3)
    settings = {
        "characters": CHARACTERS,
        "backbone": backbone,
        "width": 0.25 if backbone == "light" else 1 / 64,
        "hidden": 8,
        "longest_px": longest_px,
    }
    network = Network(len(CHARACTERS) + 1, backbone, settings["width"], settings["hidden"])
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("heads.2.score.bias", "heads.2.predict.bias")):
                parameter[:: 9 if "predict" in name else 1] = 2.0
    path = folder / "best.pt"
    save_checkpoint(path, {"kind": "end-to-end", "settings": settings, "network": network.state_dict(), "step": 7})
    return path


@pytest.fixture(scope="module", params=["light", "vgg16"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint = write_checkpoint(folder, request.param)
    target = folder / "out" / "plates.onnx"
    return checkpoint, target, export_end_to_end(checkpoint, target)


Exported = tuple[Path, Path, dict[str, float]]


def test_two_files_are_written_and_compute_what_torch_computes(exported: Exported) -> None:
    _, target, differences = exported
    assert set(differences) == {"onnxruntime", "openvino"}
    assert all(0 <= value < TOLERANCE for value in differences.values())
    assert sorted(p.name for p in target.parent.iterdir()) == ["plates-reader.onnx", "plates.onnx"]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_quads_of_an_image_are_read_as_torch_reads_them(exported: Exported, engine: str) -> None:
    checkpoint, target, _ = exported
    look = EndToEnd(target, engine=engine, precision="fp32")(IMAGE)
    texts = look.read(QUADS)
    network = build_network(torch.load(checkpoint, weights_only=True))
    assert isinstance(network, Network)
    # 200 px become 192; the rest is filled with grey up to 128.
    assert look.scale == pytest.approx(0.96)
    assert look.maps[0].shape[2:] == (64, 96)
    maps = tuple(torch.from_numpy(m) for m in look.maps)
    with torch.inference_mode():
        expected = network.read(maps, Choice(torch.from_numpy(np.stack(QUADS) * np.float32(0.96)), torch.zeros(2, dtype=torch.long)))  # type: ignore[arg-type]
    assert texts.shape == (2, 96, len(CHARACTERS) + 1)
    assert np.allclose(texts, expected.numpy(), atol=5e-3)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_number_of_quads_is_free_and_changes_no_text(exported: Exported, engine: str) -> None:
    _, target, _ = exported
    look = EndToEnd(target, engine=engine, precision="fp32")(IMAGE)
    together = look.read([*QUADS, QUADS[0] + 3])
    for i, quad in enumerate(QUADS):
        assert np.allclose(look.read([quad])[0], together[i], atol=1e-4)
    with pytest.raises(ValueError, match="one quad or more"):
        look.read([])


def test_detections_are_in_the_image_s_pixels_the_surest_first(exported: Exported) -> None:
    _, target, _ = exported
    look = EndToEnd(target, precision="fp32")(IMAGE)
    assert look.detections
    assert all(a.confidence >= b.confidence for a, b in zip(look.detections, look.detections[1:], strict=False))
    centres = np.array([d.quad.mean(axis=0) for d in look.detections])
    assert centres.min() > -10 and centres[:, 0].max() < 210 and centres[:, 1].max() < 145


def test_reader_of_another_training_is_refused(exported: Exported, tmp_path: Path) -> None:
    _, target, _ = exported
    for path in (target, reader_beside(target)):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_metadata(reader_beside(tmp_path / target.name), {"step": "8"})
    with pytest.raises(WeightsError, match=r"plates-reader\.onnx: is not of the same training as plates\.onnx"):
        EndToEnd(tmp_path / target.name)
    reader_beside(tmp_path / target.name).unlink()
    with pytest.raises(WeightsError, match=r"plates-reader\.onnx: expected a network"):
        EndToEnd(tmp_path / target.name)
    with pytest.raises(WeightsError, match="expected a network with one input, this one has 5"):
        EndToEnd(reader_beside(target))


def test_wrong_inputs_of_the_reader_give_value_errors(exported: Exported) -> None:
    _, target, _ = exported
    network = open_joint_network(reader_beside(target), 5, precision="fp32")
    with pytest.raises(ValueError, match="takes 5 inputs, got 1"):
        network(np.zeros((1, 4, 2), np.float32))
    with pytest.raises(WeightsError, match="expected a network with 3 inputs, this one has 5"):
        open_joint_network(reader_beside(target), 3)


def test_nothing_is_written_when_an_engine_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(WeightsError, match="nothing was written"):
        export_end_to_end(write_checkpoint(tmp_path, "light"), tmp_path / "out" / "plates.onnx")
    assert not list((tmp_path / "out").iterdir())


def test_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    state = {"kind": "straightener", "settings": {}, "network": {}, "step": 1}
    save_checkpoint(tmp_path / "other.pt", state)
    with pytest.raises(WeightsError, match="do not fit a straightener"):
        export_end_to_end(tmp_path / "other.pt", tmp_path / "plates.onnx")


def test_files_keep_metadata(exported: Exported) -> None:
    _, target, _ = exported
    kinds = [{p.key: p.value for p in onnx.load(str(p)).metadata_props}["openplate.kind"] for p in (target, reader_beside(target))]
    assert kinds == ["end-to-end", "end-to-end-reader"]


def test_each_detection_is_read_and_unsure_ones_are_looked_at_again(exported: Exported) -> None:
    _, target, _ = exported
    one_pass = OnePass(target, select(load_formats(), ["RU"]), precision="fp32")
    look = one_pass.look(IMAGE)
    first, *_ = look.detections
    margins = [(0.03, 0.08), (-0.02, -0.06)]
    once = one_pass(IMAGE, lambda _: False, margins)
    again = one_pass(IMAGE, lambda _: True, margins)
    assert [entry.detection.confidence for entry in once] == [d.confidence for d in look.detections]
    views = [look.read([q])[0] for q in (first.quad, *(grow_quad(first.quad, *m) for m in margins))]
    assert once[0].reading.confidence == pytest.approx(one_pass.decoder.decode(views[:1]).confidence, rel=1e-3)
    assert again[0].reading.confidence == pytest.approx(one_pass.decoder.decode(views).confidence, rel=1e-3)


def test_image_without_detections_gives_none(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, "light")
    state = torch.load(checkpoint, weights_only=True)
    for name, values in state["network"].items():
        if name.endswith("score.bias"):
            values.fill_(-20.0)
    save_checkpoint(checkpoint, state)
    export_end_to_end(checkpoint, tmp_path / "plates.onnx")
    assert OnePass(tmp_path / "plates.onnx", select(load_formats(), ["RU"]))(IMAGE, lambda _: True, []) == []
