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

MODELS = ("two-stage", "end-to-end")
"""How photos are read: by a detector, a straightener and a reader, or by one network that shares its features."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image with its origin. `index` counts frames of one source from 0; `time_s` is None for photos."""

    image: Image
    source: str
    index: int = 0
    time_s: float | None = None

    @property
    def picture(self) -> NDArray[np.uint8]:
        """What plates are followed in: the image, or its brightness as `(H, W) uint8` where that is at hand sooner."""
        return self.image


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
    """One possible text with its probability. `format` is `COUNTRY/type` or None when no known format fits."""

    text: str
    confidence: float
    format: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader says of one crop.

    `text` is the best candidate, "" when nothing was read; `confidence` is the calibrated probability that the whole text is right;
    `country` and `format` are None when no known format fits; `lines` is 1 or 2; `candidates` are sorted, best first, include `text`, and their
    confidences sum to at most 1. `country_confidence` and `format_confidence` are the probabilities that country and format are right if the text is,
    among the formats that are known and allow it; None when none does.
    """

    text: str
    confidence: float
    characters: tuple[Character, ...]
    candidates: tuple[Candidate, ...]
    country: str | None
    format: str | None
    lines: int
    country_confidence: float | None = None
    format_confidence: float | None = None


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


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One plate in the newest frame of a stream.

    `id` is that of its sighting. `seen` says whether the plate was found in this very frame or followed into it; otherwise `quad` is where it should be.
    `reading` is what all looks so far say together, None before the first; `status` is "read" once they make a sighting, "unreadable" until then.
    """

    id: str
    quad: Quad
    seen: bool
    status: Literal["read", "unreadable"]
    detection_confidence: float
    reading: Reading | None


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One visit of one plate: what is known of it by now.

    `text` is None while `status` is "unreadable"; then `reasons` says why, and the candidates stay in `reading`. `reading` is what all looks say together.
    `quad`, `crop` (the plate straightened, `(h, w, 3) uint8 RGB`) and `picture` (the whole frame as JPEG, None where frames are not kept) are of frame
    number `frame` at `frame_s`, whose own look says the text. Times are seconds of the stream.

    `looks` counts the times the reader looked and `agreeing` those kept looks that know the text. `direction` is "approaching", "receding", "across" or
    "still"; `heading` is where it moved in the picture ("left", "down-right", ...), None when it hardly did. `parked` says that it stands;
    `crossed` is "in" or "out" once it crossed the counting line.
    """

    id: str
    status: Literal["read", "unreadable"]
    text: str | None
    reading: Reading
    first_s: float
    last_s: float
    looks: int
    agreeing: int
    detection_confidence: float
    frame: int
    frame_s: float
    quad: Quad
    crop: Image | None
    picture: bytes | None
    direction: Literal["approaching", "receding", "across", "still"]
    heading: str | None
    parked: bool
    crossed: Literal["in", "out"] | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SightingEvent:
    """News of a sighting at `time_s` of the stream: it opened, improved or closed."""

    state: Literal["open", "update", "closed"]
    time_s: float
    sighting: Sighting


@dataclass(frozen=True, slots=True)
class WatchCounts:
    """What watching cost and gave so far.

    `detector_runs`, `straightener_runs` and `reader_runs` are runs of the networks. `read` and `unreadable` count closed sightings, `crossed_in` and
    `crossed_out` those that crossed the counting line. `rejected` counts by reason what became no sighting of a text: detections that a mask, a zone or a
    size ruled out ("masked", "outside", "size"), tracks that were no plates ("no_plate", "glimpse", "duplicate") and each reason of an unreadable sighting.
    """

    frames: int
    detector_runs: int
    straightener_runs: int
    reader_runs: int
    read: int
    unreadable: int
    crossed_in: int
    crossed_out: int
    rejected: tuple[tuple[str, int], ...]
