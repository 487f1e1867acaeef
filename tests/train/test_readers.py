"""All readers behind one interface: the same shapes, the same two rows, no influence of the batch."""

import pytest
import torch
from torch import nn

from openplate.errors import ConfigError
from openplate.train.networks.crnn import LEAST_LOG, Crnn, standardise
from openplate.train.networks.efficientnet import STAGES, ByParts, ChannelwiseConv, EfficientNetB3, InvertedBlock, scale_channels
from openplate.train.networks.lprnet import ContextHead, SmallBlock
from openplate.train.networks.readers import READERS, build_reader
from openplate.train.networks.residual import RowContext
from openplate.train.networks.stn import SpatialTransformer, Transformed
from tests.train.test_networks import inputs

KINDS = [(name, False) for name in READERS] + [("residual", True)]


def build(name: str, transformer: bool = False) -> nn.Module:
    torch.manual_seed(0)
    network = build_reader({"characters": "0123456789ABC", "width": 0.25, "hidden": 8, "network": name, "transformer": transformer})
    if isinstance(network, Transformed):
        nn.init.normal_(network.transformer.move.weight, std=0.1)
    return settled(network)


def settled(network: nn.Module) -> nn.Module:
    """The network with the batch statistics of some crops, ready to predict."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(inputs(16, 1, 48, 192))
    return network.eval()


@pytest.mark.parametrize(("name", "transformer"), KINDS)
def test_reader_gives_log_probabilities_that_no_other_crop_and_no_brightness_changes(name: str, transformer: bool) -> None:
    network, crops = build(name, transformer), inputs(3, 1, 48, 192) * 0.5
    with torch.inference_mode():
        together = network(crops)
        alone = torch.cat([network(crops[i : i + 1]) for i in range(3)])
        brighter = network(crops + 60)
    assert together.shape == (3, 96, 14)
    assert torch.allclose(together.exp().sum(dim=-1), torch.ones(3, 96), atol=1e-5)
    assert torch.allclose(together, alone, atol=1e-3)
    assert torch.allclose(together, brighter, atol=1e-2)
    assert float((together[0] - together[1]).abs().max()) > 0.1


@pytest.mark.parametrize("name", READERS)
def test_steps_run_along_the_upper_row_and_then_along_the_lower_one(name: str) -> None:
    network, crops = build(name), inputs(4, 1, 48, 192)

    def change(top: slice, left: slice) -> torch.Tensor:
        changed = crops.clone()
        changed[..., top, left] = 255 - changed[..., top, left]
        with torch.inference_mode():
            return (network(changed) - network(crops)).abs().sum(dim=(0, 2)).reshape(2, 48)

    whole = slice(None)
    right = change(whole, slice(168, 192)).sum(dim=0)  # the last six steps of each row
    assert float(right[36:].mean()) > 1.5 * float(right[:36].mean())
    left = change(whole, slice(0, 24)).sum(dim=0)
    assert float(left[:12].mean()) > 1.5 * float(left[12:].mean())
    high, low = change(slice(0, 8), whole).sum(dim=1), change(slice(40, 48), whole).sum(dim=1)
    assert float(high[0] / high[1]) > float(low[0] / low[1])  # what changes above changes the upper row more


@pytest.mark.parametrize(("name", "transformer"), KINDS)
def test_every_parameter_learns_in_mixed_precision(name: str, transformer: bool) -> None:
    network, crops = build(name, transformer).train(), inputs(4, 1, 48, 192)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(crops)
    assert output.dtype == torch.float32
    torch.manual_seed(0)
    (output * torch.rand_like(output)).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()) and bool(parameter.grad.any()), key


def test_reader_of_a_checkpoint_that_names_no_network_is_the_crnn() -> None:
    network = build_reader({"characters": "AB", "width": 0.25, "hidden": 8})
    assert isinstance(network, Crnn)
    assert network.classify.out_features == 3  # A, B and the blank


def test_unknown_network_gives_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="network: expected one of crnn, crnn_deep, residual, .*, got 'vgg'"):
        build_reader({"characters": "AB", "width": 0.25, "hidden": 8, "network": "vgg"})


@pytest.mark.parametrize(("name", "said"), [("vgg", "network: expected one of crnn, .*, got 'vgg'"), ("lprnet", "tell_countries: only network = ")])
def test_network_that_tells_countries_and_is_unknown_is_said_to_be_unknown(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_reader({"characters": "AB", "width": 0.25, "hidden": 8, "network": name, "origins": ["RU", "KZ"]})


def test_crop_is_standardised_by_its_own_mean_and_spread() -> None:
    # Values 0 and 40 in equal parts: mean 20, spread 20, and 4 is added to the spread so that flat crops do not burst.
    crops = torch.tensor([0.0, 40.0]).repeat(1, 1, 48, 96)
    assert torch.allclose(standardise(crops)[0, 0, 0, :2], torch.tensor([-20 / 24, 20 / 24]))
    assert not standardise(torch.full((1, 1, 48, 192), 90.0)).any()


def test_small_block_has_the_paper_s_layers() -> None:
    # 64 → 32 by 1×1, 32 → 32 by 3×1, 32 → 32 by 1×3 (each with biases), 32 → 128 by 1×1, and scale and shift of 128 channels.
    parameters = sum(p.numel() for p in SmallBlock(64, 128).parameters())
    assert parameters == (64 * 32 + 32) + (32 * 32 * 3 + 32) + (32 * 32 * 3 + 32) + 32 * 128 + 2 * 128


def test_context_is_normalised_by_each_crop_alone() -> None:
    torch.manual_seed(0)
    head = ContextHead((8, 16), ((6, 1), (1, 1)), 8, 5).eval()
    maps = [torch.rand(2, 8, 12, 48), torch.rand(2, 16, 2, 48)]
    louder = [torch.cat([m[:1], 100 * m[1:]]) for m in maps]
    with torch.inference_mode():
        assert torch.equal(head(maps)[0], head(louder)[0])


def test_step_of_a_row_sees_its_neighbours_and_not_the_other_row() -> None:
    torch.manual_seed(0)
    block = RowContext(8, dilation=3).eval()
    features = torch.zeros(1, 8, 2, 48)
    changed = features.clone()
    changed[:, :, 0, 24] = 1
    with torch.inference_mode():
        reached = (block(changed) - block(features)).abs().sum(dim=1)[0]
    seen = torch.nonzero(reached[0]).flatten()
    assert (int(seen.min()), int(seen.max())) == (24 - 12, 24 + 12)  # four times the dilation
    assert not reached[1].any()


def test_efficientnet_has_b3_s_widths_and_depths() -> None:
    assert [scale_channels(1.2 * channels) for channels in (32, *(stage[1] for stage in STAGES))] == [40, 24, 32, 48, 96, 136, 232, 384]
    assert scale_channels(17) == 16 and scale_channels(19) == 24 and scale_channels(1) == 8  # 16 would be less than 0.9 × 19
    blocks = [module for module in EfficientNetB3(5, 0.25, 8).modules() if isinstance(module, InvertedBlock)]
    assert len(blocks) == 2 + 3 + 3 + 5 + 5 + 6 + 2
    assert (blocks[0].skipped, blocks[-1].skipped) == (0.0, 0.2)


def test_gradient_by_parts_is_the_whole_convolution_s(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    conv, calls = ChannelwiseConv(6, 5, (1, 1)).double(), []
    features = torch.randn(2, 6, 3, 8, dtype=torch.float64, requires_grad=True)
    wanted = torch.autograd.grad(conv(features).sin().sum(), (features, conv.weight))
    found = torch.autograd.grad(ByParts.apply(features, conv.weight).sin().sum(), (features, conv.weight))
    assert all(torch.allclose(one, other, atol=1e-12) for one, other in zip(wanted, found, strict=True))
    apply = ByParts.apply
    monkeypatch.setattr(ByParts, "apply", lambda *given: calls.append(given) or apply(*given))
    conv.float()
    with torch.autocast("cpu", torch.bfloat16):
        trained = conv(features.detach().float())
        assert len(calls) == 1 and trained.dtype == torch.bfloat16  # training on a CPU in bfloat16 takes it
        assert torch.equal(conv.eval()(features.detach().float()), trained) and len(calls) == 1


def test_block_is_skipped_in_training_alone() -> None:
    torch.manual_seed(0)
    block = InvertedBlock(8, 8, 2, 3, (1, 1), skipped=0.5)
    features = torch.rand(64, 8, 4, 4)
    untouched = (block.train()(features) == features).flatten(1).all(dim=1)
    assert 16 < int(untouched.sum()) < 48  # about half of 64 crops
    assert not (block.eval()(features) == features).flatten(1).all(dim=1).any()


def test_transformer_starts_from_the_identity_and_can_learn() -> None:
    torch.manual_seed(0)
    transformer, crops = SpatialTransformer(), inputs(2, 1, 48, 192)
    moved = transformer(crops)
    assert torch.allclose(moved, crops, atol=0.05)
    moved.square().mean().backward()
    gradient = transformer.move.bias.grad
    assert gradient is not None and float(gradient.abs().max()) > 0


@pytest.mark.parametrize("mixed_precision", [False, True])
def test_transformer_moves_and_turns_as_its_numbers_say(mixed_precision: bool) -> None:
    transformer = SpatialTransformer().eval()
    xs, ys = torch.arange(192.0).expand(48, 192), torch.arange(48.0)[:, None].expand(48, 192)

    def move(picture: torch.Tensor, **numbers: float) -> torch.Tensor:
        with torch.no_grad():
            transformer.move.bias.copy_(torch.tensor([10 * numbers.get(name, 0.0) for name in "abcdef"]))
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=mixed_precision):
            result: torch.Tensor = transformer(picture[None, None])[0, 0]
        return result

    # The crop is 2 wide: 24 of its 192 px are 0.25. What lies outside repeats the edge.
    assert torch.allclose(move(xs, c=0.25), (xs + 24).clamp(max=191), atol=0.1)
    assert torch.allclose(move(ys, f=-0.25), (ys - 6).clamp(min=0), atol=0.1)
    # Half a turn's worth of slope: at the right edge (x = 1) the picture comes from a quarter of its height further down.
    sheared = move(ys, d=0.25)
    assert sheared[20, 0] == pytest.approx(14, abs=0.2) and sheared[20, 191] == pytest.approx(26, abs=0.2)
    # Half the width about the middle.
    assert torch.allclose(move(xs, a=-0.5)[0, [0, 191]], torch.tensor([47.75, 143.25]), atol=0.2)


def test_transformed_reader_reads_at_first_as_the_reader_alone() -> None:
    torch.manual_seed(0)
    reader = build("residual")
    network, crops = Transformed(reader).eval(), inputs(2, 1, 48, 192)
    with torch.inference_mode():
        assert torch.allclose(network(crops), reader(crops), atol=1e-3)


def test_row_of_countries_stands_behind_the_steps_and_changes_none_of_them() -> None:
    telling = settled(build_reader({"characters": "0123456789ABC", "width": 0.25, "hidden": 8, "origins": ["RU", "CN", "US"]}))
    assert isinstance(telling, Crnn)
    crops = inputs(3, 1, 48, 192)
    with torch.inference_mode():
        said = telling(crops)
        telling.origin = None
        text = telling(crops)
    assert said.shape == (3, 97, 14)
    assert torch.equal(said[:, :-1], text)
    assert torch.allclose(said[:, -1, :3].exp().sum(dim=-1), torch.ones(3), atol=1e-5)
    assert (said[:, -1, 3:] == LEAST_LOG).all()


def test_countries_need_the_crnn_and_as_many_classes() -> None:
    with pytest.raises(ConfigError, match="tell_countries: only network = \"crnn\" does, got 'residual'"):
        build_reader({"characters": "AB", "width": 0.25, "hidden": 8, "network": "residual", "origins": ["RU"]})
    with pytest.raises(
        ConfigError, match="tell_countries: expected at most 3 countries, as many as there are classes, got 4; name fewer in countries"
    ):
        build_reader({"characters": "AB", "width": 0.25, "hidden": 8, "origins": ["RU", "CN", "US", "KZ"]})
    with pytest.raises(ValueError, match="at most as many countries as classes, 2, got 3"):
        Crnn(2, 0.25, 8, 3)


def test_plain_crop_gives_a_spatial_transformer_a_finite_gradient() -> None:
    network = build_reader({"characters": "AB1", "width": 0.25, "hidden": 8, "transformer": True})
    network(torch.full((2, 1, 48, 192), 128.0))[:, :, 1].sum().backward()
    gradients = [p.grad for name, p in network.named_parameters() if name.startswith("transformer.")]
    assert gradients and all(g is not None and torch.isfinite(g).all() for g in gradients)
