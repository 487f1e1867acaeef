"""Chance in, what recorders and cutting rooms write over a picture out: time lines, captions, watermarks, texts that look like plates."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.synthesize.faces import Box
from openplate.synthesize.glyphs import SystemFont, chinese_fonts, has_chinese_fonts, latin_fonts
from openplate.synthesize.lettering import words_mask
from openplate.types import Image

_PLACES = ("GATE 2", "CAM 03", "ENTRANCE NORTH", "LANE 1", "E-PAY", "PARKING B", "JUNCTION 14", "FRONT", "TOLL 6 EXIT", "Camera01", "DVR CH4")
_CAPTIONS = ("www.dashcam.example", "#roadvideo", "clips24.example", "news at six", "SUBSCRIBE", "Example Traffic", "city live")
_CHINESE_CAPTIONS = ("星期一", "东门入口", "人民路口", "地下车库", "南京路与中山路口")


@dataclass(frozen=True, slots=True)
class Line:
    """One line over the picture.

    `text` is a strftime pattern; `x`, `y` the fractions of the free room to the left and above; `bar` is how dark the ground behind it
    is (0: none, then the letters have a dark outline); `opacity` that of the letters.
    """

    text: str
    height_px: int
    x: float
    y: float
    font: SystemFont | None
    colour: tuple[int, int, int]
    bar: float
    opacity: float


@dataclass(frozen=True, slots=True, eq=False)
class PlacedLine:
    """A line at one moment: its box in px, and there `(H, W) uint8` of ink and of dark ground."""

    line: Line
    box: Box
    ink: NDArray[np.uint8]
    ground: NDArray[np.uint8]

    @property
    def coverage(self) -> NDArray[np.uint8]:
        """How much of the picture cannot be seen any more, 0 to 255."""
        return np.maximum(self.ground, (self.ink * self.line.opacity).astype(np.uint8))


@dataclass(frozen=True, slots=True)
class Overlay:
    """All lines of a sequence, and the time that its first frame shows."""

    lines: tuple[Line, ...]
    start: datetime

    def place(self, size: tuple[int, int], time_s: float) -> list[PlacedLine]:
        """Where the lines lie in a picture of `size` (width, height) at that time."""
        placed = []
        width, height = size
        for line in self.lines:
            words = (self.start + timedelta(seconds=int(time_s))).strftime(line.text)
            ink = np.pad(words_mask(words, line.height_px, line.font), max(1, line.height_px // 12))[:height, :width]
            x0, y0 = round(line.x * (width - ink.shape[1])), round(line.y * (height - ink.shape[0]))
            if line.bar > 0:
                ground = np.full_like(ink, round(255 * line.bar))
            else:
                ground = np.asarray(cv2.dilate(ink, np.ones((3, 3), np.uint8)) if line.opacity > 0.7 else np.zeros_like(ink), dtype=np.uint8)
            placed.append(PlacedLine(line, (x0, y0, x0 + ink.shape[1], y0 + ink.shape[0]), ink, ground))
        return placed

    def draw(self, frame: Image, time_s: float) -> None:
        """Writes the lines into a frame, in place."""
        for placed in self.place((frame.shape[1], frame.shape[0]), time_s):
            x0, y0, x1, y1 = placed.box
            region = frame[y0:y1, x0:x1].astype(np.float32)
            region *= (255 - placed.ground).astype(np.float32)[..., None] / 255
            region += (np.array(placed.line.colour, np.float32) - region) * (placed.ink.astype(np.float32)[..., None] * (placed.line.opacity / 255))
            frame[y0:y1, x0:x1] = region.astype(np.uint8)


def choose_overlay(height_px: int, plate_texts: Sequence[str], rng: random.Random) -> Overlay:
    """A recorder's time line, and now and then a caption, a watermark or a text of `plate_texts`, for a picture of that height."""
    fonts: tuple[SystemFont | None, ...] = latin_fonts() or (None,)
    mono = tuple(font for font in fonts if font is not None and "Mono" in font.path) or fonts
    size = max(10, round(height_px * rng.uniform(0.022, 0.045)))
    pattern = rng.choice(("%Y-%m-%d %H:%M:%S", "%d-%m-%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y  %H:%M:%S", "%Y/%m/%d %H:%M:%S"))
    extra = rng.random()
    if extra < 0.3 and plate_texts:
        pattern += rng.choice((" ETC - {}", "  {}", " E-PAY {} PAID")).format("".join(c for c in rng.choice(plate_texts) if c.isascii()))
    elif extra < 0.6:
        pattern += "  " + rng.choice(_PLACES)
    elif extra < 0.75:
        pattern = f"{rng.randint(0, 70)} KM/H N{rng.uniform(40, 60):.4f} E{rng.uniform(5, 60):.4f} " + pattern
    bar = rng.choice((0.0, 0.0, 1.0, 0.6))
    y = rng.choice((0.0, 0.02, 0.03, 0.97, 1.0))
    caption_font: SystemFont | None
    lines = [
        Line(
            pattern,
            size,
            rng.choice((0.0, 0.02, 0.98, 1.0)),
            y,
            rng.choice(mono),
            rng.choice(((255, 255, 255), (240, 240, 240), (250, 220, 60))),
            bar,
            1.0,
        )
    ]
    if rng.random() < 0.4:
        if has_chinese_fonts() and rng.random() < 0.4:
            words, caption_font = rng.choice(_CHINESE_CAPTIONS), chinese_fonts()[0]
        else:
            words, caption_font = rng.choice((*_CAPTIONS, *_PLACES)), rng.choice(fonts)
        opacity = rng.choice((0.35, 0.6, 1.0))
        lines.append(
            Line(
                words,
                round(size * rng.uniform(1.0, 1.9)),
                rng.uniform(0.05, 0.95),
                0.93 if y < 0.5 else 0.05,
                caption_font,
                (255, 255, 255),
                0.0,
                opacity,
            )
        )
    start = datetime(rng.randint(2012, 2026), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23), rng.randint(0, 59), rng.randint(0, 59))
    return Overlay(tuple(lines), start)
