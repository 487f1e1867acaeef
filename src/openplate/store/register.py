"""A CSV file of vehicles in, the register in the database and a sighting's vehicle out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, delete, or_, select
from sqlalchemy.engine import Row

from openplate.errors import StoreError
from openplate.store.belief import Belief
from openplate.store.database import Database, batches, insert_into
from openplate.store.look_alikes import fold
from openplate.store.model import Vehicle, VehicleMatch
from openplate.store.patterns import plate_text
from openplate.store.privacy import Privacy
from openplate.store.spreadsheet import unguarded
from openplate.store.tables import VehicleRow

SURE_ENOUGH = 0.5
"""A vehicle is shown with a sighting when it is more likely than all others together."""
COLUMNS = ("plate", "make", "model", "colour", "owner", "permit_until")
_OTHER_NAMES = {"color": "colour", "owner_reference": "owner", "permit": "permit_until"}
_LONGEST_VALUE = 200
_LIKELY = 64


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that was not imported: its line in the file, counted from 1, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Import:
    """What became of a file's rows; `ignored_columns` are those that the register does not have."""

    added: int
    updated: int
    unchanged: int
    faults: tuple[Fault, ...]
    ignored_columns: tuple[str, ...]


class Register:
    """The register of vehicles."""

    def __init__(self, database: Database, privacy: Privacy) -> None:
        self._database = database
        self._privacy = privacy

    def import_csv(self, data: bytes) -> Import:
        """Read a CSV file: UTF-8, a header with the names of `COLUMNS` in any order (`plate` is needed), separated by commas, semicolons or tabs.

        A plate that is in the register gets the file's values in the file's columns. Faulty rows are listed, the others are imported, all at once.
        An apostrophe that makes text of a cell which begins like a formula is taken off (`spreadsheet`).
        `permit_until` is YYYY-MM-DD or DD.MM.YYYY (through the end of that day in UTC), or a moment in ISO 8601 with a time zone.

        Raises:
            StoreError: the file is not text in UTF-8, or has no header with `plate`.
        """
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise StoreError(f"expected a CSV file in UTF-8, byte {error.start} is not; save it as CSV UTF-8") from None
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=False)
        header = [_OTHER_NAMES.get(name, name) for name in (re.sub(r"\s+", "_", cell.strip().lower()) for cell in next(reader, []))]
        if "plate" not in header or len(set(header)) != len(header):
            raise StoreError(
                f"expected a first line with the columns {', '.join(COLUMNS)} (plate is needed, none twice), got: {', '.join(header) or 'nothing'}"
            )
        faults: list[Fault] = []
        found: dict[str, dict[str, str | datetime | None]] = {}
        lines: dict[str, int] = {}
        after = reader.line_num
        while True:
            line = after + 1
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                faults.append(Fault(line, str(error)))
                after = reader.line_num
                continue
            after = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            try:
                plate, values = _parse_row(header, cells)
                if plate in found:
                    raise StoreError(f"plate {plate} is in line {lines[plate]} already")
            except StoreError as error:
                faults.append(Fault(line, str(error)))
                continue
            found[plate], lines[plate] = values, line
        ignored = tuple(name for name in header if name not in COLUMNS)
        added, updated, unchanged = self._write(found)
        return Import(added, updated, unchanged, tuple(faults), ignored)

    def put(self, vehicle: Vehicle) -> Vehicle:
        """Add a vehicle, or replace the one with its plate; gives it as it is kept: without spaces around its values.

        Raises:
            StoreError: the plate is none, a value is too long, or the time has no time zone.
        """
        plate = plate_text(vehicle.plate)
        values: dict[str, str | datetime | None] = {name: getattr(vehicle, name).strip() for name in COLUMNS[1:-1]}
        values["permit_until"] = vehicle.permit_until
        for name, value in values.items():
            _check_value(name, value)
        self._write({plate: values})
        kept = self.get(plate)
        assert kept is not None
        return kept

    def get(self, plate: str) -> Vehicle | None:
        """The vehicle with exactly this plate, None when there is none.

        Raises:
            StoreError: the plate is none.
        """
        with self._database.read() as connection:
            row = connection.execute(select(*_COLUMNS).where(VehicleRow.plate == self._privacy.token(plate_text(plate)))).first()
        return None if row is None else _vehicle(row)

    def remove(self, plate: str) -> None:
        """Delete a vehicle.

        Raises:
            StoreError: it is not in the register.
        """
        with self._database.write() as connection:
            if not connection.execute(delete(VehicleRow).where(VehicleRow.plate == self._privacy.token(plate_text(plate)))).rowcount:
                raise StoreError(f"plate {plate} is not in the register")

    def page(self, after: str = "", size: int = 100) -> list[Vehicle]:
        """Vehicles by plate, those after a plate (as `Vehicle.plate` says it)."""
        with self._database.read() as connection:
            rows = connection.execute(select(*_COLUMNS).where(VehicleRow.plate > after).order_by(VehicleRow.plate).limit(size))
            return [_vehicle(row) for row in rows]

    def look_up(self, connection: Connection, beliefs: Sequence[Belief]) -> list[VehicleMatch | None]:
        """The vehicle of each belief: the one whose plate has the highest probability, if that is at least `SURE_ENOUGH`."""
        if self._privacy.hashed:
            likely = [{self._privacy.token(text): p for text, p in belief.likely(_LIKELY)} for belief in beliefs]
            known = _by_plate(connection, {token for tokens in likely for token in tokens})
            return [_best({token: p for token, p in tokens.items() if token in known}, known) for tokens in likely]
        known = _by_plate_or_fold(connection, {t for b in beliefs for t in b.posteriors}, {fold(b.best) for b in beliefs if b.best})
        by_fold: dict[str, list[str]] = {}
        for plate in known:
            by_fold.setdefault(fold(plate), []).append(plate)
        results = []
        for belief in beliefs:
            plates = {text for text in belief.posteriors if text in known}.union(by_fold.get(fold(belief.best), ()))
            results.append(_best({plate: belief.of_text(plate) for plate in plates}, known))
        return results

    def look_up_kept(self, connection: Connection, posteriors: Sequence[dict[str, float]]) -> list[VehicleMatch | None]:
        """As `look_up`, from candidates as they are kept (hashes, where plates are hashed) with their posteriors."""
        known = _by_plate(connection, {text for one in posteriors for text in one})
        return [_best({text: p for text, p in one.items() if text in known}, known) for one in posteriors]

    def _write(self, found: dict[str, dict[str, str | datetime | None]]) -> tuple[int, int, int]:
        """Add or update; gives how many were added, updated and unchanged."""
        added = updated = unchanged = 0
        kept = {self._privacy.token(plate): (plate, values) for plate, values in found.items()}
        with self._database.write() as connection:
            for some in batches(list(kept)):
                known = _by_plate(connection, set(some))
                for token in some:
                    plate, values = kept[token]
                    before = known.get(token)
                    if before is None:
                        added += 1
                    elif all(getattr(before, name) == value for name, value in values.items()):
                        unchanged += 1
                        continue
                    else:
                        updated += 1
                    empty: dict[str, str | datetime | None] = {"make": "", "model": "", "colour": "", "owner": "", "permit_until": None}
                    row = {"plate": token, "fold": "" if self._privacy.hashed else fold(plate), **empty, **values}
                    statement = insert_into(connection, VehicleRow).values(row)
                    # `values` is never empty here: a file without other columns changes nothing of a vehicle that is there.
                    connection.execute(statement.on_conflict_do_update(index_elements=["plate"], set_=values or {"plate": token}))
        return added, updated, unchanged


_COLUMNS = (VehicleRow.plate, VehicleRow.make, VehicleRow.model, VehicleRow.colour, VehicleRow.owner, VehicleRow.permit_until)


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _parse_row(header: Sequence[str], cells: Sequence[str]) -> tuple[str, dict[str, str | datetime | None]]:
    if len(cells) != len(header):
        raise StoreError(f"expected {len(header)} cells as in the first line, got {len(cells)}")
    row = {name: unguarded(cell.strip()) for name, cell in zip(header, cells, strict=True) if name in COLUMNS}
    if not row["plate"]:
        raise StoreError("the plate is empty")
    values: dict[str, str | datetime | None] = {name: value for name, value in row.items() if name not in ("plate", "permit_until")}
    if "permit_until" in row:
        values["permit_until"] = _permit(row["permit_until"])
    for name, value in values.items():
        _check_value(name, value)
    return plate_text(row["plate"]), values


def _permit(typed: str) -> datetime | None:
    """The first moment at which a permit no longer holds; None for an empty cell."""
    if not typed:
        return None
    russian = re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", typed)
    try:
        if russian or re.fullmatch(r"\d{4}-\d{2}-\d{2}", typed):
            day = date(*(int(part) for part in reversed(russian.groups()))) if russian else date.fromisoformat(typed)
            return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        moment = datetime.fromisoformat(typed)
    except (ValueError, OverflowError):
        raise StoreError(f"permit_until: expected a date as 2027-03-31 or 31.03.2027, or a moment as 2027-03-31T18:00+03:00, got {typed!r}") from None
    if moment.tzinfo is None:
        raise StoreError(f"permit_until: expected a time zone, as in 2027-03-31T18:00+03:00, got {typed!r}")
    return moment.astimezone(UTC)


def _check_value(name: str, value: str | datetime | None) -> None:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise StoreError(f"{name}: expected a time with a time zone, got {value.isoformat()}")
    elif value is not None and (len(value) > _LONGEST_VALUE or "\0" in value):
        raise StoreError(f"{name}: expected at most {_LONGEST_VALUE} characters without NUL, got {len(value)}")


def _vehicle(row: Row[str, str, str, str, str, datetime | None]) -> Vehicle:
    return Vehicle(row[0], row[1], row[2], row[3], row[4], row[5])


def _by_plate(connection: Connection, plates: set[str]) -> dict[str, Vehicle]:
    found = {}
    for some in batches(sorted(plates)):
        for row in connection.execute(select(*_COLUMNS).where(VehicleRow.plate.in_(some))):
            found[row[0]] = _vehicle(row)
    return found


def _by_plate_or_fold(connection: Connection, plates: set[str], folds: set[str]) -> dict[str, Vehicle]:
    found = _by_plate(connection, plates)
    for some in batches(sorted(folds)):
        for row in connection.execute(select(*_COLUMNS).where(or_(VehicleRow.fold.in_(some)))):
            found[row[0]] = _vehicle(row)
    return found


def _best(probabilities: dict[str, float], known: dict[str, Vehicle]) -> VehicleMatch | None:
    plate = max(probabilities, key=lambda one: (probabilities[one], one), default=None)
    return VehicleMatch(known[plate], probabilities[plate]) if plate is not None and probabilities[plate] >= SURE_ENOUGH else None
