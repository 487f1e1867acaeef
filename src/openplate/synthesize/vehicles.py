"""Chance in, vehicles with a plate out, and drawn into a frame: a handful of textured faces, each with one homography a frame.

Convention: a vehicle's own space is in metres, x to the right and y up as someone sees it who looks at its plate, z away from him;
the plate's face is z = 0, the ground y = 0. The world's space is the same with the camera at (0, height, 0), looking along z.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.geometry import grow_quad, quad_size
from openplate.synthesize.camera import photograph
from openplate.synthesize.faces import (
    Box,
    Camera,
    Face,
    Floats,
    Sheet,
    as_colour,
    gloss,
    lay,
    mirrored,
    put_over,
    rounded,
    signed_area,
    smear,
    smooth_row,
    texture_levels,
)
from openplate.synthesize.plates import DrawnPlate
from openplate.types import Image, Quad

Kind = Literal["car", "van", "lorry"]
End = Literal["front", "rear"]

_FACE_PX_M, _BODY_PX_M = 440, 160
_PAINTS = (
    (222, 222, 220), (222, 222, 220), (184, 186, 188), (184, 186, 188), (118, 122, 126), (118, 122, 126), (60, 62, 66), (60, 62, 66),
    (24, 25, 28), (24, 25, 28), (24, 25, 28), (198, 202, 206), (106, 26, 28), (36, 50, 84), (70, 52, 42), (72, 86, 98), (150, 140, 120), (40, 62, 52),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Lamp:
    """A lamp that shines at night: its place in metres, the radius of its glow in metres, and its colour."""

    place: tuple[float, float, float]
    radius_m: float
    colour: tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Vehicle:
    """A vehicle's faces, lamps, and the corners of its plate `(4, 3)` in metres, TL TR BR BL as its text is read."""

    kind: Kind
    end: End
    faces: tuple[Face, ...]
    lamps: tuple[Lamp, ...]
    plate: Floats
    width_m: float
    length_m: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a vehicle stands: its plate's end at (x, z) metres, turned by `yaw` radians (0: it faces the camera's plane)."""

    x: float
    z: float
    yaw: float = 0.0

    def move(self, points: Floats) -> Floats:
        """Points of the vehicle's space in the world's."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        x, z = points[:, 0], points[:, 2]
        return np.stack([self.x + x * cos + z * sin, points[:, 1], self.z - x * sin + z * cos], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What a vehicle left in the frame: the box it lies in, and its coverage there, `(H, W) uint8`."""

    box: Box
    coverage: NDArray[np.uint8]


def build_vehicle(kind: Kind, end: End, drawn: DrawnPlate, rng: random.Random, light: Floats, plate_light: Floats) -> Vehicle:
    """A vehicle that carries a drawn plate.

    Args:
        kind: what it is.
        end: which end is seen.
        drawn: the plate; its width in metres is its type's.
        rng: source of every choice.
        light: what falls on the body, `(3,)` factors of red, green and blue; 1 is daylight.
        plate_light: what falls on the plate, which throws lamps' light back.
    """
    tone = np.array(rng.choice(_PAINTS), np.float64) * rng.uniform(0.85, 1.1) + rng.uniform(-6, 6)
    if kind == "lorry":
        shape = _Shape(rng.uniform(2.1, 2.5), rng.uniform(2.2, 2.9), 0.0, 2.4, 0.01, 2.6, rng.uniform(5, 9), 0.0)
    elif kind == "van":
        shape = _Shape(
            rng.uniform(1.65, 1.9),
            rng.uniform(0.95, 1.1),
            0.12 if end == "rear" else rng.uniform(0.35, 0.7),
            1.12,
            rng.uniform(0.3, 0.5),
            rng.uniform(1.75, 2.0),
            4.5,
            0.06,
        )
    else:
        bonnet = rng.uniform(0.85, 1.15) if end == "front" else rng.choice((0.08, 0.45, 0.6))
        belt = rng.uniform(0.92, 1.0)
        shape = _Shape(
            rng.uniform(1.68, 1.86),
            rng.uniform(0.76, 0.86) if end == "front" else belt - 0.03,
            bonnet,
            belt,
            rng.uniform(0.55, 0.8) if end == "front" else rng.uniform(0.3, 0.7),
            rng.uniform(1.4, 1.52),
            rng.uniform(4.0, 4.7),
            rng.uniform(0.12, 0.2),
        )
    size = quad_size(drawn.quad)
    plate_w = drawn.type.size_mm[0] / 1000
    plate_h = plate_w * size[1] / size[0]
    low = rng.uniform(0.34, 0.44) if kind != "lorry" else rng.uniform(0.45, 0.6)
    high = shape.front_top - 0.26 if kind != "lorry" else low
    centre_y = max(low, plate_h / 2 + 0.22) if end == "front" or rng.random() < 0.3 else max(high, plate_h / 2 + 0.22)
    centre_x = rng.gauss(0, 0.02) if rng.random() < 0.9 else rng.uniform(-0.3, 0.3)
    tilt = rng.gauss(0, 0.012)
    half = np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]]) * [plate_w / 2, plate_h / 2]
    turned = half @ np.array([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
    plate = np.concatenate([turned + [centre_x, centre_y], np.zeros((4, 1))], axis=1)
    lamps: list[Lamp] = []
    fascia = _draw_lorry_end(shape, end, tone, rng, lamps) if kind == "lorry" else _draw_end(shape, end, tone, (centre_y, plate_h), rng, lamps)
    fascia.dim(light)
    _mount(fascia, drawn, plate, rng, plate_light)
    faces = [_shadow(shape, light), *_body(shape, kind, end, tone, light, rng), fascia.face(0.0), *_mirrors(shape, kind, end, tone, light)]
    return Vehicle(kind, end, tuple(faces), tuple(lamps), plate, shape.width, shape.length)


def draw_faces(
    frame: Image, faces: Sequence[Face], place: Place, camera: Camera, shift: Floats, blur: tuple[float, float] = (0.0, 0.0)
) -> Drawn | None:
    """Draws a vehicle's faces (or those of another thing) into a frame, in place; None where nothing of it lies in the frame.

    Args:
        frame: where to draw.
        faces: what to draw, from back to front; faces that look away are left out.
        place: where it stands.
        camera: which picture of the world.
        shift: `(2, 3)` affine map in px that is put after the camera (shake).
        blur: way in px that it moves while the shutter is open.
    """
    seen: list[tuple[Floats, Face]] = []
    for face in faces:
        pixels, depth = camera.project(place.move(face.corners))
        pixels = pixels @ shift[:, :2].T + shift[:, 2]
        if depth.min() >= 0.5 and signed_area(pixels) > 1.0:
            seen.append((pixels, face))
    box = _clip(np.concatenate([pixels for pixels, _ in seen]), blur, frame) if seen else None
    if box is None:
        return None
    layer = np.zeros((box[3] - box[1], box[2] - box[0], 4), np.uint8)
    for pixels, face in seen:
        lay(layer, face, pixels - box[:2])
    layer = smear(layer, blur)
    put_over(frame[box[1] : box[3], box[0] : box[2]], layer)
    return Drawn(box, np.ascontiguousarray(layer[..., 3]))


def project_quad(points: Floats, place: Place, camera: Camera, shift: Floats) -> Quad:
    """Corners of a vehicle's space `(4, 3)` as a quad in the frame."""
    pixels, _ = camera.project(place.move(points))
    return np.asarray(pixels @ shift[:, :2].T + shift[:, 2], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Measures of a body in metres: width, height of the end's upper edge, length of the bonnet or boot, height and length to the roof, roof height,
    whole length, and how far the roof's sides lean in."""

    width: float
    front_top: float
    bonnet: float
    belt: float
    screen: float
    roof: float
    length: float
    lean: float


def _clip(points: Floats, blur: tuple[float, float], frame: Image) -> Box | None:
    x_pad, y_pad = abs(blur[0]) / 2 + 2, abs(blur[1]) / 2 + 2
    x0, y0 = max(0, math.floor(points[:, 0].min() - x_pad)), max(0, math.floor(points[:, 1].min() - y_pad))
    x1, y1 = min(frame.shape[1], math.ceil(points[:, 0].max() + x_pad)), min(frame.shape[0], math.ceil(points[:, 1].max() + y_pad))
    return (x0, y0, x1, y1) if x1 - x0 > 2 and y1 - y0 > 2 else None


def _draw_end(shape: _Shape, end: End, tone: Floats, plate: tuple[float, float], rng: random.Random, lamps: list[Lamp]) -> Sheet:
    """The front or rear of a car or van up to the bonnet's or boot's edge."""
    half, top = shape.width / 2, shape.front_top
    sheet = Sheet(-half, half, 0.16, top, _FACE_PX_M)
    outline = [
        (-half * 0.92, top),
        (half * 0.92, top),
        (half, top * 0.72),
        (half * 0.99, 0.36),
        (half * 0.9, 0.18),
        (-half * 0.9, 0.18),
        (-half * 0.99, 0.36),
        (-half, top * 0.72),
    ]
    sheet.fill(rounded(outline, 0.1), tone, body=True)
    gloss(sheet, rng)
    dark = rng.uniform(12, 34)
    sheet.fill([(-half * 0.88, 0.18), (half * 0.88, 0.18), (half * 0.84, 0.27), (-half * 0.84, 0.27)], dark)
    sheet.line([(-half * 0.97, top * 0.6), (-half * 0.5, top * 0.57), (half * 0.5, top * 0.57), (half * 0.97, top * 0.6)], tone * 0.55, 0.008)
    sheet.line([(-half * 0.97, top * 0.59), (-half * 0.5, top * 0.56), (half * 0.5, top * 0.56), (half * 0.97, top * 0.59)], tone * 1.25 + 12, 0.006)
    if end == "front":
        _draw_front(sheet, half, top, tone, rng, lamps)
    else:
        _draw_rear(sheet, half, top, tone, plate, rng, lamps)
    return sheet


def _draw_front(sheet: Sheet, half: float, top: float, tone: Floats, rng: random.Random, lamps: list[Lamp]) -> None:
    lamp_y, lamp_h = top * rng.uniform(0.76, 0.82), top * rng.uniform(0.13, 0.2)
    inner, outer = half * rng.uniform(0.5, 0.62), half * 0.95
    grille_low, grille_high = top * rng.uniform(0.62, 0.68), top * rng.uniform(0.84, 0.9)
    black = rng.uniform(8, 30)
    grille = rounded([(-inner * 0.97, grille_high), (inner * 0.97, grille_high), (inner * 0.8, grille_low), (-inner * 0.8, grille_low)], 0.04)
    sheet.fill(grille, black)
    chrome = rng.uniform(120, 210)
    pattern = rng.random()
    if pattern < 0.5:
        for k in range(rng.randint(2, 5)):
            y = grille_low + (grille_high - grille_low) * (k + 0.5) / 5
            reach = inner * (0.8 + 0.17 * (y - grille_low) / (grille_high - grille_low))
            sheet.line([(-reach, y), (reach, y)], chrome * rng.uniform(0.6, 1), rng.uniform(0.008, 0.022))
    elif pattern < 0.75:
        for k in range(-9, 10):
            x = k * inner * 0.085
            sheet.line([(x, grille_low + 0.01), (x, grille_high - 0.01)], chrome * 0.6, 0.012)
    else:
        for k in range(-12, 13):
            sheet.line([(k * inner * 0.08 - 0.05, grille_low), (k * inner * 0.08 + 0.05, grille_high)], black + 28, 0.006)
            sheet.line([(k * inner * 0.08 + 0.05, grille_low), (k * inner * 0.08 - 0.05, grille_high)], black + 28, 0.006)
    if rng.random() < 0.6:
        sheet.line([*grille, grille[0]], chrome, 0.014)
    _draw_badge(sheet, 0.0, (grille_low + grille_high) / 2 + 0.02, chrome, rng)
    intake = rounded([(-half * 0.55, 0.33), (half * 0.55, 0.33), (half * 0.48, 0.21), (-half * 0.48, 0.21)], 0.03)
    sheet.fill(intake, black)
    for side in (-1, 1):
        lamp = [
            (inner, lamp_y - lamp_h * 0.45),
            (outer * 0.86, lamp_y - lamp_h * 0.6),
            (outer, lamp_y + lamp_h * 0.2),
            (outer * 0.96, lamp_y + lamp_h * 0.7),
            (inner * 1.02, lamp_y + lamp_h * 0.2),
        ]
        points = rounded(lamp if side > 0 else mirrored(lamp), 0.03)
        sheet.fill(points, rng.uniform(95, 130))
        x = side * (inner + outer) / 2
        sheet.oval(x, lamp_y, lamp_h * 1.0, lamp_h * 0.85, 60)
        sheet.oval(x, lamp_y, lamp_h * 0.82, lamp_h * 0.7, rng.uniform(200, 250))
        sheet.oval(x + side * lamp_h * 0.9, lamp_y + lamp_h * 0.05, lamp_h * 0.5, lamp_h * 0.5, (220, 170, 110) if rng.random() < 0.4 else 190)
        sheet.line([*points, points[0]], 25, 0.006)
        sheet.oval(side * half * 0.74, 0.28, 0.14, 0.09, black)
        sheet.oval(side * half * 0.74, 0.28, 0.09, 0.07, 170)
        lamps.append(Lamp((float(x), float(lamp_y), -0.02), 0.16, (255, 248, 226)))


def _draw_rear(sheet: Sheet, half: float, top: float, tone: Floats, plate: tuple[float, float], rng: random.Random, lamps: list[Lamp]) -> None:
    centre_y, plate_h = plate
    lid_low = top * 0.55
    sheet.line([(-half * 0.62, top), (-half * 0.64, lid_low), (half * 0.64, lid_low), (half * 0.62, top)], tone * 0.45, 0.009)
    recess = rounded(
        [(-0.34, centre_y + plate_h * 0.8), (0.34, centre_y + plate_h * 0.8), (0.32, centre_y - plate_h * 0.75), (-0.32, centre_y - plate_h * 0.75)],
        0.03,
    )
    sheet.fill(recess, tone * rng.uniform(0.55, 0.85))
    if centre_y > lid_low:
        sheet.fill(
            [
                (-0.36, centre_y + plate_h * 0.72),
                (0.36, centre_y + plate_h * 0.72),
                (0.35, centre_y + plate_h * 1.02),
                (-0.35, centre_y + plate_h * 1.02),
            ],
            rng.choice((tone * 0.9, np.full(3, rng.uniform(140, 210)))),
        )
    lamp_low, lamp_high = top * rng.uniform(0.58, 0.7), top * rng.uniform(0.88, 0.97)
    inner = half * rng.uniform(0.62, 0.8)
    red = np.array([rng.uniform(120, 190), rng.uniform(10, 30), rng.uniform(12, 34)])
    for side in (-1, 1):
        lamp = [
            (inner, lamp_high - 0.03),
            (half * 0.95, lamp_high),
            (half * 0.99, (lamp_low + lamp_high) / 2),
            (half * 0.97, lamp_low),
            (inner * 1.1, lamp_low + 0.03),
        ]
        points = rounded(lamp if side > 0 else mirrored(lamp), 0.03)
        sheet.fill(points, red)
        x, y = side * (inner + half * 0.97) / 2, (lamp_low + lamp_high) / 2
        sheet.oval(x, y + 0.03, 0.12, 0.06, red * 1.35 + 30)
        sheet.oval(x, y - 0.05, 0.1, 0.05, (220, 190, 170) if rng.random() < 0.5 else red * 0.7)
        sheet.line([*points, points[0]], 30, 0.006)
        sheet.fill([(side * half * 0.9, 0.4), (side * half * 0.68, 0.4), (side * half * 0.68, 0.37), (side * half * 0.9, 0.37)], red * 0.8)
        lamps.append(Lamp((float(x), float(y), -0.02), 0.13, (255, 40, 34)))
    chrome = rng.uniform(140, 215)
    _draw_badge(sheet, 0.0, min(top - 0.08, max(centre_y + plate_h * 0.7 + 0.14, top * 0.85)), chrome, rng)
    for side in (-1, 1):
        if rng.random() < 0.7:
            words = "".join(rng.choice("ABCDEGILMNORSTX0123456789") for _ in range(rng.randint(2, 7)))
            _letter(sheet, words, side * half * 0.46, top * 0.8, rng.uniform(0.03, 0.05), chrome)
    if rng.random() < 0.25:
        _letter(
            sheet,
            " ".join("".join(rng.choice("ABCDEGILMNORSTVX") for _ in range(rng.randint(4, 6))) for _ in range(2)),
            0.0,
            top - 0.045,
            0.05,
            chrome,
            wide=True,
        )
    sheet.oval(half * 0.6, 0.2, 0.12, 0.05, 90)


def _draw_badge(sheet: Sheet, x: float, y: float, chrome: float, rng: random.Random) -> None:
    kind = rng.random()
    size = rng.uniform(0.09, 0.14)
    if kind < 0.15:
        for k in range(4):
            sheet.oval(x + (k - 1.5) * size * 0.62, y, size * 0.85, size * 0.85, chrome, 0.012)
    elif kind < 0.5:
        sheet.oval(x, y, size, size * rng.uniform(0.65, 1), rng.choice(((30.0, 30, 34), (30.0, 60, 130), (150.0, 20, 24))))
        sheet.oval(x, y, size, size, chrome, 0.012)
        sheet.line([(x - size * 0.3, y), (x, y - size * 0.3), (x + size * 0.3, y)], chrome, 0.012)
    elif kind < 0.85:
        sheet.oval(x, y, size * 1.2, size * 0.8, chrome, 0.014)
        sheet.line([(x, y - size * 0.3), (x, y + size * 0.3)], chrome, 0.014)
    else:
        sheet.fill([(x - size, y), (x, y + size * 0.45), (x + size, y), (x, y - size * 0.45)], chrome)


def _letter(sheet: Sheet, words: str, x: float, y: float, height_m: float, level: float, wide: bool = False) -> None:
    """Small metal letters about (x, y)."""
    scale = height_m * sheet.px_m / 22
    step = height_m * (1.35 if wide else 0.85)
    for k, character in enumerate(words):
        at = sheet.pixels([(x + (k - len(words) / 2) * step, y - height_m / 2)])[0]
        cv2.putText(
            sheet.rgb,
            character,
            (round(float(at[0])), round(float(at[1]))),
            cv2.FONT_HERSHEY_SIMPLEX,
            scale,
            as_colour(level),
            max(1, round(scale * 2)),
            cv2.LINE_AA,
        )


def _draw_lorry_end(shape: _Shape, end: End, tone: Floats, rng: random.Random, lamps: list[Lamp]) -> Sheet:
    """The flat front of a lorry or bus, or the rear of its box."""
    half, top = shape.width / 2, shape.roof
    sheet = Sheet(-half, half, 0.25, top, _FACE_PX_M * 0.75)
    sheet.fill(rounded([(-half, top), (half, top), (half, 0.3), (-half, 0.3)], 0.08), tone, body=True)
    gloss(sheet, rng, 0.22)
    dark = rng.uniform(14, 40)
    sheet.fill([(-half, 0.62), (half, 0.62), (half * 0.98, 0.3), (-half * 0.98, 0.3)], rng.choice((tone * 0.7, np.full(3, dark), np.full(3, 170.0))))
    if end == "front":
        glass = rounded([(-half * 0.93, top * 0.86), (half * 0.93, top * 0.86), (half * 0.95, top * 0.5), (-half * 0.95, top * 0.5)], 0.08)
        sheet.fill(glass, (38, 44, 48))
        low, high = (round(float(v)) for v in sheet.pixels([(0, top * 0.86), (0, top * 0.5)])[:, 1])
        fade = np.ones((sheet.size[1], 1), np.float32)
        fade[low:high, 0] = np.linspace(2.1, 0.8, high - low, dtype=np.float32)
        cover = np.zeros_like(sheet.cover)
        cv2.fillPoly(cover, [np.round(sheet.pixels(glass)).astype(np.int32)], 255.0)
        sheet.rgb = np.where(cover[..., None] > 0, np.clip(sheet.rgb * fade[..., None], 0, 255), sheet.rgb).astype(np.uint8)
        for x in (-half * 0.5, half * 0.5):  # seats, the driver, wipers
            sheet.fill(
                rounded([(x - 0.25, top * 0.52), (x - 0.2, top * 0.68), (x + 0.2, top * 0.68), (x + 0.25, top * 0.52)], 0.1), rng.uniform(22, 60)
            )
            sheet.line([(x * 1.3, top * 0.505), (x * 0.2, top * 0.56)], 12, 0.02)
        if rng.random() < 0.8:
            sheet.oval(half * 0.5, top * 0.7, 0.2, 0.25, (118, 92, 78))
        if rng.random() < 0.5:
            sheet.fill(
                [(-half * 0.85, top * 0.84), (half * 0.85, top * 0.84), (half * 0.85, top * 0.78), (-half * 0.85, top * 0.78)], rng.uniform(20, 90)
            )
        for k in range(rng.randint(2, 5)):
            y = 0.7 + 0.07 * k
            sheet.line([(-half * rng.uniform(0.5, 0.8), y), (half * rng.uniform(0.5, 0.8), y)], dark, rng.uniform(0.02, 0.04))
        _letter(sheet, "".join(rng.choice("ABCDEFGHIKLMNORSTUV") for _ in range(rng.randint(4, 6))), 0.0, top * 0.46, 0.1, 215, wide=True)
    else:
        sheet.line([(0, 0.65), (0, top - 0.05)], tone * 0.5, 0.02)
        for x in (-half * 0.35, half * 0.35):
            sheet.line([(x, 0.65), (x, top - 0.08)], tone * 0.75, 0.025)
    for side in (-1, 1):
        x = side * half * 0.78
        if end == "front":
            sheet.fill(rounded([(x - 0.2, 0.6), (x + 0.2, 0.6), (x + 0.18, 0.42), (x - 0.18, 0.42)], 0.04), 70)
            sheet.oval(x, 0.51, 0.17, 0.14, 225)
        else:
            sheet.fill([(x - 0.2, 0.58), (x + 0.2, 0.58), (x + 0.2, 0.46), (x - 0.2, 0.46)], (165, 22, 24))
        lamps.append(Lamp((float(x), 0.51, -0.02), 0.17, (255, 248, 226) if end == "front" else (255, 40, 34)))
    return sheet


def _mount(fascia: Sheet, drawn: DrawnPlate, plate: Floats, rng: random.Random, light: Floats) -> None:
    """Screws the plate with its holder onto the fascia, in place."""
    target = np.asarray(fascia.pixels(plate[:, :2]), np.float32)
    rim = rng.uniform(0.004, 0.03)
    outer_from, outer_to = grow_quad(drawn.quad, rim, rim * 3), grow_quad(target, rim, rim * 3)
    table = np.clip((np.arange(256)[:, None] * rng.uniform(0.78, 1.04) + rng.uniform(0, 8)) * light, 0, 255).astype(np.uint8)
    picture = np.asarray(cv2.LUT(drawn.image, np.ascontiguousarray(table[:, None, :])), dtype=np.uint8)
    warped = photograph(picture, outer_from, outer_to, fascia.size)
    mask = np.zeros((fascia.size[1], fascia.size[0]), np.uint8)
    cv2.fillConvexPoly(mask, np.round(outer_to * 16).astype(np.int32), 255.0, cv2.LINE_AA, 4)
    weight = mask.astype(np.float32)[..., None] / 255
    fascia.rgb = (fascia.rgb + (warped.astype(np.float32) - fascia.rgb) * weight).astype(np.uint8)
    fascia.cover = np.maximum(fascia.cover, mask)


def _shadow(shape: _Shape, light: Floats) -> Face:
    """What the vehicle hides of the sky: a soft dark patch on the ground."""
    layer = np.zeros((96, 48, 4), np.uint8)
    cover = np.zeros((96, 48), np.float32)
    cover[12:-12, 9:-9] = 205 * min(1.0, float(light.mean())) + 30
    layer[..., 3] = np.clip(cv2.GaussianBlur(cover, (0, 0), 4.0), 0, 235).astype(np.uint8)
    half, near, far = shape.width / 2 * 1.3, -0.5, shape.length + 0.5
    return Face(np.array([[-half, 0.01, far], [half, 0.01, far], [half, 0.01, near], [-half, 0.01, near]], np.float64), texture_levels(layer))


def _body(shape: _Shape, kind: Kind, end: End, tone: Floats, light: Floats, rng: random.Random) -> list[Face]:
    """All but the end: sides, roof, screen, bonnet or boot; from back to front."""
    half, roof_half = shape.width / 2, shape.width / 2 - shape.lean
    screen_z = shape.bonnet + shape.screen
    tail = 0.35 if kind == "car" else 0.05
    side = _draw_side(shape, kind, tone, rng)
    side.dim(light)
    texture = texture_levels(side.layer())
    flipped = texture_levels(np.ascontiguousarray(side.layer()[:, ::-1]))
    high, low = side.top, side.bottom
    right = np.array([[half, high, side.left], [half, high, side.right], [half, low, side.right], [half, low, side.left]], np.float64)
    left = np.array([[-half, high, side.right], [-half, high, side.left], [-half, low, side.left], [-half, low, side.right]], np.float64)
    faces = [Face(right, texture), Face(left, flipped)]
    if kind == "lorry":
        top = Sheet(0, 1, 0, 1, 64)
        top.fill([(0, 0), (1, 0), (1, 1), (0, 1)], tone * 1.1, body=True)
        top.dim(light)
        roof = [(-half, shape.roof, shape.length), (half, shape.roof, shape.length), (half, shape.roof, 0), (-half, shape.roof, 0)]
        return [*faces, Face(np.array(roof, np.float64), texture_levels(top.layer()))]
    glass = _draw_side_glass(shape, kind, tone, rng)
    glass.dim(light)
    house, house_flipped = texture_levels(glass.layer()), texture_levels(np.ascontiguousarray(glass.layer()[:, ::-1]))
    rear_z = shape.length - tail
    faces += [
        Face(
            np.array(
                [
                    [roof_half, shape.roof, shape.bonnet],
                    [roof_half, shape.roof, rear_z],
                    [half, shape.belt, rear_z],
                    [half, shape.belt, shape.bonnet],
                ],
                np.float64,
            ),
            house,
        ),
        Face(
            np.array(
                [
                    [-roof_half, shape.roof, rear_z],
                    [-roof_half, shape.roof, shape.bonnet],
                    [-half, shape.belt, shape.bonnet],
                    [-half, shape.belt, rear_z],
                ],
                np.float64,
            ),
            house_flipped,
        ),
    ]
    top = Sheet(-1, 1, 0, 2, 90)
    top.fill(rounded([(-1, 2), (1, 2), (1, 0), (-1, 0)], 0.16), tone * 1.12 + 10, body=True)
    gloss(top, rng, 0.12)
    if rng.random() < 0.3:
        top.fill(rounded([(-0.6, 1.1), (0.6, 1.1), (0.6, 0.35), (-0.6, 0.35)], 0.08), 28)
    top.dim(light)
    roof_far = max(screen_z + 0.6, rear_z - 0.5)
    faces.append(
        Face(
            np.array(
                [
                    [-roof_half, shape.roof - 0.03, roof_far],
                    [roof_half, shape.roof - 0.03, roof_far],
                    [roof_half, shape.roof, screen_z],
                    [-roof_half, shape.roof, screen_z],
                ],
                np.float64,
            ),
            texture_levels(top.layer()),
        )
    )
    screen = _draw_screen(shape, end, tone, rng)
    screen.dim(light)
    faces.append(
        Face(
            np.array(
                [
                    [-roof_half, shape.roof + 0.005, screen_z],
                    [roof_half, shape.roof + 0.005, screen_z],
                    [half * 0.99, shape.belt - 0.02, shape.bonnet],
                    [-half * 0.99, shape.belt - 0.02, shape.bonnet],
                ],
                np.float64,
            ),
            texture_levels(screen.layer()),
        )
    )
    if shape.bonnet > 0.1:
        bonnet = Sheet(-1, 1, 0, 1.2, 160)
        bonnet.fill(rounded([(-1, 1.2), (1, 1.2), (0.96, 0), (-0.96, 0)], 0.06), tone * 1.08 + 6, body=True)
        gloss(bonnet, rng, 0.16)
        for x in (-0.55, 0.55):
            bonnet.line([(x * 1.1, 1.2), (x, 0)], tone * 0.8, 0.02)
            bonnet.line([(x * 1.1 + 0.02, 1.2), (x + 0.02, 0)], tone * 1.2 + 14, 0.014)
        bonnet.dim(light)
        faces.append(
            Face(
                np.array(
                    [
                        [-half * 0.99, shape.belt, shape.bonnet],
                        [half * 0.99, shape.belt, shape.bonnet],
                        [half * 0.97, shape.front_top - 0.015, 0.01],
                        [-half * 0.97, shape.front_top - 0.015, 0.01],
                    ],
                    np.float64,
                ),
                texture_levels(bonnet.layer()),
            )
        )
    return faces


def _mirrors(shape: _Shape, kind: Kind, end: End, tone: Floats, light: Floats) -> list[Face]:
    """The outer mirrors, one on each side."""
    width, height = (0.22, 0.16) if kind != "lorry" else (0.2, 0.42)
    sheet = Sheet(0, width, 0, height, 120)
    sheet.fill(rounded([(0, height), (width, height), (width, 0), (0, 0)], 0.06), tone * 0.8 if kind != "lorry" else 24.0, body=True)
    if end == "rear":
        sheet.fill(rounded([(0.03, height - 0.03), (width - 0.03, height - 0.03), (width - 0.03, 0.03), (0.03, 0.03)], 0.04), (120, 130, 138))
    sheet.shade(np.linspace(1.15, 0.75, sheet.size[1], dtype=np.float32)[:, None])
    sheet.dim(light)
    texture = texture_levels(sheet.layer())
    low = shape.belt + 0.02 if kind != "lorry" else shape.roof * 0.58
    z = shape.bonnet + 0.35 if end == "front" else shape.length - 1.5
    if kind == "lorry":
        z = -0.1 if end == "front" else shape.length
    faces = []
    for x in (-shape.width / 2 - width, shape.width / 2):
        faces.append(Face(np.array([[x, low + height, z], [x + width, low + height, z], [x + width, low, z], [x, low, z]], np.float64), texture))
    return faces


def _draw_side(shape: _Shape, kind: Kind, tone: Floats, rng: random.Random) -> Sheet:
    """The side below the windows, or the whole side of a lorry; x is the depth behind the end."""
    high = shape.roof if kind == "lorry" else shape.belt
    sheet = Sheet(0.0, shape.length, 0.0, high, _BODY_PX_M)
    if kind == "lorry":
        sheet.fill([(0, high), (shape.length, high), (shape.length, 0.7), (0, 0.5)], tone, body=True)
        gloss(sheet, rng, 0.2)
        for z in np.arange(0.4, shape.length, 0.8):
            sheet.line([(float(z), high), (float(z), 0.75)], tone * 0.85, 0.02)
    else:
        front = shape.front_top
        outline = [(0.0, front), (shape.bonnet, high), (shape.length - 0.1, high), (shape.length, high * 0.8), (shape.length, 0.3), (0.0, 0.22)]
        sheet.fill(rounded(outline, 0.08), tone, body=True)
        gloss(sheet, rng, 0.34)
        sheet.line([(0.3, high * 0.72), (shape.length - 0.2, high * 0.76)], tone * 0.6, 0.012)
        for z in (shape.bonnet + 0.25, shape.bonnet + 1.3, shape.bonnet + 2.2):
            sheet.line([(z, high), (z + 0.03, 0.3)], tone * 0.5, 0.01)
    wheel = 0.33 if kind != "lorry" else 0.5
    for z in (0.85, shape.length - 0.85):
        sheet.oval(z, wheel, wheel * 2.25, wheel * 2.25, 14)
        box = sheet.pixels([(z - wheel, wheel * 2), (z + wheel, 0)])
        (x0, y0), (x1, y1) = np.round(box).astype(int)
        cv2.ellipse(
            sheet.cover,
            ((int(x0) + int(x1)) // 2, (int(y0) + int(y1)) // 2),
            (int(x1 - x0) // 2, int(y1 - y0) // 2),
            0,
            0,
            360,
            255.0,
            -1,
            cv2.LINE_AA,
        )
        sheet.oval(z, wheel, wheel * 1.9, wheel * 1.9, 24)
        sheet.oval(z, wheel, wheel * 1.3, wheel * 1.3, rng.uniform(90, 160))
        for k in range(5):
            angle = k * 2 * math.pi / 5
            sheet.line([(z, wheel), (z + wheel * 0.6 * math.cos(angle), wheel + wheel * 0.6 * math.sin(angle))], 50, 0.05)
    return sheet


def _draw_side_glass(shape: _Shape, kind: Kind, tone: Floats, rng: random.Random) -> Sheet:
    """The side windows between belt and roof."""
    height = max(0.2, shape.roof - shape.belt)
    tail = 0.35 if kind == "car" else 0.05
    length = shape.length - tail - shape.bonnet
    sheet = Sheet(0.0, length, 0.0, height, _BODY_PX_M)
    lean_back = min(0.9, length * 0.2) if kind == "car" else 0.1
    sheet.fill([(shape.screen, height), (length - lean_back, height), (length, 0), (0, 0)], tone * 0.95, body=True)
    glass = [(shape.screen + 0.02, height - 0.07), (length - lean_back - 0.05, height - 0.07), (length - 0.3, 0.04), (0.2, 0.04)]
    sheet.fill(rounded(glass, 0.05), (30, 35, 38))
    fade = np.linspace(1.5, 0.8, sheet.size[1], dtype=np.float32)[:, None]
    sheet.shade(fade)
    for z in (length * 0.36, length * 0.68):
        sheet.line([(z, height - 0.05), (z + 0.03, 0.03)], tone * 0.5, 0.06)
    return sheet


def _draw_screen(shape: _Shape, end: End, tone: Floats, rng: random.Random) -> Sheet:
    """Windscreen or rear window with its pillars, reflections, and what is seen through it."""
    sheet = Sheet(-1, 1, 0, 1, 190)
    sheet.fill([(-1, 1), (1, 1), (1, 0), (-1, 0)], tone * 0.85, body=True)
    glass = rounded([(-0.9, 0.94), (0.9, 0.94), (0.93, 0.05), (-0.93, 0.05)], 0.1)
    cover = np.zeros((sheet.size[1], sheet.size[0]), np.uint8)
    cv2.fillPoly(cover, [np.round(sheet.pixels(glass) * 16).astype(np.int32)], 255.0, cv2.LINE_AA, 4)
    inside = Sheet(-1, 1, 0, 1, 190)
    inside.fill([(-1, 1), (1, 1), (1, 0), (-1, 0)], (34, 38, 42))
    for x in (-0.45, 0.45):
        inside.fill(rounded([(x - 0.2, 0.0), (x - 0.16, 0.5), (x + 0.16, 0.5), (x + 0.2, 0.0)], 0.1), rng.uniform(14, 52))
        inside.oval(x, 0.58, 0.2, 0.24, rng.uniform(16, 58))
    if end == "front" and rng.random() < 0.8:
        inside.oval(0.45, 0.55, 0.2, 0.28, (120, 92, 78))
        inside.fill([(0.22, 0.0), (0.3, 0.36), (0.6, 0.36), (0.68, 0.0)], [rng.uniform(20, 150) for _ in range(3)])
        inside.fill([(-0.85, 0.0), (0.85, 0.0), (0.85, 0.1), (-0.85, 0.1)], 26)
    inside.rgb = np.asarray(cv2.GaussianBlur(inside.rgb, (0, 0), 3), dtype=np.uint8)
    sky = np.linspace(rng.uniform(0.3, 0.75), rng.uniform(0.02, 0.15), sheet.size[1], dtype=np.float32)[:, None]
    streak = smooth_row(0.6, 1.2, sheet.size[0], rng, 5)[None, :]
    reflection = np.clip(sky * streak, 0, 0.85)[..., None] * np.array([205, 214, 222], np.float32) * rng.uniform(0.5, 0.9)
    mixed = np.clip(inside.rgb * (1 - 0.5 * sky[..., None]) + reflection, 0, 255)
    alpha = cover.astype(np.float32)[..., None] / 255
    sheet.rgb = (sheet.rgb * (1 - alpha) + mixed * alpha).astype(np.uint8)
    sheet.line([*glass, glass[0]], 14, 0.03)
    if end == "front":
        for k in range(rng.randint(0, 3)):
            x = 0.6 + 0.11 * k
            sheet.fill([(x, 0.86), (x + 0.08, 0.86), (x + 0.08, 0.7), (x, 0.7)], [rng.uniform(40, 240) for _ in range(3)])
        for side in (-0.2, 0.5):
            sheet.line([(side, 0.05), (side - 0.6, 0.16)], 12, 0.016)
    elif rng.random() < 0.5:
        sheet.fill([(-0.25, 0.93), (0.25, 0.93), (0.24, 0.89), (-0.24, 0.89)], (150, 24, 24))
    return sheet
