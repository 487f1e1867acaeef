"""A wide trained detector in; a narrower one that starts from its most useful channels out (filter pruning, Li et al. 2017).

Channels that are added to or joined with each other are kept or left out together. A channel counts by what leaves it: the root mean square of its
values over a batch times the size of the weights that take it on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from openplate.errors import ConfigError
from openplate.train.networks.detector import Detector


@dataclass(slots=True, eq=False)
class _Group:
    """`count` channels that stand or fall together: the layers that give them and those that take them, each with the first of its channels that is meant."""

    count: int
    givers: list[tuple[nn.Conv2d, int]] = field(default_factory=list)
    takers: list[tuple[nn.Conv2d, int]] = field(default_factory=list)


def narrow(wide: Detector, network: Detector, sample: Tensor) -> None:
    """Fills `network` with the channels of `wide` that matter most.

    Args:
        wide: the trained detector.
        network: what to fill: of the same layers, none of them with more channels.
        sample: images `(N, 3, H, W)` as both take them, over which values are measured.

    Raises:
        ConfigError: `network` is wider somewhere.
    """
    pairs = list(zip(_groups(network), _groups(wide), strict=True))
    for own, there in pairs:
        if own.count > there.count:
            raise ConfigError(f"channels: expected at most the {there.count} of the detector to start from, got {own.count}")
    sizes = _sizes(wide, sample)
    given: dict[nn.Module, list[tuple[int, list[int]]]] = defaultdict(list)
    taken: dict[nn.Module, list[tuple[int, list[int]]]] = defaultdict(list)
    for own, there in pairs:
        kept = _most_useful(there, sizes, own.count)
        for giver, first in there.givers:
            given[giver].append((first, kept))
        for taker, first in there.takers:
            taken[taker].append((first, kept))
    outs: list[int] = []
    with torch.no_grad():
        for target, source in zip(network.modules(), wide.modules(), strict=True):
            if isinstance(source, nn.Conv2d):
                outs, ins = _channels(given[source], source.out_channels), _channels(taken[source], source.in_channels)
                assert isinstance(target, nn.Conv2d)
                target.weight.copy_(source.weight[outs][:, ins])
                if target.bias is not None and source.bias is not None:
                    target.bias.copy_(source.bias[outs])
            elif isinstance(source, nn.BatchNorm2d):  # that of the convolution before it
                target.load_state_dict({name: value[outs] if value.ndim else value for name, value in source.state_dict().items()})


def _channels(parts: Sequence[tuple[int, list[int]]], count: int) -> list[int]:
    """Which channels are kept, in their order; all of them where no group says otherwise."""
    return [first + i for first, kept in sorted(parts) for i in kept] if parts else list(range(count))


def _most_useful(group: _Group, sizes: Mapping[nn.Module, Tensor], count: int) -> list[int]:
    use = torch.zeros(group.count)
    for taker, first in group.takers:
        weights = taker.weight.detach()[:, first : first + group.count].float().cpu()
        use += sizes[taker][first : first + group.count] * weights.square().sum(dim=(0, 2, 3)).sqrt()
    return sorted(use.topk(count).indices.tolist())


def _sizes(network: Detector, sample: Tensor) -> dict[nn.Module, Tensor]:
    """The root mean square of every input channel of every convolution."""
    sizes: dict[nn.Module, Tensor] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes[layer] = inputs[0].float().square().mean(dim=(0, 2, 3)).sqrt().cpu()

    handles = [module.register_forward_pre_hook(note) for module in network.modules() if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        network.eval()(sample)
    for handle in handles:
        handle.remove()
    return sizes


def _conv(module: Any) -> nn.Conv2d:
    """A convolution, alone or first in a unit."""
    found = module[0] if isinstance(module, nn.Sequential) else module
    assert isinstance(found, nn.Conv2d)
    return found


def _groups(network: Detector) -> list[_Group]:
    """All groups of channels that may be left out, in the same order for every detector."""
    groups: list[_Group] = []

    def giving(module: Any) -> _Group:
        conv = _conv(module)
        groups.append(_Group(conv.out_channels, [(conv, 0)]))
        return groups[-1]

    def through_block(block: Any, before: _Group) -> _Group:
        split, join = _conv(block.split), _conv(block.join)
        before.takers.append((split, 0))
        half = split.out_channels // 2
        passing, changing = _Group(half, [(split, 0)], [(join, 0)]), _Group(half, [(split, half)], [(join, half)])
        groups.extend((passing, changing))
        for i, (first, second) in enumerate(block.pairs):
            between = giving(first)
            between.takers.append((_conv(second), 0))
            changing.givers.append((_conv(second), 0))
            changing.takers.extend([(_conv(first), 0), (join, half * (i + 2))])
        return giving(join)

    def into_head(head: Any, before: _Group) -> None:
        for unit in head.shared:
            before.takers.append((_conv(unit), 0))
            before = giving(unit)
        before.takers.extend([(head.score, 0), (head.corners, 0)])

    given = giving(network.stem)
    levels = []
    for stage in (network.to8, network.to16, network.to32, network.to64):
        unit, block = stage
        given.takers.append((_conv(unit), 0))
        given = through_block(block, giving(unit))
        levels.append(given)
    for level, side in zip(levels, network.sides, strict=True):
        level.takers.append((_conv(side), 0))
    top = giving(network.sides[3])
    for i in (2, 1, 0):
        into_head(network.heads[i + 1], top)
        top.givers.append((_conv(network.sides[i]), 0))  # what comes from above is added to it
        top = through_block(network.fuses[i], top)
    into_head(network.heads[0], top)
    return groups
