"""One network, end to end: images in; quads out, and for chosen quads the CTC log-probabilities of their texts, all from one set of features.

Two backbones give the same four feature maps. "light" is the detector's: cross-stage blocks and a top-down pyramid, one anchor point a cell, with two
small convolutions in front so that there are maps at strides 2 and 4. "vgg16" is SSD300 (Liu et al. 2016) on VGG16 (Simonyan & Zisserman 2014) with
four corners instead of boxes: several default anchors a cell, here with batch normalisation.

The reading branch sees each plate through a grid laid into its quad in perspective (a spatial transformer, Jaderberg et al. 2015, whose homography
follows from the four corners in closed form, Heckbert 1989), so that a tilted plate has as many time steps as a straight one. Fine maps are sampled at
24 × 96 and coarse ones at 12 × 48, joined by squeeze-and-excitation (Hu et al. 2018), and read as the CRNN reads: two rows, bidirectional LSTM, CTC
(Graves et al. 2006).

Convention: quads are continuous coordinates in input px, TL TR BR BL; the image spans 0..W and 0..H.

Letter key: N images, H×W input px (multiples of 64), C channels, A anchors over all levels (strides 8, 16, 32, 64), Q quads over all images,
R rows (2), S steps a row (48), T = R·S time steps (96), K classes (0 is the blank).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from openplate.errors import ConfigError
from openplate.rectify import MARGIN_X, MARGIN_Y
from openplate.train.networks.crnn import ConvUnit, Residual
from openplate.train.networks.detector import REACH, STRIDES, CspBlock, Head, anchor_points

BACKBONES = ("light", "vgg16")
MAP_STRIDES = (2, 4, 8, 16)
"""Of the feature maps that the reading branch samples."""
FINE, COARSE = (24, 96), (12, 48)
"""Height and width of the grids in which the maps at strides 2 and 4, and at 8 and 16, are sampled."""
ASPECTS = (1.5, 2.4, 3.4, 4.6)
"""Width over height of the default anchors: two-line plates, American and high ones, most others, European ones."""
ANCHOR_SIDE = 2.8
"""The side, in strides, of the square that has a default anchor's area: anchors are 3.4 to 6 strides wide, and levels double."""

Maps = tuple[Tensor, Tensor, Tensor, Tensor]


class Seen(NamedTuple):
    """What a backbone gives: detections `(N, A, 9)` (logit, then x0 y0 … x3 y3 in input px) and the maps at `MAP_STRIDES`."""

    detections: Tensor
    maps: Maps


class Choice(NamedTuple):
    """The quads to read: `(Q, 4, 2)` input px, and for each the number of its image `(Q,)`; the quads of an image stand together."""

    quads: Tensor
    images: Tensor


class SqueezeExcite(nn.Module):
    """Each channel times a factor of 0 to 1 that follows from the means of all channels (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, channels // 8)
        self.weigh = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(inplace=True), nn.Linear(inner, channels), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        weights: Tensor = self.weigh(features.mean(dim=(2, 3)))
        return features * weights[:, :, None, None]


def homographies(quads: Tensor) -> Tensor:
    """Homographies `(Q, 3, 3)` from the unit square to quads `(Q, 4, 2)`, in closed form and so with a gradient (Heckbert 1989)."""
    p0, p1, p2, p3 = quads.float().unbind(dim=1)
    to1, to3, rest = p1 - p2, p3 - p2, p0 - p1 + p2 - p3
    area = to1[:, 0] * to3[:, 1] - to3[:, 0] * to1[:, 1]
    # Corners on one line have no homography: what is sampled there means nothing, but it must be finite.
    area = torch.where(area.abs() < 1e-3, torch.full_like(area, 1e-3), area)
    g = (rest[:, 0] * to3[:, 1] - to3[:, 0] * rest[:, 1]) / area
    h = (to1[:, 0] * rest[:, 1] - rest[:, 0] * to1[:, 1]) / area
    first = p1 - p0 + g[:, None] * p1
    second = p3 - p0 + h[:, None] * p3
    last = torch.stack([g, h, torch.ones_like(g)], dim=1)
    return torch.stack([torch.cat([v, last[:, i : i + 1]], dim=1) for i, v in enumerate((first, second, p0))], dim=2)


def quad_grids(quads: Tensor, size: tuple[int, int]) -> Tensor:
    """Where the cells of a view of `size` (height, width) lie in the image: `(Q, height, width, 2)` input px, the reader's margins around each quad."""
    height, width = size
    u = (torch.arange(width, device=quads.device, dtype=torch.float32) + 0.5) * ((1 + 2 * MARGIN_X) / width) - MARGIN_X
    v = (torch.arange(height, device=quads.device, dtype=torch.float32) + 0.5) * ((1 + 2 * MARGIN_Y) / height) - MARGIN_Y
    plane = torch.stack(
        [u[None, :].expand(height, width), v[:, None].expand(height, width), torch.ones_like(u)[None, :].expand(height, width)], dim=-1
    )
    places = plane.reshape(1, height * width, 3) @ homographies(quads).transpose(1, 2)  # Q h·w 3
    # The horizon of a quad that is not convex can cross the view.
    return (places[..., :2] / places[..., 2:].clamp(min=0.05)).reshape(-1, height, width, 2)


def sample_quads(features: Tensor, choice: Choice, size: tuple[int, int], input_size: tuple[int, int]) -> Tensor:
    """Views `(Q, C, height, width)` of maps `(N, C, h, w)`, each seen through its quad.

    The views of an image are sampled in one go, their grids one below the other, so that a map is not copied for each of its plates.

    Args:
        features: one map of each image.
        choice: the quads.
        size: height and width of a view.
        input_size: width and height of the input in px, which the map covers.
    """
    height, width = size
    x, y = quad_grids(choice.quads, size).unbind(dim=-1)
    grids = torch.stack([x / input_size[0] * 2 - 1, y / input_size[1] * 2 - 1], dim=-1)
    features = features.float()
    if features.shape[0] == 1:
        return _sample(features, grids.reshape(1, -1, width, 2), size)[0]
    counts = torch.bincount(choice.images, minlength=features.shape[0])
    order = torch.arange(len(choice.images), device=counts.device) - (counts.cumsum(0) - counts)[choice.images]
    stacked = grids.new_zeros((features.shape[0], max(1, int(counts.max())), height, width, 2))
    stacked = stacked.index_put((choice.images, order), grids)
    return _sample(features, stacked.reshape(features.shape[0], -1, width, 2), size)[choice.images, order]


def _sample(features: Tensor, grids: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps `(N, C, h, w)` at grids `(N, M·height, width, 2)` as `(N, M, C, height, width)`."""
    views = nn.functional.grid_sample(features, grids, mode="bilinear", padding_mode="border", align_corners=False)
    return views.reshape(features.shape[0], features.shape[1], -1, *size).transpose(1, 2)


def standardise_views(views: Tensor) -> Tensor:
    """Views `(Q, C, H, W)` less their mean and over their spread, each channel by its own: a plate's light and contrast drop out."""
    mean = views.mean(dim=(2, 3), keepdim=True)
    spread = ((views - mean).square().mean(dim=(2, 3), keepdim=True) + 1e-6).sqrt()
    return (views - mean) / (spread + 0.05)


class Light(nn.Module):
    """Images `(N, 3, H, W)`, already normalised, to `Seen`; the pyramid and the heads are the detector's."""

    def __init__(self, width: float) -> None:
        super().__init__()
        c2, c4, c8, c16, c32, neck = (max(8, round(width * n / 8) * 8) for n in (16, 32, 64, 128, 160, 64))
        self.stem2 = nn.Sequential(nn.Conv2d(3, c2, 4, 2, 1, bias=False), nn.BatchNorm2d(c2), nn.ReLU(inplace=True))  # H/2
        self.stem4 = ConvUnit(c2, c4, 3, 2)
        self.to8 = nn.Sequential(ConvUnit(c4, c8, 3, 2), CspBlock(c8, 1))
        self.to16 = nn.Sequential(ConvUnit(c8, c16, 3, 2), CspBlock(c16, 2))
        self.to32 = nn.Sequential(ConvUnit(c16, c32, 3, 2), CspBlock(c32, 2))
        self.to64 = nn.Sequential(ConvUnit(c32, c32, 3, 2), CspBlock(c32, 1))
        self.sides = nn.ModuleList(nn.Conv2d(c, neck, 1) for c in (c8, c16, c32, c32))
        self.fuses = nn.ModuleList(CspBlock(neck, 1) for _ in range(3))
        self.heads = nn.ModuleList(Head(neck, depth) for depth in (1, 2, 2, 2))
        self.channels = (c2, c4, neck, neck)

    def forward(self, images: Tensor) -> Seen:
        at2 = self.stem2(images)
        features = at4 = self.stem4(at2)
        levels = []
        for stage in (self.to8, self.to16, self.to32, self.to64):
            features = stage(features)
            levels.append(features)
        top = self.sides[3](levels[3])
        fused = [top]
        for i in (2, 1, 0):
            top = self.fuses[i](self.sides[i](levels[i]) + nn.functional.interpolate(top, scale_factor=2.0, mode="nearest"))
            fused.insert(0, top)
        outputs = []
        for stride, level, head in zip(STRIDES, fused, self.heads, strict=True):
            joined = head(level).float()  # N 9 h w
            n, _, h, w = joined.shape
            flat = joined.permute(0, 2, 3, 1).reshape(n, h * w, 9)
            points = anchor_points(h, w, stride, flat)
            corners = flat[:, :, 1:].reshape(n, h * w, 4, 2) * (REACH * stride) + points[None, :, None]
            outputs.append(torch.cat([flat[:, :, :1], corners.reshape(n, h * w, 8)], dim=-1))
        return Seen(torch.cat(outputs, dim=1), (at2, at4, fused[0], fused[1]))

    anchors_a_cell = 1


def default_quads(stride: int) -> Tensor:
    """The default anchors of a cell about its centre, `(len(ASPECTS), 4, 2)` px."""
    aspects = torch.tensor(ASPECTS)
    sizes = torch.stack([aspects.sqrt(), 1 / aspects.sqrt()], dim=-1) * (ANCHOR_SIDE * stride)
    return sizes[:, None] * torch.tensor([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


class AnchorHead(nn.Module):
    """Features `(N, C, h, w)` to a logit and eight offsets of every default anchor, as detections `(N, h·w·anchors, 9)` in input px."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.predict = nn.Conv2d(channels, len(ASPECTS) * 9, 3, 1, 1)
        nn.init.normal_(self.predict.weight, std=0.005)
        with torch.no_grad():
            assert self.predict.bias is not None
            self.predict.bias.zero_()
            self.predict.bias[::9] = -5.0
        self.register_buffer("quads", default_quads(stride), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        joined = self.predict(features).float()
        n, _, h, w = joined.shape
        flat = joined.permute(0, 2, 3, 1).reshape(n, h * w, len(ASPECTS), 9)
        quads = self.get_buffer("quads")
        points = anchor_points(h, w, self.stride, flat)
        sizes = quads[:, 2] - quads[:, 0]  # anchors 2
        corners = flat[..., 1:].reshape(n, h * w, len(ASPECTS), 4, 2) * sizes[:, None] + quads + points[None, :, None, None]
        return torch.cat([flat[..., :1], corners.flatten(start_dim=3)], dim=-1).reshape(n, -1, 9)


class Vgg16(nn.Module):
    """Images `(N, 3, H, W)`, already normalised, to `Seen`: the thirteen convolutions, dilated fc6 and fc7, two extra levels, default anchors."""

    def __init__(self, width: float) -> None:
        super().__init__()
        c1, c2, c3, c4, c6, reduced, fine = (max(8, round(width * n / 8) * 8) for n in (64, 128, 256, 512, 1024, 64, 32))
        pool = nn.MaxPool2d(2, 2)
        self.to2 = nn.Sequential(ConvUnit(3, c1), ConvUnit(c1, c1), pool, ConvUnit(c1, c2), ConvUnit(c2, c2))
        self.to4 = nn.Sequential(pool, ConvUnit(c2, c3), ConvUnit(c3, c3), ConvUnit(c3, c3))
        self.to8 = nn.Sequential(pool, ConvUnit(c3, c4), ConvUnit(c4, c4), ConvUnit(c4, c4))
        self.to16 = nn.Sequential(
            pool,
            ConvUnit(c4, c4),
            ConvUnit(c4, c4),
            ConvUnit(c4, c4),
            nn.MaxPool2d(3, 1, 1),
            nn.Conv2d(c4, c6, 3, 1, 6, 6, bias=False),  # fc6
            nn.BatchNorm2d(c6),
            nn.ReLU(inplace=True),
            ConvUnit(c6, c6, 1),  # fc7
        )
        self.to32 = nn.Sequential(ConvUnit(c6, c3, 1), ConvUnit(c3, c4, 3, 2))
        self.to64 = nn.Sequential(ConvUnit(c4, c2, 1), ConvUnit(c2, c3, 3, 2))
        self.heads = nn.ModuleList(AnchorHead(c, s) for c, s in zip((c4, c6, c4, c3), STRIDES, strict=True))
        self.channels = (fine, fine, reduced, reduced)
        self.reduce = nn.ModuleList(ConvUnit(c, out, 1) for c, out in zip((c2, c3, c4, c6), self.channels, strict=True))

    def forward(self, images: Tensor) -> Seen:
        levels = []
        features = images
        for stage in (self.to2, self.to4, self.to8, self.to16, self.to32, self.to64):
            features = stage(features)
            levels.append(features)
        detections = torch.cat([head(level) for level, head in zip(levels[2:], self.heads, strict=True)], dim=1)
        at2, at4, at8, at16 = (reduce(level) for level, reduce in zip(levels[:4], self.reduce, strict=True))
        return Seen(detections, (at2, at4, at8, at16))

    anchors_a_cell = len(ASPECTS)


class ReadingBranch(nn.Module):
    """Views of the four maps to log-probabilities `(Q, T, K)`."""

    def __init__(self, channels: tuple[int, int, int, int], classes: int, width: float, hidden: int) -> None:
        super().__init__()
        c = [max(8, round(width * n / 8) * 8) for n in (64, 128, 192, 256)]
        fine, coarse = channels[0] + channels[1], channels[2] + channels[3]
        self.join = nn.Sequential(SqueezeExcite(fine), ConvUnit(fine, c[0], 3, 2))  # 12 × 48
        self.trunk = nn.Sequential(
            SqueezeExcite(c[0] + coarse),
            ConvUnit(c[0] + coarse, c[0], 1),
            Residual(c[0]),
            ConvUnit(c[0], c[1], 3, (2, 1)),  # 6 × 48
            Residual(c[1]),
            ConvUnit(c[1], c[2], 3, (2, 1)),  # 3 × 48
            Residual(c[2]),
            nn.Conv2d(c[2], c[3], (2, 3), 1, (0, 1), bias=False),  # 2 × 48: upper and lower row
            nn.BatchNorm2d(c[3]),
            nn.ReLU(inplace=True),
        )
        self.recurrent = nn.LSTM(c[3], hidden, num_layers=1, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.1)
        self.classify = nn.Linear(2 * hidden, classes)

    def forward(self, maps: Maps, choice: Choice, input_size: tuple[int, int]) -> Tensor:
        sizes = (FINE, FINE, COARSE, COARSE)
        with torch.autocast(maps[0].device.type, enabled=False):  # bfloat16 has too few digits for places in an image
            at2, at4, at8, at16 = (sample_quads(m, choice, size, input_size) for m, size in zip(maps, sizes, strict=True))
            fine = torch.cat([standardise_views(at2), standardise_views(at4)], dim=1)
        features = self.trunk(torch.cat([self.join(fine), at8, at16], dim=1))  # Q C R S
        q, c, r, s = features.shape
        rows = features.permute(0, 2, 3, 1).reshape(q * r, s, c)  # Q·R S C
        hidden, _ = self.recurrent(rows)
        logits = self.classify(self.dropout(hidden)).reshape(q, r * s, -1)  # Q T K
        return torch.log_softmax(logits.float(), dim=-1)


class EndToEnd(nn.Module):
    """Images `(N, 3, H, W)`, RGB 0-255, to detections, and to texts of chosen quads.

    Args:
        classes: K, the blank included.
        backbone: one of `BACKBONES`.
        width: multiplies all channel counts.
        hidden: units of each direction of the recurrent layer.

    Raises:
        ConfigError: there is no such backbone.
    """

    def __init__(self, classes: int, backbone: str = "light", width: float = 1.0, hidden: int = 128) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ConfigError(f"backbone: expected one of {', '.join(BACKBONES)}, got {backbone!r}")
        self.backbone = Light(width) if backbone == "light" else Vgg16(width)
        self.reading = ReadingBranch(self.backbone.channels, classes, width, hidden)

    def forward(self, images: Tensor, choose: Callable[[Tensor], Choice] | None = None) -> tuple[Tensor, Tensor | None]:
        """Detections `(N, A, 9)`: logit, then x0 y0 … x3 y3 in input px; and the log-probabilities `(Q, T, K)` of the quads that `choose` picks.

        Args:
            images: `(N, 3, H, W)`.
            choose: takes the detections and gives the quads to read; None reads nothing.
        """
        seen = self.look(images)
        if choose is None:
            return seen.detections, None
        return seen.detections, self.read(seen.maps, choose(seen.detections))

    def look(self, images: Tensor) -> Seen:
        """Detections and the maps that `read` samples."""
        seen: Seen = self.backbone((images - 114.0) * (1 / 57))
        return seen

    def read(self, maps: Maps, choice: Choice) -> Tensor:
        """Log-probabilities `(Q, T, K)` of quads; each view has its own statistics, so that no quad changes another."""
        log_probabilities: Tensor = self.reading(maps, choice, input_size(maps))
        return log_probabilities

    def anchors(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Centres `(A, 2)` in px and strides `(A,)` of the anchors of an input of that size, in the order of the detections."""
        device = next(self.parameters()).device
        repeats = self.backbone.anchors_a_cell
        like = torch.zeros((), device=device)
        points = [anchor_points(height // s, width // s, s, like).repeat_interleave(repeats, dim=0) for s in STRIDES]
        return torch.cat(points), torch.cat([torch.full((len(p),), float(s), device=device) for p, s in zip(points, STRIDES, strict=True)])


def input_size(maps: Maps) -> tuple[int, int]:
    """Width and height in px of the input that gave these maps."""
    return maps[0].shape[3] * MAP_STRIDES[0], maps[0].shape[2] * MAP_STRIDES[0]
