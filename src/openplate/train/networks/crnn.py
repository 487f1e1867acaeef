"""CRNN for one- and two-line plates: crops in, CTC log-probabilities out.

After Shi, Bai & Yao, "An End-to-End Trainable Neural Network for Image-based Sequence Recognition" (2015), with residual convolutions,
per-sample standardisation of the crop inside the network, and two feature rows: the upper row writes one-line plates and the first line
of two-line plates, the lower row writes second lines. Both rows pass the same recurrent layer and are then joined into one sequence.

Beside the text it may say of which country a plate looks, whatever is written on it: from the font, the frame, the strip and the places of the
characters, which the convolutions' features hold; it is trained with the logarithm of how often each country is drawn added to its logits
(Menon et al., "Long-Tail Learning via Logit Adjustment", 2021), so that it says likelihoods and no country is likelier for being drawn more often.

Letter key: N crops, C channels, H×W feature map, R rows (2), S steps a row (W/4), T = R·S time steps, K classes (0 is the blank), F countries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

ROWS = 2
"""R, of every reader: the upper row's steps come before the lower row's."""
STROKES = 2
"""How many layers of the trunk `Crnn.strokes` runs."""
LEAST_LOG = -20.0
"""Least log-likelihood of a country."""


def standardise(crops: Tensor) -> Tensor:
    """Crops `(N, 1, H, W)` less their mean and over their spread, each by its own: light and contrast drop out, and no crop changes another."""
    mean = crops.mean(dim=(2, 3), keepdim=True)
    spread = ((crops - mean).square().mean(dim=(2, 3), keepdim=True) + 1e-6).sqrt()  # at 0 a root has no gradient
    return (crops - mean) / (spread + 4.0)


class ConvUnit(nn.Sequential):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inside: int, outside: int, kernel: int | tuple[int, int] = 3, stride: int | tuple[int, int] = 1) -> None:
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (size[0] // 2, size[1] // 2)
        super().__init__(nn.Conv2d(inside, outside, size, stride, padding, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two 3×3 convolutions beside the identity (He et al. 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(features + self.second(self.first(features)))


class Origin(nn.Module):
    """Features `(N, C, R, S)` to one row `(N, 1, K)` that stands after a crop's time steps: F log-likelihoods of countries, then `LEAST_LOG`."""

    def __init__(self, channels: int, classes: int, countries: int) -> None:
        super().__init__()
        if countries > classes:
            raise ValueError(f"expected at most as many countries as classes, {classes}, got {countries}")
        self.hidden = nn.Linear(2 * ROWS * channels, 64)
        self.dropout = nn.Dropout(0.2)
        self.origin = nn.Linear(64, countries)
        self.missing = classes - countries

    def forward(self, features: Tensor) -> Tensor:
        summed = torch.cat([features.mean(dim=3), features.amax(dim=3)], dim=1).flatten(1)  # N 2·C·R
        logits = self.origin(self.dropout(torch.relu(self.hidden(summed))))
        likelihoods = torch.log_softmax(logits.float(), dim=-1).clamp(min=LEAST_LOG)
        return nn.functional.pad(likelihoods, (0, self.missing), value=LEAST_LOG)[:, None]


class Crnn(nn.Module):
    """Crops `(N, 1, 48, 192)`, values 0-255, to log-probabilities `(N, T, K)` with T = 96; with countries `(N, T + 1, K)`, see `Origin`.

    Args:
        classes: K, the blank included.
        width: multiplies all channel counts.
        hidden: units of each direction of the recurrent layers.
        countries: F; 0 leaves the row of countries out.

    Raises:
        ValueError: there are more countries than classes.
    """

    def __init__(self, classes: int, width: float = 1.0, hidden: int = 128, countries: int = 0) -> None:
        super().__init__()
        c = [max(8, round(width * n / 8) * 8) for n in (32, 64, 128, 192, 256)]
        self.trunk = nn.Sequential(
            ConvUnit(1, c[0], 5, 2),  # 24 × 96
            ConvUnit(c[0], c[1], 3, 2),  # 12 × 48
            Residual(c[1]),
            ConvUnit(c[1], c[2], 3, (2, 1)),  # 6 × 48
            Residual(c[2]),
            ConvUnit(c[2], c[3], 3, (2, 1)),  # 3 × 48
            Residual(c[3]),
            nn.Conv2d(c[3], c[4], (2, 3), 1, (0, 1), bias=False),  # 2 × 48: upper and lower row
            nn.BatchNorm2d(c[4]),
            nn.ReLU(inplace=True),
        )
        self.recurrent = nn.LSTM(c[4], hidden, num_layers=1, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.1)
        self.classify = nn.Linear(2 * hidden, classes)
        self.origin = Origin(c[4], classes, countries) if countries else None

    def forward(self, crops: Tensor) -> Tensor:
        return self.write(self.strokes(crops))

    def strokes(self, crops: Tensor) -> Tensor:
        """Crops `(N, 1, 48, 192)`, values 0-255, to the features `(N, 64·width, 12, 48)` after the first two convolutions."""
        features: Tensor = self.trunk[:STROKES](standardise(crops))
        return features

    def write(self, strokes: Tensor) -> Tensor:
        """What `strokes` gave to log-probabilities, as `forward` gives them."""
        features = self.trunk[STROKES:](strokes)  # N C R S
        n, c, r, s = features.shape
        rows = features.permute(0, 2, 3, 1).reshape(n * r, s, c)  # N·R S C
        hidden, _ = self.recurrent(rows)
        logits = self.classify(self.dropout(hidden)).reshape(n, r * s, -1)  # N T K
        text = torch.log_softmax(logits.float(), dim=-1)
        return text if self.origin is None else torch.cat([text, self.origin(features)], dim=1)
