"""The values that cross folders: frozen dataclasses, no behaviour beyond what their fields say.

Arrays: an *image* is `(H, W, 3) uint8 RGB`; a *quad* is `(4, 2) float32 px, (x, y), TL TR BR BL` in the frame's pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""`(H, W, 3) uint8 RGB`."""
Quad = NDArray[np.float32]
"""`(4, 2) float32 px, (x, y), TL TR BR BL`."""
Crop = NDArray[np.uint8]
"""A rectified plate: `(H, W) uint8` grey at the reader's input size."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image with its origin. `index` counts frames of one source from 0; `time_s` is None for photos."""

    image: Image
    source: str
    index: int = 0
    time_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """A plate's place in an image: its quad and the detector's confidence that a plate is there (0-1)."""

    quad: Quad
    confidence: float


@dataclass(frozen=True, slots=True)
class Character:
    """One character of a reading and the probability that it is right (0-1)."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible text with its posterior. `format` is `COUNTRY/type` or None when no known format fits."""

    text: str
    confidence: float
    format: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader says of one crop.

    `text` is the best candidate, "" when nothing was read; `confidence` is the calibrated probability that the whole text is right;
    `country` and `format` are None when no known format fits; `lines` is 1 or 2; `candidates` are sorted, best first, and include `text`.
    """

    text: str
    confidence: float
    characters: tuple[Character, ...]
    candidates: tuple[Candidate, ...]
    country: str | None
    format: str | None
    lines: int


@dataclass(frozen=True, slots=True, eq=False)
class Plate:
    """A detection with its reading in one image.

    `status` is "unreadable" when the confidence lies under the threshold or no text came out; then `text` is None, `reason` says why,
    and the candidates stay in `reading`.
    """

    status: Literal["read", "unreadable"]
    text: str | None
    reason: str | None
    detection: Detection
    reading: Reading


@dataclass(frozen=True, slots=True)
class EngineReport:
    """Which engine really runs a network: taken from the engine after it compiled the network, never from what was asked for."""

    name: str
    version: str
    device: str
    precision: str
    threads: int

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {"name": self.name, "version": self.version, "device": self.device, "precision": self.precision, "threads": self.threads}


@dataclass(frozen=True, slots=True)
class Milliseconds:
    """Wall-clock time of each stage for one image, in milliseconds."""

    decode: float
    detect: float
    rectify: float
    read: float


@dataclass(frozen=True, slots=True, eq=False)
class PhotoResult:
    """Everything that one image gave: its size in px, its plates (left to right order is not promised: most confident detection first) and its times."""

    source: str
    width: int
    height: int
    plates: tuple[Plate, ...]
    engine: EngineReport
    milliseconds: Milliseconds
