"""The whole CRNN of the paper for one- and two-line plates: crops in, CTC log-probabilities out.

After Shi, Bai & Yao, "An End-to-End Trainable Neural Network for Image-based Sequence Recognition" (2015): seven convolutions in the manner of VGG, then
two bidirectional LSTMs. Batch normalisation follows every convolution (the paper: two of them), and the last convolution leaves two feature rows instead
of one: the upper row writes one-line plates and first lines, the lower row second lines (see `crnn.py`).

Letter key: N crops, C channels, H×W feature map, R rows (2), S steps a row (W/4), T = R·S time steps, K classes (0 is the blank).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from openplate.train.networks.crnn import ConvUnit, standardise


class CrnnDeep(nn.Module):
    """Crops `(N, 1, 48, 192)`, values 0-255, to log-probabilities `(N, T, K)` with T = 96.

    Args:
        classes: K, the blank included.
        width: multiplies all channel counts; 1 gives the paper's.
        hidden: units of each direction of both recurrent layers; the paper has 256.
    """

    def __init__(self, classes: int, width: float = 1.0, hidden: int = 256) -> None:
        super().__init__()
        c = [round(width * n / 8) * 8 for n in (64, 128, 256, 512)]
        self.trunk = nn.Sequential(
            ConvUnit(1, c[0]),  # 48 × 192
            nn.MaxPool2d(2),  # 24 × 96
            ConvUnit(c[0], c[1]),
            nn.MaxPool2d(2),  # 12 × 48
            ConvUnit(c[1], c[2]),
            ConvUnit(c[2], c[2]),
            nn.MaxPool2d((2, 1)),  # 6 × 48
            ConvUnit(c[2], c[3]),
            ConvUnit(c[3], c[3]),
            nn.MaxPool2d((2, 1)),  # 3 × 48
            nn.Conv2d(c[3], c[3], (2, 3), 1, (0, 1), bias=False),  # 2 × 48: upper and lower row
            nn.BatchNorm2d(c[3]),
            nn.ReLU(inplace=True),
        )
        self.recurrent = nn.LSTM(c[3], hidden, num_layers=2, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.1)
        self.classify = nn.Linear(2 * hidden, classes)

    def forward(self, crops: Tensor) -> Tensor:
        features = self.trunk(standardise(crops))  # N C R S
        n, c, r, s = features.shape
        rows = features.permute(0, 2, 3, 1).reshape(n * r, s, c)  # N·R S C
        hidden, _ = self.recurrent(rows)
        logits = self.classify(self.dropout(hidden)).reshape(n, r * s, -1)  # N T K
        return torch.log_softmax(logits.float(), dim=-1)
