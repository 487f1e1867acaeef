"""A picture in, the same with things in it that resemble plates and are none: badges, printed dates, rows of windows, boards, grilles and lamps."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.geometry import quad_to_box
from openplate.synthesize.glyphs import SystemFont, chinese_fonts, has_chinese_fonts, latin_fonts
from openplate.synthesize.lettering import words_mask
from openplate.types import Image, Quad

Alpha = NDArray[np.float32]
"""`(H, W)`, 0 to 1: how much a thing covers of what is behind it."""
Maker = Callable[[int, random.Random], tuple[Image, Alpha]]
"""A width in px and chance in, a thing and what it covers out."""

_BADGES = (
    "TOYOTA", "NISSAN", "SUZUKI", "HAVAL", "VOLVO", "SKODA", "LADA", "GAZ", "FOTON", "SCANIA", "HYUNDAI", "CHERY", "GEELY", "FORD", "MAZDA", "HONDA",
    "OCTAVIA", "VESTA", "COROLLA", "TURBO", "HYBRID", "QUATTRO", "4WD", "1.6", "2.0T", "V6", "TDI", "GTI", "xDrive", "Sport", "Logan", "TAXI", "POLICE",
)  # fmt: skip
_BADGES_CHINESE = ("东风本田", "长安铃木", "上海大众", "一汽丰田", "北京现代", "比亚迪", "江淮汽车", "出租", "公交", "禁止停车")
_BADGES_CYRILLIC = (
    "АВТОСАЛОН",
    "ГРУЗОПЕРЕВОЗКИ",
    "СЕРВИС",
    "ОФИЦИАЛЬНЫЙ ДИЛЕР",
    "ДОСТАВКА ЗА ЧАС",
    "ТЕХПОМОЩЬ",
    "МОЛОКО",
    "ЦЕНТР ПРОДАЖ",
    "ТАКСИ 24 ЧАСА",
)
_WORDS = ("OPEN", "SALE", "EXIT", "CAFE", "PARKING", "BANK", "AUTO", "SERVICE", "HOTEL", "STOP", "MARKET", "RENT", "www", "TEL", "ZONE", "BUS")


def scatter_decoys(image: Image, taken: Sequence[Quad], rng: random.Random, count: int) -> None:
    """Draws up to `count` things that are no plates at random free places, in place; places where a plate is (`taken`) stay as they are."""
    height, width = image.shape[:2]
    boxes = [quad_to_box(quad) for quad in taken]
    for _ in range(count):
        wide = math.exp(rng.uniform(math.log(18), math.log(0.7 * width)))
        make = rng.choice(_MAKERS)
        picture, alpha = make(max(8, round(wide)), rng)
        picture, alpha = _turn(picture, alpha, rng)
        h, w = alpha.shape
        x0, y0 = round(rng.uniform(-0.3 * w, width - 0.7 * w)), round(rng.uniform(-0.3 * h, height - 0.7 * h))
        _put(image, picture, alpha, x0, y0, boxes, rng)


def letter_around(image: Image, plate: Quad, taken: Sequence[Quad], rng: random.Random) -> None:
    """Lettering close to where a plate will be pasted, or behind it, in place: a dealer's line, a lorry's sides, a telephone number.

    Args:
        image: what is drawn into.
        plate: where the plate will be.
        taken: plates that are there already; they stay as they are.
        rng: chance.
    """
    x0, y0, x1, y1 = quad_to_box(plate)
    plate_w, plate_h = x1 - x0, y1 - y0
    boxes = [quad_to_box(quad) for quad in taken]
    for _ in range(rng.randint(1, 3)):
        wide = plate_w * math.exp(rng.uniform(math.log(0.5), math.log(3.5)))
        if not 8 <= wide <= 2 * image.shape[1]:
            continue
        picture, alpha = rng.choice((_badge, _phone, _line))(round(wide), rng)
        if alpha.shape[0] > 4 * plate_h + 8:
            continue
        picture, alpha = _turn(picture, alpha, rng)
        h, w = alpha.shape
        centre = (x0 + x1) / 2 + rng.gauss(0, 0.35) * (plate_w + w) / 2
        gap = rng.uniform(-0.5, 0.35) * plate_h  # a thing that was turned has an empty rim
        _put(image, picture, alpha, round(centre - w / 2), round(y0 - gap - h if rng.random() < 0.5 else y1 + gap), boxes, rng)


def _put(
    image: Image, picture: Image, alpha: Alpha, x0: int, y0: int, boxes: Sequence[tuple[float, float, float, float]], rng: random.Random
) -> None:
    """Puts a thing into the image with its corner at `(x0, y0)`, unless it would reach one of `boxes` or hardly show."""
    height, width = image.shape[:2]
    x1, y1 = x0 + alpha.shape[1], y0 + alpha.shape[0]
    if any(x0 < b[2] + 4 and b[0] - 4 < x1 and y0 < b[3] + 4 and b[1] - 4 < y1 for b in boxes):
        return
    left, top, right, bottom = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
    if right - left < 4 or bottom - top < 3:
        return
    region = image[top:bottom, left:right]
    cover = alpha[top - y0 : bottom - y0, left - x0 : right - x0, None] * rng.uniform(0.75, 1.0)
    region[:] = (region + (picture[top - y0 : bottom - y0, left - x0 : right - x0] - region.astype(np.float32)) * cover).astype(np.uint8)


def _turn(picture: Image, alpha: Alpha, rng: random.Random) -> tuple[Image, Alpha]:
    """Seen a little from the side and a little turned."""
    height, width = alpha.shape
    pad = max(2, round(0.12 * width))
    slope, shear = rng.gauss(0, 0.05), rng.gauss(0, 0.08)
    matrix = np.array([[1, shear, pad - shear * height / 2], [slope, 1, pad - slope * width / 2]], np.float32)
    size = width + 2 * pad, height + 2 * pad
    turned = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8), np.asarray(cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR), np.float32)


def _tone(rng: random.Random, low: int = 10, high: int = 245) -> tuple[int, int, int]:
    if rng.random() < 0.6:
        return (rng.randint(low, high),) * 3
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def _font(rng: random.Random) -> SystemFont | None:
    fonts = latin_fonts()
    return rng.choice(fonts) if fonts else None


def _cyrillic_font(rng: random.Random) -> SystemFont | None:
    fonts = [font for font in latin_fonts() if Path(font.path).stem.startswith(("DejaVu", "NotoSans", "OpenSans", "Roboto"))]
    return rng.choice(fonts) if fonts else None


def _words(words: str, wide: int, font: SystemFont | None) -> Alpha:
    mask = words_mask(words, 40, font)
    high = max(4, round(mask.shape[0] * wide / mask.shape[1]))
    ink: Alpha = cv2.resize(mask, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    return ink


def _badge(wide: int, rng: random.Random) -> tuple[Image, Alpha]:
    """Letters of metal that stand on the bodywork: a light edge on one side, a shadow on the other."""
    if has_chinese_fonts() and rng.random() < 0.3:
        ink = _words(rng.choice(_BADGES_CHINESE), wide, chinese_fonts()[0])
    elif (font := _cyrillic_font(rng)) and rng.random() < 0.15:
        ink = _words(rng.choice(_BADGES_CYRILLIC), wide, font)
    else:
        text = rng.choice(_BADGES) if rng.random() < 0.7 else "".join(rng.choice("ABCDEFGHIKLMNOPRSTUVXYZ") for _ in range(rng.randint(3, 8)))
        ink = _words(text, wide, _font(rng))
    shift = max(1, round(ink.shape[0] * 0.05))
    shadow = np.roll(ink, (shift, shift), (0, 1))
    picture = np.empty((*ink.shape, 3), np.uint8)
    picture[:] = _tone(rng, 0, 90)
    bright = np.linspace(rng.uniform(0.75, 1), rng.uniform(0.6, 1), ink.shape[0], dtype=np.float32)[:, None, None]
    metal = np.array(_tone(rng, 120 if rng.random() < 0.8 else 0, 255), np.float32) * bright
    picture[:] = (picture + (metal - picture) * ink[..., None]).astype(np.uint8)
    return picture, np.maximum(ink, shadow * rng.uniform(0.2, 0.9))


def _phone(wide: int, rng: random.Random) -> tuple[Image, Alpha]:
    """A telephone number painted on the bodywork."""
    text = f"{rng.randint(8, 89)}{rng.choice('-( ')}{rng.randint(100, 999)}{rng.choice('-) ')}{rng.randint(100, 999)}-{rng.randint(10, 99)}-{rng.randint(10, 99)}"
    ink = _words(text, wide, _font(rng))
    picture = np.empty((*ink.shape, 3), np.uint8)
    picture[:] = _tone(rng)
    return picture, ink


def _line(wide: int, rng: random.Random) -> tuple[Image, Alpha]:
    """One line of words on a strip of its own, as dealers put above or below a plate."""
    words, font = rng.choice((*_WORDS, *_BADGES)), _font(rng)
    if (cyrillic := _cyrillic_font(rng)) and rng.random() < 0.4:
        words, font = rng.choice(_BADGES_CYRILLIC), cyrillic
    ink = _words(words, max(4, round(wide * rng.uniform(0.6, 0.95))), font)
    high = max(ink.shape[0] + 1, round(ink.shape[0] * rng.uniform(1.0, 1.4)))
    picture = np.empty((high, wide, 3), np.uint8)
    paper = _tone(rng)
    picture[:] = paper
    colour = np.array((20, 20, 20) if sum(paper) > 380 else (240, 240, 240), np.float32)
    x, y = (wide - ink.shape[1]) // 2, (high - ink.shape[0]) // 2
    region = picture[y : y + ink.shape[0], x : x + ink.shape[1]]
    region[:] = (region + (colour - region) * ink[..., None]).astype(np.uint8)
    return picture, np.ones((high, wide), np.float32)


def _print(wide: int, rng: random.Random) -> tuple[Image, Alpha]:
    """What a camera prints: a date, a time, a number, upright and sharp."""
    text = rng.choice(
        (
            f"{rng.randint(2010, 2026)}/{rng.randint(1, 12):02d}/{rng.randint(1, 28):02d}",
            f"{rng.randint(1, 28):02d}-{rng.randint(1, 12):02d}-{rng.randint(2010, 2026)}",
            f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}",
            f"{rng.randint(0, 9):04d}/{rng.randint(0, 99999):05d}",
            f"{rng.randint(0, 140)} km/h",
            rng.choice(_WORDS),
        )
    )
    ink = _words(text, wide, _font(rng))
    ink = np.pad(ink, 2)
    light = rng.random() < 0.8
    picture = np.empty((*ink.shape, 3), np.uint8)
    picture[:] = (0, 0, 0) if light else (255, 255, 255)
    picture[ink > 0.4] = (255, 255, 255) if light else (0, 0, 0)
    rim = np.asarray(cv2.dilate(ink, np.ones((3, 3), np.uint8)), np.float32) if rng.random() < 0.6 else ink
    return picture, rim if rng.random() < 0.85 else np.full_like(ink, rng.uniform(0.4, 1))


def _windows(wide: int, rng: random.Random) -> tuple[Image, Alpha]:
    """A wall with rows of windows, some of them lit."""
    columns, rows = rng.randint(3, 9), rng.randint(1, 5)
    step = max(3, wide // columns)
    picture = np.empty((max(4, round(rows * step * rng.uniform(0.9, 1.6))), wide, 3), np.uint8)
    wall = np.array(_tone(rng, 40, 230), np.float32)
    picture[:] = wall.astype(np.uint8)
    down = picture.shape[0] / rows
    share_x, share_y = rng.uniform(0.35, 0.8), rng.uniform(0.35, 0.8)
    levels = rng.sample((0.25, 0.4, 0.5, 0.6, 1.3, 1.5), 3)
    for row in range(rows):
        for column in range(columns):
            x, y = round((column + 0.5 - share_x / 2) * step), round((row + 0.5 - share_y / 2) * down)
            glass = np.clip(wall * rng.choice(levels), 0, 255)
            picture[y : y + max(1, round(share_y * down)), x : x + max(1, round(share_x * step))] = glass.astype(np.uint8)
    return picture, np.ones(picture.shape[:2], np.float32)


def _board(wide: int, rng: random.Random) -> tuple[Image, Alpha]:
    """A sign or a poster: one to three lines of words, not as long and low as plates are."""
    lines = rng.randint(1, 3)
    high = max(6, round(wide * rng.uniform(0.55, 1.4)))
    picture = np.empty((high, wide, 3), np.uint8)
    paper = _tone(rng)
    picture[:] = paper
    ink_colour = np.array((20, 20, 20) if sum(paper) > 380 else (240, 240, 240), np.float32)
    for line in range(lines):
        text = " ".join(rng.choice((*_WORDS, *_BADGES)) for _ in range(rng.randint(1, 2)))
        if rng.random() < 0.35:  # a telephone number, a price, a bus line
            text = "".join(rng.choice("0123456789-. ") if rng.random() < 0.75 else rng.choice("ABCEHKMOPTX") for _ in range(rng.randint(3, 9)))
        ink = _words(text, max(4, round(wide * rng.uniform(0.5, 0.9))), _font(rng))
        y = round(high * (line + 0.5) / lines - ink.shape[0] / 2)
        x = (wide - ink.shape[1]) // 2
        region = picture[max(0, y) : y + ink.shape[0], x : x + ink.shape[1]]
        part = ink[max(0, -y) : max(0, -y) + region.shape[0], : region.shape[1], None]
        region[:] = (region + (ink_colour - region) * part).astype(np.uint8)
    return picture, np.ones((high, wide), np.float32)


def _grille(wide: int, rng: random.Random) -> tuple[Image, Alpha]:
    """Bars beside or above each other, in a frame: a radiator, a fence, a vent."""
    high = max(4, round(wide * rng.uniform(0.15, 0.6)))
    picture = np.empty((high, wide, 3), np.uint8)
    picture[:] = _tone(rng, 0, 120)
    bar = _tone(rng, 60, 250)
    upright = rng.random() < 0.6
    length = wide if upright else high
    step = max(2.0, length / rng.randint(4, 16))
    thick = max(1, round(step * rng.uniform(0.25, 0.7)))
    for at in np.arange(step / 2, length, step):
        first = round(float(at) - thick / 2)
        if upright:
            picture[:, max(0, first) : first + thick] = bar
        else:
            picture[max(0, first) : first + thick] = bar
    if rng.random() < 0.5:
        cv2.rectangle(picture, (0, 0), (wide - 1, high - 1), bar, max(1, round(high * 0.06)))
    return picture, np.ones((high, wide), np.float32)


def _lamp(wide: int, rng: random.Random) -> tuple[Image, Alpha]:
    """A lamp: a bright or red oval or box with ribs."""
    high = max(4, round(wide * rng.uniform(0.3, 0.8)))
    picture = np.empty((high, wide, 3), np.uint8)
    base = np.array(rng.choice(((235, 235, 225), (200, 30, 30), (240, 150, 40), (150, 155, 160))), np.float32) * rng.uniform(0.5, 1.05)
    ribs = 1 + rng.uniform(0, 0.35) * np.sin(np.linspace(0, math.tau * rng.randint(2, 9), wide, dtype=np.float32) + rng.uniform(0, 6))
    picture[:] = np.clip(base * ribs[None, :, None] * np.linspace(1.1, 0.7, high, dtype=np.float32)[:, None, None], 0, 255)
    alpha = np.zeros((high, wide), np.float32)
    if rng.random() < 0.6:
        cv2.ellipse(alpha, (wide // 2, high // 2), (max(1, wide // 2 - 1), max(1, high // 2 - 1)), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    else:
        alpha[:] = 1.0
    return picture, alpha


_MAKERS: tuple[Maker, ...] = (_badge, _badge, _print, _windows, _board, _grille, _lamp)
"""Badges are what detectors take for plates most often."""
