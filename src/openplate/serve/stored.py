"""Stored sightings in, their JSON form out: what the calls, the live events, webhooks and MQTT share. docs/cameras-service.md describes each key."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from openplate.results import shown_confidence
from openplate.serve.schemas import Candidate, Character
from openplate.store import ListMatch, Sighting, Vehicle

STORED_VERSION = 1
"""Grows when a key is renamed, removed or changes its meaning; new keys do not change it."""
_YEARS = (1970, 2999)

EXAMPLE: dict[str, Any] = {
    "version": 1,
    "seq": 7,
    "id": "gate-20270331T150000Z-2",
    "camera": "gate",
    "source": "rtsp://10.0.0.5/stream1",
    "status": "read",
    "text": "A123BC77",
    "confidence": 0.9931,
    "characters": [{"text": "A", "confidence": 0.9993}],
    "candidates": [{"text": "A123BC77", "confidence": 0.9931, "format": "RU/1"}],
    "country": "RU",
    "format": "RU/1",
    "first": "2027-03-31T15:04:05.120000Z",
    "last": "2027-03-31T15:04:08.480000Z",
    "looks": 5,
    "direction": "approaching",
    "parked": False,
    "quad": [[812.4, 640.1], [951.0, 642.7], [950.6, 673.9], [812.1, 671.0]],
    "reasons": [],
    "stored": "2027-03-31T15:04:29.010000Z",
    "pictures": [{"id": 12, "kind": "frame", "url": "/v1/pictures/12", "media_type": "image/jpeg", "size_bytes": 148210, "sha256": "9f86d0…"}],
    "lists": [{"list": "residents", "kind": "allow", "entry": 3, "probability": 0.9931}],
    "vehicle": {
        "plate": "A123BC77",
        "make": "Lada",
        "model": "Vesta",
        "colour": "white",
        "owner": "flat 12",
        "permit_until": None,
        "probability": 0.99,
    },
    "match": None,
}
"""A sighting as the API documents it."""


def _in_range(time: AwareDatetime) -> AwareDatetime:
    if not _YEARS[0] <= time.year <= _YEARS[1]:
        raise ValueError(f"expected a year from {_YEARS[0]} to {_YEARS[1]}, got {time.year}")
    return time


Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
"""A time with a time zone, in years that every database can keep."""


class StoredPicture(BaseModel):
    """Evidence of a sighting: GET its `url`."""

    id: int
    kind: str
    url: str
    media_type: str
    size_bytes: int
    sha256: str


class StoredMatch(BaseModel):
    """A list that the sighting is on, and the probability."""

    list: str
    kind: str
    entry: int | None
    probability: float

    @classmethod
    def of(cls, match: ListMatch) -> Self:
        """The match as the API gives it."""
        return cls(list=match.list, kind=match.kind, entry=match.entry, probability=round(match.probability, 6))


class RegisteredVehicle(BaseModel):
    """A vehicle of the register. `permit_until` is the first moment at which the permit no longer holds, null when there is no end."""

    plate: str = Field(max_length=64, examples=["A123BC77"])
    make: str = Field(default="", max_length=200, examples=["Lada"])
    model: str = Field(default="", max_length=200, examples=["Vesta"])
    colour: str = Field(default="", max_length=200, examples=["white"])
    owner: str = Field(default="", max_length=200, examples=["flat 12"])
    permit_until: Moment | None = Field(default=None, examples=["2027-04-01T00:00:00Z"])

    @classmethod
    def of(cls, vehicle: Vehicle) -> Self:
        """The vehicle as the API gives it."""
        return cls(
            plate=vehicle.plate,
            make=vehicle.make,
            model=vehicle.model,
            colour=vehicle.colour,
            owner=vehicle.owner,
            permit_until=vehicle.permit_until,
        )


class SeenVehicle(RegisteredVehicle):
    """The register's vehicle that a sighting shows, with the probability that it does."""

    probability: float


class StoredSighting(BaseModel):
    """A sighting with its evidence, the lists that it is on and its vehicle.

    `seq` grows in the order of storing; 0 while the visit is not over and nothing is stored. `match` belongs to a fuzzy search: the probability that the
    plate is the one searched for.
    """

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    version: int = STORED_VERSION
    seq: int
    id: str
    camera: str
    source: str
    status: Literal["read", "unreadable"]
    text: str | None
    confidence: float
    characters: list[Character]
    candidates: list[Candidate]
    country: str | None
    format: str | None
    first: AwareDatetime
    last: AwareDatetime
    looks: int
    direction: str | None
    parked: bool
    quad: list[list[float]] | None = Field(description="corners in the first picture, px")
    reasons: list[str]
    stored: AwareDatetime
    pictures: list[StoredPicture]
    lists: list[StoredMatch]
    vehicle: SeenVehicle | None
    match: float | None = None

    @classmethod
    def of(cls, sighting: Sighting, match: float | None = None) -> Self:
        """The sighting as the API gives it; `match` is that of a fuzzy search."""
        vehicle = sighting.vehicle
        return cls(
            seq=sighting.seq,
            id=sighting.id,
            camera=sighting.camera,
            source=sighting.source,
            status=sighting.status,
            text=sighting.text,
            confidence=shown_confidence(sighting.confidence),
            characters=[Character(text=c.text, confidence=shown_confidence(c.confidence)) for c in sighting.characters],
            candidates=[Candidate(text=c.text, confidence=shown_confidence(c.confidence), format=c.format) for c in sighting.candidates],
            country=sighting.country,
            format=sighting.format,
            first=sighting.first,
            last=sighting.last,
            looks=sighting.looks,
            direction=sighting.direction,
            parked=sighting.parked,
            quad=None if sighting.quad is None else [[round(float(x), 2), round(float(y), 2)] for x, y in sighting.quad],
            reasons=list(sighting.reasons),
            stored=sighting.stored,
            pictures=[
                StoredPicture(id=p.id, kind=p.kind, url=f"/v1/pictures/{p.id}", media_type=p.media_type, size_bytes=p.size_bytes, sha256=p.hash)
                for p in sighting.pictures
            ],
            lists=[StoredMatch.of(one) for one in sighting.lists],
            vehicle=None
            if vehicle is None
            else SeenVehicle(**RegisteredVehicle.of(vehicle.vehicle).model_dump(), probability=round(vehicle.probability, 6)),
            match=None if match is None else round(match, 6),
        )

    def as_json(self) -> dict[str, Any]:
        """The sighting as a JSON object."""
        return self.model_dump(mode="json")
