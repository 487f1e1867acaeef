"""Lists of plates: allow, watch, block, or whatever the user calls them, with their entries."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Body, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from openplate.errors import StoreError
from openplate.serve.access import TheService, require
from openplate.serve.problems import not_found
from openplate.serve.schemas import Problem
from openplate.serve.service import Service
from openplate.serve.spelling import KIND, LIST_NAME, WITHOUT_NUL
from openplate.serve.stored import Moment
from openplate.store import Entry, NewEntry, PlateList
from openplate.store.patterns import WILDCARDS

router = APIRouter(prefix="/v1/lists", tags=["lists"], responses={422: {"model": Problem}})
_LARGEST_ID = 2**63 - 1

ListName = Annotated[str, Path(min_length=1, max_length=100, examples=["residents"])]
NewName = Annotated[str, Field(min_length=1, max_length=100, pattern=LIST_NAME, examples=["residents"])]
Kind = Annotated[str, Field(min_length=1, max_length=40, pattern=KIND, examples=["allow"], description="allow, watch, block, or a word of yours")]
Note = Annotated[str, Field(max_length=1000, pattern=WITHOUT_NUL, examples=["flats 1 to 40"])]
MinMatch = Annotated[float, Field(ge=0.02, le=1, description="probability from which a sighting counts as being on the list")]
KeepDays = Annotated[float | None, Field(ge=0, le=36500, description="replaces the retention of its sightings; null leaves it", examples=[365])]


class ListIn(BaseModel):
    """A list to be made."""

    model_config = ConfigDict(extra="forbid")

    name: NewName
    kind: Kind
    note: Note = ""
    min_match: MinMatch = 0.5
    keep_days: KeepDays = None


class ListChange(BaseModel):
    """What is to change of a list; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: NewName | None = None
    kind: Kind | None = None
    note: Note | None = None
    min_match: MinMatch | None = None
    keep_days: KeepDays = None


class ListOut(BaseModel):
    """A list."""

    name: str
    kind: str
    note: str
    min_match: float
    keep_days: float | None

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "residents", "kind": "allow", "note": "flats 1 to 40", "min_match": 0.5, "keep_days": None}}
    )


class EntryIn(BaseModel):
    """An entry to be added. It holds for valid_from <= time < valid_until."""

    model_config = ConfigDict(extra="forbid")

    pattern: str = Field(min_length=1, max_length=500, examples=["A123BC77"])
    kind: Literal["plate", "wildcard", "regex"] = Field(
        default="plate", description="a plate; a wildcard (* ? @ #); or a regular expression (RE2) that has to match the whole plate"
    )
    valid_from: Moment | None = None
    valid_until: Moment | None = Field(default=None, examples=["2027-12-31T21:00:00Z"])
    note: Note = ""


class EntryOut(BaseModel):
    """An entry; where plates are hashed, `pattern` is a hash."""

    id: int
    pattern: str
    kind: Literal["plate", "wildcard", "regex"]
    valid_from: Moment | None
    valid_until: Moment | None
    note: str

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"id": 3, "pattern": "A123BC77", "kind": "plate", "valid_from": None, "valid_until": None, "note": "flat 12"},
        }
    )


@router.get("", dependencies=[require("read")])
def lists(service: TheService) -> list[ListOut]:
    """All lists, by name."""
    return [_list_out(one) for one in service.store.lists.all()]


@router.post("", status_code=201, dependencies=[require("write")], responses={409: {"model": Problem}})
def create(service: TheService, new: ListIn) -> ListOut:
    """Make a list without entries. Lists are matched when a sighting is stored: what was stored before does not change."""
    if any(one.name == new.name for one in service.store.lists.all()):
        raise HTTPException(409, f"there is a list {new.name!r} already; change it, or take another name")
    return _list_out(service.store.lists.create(new.name, new.kind, new.note, new.min_match, new.keep_days))


@router.get("/{name}", dependencies=[require("read")], responses={404: {"model": Problem}})
def get(service: TheService, name: ListName) -> ListOut:
    """One list."""
    return _list_out(_existing(service, name))


@router.patch("/{name}", dependencies=[require("write")], responses={404: {"model": Problem}, 409: {"model": Problem}})
def change(service: TheService, name: ListName, changes: ListChange) -> ListOut:
    """Change a list."""
    found = _existing(service, name)
    # Only keep_days may become null.
    given = {key: value for key, value in changes.model_dump(exclude_unset=True).items() if value is not None or key == "keep_days"}
    changed = replace(found, **given)
    if changed.name != name and any(one.name == changed.name for one in service.store.lists.all()):
        raise HTTPException(409, f"there is a list {changed.name!r} already; take another name")
    service.store.lists.change(changed)
    return _list_out(changed)


@router.delete("/{name}", status_code=204, dependencies=[require("write")], responses={404: {"model": Problem}})
def remove(service: TheService, name: ListName) -> None:
    """Delete a list with its entries; sightings are no longer on it."""
    _existing(service, name)
    service.store.lists.remove(name)


@router.get("/{name}/entries", dependencies=[require("read")], responses={404: {"model": Problem}})
def entries(service: TheService, name: ListName) -> list[EntryOut]:
    """A list's entries, in the order in which they were added."""
    _existing(service, name)
    return [_entry_out(one) for one in service.store.lists.entries(name)]


@router.post("/{name}/entries", status_code=201, dependencies=[require("write")], responses={404: {"model": Problem}})
def add(service: TheService, name: ListName, new: Annotated[list[EntryIn], Body(min_length=1, max_length=10_000)]) -> list[EntryOut]:
    """Add entries, all or none; one that is there already gets the new note and validity."""
    _existing(service, name)
    for one in new:
        if one.kind == "plate" and set(one.pattern).intersection(WILDCARDS):
            raise HTTPException(
                422, f"entry {one.pattern!r}: expected a plate without wildcards; give a pattern with {' '.join(WILDCARDS)} the kind wildcard"
            )
    added = service.store.lists.add(name, [NewEntry(one.pattern, one.kind, one.valid_from, one.valid_until, one.note) for one in new])
    return [_entry_out(one) for one in added]


@router.delete("/{name}/entries/{entry_id}", status_code=204, dependencies=[require("write")], responses={404: {"model": Problem}})
def remove_entry(service: TheService, name: ListName, entry_id: Annotated[int, Path(examples=[3])]) -> None:
    """Delete an entry; sightings that matched it stay on the list."""
    _existing(service, name)
    if not 0 < entry_id <= _LARGEST_ID or all(one.id != entry_id for one in service.store.lists.entries(name)):
        raise not_found(f"entry {entry_id} of the list {name!r}")
    service.store.lists.remove_entry(entry_id)


def _existing(service: Service, name: str) -> PlateList:
    try:
        return service.store.lists.get(name)
    except StoreError as error:
        if error.__cause__ is not None:  # the database does not answer
            raise
        raise not_found(f"list {name!r}") from None


def _list_out(one: PlateList) -> ListOut:
    return ListOut(name=one.name, kind=one.kind, note=one.note, min_match=one.min_match, keep_days=one.keep_days)


def _entry_out(one: Entry) -> EntryOut:
    return EntryOut(id=one.id, pattern=one.pattern, kind=one.kind, valid_from=one.valid_from, valid_until=one.valid_until, note=one.note)
