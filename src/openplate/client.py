"""Calls in, the service's answers as frozen dataclasses out: a typed client of the HTTP service. docs/client.md shows it.

Needs the extra `client`, which `serve` and `page` bring.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from types import TracebackType, UnionType
from typing import Any, Literal, Self, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from urllib.parse import quote

import httpx
import numpy as np

from openplate.errors import ServiceError, SourceError
from openplate.types import Candidate, Character, Detection, EngineReport, Milliseconds, PhotoResult, Plate, Quad, Reading

_RECONNECT_S = 2.0
_SILENT_S = 45.0
"""The service says every 15 s that it is still there."""
DEFAULT_SERVER = "http://127.0.0.1:8080"
How = Literal["exact", "wildcard", "contains", "fuzzy"]
Order = Literal["time", "match"]
Status = Literal["read", "unreadable"]
EntryKind = Literal["plate", "wildcard", "regex"]
Privacy = Literal["plain", "hash"]
Group = Literal["hour", "day", "camera", "country", "status", "list"]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Picture:
    """Evidence of a sighting; `Client.picture` fetches its bytes. `kind` says what it shows, such as "frame" or "crop"."""

    id: int
    kind: str
    url: str
    media_type: str
    size_bytes: int
    sha256: str


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
class SeenVehicle(Vehicle):
    """The register's vehicle that a sighting most probably shows, and how probable that is."""

    probability: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class StoredSighting:
    """A sighting as the service keeps it.

    `seq` grows in the order of storing; 0 while the visit is not over and nothing is stored. `text` is None when `status` is "unreadable". Times are in UTC.
    `quad` lies in the first picture. `match` is the probability that the plate is the one that a fuzzy search looked for, None after other calls.
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
    vehicle: SeenVehicle | None
    match: float | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for; every filter that is given has to hold. docs/store.md explains each."""

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


EVERYTHING = Query()


@dataclass(frozen=True, slots=True, eq=False)
class SightingPage:
    """Part of what was found; `next` is the cursor of the next page, None on the last one."""

    sightings: tuple[StoredSighting, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many sightings fall into a group: an hour or a day as ISO 8601 in UTC, or a camera, country, status or list; None for those without one."""

    group: str | None
    sightings: int


@dataclass(frozen=True, slots=True)
class PlateList:
    """A list. `min_match` is the probability from which a sighting counts as being on it; `keep_days` replaces the retention of its sightings."""

    name: str
    kind: str
    note: str = ""
    min_match: float = 0.5
    keep_days: float | None = None


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be added to a list; it holds for valid_from <= time < valid_until."""

    pattern: str
    kind: EntryKind = "plate"
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a list; where plates are hashed, `pattern` is a hash."""

    id: int
    pattern: str
    kind: EntryKind
    valid_from: datetime | None
    valid_until: datetime | None
    note: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of a CSV file that was not imported: its line, counted from 1, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Import:
    """What became of a CSV file's rows."""

    added: int
    updated: int
    unchanged: int
    faults: tuple[Fault, ...]
    ignored_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewCamera:
    """A camera to be added. `watch` and `stream` are settings as in a camera's file (docs/video.md); `start` watches it at once, and whenever the service runs.

    `recorded_at` says when a recording begins.
    """

    name: str
    source: str
    country: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    watch: Mapping[str, Any] = field(default_factory=dict)
    stream: Mapping[str, Any] = field(default_factory=dict)
    recorded_at: datetime | None = None
    start: bool = True


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """How a camera is doing.

    `state` is "stopped", "starting", "connecting", "running", "ended" or "restarting"; `fps` are frames a second that are watched, `dropped` those that
    came faster. `error` says what is wrong, None when all is well.
    """

    state: str
    frames: int
    fps: float
    dropped: int
    reconnects: int
    restarts: int
    sightings: int
    last_frame: datetime | None
    width: int | None
    height: int | None
    error: str | None
    error_at: datetime | None


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera and how it is doing. `source` comes without user name and password; `wanted` says whether it is to be watched."""

    name: str
    source: str
    country: tuple[str, ...]
    only: tuple[str, ...]
    watch: dict[str, Any]
    stream: dict[str, Any]
    recorded_at: datetime | None
    wanted: bool
    status: CameraStatus


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """Something that happened.

    `topic` is "sighting" (one was stored), "opened" or "updated" (a vehicle that is still there; its `seq` is 0) or "camera" (a camera's state changed).
    `sighting` belongs to the first three; `state` and `error` to the last.
    """

    topic: str
    camera: str
    sighting: StoredSighting | None = None
    state: str | None = None
    error: str | None = None


class Client:
    """The service at an address. Safe for several threads; a context manager.

    Every call raises `ServiceError` when the service cannot be reached, refuses, or answers in a form that is not known.

    Args:
        server: the address, such as `https://plates.example:8443`.
        key: an API key; None where the service needs none.
        timeout_s: how long the service may be silent.
        transport: stands in for the network, in tests.
    """

    def __init__(
        self, server: str = DEFAULT_SERVER, key: str | None = None, timeout_s: float = 30.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.server = server.rstrip("/")
        if not self.server.startswith(("http://", "https://")):
            raise ServiceError(f"expected an address such as {DEFAULT_SERVER}, got {server!r}")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ServiceError("expected an API key of ASCII characters without line breaks; copy it again")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._patient = httpx.Timeout(timeout_s, read=_SILENT_S)
        try:
            self._http = httpx.Client(base_url=self.server, headers=headers, timeout=timeout_s, transport=transport)
        except (httpx.InvalidURL, ValueError) as error:
            raise ServiceError(f"expected an address such as {DEFAULT_SERVER}, got {server!r}: {error}") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def check(self) -> None:
        """Fail unless the service answers and the key, if one is needed, is known."""
        self.lists()

    def privacy(self) -> Privacy:
        """Whether the service keeps plates, or hashes in their place."""
        return cast(Privacy, _object(self._call("GET", "/healthz")).get("privacy", "plain"))

    # Photos

    def read(
        self,
        picture: bytes | Path,
        *,
        country: Sequence[str] = (),
        only: Sequence[str] = (),
        min_confidence: float | None = None,
        cropped: bool = False,
    ) -> list[PhotoResult]:
        """The plates in a picture file or in its bytes: one result for each picture in it, at least one. Nothing is stored.

        Args:
            picture: JPEG, PNG, WebP, BMP, TIFF or GIF.
            country: codes of countries to expect.
            only: codes of countries to allow.
            min_confidence: below it a plate is unreadable; None for the service's own.
            cropped: the picture is a plate already.

        Raises:
            SourceError: the file cannot be opened.
        """
        answer = self._post_picture(picture, _read_options(country, only, min_confidence, cropped))
        return [photo_from_json(one) for one in _array(answer)]

    def annotated(self, picture: bytes | Path, *, country: Sequence[str] = (), only: Sequence[str] = ()) -> bytes:
        """The picture with its plates marked, as a JPEG file.

        Raises:
            SourceError: the file cannot be opened.
        """
        return self._post_picture(picture, _read_options(country, only, None, False) | {"annotate": "true"}).content

    # Sightings

    def search(self, query: Query = EVERYTHING, cursor: str | None = None, size: int = 50) -> SightingPage:
        """One page of what is found, newest first; `cursor` is `next` of the page before."""
        parameters = _parameters(query) + [("size", str(size))] + ([("cursor", cursor)] if cursor else [])
        return _value(SightingPage, _object(self._call("GET", "/v1/sightings", params=parameters)), "page")

    def sightings(self, query: Query = EVERYTHING, page_size: int = 200) -> Iterator[StoredSighting]:
        """All that is found, page by page as it is asked for: each sighting that was there from the start exactly once."""
        cursor = None
        while True:
            page = self.search(query, cursor, page_size)
            yield from page.sightings
            if page.next is None:
                return
            cursor = page.next

    def sighting(self, sighting_id: str) -> StoredSighting | None:
        """The sighting of an id, None when there is none."""
        found = self._find(f"/v1/sightings/{_part(sighting_id)}")
        return None if found is None else _value(StoredSighting, found, "sighting")

    def count(self, by: Group, query: Query = EVERYTHING) -> list[Count]:
        """How many sightings a query finds, by hour, day, camera, country, status or list."""
        answer = self._call("GET", "/v1/sightings/counts", params=[*_parameters(query), ("by", by)])
        return [_value(Count, one, "count") for one in _array(answer)]

    def export_csv(self, query: Query = EVERYTHING) -> bytes:
        """All that is found as a CSV file."""
        return self._call("GET", "/v1/sightings.csv", params=_parameters(query)).content

    def picture(self, picture: Picture) -> bytes:
        """The bytes of a picture that proves a sighting."""
        return self._call("GET", f"/v1/pictures/{picture.id}").content

    # Lists

    def lists(self) -> list[PlateList]:
        """All lists, by name."""
        return [_value(PlateList, one, "list") for one in _array(self._call("GET", "/v1/lists"))]

    def create_list(self, new: PlateList) -> PlateList:
        """Make a list without entries."""
        return _value(PlateList, _object(self._call("POST", "/v1/lists", json=asdict(new))), "list")

    def change_list(self, name: str, changed: PlateList) -> PlateList:
        """Give the list of this name the values of `changed`, its name too."""
        return _value(PlateList, _object(self._call("PATCH", f"/v1/lists/{_part(name)}", json=asdict(changed))), "list")

    def remove_list(self, name: str) -> None:
        """Delete a list with its entries."""
        self._call("DELETE", f"/v1/lists/{_part(name)}")

    def entries(self, name: str) -> list[Entry]:
        """A list's entries, in the order in which they were added."""
        return [_value(Entry, one, "entry") for one in _array(self._call("GET", f"/v1/lists/{_part(name)}/entries"))]

    def add_entries(self, name: str, entries: Sequence[NewEntry]) -> list[Entry]:
        """Add entries, all or none; one that is there already gets the new note and validity."""
        answer = self._call("POST", f"/v1/lists/{_part(name)}/entries", json=[_as_json(entry) for entry in entries])
        return [_value(Entry, one, "entry") for one in _array(answer)]

    def remove_entry(self, name: str, entry_id: int) -> None:
        """Delete an entry of a list."""
        self._call("DELETE", f"/v1/lists/{_part(name)}/entries/{entry_id}")

    # Register

    def vehicles(self, after: str = "", size: int = 100) -> list[Vehicle]:
        """Vehicles by plate, those after a plate."""
        answer = _object(self._call("GET", "/v1/register", params={"after": after, "size": str(size)}))
        return [_value(Vehicle, one, "vehicle") for one in answer.get("vehicles", ())]

    def vehicle(self, plate: str) -> Vehicle | None:
        """The vehicle with exactly this plate, None when there is none."""
        found = self._find(f"/v1/register/{_part(plate)}")
        return None if found is None else _value(Vehicle, found, "vehicle")

    def put_vehicle(self, vehicle: Vehicle) -> Vehicle:
        """Add a vehicle, or replace what the register says of its plate; gives it as it is kept."""
        values = {name: value for name, value in _as_json(vehicle).items() if name not in ("plate", "probability")}
        return _value(Vehicle, _object(self._call("PUT", f"/v1/register/{_part(vehicle.plate)}", json=values)), "vehicle")

    def remove_vehicle(self, plate: str) -> None:
        """Delete a vehicle."""
        self._call("DELETE", f"/v1/register/{_part(plate)}")

    def import_register(self, data: bytes) -> Import:
        """Import a CSV file of vehicles; faulty rows are listed, the others are imported."""
        answer = self._call("POST", "/v1/register/import", content=data, headers={"Content-Type": "text/csv"})
        return _value(Import, _object(answer), "import")

    # Cameras

    def cameras(self) -> list[Camera]:
        """All cameras and how they are doing, by name."""
        return [_value(Camera, one, "camera") for one in _array(self._call("GET", "/v1/cameras"))]

    def camera(self, name: str) -> Camera | None:
        """A camera, None when there is none of that name."""
        found = self._find(f"/v1/cameras/{_part(name)}")
        return None if found is None else _value(Camera, found, "camera")

    def add_camera(self, new: NewCamera) -> Camera:
        """Add a camera."""
        return _value(Camera, _object(self._call("POST", "/v1/cameras", json=_as_json(new))), "camera")

    def change_camera(self, name: str, changes: Mapping[str, Any]) -> Camera:
        """Change a camera: `changes` has the fields of `NewCamera` that are to change, but not `name` and `start`. One that runs begins anew."""
        return _value(Camera, _object(self._call("PATCH", f"/v1/cameras/{_part(name)}", json=_plain(changes))), "camera")

    def start_camera(self, name: str) -> Camera:
        """Watch a camera, now and whenever the service runs."""
        return _value(Camera, _object(self._call("POST", f"/v1/cameras/{_part(name)}/start")), "camera")

    def stop_camera(self, name: str) -> Camera:
        """Stop watching a camera; visits that are going on are stored."""
        return _value(Camera, _object(self._call("POST", f"/v1/cameras/{_part(name)}/stop")), "camera")

    def remove_camera(self, name: str) -> None:
        """Stop and forget a camera; its sightings stay."""
        self._call("DELETE", f"/v1/cameras/{_part(name)}")

    def snapshot(self, name: str, *, marked: bool = False) -> bytes | None:
        """What a camera sees now, as a JPEG file, with the plates marked if wanted; None when it has no picture now."""
        try:
            return self._call("GET", f"/v1/cameras/{_part(name)}/snapshot", params={"marked": "true"} if marked else {}).content
        except ServiceError as error:
            if error.status == 409:
                return None
            raise

    # Live

    def events(self, topics: Sequence[str] = (), cameras: Sequence[str] = (), after: int | None = None) -> Iterator[Event]:
        """What happens from now on, without end. When the connection is lost, it is made again, and no stored sighting is missed.

        Args:
            topics: which events; all when empty.
            cameras: of which cameras; of all when empty.
            after: begin with the sightings stored after this `seq`; None for those that come from now on.

        Raises:
            ServiceError: the service cannot be reached at first, or refuses; while it is lost later on, it is tried again every two seconds.
        """
        parameters = [("topic", one) for one in topics] + [("camera", one) for one in cameras]
        known = False
        while True:
            try:
                for event, seq in self._stream(parameters + ([("after", str(after))] if after is not None else [])):
                    known = True
                    after = after if seq is None else seq
                    if event is not None:
                        yield event
            except ServiceError as error:
                if not known or (error.status is not None and error.status < 500):
                    raise
            time.sleep(_RECONNECT_S)

    # How calls are made

    def _stream(self, parameters: list[tuple[str, str]]) -> Iterator[tuple[Event | None, int | None]]:
        """The events of one connection, each with the number of the sighting behind which to go on, if it says one; no event as soon as it stands."""
        try:
            with self._http.stream("GET", "/v1/events", params=tuple(parameters), timeout=self._patient) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _refusal(answer)
                yield None, None
                for topic, data, seq in _messages(answer.iter_bytes()):
                    yield None if data is None else _event(topic, data), seq
        except httpx.HTTPError as error:
            raise self._lost(error) from None

    def _post_picture(self, picture: bytes | Path, parameters: Mapping[str, str]) -> httpx.Response:
        if isinstance(picture, Path):
            try:
                data, name = picture.read_bytes(), picture.name
            except OSError as error:
                raise SourceError(f"{picture}: cannot be read: {(error.strerror or str(error)).lower()}") from None
        else:
            data, name = picture, "picture"
        return self._call("POST", "/v1/read", params=dict(parameters), files={"file": (name, data, "application/octet-stream")})

    def _find(self, path: str) -> Mapping[str, Any] | None:
        """The object at a path, None when the service says that there is none."""
        try:
            return _object(self._call("GET", path))
        except ServiceError as error:
            if error.status == 404:
                return None
            raise

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise self._lost(error) from None
        if answer.is_success:
            return answer
        raise _refusal(answer)

    def _lost(self, error: httpx.HTTPError) -> ServiceError:
        return ServiceError(f"{self.server} does not answer ({str(error) or type(error).__name__}); is the service running there?")


def photo_from_json(data: Mapping[str, Any]) -> PhotoResult:
    """The result that `openplate.results.photo_as_json` wrote.

    Raises:
        ServiceError: a key is missing, or a value is of another kind.
    """
    try:
        return PhotoResult(
            source=data["image"],
            width=data["width"],
            height=data["height"],
            plates=tuple(_plate(one) for one in data["plates"]),
            engine=_value(EngineReport, data["engine"], "engine"),
            milliseconds=_value(Milliseconds, data["milliseconds"], "milliseconds"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _strange(f"a photo's result: {error!r}") from None


def _plate(data: Mapping[str, Any]) -> Plate:
    reading = Reading(
        text=data["candidates"][0]["text"] if data["candidates"] else data["text"] or "",
        confidence=data["confidence"],
        characters=_value(tuple[Character, ...], data["characters"], "characters"),
        candidates=_value(tuple[Candidate, ...], data["candidates"], "candidates"),
        country=data["country"],
        format=data["format"],
        lines=data["lines"],
        country_confidence=data.get("country_confidence"),
        format_confidence=data.get("format_confidence"),
    )
    return Plate(data["status"], data["text"], data["reason"], Detection(_quad(data["quad"]), data["detection_confidence"]), reading)


def _quad(corners: Any) -> Quad:
    quad = np.asarray(corners, np.float32)
    if quad.shape != (4, 2):
        raise ValueError(f"expected four corners, got {corners!r}")
    return quad


def _read_options(country: Sequence[str], only: Sequence[str], min_confidence: float | None, cropped: bool) -> dict[str, str]:
    options = {"country": ",".join(country), "only": ",".join(only)}
    options = {name: value for name, value in options.items() if value}
    if min_confidence is not None:
        options["min_confidence"] = str(min_confidence)
    if cropped:
        options["cropped"] = "true"
    return options


def _parameters(query: Query) -> list[tuple[str, str]]:
    """A query as parameters of an address; what has its default is left out."""
    names = {"cameras": "camera", "countries": "country", "lists": "list"}
    found: list[tuple[str, str]] = []
    for known in fields(query):
        value = getattr(query, known.name)
        if value == known.default:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            found.append((names.get(known.name, known.name), one.isoformat() if isinstance(one, datetime) else str(one)))
    return found


def _part(text: str) -> str:
    """A text as one part of an address."""
    return quote(text, safe="")


def _as_json(value: Any) -> dict[str, Any]:
    return _plain(asdict(value))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON knows them."""
    return {name: one.isoformat() if isinstance(one, datetime) else one for name, one in values.items()}


def _messages(parts: Iterator[bytes]) -> Iterator[tuple[str, Any, int | None]]:
    """The messages of a `text/event-stream`: topic, JSON value and number; the value is None where only a number is told, which holds from then on.

    Only line feeds end lines there; comments and other fields are passed over.
    """
    rest = b""
    topic, data = "", ""
    seq: int | None = None
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            name, _, value = line.decode().rstrip("\r").partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                topic = value
            elif name == "data":
                data += value
            elif name == "id":
                seq = int(value) if value.isascii() and value.isdecimal() else seq
            elif not name and not value and not line.startswith(b":"):
                if data:
                    try:
                        yield topic, json.loads(data), seq
                    except ValueError:
                        raise _strange("JSON in an event") from None
                elif seq is not None:
                    yield topic, None, seq
                topic, data, seq = "", "", None


def _event(topic: str, data: Any) -> Event:
    try:
        if topic == "camera":
            return Event(topic, data["camera"], state=data["state"], error=data["error"])
        sighting: StoredSighting = _value(StoredSighting, data, topic)
    except (KeyError, TypeError) as error:
        raise _strange(f"an event: {error!r}") from None
    return Event(topic, sighting.camera, sighting)


def _object(answer: httpx.Response) -> Mapping[str, Any]:
    data = _json(answer)
    if not isinstance(data, Mapping):
        raise _strange(f"an object, got {type(data).__name__}")
    return data


def _array(answer: httpx.Response) -> list[Any]:
    data = _json(answer)
    if not isinstance(data, list):
        raise _strange(f"an array, got {type(data).__name__}")
    return data


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise _strange(f"JSON, got {answer.headers.get('content-type', 'something')}") from None


def _refusal(answer: httpx.Response) -> ServiceError:
    """The error that an answer tells of: its problem details where it has any."""
    try:
        detail = json.loads(answer.content).get("detail")
    except (ValueError, AttributeError):
        detail = None
    wait = answer.headers.get("retry-after", "")
    return ServiceError(str(detail or f"{answer.status_code} {answer.reason_phrase}"), answer.status_code, float(wait) if wait.isdecimal() else None)


def _strange(expected: str) -> ServiceError:
    return ServiceError(
        f"the service answered in a form that is not known; expected {expected}; is it of another version, or is something else there?"
    )


def _value(kind: type[Value] | Any, data: Any, where: str) -> Value:
    """JSON as the type that a dataclass says. Keys that it does not have are passed over: a newer service may send more.

    Raises:
        ServiceError: a key is missing, or a value is of another kind.
    """
    try:
        return _convert(kind, data)  # type: ignore[no-any-return]
    except (KeyError, TypeError, ValueError) as error:
        raise _strange(f"{where}: {error!r}") from None


@cache
def _fields(kind: type) -> tuple[dict[str, Any], frozenset[str]]:
    """A dataclass's fields with their types, and the names of those that have no default."""
    hints = get_type_hints(kind)
    known = fields(kind)
    return {one.name: hints[one.name] for one in known}, frozenset(
        one.name for one in known if one.default is MISSING and one.default_factory is MISSING
    )


def _convert(kind: Any, data: Any) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if data is None else _convert(next(part for part in parts if part is not type(None)), data)
    if kind == Quad:
        return _quad(data)
    if is_dataclass(kind):
        hints, needed = _fields(cast(type, kind))
        missing = needed - data.keys()
        if missing:
            raise KeyError(min(missing))
        return cast(type, kind)(**{name: _convert(hint, data[name]) for name, hint in hints.items() if name in data})
    if origin is dict:
        return dict(data)
    if origin is tuple:
        return tuple(_convert(parts[0], one) for one in data)
    if kind is datetime:
        return datetime.fromisoformat(data)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if isinstance(kind, type) and not isinstance(data, kind):
        raise TypeError(f"expected {kind.__name__}, got {data!r}")
    return data
