"""LPRNet, and a variant of it on residual blocks: crops in, CTC log-probabilities out.

After Zherzdev & Gruzdev, "LPRNet: License Plate Recognition via Deep Neural Networks" (2018): a trunk of small basic blocks, a wide 1×13 convolution along
the row in place of a recurrent layer, and global context, that is earlier feature maps, pooled and joined before the last convolution. What differs:
- the first convolution strides, as crops are twice as large as the paper's 24×94;
- each pooled map is divided by its root mean square *in its own crop*; the code that is public divides by the mean over the whole batch, so that a plate
  reads differently beside other plates;
- the last 4×1 convolution leaves two feature rows instead of one: the upper row writes one-line plates and first lines, the lower row second lines (see
  `crnn.py`);
- the wide convolution gives channels, and the 1×1 convolution after the context the classes, so that a larger charset changes one layer.

Letter key: N crops, C channels, H×W feature map, R rows (2), S steps a row (W/4), T = R·S time steps, K classes (0 is the blank).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from openplate.train.networks.crnn import ConvUnit, standardise


class SmallBlock(nn.Sequential):
    """The paper's small basic block: 1×1 to a quarter of the channels, 3×1, 1×3, 1×1, with ReLU between; then batch normalisation and ReLU."""

    def __init__(self, inside: int, outside: int) -> None:
        quarter = outside // 4
        super().__init__(
            nn.Conv2d(inside, quarter, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(quarter, quarter, (3, 1), padding=(1, 0)),
            nn.ReLU(inplace=True),
            nn.Conv2d(quarter, quarter, (1, 3), padding=(0, 1)),
            nn.ReLU(inplace=True),
            nn.Conv2d(quarter, outside, 1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        )


class BasicBlock(nn.Module):
    """ResNet-18's block (He et al. 2015): two 3×3 convolutions beside the identity, or beside a 1×1 convolution where the shape changes."""

    def __init__(self, inside: int, outside: int, stride: int | tuple[int, int] = 1) -> None:
        super().__init__()
        self.first = ConvUnit(inside, outside, 3, stride)
        self.second = nn.Sequential(nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside))
        same = inside == outside and stride == 1
        self.beside = nn.Identity() if same else nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.beside(features) + self.second(self.first(features)))


class ContextHead(nn.Module):
    """Feature maps of several depths to log-probabilities; the last one has R rows, S steps.

    Args:
        channels: of each map.
        cells: height and width of the part of each map that becomes one step.
        middle: channels of the wide convolution's output.
        classes: K.
    """

    def __init__(self, channels: Sequence[int], cells: Sequence[tuple[int, int]], middle: int, classes: int) -> None:
        super().__init__()
        self.cells = tuple(cells)
        self.dropout = nn.Dropout(0.1)
        self.wide = nn.Conv2d(channels[-1], middle, (1, 13), padding=(0, 6), bias=False)
        self.normalise = nn.BatchNorm2d(middle)
        self.classify = nn.Conv2d(middle + sum(channels), classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        joined = [torch.relu(self.normalise(self.wide(self.dropout(maps[-1]))))]
        for features, cell in zip(maps, self.cells, strict=True):
            pooled = nn.functional.avg_pool2d(features, cell)  # N C R S
            joined.append(pooled / (pooled.square().mean(dim=(1, 2, 3), keepdim=True) + 1e-3).sqrt())
        logits = self.classify(torch.cat(joined, dim=1))  # N K R S
        return torch.log_softmax(logits.float().flatten(2).transpose(1, 2), dim=-1)  # N T K


class LprNet(nn.Module):
    """Crops `(N, 1, 48, 192)`, values 0-255, to log-probabilities `(N, T, K)` with T = 96.

    Args:
        classes: K, the blank included.
        width: multiplies all channel counts; 1 gives the paper's.
        residual: the trunk is the first three stages of ResNet-18 instead of small basic blocks.
    """

    def __init__(self, classes: int, width: float = 1.0, residual: bool = False) -> None:
        super().__init__()
        c = [round(width * n / 16) * 16 for n in (64, 128, 256)]
        rows = nn.Sequential(
            nn.Dropout(0.1), nn.Conv2d(c[2], c[2], (4, 1), (2, 1), bias=False), nn.BatchNorm2d(c[2]), nn.ReLU(inplace=True)
        )  # 6 × 48 → 2 × 48
        self.stages = nn.ModuleList((*(residual_stages(c) if residual else small_stages(c)), rows))
        cells = ((6, 1), (3, 1), (3, 1), (1, 1)) if residual else ((12, 2), (12, 2), (3, 1), (1, 1))
        self.head = ContextHead((*c, c[2]), cells, c[1], classes)

    def forward(self, crops: Tensor) -> Tensor:
        features = standardise(crops)
        maps = []
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        result: Tensor = self.head(maps)
        return result


def small_stages(channels: Sequence[int]) -> tuple[nn.Module, ...]:
    """The paper's trunk: three stages that end with these channels."""
    low, middle, high = channels
    return (
        ConvUnit(1, low, 3, 2),  # 24 × 96
        nn.Sequential(nn.MaxPool2d(3, 1, 1), SmallBlock(low, middle)),  # 24 × 96
        nn.Sequential(
            nn.MaxPool2d(3, 2, 1),
            SmallBlock(middle, high),
            SmallBlock(high, high),
            nn.MaxPool2d(3, (2, 1), 1),  # 6 × 48
        ),
    )


def residual_stages(channels: Sequence[int]) -> tuple[nn.Module, ...]:
    """ResNet-18's stem and first three stages; after the stem the strides only go down, as each step needs its own column."""
    low, middle, high = channels
    return (
        nn.Sequential(ConvUnit(1, low, 7, 2), nn.MaxPool2d(3, 2, 1), BasicBlock(low, low), BasicBlock(low, low)),  # 12 × 48
        nn.Sequential(BasicBlock(low, middle, (2, 1)), BasicBlock(middle, middle)),  # 6 × 48
        nn.Sequential(BasicBlock(middle, high), BasicBlock(high, high)),  # 6 × 48
    )
