"""A spatial transformer in front of any reader: crops in, the reader's log-probabilities of straightened crops out.

After Jaderberg, Simonyan, Zisserman & Kavukcuoglu, "Spatial Transformer Networks" (2015), with an affine transformation. It starts from the identity:
in front of a trained reader it changes nothing until training moves it. An engine that computes in bfloat16 rounds the places that it samples to a third
of a pixel at the edges: the shipped reader behind a transformation read 290 of 300 drawn crops as in fp32, without one 297 (OpenVINO).

Letter key: N crops, H×W (48 × 192), T time steps, K classes (0 is the blank).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from openplate.train.networks.crnn import ConvUnit, standardise

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""x' = a·x + b·y + c and y' = d·x + e·y + f: where in the crop (-1 to 1 from edge to edge) the point (x, y) of the result comes from."""


class SpatialTransformer(nn.Module):
    """Crops `(N, 1, H, W)` to crops of the same shape, each seen through an affine transformation of its own; what lies outside repeats the edge."""

    def __init__(self, height: int = 48, width: int = 192) -> None:
        super().__init__()
        self.locate = nn.Sequential(
            nn.AvgPool2d(2),  # 24 × 96
            ConvUnit(1, 16, 5),
            nn.MaxPool2d(2),  # 12 × 48
            ConvUnit(16, 32),
            nn.MaxPool2d(2),  # 6 × 24
            ConvUnit(32, 32),
            nn.MaxPool2d(2),  # 3 × 12
            nn.Flatten(),
            nn.Linear(32 * (height // 16) * (width // 16), 32),
            nn.ReLU(inplace=True),
        )
        self.move = nn.Linear(32, 6)
        nn.init.zeros_(self.move.weight)
        nn.init.zeros_(self.move.bias)
        self.register_buffer("identity", torch.tensor(IDENTITY), persistent=False)
        self.register_buffer("xs", ((torch.arange(width) + 0.5) * (2 / width) - 1)[None, None, :], persistent=False)  # centres of pixels
        self.register_buffer("ys", ((torch.arange(height) + 0.5) * (2 / height) - 1)[None, :, None], persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        moves = self.move(self.locate(standardise(crops)))
        with torch.autocast(crops.device.type, enabled=False):  # half a pixel of 192 is more than bfloat16 can tell
            # A tenth: the reader must not lose sight of the plate before it can read.
            a, b, c, d, e, f = ((0.1 * moves.float() + self.identity)[:, :, None, None]).unbind(dim=1)  # each N 1 1
            grid = torch.stack([a * self.xs + b * self.ys + c, d * self.xs + e * self.ys + f], dim=-1)  # N H W 2
            return nn.functional.grid_sample(crops.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


class Transformed(nn.Module):
    """`reader` behind a spatial transformer: crops `(N, 1, 48, 192)`, values 0-255, to log-probabilities `(N, T, K)`."""

    def __init__(self, reader: nn.Module) -> None:
        super().__init__()
        self.transformer = SpatialTransformer()
        self.reader = reader

    def forward(self, crops: Tensor) -> Tensor:
        result: Tensor = self.reader(self.transformer(crops))
        return result
