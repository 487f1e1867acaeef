from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from openplate.charset import Charset
from openplate.errors import ConfigError
from openplate.geometry import box_to_quad
from openplate.rectify import rectify
from openplate.straighten import apply_offsets, look
from openplate.synthesize.scenes import ScenePlate
from openplate.train.checkpoint import save_checkpoint
from openplate.train.config import DetectorConfig, EndToEndConfig, LoopConfig, ReaderConfig, StraightenerConfig, load_config
from openplate.train.detector import EXACT, IGNORE, NONE, UPRIGHT, DetectorTask
from openplate.train.end_to_end import DrawEndToEndShard, EndToEndTask, choose_quads, pack_texts, spoil_quads
from openplate.train.loop import Task, train
from openplate.train.networks.end_to_end import Choice, EndToEnd
from openplate.train.reader import ReaderTask
from openplate.train.straightener import StraightenerTask

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = EndToEndConfig(
    loop=LoopConfig(batch=4, mixed_precision=False),
    countries=("ru",),
    window=128,
    width=0.25,
    channels=(8, 8, 16, 16, 16),
    hidden=16,
    shard=4,
    least_height_px=6,
    validation_windows=2,
)
IMAGE = np.zeros((64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    rows = DrawEndToEndShard(TINY)(0)
    rows |= spoil_quads(rows, random.Random(1), 0.02, 0.0)
    return {key: torch.from_numpy(value) for key, value in rows.items()}


def plate(text: str | None, height: float = 10, width: float = 40, first_line: int | None = None) -> ScenePlate:
    return ScenePlate(box_to_quad(5, 5, 5 + width, 5 + height), text, None, None, first_line=first_line)


def test_texts_are_learnt_only_where_they_can_be_read() -> None:
    plates = [plate("A12"), plate(None), plate("A12", height=5), plate("§1"), plate("A12"), plate("A12"), plate("A" * 13)]
    states = np.array([EXACT, EXACT, EXACT, EXACT, UPRIGHT, IGNORE, EXACT, NONE])
    texts = pack_texts(IMAGE, plates, states, Charset(), 9)
    assert texts["lengths"].tolist() == [3, 0, 0, 0, 0, 0, 0, 0]
    assert texts["targets"][0, :4].tolist() == [*Charset().encode("A12"), 0]
    assert not texts["targets"][1:].any()
    assert texts["first_lines"].tolist() == [3, -1, -1, -1, -1, -1, -1, -1]


def test_first_line_is_the_drawn_one_or_follows_from_the_shape() -> None:
    plates = [plate("A1234", height=20, first_line=2), plate("A1234", height=20), plate("京A1234", height=20), plate("A1234", height=10)]
    states = np.array([EXACT] * 4 + [NONE] * 4)
    assert pack_texts(IMAGE, plates, states, Charset(), 9)["first_lines"].tolist() == [2, -1, 2, 5, -1, -1, -1, -1]


def test_shards_hold_texts_and_depend_on_their_number(batch: dict[str, Tensor]) -> None:
    again, held_out = DrawEndToEndShard(TINY)(0), DrawEndToEndShard(TINY, held_out=True)(0)
    assert all(np.array_equal(batch[key].numpy(), again[key]) for key in again)
    assert again["targets"].shape == (4, 8, 12) and held_out["lengths"].shape == (2, 8)
    assert again["lengths"].any()
    readable = again["lengths"] > 0
    assert ((again["targets"] > 0).sum(axis=-1) == again["lengths"]).all()
    assert (again["states"][readable] == EXACT).all()


def test_quads_are_spoilt_a_little_and_only_where_they_are_read() -> None:
    quads = np.tile(box_to_quad(10, 10, 60, 20), (1, 8, 1, 1))
    lengths = np.array([[6, 0, 6, 0, 0, 0, 0, 0]])
    spoilt = spoil_quads({"quads": quads, "lengths": lengths}, random.Random(0), 0.05, 1.0)
    again = spoil_quads({"quads": quads, "lengths": lengths}, random.Random(0), 0.05, 0.0)
    moved = np.abs(spoilt["looks"] - quads).max(axis=(2, 3))[0]
    assert 0 < moved[0] < 10 and 0 < moved[2] < 10 and not moved[[1, 3, 4, 5, 6, 7]].any()
    assert spoilt["own"].tolist() == [[True, False, True, False, False, False, False, False]]
    assert not again["own"].any()


def test_own_detection_is_taken_where_it_overlaps_by_half() -> None:
    truth, near, far = (torch.from_numpy(box_to_quad(x, 10, x + 40, 20)) for x in (10, 14, 40))
    looks = truth + 1
    detections = torch.stack([torch.cat([torch.tensor([logit]), quad.flatten()]) for logit, quad in ((3.0, far), (1.0, near), (-4.0, truth))])[None]
    batch = {"quads": truth.expand(1, 3, 4, 2).clone(), "looks": looks.expand(1, 3, 4, 2), "own": torch.tensor([[True, False, True]])}
    batch["quads"][0, 2] += 200  # no detection is near this one
    choice = choose_quads(detections.requires_grad_(), batch, torch.tensor([[0, 0], [0, 1], [0, 2]]))
    assert choice.quads.tolist() == [near.tolist(), looks.tolist(), looks.tolist()]
    assert choice.images.tolist() == [0, 0, 0]
    assert not choice.quads.requires_grad


@pytest.mark.parametrize(("backbone", "width"), [("light", 0.25), ("vgg16", 1 / 16)])
def test_all_losses_fall_when_four_windows_are_learnt(backbone: str, width: float, batch: dict[str, Tensor]) -> None:
    task = EndToEndTask(replace(TINY, backbone=backbone, width=width))
    network = task.network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    losses: list[dict[str, float]] = []
    for _ in range(25):
        loss, figures = task.loss(network, batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        losses.append(figures)
    assert set(losses[0]) == {"score_loss", "box_loss", "corner_loss", "text_loss", "straight_loss"}
    for key in losses[0]:
        assert losses[-1][key] < 0.8 * losses[0][key], key


def test_windows_without_texts_leave_the_reading_branch_as_it_is(batch: dict[str, Tensor]) -> None:
    task, nothing = EndToEndTask(TINY), torch.zeros_like(batch["lengths"])
    loss, figures = task.loss(task.network.train(), {**batch, "lengths": nothing, "first_lines": nothing - 1})
    loss.backward()  # type: ignore[no-untyped-call]
    assert figures["text_loss"] == 0
    assert all(p.grad is not None and not p.grad.any() for n, p in task.network.named_parameters() if n.startswith("reading."))


def test_validation_counts_found_and_read_plates() -> None:
    task = EndToEndTask(TINY)
    figures = task.validate(task.network)
    assert set(figures) == {"recall", "precision", "exact_true", "exact", "length_errors", "score"}
    # An untrained network scores every anchor under 0.4 and writes no plate's text.
    assert figures["recall"] == figures["exact"] == figures["exact_true"] == figures["score"] == 0


def test_batches_of_a_step_are_the_same_after_a_resume() -> None:
    config = replace(TINY, loop=replace(TINY.loop, batch=2), own_from_step=0, own_share=1.0)
    *_, last = EndToEndTask(config).batches(0, 3)
    (again,) = EndToEndTask(config).batches(2, 3)
    assert last.keys() == again.keys()
    assert all(torch.equal(last[key], again[key]) for key in last)
    assert last["images"].shape == (2, 128, 128, 3)


def test_parts_start_from_a_detector_and_a_reader_and_begin_by_reading_as_the_reader_does(tmp_path: Path) -> None:
    detector, reader = DetectorTask(DetectorConfig(channels=TINY.channels)), ReaderTask(ReaderConfig(width=0.25, hidden=16, tell_countries=True))
    straightener = StraightenerTask(StraightenerConfig())
    parts: tuple[Task, ...] = (detector, straightener, reader)
    for task in parts:
        state = {"kind": task.kind, "settings": task.settings, "network": task.network.state_dict(), "step": 1}
        save_checkpoint(tmp_path / f"{task.kind}.pt", state)
    paths = {task.kind: str(tmp_path / f"{task.kind}.pt") for task in parts}
    whole = EndToEndTask(replace(TINY, countries=(), tell_countries=True, **paths))
    assert [line.split(" started from")[0] for line in whole.start_parts().splitlines()] == ["detector:", "straightener:", "reader:"]
    network = whole.network.eval()
    assert isinstance(network, EndToEnd)
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    quad = np.array([[20, 12], [100, 20], [98, 44], [18, 36]], np.float32)
    crop = rectify(image, quad)
    with torch.inference_mode():
        seen = network.look(torch.from_numpy(image).permute(2, 0, 1)[None].float())
        assert torch.equal(seen.detections, detector.network.eval()(torch.from_numpy(image).permute(2, 0, 1)[None].float()))
        choice = Choice(torch.from_numpy(quad)[None], torch.zeros(1, dtype=torch.long))
        texts, _ = network.read(seen.maps, choice, torch.zeros(1))
        _, corrected = network.read(seen.maps, choice)
        offsets = straightener.network.eval()(torch.from_numpy(look(image, quad))[None, None].float())
        expected = reader.network.eval()(torch.from_numpy(crop)[None, None].float())
    assert np.abs(corrected[0].numpy() - apply_offsets(quad, offsets[0].numpy())).max() < 0.05
    assert texts.shape == expected.shape == (1, 97, 78)
    assert (texts - expected).abs().max() < 0.05  # the crop is rounded to whole grey values


def test_exported_networks_of_the_package_fill_the_parts() -> None:
    task = EndToEndTask(replace(TINY, width=1.0, hidden=128, channels=(16, 32, 96, 128, 48), countries=(), tell_countries=True))
    task.config = replace(task.config, detector="package", straightener="package", reader="package")
    said = task.start_parts()
    assert all(f"{name}.onnx: all" in said for name in ("detector", "straightener", "reader"))


def test_backbone_without_a_detector_refuses_one() -> None:
    with pytest.raises(ConfigError, match="only backbone = \"light\" holds a detector, got 'vgg16'"):
        EndToEndTask(replace(TINY, backbone="vgg16", detector="package")).start_parts()


def test_countries_are_learnt_beside_the_texts(batch: dict[str, Tensor]) -> None:
    task = EndToEndTask(replace(TINY, countries=("ru", "cn"), tell_countries=True))
    assert task.settings["origins"] == ["RU", "CN"]
    rows = DrawEndToEndShard(replace(task.config, shard=64))(0)
    readable = rows["lengths"] > 0
    assert set(rows["origins"][readable]) == {-1, 0, 1}  # of plates in drawn streets nobody says the country
    assert (rows["origins"][~readable] == -1).all()
    rows |= spoil_quads(rows, random.Random(1), 0.02, 0.0)
    _, figures = task.loss(task.network.train(), {key: torch.from_numpy(value) for key, value in rows.items()})
    assert figures["origin_loss"] > 0
    _, without = EndToEndTask(TINY).loss(EndToEndTask(TINY).network.train(), batch)
    assert "origin_loss" not in without


def test_window_that_is_no_multiple_of_64_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 64 px, got 300"):
        EndToEndTask(replace(TINY, window=300))


@pytest.mark.parametrize("name", ["end-to-end", "end-to-end-vgg16"])
def test_shipped_configs_are_valid(name: str) -> None:
    config = load_config(CONFIGS / f"{name}.toml", EndToEndConfig)
    assert config.backbone == ("vgg16" if "vgg16" in name else "light")
    assert config.window % 64 == 0 and config.lean_share > 0


@pytest.mark.usefixtures("draw_in_thread")
def test_training_that_is_resumed_equals_an_unbroken_one_bit_for_bit(tmp_path: Path) -> None:
    # From the second step on plates are seen through the network's own detections, too.
    loop = LoopConfig(steps=4, batch=2, validate_every=2, warmup_steps=1, seed=3, mixed_precision=False)
    config = replace(TINY, loop=loop, own_from_step=1, own_share=1.0, passes=2)
    train(EndToEndTask(config), loop, config, tmp_path / "whole")
    for stop in (1, 3, None):
        train(EndToEndTask(config), loop, config, tmp_path / "parts", stop_after=stop)
    for name in ("last.pt", "best.pt"):
        whole, parts = (torch.load(tmp_path / run / name, weights_only=False) for run in ("whole", "parts"))
        assert whole["step"] == parts["step"] and whole["network"].keys() == parts["network"].keys()
        assert all(torch.equal(value, parts["network"][key]) for key, value in whole["network"].items())
    assert torch.load(tmp_path / "parts/last.pt", weights_only=False)["step"] == 4
    assert (tmp_path / "whole/log.csv").read_text() == (tmp_path / "parts/log.csv").read_text()
