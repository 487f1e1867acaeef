"""Films of painted plates, and a pipeline that says of each plate in each frame what a test tells it to."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.charset import Charset
from openplate.formats import load_formats
from openplate.geometry import box_to_quad
from openplate.read.decode import Decoder
from openplate.types import Crop, Detection, Frame, Image, Quad, SightingEvent
from openplate.watch import Watcher

CHARSET = Charset()
WIDTH, HEIGHT = 640, 360
FPS = 25.0
Cell = str | Mapping[str, float]
Says = str | Sequence[Cell]
"""What the reader says of a plate: a text, or for each place the likely characters; what is missing to 1 is blank."""


def view(cells: Says) -> NDArray[np.float32]:
    """`(T, K)` log-probabilities of two rows of which the upper one writes, a blank after each cell."""
    length = 2 * max(1, len(cells))
    probabilities = np.zeros((2 * length, len(CHARSET)))
    for i, cell in enumerate(cells):
        for character, p in {cell: 0.999}.items() if isinstance(cell, str) else cell.items():
            probabilities[2 * i, CHARSET.encode(character)[0]] = p
    probabilities[:, 0] = 1 - probabilities.sum(axis=1)
    return np.log(np.maximum(probabilities, 1e-12)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Shown:
    """A plate in one frame: `face` names what is painted, `says` what the reader reads, `found` the detector's confidence (0: not found)."""

    face: str
    says: Says
    x: float
    y: float
    width: float = 96.0
    found: float = 0.9
    aspect: float = 4.0

    @property
    def quad(self) -> Quad:
        """Its corners."""
        w, h = self.width / 2, self.width / self.aspect / 2
        return box_to_quad(self.x - w, self.y - h, self.x + w, self.y + h)


@dataclass
class Film:
    """`script` says what each frame shows, by its number; what stands first lies behind."""

    script: Callable[[int], Sequence[Shown]]
    country: tuple[str, ...] = ("ru",)
    detected: list[int] = field(default_factory=list)
    """Frames that the detector saw."""
    read: list[tuple[int, str]] = field(default_factory=list)
    """Frame and face of every look."""

    def __post_init__(self) -> None:
        self.decoder = _decoder(self.country)
        self._looking: tuple[int, Shown | None] = (0, None)
        grain = np.random.default_rng(5).integers(60, 120, (HEIGHT // 4, WIDTH // 4), dtype=np.uint8)
        self._ground = cv2.cvtColor(cv2.resize(grain, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2RGB)

    def frame(self, number: int, time_s: float | None = None) -> Frame:
        """The painted frame; its number is hidden in the first pixel."""
        image = self._ground.copy()
        for shown in self.script(number):
            _paint(image, shown)
        image[0, 0] = number // 256, number % 256, 0
        return Frame(image, "film", number, number / FPS if time_s is None else time_s)

    def detect(self, image: Image) -> list[Detection]:
        number = _number(image)
        self.detected.append(number)
        return [Detection(shown.quad, shown.found) for shown in self.script(number) if shown.found > 0]

    def straighten(self, image: Image, quad: Quad) -> Quad:
        number = _number(image)
        middle = quad.mean(axis=0)
        near = [s for s in reversed(self.script(number)) if abs(s.x - middle[0]) < s.width / 4 and abs(s.y - middle[1]) < s.width / 8]
        self._looking = number, near[0] if near else None
        return quad

    def log_probabilities(self, crop: Crop) -> NDArray[np.float32]:
        number, shown = self._looking
        self.read.append((number, shown.face if shown else ""))
        return view(shown.says if shown else "")


def play(watcher: Watcher, film: Film, numbers: range) -> list[SightingEvent]:
    """Feed frames; their events."""
    return [event for number in numbers for event in watcher.feed(film.frame(number))]


def lines(events: Sequence[SightingEvent]) -> list[tuple[str, str, str | None]]:
    """State, id and text of each event."""
    return [(event.state, event.sighting.id, event.sighting.text) for event in events]


def closed(events: Sequence[SightingEvent]) -> list[str | None]:
    """Texts of the sightings that closed, in order."""
    return [event.sighting.text for event in events if event.state == "closed"]


@lru_cache
def _decoder(country: tuple[str, ...]) -> Decoder:
    return Decoder(load_formats(), CHARSET, country)


@lru_cache
def _texture(face: str) -> Image:
    """A face of its own blocks, 192×48 px."""
    cells = np.random.default_rng(zlib.crc32(face.encode())).integers(0, 2, (6, 24)).astype(np.uint8) * 200 + 30
    return cv2.cvtColor(cv2.resize(cells, (192, 48), interpolation=cv2.INTER_NEAREST), cv2.COLOR_GRAY2RGB)


def _number(image: Image) -> int:
    return int(image[0, 0, 0]) * 256 + int(image[0, 0, 1])


def _paint(image: Image, shown: Shown) -> None:
    """Painted to a fraction of a pixel."""
    texture = _texture(shown.face)
    left, top = int(shown.x - shown.width), int(shown.y - shown.width)
    region = image[max(0, top) : top + int(2 * shown.width), max(0, left) : left + int(2 * shown.width)]
    inside = shown.quad - np.array([max(0, left), max(0, top)], np.float32)
    homography = cv2.getPerspectiveTransform(box_to_quad(0, 0, 192, 48) - 0.5, inside - 0.5)
    size = (region.shape[1], region.shape[0])
    mask = cv2.warpPerspective(np.full((48, 192), 255, np.uint8), homography, size, flags=cv2.INTER_LINEAR) > 127
    region[mask] = cv2.warpPerspective(texture, homography, size, flags=cv2.INTER_AREA)[mask]
