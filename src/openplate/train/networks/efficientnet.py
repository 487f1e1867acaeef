"""EfficientNet-B3 with a GRU for one- and two-line plates: crops in, CTC log-probabilities out.

The trunk is that of Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019): inverted bottlenecks (Sandler et al. 2018)
with squeeze-and-excitation (Hu et al. 2018) and swish, in the widths and depths of B3, without its last 1×1 convolution. After the first two strides, strides
only go down, as each step needs its own column. A convolution then leaves two feature rows (see `crnn.py`), which pass one bidirectional GRU (Cho et al. 2014).

Letter key: N crops, C channels, H×W feature map, R rows (2), S steps a row (W/4), T = R·S time steps, K classes (0 is the blank).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from openplate.train.networks.crnn import standardise

WIDTH, DEPTH = 1.2, 1.4
"""B3's factors on the widths and depths of B0."""
STAGES = (
    (1, 16, 1, (1, 1), 3),  # 24 × 96
    (6, 24, 2, (2, 2), 3),  # 12 × 48
    (6, 40, 2, (2, 1), 5),  # 6 × 48
    (6, 80, 3, (2, 1), 3),  # 3 × 48
    (6, 112, 3, (1, 1), 5),
    (6, 192, 4, (1, 1), 5),
    (6, 320, 1, (1, 1), 3),
)
"""B0's stages: expansion, channels, blocks, stride of the first block, kernel."""
MOST_SKIPPED = 0.2
"""How often training skips the last block; the first is never skipped, between them it grows evenly (stochastic depth, Huang et al. 2016)."""


def scale_channels(channels: float) -> int:
    """The multiple of 8 that is nearest, and never less than nine tenths (the paper's rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class ByParts(torch.autograd.Function):
    """A 5×5 convolution channel by channel, stride 1, whose weight's gradient comes in four overlapping 3×3 parts.

    On a CPU in bfloat16, PyTorch has fast code for such a gradient of 3×3 and none for 5×5, which takes longer than these four parts.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(features, weight)
        return nn.functional.conv2d(features, weight, None, 1, 2, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,) = gradients
        features, weight = ctx.saved_tensors
        channels, (height, width) = len(weight), features.shape[2:]

        def differentiate(inputs: Tensor, weights: Tensor, padding: int, wanted: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
            found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
                gradient, inputs, weights, None, [1, 1], [padding] * 2, [1, 1], False, [0, 0], channels, wanted
            )
            return found

        for_features = differentiate(features, weight, 2, [True, False, False])[0]
        padded = nn.functional.pad(features, (2, 2, 2, 2))
        for_weight, part = torch.empty_like(weight), weight[:, :, :3, :3]
        for top in (0, 2):
            for left in (0, 2):
                seen = padded[:, :, top : top + height + 2, left : left + width + 2].contiguous(memory_format=torch.channels_last)
                for_weight[:, :, top : top + 3, left : left + 3] = differentiate(seen, part, 0, [False, True, False])[1]
        return for_features, for_weight


class ChannelwiseConv(nn.Conv2d):
    """A convolution of each channel by itself, without bias, the size kept but for the stride."""

    def __init__(self, channels: int, kernel: int, stride: tuple[int, int]) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        slow = self.kernel_size == (5, 5) and self.stride == (1, 1) and input.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not (self.training and slow):
            return super().forward(input)
        dtype = torch.get_autocast_dtype("cpu")
        result: Tensor = ByParts.apply(input.to(dtype), self.weight.to(dtype))  # type: ignore[no-untyped-call]
        return result


def conv_swish(conv: nn.Conv2d) -> nn.Sequential:
    """This convolution, batch normalisation, swish."""
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.SiLU(inplace=True))


class Excitation(nn.Module):
    """Every channel times a factor from 0 to 1 that all channels' means decide (squeeze-and-excitation)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        means = features.mean(dim=(2, 3), keepdim=True)
        return features * torch.sigmoid(self.excite(nn.functional.silu(self.squeeze(means))))


class InvertedBlock(nn.Module):
    """1×1 to `expansion` times the channels, a convolution channel by channel, excitation, 1×1 back; beside the identity where the shape stays."""

    def __init__(self, inside: int, outside: int, expansion: int, kernel: int, stride: tuple[int, int], skipped: float) -> None:
        super().__init__()
        middle = inside * expansion
        self.body = nn.Sequential(
            *([conv_swish(nn.Conv2d(inside, middle, 1, bias=False))] if expansion > 1 else []),
            conv_swish(ChannelwiseConv(middle, kernel, stride)),
            Excitation(middle, max(1, inside // 4)),
            nn.Conv2d(middle, outside, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.beside = inside == outside and stride == (1, 1)
        self.skipped = skipped

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.body(features)
        if not self.beside:
            return result
        if self.training and self.skipped:
            kept = torch.rand(len(features), 1, 1, 1, device=features.device) >= self.skipped
            result = result * (kept / (1 - self.skipped)).to(result.dtype)
        return features + result


class EfficientNetB3(nn.Module):
    """Crops `(N, 1, 48, 192)`, values 0-255, to log-probabilities `(N, T, K)` with T = 96.

    Args:
        classes: K, the blank included.
        width: multiplies all channel counts; 1 gives B3's.
        hidden: units of each direction of the recurrent layer.
    """

    def __init__(self, classes: int, width: float = 1.0, hidden: int = 128) -> None:
        super().__init__()
        channels = scale_channels(32 * WIDTH * width)
        parts: list[nn.Module] = [conv_swish(nn.Conv2d(1, channels, 3, 2, 1, bias=False))]  # 24 × 96
        depths = [math.ceil(blocks * DEPTH) for _, _, blocks, _, _ in STAGES]
        place = 0
        for (expansion, outside, _, stride, kernel), depth in zip(STAGES, depths, strict=True):
            for number in range(depth):
                wider = scale_channels(outside * WIDTH * width)
                skipped = MOST_SKIPPED * place / (sum(depths) - 1)
                parts.append(InvertedBlock(channels, wider, expansion, kernel, stride if number == 0 else (1, 1), skipped))
                channels, place = wider, place + 1
        joined = scale_channels(256 * width)
        self.trunk = nn.Sequential(
            *parts,
            nn.Conv2d(channels, joined, (2, 3), 1, (0, 1), bias=False),  # 2 × 48: upper and lower row
            nn.BatchNorm2d(joined),
            nn.SiLU(inplace=True),
        )
        self.recurrent = nn.GRU(joined, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.2)
        self.classify = nn.Linear(2 * hidden, classes)

    def forward(self, crops: Tensor) -> Tensor:
        features = self.trunk(standardise(crops))  # N C R S
        n, c, r, s = features.shape
        rows = features.permute(0, 2, 3, 1).reshape(n * r, s, c)  # N·R S C
        hidden, _ = self.recurrent(rows)
        logits = self.classify(self.dropout(hidden)).reshape(n, r * s, -1)  # N T K
        return torch.log_softmax(logits.float(), dim=-1)
