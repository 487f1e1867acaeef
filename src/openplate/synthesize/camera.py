"""Pictures of plates in, what a camera would have made of them out: pose, resolution, light, blur, noise, compression."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.types import Quad

Picture = NDArray[np.uint8]
"""`(H, W) uint8` grey or `(H, W, 3) uint8 RGB`."""
_LEVELS = np.linspace(0, 1, 256)


def to_grey(image: NDArray[np.uint8], rng: random.Random) -> NDArray[np.uint8]:
    """RGB as one channel with random weights: colour casts, infra-red and sodium light all change only these."""
    if rng.random() < 0.5:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    weights = np.array([rng.uniform(0.05, 1.0) for _ in range(3)], np.float32)
    return np.asarray(cv2.transform(image, (weights / weights.sum())[None]), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Lean:
    """How far plates lean, in degrees, each angle as often: turned away from the camera, to any side, by up to `tilt`; in the picture by up to `rotation`."""

    tilt: float
    rotation: float


def pose(width: float, height: float, rng: random.Random, difficulty: float, lean: Lean | None = None) -> Quad:
    """A plate of the given size in px as a camera sees it from a random side: a quad about the origin (pinhole model).

    Angles grow with `difficulty` 0-1: yaw to ±58°, pitch to ±38°, roll to ±20°, mostly far smaller; with `lean` they are what it says.
    """

    def angle(limit: float) -> float:
        spread = 0.25 if rng.random() < 0.7 else 0.75
        return math.radians(max(-limit, min(limit, rng.gauss(0, limit * spread)))) * difficulty

    if lean is None:
        yaw, pitch, roll = angle(58), angle(38), angle(20)
    else:
        away, side = math.radians(rng.uniform(0, lean.tilt)), rng.uniform(0, 2 * math.pi)
        yaw, pitch, roll = away * math.cos(side), away * math.sin(side), math.radians(rng.uniform(-lean.rotation, lean.rotation))
    cy, sy, cx, sx, cz, sz = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch), math.cos(roll), math.sin(roll)
    distance = width * rng.uniform(2.5, 12)
    corners = []
    for x, y in ((-width / 2, -height / 2), (width / 2, -height / 2), (width / 2, height / 2), (-width / 2, height / 2)):
        turned_x, turned_y, depth = x * cy, x * sx * sy + y * cx, y * sx - x * cx * sy  # by yaw, then by pitch
        nearer = distance / (distance + depth)
        corners.append(((turned_x * cz - turned_y * sz) * nearer, (turned_x * sz + turned_y * cz) * nearer))
    return np.array(corners, dtype=np.float32)


def photograph(image: Picture, quad: Quad, target: Quad, size: tuple[int, int]) -> Picture:
    """The picture with `quad` moved to `target` in a new picture of `size` (width, height); averaged down so that nothing aliases."""
    area, wanted = abs(cv2.contourArea(quad)), abs(cv2.contourArea(target))
    shrink = math.sqrt(area / max(wanted, 1.0))
    if shrink > 1.3:
        image, quad = _soften(image, quad, shrink)
    homography = cv2.getPerspectiveTransform((quad - 0.5).astype(np.float32), (target - 0.5).astype(np.float32))
    warped = cv2.warpPerspective(image, homography, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.uint8)


def _soften(image: Picture, quad: Quad, shrink: float) -> tuple[Picture, Quad]:
    """The picture, and `quad` in it, made ready to be sampled at every `shrink`-th pixel: averaged over as much as such a pixel covers.

    Whole halvings and a small Gaussian blur do what an average over fractions of pixels does, in a quarter of its time.
    """
    halved = False
    while shrink >= 2 and min(image.shape[:2]) >= 4:
        height, width = image.shape[0] // 2, image.shape[1] // 2
        image = np.asarray(cv2.resize(image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        quad = np.asarray(quad / 2, dtype=np.float32)
        shrink, halved = shrink / 2, True
    # Averaging over `shrink` pixels and sampling between two of them spreads a point by shrink² / 4 (variance, px²); a halving did 1/12, sampling does 1/6.
    spread = shrink**2 / 4 - 1 / 6 - (1 / 12 if halved else 0.0)
    if spread > 0.5:
        image = np.asarray(cv2.GaussianBlur(image, (5, 5), math.sqrt(spread)), dtype=np.uint8)
    elif spread > 0.03:  # of three weights e, 1, e the spread is 2 e / (1 + 2 e), which is less than the Gaussian's own
        sigma = math.sqrt(-0.5 / math.log(spread / (2 - 2 * spread)))
        image = np.asarray(cv2.GaussianBlur(image, (3, 3), sigma), dtype=np.uint8)
    return image, quad


def expose(picture: Picture, rng: random.Random, difficulty: float) -> Picture:
    """Light: brightness, contrast, gamma, night, glare and shadow edges."""
    height, width = picture.shape[:2]
    if rng.random() < 0.25 * difficulty:
        if rng.random() < 0.6:
            normal = rng.uniform(0, 2 * math.pi)
            xs = (np.arange(width, dtype=np.float32) - width * rng.random()) * math.cos(normal)
            ys = (np.arange(height, dtype=np.float32) - height * rng.random()) * math.sin(normal)
            dark, soft_px = rng.uniform(0.2, 0.65), rng.uniform(1, 12)
            light = 1 - dark * np.clip((xs / soft_px + 0.5) + (ys / soft_px)[:, None], 0, 1)
            picture = np.clip(picture * (light if picture.ndim == 2 else cv2.merge((light, light, light))), 0, 255).astype(np.uint8)
        else:
            spot = np.zeros((height, width), np.float32)
            centre = rng.randrange(width), rng.randrange(height)
            cv2.ellipse(spot, centre, (max(2, int(width * rng.uniform(0.03, 0.3))), max(2, int(height * rng.uniform(0.05, 0.4)))), 0, 0, 360, 1.0, -1)
            spot = _blur_widely(spot, max(1.0, height * rng.uniform(0.05, 0.3))) * np.float32(rng.uniform(40, 160))
            picture = np.clip(picture + (spot if picture.ndim == 2 else cv2.merge((spot, spot, spot))), 0, 255).astype(np.uint8)
    gamma = math.exp(rng.gauss(0, 0.35) * difficulty)
    contrast = rng.uniform(1 - 0.73 * difficulty, 1.0) if rng.random() < 0.6 else rng.uniform(1.0, 1 + 0.6 * difficulty)
    brightness = rng.uniform(-0.5, 0.5) * difficulty * (1 - contrast if contrast < 1 else 0.35)
    levels = _LEVELS**gamma
    levels = (levels - 0.5) * contrast + 0.5 + brightness
    if rng.random() < 0.14 * difficulty:
        levels = levels * math.exp(rng.uniform(math.log(0.1), math.log(0.55))) + rng.uniform(0.0, 0.06)
    table = np.clip(levels * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, table), dtype=np.uint8)


def _blur_widely(light: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """A Gaussian blur, of a quarter of the size where the blur is so wide that nobody sees it."""
    height, width = light.shape
    if sigma < 4 or min(height, width) < 16:
        return np.asarray(cv2.GaussianBlur(light, (0, 0), sigma), dtype=np.float32)
    small = cv2.resize(light, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 4), (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def defocus(picture: Picture, plate_height: float, rng: random.Random, difficulty: float) -> Picture:
    """Blur of focus and of motion, in proportion to the plate's height in px."""
    kind = rng.random()
    if kind < 0.6 * difficulty + 0.1:
        sigma = abs(rng.gauss(0, 0.03)) * plate_height * difficulty
        if sigma > 0.25:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), min(sigma, 6)), dtype=np.uint8)
    if rng.random() < 0.25 * difficulty:
        length = int(min(25, plate_height * rng.uniform(0.05, 0.22)))
        if length >= 2:
            kernel = np.zeros((length, length), np.float32)
            angle = rng.gauss(0, 0.5) if rng.random() < 0.7 else rng.uniform(0, math.pi)
            half = (length - 1) / 2
            dx, dy = half * math.cos(angle), half * math.sin(angle)
            cv2.line(kernel, (round(half - dx), round(half - dy)), (round(half + dx), round(half + dy)), 1.0, 1)
            picture = np.asarray(cv2.filter2D(picture, -1, kernel / max(kernel.sum(), 1e-6)), dtype=np.uint8)
    return picture


def record(picture: Picture, rng: random.Random, difficulty: float) -> Picture:
    """Sensor and codec: noise, sharpening, JPEG, or what video recorders leave of fine strokes (WebP keeps a picture as a key frame of VP8: predicted
    blocks, few steps of their frequencies, edges of blocks smoothed)."""
    if rng.random() < 0.55 * difficulty + 0.1:
        spread = float(picture[::2, ::2].std())
        sigma = min(rng.uniform(1, 14), 0.4 * spread + 0.5) * (0.4 + 0.6 * difficulty)
        picture = add_noise(picture, sigma, rng.random() < 0.4, rng)
    if rng.random() < 0.4 * difficulty:
        soft = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.7, 1.8))
        amount = rng.uniform(0.3, 2.3)
        picture = np.asarray(cv2.addWeighted(picture, 1 + amount, soft, -amount, 0), dtype=np.uint8)
    if rng.random() < 0.6 * difficulty + 0.1:
        if rng.random() < 0.3:
            _, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, round(math.exp(rng.uniform(0, math.log(45))))])
        else:
            quality = round(rng.uniform(18, 92) if rng.random() < 0.6 else rng.uniform(60, 95))
            _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE if picture.ndim == 2 else cv2.IMREAD_COLOR)
        picture = np.asarray(decoded, dtype=np.uint8)
    return picture


_NOISE_SIDE, _NOISE_SIGMA = 640, 36.0


@lru_cache(maxsize=2)
def _noise_bank(coarse: bool) -> NDArray[np.uint8]:
    """Fixed noise about 128 with a standard deviation of 36, `(640, 640, 3)`; a random part of it serves as a picture's noise. `coarse` has larger grains."""
    noise = np.random.default_rng(20).normal(0, 1, (_NOISE_SIDE, _NOISE_SIDE, 3)).astype(np.float32)
    if coarse:
        noise = np.asarray(cv2.blur(noise, (2, 2)), dtype=np.float32) * 2
    return np.clip(np.round(128 + _NOISE_SIGMA * noise), 0, 255).astype(np.uint8)


def add_noise(picture: Picture, sigma: float, coarse: bool, rng: random.Random) -> Picture:
    """A picture with noise of `sigma` grey levels, of grains of one pixel or, `coarse`, of two."""
    height, width = picture.shape[:2]
    bank = _noise_bank(coarse)
    if height > _NOISE_SIDE or width > _NOISE_SIDE:
        bank = np.tile(bank, (-(-height // _NOISE_SIDE), -(-width // _NOISE_SIDE), 1))
    y, x = rng.randint(0, bank.shape[0] - height), rng.randint(0, bank.shape[1] - width)
    part = bank[y : y + height, x : x + width]
    part = np.ascontiguousarray(part[..., 0] if picture.ndim == 2 else part)
    amount = sigma / _NOISE_SIGMA
    return np.asarray(cv2.addWeighted(picture, 1.0, part, amount, -128 * amount), dtype=np.uint8)
