"""Chance or a photo in, the still part of a filmed scene out: ground, houses, trees, signs, or a photo whose plates are painted over."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.geometry import quad_size
from openplate.synthesize.faces import (
    Camera,
    Face,
    Floats,
    Layer,
    Sheet,
    as_colour,
    gloss,
    lay,
    put_over,
    rounded,
    signed_area,
    texture_levels,
)
from openplate.synthesize.glyphs import SystemFont, latin_fonts
from openplate.synthesize.lettering import words_mask
from openplate.synthesize.photos import Photo, paint_over
from openplate.types import Image, Quad

_GROUND_PX_M = (8.0, 32.0)
"""Pixels a metre of the ground's texture, from and to: as many as the camera shows at some distance, for the ground is large."""
_STRIPS = (0.3, 1.2, 3.0, 6.0, 12.0, 24.0, 48.0, 110.0)
"""Depths in metres between which the ground is one face: each takes the size of texture that suits it."""
_WORDS = (
    "AUTO", "SERVICE", "24", "MARKET", "CAFE", "BAR", "HOTEL", "PHARMACY", "BANK", "OPTICS", "FLOWERS", "BAKERY", "TYRES", "SALE", "50%", "RENT", "PIZZA", "PARKING",
    "MOBILE", "FITNESS", "SCHOOL", "DENTAL", "CAR WASH", "TAXI", "OPEN", "EXIT", "STOP", "A7", "E95", "M4", "ZONE 30", "FUEL 95", "N1", "BUS 12", "TEL",
)  # fmt: skip


def photo_backdrop(photo: Photo, camera: Camera, margin: int, rng: random.Random) -> Image:
    """A photo, its labelled plates painted over, cut and scaled to the camera's picture and a margin on each side."""
    image = paint_over(photo.image, photo.quads, rng)
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
    width, height = camera.width + 2 * margin, camera.height + 2 * margin
    image = cover(image, width, height, rng.uniform(1.0, 1.08))
    left, top = rng.randint(0, image.shape[1] - width), rng.randint(0, (image.shape[0] - height) // 2)
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def cover(image: Image, width: int, height: int, factor: float) -> Image:
    """An image scaled so that it is at least `factor` times as wide and high as that."""
    scale = max(width / image.shape[1], height / image.shape[0]) * factor
    size = math.ceil(image.shape[1] * scale), math.ceil(image.shape[0] * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA), dtype=np.uint8)


def is_open_road(photo: Photo) -> bool:
    """Whether a photo's labelled plates are so small that vehicles can be drawn before what it shows."""
    return all(quad_size(quad)[0] < 0.055 * photo.image.shape[1] for quad in photo.quads)


def light_of(photo: Photo) -> Floats:
    """The light in a photo as `(3,)` factors of red, green and blue against daylight, from its lower half."""
    lower = photo.image[photo.image.shape[0] // 2 :: 4, ::4].reshape(-1, 3)
    return np.asarray(np.clip(lower.mean(axis=0) / 100.0, 0.12, 1.15) * 0.8 + 0.1, dtype=np.float64)


def draw_street(camera: Camera, margin: int, lanes: Sequence[float], lane_m: float, rng: random.Random) -> tuple[Image, tuple[Quad, ...]]:
    """A street in daylight without vehicles, and its signs' quads: the camera's picture and a margin on each side.

    `lanes` are the middles of its lanes, x in metres.
    """
    wide = Camera(camera.width + 2 * margin, camera.height + 2 * margin, camera.focal_px, camera.height_m, camera.pitch, camera.yaw)
    left, right = min(lanes) - lane_m / 2 - rng.uniform(0.2, 0.8), max(lanes) + lane_m / 2 + rng.uniform(0.2, 0.8)
    image = _sky(wide, rng)
    haze = image[max(0, min(wide.height - 1, round(wide.horizon_px)) - 6)].mean(axis=0)
    _put(image, _ground(left, right, lanes, lane_m, camera.focal_px / 40, rng), wide, haze)
    signs: list[Face] = []
    for side, kerb in ((-1, left), (1, right)):
        pavement = rng.uniform(2.0, 6.0)
        _put(image, _house_row(kerb + side * pavement, side, rng), wide, haze)
        things = [*_trees(kerb, side, pavement, rng), *_poles(kerb, side, rng), *(boards := _boards(kerb, side, pavement, rng))]
        signs += boards
        _put(image, sorted(things, key=lambda face: -float(face.corners[:, 2].mean())), wide, haze)
    return image, tuple(np.asarray(wide.project(face.corners)[0], dtype=np.float32) for face in signs)


def _put(image: Image, faces: Sequence[Face], camera: Camera, haze: Floats) -> None:
    """Draws faces that stand still, the far ones paler."""
    for face in faces:
        pixels, depth = camera.project(face.corners)
        if depth.min() < 0.4 or signed_area(pixels) < 1:
            continue
        x0, y0 = np.maximum(np.floor(pixels.min(axis=0)).astype(int) - 1, 0)
        x1, y1 = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 2, (image.shape[1], image.shape[0]))
        if x1 - x0 < 2 or y1 - y0 < 2:
            continue
        layer = np.zeros((y1 - y0, x1 - x0, 4), np.uint8)
        lay(layer, face, pixels - [x0, y0])
        pale = min(0.6, float(depth.mean()) / 260)
        cover = layer[..., 3:].astype(np.float32) / 255
        layer[..., :3] = np.clip(layer[..., :3] * (1 - pale) + haze * pale * cover, 0, 255).astype(np.uint8)
        put_over(image[y0:y1, x0:x1], layer)


def _sky(camera: Camera, rng: random.Random) -> Image:
    top = np.array(rng.choice(((214, 217, 220), (176, 186, 198), (120, 160, 210), (196, 200, 208))), np.float32) * rng.uniform(0.85, 1.1)
    low = np.minimum(top * rng.uniform(1.02, 1.2) + 14, 250)
    column = np.linspace(0, 1, camera.height, dtype=np.float32)[:, None, None] ** 0.7
    clouds = np.random.default_rng(rng.getrandbits(32)).random((6, 9), dtype=np.float32)
    field = cv2.resize(clouds, (camera.width, camera.height), interpolation=cv2.INTER_CUBIC)[..., None] - 0.5
    picture = top * (1 - column) + low * column + field * rng.uniform(4, 34)
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)


def _ground(left: float, right: float, lanes: Sequence[float], lane_m: float, px_m: float, rng: random.Random) -> list[Face]:
    """Road with its paint, kerbs and pavements, as strips from far to near."""
    reach, near, far = 34.0, _STRIPS[0], _STRIPS[-1]
    sheet = Sheet(-reach, reach, near, far, min(_GROUND_PX_M[1], max(_GROUND_PX_M[0], px_m)))
    asphalt, stones = rng.uniform(72, 118), rng.uniform(110, 160)
    soil = rng.choice(((118.0, 114, 106), (84.0, 100, 66), (stones, stones * 0.98, stones * 0.94)))
    sheet.fill([(-reach, far), (reach, far), (reach, near), (-reach, near)], soil, body=True)
    for a, b in ((left - 3.2, left), (right, right + 3.2)):
        sheet.fill([(a, far), (b, far), (b, near), (a, near)], np.array([stones, stones * 0.98, stones * 0.95]))
        for y in np.arange(near, 40, 0.5):
            sheet.line([(a, float(y)), (b, float(y))], stones * 0.86, 0.02)
        for x in np.arange(a, b, 0.5):
            sheet.line([(float(x), near), (float(x), 40.0)], stones * 0.87, 0.02)
    sheet.fill([(left, far), (right, far), (right, near), (left, near)], np.array([asphalt, asphalt, asphalt * 1.02]))
    for _ in range(rng.randint(2, 9)):  # patches and cracks
        x, y = rng.uniform(left, right - 1), rng.uniform(near, 40)
        w, h = rng.uniform(0.5, 3), rng.uniform(0.8, 6)
        sheet.fill([(x, y), (min(x + w, right), y), (min(x + w, right), y + h), (x, y + h)], asphalt * rng.uniform(0.82, 1.08))
    for _ in range(rng.randint(4, 14)):
        x, y = rng.uniform(left, right), rng.uniform(near, 40)
        points = [(x, y)]
        for _ in range(6):
            x, y = min(right, max(left, x + rng.gauss(0, 0.5))), y + rng.uniform(0.2, 1.2)
            points.append((x, y))
        sheet.line(points, asphalt * 0.6, 0.03)
    wear = np.ones(sheet.size[0], np.float32)
    for lane in lanes:  # worn tracks and the oil between them
        for x, light in ((lane - 0.75, 1.035), (lane + 0.75, 1.035), (lane, 0.955)):
            a, b = (round(float(v)) for v in sheet.pixels([(x - 0.35, 0), (x + 0.35, 0)])[:, 0])
            wear[max(0, a) : max(0, b)] *= light
    sheet.shade(np.asarray(cv2.GaussianBlur(wear[None, :], (0, 0), 8.0), dtype=np.float32))
    paint = rng.uniform(180, 225)
    middle = rng.randrange(len(lanes) - 1) if len(lanes) > 1 else -1
    for i, lane in enumerate(sorted(lanes)[:-1]):
        x = lane + lane_m / 2
        if i == middle and rng.random() < 0.5:
            for shift in (-0.12, 0.12):
                sheet.line([(x + shift, near), (x + shift, far)], (paint, paint * 0.85, 60) if rng.random() < 0.3 else paint, 0.12)
        else:
            period, part = rng.choice(((6.0, 2.0), (9.0, 3.0), (12.0, 4.0)))
            for y in np.arange(near - rng.uniform(0, period), far, period):
                sheet.line([(x, float(y)), (x, float(y) + part)], paint, 0.13)
    for x in (left + 0.25, right - 0.25):
        if rng.random() < 0.7:
            sheet.line([(x, near), (x, far)], (paint, paint * 0.8, 50) if rng.random() < 0.25 else paint, 0.13)
    if rng.random() < 0.4:
        y = rng.uniform(10, 30)
        for x in np.arange(left + 0.3, right - 0.3, 1.0):
            sheet.fill([(float(x), y), (float(x) + 0.5, y), (float(x) + 0.5, y + 3), (float(x), y + 3)], paint)
    if rng.random() < 0.5:
        for lane in lanes:
            _arrow(sheet, lane, rng.uniform(7, 16), paint)
    for x in (left, right):
        sheet.line([(x, near), (x, far)], stones * 1.12, 0.16)
        sheet.line([(x + 0.1, near), (x + 0.1, far)], asphalt * 0.7, 0.06)
    rng_n = np.random.default_rng(rng.getrandbits(32))
    height, width = sheet.size[1], sheet.size[0]
    coarse = cv2.resize(rng_n.random((height // 60, width // 60), dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC) - 0.5
    grain = np.asarray(cv2.resize(rng_n.integers(0, 256, (1024, width), np.uint8), (width, 1024)), np.float32)
    grain = np.asarray(np.tile(grain, (-(-height // 1024), 1))[:height] / 255 - 0.5, np.float32)
    sheet.shade(1 + coarse * 0.14 + grain * rng.uniform(0.1, 0.3))
    rgba = sheet.layer()
    faces = []
    for begin, end in pairwise(_STRIPS):
        end = min(far, end + 0.2)  # a little over the next strip, so that no line is left between them
        top, bottom = (round(float(v)) for v in sheet.pixels([(0, end), (0, begin)])[:, 1])
        corners = np.array([[-reach, 0, end], [reach, 0, end], [reach, 0, begin], [-reach, 0, begin]], np.float64)
        faces.append(Face(corners, texture_levels(np.ascontiguousarray(rgba[top:bottom]))))
    return faces[::-1]


def _arrow(sheet: Sheet, x: float, y: float, paint: float) -> None:
    sheet.fill([(x - 0.08, y), (x + 0.08, y), (x + 0.08, y + 2.4), (x - 0.08, y + 2.4)], paint)
    sheet.fill([(x - 0.35, y + 2.3), (x + 0.35, y + 2.3), (x, y + 3.6)], paint)


def _house_row(x: float, side: int, rng: random.Random) -> list[Face]:
    """Fronts of houses along the street, and one across its end, from far to near."""
    faces = []
    z = 6.0
    while z < 95:
        length, height = rng.uniform(7, 18), rng.uniform(4, 16)
        front = texture_levels(_front(length, height, rng))
        near, far = z, z + length
        if side < 0:
            corners = [(x, height, near), (x, height, far), (x, 0, far), (x, 0, near)]
        else:
            corners = [(x, height, far), (x, height, near), (x, 0, near), (x, 0, far)]
        if rng.random() < 0.85:
            faces.append(Face(np.array(corners, np.float64), front))
            gable = Sheet(0, 8, 0, height, 24)
            wall = rng.uniform(90, 180)
            gable.fill([(0, 0), (8, 0), (8, height), (0, height)], [wall, wall * 0.97, wall * 0.92], body=True)
            for y in np.arange(3.5, height - 1.5, 3.0):
                if rng.random() < 0.7:
                    gable.fill([(2.0, float(y)), (3.2, float(y)), (3.2, float(y) + 1.4), (2.0, float(y) + 1.4)], wall * 0.45)
            gable.shade(np.linspace(1.05, 0.85, gable.size[1], dtype=np.float32)[:, None])
            low, high = sorted((x, x + side * 8))
            faces.append(
                Face(
                    np.array([[low, height, near], [high, height, near], [high, 0, near], [low, 0, near]], np.float64), texture_levels(gable.layer())
                )
            )
        z = far + (rng.uniform(1, 8) if rng.random() < 0.3 else 0.0)
    if side < 0:
        across = _front(60, 14, rng)
        faces.append(Face(np.array([[-30, 14, 100], [30, 14, 100], [30, 0, 100], [-30, 0, 100]], np.float64), texture_levels(across)))
    return sorted(faces, key=lambda face: -float(face.corners[:, 2].max()))


def _front(length: float, height: float, rng: random.Random) -> Layer:
    sheet = Sheet(0, length, 0, height, 30)
    tone = np.array(
        rng.choice(((168.0, 158, 140), (150.0, 120, 100), (190.0, 186, 176), (120.0, 124, 130), (176.0, 150, 110), (140.0, 84, 66)))
    ) * rng.uniform(0.75, 1.15)
    sheet.fill([(0, 0), (length, 0), (length, height), (0, height)], tone, body=True)
    floor, step = rng.uniform(2.8, 3.4), rng.uniform(1.6, 2.8)
    glass = np.array([60.0, 70, 80]) * rng.uniform(0.6, 1.4)
    for y in np.arange(floor + 0.9, height - 0.8, floor):
        for x in np.arange(0.6, length - 1.2, step):
            light = rng.uniform(0.6, 1.7)
            wide = step * 0.5
            sheet.fill(
                [
                    (float(x) - 0.06, float(y) - 0.06),
                    (float(x) + wide + 0.06, float(y) - 0.06),
                    (float(x) + wide + 0.06, float(y) + 1.46),
                    (float(x) - 0.06, float(y) + 1.46),
                ],
                tone * 1.25,
            )
            sheet.fill(
                [(float(x), float(y)), (float(x) + wide, float(y)), (float(x) + wide, float(y) + 1.4), (float(x), float(y) + 1.4)], glass * light
            )
    x = 0.3
    while x < length - 2.5:  # shops
        wide = rng.uniform(2, 4.5)
        end = min(x + wide, length - 0.2)
        sheet.fill([(x, 0.4), (end, 0.4), (end, 2.3), (x, 2.3)], glass * rng.uniform(0.5, 1.8))
        if rng.random() < 0.6:
            board = [rng.uniform(20, 240) for _ in range(3)]
            sheet.fill([(x, 2.4), (end, 2.4), (end, 3.0), (x, 3.0)], board)
            _letters(sheet, _sign_words(rng), (x + 0.1, 2.45, end - 0.1, 2.95), 245.0 if sum(board) < 380 else 20.0, rng)
        x += wide + rng.uniform(0.2, 0.8)
    gloss(sheet, rng, 0.12)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(1, 0.04, (sheet.size[1], sheet.size[0])).astype(np.float32)
    sheet.shade(noise)
    return sheet.layer()


def _sign_words(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.25:
        return "".join(rng.choice("0123456789") for _ in range(rng.randint(5, 8)))
    if kind < 0.4:
        return rng.choice(_WORDS) + " " + "".join(rng.choice("0123456789-") for _ in range(rng.randint(4, 7)))
    return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, 2)))


def _letters(sheet: Sheet, words: str, box: tuple[float, float, float, float], level: float, rng: random.Random) -> None:
    """Words in a box x0, y0, x1, y1 in metres, as large as they fit."""
    fonts: tuple[SystemFont | None, ...] = latin_fonts() or (None,)
    (x0, y1), (x1, y0) = np.round(sheet.pixels([(box[0], box[1]), (box[2], box[3])])).astype(int)
    if x1 - x0 < 4 or y1 - y0 < 4:
        return
    mask = words_mask(words, 48, rng.choice(fonts))
    factor = min((x1 - x0) / mask.shape[1], (y1 - y0) / mask.shape[0])
    size = max(2, int(mask.shape[1] * factor)), max(2, int(mask.shape[0] * factor))
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
    left, top = int(x0) + (int(x1 - x0) - size[0]) // 2, int(y0) + (int(y1 - y0) - size[1]) // 2
    region = sheet.rgb[top : top + size[1], left : left + size[0]]
    small = small[: region.shape[0], : region.shape[1]]
    region[:] = (region + (np.array(as_colour(level), np.float32) - region) * small).astype(np.uint8)


def _boards(kerb: float, side: int, pavement: float, rng: random.Random) -> list[Face]:
    """Signs and posters beside the road: words and numbers, some on boards that have a plate's shape."""
    faces = []
    for _ in range(rng.randint(0, 2)):
        long = rng.random() < 0.35
        width, height = (rng.uniform(0.5, 1.6), 0.0) if long else (rng.uniform(0.5, 2.2), 0.0)
        height = width * (rng.uniform(0.2, 0.35) if long else rng.uniform(0.5, 1.4))
        sheet = Sheet(0, width, 0, height, 150)
        colour = np.array(rng.choice(((240.0, 240, 236), (30.0, 60, 150), (240.0, 200, 40), (20.0, 110, 60), (200.0, 30, 30))))
        sheet.fill(rounded([(0, height), (width, height), (width, 0), (0, 0)], 0.04), colour, body=True)
        ink = 20.0 if colour.sum() > 380 else 240.0
        rows = 1 if long else rng.randint(1, 3)
        for k in range(rows):
            _letters(
                sheet,
                _sign_words(rng),
                (width * 0.08, height * (0.1 + 0.8 * k / rows), width * 0.92, height * (0.06 + 0.8 * (k + 1) / rows)),
                ink,
                rng,
            )
        gloss(sheet, rng, 0.1)
        x, y, z = kerb + side * rng.uniform(0.4, pavement), rng.uniform(0.5, 2.6), rng.uniform(9, 40)
        turn = rng.uniform(-0.4, 0.4)
        dx, dz = width / 2 * math.cos(turn), width / 2 * math.sin(turn)
        corners = [(x - dx, y + height, z - dz), (x + dx, y + height, z + dz), (x + dx, y, z + dz), (x - dx, y, z - dz)]
        faces.append(Face(np.array(corners, np.float64), texture_levels(sheet.layer())))
    return faces


def _trees(kerb: float, side: int, pavement: float, rng: random.Random) -> list[Face]:
    faces = []
    if rng.random() < 0.25:
        return []
    texture = texture_levels(_tree(rng))
    z = rng.uniform(7, 14)
    while z < 80:
        x, tall = kerb + side * rng.uniform(0.6, max(0.8, pavement - 0.6)), rng.uniform(3, 8)
        half = tall * 0.4
        faces.append(Face(np.array([[x - half, tall, z], [x + half, tall, z], [x + half, 0, z], [x - half, 0, z]], np.float64), texture))
        z += rng.uniform(5, 16)
    return faces


def _tree(rng: random.Random) -> Layer:
    """A trunk, and a crown of blobs whose edges and shades are noise as fine as leaves."""
    sheet = Sheet(-1, 1, 0, 2.5, 150)
    trunk = np.array([70.0, 60, 50]) * rng.uniform(0.6, 1.2)
    sheet.fill([(-0.06, 1.5), (0.05, 1.5), (0.09, 0), (-0.09, 0)], trunk, body=True)
    width, height = sheet.size
    noise = np.random.default_rng(rng.getrandbits(32))
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    crown, lit = np.full((height, width), -9.0, np.float32), np.zeros((height, width), np.float32)
    for _ in range(14):
        (x, y), radius = sheet.pixels([(rng.gauss(0, 0.38), rng.gauss(1.65, 0.32))])[0], rng.uniform(0.15, 0.38) * sheet.px_m
        depth = 1 - ((xs - np.float32(x)) ** 2 + (ys - np.float32(y)) ** 2) / np.float32(radius * radius)
        nearer = depth > crown
        crown = np.maximum(crown, depth)
        lit[nearer] = (1 - (ys[nearer] - y) / radius) / 2

    def leaves(size_px: int) -> NDArray[np.float32]:
        small = noise.random((height // size_px + 1, width // size_px + 1), dtype=np.float32)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32) - 0.5

    cover = np.clip((crown + leaves(4) * 1.1 + leaves(9) * 0.8 - 0.1) * 9, 0, 1)
    green = np.array(rng.choice(((60.0, 84, 40), (84.0, 92, 50), (50.0, 70, 46), (110.0, 96, 54))), np.float32)
    shade = np.clip(0.35 + 0.75 * lit + leaves(3) * 0.75 + leaves(8) * 0.35, 0.12, 1.7)
    sheet.rgb = np.clip(sheet.rgb * (1 - cover[..., None]) + shade[..., None] * green * cover[..., None], 0, 255).astype(np.uint8)
    sheet.cover = np.maximum(sheet.cover, (cover * 255).astype(np.uint8))
    return sheet.layer()


def _poles(kerb: float, side: int, rng: random.Random) -> list[Face]:
    faces = []
    for _ in range(rng.randint(0, 3)):
        tall, wide = rng.uniform(2.5, 8), rng.uniform(0.08, 0.2)
        sheet = Sheet(0, wide, 0, tall, 60)
        sheet.fill([(0, tall), (wide, tall), (wide, 0), (0, 0)], [rng.uniform(50, 170)] * 3, body=True)
        if rng.random() < 0.3:
            for y in np.arange(0, tall, 0.6):
                sheet.fill(
                    [(0, float(y)), (wide, float(y)), (wide, float(y) + 0.3), (0, float(y) + 0.3)], rng.choice(((190.0, 40, 40), (230.0, 190, 40)))
                )
        x, z = kerb + side * rng.uniform(0.2, 1.0), rng.uniform(8, 40)
        faces.append(Face(np.array([[x, tall, z], [x + wide, tall, z], [x + wide, 0, z], [x, 0, z]], np.float64), texture_levels(sheet.layer())))
    return faces
