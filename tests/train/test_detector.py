from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from openplate.detect.decode import decode_detections
from openplate.formats import load_formats, select
from openplate.geometry import box_to_quad, quad_iou
from openplate.synthesize.scenes import ScenePlate
from openplate.train.config import DetectorConfig, LoopConfig
from openplate.train.detector import (
    EXACT,
    IGNORE,
    MOST_PLATES,
    NONE,
    UPRIGHT,
    DetectorTask,
    DrawDetectorShard,
    assign,
    detection_loss,
    even_types,
    generalised_iou,
    hull_boxes,
    pack_plates,
)
from openplate.train.networks.detector import STRIDES, Detector, anchor_points

WINDOW = 128
SMALL = DetectorConfig(
    loop=LoopConfig(batch=2, mixed_precision=False),
    countries=("ru",),
    window=64,
    channels=(8, 16, 32, 40, 16),
    shard=3,
    validation_windows=2,
    frames=False,
)
PLATE = (16.0, 31.0, 56.0, 41.0)
"""40 × 10 px about (36, 36), the centre of a cell of 8 px."""


def grid() -> tuple[Tensor, Tensor]:
    parts = [anchor_points(WINDOW // s, WINDOW // s, s, torch.zeros(1)) for s in STRIDES]
    return torch.cat(parts), torch.cat([torch.full((len(p),), float(s)) for p, s in zip(parts, STRIDES, strict=True)])


def plates(*entries: tuple[tuple[float, float, float, float], int]) -> tuple[Tensor, Tensor]:
    quads, states = torch.zeros(1, MOST_PLATES, 4, 2), torch.full((1, MOST_PLATES), NONE)
    for i, (box, state) in enumerate(entries):
        quads[0, i], states[0, i] = torch.from_numpy(box_to_quad(*box)), state
    return quads, states


def blind_output() -> Tensor:
    """A network that sees nothing: logits of -5 and corners far away from everything."""
    points, _ = grid()
    output = torch.full((1, len(points), 9), -500.0)
    output[..., 0] = -5.0
    return output


def test_hull_boxes_and_overlaps_by_hand() -> None:
    leaning = torch.tensor([[[1.0, 2], [9, 0], [8, 4], [0, 6]]])
    assert hull_boxes(leaning).tolist() == [[0, 0, 9, 6]]
    iou, giou = generalised_iou(torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1]]), torch.tensor([[1.0, 1, 3, 3], [2, 0, 3, 1]]))
    # 1 of 7 px² in common, 2 of the hull's 9 empty; nothing in common, 1 of 3 empty.
    assert iou.tolist() == pytest.approx([1 / 7, 0])
    assert giou.tolist() == pytest.approx([1 / 7 - 2 / 9, -1 / 3])


def test_plates_are_packed_with_their_states() -> None:
    def plate(width: float, height: float, exact: bool = True, ignore: bool = False) -> ScenePlate:
        return ScenePlate(box_to_quad(5, 5, 5 + width, 5 + height), None, None, None, exact, ignore)

    quads, states = pack_plates([plate(40, 10), plate(40, 10, exact=False), plate(40, 10, ignore=True), plate(11, 5), plate(30, 3)])
    assert states.tolist() == [EXACT, UPRIGHT, IGNORE, IGNORE, IGNORE, NONE, NONE, NONE]
    assert quads.shape == (8, 4, 2)
    assert quads[0].tolist() == [[5, 5], [45, 5], [45, 15], [5, 15]]
    assert pack_plates([plate(40, 10)] * 11)[1].tolist() == [EXACT] * MOST_PLATES


def test_share_of_even_types_draws_rare_types_more_often() -> None:
    (russia,) = select(load_formats(), ["RU"])
    drawn = [t for t in russia.types if t.drawn]
    total = sum(t.weight for t in drawn)
    for share in (0.0, 0.3, 1.0):
        chosen = even_types(russia, share)
        assert [t.id for t in chosen.types] == [t.id for t in drawn]
        expected = [(1 - share) * t.weight / total + share / len(drawn) for t in drawn]
        assert [t.weight for t in chosen.types] == pytest.approx(expected)
    often = replace(russia, types=(replace(drawn[0], weight=1.0, drawn=4.0), replace(drawn[1], weight=4.0)))
    assert [t.weight * t.drawn for t in even_types(often, 0.0).types] == pytest.approx([0.5, 0.5])


def test_windows_of_a_shard_come_from_frames_of_drawn_video_too() -> None:
    with_frames, without = (DrawDetectorShard(replace(SMALL, frames=frames, shard=24))(0) for frames in (True, False))
    assert not np.array_equal(with_frames["images"], without["images"])
    assert with_frames["images"].shape == without["images"].shape == (24, 64, 64, 3)


def test_plate_that_nothing_hits_yet_gets_the_nearest_anchor_points() -> None:
    points, strides = grid()
    index, quality, ignored = assign(blind_output(), *plates((PLATE, EXACT)), points, strides)
    positive = torch.nonzero(index[0] >= 0)[:, 0]
    assert 1 <= len(positive) <= 9
    assert (index[0, positive] == 0).all() and not ignored.any()
    # In the box, or 0.75 strides from its centre where it is thinner than that; 64 px cells are larger than the plate.
    away = (points[positive] - torch.tensor([36.0, 36.0])).abs()
    assert (away[:, 0] <= 24).all() and (away[:, 1] <= 24).all()
    assert (strides[positive] < 64).all()
    best = int(quality[0].argmax())
    assert points[best].tolist() == [36, 36]
    assert float(quality[0, best]) == pytest.approx(0.1)  # no overlap yet: the least quality that a best point is taught


def test_anchor_point_that_predicts_the_plate_is_taught_full_quality() -> None:
    points, strides = grid()
    output = blind_output()
    chosen = int(((points - torch.tensor([44.0, 36.0])).norm(dim=-1)).argmin())
    output[0, chosen, 0] = 5.0
    output[0, chosen, 1:] = torch.from_numpy(box_to_quad(*PLATE)).flatten()
    index, quality, _ = assign(output, *plates((PLATE, EXACT)), points, strides)
    assert points[chosen].tolist() == [44, 36]
    assert int(index[0, chosen]) == 0
    assert float(quality[0, chosen]) == pytest.approx(1.0)
    assert float(quality[0].sum() - quality[0, chosen]) < 0.01


def test_cells_larger_than_the_plate_never_answer_for_it() -> None:
    points, strides = grid()
    output = blind_output()
    coarse = int(((points - 32).abs().sum(dim=-1) + (strides != 64) * 1000).argmin())  # the cell of 64 px about (32, 32), near the plate's centre
    output[0, coarse, 0] = 5.0
    output[0, coarse, 1:] = torch.from_numpy(box_to_quad(*PLATE)).flatten()
    index, _, _ = assign(output, *plates((PLATE, EXACT)), points, strides)
    assert points[coarse].tolist() == [32, 32]
    assert int(index[0, coarse]) == -1
    assert (index[0] >= 0).any()


def test_each_plate_gets_its_own_anchor_points() -> None:
    points, strides = grid()
    index, _, _ = assign(blind_output(), *plates((PLATE, EXACT), ((80, 90, 120, 100), UPRIGHT)), points, strides)
    for number, (x, y) in enumerate([(36, 36), (100, 95)]):
        mine = points[index[0] == number]
        assert len(mine) >= 1
        assert ((mine - torch.tensor([x, y])).abs().max(dim=-1).values < 25).all()


def test_ignored_plate_teaches_nothing_inside_it() -> None:
    points, strides = grid()
    index, quality, ignored = assign(blind_output(), *plates((PLATE, IGNORE)), points, strides)
    assert (index == -1).all() and (quality == 0).all()
    # From 14 to 58 px across and from 30.5 to 41.5 px down (10 % more than the box) lie these centres of cells of 8, 16 and 64 px.
    assert points[ignored[0]].tolist() == [[20, 36], [28, 36], [36, 36], [44, 36], [52, 36], [24, 40], [40, 40], [56, 40], [32, 32]]


def test_window_without_plates_has_neither_positives_nor_ignored_points() -> None:
    index, quality, ignored = assign(blind_output(), *plates(), *grid())
    assert (index == -1).all() and (quality == 0).all() and not ignored.any()


def test_loss_of_an_empty_window_is_the_score_s_alone() -> None:
    loss, figures = detection_loss(blind_output(), *plates(), WINDOW)
    p = 1 / (1 + np.exp(5))
    points = 16 * 16 + 8 * 8 + 4 * 4 + 2 * 2
    expected = points * p**2 * -np.log(1 - p)
    assert figures == {"score_loss": pytest.approx(expected, rel=1e-4), "box_loss": 0.0, "corner_loss": 0.0}
    assert float(loss) == pytest.approx(2 * expected, rel=1e-4)


def test_corners_are_taught_only_where_labels_have_them() -> None:
    exact, upright = (detection_loss(blind_output(), *plates((PLATE, state)), WINDOW)[1] for state in (EXACT, UPRIGHT))
    assert exact["corner_loss"] > 10
    assert upright["corner_loss"] == 0
    assert exact["box_loss"] == upright["box_loss"] > 0


def test_loss_of_a_true_prediction_is_almost_nothing() -> None:
    output = blind_output()
    output[0, :, 1:] = torch.from_numpy(box_to_quad(*PLATE)).flatten()
    output[0, :, 0] = -12.0
    _, quality, _ = assign(output, *plates((PLATE, EXACT)), *grid())
    output[0, :, 0] = torch.logit(quality[0].clamp(1e-5, 1 - 1e-5))
    _, figures = detection_loss(output, *plates((PLATE, EXACT)), WINDOW)
    assert figures["box_loss"] == pytest.approx(0, abs=1e-5)
    assert figures["corner_loss"] == pytest.approx(0, abs=1e-5)
    assert figures["score_loss"] < 0.3


def test_loss_falls_and_the_plate_is_found_when_one_image_is_learnt() -> None:
    torch.manual_seed(0)
    image = torch.full((1, 3, WINDOW, WINDOW), 60.0)
    quad = np.array([[30, 50], [90, 58], [90, 76], [30, 68]], dtype=np.float32)
    image[:, :, 50:76, 30:90] = 220.0
    quads, states = plates(((0, 0, 1, 1), EXACT))
    quads[0, 0] = torch.from_numpy(quad)
    network = Detector((8, 16, 32, 40, 16)).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss, _ = detection_loss(network(image), quads, states, WINDOW)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]
    with torch.inference_mode():
        (best, *_) = decode_detections(network(image)[0].numpy(), threshold=0.3)
    assert quad_iou(best.quad, quad) > 0.7


def test_shards_depend_on_their_number_and_are_other_ones_for_validation() -> None:
    first, again, other = (DrawDetectorShard(SMALL)(number) for number in (0, 0, 1))
    held_out = DrawDetectorShard(SMALL, held_out=True)(0)
    assert first["images"].shape == (3, 64, 64, 3) and held_out["images"].shape == (2, 64, 64, 3)
    assert first["quads"].shape == (3, 8, 4, 2) and first["states"].shape == (3, 8)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["images"], other["images"])
    assert not np.array_equal(first["images"][:2], held_out["images"])


class Scripted(nn.Module):
    """Gives one prepared output after the other."""

    def __init__(self, outputs: list[list[tuple[float, float, float, float]]]) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.outputs = iter(outputs)

    def forward(self, images: Tensor) -> Tensor:
        rows = [[4.0, *box_to_quad(*box).flatten().tolist()] for box in next(self.outputs)]
        return torch.tensor([[*rows, [-9.0] * 9]])


def test_validation_counts_found_missed_and_false_plates() -> None:
    task = DetectorTask(SMALL)
    quads, states = plates(((10, 10, 50, 20), EXACT), ((30, 40, 60, 50), IGNORE))
    quads_2, states_2 = plates(((10, 10, 50, 20), UPRIGHT))
    task._validation = {
        "images": np.zeros((2, 64, 64, 3), np.uint8),
        "quads": torch.cat([quads, quads_2]).numpy(),
        "states": torch.cat([states, states_2]).numpy(),
    }
    # The exact plate 1 px to the right (a tenth of its height), the ignored one, one where nothing is; and nothing in the other image.
    network = Scripted([[(11, 10, 51, 20), (30, 40, 60, 50), (5, 25, 25, 32)], []])
    figures = task.validate(network)
    assert figures == pytest.approx({"recall": 0.5, "precision": 0.5, "corner_error": 0.1, "score": 0.9}, abs=1e-6)


def test_seed_decides_the_start_weights() -> None:
    first, again = (DetectorTask(SMALL).network.state_dict()["stem.0.weight"] for _ in range(2))
    other = DetectorTask(DetectorConfig(loop=LoopConfig(seed=2), channels=(8, 16, 32, 40, 16))).network.state_dict()["stem.0.weight"]
    assert torch.equal(first, again) and not torch.equal(first, other)
