"""Flat textured parts in, their picture in a frame out: a pinhole camera, sheets that are drawn in metres, layers that are laid over one another.

Convention: the world's space is in metres, x to the right, y up, z away; the camera stands at (0, height, 0), the ground is y = 0.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.types import Image

Floats = NDArray[np.float64]
Layer = NDArray[np.uint8]
"""`(H, W, 4) uint8`: RGB, already multiplied by the fourth channel, the coverage."""
Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in px."""
_LEVELS = 5


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera that looks down by `pitch` and to the right by `yaw` (radians), `height_m` above the ground."""

    width: int
    height: int
    focal_px: float
    height_m: float
    pitch: float
    yaw: float = 0.0

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """World points `(N, 3)` as `(N, 2)` px and their `(N,)` depth in metres; depths under 0.3 m are taken for 0.3 m."""
        x, y, z = points[:, 0], points[:, 1] - self.height_m, points[:, 2]
        cos_y, sin_y, cos_p, sin_p = math.cos(self.yaw), math.sin(self.yaw), math.cos(self.pitch), math.sin(self.pitch)
        across, along = x * cos_y - z * sin_y, x * sin_y + z * cos_y
        down, depth = -y * cos_p - along * sin_p, -y * sin_p + along * cos_p
        near = np.maximum(depth, 0.3)
        pixels = np.stack([self.width / 2 + self.focal_px * across / near, self.height / 2 + self.focal_px * down / near], axis=1)
        return pixels, depth

    @property
    def horizon_px(self) -> float:
        """The horizon's y in the picture."""
        return self.height / 2 - self.focal_px * math.tan(self.pitch)


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A flat part of a vehicle: its corners `(4, 3)` in metres, TL TR BR BL of its texture, and the texture in halving sizes."""

    corners: Floats
    levels: tuple[Layer, ...]


def texture_levels(layer: Layer) -> tuple[Layer, ...]:
    """A layer and its halves, so that drawing it small does not alias."""
    levels = [np.ascontiguousarray(layer)]
    while len(levels) < _LEVELS and min(levels[-1].shape[:2]) >= 16:
        height, width = levels[-1].shape[:2]
        levels.append(np.asarray(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA), dtype=np.uint8))
    return tuple(levels)


def lay(layer: Layer, face: Face, pixels: Floats) -> None:
    """Draws a face with its corners at `(4, 2)` px over a layer, in place."""
    x0, y0 = np.maximum(np.floor(pixels.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 2, (layer.shape[1], layer.shape[0]))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    full = face.levels[0]
    shrink = math.sqrt(full.shape[0] * full.shape[1] / max(abs(signed_area(pixels)), 1.0))
    texture = face.levels[int(min(len(face.levels) - 1, max(0.0, math.log2(max(shrink, 1e-3)) + 0.25)))]
    height, width = texture.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
    homography = cv2.getPerspectiveTransform(source, (pixels - [x0, y0] - 0.5).astype(np.float32))
    tile = cv2.warpPerspective(texture, homography, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    part = layer[y0:y1, x0:x1]
    rest = cv2.bitwise_not(np.ascontiguousarray(tile[..., 3]))
    cv2.add(cv2.multiply(part, cv2.merge((rest, rest, rest, rest)), scale=1 / 255), tile, dst=part)


def put_over(region: Image, layer: Layer) -> None:
    """Lays a layer over a region of a frame, in place."""
    rest = cv2.bitwise_not(np.ascontiguousarray(layer[..., 3]))
    kept = cv2.multiply(region, cv2.merge((rest, rest, rest)), scale=1 / 255)
    region[:] = cv2.add(kept, cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB))


def smear(picture: NDArray[np.uint8], way: tuple[float, float]) -> NDArray[np.uint8]:
    """Motion blur: the mean of the picture along a straight way of that many px, about its middle."""
    length = math.hypot(*way)
    if length < 0.7:
        return picture
    # Each step averages two copies half as far apart as those of the step before: 2^n samples for the price of n.
    step = 0.5
    while length * step > 0.3:
        dx, dy = way[0] * step / 2, way[1] * step / 2
        first, second = (
            cv2.warpAffine(
                picture, np.array([[1, 0, s * dx], [0, 1, s * dy]], np.float64), (picture.shape[1], picture.shape[0]), borderMode=cv2.BORDER_REPLICATE
            )
            for s in (1, -1)
        )
        picture = np.asarray(cv2.addWeighted(first, 0.5, second, 0.5, 0), dtype=np.uint8)
        step /= 2
    return picture


def glow(frame: Image, centre: tuple[float, float], radius: float, colour: tuple[int, int, int], strength: float) -> None:
    """Adds the halo of a lamp to a frame, in place."""
    reach = int(radius * 3) + 2
    x0, y0 = max(0, int(centre[0]) - reach), max(0, int(centre[1]) - reach)
    x1, y1 = min(frame.shape[1], int(centre[0]) + reach), min(frame.shape[0], int(centre[1]) + reach)
    if x1 - x0 < 1 or y1 - y0 < 1:
        return
    ys, xs = np.ogrid[y0:y1, x0:x1]
    distance = ((xs - centre[0]) ** 2 + (ys - centre[1]) ** 2).astype(np.float32) / max(radius, 0.5) ** 2
    light = strength * (np.exp(-distance * 2.5) + 0.28 / (1 + distance * 2.0) ** 1.5 * np.clip(1.3 - np.sqrt(distance) / 2.4, 0, 1))
    region = frame[y0:y1, x0:x1]
    region[:] = np.minimum(region + light[..., None] * np.array(colour, np.float32), 255).astype(np.uint8)


class Sheet:
    """A texture that is drawn in metres: x from `left` to `right`, y from `bottom` to `top`."""

    def __init__(self, left: float, right: float, bottom: float, top: float, px_m: float) -> None:
        self.left, self.right, self.bottom, self.top, self.px_m = left, right, bottom, top, px_m
        self.size = max(8, round((right - left) * px_m)), max(8, round((top - bottom) * px_m))
        self.rgb: Image = np.zeros((self.size[1], self.size[0], 3), np.uint8)
        self.cover: NDArray[np.uint8] = np.zeros((self.size[1], self.size[0]), np.uint8)

    def pixels(self, points: Sequence[tuple[float, float]] | Floats) -> Floats:
        """Metres as px of the sheet."""
        return (np.asarray(points, np.float64) - [self.left, self.top]) * [self.px_m, -self.px_m]

    def fill(self, points: Sequence[tuple[float, float]], colour: Sequence[float] | Floats | float, body: bool = False) -> None:
        """A filled polygon; `body` makes the sheet cover what lies behind it there."""
        fixed = np.round(self.pixels(points) * 16).astype(np.int32)
        cv2.fillPoly(self.rgb, [fixed], as_colour(colour), cv2.LINE_AA, 4)
        if body:
            cv2.fillPoly(self.cover, [fixed], 255.0, cv2.LINE_AA, 4)

    def line(self, points: Sequence[tuple[float, float]], colour: Sequence[float] | Floats | float, width_m: float) -> None:
        """An open line of straight pieces."""
        fixed = np.round(self.pixels(points) * 16).astype(np.int32)
        cv2.polylines(self.rgb, [fixed], False, as_colour(colour), max(1, round(width_m * self.px_m)), cv2.LINE_AA, 4)

    def oval(self, x: float, y: float, width: float, height: float, colour: Sequence[float] | Floats | float, line_m: float = 0.0) -> None:
        """A filled ellipse, or its outline."""
        centre = self.pixels([(x, y)])[0]
        axes = max(1, round(width / 2 * self.px_m * 16)), max(1, round(height / 2 * self.px_m * 16))
        at = round(float(centre[0]) * 16), round(float(centre[1]) * 16)
        thickness = -1 if line_m <= 0 else max(1, round(line_m * self.px_m))
        cv2.ellipse(self.rgb, at, axes, 0, 0, 360, as_colour(colour), thickness, cv2.LINE_AA, 4)

    def shade(self, field: NDArray[np.floating]) -> None:
        """Multiplies by `(H, W)` or `(H, 1)` light."""
        whole = np.ascontiguousarray(np.broadcast_to(field, (self.size[1], self.size[0])), dtype=np.float32)
        self.rgb = np.clip(self.rgb * whole[..., None], 0, 255).astype(np.uint8)

    def dim(self, light: Floats) -> None:
        """Multiplies red, green and blue by the `(3,)` light that falls on the sheet."""
        table = np.clip(np.arange(256)[:, None] * light, 0, 255).astype(np.uint8)
        self.rgb = np.asarray(cv2.LUT(self.rgb, np.ascontiguousarray(table[:, None, :])), dtype=np.uint8)

    def layer(self) -> Layer:
        """The sheet as a layer."""
        cover = cv2.merge((self.cover, self.cover, self.cover))
        return np.dstack([cv2.multiply(self.rgb, cover, scale=1 / 255), self.cover])

    def face(self, z: float) -> Face:
        """The sheet as the face that stands upright at depth z."""
        corners = [(self.left, self.top, z), (self.right, self.top, z), (self.right, self.bottom, z), (self.left, self.bottom, z)]
        return Face(np.array(corners, np.float64), texture_levels(self.layer()))


def as_colour(colour: Sequence[float] | Floats | float) -> list[float]:
    """A colour, or a grey level, as three values in 0..255."""
    return [float(v) for v in np.clip(np.broadcast_to(np.asarray(colour, np.float64), 3), 0, 255)]


def signed_area(pixels: Floats) -> float:
    """The shoelace area of a quad, positive when its corners run clockwise on the screen."""
    x, y = pixels[:, 0], pixels[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def smooth_row(low: float, high: float, count: int, rng: random.Random, waves: int = 3) -> NDArray[np.float32]:
    """A smooth random row of `count` values between `low` and `high`."""
    points = np.array([[rng.uniform(low, high) for _ in range(waves + 2)]], np.float32)
    row: NDArray[np.float32] = np.asarray(cv2.resize(points, (count, 1), interpolation=cv2.INTER_CUBIC), dtype=np.float32)[0]
    return row


def gloss(sheet: Sheet, rng: random.Random, depth: float = 0.3) -> None:
    """Light on painted metal: brighter above, soft bands of what is mirrored in it, dirt below, and fine unevenness."""
    height, width = sheet.size[1], sheet.size[0]
    column = np.linspace(1 + depth * 0.6, 1 - depth, height, dtype=np.float32) * smooth_row(0.93, 1.07, height, rng, 4)
    row = smooth_row(0.9, 1.06, width, rng, 3)
    edge = 1 - 0.28 * np.abs(np.linspace(-1, 1, width, dtype=np.float32)) ** 4
    noise = np.random.default_rng(rng.getrandbits(32))
    mirrored = cv2.resize(noise.random((7, 4), dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC) - 0.5
    fine = cv2.resize(noise.random((height // 4 + 1, width // 4 + 1), dtype=np.float32), (width, height), interpolation=cv2.INTER_LINEAR) - 0.5
    sheet.shade((column[:, None] * (row * edge)[None, :] * (1 + mirrored * rng.uniform(0.05, 0.22) + fine * 0.06)).astype(np.float32))
    dirt = np.clip(np.linspace(-1.2, 1, height, dtype=np.float32), 0, 1)[:, None, None] * rng.random() ** 2 * 0.5
    sheet.rgb = (sheet.rgb * (1 - dirt) + np.array([110, 104, 94], np.float32) * dirt).astype(np.uint8)


def rounded(points: Sequence[tuple[float, float]], rounding: float) -> list[tuple[float, float]]:
    """The corners of a closed polygon cut by quadratic curves that begin `rounding` metres before each."""
    result: list[tuple[float, float]] = []
    corners = np.array(points, np.float64)
    for i, corner in enumerate(corners):
        ends = []
        for other in (corners[i - 1], corners[(i + 1) % len(corners)]):
            way = other - corner
            ends.append(corner + way * min(0.45, rounding / max(float(np.linalg.norm(way)), 1e-6)))
        for t in (0.0, 0.25, 0.5, 0.75, 1.0):
            x, y = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * corner + t**2 * ends[1]
            result.append((float(x), float(y)))
    return result


def mirrored(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points on the other side of x = 0."""
    return [(-x, y) for x, y in points]
