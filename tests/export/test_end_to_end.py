from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from openplate.charset import CHARACTERS
from openplate.detect.detector import Detector, Seen
from openplate.end_to_end import GRIDS, PARTS, open_end_to_end, part_beside, sample_features
from openplate.engine import open_joint_network
from openplate.errors import WeightsError
from openplate.export import end_to_end as export
from openplate.export.end_to_end import TOLERANCE, export_end_to_end
from openplate.export.onnx import build_network, write_metadata
from openplate.formats import load_formats
from openplate.geometry import box_to_quad
from openplate.rectify import rectify
from openplate.train.checkpoint import save_checkpoint
from openplate.train.networks.end_to_end import Choice, sample_quads
from openplate.train.networks.end_to_end import EndToEnd as Network
from openplate.types import Image
from tests.networks import constant_network

SMOOTH: Image = np.asarray(cv2.resize(np.random.default_rng(2).integers(0, 256, (12, 20, 3), np.uint8), (200, 120)), dtype=np.uint8)
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
            elif name == "reading.add.weight":  # nothing at first: features would change no text
                parameter.normal_(0, 3.0)
            elif name == "reading.reader.classify.weight":
                parameter.mul_(20)
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


def test_three_files_are_written_and_compute_what_torch_computes(exported: Exported) -> None:
    _, target, differences = exported
    assert set(differences) == {"onnxruntime", "openvino"}
    assert all(0 <= value < TOLERANCE for value in differences.values())
    assert sorted(p.name for p in target.parent.iterdir()) == ["plates-reader.onnx", "plates-straightener.onnx", "plates.onnx"]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_quads_of_an_image_are_read_as_torch_reads_them(exported: Exported, engine: str) -> None:
    checkpoint, target, _ = exported
    stages = open_end_to_end(target, load_formats(), engine=engine, precision="fp32")
    seen = stages.detector.see(SMOOTH)
    # 200 px become 192, 120 become 115, and the rest is filled up with grey to 128: which is 134 of the image's px.
    assert seen.features_px == pytest.approx((200, 120 / 115 * 128))
    assert [features.shape[1:] for features in seen.features] == [(32, 48), (16, 24), (8, 12)]
    network = build_network(torch.load(checkpoint, weights_only=True))
    assert isinstance(network, Network)
    scale = np.array([192 / 200, 115 / 120], np.float32)
    padded = np.full((128, 192, 3), 114, np.uint8)
    padded[:115] = cv2.resize(SMOOTH, (192, 115), interpolation=cv2.INTER_LINEAR)
    with torch.inference_mode():
        maps = network.look(torch.from_numpy(padded[None]).permute(0, 3, 1, 2).float()).maps
        choice = Choice(torch.from_numpy(np.stack(QUADS) * scale), torch.zeros(2, dtype=torch.long))
        views = [sample_quads(m, choice, size, (192, 128)) for m, size in zip(maps[1:], GRIDS, strict=True)]
        expected = network.reading.write(torch.from_numpy(np.stack([rectify(SMOOTH, q) for q in QUADS])[:, None]).float(), *views).numpy()
    for i, quad in enumerate(QUADS):
        found = sample_features(seen, quad)
        for view, wanted in zip(found, views, strict=True):
            # OpenCV places a sample to 1/32 of a cell.
            assert np.abs(view - wanted[i].numpy()).max() < 0.05 * float(wanted.abs().max())
        text = stages.reader.log_probabilities(rectify(SMOOTH, quad), *found)
        assert text.shape == (97, len(CHARACTERS) + 1)  # 96 steps, and the row of countries
        blind = stages.reader.log_probabilities(rectify(SMOOTH, quad), *(np.zeros_like(view) for view in found))
        off, unseen = (np.abs(np.exp(said[:96]) - np.exp(expected[i, :96])).max() for said in (text, blind))
        assert off < 0.02
        if target.parent.parent.name.startswith("light"):  # VGG16's few channels are nothing before training
            assert unseen > 4 * off


def test_features_of_an_upright_quad_are_those_of_its_cells(exported: Exported) -> None:
    _, target, _ = exported
    detector = Detector(target, precision="fp32", kind="end-to-end")
    seen = detector.see(np.asarray(cv2.resize(SMOOTH, (192, 128)), dtype=np.uint8))
    finest = seen.features[0]  # 32 × 48 cells of 4 px
    # With its margins the quad is the whole picture, so that the view is the map at another size.
    whole = box_to_quad(0, 0, 192 / 1.08, 128 / 1.2) + np.array([192 / 1.08 * 0.04, 128 / 1.2 * 0.1], np.float32)
    view = sample_features(seen, whole)[0]
    twice = np.asarray(cv2.resize(finest.transpose(1, 2, 0), (96, 24), interpolation=cv2.INTER_LINEAR)).transpose(2, 0, 1)
    assert np.abs(view - twice).max() < 0.05 * np.abs(finest).max()


def test_quads_beyond_the_image_and_on_one_line_give_finite_features(exported: Exported) -> None:
    _, target, _ = exported
    seen = Detector(target, precision="fp32", kind="end-to-end").see(IMAGE)
    for quad in (
        box_to_quad(-300, -200, -100, -150),
        box_to_quad(150, 100, 900, 400),
        np.array([[10, 10], [50, 10], [90, 10], [130, 10]], np.float32),
    ):
        views = sample_features(seen, quad)
        assert [view.shape[1:] for view in views] == list(GRIDS)
        assert all(np.isfinite(view).all() for view in views)
    far = sample_features(seen, box_to_quad(-300, -200, -100, -150))[0]
    assert np.array_equal(far, np.broadcast_to(seen.features[0][:, :1, :1], far.shape))  # the corner goes on


def test_detector_alone_gives_no_features(tmp_path: Path) -> None:
    path = constant_network(
        tmp_path / "d.onnx",
        ("n", "h", "w", 3),
        np.zeros((1, 9)),
        {"openplate.kind": "detector", "openplate.side": "960", "openplate.threshold": "0.4"},
    )
    seen = Detector(path, precision="fp32").see(IMAGE)
    assert seen.features == () and sample_features(seen, QUADS[0]) == ()


def test_detections_are_in_the_image_s_pixels_the_surest_first(exported: Exported) -> None:
    _, target, _ = exported
    found = Detector(target, precision="fp32", kind="end-to-end").see(IMAGE).candidates
    assert found
    assert all(a.confidence >= b.confidence for a, b in pairwise(found))
    centres = np.array([d.quad.mean(axis=0) for d in found])
    # A second look, at 0.35 of the first one's scale, is filled up with grey to 128 px: which is 381 of the image's.
    assert centres.min() > -10 and centres.max() < 391
    assert ((centres[:, 0] < 210) & (centres[:, 1] < 145)).mean() > 0.5


def test_parts_of_another_training_are_refused(exported: Exported, tmp_path: Path) -> None:
    _, target, _ = exported
    path = tmp_path / target.name
    for part in PARTS:
        for file in (target, *(part_beside(target, name) for name in PARTS)):
            (tmp_path / file.name).write_bytes(file.read_bytes())
        write_metadata(part_beside(path, part), {"step": "8"})
        with pytest.raises(WeightsError, match=rf"plates-{part}\.onnx: is not of the same training as plates\.onnx"):
            open_end_to_end(path, load_formats())
        part_beside(path, part).unlink()
        with pytest.raises(WeightsError, match=rf"plates-{part}\.onnx: expected a network beside plates\.onnx, found no such file; the three files"):
            open_end_to_end(path, load_formats())
    with pytest.raises(WeightsError, match="expected the first file of an end-to-end network of openplate, got kind 'straightener'"):
        open_end_to_end(part_beside(target, "straightener"), load_formats())
    with pytest.raises(
        WeightsError, match="one input, this one has 4; it is of kind 'end-to-end-reader': name the first file of that network, with --model"
    ):
        open_end_to_end(part_beside(target, "reader"), load_formats())


def test_wrong_inputs_of_the_reader_give_value_errors(exported: Exported) -> None:
    _, target, _ = exported
    network = open_joint_network(part_beside(target, "reader"), 4, precision="fp32")
    with pytest.raises(ValueError, match="takes 4 inputs, got 1"):
        network(np.zeros((1, 48, 192), np.uint8))
    with pytest.raises(WeightsError, match="expected a network with 3 inputs, this one has 4"):
        open_joint_network(part_beside(target, "reader"), 3)


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
    kinds = [{p.key: p.value for p in onnx.load(str(p)).metadata_props}["openplate.kind"] for p in (target, *(part_beside(target, n) for n in PARTS))]
    assert kinds == ["end-to-end", "straightener", "end-to-end-reader"]


def test_maps_of_many_channels_are_sampled_as_those_of_few() -> None:
    features = np.random.default_rng(3).normal(size=(130, 16, 24)).astype(np.float32)
    quad = np.array([[20, 10], [80, 16], [78, 40], [18, 34]], np.float32)
    many = sample_features(Seen([], (features,) * 3, (96, 64)), quad)[0]
    few = [sample_features(Seen([], (features[i : i + 1],) * 3, (96, 64)), quad)[0][0] for i in (0, 63, 64, 129)]
    # OpenCV rounds places to 1/32 of a cell where there are many channels; noise of neighbouring cells is up to 6 apart.
    assert np.abs(many[[0, 63, 64, 129]] - np.stack(few)).max() < 0.2


def test_sides_that_are_rounded_are_undone_each_by_itself(exported: Exported) -> None:
    _, target, _ = exported
    # 191 × 101 px become 192 × 102 (101.53): the lower edge of the picture is the lower edge of what the network saw.
    seen = Detector(target, precision="fp32", kind="end-to-end").see(IMAGE[:101, :191])
    assert seen.features_px == pytest.approx((191, 101 * 128 / 102))
