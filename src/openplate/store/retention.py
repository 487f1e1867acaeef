"""How long things are kept in, what was deleted out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, exists, func, select
from sqlalchemy.sql.dml import Delete

from openplate.errors import StoreError
from openplate.store.database import Database
from openplate.store.evidence import GRACE_S, Evidence
from openplate.store.tables import DeliveryRow, ListRow, MatchRow, PictureRow, SightingRow

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Retention:
    """Ages in days at which things are deleted; None keeps them.

    `days` is for sightings, with all that belongs to them. A sighting on lists that have `keep_days` is kept for the longest of those instead.
    `picture_days` is for evidence, when that has to go before its sighting; `finished_days` for messages that were delivered or are dead.
    """

    days: float | None = None
    picture_days: float | None = None
    finished_days: float | None = 7.0


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much was deleted: rows, and files of evidence."""

    sightings: int
    pictures: int
    deliveries: int
    files: int


def forget(database: Database, evidence: Evidence, retention: Retention, now: datetime | None = None, grace_s: float = GRACE_S) -> Forgotten:
    """Delete what is too old, in small transactions, then the files that no row names any more.

    Raises:
        StoreError: an age is negative.
    """
    time = now or datetime.now(UTC)
    for name in ("days", "picture_days", "finished_days"):
        age = getattr(retention, name)
        if age is not None and not 0 <= age <= 36500:
            raise StoreError(f"retention: expected {name} from 0 to 36500, got {age}")
    pictures = 0
    if retention.picture_days is not None:
        old = select(PictureRow.id).join(SightingRow, SightingRow.seq == PictureRow.sighting_seq)
        old = old.where(SightingRow.last_time < time - timedelta(days=retention.picture_days)).limit(_AT_ONCE)
        pictures = _delete(database, delete(PictureRow).where(PictureRow.id.in_(old)))
    sightings = 0
    with database.read() as connection:
        ages = sorted({age for age in connection.execute(select(ListRow.keep_days)).scalars() if age is not None})
    longest = select(func.max(ListRow.keep_days)).join(MatchRow, MatchRow.list_id == ListRow.id).where(MatchRow.sighting_seq == SightingRow.seq)
    for days in ages:
        old = select(SightingRow.seq).where(SightingRow.last_time < time - timedelta(days=days), longest.scalar_subquery() == days).limit(_AT_ONCE)
        sightings += _delete(database, delete(SightingRow).where(SightingRow.seq.in_(old)))
    if retention.days is not None:
        kept = exists().where(MatchRow.sighting_seq == SightingRow.seq, MatchRow.list_id == ListRow.id, ListRow.keep_days.is_not(None))
        old = select(SightingRow.seq).where(SightingRow.last_time < time - timedelta(days=retention.days), ~kept).limit(_AT_ONCE)
        sightings += _delete(database, delete(SightingRow).where(SightingRow.seq.in_(old)))
    deliveries = 0
    if retention.finished_days is not None:
        finished = select(DeliveryRow.id).where(DeliveryRow.state != "pending", DeliveryRow.finished < time - timedelta(days=retention.finished_days))
        deliveries = _delete(database, delete(DeliveryRow).where(DeliveryRow.id.in_(finished.limit(_AT_ONCE))))
    files = sweep(database, evidence, grace_s)
    return Forgotten(sightings, pictures, deliveries, files)


def sweep(database: Database, evidence: Evidence, grace_s: float = GRACE_S, now_s: float | None = None) -> int:
    """Delete files of evidence that no row names; gives how many. See `Evidence.sweep`."""

    def used(hashes: Iterable[str]) -> set[str]:
        with database.read() as connection:
            return _named(connection, list(hashes))

    return evidence.sweep(used, grace_s, now_s)


def _named(connection: Connection, hashes: list[str]) -> set[str]:
    return set(connection.execute(select(PictureRow.hash).where(PictureRow.hash.in_(hashes))).scalars())


def _delete(database: Database, statement: Delete) -> int:
    """Run a statement that deletes a part until nothing is left; writers come in between."""
    total = 0
    while True:
        with database.write() as connection:
            deleted = connection.execute(statement).rowcount
        total += deleted
        if deleted < _AT_ONCE:
            return total
