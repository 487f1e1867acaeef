"""Sightings in, lines of CSV out, one at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from openplate.store.model import Hit, Sighting
from openplate.store.spreadsheet import guarded

COLUMNS = (
    "id", "camera", "source", "status", "text", "confidence", "match", "country", "format", "first", "last", "looks", "direction", "parked",
    "lists", "make", "model", "colour", "owner", "permit_until", "reasons",
)  # fmt: skip


def csv_lines(hits: Iterable[Hit]) -> Iterator[str]:
    """A header and a line for each hit, each with its line end."""
    yield _line(COLUMNS)
    for hit in hits:
        yield _line(_cells(hit.sighting, hit.match))


def _cells(sighting: Sighting, match: float | None) -> list[str]:
    vehicle = sighting.vehicle.vehicle if sighting.vehicle else None
    permit = vehicle.permit_until.isoformat() if vehicle and vehicle.permit_until else ""
    about = [vehicle.make, vehicle.model, vehicle.colour, vehicle.owner] if vehicle else ["", "", "", ""]
    texts = [sighting.id, sighting.camera, sighting.source, sighting.status, sighting.text or "", repr(sighting.confidence)]
    texts += ["" if match is None else repr(match), sighting.country or "", sighting.format or ""]
    texts += [sighting.first.isoformat(), sighting.last.isoformat(), str(sighting.looks), sighting.direction or "", str(sighting.parked).lower()]
    return [*texts, " ".join(one.list for one in sighting.lists), *about, permit, "; ".join(sighting.reasons)]


def _line(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([guarded(cell) for cell in cells])
    return buffer.getvalue()
