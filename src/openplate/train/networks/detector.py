"""The detector: images in; for every anchor point a plate logit and four corners out.

A single-stage, anchor-free network in the manner of YOLOv8 (Jocher et al. 2023: CSP blocks, several scales, no anchors) with four corners instead
of a box. The first convolution already strides by 4, so that nothing runs at full resolution. Each level has a head of its own: one shared by all
levels would be normalised by each level's statistics in training and by their mixture afterwards.

Letter key: N images, H×W input px (multiples of 64), C channels, A anchor points over all levels (strides 8, 16, 32, 64).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from openplate.train.networks.crnn import ConvUnit

CHANNELS = (16, 32, 96, 128, 48)
STRIDES = (8, 16, 32, 64)
REACH = 4.0
"""Corner offsets are given in units of `REACH` strides from the anchor point."""


class CspBlock(nn.Module):
    """Half of the channels pass `depth` residual pairs of 3×3 convolutions; everything is joined again (Wang et al. 2019, as YOLOv8's C2f)."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        half = channels // 2
        self.split = ConvUnit(channels, channels, 1)
        self.pairs = nn.ModuleList(nn.Sequential(ConvUnit(half, half), ConvUnit(half, half)) for _ in range(depth))
        self.join = ConvUnit(channels + depth * half, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        first, last = self.split(features).chunk(2, dim=1)
        parts = [first, last]
        for pair in self.pairs:
            parts.append(parts[-1] + pair(parts[-1]))
        joined: Tensor = self.join(torch.cat(parts, dim=1))
        return joined


class Head(nn.Module):
    """Features `(N, C, H, W)` to `(N, 9, H, W)`: the plate logit and eight corner offsets of every cell, after `depth` 3×3 convolutions."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(*(ConvUnit(channels, channels) for _ in range(depth)))
        self.score = nn.Conv2d(channels, 1, 1)
        self.corners = nn.Conv2d(channels, 8, 1)
        nn.init.constant_(self.score.bias, -5.0)  # type: ignore[arg-type]
        nn.init.normal_(self.corners.weight, std=0.005)
        with torch.no_grad():
            self.corners.bias.copy_(torch.tensor([-0.6, -0.2, 0.6, -0.2, 0.6, 0.2, -0.6, 0.2]))  # type: ignore[union-attr]

    def forward(self, features: Tensor) -> Tensor:
        features = self.shared(features)
        return torch.cat([self.score(features), self.corners(features)], dim=1)


class Detector(nn.Module):
    """Images `(N, 3, H, W)`, RGB 0-255, to `(N, A, 9)`: logit, then x0 y0 … x3 y3 in input px.

    Args:
        channels: those of the backbone at strides 4, 8, 16, and 32 (and 64), and those in which its levels are joined; multiples of 8.
    """

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        self.channels = tuple(channels)
        c4, c8, c16, c32, neck = channels
        self.stem = nn.Sequential(nn.Conv2d(3, c4, 8, 4, 2, bias=False), nn.BatchNorm2d(c4), nn.ReLU(inplace=True))  # H/4
        self.to8 = nn.Sequential(ConvUnit(c4, c8, 3, 2), CspBlock(c8, 1))
        self.to16 = nn.Sequential(ConvUnit(c8, c16, 3, 2), CspBlock(c16, 2))
        self.to32 = nn.Sequential(ConvUnit(c16, c32, 3, 2), CspBlock(c32, 2))
        self.to64 = nn.Sequential(ConvUnit(c32, c32, 3, 2), CspBlock(c32, 1))
        self.sides = nn.ModuleList(nn.Conv2d(c, neck, 1) for c in (c8, c16, c32, c32))
        self.fuses = nn.ModuleList(CspBlock(neck, 1) for _ in range(3))
        self.heads = nn.ModuleList(Head(neck, depth) for depth in (1, 2, 2, 2))  # at stride 8 a second convolution would cost a tenth of everything

    def forward(self, images: Tensor) -> Tensor:
        return place_corners(self.cells(images), images.shape[2], images.shape[3])

    def cells(self, images: Tensor) -> Tensor:
        """`(N, A, 9)`: logit, then the corners as seen from their cell's centre, in `REACH` strides of its level. What an exported file gives."""
        return self.judge(self.see(images)[1])

    def see(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The stem's features (stride 4), and the joined ones of each of `STRIDES`."""
        stem = features = self.stem((images - 114.0) * (1 / 57))
        levels = []
        for stage in (self.to8, self.to16, self.to32, self.to64):
            features = stage(features)
            levels.append(features)
        top = self.sides[3](levels[3])
        fused = [top]
        for i in (2, 1, 0):
            top = self.fuses[i](self.sides[i](levels[i]) + nn.functional.interpolate(top, scale_factor=2.0, mode="nearest"))
            fused.insert(0, top)
        return stem, fused

    def judge(self, fused: Sequence[Tensor]) -> Tensor:
        """The joined features of each level to what `cells` gives."""
        joined = [head(level).float() for level, head in zip(fused, self.heads, strict=True)]  # N 9 H W
        return torch.cat([cells.permute(0, 2, 3, 1).flatten(1, 2) for cells in joined], dim=1)


def place_corners(cells: Tensor, height: int, width: int) -> Tensor:
    """`Detector.cells` of images of this size with the corners in input px, `(N, A, 9)`."""
    points = [anchor_points(height // stride, width // stride, stride, cells) for stride in STRIDES]
    # full_like, because tracing would take a length for a constant.
    units = torch.cat([torch.full_like(part[:, :1], REACH * stride) for part, stride in zip(points, STRIDES, strict=True)])
    return torch.cat([cells[:, :, :1], cells[:, :, 1:] * units + torch.cat(points).repeat(1, 4)], dim=-1)


def anchor_points(height: int, width: int, stride: int, like: Tensor) -> Tensor:
    """Centres of the cells of one level as `(H·W, 2)` (x, y) in input px."""
    ys = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) * stride
    xs = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) * stride
    return torch.stack([xs[None, :].expand(height, width), ys[:, None].expand(height, width)], dim=-1).reshape(-1, 2)
