"""The straightener: a look at a coarsely found plate in, corrections of its four corners out.

Letter key: N looks, C channels, H×W (48 × 128).
"""

from __future__ import annotations

from torch import Tensor, nn

from openplate.train.networks.crnn import ConvUnit, Residual, standardise


class Straightener(nn.Module):
    """Looks `(N, 1, 48, 128)`, values 0-255, to offsets `(N, 8)`: dx dy of TL TR BR BL in widths and heights of the coarse quad."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            ConvUnit(1, 24, 5, 2),  # 24 × 64
            ConvUnit(24, 48, 3, 2),  # 12 × 32
            Residual(48),
            ConvUnit(48, 96, 3, 2),  # 6 × 16
            Residual(96),
            ConvUnit(96, 128, 3, 2),  # 3 × 8
            nn.Conv2d(128, 48, 1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Linear(48 * 24, 192), nn.ReLU(inplace=True), nn.Linear(192, 8))

    def forward(self, looks: Tensor) -> Tensor:
        offsets: Tensor = self.head(self.trunk(standardise(looks))).float()
        return offsets * 0.1
