"""One network, end to end: images in; quads out, and for chosen quads the CTC log-probabilities of their texts, all from one set of features.

Two backbones give the same four maps: the image's own grey pixels, and features at strides 4, 8 and 16. "light" is the detector, its stem and its
top-down pyramid; "vgg16" is SSD300 (Liu et al. 2016) on VGG16 (Simonyan & Zisserman 2014) with four corners instead of boxes: several default anchors
a cell, here with batch normalisation.

The reading branch first looks at each plate as the straightener does, and corrects its corners. It then sees it through a grid laid into the quad in
perspective (a spatial transformer, Jaderberg et al. 2015, whose homography follows from the four corners in closed form, Heckbert 1989), so that a
tilted plate has as many time steps as a straight one. Pixels are sampled at
48 × 192, the reader's crop, and pass its first two convolutions; features are sampled at 24 × 96 (stride 4) and 12 × 48, weighed by
squeeze-and-excitation (Hu et al. 2018) and added there. The rest is the reader's: two rows, bidirectional LSTM, CTC (Graves et al. 2006). What is
added is nothing at first, so that a network made of a trained detector and a trained reader begins by reading as they do.

Convention: quads are continuous coordinates in input px, TL TR BR BL; the image spans 0..W and 0..H.

Letter key: N images, H×W input px (multiples of 64), C channels, A anchors over all levels (strides 8, 16, 32, 64), Q quads over all images,
R rows (2), S steps a row (48), T = R·S time steps (96), K classes (0 is the blank).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from openplate.end_to_end import GRIDS
from openplate.errors import ConfigError
from openplate.rectify import CROP_HEIGHT, CROP_WIDTH, MARGIN_X, MARGIN_Y
from openplate.straighten import HEIGHT, MARGIN, WIDTH
from openplate.train.networks.crnn import STROKES, ConvUnit, Crnn
from openplate.train.networks.detector import CHANNELS, STRIDES, Detector, anchor_points, place_corners
from openplate.train.networks.straightener import Straightener

BACKBONES = ("light", "vgg16")
MAP_STRIDES = (1, 4, 8, 16)
"""Of the maps that the reading branch samples: grey pixels, and features."""
SIZES = ((CROP_HEIGHT, CROP_WIDTH), *GRIDS)
"""Height and width of the grids in which the maps are sampled."""
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


def correct_quads(quads: Tensor, offsets: Tensor) -> Tensor:
    """Quads `(Q, 4, 2)` with corrections `(Q, 8)`: dx dy of each corner in widths and heights of the view through the quad, as `straighten` has them.

    A correction that gives no plausible plate (an area under 0.4 or over 2.5 of the quad's, or corners that are not convex) is left out.
    """
    unit = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], device=quads.device) + offsets.float().reshape(-1, 4, 2)
    places = torch.cat([unit, torch.ones_like(unit[..., :1])], dim=-1) @ homographies(quads).transpose(1, 2)  # Q 4 3
    corrected = places[..., :2] / places[..., 2:].clamp(min=0.05)
    before, after = turns(quads), turns(corrected)
    ratio = after.sum(dim=1) / before.sum(dim=1).clamp(min=1e-3)
    plausible = (after > 0).all(dim=1) & (ratio > 0.4) & (ratio < 2.5)
    return torch.where(plausible[:, None, None], corrected, quads)


def turns(quads: Tensor) -> Tensor:
    """Twice the areas of the triangles at each corner of quads `(Q, 4, 2)`, as `(Q, 4)`; all positive in a convex quad."""
    into, out = quads - quads.roll(1, dims=1), quads.roll(-1, dims=1) - quads
    return into[..., 0] * out[..., 1] - into[..., 1] * out[..., 0]


def quad_grids(quads: Tensor, size: tuple[int, int], margin: tuple[float, float] = (MARGIN_X, MARGIN_Y)) -> Tensor:
    """Where the cells of a view of `size` (height, width) lie in the image: `(Q, height, width, 2)` input px, a margin around each quad."""
    height, width = size
    u = (torch.arange(width, device=quads.device, dtype=torch.float32) + 0.5) * ((1 + 2 * margin[0]) / width) - margin[0]
    v = (torch.arange(height, device=quads.device, dtype=torch.float32) + 0.5) * ((1 + 2 * margin[1]) / height) - margin[1]
    plane = torch.stack(
        [u[None, :].expand(height, width), v[:, None].expand(height, width), torch.ones_like(u)[None, :].expand(height, width)], dim=-1
    )
    places = plane.reshape(1, height * width, 3) @ homographies(quads).transpose(1, 2)  # Q h·w 3
    # The horizon of a quad that is not convex can cross the view.
    return (places[..., :2] / places[..., 2:].clamp(min=0.05)).reshape(-1, height, width, 2)


def sample_quads(
    features: Tensor, choice: Choice, size: tuple[int, int], input_size: tuple[int, int], margin: tuple[float, float] = (MARGIN_X, MARGIN_Y)
) -> Tensor:
    """Views `(Q, C, height, width)` of maps `(N, C, h, w)`, each seen through its quad.

    The views of an image are sampled in one go, their grids one below the other, so that a map is not copied for each of its plates.

    Args:
        features: one map of each image.
        choice: the quads.
        size: height and width of a view.
        input_size: width and height of the input in px, which the map covers.
        margin: around the quad, as fractions of its width and height.
    """
    height, width = size
    x, y = quad_grids(choice.quads, size, margin).unbind(dim=-1)
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


def grey_pixels(images: Tensor) -> Tensor:
    """Images `(N, 3, H, W)`, RGB 0-255, as grey ones `(N, 1, H, W)`, weighed as the two-stage path weighs colours (ITU-R BT.601)."""
    return 0.299 * images[:, :1] + 0.587 * images[:, 1:2] + 0.114 * images[:, 2:]


class Light(nn.Module):
    """Images `(N, 3, H, W)`, RGB 0-255, to `Seen`: the detector, whose stem and pyramid are sampled too."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.detector = Detector(channels)
        self.channels = (channels[0], channels[-1], channels[-1])

    def forward(self, images: Tensor) -> Seen:
        cells, at4, at8, at16 = self.see(images)
        return Seen(place_corners(cells, images.shape[2], images.shape[3]), (grey_pixels(images), at4, at8, at16))

    def see(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the file gives: detections as the cells see them (`Detector.cells`), and the features at strides 4, 8 and 16."""
        at4, fused = self.detector.see(images)
        return self.detector.judge(fused), at4, fused[0], fused[1]

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
    """Images `(N, 3, H, W)`, RGB 0-255, to `Seen`: the thirteen convolutions, dilated fc6 and fc7, two extra levels, default anchors."""

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
        self.channels = (fine, reduced, reduced)
        self.reduce = nn.ModuleList(ConvUnit(c, out, 1) for c, out in zip((c3, c4, c6), self.channels, strict=True))

    def forward(self, images: Tensor) -> Seen:
        detections, at4, at8, at16 = self.see(images)
        return Seen(detections, (grey_pixels(images), at4, at8, at16))

    def see(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the file gives: detections in input px, and the features at strides 4, 8 and 16."""
        levels = []
        features = (images - 114.0) * (1 / 57)
        for stage in (self.to2, self.to4, self.to8, self.to16, self.to32, self.to64):
            features = stage(features)
            levels.append(features)
        detections = torch.cat([head(level) for level, head in zip(levels[2:], self.heads, strict=True)], dim=1)
        at4, at8, at16 = (reduce(level) for level, reduce in zip(levels[1:4], self.reduce, strict=True))
        return detections, at4, at8, at16

    anchors_a_cell = len(ASPECTS)


class ReadingBranch(nn.Module):
    """The four maps and quads to log-probabilities `(Q, T, K)`, or with countries `(Q, T + 1, K)` as the reader gives them, and corrected quads."""

    def __init__(self, channels: tuple[int, int, int], classes: int, width: float, hidden: int, countries: int) -> None:
        super().__init__()
        self.straightener = Straightener()
        self.reader = Crnn(classes, width, hidden, countries)
        strokes = self.reader.trunk[STROKES - 1][0].out_channels  # type: ignore[index]
        fine = max(8, round(width * 32 / 8) * 8)
        self.fine = ConvUnit(channels[0], fine, 3, 2)  # 12 × 48
        self.excite = SqueezeExcite(fine + channels[1] + channels[2])
        self.add = nn.Conv2d(fine + channels[1] + channels[2], strokes, 1)
        nn.init.zeros_(self.add.weight)
        nn.init.zeros_(self.add.bias)  # type: ignore[arg-type]

    def forward(self, maps: Maps, choice: Choice, correct: Tensor, input_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        device = maps[0].device.type
        with torch.autocast(device, enabled=False):  # bfloat16 has too few digits for places in an image
            looks = sample_quads(maps[0], choice, (HEIGHT, WIDTH), input_size, MARGIN)
        offsets = self.straightener(looks)
        with torch.autocast(device, enabled=False):
            choice = Choice(correct_quads(choice.quads.float(), offsets.float() * correct[:, None]), choice.images)
            views = [sample_quads(m, choice, size, input_size) for m, size in zip(maps, SIZES, strict=True)]
        return self.write(*views), choice.quads

    def write(self, crops: Tensor, at4: Tensor, at8: Tensor, at16: Tensor) -> Tensor:
        """Views of the maps, `(Q, C, height, width)` each of its size in `SIZES`, to log-probabilities."""
        around = self.excite(torch.cat([self.fine(at4), at8, at16], dim=1))
        return self.reader.write(self.reader.strokes(crops) + self.add(around))


class EndToEnd(nn.Module):
    """Images `(N, 3, H, W)`, RGB 0-255, to detections, and to texts of chosen quads.

    Args:
        classes: K, the blank included.
        backbone: one of `BACKBONES`.
        width: multiplies the channels of the reading branch, and of "vgg16".
        hidden: units of each direction of the recurrent layer.
        channels: those of the detector that "light" is.
        countries: F, as in `Crnn`.

    Raises:
        ConfigError: there is no such backbone.
    """

    def __init__(
        self,
        classes: int,
        backbone: str = "light",
        width: float = 1.0,
        hidden: int = 128,
        channels: Sequence[int] = CHANNELS,
        countries: int = 0,
    ) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ConfigError(f"backbone: expected one of {', '.join(BACKBONES)}, got {backbone!r}")
        self.backbone = Light(channels) if backbone == "light" else Vgg16(width)
        self.reading = ReadingBranch(self.backbone.channels, classes, width, hidden, countries)

    def forward(self, images: Tensor, choose: Callable[[Tensor], Choice] | None = None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Detections `(N, A, 9)`: logit, then x0 y0 … x3 y3 in input px; and of the quads that `choose` picks, log-probabilities and corrected quads.

        Args:
            images: `(N, 3, H, W)`.
            choose: takes the detections and gives the quads to read; None reads nothing.
        """
        seen = self.look(images)
        if choose is None:
            return seen.detections, None, None
        return seen.detections, *self.read(seen.maps, choose(seen.detections))

    def look(self, images: Tensor) -> Seen:
        """Detections and the maps that `read` samples."""
        seen: Seen = self.backbone(images)
        return seen

    def read(self, maps: Maps, choice: Choice, correct: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-probabilities `(Q, T, K)` of quads, and the quads `(Q, 4, 2)` through which they were read.

        Each view has its own statistics, so that no quad changes another.

        Args:
            maps: what `look` gave.
            choice: the quads.
            correct: `(Q,)`, 1 where a quad's corners are to be corrected first, 0 where it is to be taken as it is; None corrects all.
        """
        if correct is None:
            correct = torch.ones_like(choice.quads[:, 0, 0])
        log_probabilities, quads = self.reading(maps, choice, correct, input_size(maps))
        return log_probabilities, quads

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
