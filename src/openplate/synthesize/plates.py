"""A plate type in, a drawn plate out: RGB picture, text, and the quad of its metal in that picture."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.charset import LATIN
from openplate.formats.load import parse_colour
from openplate.formats.model import Field, Format, Mark, PlateType, Row
from openplate.geometry import box_to_quad
from openplate.synthesize.glyphs import (
    GlyphStyle,
    Mask,
    SystemFont,
    chinese_fonts,
    font_glyph,
    glyph_width,
    has_chinese_fonts,
    latin_fonts,
    outline_characters,
    outline_glyph,
    sample_proportional,
    sample_style,
)
from openplate.types import Image, Quad

_EMBLEM_MM = 14.0
"""Circles at least this wide stand for stickers and coats of arms, whose inside differs from plate to plate; smaller ones are bolts."""
_DEALER_WORDS = (
    "AUTO",
    "MOTORS",
    "CENTER",
    "MAJOR",
    "FAVORIT",
    "AVTO",
    "TRADE",
    "CAR",
    "GROUP",
    "SERVICE",
    "DEALER",
    "TOYOTA",
    "SKODA",
    "LADA",
    "KIA",
    "BMW",
    "RUSSIA",
    "PLAZA",
    "CITY",
)


CharacterBox = tuple[float, float, float, float]
"""A box `(x0, y0, x1, y1)` in a plate, as fractions of its width and height."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPlate:
    """A drawn plate on a canvas with surroundings (holder, bodywork).

    `quad` is the plate's own outline in the canvas; the first `first_line` characters of `text` stand on its first line. `characters` are the places of
    the characters of `text` on the plate, each `(x0, y0, x1, y1)` as fractions of its width and height.
    """

    image: Image
    quad: Quad
    text: str
    type: PlateType
    first_line: int
    characters: tuple[CharacterBox, ...] = ()


@dataclass(frozen=True, slots=True)
class _Hand:
    """What stays the same over one plate: the type face, the scale, and how far narrow glyphs have narrow cells (0 all cells alike, 1 proportional)."""

    style: GlyphStyle
    latin: SystemFont | None
    chinese: SystemFont | None
    weight_px: int
    width_factor: float
    scale: float
    proportional: float


def draw_plate(
    plate_type: PlateType,
    rng: random.Random,
    width_px: int = 360,
    margin: float = 0.3,
    wear: float = 1.0,
    texts: tuple[str, ...] | None = None,
) -> DrawnPlate:
    """Draws one plate of a type with a random text.

    Args:
        plate_type: grammar and drawing spec.
        rng: source of every choice: the same state gives the same plate.
        width_px: width of the plate itself on the canvas.
        margin: width of the surroundings on each side, as a fraction of the plate's width (and at least 60 % of its height above and below).
        wear: 0 clean plates, 1 the full spread of dirt, scratches, snow and bends.
        texts: what it says in place of a random text, as `PlateType.sample` gives it.

    Raises:
        OpenPlateError: a Chinese character is needed and no font has it.
    """
    width_mm, height_mm = plate_type.size_mm
    scale = width_px / width_mm
    height_px = max(8, round(height_mm * scale))
    texts = plate_type.sample(rng) if texts is None else texts
    background, ink = (_vary(parse_colour(c), rng) for c in rng.choice(plate_type.colours))
    plate = _plain(height_px, width_px, background)
    hand = _hand(plate_type, "".join(texts), scale, rng)
    relief = np.zeros((height_px, width_px), np.uint8)
    for mark in plate_type.marks:
        if rng.random() < mark.chance:
            _draw_mark(plate, mark, scale, rng)
    if plate_type.border_mm > 0 and rng.random() < 0.93:
        _draw_border(plate, relief, plate_type.border_mm * scale, scale, ink, rng)
    position = 0
    places: list[tuple[int, int, int, int]] = []
    for row in plate_type.rows:
        places += _draw_row(plate, relief, plate_type, row, texts[position : position + len(row.fields)], ink, hand, rng)
        position += len(row.fields)
    top, bottom = 0, height_px
    grimy = rng.random() < 0.1 * wear
    if grimy:
        _grime(plate, relief, ink, rng)
    if grimy or rng.random() < 0.45:
        _emboss(plate, relief, rng)
    _draw_screws(plate, scale, rng)
    if rng.random() < 0.75 * wear:
        _weather(plate, scale, rng, wear)
    if plate_type.loose and rng.random() < 0.45 * wear:  # a frame around the plate hides its small print; what is seen counts as the plate
        below = rng.uniform(0.22, 0.285) if rng.random() < 0.3 else rng.uniform(0.03, 0.2)  # often it touches the characters
        top, bottom = round(height_px * rng.uniform(0.03, 0.2)), height_px - round(height_px * below)
        plate = plate[top:bottom]
    image, quad = _surround(plate, margin, rng, wear)
    characters = tuple((x0 / width_px, (y0 - top) / (bottom - top), x1 / width_px, (y1 - top) / (bottom - top)) for x0, y0, x1, y1 in places)
    return DrawnPlate(image, quad, "".join(texts), plate_type, len("".join(texts[: len(plate_type.rows[0].fields)])), characters)


def drawable(formats: Sequence[Format]) -> tuple[Format, ...]:
    """The formats that can be drawn here: all, or without a font that has Chinese characters those that need none."""
    own = set(outline_characters())
    if has_chinese_fonts():
        return tuple(formats)
    return tuple(f for f in formats if all(set(choice) <= own for t in f.types for piece in t.pieces for choice in piece.choices))


def _plain(height: int, width: int, colour: tuple[int, int, int]) -> Image:
    """A picture of one colour; filled row by row, four times faster than pixel by pixel."""
    image = np.empty((height, width, 3), np.uint8)
    image.reshape(height, -1)[:] = np.full((width, 3), colour, np.uint8).ravel()
    return image


def _vary(colour: tuple[int, int, int], rng: random.Random) -> tuple[int, int, int]:
    r, g, b = (min(255, max(0, round(c * rng.uniform(0.86, 1.05) + rng.uniform(-6, 12)))) for c in colour)
    return r, g, b


def _hand(plate_type: PlateType, text: str, scale: float, rng: random.Random) -> _Hand:
    own = outline_characters()
    has_chinese = any(c not in own for c in text)
    fonts = latin_fonts()
    latin = rng.choice(fonts) if fonts and rng.random() < (0.35 if plate_type.loose or plate_type.glyphs in ("us", "plain") else 0.28) else None
    return _Hand(
        style=sample_style(plate_type.glyphs, rng),
        latin=latin,
        chinese=rng.choice(chinese_fonts()) if has_chinese else None,
        weight_px=rng.choice((-1, 0, 0, 0, 1)),
        width_factor=rng.choice((0.9, 0.94, 0.98, 1.0, 1.03, 1.06)),
        scale=scale,
        proportional=sample_proportional(plate_type.glyphs, rng),
    )


_STICKERS = ((225, 60, 50), (245, 140, 40), (250, 215, 60), (70, 165, 90), (70, 120, 210), (170, 200, 235), (235, 170, 190))
"""Colours of validity stickers."""


def _glyph(character: str, width_px: int, height_px: int, hand: _Hand) -> Mask:
    if character not in outline_characters():
        assert hand.chinese is not None, "a character without an outline had no font chosen"
        mask = font_glyph(character, hand.chinese, width_px, height_px, True)
        if hand.weight_px and height_px > 24:
            kernel = np.ones((2, 2), np.uint8)
            mask = np.asarray(cv2.dilate(mask, kernel) if hand.weight_px > 0 else cv2.erode(mask, kernel), dtype=np.uint8)
        return mask
    if hand.latin is not None:
        return font_glyph(character, hand.latin, width_px, height_px, False)
    own = max(2, round(width_px * min(1.0, glyph_width(character, hand.style))))
    mask = outline_glyph(character, hand.style, own, height_px)
    if own == width_px:
        return mask
    padded = np.zeros((height_px, width_px), np.uint8)
    x = (width_px - own) // 2
    padded[:, x : x + own] = mask
    return padded


def _cells(field: Field, text: str, hand: _Hand) -> list[float]:
    """The width of each glyph's cell (mm); a mark's is the field's."""
    if not text or not hand.proportional:
        return [field.width_mm] * len(text or field.mark)
    inks = (np.flatnonzero(_glyph(character, 32, 52, hand).max(axis=0)) for character in text)
    return [field.width_mm * (1 - hand.proportional * (1 - (columns[-1] - columns[0] + 1) / 32)) for columns in inks]


def _draw_row(
    plate: Image,
    relief: Mask,
    plate_type: PlateType,
    row: Row,
    texts: tuple[str, ...],
    ink: tuple[int, int, int],
    hand: _Hand,
    rng: random.Random,
) -> list[tuple[int, int, int, int]]:
    """Draws the fields of a row; flowing fields are centred in the type's area and pressed together where they would not fit.

    Returns:
        where the characters of the texts are, `(x0, y0, x1, y1)` px of the plate.
    """
    places: list[tuple[int, int, int, int]] = []
    left, right = plate_type.area_mm
    spacing = rng.uniform(0.97, 1.03)
    emblems = [plate_type.loose and field.gap_mm > 0.3 * field.width_mm and rng.random() < 0.75 for field in row.fields]
    # Often a state's outline or seal has a place as wide as a character's.
    gaps = [
        field.gap_mm + (rng.uniform(0.5, 1.15) * (field.pitch_mm - field.gap_mm) if emblem and rng.random() < 0.7 else 0.0)
        for field, emblem in zip(row.fields, emblems, strict=True)
    ]
    cells = [_cells(field, text, hand) for field, text in zip(row.fields, texts, strict=True)]
    total = 0.0
    for field, widths, gap in zip(row.fields, cells, gaps, strict=True):
        total += gap + sum(widths) + (field.pitch_mm - field.width_mm) * max(1, len(widths))
    between = [index for index, field in enumerate(row.fields) if index and field.gap_mm and field.x_mm is None]
    spare = 0.97 * (right - left) - total
    if hand.proportional and between and spare > 0 and rng.random() < 0.6:  # short texts are spread over the plate
        wider = rng.uniform(0.2, 1.0) * min(spare / len(between), row.fields[0].width_mm)
        gaps = [gap + wider if index in between else gap for index, gap in enumerate(gaps)]
        total += wider * len(between)
    squeeze = min(1.0, (right - left) / max(total, 1.0)) * spacing if total else 1.0
    squeeze = min(squeeze, (right - left) / max(total, 1.0)) if total > right - left else squeeze
    if plate_type.loose and total and rng.random() < 0.6:  # dies and spacing that fill the plate's width
        squeeze = max(squeeze, min(1.25, rng.uniform(0.9, 1.0) * (right - left) / total))
    x = (left + right - total * squeeze) / 2
    height, width = plate.shape[:2]
    shift_x, shift_y = rng.uniform(-3, 3), rng.uniform(-2, 2)
    for field, text, widths, wide, emblem in zip(row.fields, texts, cells, gaps, emblems, strict=True):
        fixed = field.x_mm is not None
        press = 1.0 if fixed else squeeze
        gap = wide * press
        if emblem:
            left_mm = x + shift_x - (field.pitch_mm - field.width_mm) * press
            space_mm = gap + (field.pitch_mm - field.width_mm) * press
            if rng.random() < 0.35:
                _draw_stickers(plate, field, row.baseline_mm, left_mm, space_mm, hand.scale, rng)
            else:
                _draw_state(plate, field, row.baseline_mm, left_mm, space_mm, ink, hand.scale, rng)
        x = field.x_mm if field.x_mm is not None else x + gap
        colour = _vary(parse_colour(field.ink), rng) if field.ink else ink
        shown = text or field.mark
        for character, cell in zip(shown, widths, strict=True):
            glyph_h = max(5, round(field.height_mm * hand.scale))
            glyph_w = max(3, round(field.width_mm * press * hand.width_factor * hand.scale))
            beside = cell - field.width_mm * hand.width_factor  # what of the cell the glyph's box leaves
            left_px = round((x + shift_x + beside * press / 2) * hand.scale)
            top_px = round((row.baseline_mm + shift_y - field.raise_mm - field.height_mm) * hand.scale)
            mask = _glyph(character, glyph_w, glyph_h, hand) if text else _separator(character, glyph_w, glyph_h, rng)
            _blend(plate, relief, mask, left_px, top_px, colour, width, height)
            if text:
                inked = np.flatnonzero(mask.max(axis=0))
                places.append((left_px + int(inked[0]), top_px, left_px + int(inked[-1]) + 1, top_px + mask.shape[0]))
            x += (field.pitch_mm - field.width_mm + cell) * press
    return places


def _draw_state(
    plate: Image, field: Field, baseline_mm: float, left_mm: float, space_mm: float, ink: tuple[int, int, int], scale: float, rng: random.Random
) -> None:
    """A state's outline or seal before a field: often a compact block at half the glyphs' height, plain or finely structured, else as high as they are."""
    height, width = plate.shape[:2]
    compact = rng.random() < 0.7
    high = field.height_mm * (rng.uniform(0.3, 0.55) if compact else 0.7)
    emblem = np.zeros((max(3, round(high * scale)), max(3, round(space_mm * rng.uniform(0.75, 1.05) * scale))), np.uint8)
    if compact and rng.random() < 0.6:  # an outline that nearly fills its box, with bites out of its border
        emblem[:] = rng.randint(150, 255)
        for _ in range(rng.randint(1, 4)):
            at = rng.choice((0, emblem.shape[1])), round(rng.random() * emblem.shape[0])
            at = at if rng.random() < 0.5 else (round(rng.random() * emblem.shape[1]), rng.choice((0, emblem.shape[0])))
            size = round(emblem.shape[1] * rng.uniform(0.05, 0.3)), round(emblem.shape[0] * rng.uniform(0.05, 0.3))
            cv2.ellipse(emblem, at, size, 0, 0, 360, 0, -1, cv2.LINE_AA)
    else:
        _draw_emblem(emblem, rng, compact)
    if compact and rng.random() < 0.5:
        noise = np.random.default_rng(rng.getrandbits(32))
        lines = noise.uniform(rng.uniform(0.0, 0.6), 1.0, (rng.randint(3, 8), rng.randint(1, 5))).astype(np.float32)
        method = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_LINEAR
        emblem = (emblem * cv2.resize(lines, (emblem.shape[1], emblem.shape[0]), interpolation=method)).astype(np.uint8)
    top = baseline_mm - field.height_mm / 2 - high / 2 + rng.uniform(-0.1, 0.1) * field.height_mm
    most = 110 if compact else 256
    tint = ink if rng.random() < 0.5 else _vary((rng.randrange(most), rng.randrange(most), rng.randrange(most)), rng)
    _blend(plate, None, emblem, round((left_mm + space_mm * rng.uniform(-0.05, 0.05)) * scale), round(top * scale), tint, width, height)


def _draw_stickers(plate: Image, field: Field, baseline_mm: float, left_mm: float, space_mm: float, scale: float, rng: random.Random) -> None:
    """The month and the year for which a plate is valid, before a field: one or two coloured boxes, one above the other, with an outline and small print."""
    count = 1 if rng.random() < 0.55 else 2
    wide = space_mm * rng.uniform(0.5, 0.95)
    high = field.height_mm * (rng.uniform(0.35, 0.7) if count == 1 else rng.uniform(0.24, 0.4))
    top = baseline_mm - field.height_mm * (1 - rng.uniform(0.0, 0.12)) if count == 2 else baseline_mm - field.height_mm * rng.uniform(0.6, 1.0)
    left = left_mm + (space_mm - wide) * rng.uniform(0.3, 0.7)
    for _ in range(count):
        x0, x1 = round(left * scale), max(round(left * scale) + 3, round((left + wide) * scale))
        y0, y1 = round(top * scale), max(round(top * scale) + 3, round((top + high) * scale))
        light = rng.random() < 0.6
        paper = _vary(rng.choice(_STICKERS), rng) if rng.random() < 0.7 else _vary((235, 235, 235), rng)
        print_ink = (rng.randrange(90),) * 3 if light else _vary((235, 235, 235), rng)
        if not light:
            paper = tuple(round(v * rng.uniform(0.3, 0.7)) for v in paper)  # type: ignore[assignment]
        cv2.rectangle(plate, (x0, y0), (x1, y1), paper, -1)
        if rng.random() < 0.7:
            cv2.rectangle(plate, (x0, y0), (x1, y1), print_ink, max(1, round(scale * rng.uniform(0.8, 3))))
        rows = rng.randint(1, 3)
        step = (y1 - y0) / (rows + 0.4)
        for row in range(rows):  # letters of 5 to 20 mm, too small to be read from a street: strokes with gaps
            x = x0 + (x1 - x0) * rng.uniform(0.12, 0.3)
            while x < x1 - (x1 - x0) * 0.12:
                stroke = max(1.0, (x1 - x0) * rng.uniform(0.08, 0.2))
                upper = y0 + step * (row + rng.uniform(0.3, 0.5))
                cv2.rectangle(plate, (round(x), round(upper)), (round(min(x + stroke, x1 - 1)), round(y0 + step * (row + 1))), print_ink, -1)
                x += stroke * rng.uniform(1.2, 2.2)
        top += high + field.height_mm * rng.uniform(0.0, 0.06)


def _separator(character: str, width_px: int, height_px: int, rng: random.Random) -> Mask:
    """A mark between runs: a dash, a dot, a colon of stickers, a coat of arms, or a glyph."""
    mask = np.zeros((height_px, width_px), np.uint8)
    if character in "•●◆" or (character in "-·: " and width_px > height_px * 0.2 and rng.random() < 0.12):
        character = "◆"
    middle, thick = height_px // 2, max(1, round(height_px * 0.11))
    if character in "-–":
        cv2.rectangle(mask, (round(width_px * 0.1), middle - thick // 2), (round(width_px * 0.9), middle + (thick + 1) // 2), 255, -1)
    elif character in "·•.":
        cv2.circle(mask, (width_px // 2, middle if character != "." else height_px - thick), max(1, thick), 255, -1, cv2.LINE_AA)
    elif character == ":":
        for y in (height_px // 3, height_px * 3 // 4):
            cv2.circle(
                mask,
                (width_px // 2, y),
                max(1, min(width_px // 2 - 1, round(height_px * 0.14))),
                rng.randint(90, 220),
                rng.choice((-1, max(1, thick // 2))),
                cv2.LINE_AA,
            )
    elif character in outline_characters():
        return outline_glyph(character, sample_style("plain", random.Random(0)), width_px, height_px)
    elif character != " ":
        _draw_emblem(mask, rng)
    return mask


def _draw_emblem(mask: Mask, rng: random.Random, solid: bool = False) -> None:
    """A coat of arms, a state's outline or a seal: a shape with something inside, light or dark, in place; `solid` ones are filled and fill the mask."""
    height, width = mask.shape
    tall = rng.uniform(0.8, 1.0) if solid else rng.uniform(0.45, 0.95)
    wide = rng.uniform(0.75, 1.0) if solid else min(0.98, rng.uniform(0.6, 1.0))
    x0, x1 = width * (1 - wide) / 2, width * (1 + wide) / 2
    y0, y1 = height * (1 - tall) / 2, height * (1 + tall) / 2
    centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
    kind = rng.random()
    if kind < 0.4:
        shape = np.array([(x0, y0), (x1, y0), (x1, y0 + (y1 - y0) * 0.6), (centre_x, y1), (x0, y0 + (y1 - y0) * 0.6)])
    elif kind < 0.75:
        angles = np.linspace(0, 2 * np.pi, rng.randint(5, 12), endpoint=False)
        radii = np.array([rng.uniform(0.45, 1.0) for _ in angles])
        shape = np.stack([centre_x + np.cos(angles) * radii * (x1 - x0) / 2, centre_y + np.sin(angles) * radii * (y1 - y0) / 2], axis=1)
    else:
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        shape = np.stack([centre_x + np.cos(angles) * (x1 - x0) / 2, centre_y + np.sin(angles) * min(y1 - y0, x1 - x0) / 2], axis=1)
    points = np.round(shape * 16).astype(np.int32)
    if solid:
        cv2.fillPoly(mask, [points], rng.randint(130, 255), cv2.LINE_AA, 4)
    elif rng.random() < 0.65:
        cv2.fillPoly(mask, [points], rng.randint(40, 230), cv2.LINE_AA, 4)
    else:
        cv2.polylines(mask, [points], True, rng.randint(120, 255), max(1, width // 10), cv2.LINE_AA, 4)
    for _ in range(rng.randint(0, 4)):
        at = round(rng.uniform(x0, x1)), round(rng.uniform(y0, y1))
        size = max(1, round(width * rng.uniform(0.06, 0.25))), max(1, round(height * rng.uniform(0.04, 0.16)))
        if rng.random() < 0.5:
            cv2.ellipse(mask, at, size, rng.uniform(0, 180), 0, 360, rng.choice((0, 60, 160, 255)), -1, cv2.LINE_AA)
        else:
            cv2.line(
                mask, at, (round(rng.uniform(x0, x1)), round(rng.uniform(y0, y1))), rng.choice((0, 60, 160, 255)), max(1, width // 12), cv2.LINE_AA
            )


def _blend(plate: Image, relief: Mask | None, mask: Mask, x: int, y: int, colour: tuple[int, int, int], width: int, height: int) -> None:
    x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + mask.shape[1]), min(height, y + mask.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    part = mask[y0 - y : y1 - y, x0 - x : x1 - x]
    region = plate[y0:y1, x0:x1]
    under = region.astype(np.float32).reshape(y1 - y0, -1)  # rows of R G B R G B: numpy is slow at loops over three channels
    alpha = cv2.cvtColor(part, cv2.COLOR_GRAY2RGB).reshape(y1 - y0, -1) * np.float32(1 / 255)
    blended = np.full((x1 - x0, 3), colour, np.float32).ravel() - under
    blended *= alpha
    blended += under
    region[:] = blended.reshape(region.shape).astype(np.uint8)
    if relief is not None:
        np.maximum(relief[y0:y1, x0:x1], part, out=relief[y0:y1, x0:x1])


def _draw_border(plate: Image, relief: Mask, line_px: float, scale: float, ink: tuple[int, int, int], rng: random.Random) -> None:
    height, width = plate.shape[:2]
    inset = rng.uniform(0.5, 5) * scale
    line = max(1, round(line_px * rng.uniform(0.7, 1.4)))
    a, b = round(inset + line / 2), round(inset + line / 2)
    colour = ink if rng.random() < 0.85 else _vary((128, 128, 128), rng)
    radius = rng.uniform(2, 10) * scale
    points = _rounded_box(a, b, width - 1 - a, height - 1 - b, radius)
    cv2.polylines(plate, [points], True, colour, line, cv2.LINE_AA)
    cv2.polylines(relief, [points], True, 255, line)


def _rounded_box(x0: float, y0: float, x1: float, y1: float, radius: float) -> NDArray[np.int32]:
    points: list[tuple[float, float]] = []
    for cx, cy, start in (
        (x1 - radius, y0 + radius, -90),
        (x1 - radius, y1 - radius, 0),
        (x0 + radius, y1 - radius, 90),
        (x0 + radius, y0 + radius, 180),
    ):
        for degrees in range(start, start + 91, 30):
            points.append((cx + radius * math.cos(math.radians(degrees)), cy + radius * math.sin(math.radians(degrees))))
    return np.round(np.array(points)).astype(np.int32)


def _draw_mark(plate: Image, mark: Mark, scale: float, rng: random.Random) -> None:
    height, width = plate.shape[:2]
    x0, y0, x1, y1 = (round(v * scale) for v in mark.box_mm)
    colour = _vary(parse_colour(mark.colour), rng)
    if mark.kind in ("band", "rect"):
        cv2.rectangle(plate, (x0, y0), (max(x0, x1 - 1), max(y0, y1 - 1)), colour, -1)
    elif mark.kind == "frame":
        cv2.rectangle(plate, (x0, y0), (x1, y1), colour, max(1, round(mark.line_mm * scale)), cv2.LINE_AA)
    elif mark.kind == "circle" and mark.box_mm[2] - mark.box_mm[0] >= _EMBLEM_MM and rng.random() < 0.7:
        emblem = np.zeros((max(3, y1 - y0), max(3, x1 - x0)), np.uint8)
        _draw_emblem(emblem, rng)
        _blend(plate, None, emblem, x0, y0, colour, width, height)
    elif mark.kind == "circle" and mark.box_mm[2] - mark.box_mm[0] >= _EMBLEM_MM and rng.random() < 0.5:
        radius = max(1, (x1 - x0) // 2)
        cv2.circle(plate, ((x0 + x1) // 2, (y0 + y1) // 2), radius, colour, max(1, radius // rng.randint(2, 4)), cv2.LINE_AA)
    elif mark.kind == "circle":
        cv2.circle(plate, ((x0 + x1) // 2, (y0 + y1) // 2), max(1, (x1 - x0) // 2), colour, -1, cv2.LINE_AA)
    elif mark.kind == "flag":
        for i, stripe in enumerate(mark.stripes):
            a, b = (round(y0 + (y1 - y0) * k / len(mark.stripes)) for k in (i, i + 1))
            cv2.rectangle(plate, (x0, a), (x1, max(a, b - 1)), parse_colour(stripe), -1)
    elif mark.texts:
        _draw_words(plate, rng.choice(mark.texts), (x0, y0, x1, y1), colour, rng, width, height)


def _draw_words(
    plate: Image,
    words: str,
    box: tuple[int, int, int, int],
    colour: tuple[int, int, int],
    rng: random.Random,
    width: int,
    height: int,
) -> None:
    """Small print, scaled into the box; a system font when there is one, OpenCV's otherwise."""
    box_w, box_h = max(3, box[2] - box[0]), max(3, box[3] - box[1])
    mask = _words_mask(words, rng.choice(latin_fonts()) if latin_fonts() else None, 20 if box_h <= 20 else 40)
    factor = min(box_w / mask.shape[1], box_h / mask.shape[0])
    size = max(2, round(mask.shape[1] * factor)), max(2, round(mask.shape[0] * factor))
    small = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    _blend(plate, None, small, box[0] + (box_w - size[0]) // 2, box[1] + (box_h - size[1]) // 2, colour, width, height)


def _words_mask(words: str, font: SystemFont | None, height_px: int) -> Mask:
    return np.hstack([_small_glyph(character, font, height_px) for character in words]) if words else np.zeros((height_px, 10), np.uint8)


@lru_cache(maxsize=4_000)
def _small_glyph(character: str, font: SystemFont | None, height_px: int) -> Mask:
    """A character of small print on a line of 40 px, or of 20 px, with the space after it. Read only."""
    if height_px < 40:
        large = _small_glyph(character, font, 40)
        return np.asarray(cv2.resize(large, (large.shape[1] // 2, height_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if character == " ":
        return np.zeros((40, 14), np.uint8)
    if font is not None:
        return np.pad(font_glyph(character, font, 30, 36, False), ((2, 2), (0, 2)))
    if character.upper() in outline_characters():
        return np.pad(outline_glyph(character.upper(), sample_style("plain", random.Random(1)), 24, 36), ((2, 2), (2, 3)))
    return np.zeros((40, 12), np.uint8)


def _emboss(plate: Image, relief: Mask, rng: random.Random) -> None:
    """Light on one side and shadow on the other side of raised glyphs."""
    offset = rng.choice(((1, 1), (-1, 1), (0, 1), (1, 0)))
    shifted = np.roll(relief, offset, axis=(0, 1)).astype(np.int16)
    slope = ((shifted - relief) * np.float32(rng.uniform(0.08, 0.28))).astype(np.int16)
    cv2.add(plate, cv2.merge((slope, slope, slope)), plate, dtype=cv2.CV_8U)


def _grime(plate: Image, relief: Mask, ink: tuple[int, int, int], rng: random.Random) -> None:
    """A film of road dirt that brings the background close to the ink, in place; raised glyphs stay a little cleaner or a little dirtier."""
    height, width = plate.shape[:2]
    noise = np.random.default_rng(rng.getrandbits(32))
    dirt = [min(255, max(0, round(c + rng.uniform(-15, 45)))) for c in ink] if rng.random() < 0.6 else [rng.randint(50, 120)] * 3
    film = np.full((height, width), rng.uniform(0.45, 0.88), np.float32)
    film += (_noise_field(height, width, rng.choice((5, 12, 30)), noise) - 0.5) * rng.uniform(0.05, 0.35)
    film *= 1 - relief.astype(np.float32) / 255 * rng.uniform(0.0, 0.5)
    _cover(plate, (dirt[0], dirt[1], dirt[2]), np.clip(film, 0, 0.95))


def _draw_screws(plate: Image, scale: float, rng: random.Random) -> None:
    if rng.random() < 0.45:
        return
    height, width = plate.shape[:2]
    top = rng.random() < 0.5
    radius = max(1, round(rng.uniform(3, 8) * scale))
    grey = rng.randint(40, 220)
    near, far = rng.uniform(0.02, 0.28), rng.uniform(0.72, 0.98)
    heights = ((0.1,) if top else (0.1, 0.9)) if rng.random() < 0.6 else (0.5,)
    if heights == (0.5,):
        near, far = 0.025, 0.975
    for y in heights:
        for x in (near, far):
            cv2.circle(plate, (round(x * width), round(y * height)), radius, (grey, grey, min(255, grey + 6)), -1, cv2.LINE_AA)


def _noise_field(height: int, width: int, cells: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth random field in 0..1 with about `cells` blobs over the width."""
    small = rng.random((max(2, round(cells * height / width) + 1), max(2, round(cells))), dtype=np.float32)
    if width >= 5 * cells:  # cubic at half the size and straight lines between look the same in less than half the time
        small = np.asarray(cv2.resize(small, (width // 2, max(2, height // 2)), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _ramp(first: float, last: float, count: int) -> NDArray[np.float32]:
    """`count` values from `first` to `last` in even steps, as a column."""
    return np.arange(count, dtype=np.float32)[:, None] * np.float32((last - first) / max(1, count - 1)) + np.float32(first)


def _weather(plate: Image, scale: float, rng: random.Random, wear: float) -> None:
    """Dirt, worn paint, scratches, and now and then snow, in place."""
    height, width = plate.shape[:2]
    noise = np.random.default_rng(rng.getrandbits(32))
    strength = rng.random() ** 2 * 0.75 * wear
    field = _noise_field(height, width, rng.choice((3, 6, 14, 40)), noise)
    gradient = _ramp(rng.uniform(0, 0.6), rng.uniform(0, 1.0), height)
    alpha = np.clip((field - 0.45 + gradient * 0.4) * (strength * 1.6), 0, 0.85)
    dirt = rng.choice(((96, 84, 70), (60, 56, 52), (130, 120, 108), (150, 140, 120)))
    _cover(plate, dirt, alpha)
    if rng.random() < 0.25 * wear:
        for _ in range(rng.randint(1, 5)):
            p = [(rng.randrange(width), rng.randrange(height)) for _ in range(2)]
            tone = rng.randint(60, 230)
            cv2.line(plate, p[0], (p[0][0] + (p[1][0] - p[0][0]) // 4, p[1][1]), (tone, tone, tone), 1, cv2.LINE_AA)
    if rng.random() < 0.04 * wear:
        field = _noise_field(height, width, 9, noise) + _ramp(-0.3, 0.25, height)[:: rng.choice((1, -1))]
        _cover(plate, (235, 235, 238), np.clip((field - 0.85) * 5, 0, 0.7))


def _cover(plate: Image, colour: tuple[int, int, int], alpha: NDArray[np.floating]) -> None:
    """Lays a colour over the plate, `alpha (H, W)` in 0..1, in place."""
    alpha = alpha.astype(np.float32, copy=False)
    cv2.blendLinear(plate, _plain(plate.shape[0], plate.shape[1], colour), 1 - alpha, alpha, plate)


def _surround(plate: Image, margin: float, rng: random.Random, wear: float) -> tuple[Image, Quad]:
    """Puts the plate on bodywork, often in a holder with a dealer's line."""
    height, width = plate.shape[:2]
    pad_x, pad_y = round(width * margin), round(max(height * 0.6, width * margin * 0.5))
    noise = np.random.default_rng(rng.getrandbits(32))
    tone = np.array([rng.randint(5, 235)] * 3, np.float32) + noise.uniform(-25, 25, 3).astype(np.float32)
    canvas_h, canvas_w = height + 2 * pad_y, width + 2 * pad_x
    small_h, small_w = max(2, canvas_h // 5), max(2, canvas_w // 5)
    shade = np.broadcast_to(_ramp(rng.uniform(-40, 40), rng.uniform(-40, 40), small_h), (small_h, small_w))
    if rng.random() < 0.6:
        shade = shade + (_noise_field(small_h, small_w, rng.choice((3, 6, 12, 30)), noise) - 0.5) * rng.uniform(0, 130)
    small = cv2.merge([np.clip(shade + level, 0, 255).astype(np.uint8) for level in tone])
    canvas = np.asarray(cv2.resize(small, (canvas_w, canvas_h), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 5)):
            y = rng.randrange(canvas_h)
            level = rng.randint(0, 255)
            cv2.line(canvas, (0, y), (canvas_w, y + rng.randint(-10, 10)), (level, level, level), rng.randint(1, max(2, height // 6)), cv2.LINE_AA)
    if rng.random() < 0.6:
        _draw_holder(canvas, (pad_x, pad_y, pad_x + width, pad_y + height), height, rng)
    canvas[pad_y : pad_y + height, pad_x : pad_x + width] = plate
    if rng.random() < 0.12:
        lip = max(1, round(height * rng.uniform(0.02, 0.08)))
        side = rng.choice(("top", "bottom"))
        y0 = pad_y if side == "top" else pad_y + height - lip
        canvas[y0 : y0 + lip, pad_x : pad_x + width] = rng.randint(5, 70)
    if rng.random() < 0.1 * wear:
        _light(canvas, (pad_x, pad_y, width, height), rng)
    return canvas, box_to_quad(pad_x, pad_y, pad_x + width, pad_y + height)


def _light(canvas: Image, box: tuple[int, int, int, int], rng: random.Random) -> None:
    """One or two lamps above the plate at night: they outshine what is next to them, often the tops of the characters, and leave the rest dim."""
    left, top, width, height = box
    rows, columns = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
    spread_x, spread_y = width * rng.uniform(0.05, 0.13), height * rng.uniform(0.15, 0.4)
    places = (0.5,) if rng.random() < 0.25 else (0.5 - rng.uniform(0.15, 0.3), 0.5 + rng.uniform(0.15, 0.3))
    above, peak, pool = rng.uniform(-0.1, 0.4), rng.uniform(60, 330), rng.uniform(0, 60)
    lit = np.zeros(canvas.shape[:2], np.float32)
    for place in places:
        x, y = left + width * (place + rng.uniform(-0.04, 0.04)), top - height * above
        for amount, wide in ((peak * rng.uniform(0.7, 1.0), 1.0), (pool, 3.0)):
            lit += amount * np.exp(-((columns - x) ** 2) / (2 * (wide * spread_x) ** 2) - ((rows - y) ** 2) / (2 * (wide * spread_y) ** 2)).astype(
                np.float32
            )
    dim = rng.uniform(0.35, 0.9)
    canvas[:] = np.clip(canvas * dim + lit[..., None], 0, 255).astype(np.uint8)


def _draw_holder(canvas: Image, box: tuple[int, int, int, int], height: int, rng: random.Random) -> None:
    x0, y0, x1, y1 = box
    rim = max(1, round(height * rng.uniform(0.02, 0.14)))
    bottom = max(rim, round(height * rng.uniform(0.05, 0.3)))
    above = rim if rng.random() < 0.8 else bottom
    level = rng.choice((15, 25, 40, 200, 225)) + rng.randint(-10, 10)
    cv2.rectangle(canvas, (x0 - rim, y0 - above), (x1 + rim - 1, y1 + bottom - 1), (level, level, level), -1)
    if rng.random() < 0.75:
        words = " ".join(rng.choice(_DEALER_WORDS) for _ in range(rng.randint(1, 4)))
        if rng.random() < 0.5:
            words += " " + "".join(rng.choice("0123456789-") for _ in range(rng.randint(5, 9)))
        if rng.random() < 0.25:
            words = "".join(rng.choice(LATIN) for _ in range(rng.randint(4, 14)))
        ink = _vary((230, 230, 230) if level < 128 else (30, 30, 30), rng) if rng.random() < 0.8 else _vary((220, 180, 40), rng)
        inset = round((x1 - x0) * rng.uniform(0, 0.35))
        h, w = canvas.shape[:2]
        _draw_words(canvas, words, (x0 + inset, y1 + 1, x1 - inset, y1 + bottom - 1), ink, rng, w, h)
        if above == bottom:
            _draw_words(canvas, words, (x0 + inset, y0 - above + 1, x1 - inset, y0 - 1), ink, rng, w, h)
