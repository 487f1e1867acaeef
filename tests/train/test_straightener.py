import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from openplate.geometry import box_to_quad, quad_size
from openplate.straighten import apply_offsets, find_offsets
from openplate.synthesize.camera import pose
from openplate.train.config import LoopConfig, StraightenerConfig
from openplate.train.straightener import DrawStraightenerShard, StraightenerTask, coarse_quad

SMALL = StraightenerConfig(loop=LoopConfig(batch=4, mixed_precision=False), countries=("ru",), shard=6, validation_crops=4)


class Fixed(nn.Module):
    """Gives the same eight offsets for every look."""

    def __init__(self, *offsets: float) -> None:
        super().__init__()
        self.offsets = nn.Parameter(torch.tensor(offsets))

    def forward(self, looks: Tensor) -> Tensor:
        return self.offsets.expand(len(looks), 8)


def test_offsets_of_a_shifted_box_by_hand() -> None:
    # 10 of 100 px to the right and 5 of 50 px down: a tenth each.
    offsets = find_offsets(box_to_quad(0, 0, 100, 50), box_to_quad(10, 5, 110, 55))
    assert offsets.tolist() == pytest.approx([0.1] * 8, abs=1e-6)
    assert apply_offsets(box_to_quad(0, 0, 100, 50), np.zeros(8, np.float32)).tolist() == [[0, 0], [100, 0], [100, 50], [0, 50]]


def test_applied_offsets_turn_the_coarse_quad_into_the_exact_one() -> None:
    for seed in range(100):
        rng = random.Random(seed)
        exact = np.asarray(pose(120, 30, rng, 0.8) + 200, dtype=np.float32)
        coarse = coarse_quad(exact, rng)
        assert np.abs(apply_offsets(coarse, find_offsets(coarse, exact)) - exact).max() < 0.02, seed


def test_coarse_quads_are_off_by_parts_of_the_plate_s_height() -> None:
    exact, rng = box_to_quad(100, 100, 200, 125), random.Random(0)
    away = [np.linalg.norm(coarse_quad(exact, rng) - exact, axis=1).mean() / quad_size(exact)[1] for _ in range(500)]
    assert 0.05 < np.median(away) < 0.35
    assert max(away) < 1.2


def test_shards_depend_on_their_number() -> None:
    first, again, other = (DrawStraightenerShard(SMALL)(number) for number in (1, 1, 2))
    assert first["looks"].shape == (6, 48, 128) and first["offsets"].shape == (6, 8)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["looks"], other["looks"])
    assert np.abs(first["offsets"]).max() <= np.float32(0.6)


def test_loss_by_hand() -> None:
    batch = {"looks": torch.zeros(2, 48, 128, dtype=torch.uint8), "offsets": torch.tensor([[0.1, 0.0] * 4] * 2)}
    loss, _ = StraightenerTask(SMALL).loss(Fixed(*[0.0] * 8), batch)
    # Off by 0.1 in x, which counts twice: |0.2| - 0.02/2 = 0.19 for four of eight numbers, times 10.
    assert float(loss.detach()) == pytest.approx(0.95, rel=1e-5)


def test_validation_of_a_network_that_corrects_nothing_finds_the_error_it_began_with() -> None:
    figures = StraightenerTask(SMALL).validate(Fixed(*[0.0] * 8))
    assert figures["before"] == pytest.approx(figures["after"], rel=1e-4)
    assert figures["score"] == -figures["after"] < 0
    assert figures["after_p90"] >= figures["after"]


def test_validation_of_a_network_that_corrects_everything_finds_no_error() -> None:
    task = StraightenerTask(SMALL)
    exact = box_to_quad(20, 20, 120, 45)
    coarse = np.asarray(exact + np.array([10, 2.5]), dtype=np.float32)
    task._validation = [(np.zeros((48, 128), np.uint8), coarse, exact)] * 3
    figures = task.validate(Fixed(*[-0.1] * 8))
    # (10, 2.5) px from a plate of 25 px: 0.412 heights before.
    assert figures["before"] == pytest.approx(np.hypot(10, 2.5) / 25, rel=1e-4)
    assert figures["after"] == pytest.approx(0, abs=1e-5)
