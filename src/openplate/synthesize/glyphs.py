"""Characters in, anti-aliased glyph bitmaps out: our own stroke outlines in the standards' proportions, and freely licensed system fonts.

An outline is a set of strokes of constant thickness. A stroke is a list of points in the unit square (x to the right, y down) that the
*centre line* passes; a point with `*` is a corner that the style rounds, `z` closes the stroke.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.charset import DIGITS, LATIN, UMLAUTS
from openplate.errors import OpenPlateError

Mask = NDArray[np.uint8]
"""`(H, W) uint8`, 255 where there is ink."""

# Several outlines for one character are variants; a style picks one for a whole plate.
_OUTLINES: dict[str, tuple[str, ...]] = {
    "0": ("0,0* 1,0* 1,1* 0,1* z",),
    "1": (".1,.28 .7,0 .7,1", ".2,.2 .55,0 .55,1", ".15,.25 .55,0 .55,1; .1,1 1,1", ".5,0 .5,1; .25,.14 .5,0"),
    "2": ("0,.27 0,0* 1,0* 1,.45* 0,1 1,1", "0,.25 0,0* 1,0* 1,.38* 0,.86 0,1 1,1"),
    "3": ("0,.22 0,0* 1,0* 1,.46* .45,.46; .45,.46 1,.46* 1,1* 0,1* 0,.78", "0,0 1,0 .45,.4 1,.4* 1,1* 0,1* 0,.78"),
    "4": (".74,1 .74,0 0,.7 1,.7", ".15,0 0,.66 1,.66; .74,.36 .74,1", ".66,0 0,.74 1,.74; .76,.45 .76,1"),
    "5": ("1,0 .1,0 .04,.46 .2,.4 1,.36* 1,1* 0,1* 0,.78", ".95,0 .05,0 .05,.44 1,.4* 1,1* 0,1* 0,.78"),
    "6": ("1,.2 1,0* 0,0* 0,1* 1,1* 1,.42* 0,.42* 0,.62", ".8,0 .1,.5* 0,1* 1,1* 1,.42* .1,.42* 0,.7"),
    "7": ("0,0 1,0 .34,1", "0,0 1,0 1,.12 .4,.6* .36,1", "0,.14 0,0 1,0 .4,1"),
    "8": (".06,0* .94,0* .94,.46* .06,.46* z; 0,.46* 1,.46* 1,1* 0,1* z",),
    "9": ("0,.8 0,1* 1,1* 1,0* 0,0* 0,.58* 1,.58* 1,.38", ".2,1 .9,.5* 1,0* 0,0* 0,.58* .9,.58* 1,.3"),
    "A": ("0,1 .5,0 1,1; .17,.68 .83,.68", "0,1 .42,0 .58,0 1,1; .15,.7 .85,.7"),
    "B": ("0,0 .92,0* .92,.46* 0,.46; 0,.46 1,.46* 1,1* 0,1 0,0",),
    "C": ("1,.26 1,0* 0,0* 0,1* 1,1* 1,.74",),
    "D": ("0,0 1,0* 1,1* 0,1 z",),
    "E": ("1,0 0,0 0,1 1,1; 0,.48 .84,.48",),
    "F": ("1,0 0,0 0,1; 0,.48 .84,.48",),
    "G": ("1,.24 1,0* 0,0* 0,1* 1,1* 1,.54 .55,.54", "1,.24 1,0* 0,0* 0,1* 1,1* 1,.54 .55,.54; 1,.54 1,1"),
    "H": ("0,0 0,1; 1,0 1,1; 0,.48 1,.48",),
    "I": (".5,0 .5,1", ".5,0 .5,1; .15,0 .85,0; .15,1 .85,1"),
    "J": ("1,0 1,1* 0,1* 0,.7", ".3,0 1,0 1,1* 0,1* 0,.74"),
    "K": ("0,0 0,1; 1,0 0,.62; .34,.4 1,1", "0,0 0,1; 1,0 .1,.5 1,1; 0,.5 .1,.5"),
    "L": ("0,0 0,1 1,1",),
    "M": ("0,1 0,0 .5,.6 1,0 1,1", "0,1 0,0 .5,1 1,0 1,1", "0,1 0,0 .5,.42 1,0 1,1"),
    "N": ("0,1 0,0 1,1 1,0",),
    "O": ("0,0* 1,0* 1,1* 0,1* z",),
    "P": ("0,1 0,0 1,0* 1,.54* 0,.54",),
    "Q": ("0,0* 1,0* 1,1* 0,1* z; .55,.7 1,1", "0,0* 1,0* 1,1* 0,1* z; .5,.8 .95,1.02"),
    "R": ("0,1 0,0 1,0* 1,.52* 0,.52; .5,.52 1,1",),
    "S": ("1,.22 1,0* 0,0* 0,.46* 1,.5* 1,1* 0,1* 0,.78",),
    "T": ("0,0 1,0; .5,0 .5,1",),
    "U": ("0,0 0,1* 1,1* 1,0",),
    "V": ("0,0 .5,1 1,0",),
    "W": ("0,0 .25,1 .5,.3 .75,1 1,0", "0,0 .24,1 .5,0 .76,1 1,0", "0,0 .1,1 .5,.25 .9,1 1,0", "0,0 0,1 .5,.45 1,1 1,0", "0,0 .12,1 .5,0 .88,1 1,0"),
    "X": ("0,0 1,1; 1,0 0,1",),
    "Y": ("0,0 .5,.5 1,0; .5,.5 .5,1", "0,0 .54,.6; 1,0 .36,.92* .1,1"),
    "Z": ("0,0 1,0 0,1 1,1",),
}
_DRAWN_HEIGHT = 144
_NARROW = {"1": 0.62, "I": 0.4, "J": 0.88, "E": 0.92, "F": 0.92, "L": 0.9}
_WIDE = {"M": 1.1, "W": 1.18, "Q": 1.04}


@dataclass(frozen=True, slots=True)
class GlyphStyle:
    """How outlines become glyphs: `stroke` as a fraction of the glyph's height, `rounding` 0-1 (1: half circles), `variants` one index a character."""

    stroke: float
    rounding: float
    flat_ends: bool
    equal_widths: bool
    variants: tuple[tuple[str, int], ...]


# Stroke thickness over glyph height and the outline variants that each standard's type face has.
_STANDARDS: dict[str, tuple[float, float, bool, bool, dict[str, int]]] = {
    "gost": (0.125, 0.9, True, False, {"1": 0, "2": 0, "3": 0, "4": 0, "5": 0, "6": 1, "7": 0, "9": 1, "Y": 1, "K": 0, "M": 0}),
    "ga36": (0.115, 0.75, True, True, {"1": 3, "2": 0, "3": 0, "4": 0, "6": 0, "7": 0, "9": 0, "A": 1, "J": 0, "Q": 1}),
    "din": (0.14, 0.95, True, False, {"1": 0, "3": 0, "4": 0, "6": 0, "7": 0, "9": 0}),
    "fe": (0.145, 0.6, True, False, {"1": 0, "3": 1, "4": 1, "6": 1, "9": 1}),
    "uk": (0.175, 0.8, True, True, {"1": 1, "4": 0, "7": 0, "G": 1}),
    "us": (0.112, 0.8, False, False, {"1": 2, "I": 1}),
    "mercosur": (0.15, 0.9, True, False, {}),
    "plain": (0.14, 0.9, True, False, {}),
}
STYLE_NAMES = tuple(_STANDARDS)

# How often the narrow characters of a type face (1, I, J) stand in cells as narrow as they are; in the other standards every cell is alike.
_PROPORTIONAL = {"din": 0.65, "fe": 0.35, "uk": 0.9, "us": 0.3, "mercosur": 0.35, "plain": 0.5}


def sample_style(name: str, rng: random.Random) -> GlyphStyle:
    """A glyph style of a standard with the spread that wear, makers and paint give; `name` is one of `STYLE_NAMES`, others are taken as "plain"."""
    stroke, rounding, flat, equal, preferred = _STANDARDS.get(name, _STANDARDS["plain"])
    free = rng.random() < 0.15
    variants = tuple(
        (character, preferred[character] if character in preferred and not free else rng.randrange(len(outlines)))
        for character, outlines in _OUTLINES.items()
        if len(outlines) > 1
    )
    stroke = round(stroke * rng.choice((0.85, 0.93, 1.0, 1.0, 1.08, 1.18)), 3)
    return GlyphStyle(stroke, max(0.25, min(1.0, rounding + rng.choice((-0.4, -0.2, 0.0, 0.0, 0.1)))), flat, equal, variants)


def sample_proportional(name: str, rng: random.Random) -> float:
    """How far the cells of a plate's glyphs follow their widths: 0 all alike, 1 as narrow as the glyph; `name` as for `sample_style`."""
    if rng.random() >= _PROPORTIONAL.get(name, 0.0):
        return 0.0
    return 1.0 if rng.random() < 0.7 else rng.uniform(0.3, 1.0)


def outline_characters() -> str:
    """The characters that have an outline of our own."""
    return DIGITS + LATIN + UMLAUTS


def glyph_width(character: str, style: GlyphStyle) -> float:
    """Width of a glyph as a fraction of the style's normal width."""
    if style.equal_widths and character not in "1I":
        return 1.0
    return _NARROW.get(character, _WIDE.get(character, 1.0))


def outline_glyph(character: str, style: GlyphStyle, width_px: int, height_px: int) -> Mask:
    """A glyph from our own outlines, filling `(height_px, width_px)`.

    Raises:
        KeyError: the character has no outline (see `outline_characters`).
    """
    if character in UMLAUTS:
        base = {"Ä": "A", "Ö": "O", "Ü": "U"}[character]
        dots = max(2, height_px // 7)
        mask = np.zeros((height_px, width_px), np.uint8)
        mask[height_px - int(height_px * 0.8) :] = outline_glyph(base, style, width_px, int(height_px * 0.8))
        for x in (width_px * 3 // 10, width_px * 7 // 10):
            cv2.circle(mask, (x, dots // 2 + 1), dots // 2 + 1, 255, -1, cv2.LINE_AA)
        return mask
    outlines = _OUTLINES[character]
    outline = outlines[dict(style.variants).get(character, 0) % len(outlines)]
    # Drawn large once for each rough proportion, then scaled: sizes differ from plate to plate, proportions hardly.
    width = max(8, round(_DRAWN_HEIGHT * width_px / height_px / 8) * 8)
    shrink = 2 if height_px * 2 <= _DRAWN_HEIGHT else 1
    rounding = style.rounding if "*" in outline else 0.0  # kept once for all styles where there is nothing to round
    drawn = _draw_outline(outline, style.stroke, rounding, style.flat_ends, width, _DRAWN_HEIGHT, shrink)
    shrinking = height_px < _DRAWN_HEIGHT
    return np.asarray(cv2.resize(drawn, (width_px, height_px), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR), dtype=np.uint8)


@lru_cache(maxsize=20_000)
def _draw_outline(outline: str, stroke_fraction: float, rounding: float, flat_ends: bool, width: int, height: int, shrink: int) -> Mask:
    """An outline drawn at `(height, width)`, then made smaller by the whole number `shrink`, which divides both. Read only."""
    thickness = min(max(2.0, stroke_fraction * height), width * 0.42)
    canvas = np.zeros((height, width), np.uint8)
    span_x, span_y = width - thickness, height - thickness
    for stroke in outline.split(";"):
        points, rounded, closed = _parse_stroke(stroke)
        centre = [complex(p.real * span_x + thickness / 2, p.imag * span_y + thickness / 2) for p in points]
        path = list(_round_corners(centre, rounded, closed, rounding * min(span_x, span_y) * 0.55))
        if flat_ends and not closed:
            _extend_ends(path, points, thickness)
        corners = np.array([(round(p.real * 16), round(p.imag * 16)) for p in path], np.int32)
        # Shrinking smooths the edges by itself; OpenCV takes five times as long over smooth lines.
        cv2.polylines(canvas, [corners], closed, 255, round(thickness), cv2.LINE_AA if shrink == 1 else cv2.LINE_8, 4)
    if shrink > 1:
        canvas = np.asarray(cv2.resize(canvas, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return canvas


@lru_cache(maxsize=1_000)
def _parse_stroke(text: str) -> tuple[tuple[complex, ...], tuple[bool, ...], bool]:
    """The points of a stroke as x + y i, which of them are rounded, and whether the stroke is closed."""
    tokens = text.split()
    closed = tokens[-1] == "z"
    points, rounded = [], []
    for token in tokens[:-1] if closed else tokens:
        rounded.append(token.endswith("*"))
        x, y = token.rstrip("*").split(",")
        points.append(complex(float(x), float(y)))
    return tuple(points), tuple(rounded), closed


_BEZIER = tuple(((1 - i / 7) ** 2, 2 * i / 7 * (1 - i / 7), (i / 7) ** 2) for i in range(8))


def _round_corners(points: Sequence[complex], rounded: Sequence[bool], closed: bool, radius: float) -> Iterator[complex]:
    """Points of the path with each rounded corner replaced by a quadratic Bézier curve that starts and ends at most `radius` from it."""
    count = len(points)
    for i, corner in enumerate(points):
        if not rounded[i] or (not closed and i in (0, count - 1)):
            yield corner
            continue
        before, after = points[i - 1] - corner, points[(i + 1) % count] - corner
        in_length, out_length = abs(before), abs(after)
        half_in = 0.5 if rounded[i - 1] else 0.95
        half_out = 0.5 if rounded[(i + 1) % count] else 0.95
        start = corner + before * (min(1.3 * radius, in_length * half_in) / max(in_length, 1e-6))
        end = corner + after * (min(1.3 * radius, out_length * half_out) / max(out_length, 1e-6))
        middle = 0.18 * (start + end) / 2 + 0.82 * corner
        for first, second, third in _BEZIER:
            yield first * start + second * middle + third * end


def _extend_ends(path: list[complex], points: Sequence[complex], thickness: float) -> None:
    """Ends on the border of the glyph's box go on past it, in place, so that the bitmap's edge cuts them flat."""
    extended = [path[0], path[-1]]
    for i, (end, neighbour, point) in enumerate(((path[0], path[1], points[0]), (path[-1], path[-2], points[-1]))):
        direction = end - neighbour
        vertical = abs(direction.imag) > 0.7 * abs(direction.real)
        if (point.imag if vertical else point.real) in (0.0, 1.0):
            extended[i] += direction / max(abs(direction), 1e-6) * thickness
    path[0], path[-1] = extended


@dataclass(frozen=True, slots=True)
class SystemFont:
    """A font file of the system; `index` picks a face of a collection."""

    path: str
    index: int = 0


# Families under OFL, Apache or Bitstream Vera licences whose capitals resemble those of plates.
_LATIN_FAMILIES = (
    "DejaVuSans-Bold", "DejaVuSansCondensed-Bold", "DejaVuSansCondensed", "DejaVuSans", "DejaVuSansMono-Bold",
    "RobotoCondensed-Bold", "RobotoCondensed-Regular", "Roboto-Medium", "Roboto-Bold", "Roboto-Regular", "OpenSans-CondBold", "OpenSans-Semibold",
    "Lato-Bold", "Lato-Medium", "NotoSans-CondensedBold", "NotoSans-CondensedMedium", "NotoSans-Bold", "NotoSansMono-Bold", "routed-gothic", "routed-gothic-narrow",
    "OSP-DIN", "BebasNeue-Bold", "BebasNeue-Regular", "ClearSans-Bold", "ClearSans-Medium", "Carlito-Bold", "JetBrainsMono-Bold", "JetBrainsMono-Medium",
    "Inconsolata-Bold", "Cabin-Bold", "Cabin-SemiBold",
)  # fmt: skip
_CHINESE_FAMILIES = ("NotoSansCJK-Bold", "NotoSansCJK-Regular", "NotoSansCJK-Medium", "NotoSansCJK-DemiLight", "wqy-microhei")


@lru_cache(maxsize=1)
def _installed() -> dict[str, str]:
    try:
        listing = subprocess.run(["fc-list", "--format", "%{file}\n"], capture_output=True, text=True, check=False, timeout=60).stdout
        files = [Path(line) for line in listing.splitlines() if line]
    except (OSError, subprocess.TimeoutExpired):
        files = []
    if not files:
        files = [p for p in Path("/usr/share/fonts").rglob("*") if p.suffix in (".ttf", ".otf", ".ttc")]
    return {file.stem: str(file) for file in sorted(files)}


@lru_cache(maxsize=1)
def latin_fonts() -> tuple[SystemFont, ...]:
    """The usable system fonts for Latin letters and digits, possibly none (our own outlines then do alone)."""
    installed = _installed()
    return tuple(SystemFont(installed[name]) for name in _LATIN_FAMILIES if name in installed)


def has_chinese_fonts() -> bool:
    """Whether `chinese_fonts` would find one."""
    return any(name in _installed() for name in _CHINESE_FAMILIES)


@lru_cache(maxsize=1)
def chinese_fonts() -> tuple[SystemFont, ...]:
    """The usable system fonts for Chinese characters (simplified forms).

    Raises:
        OpenPlateError: none is installed.
    """
    installed = _installed()
    fonts = tuple(SystemFont(installed[name], 2 if name.startswith("NotoSansCJK") else 0) for name in _CHINESE_FAMILIES if name in installed)
    if not fonts:
        raise OpenPlateError("drawing Chinese plates needs a font with Chinese characters, found none; install Noto CJK (Debian: fonts-noto-cjk)")
    return fonts


def font_glyph(character: str, font: SystemFont, width_px: int, height_px: int, stretch: bool) -> Mask:
    """A glyph of a system font with its ink scaled to `height_px`; `stretch` fills the width too, otherwise the glyph keeps its own width up to `width_px`."""
    ink = _font_ink(character, font)
    cap_height = 96 * 0.72
    own = ink.shape[1] * (height_px / cap_height) * (width_px / (height_px * 0.62))
    width = width_px if stretch else max(1, int(min(width_px, max(own, width_px * 0.18))))
    mask = np.zeros((height_px, width_px), np.uint8)
    x = (width_px - width) // 2
    mask[:, x : x + width] = cv2.resize(ink, (width, height_px), interpolation=cv2.INTER_AREA)
    return mask


@lru_cache(maxsize=10_000)
def _font_ink(character: str, font: SystemFont) -> Mask:
    """A glyph at 96 px, cut to its ink."""
    from PIL import Image, ImageDraw

    face = _face(font.path, font.index)
    left, top, right, bottom = face.getbbox(character)
    picture = Image.new("L", (max(1, int(right - left)), max(1, int(bottom - top))), 0)
    ImageDraw.Draw(picture).text((-left, -top), character, font=face, fill=255)
    ink = np.asarray(picture, dtype=np.uint8)
    rows, columns = np.flatnonzero(ink.max(axis=1) > 64), np.flatnonzero(ink.max(axis=0) > 64)
    if len(rows) and len(columns):
        ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return ink


@lru_cache(maxsize=128)
def _face(path: str, index: int):  # type: ignore[no-untyped-def]  # Pillow is an optional extra: its types may be absent
    from PIL import ImageFont

    return ImageFont.truetype(path, 96, index=index)
