"""A narrower detector from a wider one: what is left out, what stays, and what cannot be started from."""

from pathlib import Path

import pytest
import torch
from torch import nn

from openplate.errors import ConfigError
from openplate.train.narrow import narrow
from openplate.train.networks.detector import Detector
from openplate.train.start import start_from
from tests.train.test_networks import inputs, trained

WIDE, HALF = (16, 32, 64, 80, 32), (8, 16, 32, 40, 16)


def half_silent() -> Detector:
    """A detector of which every second channel is always 0."""
    torch.manual_seed(3)
    network = trained(Detector(WIDE)).eval()
    assert isinstance(network, Detector)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight[1::2] = 0
                module.bias[1::2] = 0
        for side in network.sides:
            assert isinstance(side, nn.Conv2d) and side.bias is not None
            side.weight[1::2] = 0
            side.bias[1::2] = 0
    return network


def test_silent_channels_are_the_ones_left_out() -> None:
    wide, network, images = half_silent(), Detector(HALF).eval(), inputs(2, 3, 128, 192)
    narrow(wide, network, images)
    with torch.inference_mode():
        assert torch.allclose(network(images), wide(images), rtol=1e-4, atol=1e-3)


def test_detector_of_the_same_channels_is_copied_and_the_wide_one_stays_as_it_was() -> None:
    wide, network, images = half_silent(), Detector(WIDE).eval(), inputs(2, 3, 64, 64)
    before = {name: value.clone() for name, value in wide.state_dict().items()}
    narrow(wide, network, images)
    for state in (network.state_dict(), wide.state_dict()):
        assert all(torch.equal(state[name], value) for name, value in before.items())


def test_wider_detector_cannot_start_from_a_narrower_one() -> None:
    with pytest.raises(ConfigError, match="at most the 16 of the detector to start from, got 24"):
        narrow(Detector((16, 32, 64, 80, 16)), Detector((16, 32, 64, 80, 24)), inputs(1, 3, 64, 64))


def test_training_starts_from_the_most_useful_channels_of_a_wider_checkpoint(tmp_path: Path) -> None:
    wide, network, images = half_silent(), Detector(HALF).eval(), inputs(2, 3, 128, 128)
    torch.save({"kind": "detector", "settings": {"channels": list(WIDE)}, "network": wide.state_dict(), "step": 7}, tmp_path / "best.pt")
    assert start_from(network, tmp_path / "best.pt", "", lambda: images).endswith("best.pt: the most useful channels of a wider detector")
    with torch.inference_mode():
        assert torch.allclose(network(images), wide(images), rtol=1e-4, atol=1e-3)
