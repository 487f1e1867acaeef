"""The register of vehicles: import a CSV file, look vehicles up, change and delete them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from openplate.serve.access import TheService, require
from openplate.serve.problems import not_found
from openplate.serve.schemas import Problem
from openplate.serve.service import Service
from openplate.serve.spelling import WITHOUT_NUL
from openplate.serve.stored import Moment, RegisteredVehicle
from openplate.store import Vehicle
from openplate.store.spreadsheet import guarded

router = APIRouter(prefix="/v1/register", tags=["register"], responses={422: {"model": Problem}})
PlatePath = Annotated[str, Path(min_length=1, max_length=64, examples=["A123BC77"])]
_COLUMNS = ("plate", "make", "model", "colour", "owner", "permit_until")
_PAGE = 1000
_EXAMPLE = "plate,make,model,colour,owner,permit_until\nA123BC77,Lada,Vesta,white,flat 12,2027-03-31\n"


class ImportFault(BaseModel):
    """A row that was not imported: its line in the file, counted from 1, and why."""

    line: int
    reason: str


class ImportResult(BaseModel):
    """What became of a file's rows."""

    added: int
    updated: int
    unchanged: int
    faults: list[ImportFault]
    ignored_columns: list[str]

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"added": 2, "updated": 1, "unchanged": 0, "faults": [{"line": 5, "reason": "the plate is empty"}], "ignored_columns": []}
        }
    )


class VehicleIn(BaseModel):
    """What the register is to say of a vehicle."""

    model_config = ConfigDict(extra="forbid")

    make: str = Field(default="", max_length=200, examples=["Lada"])
    model: str = Field(default="", max_length=200, examples=["Vesta"])
    colour: str = Field(default="", max_length=200, examples=["white"])
    owner: str = Field(default="", max_length=200, examples=["flat 12"])
    permit_until: Moment | None = None


class VehiclePage(BaseModel):
    """Vehicles by plate; `next` is the `after` of the next page, null on the last one."""

    vehicles: list[RegisteredVehicle]
    next: str | None = Field(examples=["A123BC77"])


@router.get("", dependencies=[require("read")])
def page(
    service: TheService,
    after: Annotated[str, Query(max_length=64, pattern=WITHOUT_NUL, description="next of the page before")] = "",
    size: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> VehiclePage:
    """The vehicles by plate, page by page."""
    found = service.store.register.page(after, size + 1)
    more = len(found) > size
    return VehiclePage(vehicles=[RegisteredVehicle.of(one) for one in found[:size]], next=found[size - 1].plate if more else None)


@router.post(
    "/import",
    dependencies=[require("write")],
    openapi_extra={
        "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}, "example": _EXAMPLE}}},
    },
)
async def import_csv(service: TheService, request: Request) -> ImportResult:
    """Import a CSV file, sent as the body: UTF-8, a header, commas, semicolons or tabs. Only `plate` is needed. Faulty rows are listed, the others are imported;
    a vehicle that is there already gets the file's columns."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
        raise HTTPException(415, "expected the CSV file itself as the body, got a form; with curl: --data-binary @vehicles.csv")
    data = await request.body()
    done = await run_in_threadpool(service.store.register.import_csv, data)
    faults = [ImportFault(line=one.line, reason=one.reason) for one in done.faults]
    return ImportResult(added=done.added, updated=done.updated, unchanged=done.unchanged, faults=faults, ignored_columns=list(done.ignored_columns))


@router.get(
    ".csv",
    dependencies=[require("read")],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"example": _EXAMPLE}}}},
)
def export(service: TheService) -> StreamingResponse:
    """All vehicles as a CSV file that can be imported again."""
    headers = {"Content-Disposition": 'attachment; filename="register.csv"'}
    return StreamingResponse(_csv_parts(service), media_type="text/csv", headers=headers)


@router.get("/{plate}", dependencies=[require("read")], responses={404: {"model": Problem}})
def get(service: TheService, plate: PlatePath) -> RegisteredVehicle:
    """The vehicle with exactly this plate."""
    found = service.store.register.get(plate)
    if found is None:
        raise not_found(f"vehicle with the plate {plate!r} in the register")
    return RegisteredVehicle.of(found)


@router.put("/{plate}", dependencies=[require("write")])
def put(service: TheService, plate: PlatePath, vehicle: VehicleIn) -> RegisteredVehicle:
    """Add a vehicle, or replace what the register says of it."""
    new = Vehicle(plate, vehicle.make, vehicle.model, vehicle.colour, vehicle.owner, vehicle.permit_until)
    return RegisteredVehicle.of(service.store.register.put(new))


@router.delete("/{plate}", status_code=204, dependencies=[require("write")], responses={404: {"model": Problem}})
def remove(service: TheService, plate: PlatePath) -> None:
    """Delete a vehicle."""
    if service.store.register.get(plate) is None:
        raise not_found(f"vehicle with the plate {plate!r} in the register")
    service.store.register.remove(plate)


def _csv_parts(service: Service) -> Iterator[str]:
    yield ",".join(_COLUMNS) + "\r\n"
    after = ""
    while True:
        found = service.store.register.page(after, _PAGE)
        buffer = io.StringIO()
        rows = csv.writer(buffer)
        for one in found:
            permit = one.permit_until.isoformat() if one.permit_until else ""
            cells = [one.plate, one.make, one.model, one.colour, one.owner, permit]
            rows.writerow([guarded(cell) for cell in cells])
        yield buffer.getvalue()
        if len(found) < _PAGE:
            return
        after = found[-1].plate
