from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from openplate.charset import CHARACTERS
from openplate.end_to_end import EndToEnd, Look, OnePass, grey_pixels, reader_beside
from openplate.engine import open_joint_network
from openplate.errors import WeightsError
from openplate.export import end_to_end as export
from openplate.export.end_to_end import TOLERANCE, export_end_to_end
from openplate.export.onnx import build_network, write_metadata
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
        "channels": [8, 16, 16, 16, 16],
        "origins": ["CN", "RU"],
        "width": 0.25 if backbone == "light" else 1 / 64,
        "hidden": 8,
        "longest_px": longest_px,
    }
    network = Network(len(CHARACTERS) + 1, backbone, settings["width"], settings["hidden"], settings["channels"], len(settings["origins"]))
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
    texts, seen = look.read(QUADS)
    network = build_network(torch.load(checkpoint, weights_only=True))
    assert isinstance(network, Network)
    # 200 px become 192, and the rest is filled up to 128: the pixels keep their size, 200 × 120, and cover 134 px in height too (the 120 became 115).
    assert look.grey.shape == (134, 200)
    assert look.maps[0].shape[2:] == (32, 48)
    maps = tuple(torch.from_numpy(m) for m in (look.pixels(0), *look.maps))
    with torch.inference_mode():
        expected = network.read(maps, Choice(torch.from_numpy(np.stack(QUADS)), torch.zeros(2, dtype=torch.long)))  # type: ignore[arg-type]
    expected, corrected = expected
    assert np.allclose(np.stack(seen), corrected.numpy(), atol=0.05)
    assert texts.shape == (2, 97, len(CHARACTERS) + 1)  # 96 steps, and the row of countries
    assert np.allclose(texts, expected.numpy(), atol=5e-3)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_number_of_quads_is_free_and_changes_no_text(exported: Exported, engine: str) -> None:
    _, target, _ = exported
    look = EndToEnd(target, engine=engine, precision="fp32")(IMAGE)
    together = look.read([*QUADS, QUADS[0] + 3])[0]
    for i, quad in enumerate(QUADS):
        assert np.allclose(look.read([quad])[0][0], together[i], atol=1e-4)
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
    with pytest.raises(WeightsError, match="expected a network with one input, this one has 6"):
        EndToEnd(reader_beside(target))


def test_wrong_inputs_of_the_reader_give_value_errors(exported: Exported) -> None:
    _, target, _ = exported
    network = open_joint_network(reader_beside(target), 6, precision="fp32")
    with pytest.raises(ValueError, match="takes 6 inputs, got 1"):
        network(np.zeros((1, 4, 2), np.float32))
    with pytest.raises(WeightsError, match="expected a network with 3 inputs, this one has 6"):
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


def test_quads_are_corrected_and_read_and_unsure_ones_are_looked_at_again(exported: Exported) -> None:
    _, target, _ = exported
    one_pass = OnePass(target, select(load_formats(), ["RU"]), precision="fp32")
    look = one_pass.look(IMAGE)
    margins = [(0.03, 0.08), (-0.02, -0.06)]
    (once,) = one_pass.read(look, QUADS[1:], lambda _: False, margins)
    (again,) = one_pass.read(look, QUADS[1:], lambda _: True, margins)
    (first,), (corrected,) = look.read(QUADS[1:])
    assert np.allclose(once.quad, corrected, atol=1e-3) and np.array_equal(once.quad, again.quad)
    assert 0 < np.abs(corrected - QUADS[1]).max() < 10
    views = [first, *look.read([grow_quad(corrected, *m) for m in margins], correct=False)[0]]
    assert once.reading.confidence == pytest.approx(one_pass.decoder.decode(views[:1]).confidence, rel=1e-3)
    assert again.reading.confidence == pytest.approx(one_pass.decoder.decode(views).confidence, rel=1e-3)
    assert one_pass.read(look, [], lambda _: True, margins) == []


def test_pixels_keep_the_photo_s_size_and_are_averaged_down(exported: Exported) -> None:
    image = np.zeros((500, 900, 3), np.uint8)
    image[:, 450:] = 200
    grey = grey_pixels(image, 960, 512)
    assert grey.shape == (512, 960)
    assert grey[10, 959] == grey[511, 500] == 200  # its last column and row go on
    look = Look((), (), grey, (), open_joint_network(reader_beside(exported[1]), 6, precision="fp32"))
    assert [look.pixels(level).shape for level in range(3)] == [(1, 1, 512, 960), (1, 1, 256, 480), (1, 1, 128, 240)]
    assert look.pixels(2)[0, 0, 60, 100] == 0 and look.pixels(2)[0, 0, 60, 130] == 200


def test_large_plate_is_read_in_coarser_pixels(exported: Exported) -> None:
    _, target, _ = exported
    network = EndToEnd(target, precision="fp32")
    fine = np.random.default_rng(5).integers(0, 256, (512, 1024, 3), np.uint8)
    fine[::2], fine[:, ::2] = 255 - fine[1::2], 255 - fine[:, 1::2]  # alternates so finely that nothing is left of it at half the size
    large = box_to_quad(100, 100, 900, 300)
    look = network(fine)
    plain = network(np.full_like(fine, 127))
    # Sampled at every fourth pixel it would be noise; averaged first it is nearly as grey as a grey picture.
    views = [np.asarray(one.pixels(2))[0, 0, 25:75, 25:225].std() for one in (look, plain)]
    assert views[0] < 25 and views[1] == 0
    assert look.read([large, QUADS[0]])[0].shape[0] == 2
    assert np.allclose(look.read([large, QUADS[0]])[0][1], look.read([QUADS[0]])[0][0], atol=1e-4)
    assert np.allclose(look.read([large])[0], look.reader(look.pixels(2), *look.maps, np.stack([large / 4]), np.ones(1, np.float32))[0], atol=2e-3)
