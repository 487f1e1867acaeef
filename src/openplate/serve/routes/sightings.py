"""Stored sightings: search, count, export, one of them, and the pictures that prove them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field

from openplate import store as stored_things
from openplate.serve.access import TheService, require
from openplate.serve.problems import not_found
from openplate.serve.schemas import Problem
from openplate.serve.stored import EXAMPLE, Moment, StoredSighting

router = APIRouter(tags=["sightings"], dependencies=[require("read")], responses={422: {"model": Problem}})
_LARGEST_ID = 2**63 - 1
_NAME = Annotated[str, Field(min_length=1, max_length=100)]
_CSV_AT_ONCE = 64 * 1024


class SightingPage(BaseModel):
    """A page of what was found. `next` is the `cursor` of the next page, null on the last one."""

    sightings: list[StoredSighting]
    next: str | None = Field(examples=["WzAuMCwxNzc0OTY5NDQ4NDgwMDAwLDcsIjk4ZjZiY2Q0NjIxZCJd"])


class GroupCount(BaseModel):
    """How many sightings fall into a group: an hour or a day in UTC, a camera, a country, a status or a list. Null: it has none."""

    group: str | None = Field(examples=["2027-03-31T15:00Z"])
    sightings: int = Field(examples=[42])


def _query(
    plate: Annotated[
        str | None, Query(min_length=1, max_length=64, examples=["A123BC77"], description="what to look for; how says in which way")
    ] = None,
    how: Annotated[
        Literal["exact", "wildcard", "contains", "fuzzy"],
        Query(description="exact; wildcard (* any run, ? any character, @ a letter, # a digit); contains a part; fuzzy (look-alikes, and edits)"),
    ] = "exact",
    edits: Annotated[int, Query(ge=0, le=2, description="fuzzy: characters that may differ, be missing or too many")] = 1,
    min_match: Annotated[float, Query(ge=0, le=1, description="fuzzy: least probability that the plate is the one searched for")] = 0.0,
    since: Annotated[Moment | None, Query(examples=["2027-03-31T00:00:00Z"], description="seen last at this time or later")] = None,
    until: Annotated[Moment | None, Query(examples=["2027-04-01T00:00:00Z"], description="seen last before this time")] = None,
    camera: Annotated[list[_NAME], Query(max_length=100, description="any of these; repeatable")] = [],  # noqa: B006  FastAPI copies it
    country: Annotated[list[_NAME], Query(max_length=100, description="any of these codes; repeatable")] = [],  # noqa: B006
    list_: Annotated[list[_NAME], Query(alias="list", max_length=100, description="on any of these lists; repeatable")] = [],  # noqa: B006
    min_confidence: Annotated[float, Query(ge=0, le=1)] = 0.0,
    status: Annotated[Literal["read", "unreadable"] | None, Query()] = None,
    order: Annotated[Literal["time", "match"], Query(description="newest first; or, for a fuzzy search, surest first")] = "time",
) -> stored_things.Query:
    return stored_things.Query(
        plate=plate,
        how=how,
        edits=edits,
        min_match=min_match,
        since=since,
        until=until,
        cameras=tuple(camera),
        countries=tuple(country),
        lists=tuple(list_),
        min_confidence=min_confidence,
        status=status,
        order=order,
    )


TheQuery = Annotated[stored_things.Query, Depends(_query)]


@router.get("/v1/sightings", responses={200: {"content": {"application/json": {"example": {"sightings": [EXAMPLE], "next": None}}}}})
def search(
    service: TheService,
    query: TheQuery,
    cursor: Annotated[str | None, Query(max_length=300, description="next of the page before")] = None,
    size: Annotated[int, Query(ge=1, le=1000, description="sightings on a page")] = 50,
) -> SightingPage:
    """The sightings for which every given filter holds, newest first. Following `next` gives each one exactly once, whatever is stored meanwhile."""
    page = service.store.search(query, cursor, size)
    return SightingPage(sightings=[StoredSighting.of(hit.sighting, hit.match) for hit in page.hits], next=page.next)


@router.get(
    "/v1/sightings.csv",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/csv": {"example": "id,camera,source,status,text,confidence\r\ngate-1,gate,rtsp://10.0.0.5,read,A123BC77,0.99\r\n"}}}
    },
)
def export(service: TheService, query: TheQuery) -> StreamingResponse:
    """All that is found as a CSV file, however much it is."""
    lines = service.store.export_csv(query)

    def parts() -> object:
        part: list[str] = []
        size = 0
        for line in lines:
            part.append(line)
            size += len(line)
            if size > _CSV_AT_ONCE:
                yield "".join(part)
                part, size = [], 0
        yield "".join(part)

    return StreamingResponse(parts(), media_type="text/csv", headers={"Content-Disposition": 'attachment; filename="sightings.csv"'})  # type: ignore[arg-type]


@router.get(
    "/v1/sightings/counts", responses={200: {"content": {"application/json": {"example": [{"group": "2027-03-31T15:00Z", "sightings": 42}]}}}}
)
def count(
    service: TheService,
    query: TheQuery,
    by: Annotated[Literal["hour", "day", "camera", "country", "status", "list"], Query(description="what to count by")] = "hour",
) -> list[GroupCount]:
    """How many sightings are found, by hour, day, camera, country, status or list: for charts."""
    return [GroupCount(group=one.group, sightings=one.sightings) for one in service.store.count(query, by)]


@router.get("/v1/sightings/{sighting_id}", responses={404: {"model": Problem}})
def get(service: TheService, sighting_id: Annotated[str, Path(examples=["gate-20270331T150000Z-2"])]) -> StoredSighting:
    """One sighting."""
    found = service.store.get(sighting_id) if "\0" not in sighting_id else None
    if found is None:
        raise not_found(f"sighting {sighting_id!r}")
    return StoredSighting.of(found)


@router.head("/v1/pictures/{picture_id}", include_in_schema=False)
@router.get(
    "/v1/pictures/{picture_id}",
    response_class=Response,
    responses={
        200: {"content": {f"image/{kind}": {"example": "the bytes of the picture"} for kind in ("jpeg", "png", "webp")}},
        304: {"description": "unchanged"},
        404: {"model": Problem},
    },
)
def picture(service: TheService, picture_id: Annotated[int, Path(examples=[12])], if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """A picture that proves a sighting, as it was stored: its bytes are checked against their hash."""
    found = service.store.picture(picture_id) if 0 < picture_id <= _LARGEST_ID else None
    if found is None:
        raise not_found(f"picture {picture_id}; it was never there, or it was deleted by its age")
    headers = {"ETag": f'"{found.hash}"', "Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    if if_none_match is not None and found.hash in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(service.store.evidence.read(found), media_type=found.media_type, headers=headers)
