"""What goes into the store and what comes out: frozen dataclasses; times are aware `datetime`s and come back in UTC."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from openplate.charset import normalise
from openplate.errors import StoreError
from openplate.geometry import as_quad
from openplate.types import Candidate, Character, Quad

Status = Literal["read", "unreadable"]
EntryKind = Literal["plate", "wildcard", "regex"]
How = Literal["exact", "wildcard", "contains", "fuzzy"]
Order = Literal["time", "match"]
Group = Literal["hour", "day", "camera", "country", "status", "list"]
Role = Literal["read", "write", "admin"]
DeliveryState = Literal["pending", "delivered", "dead"]
MEDIA_TYPES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
"""What evidence may be, and the suffix of its file."""


@dataclass(frozen=True, slots=True, eq=False)
class NewPicture:
    """Evidence to be kept: an encoded image. `kind` says what it shows, such as "frame" or "crop"; `quad` is the plate's place in it."""

    kind: str
    data: bytes
    media_type: str = "image/jpeg"
    quad: Quad | None = None


@dataclass(frozen=True, slots=True, eq=False)
class NewSighting:
    """A finished sighting to be stored.

    `id` is the caller's and unique: a sighting that is stored twice is kept once. `text` is None when `status` is "unreadable"; the best guess is then
    the first candidate. `characters` belong to the best candidate, `candidates` are sorted, best first. The sighting's time, by which it is found and sorted, is `last`.
    `looks` counts the frames in which the plate was read. `quad` lies in the first picture.
    """

    id: str
    camera: str
    source: str
    status: Status
    text: str | None
    confidence: float
    characters: tuple[Character, ...]
    candidates: tuple[Candidate, ...]
    country: str | None
    format: str | None
    first: datetime
    last: datetime
    looks: int = 1
    direction: str | None = None
    parked: bool = False
    quad: Quad | None = None
    reasons: tuple[str, ...] = ()
    pictures: tuple[NewPicture, ...] = ()


Blur = Callable[[NewPicture], NewPicture | None]
"""Makes plates in a picture unrecognisable; None when nothing of it may be kept."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Stored evidence: `hash` is the SHA-256 of its bytes, as hexadecimal digits."""

    id: int
    kind: str
    hash: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ListMatch:
    """A sighting is on a list with this probability. `entry` is the best matching entry's id, None when that was deleted later."""

    list: str
    kind: str
    entry: int | None
    probability: float


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A row of the register. `permit_until` is the first moment at which the permit no longer holds; None when there is no end."""

    plate: str
    make: str = ""
    model: str = ""
    colour: str = ""
    owner: str = ""
    permit_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class VehicleMatch:
    """The register's vehicle that a sighting most probably shows."""

    vehicle: Vehicle
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A stored sighting. `seq` grows in the order of storing. `lists` were matched when it was stored; `vehicle` is what the register says now.

    With hashed plates `text` and the candidates' texts are hashes (`h:` and 32 hexadecimal digits), and the characters' texts are "".
    """

    seq: int
    id: str
    camera: str
    source: str
    status: Status
    text: str | None
    confidence: float
    characters: tuple[Character, ...]
    candidates: tuple[Candidate, ...]
    country: str | None
    format: str | None
    first: datetime
    last: datetime
    looks: int
    direction: str | None
    parked: bool
    quad: Quad | None
    reasons: tuple[str, ...]
    stored: datetime
    pictures: tuple[Picture, ...]
    lists: tuple[ListMatch, ...]
    vehicle: VehicleMatch | None


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for; every filter that is given has to hold.

    Args:
        plate: a text, read as `how` says; None for any.
        how: "exact"; "wildcard" (`*` any run, `?` any character, `@` a letter, `#` a digit); "contains" a part; or "fuzzy": up to `edits` characters
            replaced, missing or too many, where look-alikes count as equal, in the text or any candidate.
        edits: 0 to 2, for "fuzzy".
        min_match: least match probability, for "fuzzy".
        since, until: since <= time < until, by the sightings' last look.
        cameras, countries, lists: any of these.
        min_confidence: least confidence.
        status: "read" or "unreadable"; None for both.
        order: "time", newest first; or "match", surest first, for "fuzzy".
    """

    plate: str | None = None
    how: How = "exact"
    edits: int = 1
    min_match: float = 0.0
    since: datetime | None = None
    until: datetime | None = None
    cameras: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    min_confidence: float = 0.0
    status: Status | None = None
    order: Order = "time"


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """A sighting that was found; `match` is the probability that its plate is the one that was searched for, None unless the search was fuzzy."""

    sighting: Sighting
    match: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Part of what was found; `next` is the cursor of the next page, None on the last one."""

    hits: tuple[Hit, ...]
    next: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A sighting as it is kept, and whether it was stored now (False: the store had its id already and changed nothing)."""

    sighting: Sighting
    fresh: bool


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A message that has to reach a target, such as "webhook:gate"."""

    target: str
    payload: str


@dataclass(frozen=True, slots=True)
class Count:
    """How many sightings fall into a group: an hour or a day as ISO 8601 in UTC, or a camera, country, status or list."""

    group: str
    sightings: int


def checked(new: NewSighting) -> NewSighting:
    """The sighting with its texts in the project's spelling.

    Raises:
        StoreError: a value is out of range or contradicts another.
    """
    texts = [new.id, new.camera, new.source, new.text or "", new.country or "", new.format or "", new.direction or "", *new.reasons]
    confidences = [new.confidence, *(c.confidence for c in new.characters), *(c.confidence for c in new.candidates)]
    quad_is_finite = True
    if new.quad is not None:
        try:
            as_quad(new.quad)
        except ValueError:
            quad_is_finite = False
    rules = (
        (1 <= len(new.id) <= 64, "an id of 1 to 64 characters"),
        (bool(new.camera), "a camera"),
        (new.status in ("read", "unreadable"), 'status "read" or "unreadable"'),
        ((new.text is not None) == (new.status == "read"), "a text exactly when the status is read"),
        (new.text is None or bool(normalise(new.text)), "a text that is not empty"),
        (all(0 <= c <= 1 and not math.isnan(c) for c in confidences), "confidences from 0 to 1"),
        (new.first.tzinfo is not None and new.last.tzinfo is not None, "times with a time zone"),
        (new.looks >= 1, "at least one look"),
        (quad_is_finite, "four finite corners"),
        (all("\0" not in text for text in texts), "texts without NUL"),
        (all(p.media_type in MEDIA_TYPES and p.data for p in new.pictures), f"pictures that are not empty, as {' '.join(MEDIA_TYPES)}"),
    )
    for holds, expected in rules:
        if not holds:
            raise StoreError(f"sighting {new.id!r}: expected {expected}")
    if new.first > new.last:
        raise StoreError(f"sighting {new.id!r}: expected the first look not after the last, got {new.first.isoformat()} and {new.last.isoformat()}")
    return NewSighting(
        id=new.id,
        camera=new.camera,
        source=new.source,
        status=new.status,
        text=normalise(new.text) if new.text is not None else None,
        confidence=float(new.confidence),
        characters=tuple(Character(normalise(c.text), float(c.confidence)) for c in new.characters),
        candidates=tuple(Candidate(normalise(c.text), float(c.confidence), c.format) for c in new.candidates if normalise(c.text)),
        country=new.country.upper() if new.country else None,
        format=new.format,
        first=new.first.astimezone(UTC),
        last=new.last.astimezone(UTC),
        looks=int(new.looks),
        direction=new.direction,
        parked=bool(new.parked),
        quad=new.quad,
        reasons=new.reasons,
        pictures=new.pictures,
    )
