from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from openplate.end_to_end import GRIDS
from openplate.errors import ConfigError
from openplate.geometry import box_to_quad
from openplate.rectify import MARGIN_X, MARGIN_Y, rectify
from openplate.straighten import apply_offsets
from openplate.train.networks.end_to_end import (
    ASPECTS,
    BACKBONES,
    Choice,
    EndToEnd,
    correct_quads,
    default_quads,
    homographies,
    quad_grids,
    sample_quads,
)

FEW = (8, 16, 32, 32, 16)
TILTED = np.array([[40, 30], [150, 62], [140, 98], [36, 58]], np.float32)
FINE, COARSE = GRIDS[0], GRIDS[1]
UPRIGHT = box_to_quad(10, 20, 58, 32)


def tiny(backbone: str, classes: int = 12) -> EndToEnd:
    """A network of few channels (VGG: 1/64) with batch statistics that are not those of the start, which adds features to the reader's own."""
    torch.manual_seed(0)
    network = EndToEnd(classes, backbone, 0.5 if backbone == "light" else 1 / 64, hidden=8, channels=FEW)
    torch.nn.init.normal_(network.reading.add.weight, std=0.2)
    generator = torch.Generator().manual_seed(2)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(0.1 * torch.rand(buffer.shape, generator=generator) - 0.05)
        elif name.endswith("running_var"):
            least = 0.8 if backbone == "light" else 0.1  # without training, twenty layers without a bypass would fade
            buffer.copy_(0.4 * least * torch.rand(buffer.shape, generator=generator) + least)
    return network.eval()


def images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).float()


def choice(*entries: tuple[np.ndarray, int]) -> Choice:
    return Choice(torch.from_numpy(np.stack([quad for quad, _ in entries])), torch.tensor([image for _, image in entries]))


@pytest.mark.parametrize(("backbone", "a_cell"), [("light", 1), ("vgg16", 4)])
def test_outputs_have_an_anchor_for_every_cell_and_96_steps_for_every_quad(backbone: str, a_cell: int) -> None:
    network = tiny(backbone)
    seen = network.look(images(2, 3, 64, 128))
    cells = 8 * 16 + 4 * 8 + 2 * 4 + 1 * 2
    assert seen.detections.shape == (2, cells * a_cell, 9)
    assert [tuple(m.shape[2:]) for m in seen.maps] == [(64, 128), (16, 32), (8, 16), (4, 8)]
    detections, texts, seen_through = network(images(2, 3, 64, 128), lambda _: choice((UPRIGHT, 0), (UPRIGHT, 1), (TILTED, 1)))
    assert torch.equal(detections, seen.detections)
    assert texts.shape == (3, 96, 12) and seen_through.shape == (3, 4, 2)
    assert torch.allclose(texts.exp().sum(dim=-1), torch.ones(3, 96), atol=1e-5)
    assert network(images(1, 3, 64, 64))[1] is None


@pytest.mark.parametrize(("backbone", "a_cell"), [("light", 1), ("vgg16", 4)])
def test_anchors_stand_in_the_order_of_the_detections(backbone: str, a_cell: int) -> None:
    torch.manual_seed(0)
    network = EndToEnd(5, backbone, 0.25 if backbone == "light" else 1 / 64, hidden=8, channels=FEW).eval()
    points, strides = network.anchors(64, 128)
    assert len(points) == len(strides) == 170 * a_cell
    assert points[0].tolist() == [4, 4] and points[a_cell].tolist() == [12, 4]
    assert points[128 * a_cell].tolist() == [8, 8] and strides[128 * a_cell] == 16
    assert points[-1].tolist() == [96, 32] and strides[-1] == 64
    # Before training the quads lie about their anchors' centres: 0.6 × 4 strides at most to a side.
    centres = network.look(images(1, 3, 64, 128)).detections[0, :, 1:].reshape(-1, 4, 2).mean(dim=1)
    assert ((centres - points).abs() < strides[:, None]).all()


def test_default_anchors_have_one_area_and_the_given_aspects() -> None:
    quads = default_quads(8)
    sizes = quads[:, 2] - quads[:, 0]
    assert (sizes[:, 0] / sizes[:, 1]).tolist() == pytest.approx(ASPECTS)
    assert sizes.prod(dim=-1).tolist() == pytest.approx([(2.8 * 8) ** 2] * 4)
    assert quads.mean(dim=1).abs().max() < 1e-5


def test_unknown_backbone_is_refused() -> None:
    with pytest.raises(ConfigError, match="light, vgg16, got 'resnet'"):
        EndToEnd(5, "resnet")


def test_homography_takes_the_unit_square_to_the_quad() -> None:
    ours = homographies(torch.from_numpy(np.stack([TILTED, UPRIGHT])))
    theirs = cv2.getPerspectiveTransform(box_to_quad(0, 0, 1, 1), TILTED)
    assert np.allclose(ours[0].numpy(), theirs, rtol=1e-3, atol=1e-4)
    # 48 × 12 px from (10, 20), no perspective.
    assert ours[1].tolist() == [[48, 0, 10], [0, 12, 20], [0, 0, 1]]


def test_corners_on_one_line_give_finite_places() -> None:
    flat = torch.tensor([[[0.0, 0], [10, 0], [20, 0], [30, 0]], [[5.0, 5]] * 4])
    assert torch.isfinite(quad_grids(flat, COARSE)).all()


def test_grid_covers_the_quad_and_the_reader_s_margins() -> None:
    grid = quad_grids(torch.from_numpy(UPRIGHT)[None], FINE)[0]
    step_x, step_y = 48 * (1 + 2 * MARGIN_X) / 96, 12 * (1 + 2 * MARGIN_Y) / 24
    assert grid[0, 0].tolist() == pytest.approx([10 - 48 * MARGIN_X + step_x / 2, 20 - 12 * MARGIN_Y + step_y / 2], abs=1e-4)
    assert (grid[5, 11] - grid[4, 10]).tolist() == pytest.approx([step_x, step_y], abs=1e-4)


def pattern_through(quad: np.ndarray) -> tuple[np.ndarray, Tensor]:
    """An upright pattern of 24 × 96, and an image of 128 × 192 in which it fills the quad with its margins."""
    pattern = np.zeros((24, 96), np.float32)
    pattern[4:10, 8:40] = 200
    pattern[14:22, 50:90] = 120
    grown = quad_grids(torch.from_numpy(quad)[None], FINE)[0].numpy()
    corners = np.array([grown[0, 0], grown[0, -1], grown[-1, -1], grown[-1, 0]])
    source = np.array([[0, 0], [95, 0], [95, 23], [0, 23]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, (corners - 0.5).astype(np.float32))
    return pattern, torch.from_numpy(cv2.warpPerspective(pattern, matrix, (192, 128)))[None, None]


def test_pattern_in_a_tilted_quad_comes_out_upright() -> None:
    pattern, image = pattern_through(TILTED)
    view = sample_quads(image, choice((TILTED, 0)), FINE, (192, 128))[0, 0].numpy()
    assert view.shape == (24, 96)
    assert np.abs(view - pattern).mean() < 6
    assert view[7, 12:36].min() > 180 and view[18, 54:86].min() > 105 and view[18, 4:44].max() < 15
    # The same view through the upright box around the plate is something else.
    x0, y0, x1, y1 = 36, 30, 150, 98
    crooked = sample_quads(image, choice((box_to_quad(x0, y0, x1, y1), 0)), FINE, (192, 128))[0, 0].numpy()
    assert np.abs(crooked - pattern).mean() > 18


def test_view_is_that_of_the_two_stage_path() -> None:
    grey = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (128, 192), np.uint8), (0, 0), 3)
    view = sample_quads(torch.from_numpy(grey)[None, None].float(), choice((TILTED, 0)), FINE, (192, 128))[0, 0]
    assert np.abs(view.numpy() - rectify(grey, TILTED, *FINE)).max() < 3


def test_coarse_map_is_sampled_at_the_same_places() -> None:
    ramp = torch.arange(64, dtype=torch.float32).add(0.5).mul(2).expand(1, 1, 32, 64)  # x in px of an image of 128 × 64, at stride 2
    quad = box_to_quad(20, 16, 68, 40)
    view = sample_quads(ramp, choice((quad, 0)), COARSE, (128, 64))[0, 0]
    assert torch.allclose(view, quad_grids(torch.from_numpy(quad)[None], COARSE)[0, ..., 0], atol=1e-3)


def test_gradient_reaches_the_corners() -> None:
    ramp = torch.arange(64, dtype=torch.float32).add(0.5).expand(1, 1, 32, 64)
    quads = torch.from_numpy(box_to_quad(20, 8, 44, 20))[None].requires_grad_()
    sample_quads(ramp, Choice(quads, torch.zeros(1, dtype=torch.long)), FINE, (64, 32)).mean().backward()
    # The mean of x over a box is the mean of its corners' x: a quarter from each, nothing from y.
    assert quads.grad is not None
    assert quads.grad[0].sum(dim=0).tolist() == pytest.approx([1, 0], abs=1e-4)
    assert (quads.grad[0, :, 0] > 0.1).all()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_loss_of_the_text_reaches_quads_and_first_convolution(backbone: str) -> None:
    network = tiny(backbone)
    quads = torch.from_numpy(np.stack([UPRIGHT])).requires_grad_()
    _, texts, _ = network(images(1, 3, 64, 64), lambda _: Choice(quads, torch.zeros(1, dtype=torch.long)))
    texts[:, :, 3].sum().backward()
    first = next(p for p in network.parameters() if p.ndim == 4)
    assert quads.grad is not None and quads.grad.abs().sum() > 0
    assert first.grad is not None and first.grad.abs().sum() > 0


@pytest.mark.parametrize("backbone", BACKBONES)
def test_result_depends_neither_on_other_images_nor_on_other_quads(backbone: str) -> None:
    network = tiny(backbone)
    batch = images(3, 3, 64, 128)
    other = box_to_quad(60, 4, 120, 30)
    entries = [(UPRIGHT, 0), (other, 0), (TILTED * 0.5, 2)]
    with torch.inference_mode():
        detections, texts, seen_through = network(batch, lambda _: choice(*entries))
        for number, (quad, image) in enumerate(entries):
            alone, text, corrected = network(batch[image : image + 1], lambda _, quad=quad: choice((quad, 0)))
            assert torch.allclose(alone[0], detections[image], atol=1e-4)
            assert torch.allclose(text[0], texts[number], atol=1e-4)
            assert torch.allclose(corrected[0], seen_through[number], atol=1e-3)
    assert (texts[0] - texts[1]).abs().max() > 1e-3


def test_no_quads_give_no_views() -> None:
    nothing = Choice(torch.zeros(0, 4, 2), torch.zeros(0, dtype=torch.long))
    for count in (1, 2):
        assert sample_quads(images(count, 5, 8, 16), nothing, FINE, (64, 32)).shape == (0, 5, 24, 96)


def test_corners_are_corrected_as_the_straightener_s_offsets_say() -> None:
    quads = torch.from_numpy(np.stack([TILTED, UPRIGHT]))
    offsets = torch.tensor([[0.02, -0.1, -0.03, 0.05, 0.01, 0.08, -0.02, 0.1], [0.0] * 8])
    ours = correct_quads(quads, offsets).numpy()
    assert np.allclose(ours[0], apply_offsets(TILTED, offsets[0].numpy()), atol=1e-3)
    assert np.allclose(ours[1], UPRIGHT, atol=1e-4)


def test_correction_that_gives_no_plate_is_left_out() -> None:
    quad = torch.from_numpy(UPRIGHT)[None]
    crossed = torch.tensor([[1.0, 0, -1.0, 0, 0, 0, 0, 0]])  # the upper corners change places
    far_too_small = torch.tensor([[0.4, 0.4, -0.4, 0.4, -0.4, -0.4, 0.4, -0.4]])
    far_too_large = -1.5 * far_too_small
    for offsets in (crossed, far_too_small, far_too_large):
        assert torch.equal(correct_quads(quad, offsets), quad)


def test_quads_are_taken_as_they_are_where_that_is_asked_for() -> None:
    network = tiny("light")
    torch.nn.init.normal_(network.reading.straightener.head[2].bias, std=0.3)
    with torch.inference_mode():
        maps = network.look(images(1, 3, 64, 128)).maps
        _, seen = network.read(maps, choice((UPRIGHT, 0), (UPRIGHT, 0)), torch.tensor([1.0, 0.0]))
    assert np.allclose(seen[1].numpy(), UPRIGHT, atol=1e-4)
    assert (seen[0] - seen[1]).abs().max() > 0.2
