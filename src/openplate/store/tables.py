"""The database's tables as SQLAlchemy models; what makes them is in `migrations`, and a test holds both together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Sequence = BigInteger().with_variant(Integer, "sqlite")
"""Whole numbers of 64 bits; SQLite numbers rows itself only when they are called INTEGER."""


def to_microseconds(time: datetime) -> int:
    """Microseconds since 1970 in UTC.

    Raises:
        ValueError: the time has no time zone.
    """
    if time.tzinfo is None:
        raise ValueError(f"expected a time with a time zone, got {time.isoformat()}")
    return (time - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The time in UTC."""
    return _EPOCH + microseconds * _MICROSECOND


class UtcTime(TypeDecorator[datetime]):
    """A moment, kept as whole microseconds since 1970: the same, and as fast, on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """What the database gets."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """What the database gave."""
        return None if value is None else from_microseconds(int(value))


class Base(DeclarativeBase):
    """All tables."""


class StateRow(Base):
    """Facts about the whole store: how plates are kept, the check value of the key, the version of the lists."""

    __tablename__ = "state"
    name: Mapped[str] = mapped_column(String, primary_key=True)
    value: Mapped[str] = mapped_column(String)


class SightingRow(Base):
    """A sighting. `folds` has the folded text and candidates, each once, as `^…$`; the trigram indexes are over `text` and `folds`."""

    __tablename__ = "sighting"
    seq: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String, unique=True)
    camera: Mapped[str] = mapped_column(String)
    source: Mapped[str] = mapped_column(String)
    status: Mapped[str] = mapped_column(String)
    text: Mapped[str | None] = mapped_column(String)
    folds: Mapped[str] = mapped_column(String)
    confidence: Mapped[float] = mapped_column(Float(53))
    characters: Mapped[list[Any]] = mapped_column(JSON)
    candidates: Mapped[list[Any]] = mapped_column(JSON)
    country: Mapped[str | None] = mapped_column(String)
    format: Mapped[str | None] = mapped_column(String)
    first_time: Mapped[datetime] = mapped_column(UtcTime)
    last_time: Mapped[datetime] = mapped_column(UtcTime)
    looks: Mapped[int] = mapped_column(Integer)
    direction: Mapped[str | None] = mapped_column(String)
    parked: Mapped[bool] = mapped_column(Boolean)
    quad: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    reasons: Mapped[list[Any]] = mapped_column(JSON)
    stored_time: Mapped[datetime] = mapped_column(UtcTime)
    __table_args__ = (
        Index("sighting_by_time", "last_time", "seq"),
        Index("sighting_by_camera", "camera", "last_time", "seq"),
        Index("sighting_by_country", "country", "last_time", "seq"),
        Index("sighting_by_status", "status", "last_time", "seq"),
        Index("sighting_by_text", "text", "last_time", "seq"),
        {"sqlite_autoincrement": True},
    )


class PictureRow(Base):
    """Evidence of a sighting; the bytes are on disk under their hash."""

    __tablename__ = "picture"
    id: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    sighting_seq: Mapped[int] = mapped_column(ForeignKey("sighting.seq", ondelete="CASCADE"), index=True)
    position: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String)
    hash: Mapped[str] = mapped_column(String, index=True)
    media_type: Mapped[str] = mapped_column(String)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = ({"sqlite_autoincrement": True},)


class ListRow(Base):
    """A list of plates."""

    __tablename__ = "plate_list"
    id: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String, unique=True)
    kind: Mapped[str] = mapped_column(String)
    note: Mapped[str] = mapped_column(Text)
    min_match: Mapped[float] = mapped_column(Float(53))
    keep_days: Mapped[float | None] = mapped_column(Float(53))
    __table_args__ = ({"sqlite_autoincrement": True},)


class EntryRow(Base):
    """An entry of a list."""

    __tablename__ = "list_entry"
    id: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    list_id: Mapped[int] = mapped_column(ForeignKey("plate_list.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String)
    pattern: Mapped[str] = mapped_column(String)
    valid_from: Mapped[datetime | None] = mapped_column(UtcTime)
    valid_until: Mapped[datetime | None] = mapped_column(UtcTime)
    note: Mapped[str] = mapped_column(Text)
    __table_args__ = (UniqueConstraint("list_id", "kind", "pattern", name="list_entry_once"), {"sqlite_autoincrement": True})


class MatchRow(Base):
    """A sighting on a list, as it was when the sighting was stored; the time is the sighting's."""

    __tablename__ = "list_match"
    sighting_seq: Mapped[int] = mapped_column(ForeignKey("sighting.seq", ondelete="CASCADE"), primary_key=True)
    list_id: Mapped[int] = mapped_column(ForeignKey("plate_list.id", ondelete="CASCADE"), primary_key=True)
    entry_id: Mapped[int | None] = mapped_column(ForeignKey("list_entry.id", ondelete="SET NULL"), index=True)
    probability: Mapped[float] = mapped_column(Float(53))
    last_time: Mapped[datetime] = mapped_column(UtcTime)
    __table_args__ = (Index("list_match_by_time", "list_id", "last_time", "sighting_seq"),)


class VehicleRow(Base):
    """A vehicle of the register. `fold` is "" when plates are hashed."""

    __tablename__ = "vehicle"
    plate: Mapped[str] = mapped_column(String, primary_key=True)
    fold: Mapped[str] = mapped_column(String, index=True)
    make: Mapped[str] = mapped_column(String)
    model: Mapped[str] = mapped_column(String)
    colour: Mapped[str] = mapped_column(String)
    owner: Mapped[str] = mapped_column(String)
    permit_until: Mapped[datetime | None] = mapped_column(UtcTime)


class DeliveryRow(Base):
    """A message on its way out."""

    __tablename__ = "delivery"
    id: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    sighting_seq: Mapped[int | None] = mapped_column(ForeignKey("sighting.seq", ondelete="CASCADE"), index=True)
    target: Mapped[str] = mapped_column(String)
    payload: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String)
    attempts: Mapped[int] = mapped_column(Integer)
    created: Mapped[datetime] = mapped_column(UtcTime)
    due: Mapped[datetime] = mapped_column(UtcTime)
    lease: Mapped[str | None] = mapped_column(String)
    last_error: Mapped[str | None] = mapped_column(Text)
    finished: Mapped[datetime | None] = mapped_column(UtcTime)
    __table_args__ = (Index("delivery_by_due", "state", "due", "id"), {"sqlite_autoincrement": True})


class KeyRow(Base):
    """An API key: its hash, never the key."""

    __tablename__ = "api_key"
    id: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String)
    role: Mapped[str] = mapped_column(String)
    prefix: Mapped[str] = mapped_column(String, unique=True)
    hash: Mapped[str] = mapped_column(String)
    created: Mapped[datetime] = mapped_column(UtcTime)
    last_used: Mapped[datetime | None] = mapped_column(UtcTime)
    revoked: Mapped[datetime | None] = mapped_column(UtcTime)
    __table_args__ = ({"sqlite_autoincrement": True},)


class SettingRow(Base):
    """A named setting of a kind, such as a camera or a webhook, as JSON."""

    __tablename__ = "setting"
    kind: Mapped[str] = mapped_column(String, primary_key=True)
    name: Mapped[str] = mapped_column(String, primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(JSON)
