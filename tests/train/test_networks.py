import pytest
import torch
from torch import nn

from openplate.train.networks.crnn import Crnn
from openplate.train.networks.detector import REACH, STRIDES, Detector, anchor_points
from openplate.train.networks.straightener import Straightener


def inputs(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).float()


def trained(network: nn.Module) -> nn.Module:
    """The network with batch statistics that are not those of the start, ready to predict."""
    generator = torch.Generator().manual_seed(2)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(0.1 * torch.rand(buffer.shape, generator=generator) - 0.05)
        elif name.endswith("running_var"):
            buffer.copy_(0.1 * torch.rand(buffer.shape, generator=generator) + 0.02)
    return network.eval()


def networks() -> list[tuple[nn.Module, torch.Tensor]]:
    torch.manual_seed(0)
    return [
        (trained(Crnn(20, width=0.25, hidden=16)), inputs(3, 1, 48, 192)),
        (trained(Detector((8, 16, 32, 40, 16))), inputs(3, 3, 128, 64)),
        (trained(Straightener()), inputs(3, 1, 48, 128)),
    ]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_output_never_depends_on_what_else_is_in_the_batch(number: int) -> None:
    network, batch = networks()[number]
    with torch.inference_mode():
        together = network(batch)
        alone = torch.cat([network(batch[i : i + 1]) for i in range(3)])
        beside_others = network(torch.cat([batch[1:2], 255 - batch]))[:1]
    scale = float(together.abs().max())
    assert float((together - alone).abs().max()) < 1e-5 * scale
    assert float((together[1:2] - beside_others).abs().max()) < 1e-5 * scale
    assert float((together[0] - together[1]).abs().max()) > 1e-4 * scale


def test_reader_gives_log_probabilities_with_enough_steps_for_the_longest_text() -> None:
    network, crops = networks()[0]
    with torch.inference_mode():
        output = network(crops)
    assert output.shape == (3, 96, 20)
    assert output.shape[1] // 2 >= 2 * 12  # each of the two rows can write twelve characters with a blank after each
    assert torch.allclose(output.exp().sum(dim=-1), torch.ones(3, 96), atol=1e-5)


def test_reader_and_straightener_do_not_see_brightness() -> None:
    for number in (0, 2):
        network, batch = networks()[number]
        dark = batch * 0.5
        with torch.inference_mode():
            assert torch.allclose(network(dark), network(dark + 60), atol=1e-4)


def test_anchor_points_are_the_centres_of_cells() -> None:
    points = anchor_points(2, 3, 8, torch.zeros(1))
    assert points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


def test_detector_has_an_anchor_point_a_cell_of_every_level() -> None:
    network, _ = networks()[1]
    with torch.inference_mode():
        output = network(inputs(1, 3, 128, 192))
    # 16·24 cells of 8 px, 8·12 of 16 px, 4·6 of 32 px, 2·3 of 64 px.
    assert output.shape == (1, 384 + 96 + 24 + 6, 9)


def test_detector_s_corners_are_offsets_from_their_anchor_point() -> None:
    network = Detector((8, 16, 32, 40, 16)).eval()
    for head in network.heads:
        nn.init.zeros_(head.corners.weight)
    with torch.inference_mode():
        output = network(inputs(1, 3, 64, 128))
    assert (STRIDES[0], REACH) == (8, 4.0)
    # At the start a plate of ±0.6 × ±0.2 units of 32 px about the first cell's centre (4, 4).
    assert output[0, 0, 1:].tolist() == pytest.approx([-15.2, -2.4, 23.2, -2.4, 23.2, 10.4, -15.2, 10.4], abs=1e-4)
    # The last cell has 64 px: units of 256 px about (96, 32).
    assert output[0, -1, 1:3].tolist() == pytest.approx([96 - 153.6, 32 - 51.2], abs=1e-3)


def test_untrained_detector_finds_nothing() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        output = Detector((8, 16, 32, 40, 16)).eval()(inputs(1, 3, 128, 128))
    assert float(output[..., 0].sigmoid().max()) < 0.1


def test_straightener_gives_eight_offsets() -> None:
    network, looks = networks()[2]
    with torch.inference_mode():
        assert network(looks).shape == (3, 8)
        assert network(looks[:0]).shape == (0, 8)
