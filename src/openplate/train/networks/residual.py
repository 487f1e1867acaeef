"""A reader of convolutions alone, without recurrence: crops in, CTC log-probabilities out.

Residual convolutions (He et al., "Deep Residual Learning for Image Recognition", 2015) read as a sequence by CTC without a recurrent layer, as
Borisyuk, Gordo & Sivakumar, "Rosetta: Large Scale System for Text Detection and Recognition in Images" (2018), do it. What a recurrent layer would bring
from the neighbours comes from convolutions along the row, dilated (Yu & Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions", 2015): all steps
are computed at once. Two feature rows as in `crnn.py`: the upper row writes one-line plates and first lines, the lower row second lines.

Letter key: N crops, C channels, H×W feature map, R rows (2), S steps a row (W/4), T = R·S time steps, K classes (0 is the blank).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from openplate.train.networks.crnn import ConvUnit, Residual, standardise


class RowContext(nn.Module):
    """Two 1×5 convolutions along the rows beside the identity: a step sees `4 · dilation` steps to each side, and no other row."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Sequential(
                nn.Conv2d(channels, channels, (1, 5), padding=(0, 2 * dilation), dilation=(1, dilation), bias=False), nn.BatchNorm2d(channels)
            )
            for _ in range(2)
        )

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(features + self.second(torch.relu(self.first(features))))


class ResidualReader(nn.Module):
    """Crops `(N, 1, 48, 192)`, values 0-255, to log-probabilities `(N, T, K)` with T = 96.

    Args:
        classes: K, the blank included.
        width: multiplies all channel counts.
    """

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__()
        c = [round(width * n / 8) * 8 for n in (32, 48, 96, 160)]
        self.trunk = nn.Sequential(
            ConvUnit(1, c[0], 5, 2),  # 24 × 96
            ConvUnit(c[0], c[1], 3, 2),  # 12 × 48
            Residual(c[1]),
            ConvUnit(c[1], c[2], 3, (2, 1)),  # 6 × 48
            Residual(c[2]),
            ConvUnit(c[2], c[3], 3, (2, 1)),  # 3 × 48
            Residual(c[3]),
            nn.Conv2d(c[3], c[3], (2, 3), 1, (0, 1), bias=False),  # 2 × 48: upper and lower row
            nn.BatchNorm2d(c[3]),
            nn.ReLU(inplace=True),
            RowContext(c[3], 1),
            RowContext(c[3], 3),
        )
        self.dropout = nn.Dropout(0.1)
        self.classify = nn.Conv2d(c[3], classes, 1)

    def forward(self, crops: Tensor) -> Tensor:
        logits = self.classify(self.dropout(self.trunk(standardise(crops))))  # N K R S
        return torch.log_softmax(logits.float().flatten(2).transpose(1, 2), dim=-1)  # N T K
