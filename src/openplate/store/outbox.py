"""Messages that were committed together with their sighting in, leases for sending them out: each is delivered at least once, or declared dead.

A message is pending, delivered or dead. To claim one is to move its due time behind the lease's end: when the claimer is killed, it falls due again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, insert, literal, select, union_all, update

from openplate.errors import StoreError
from openplate.store.database import Database
from openplate.store.model import DeliveryState, NewDelivery
from openplate.store.tables import DeliveryRow, SettingRow

BACK_OFF_S = (2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)
"""Wait after the first, second, … failed attempt; the last one is repeated."""
GIVE_UP_S = 3 * 86400.0
"""A message that is older than this when an attempt fails is dead."""
_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Delivery:
    """A claimed message: send `payload` to `target`, then say `delivered` or `failed` before `lease_until`. `attempts` counts those before this one."""

    id: int
    sighting_seq: int | None
    target: str
    payload: str
    attempts: int
    created: datetime
    lease: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class OutboxState:
    """How many messages are in each state, and when the oldest pending one was written (None when none is pending)."""

    pending: int
    delivered: int
    dead: int
    oldest_pending: datetime | None


class Outbox:
    """The outbox of one store. Any number of threads and processes may claim at the same time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, connection: Connection, deliveries: Sequence[NewDelivery], sighting_seq: int | None, now: datetime) -> None:
        """Write messages in the connection's transaction, due at once.

        Raises:
            StoreError: a message has no target, or a NUL character.
        """
        if any(not d.target or "\0" in d.target + d.payload for d in deliveries):
            raise StoreError("a message needs a target, and no NUL characters")
        rows = [
            {"sighting_seq": sighting_seq, "target": d.target, "payload": d.payload, "state": "pending", "attempts": 0, "created": now, "due": now}
            for d in deliveries
        ]
        if rows:
            connection.execute(insert(DeliveryRow), rows)

    def add(self, deliveries: Sequence[NewDelivery], now: datetime | None = None) -> None:
        """Write messages that belong to no sighting, such as a test message.

        Raises:
            StoreError: a message has no target, or a NUL character.
        """
        with self._database.write() as connection:
            self.put(connection, deliveries, None, now or datetime.now(UTC))

    def claim(self, most: int = 16, lease_s: float = 60.0, now: datetime | None = None, target: str | None = None) -> list[Delivery]:
        """The messages that are due, longest due first, leased to the caller: nobody else gets them before the lease ends."""
        time = now or datetime.now(UTC)
        until, lease = time + timedelta(seconds=lease_s), secrets.token_hex(8)
        due = select(DeliveryRow.id).where(DeliveryRow.state == "pending", DeliveryRow.due <= time)
        if target is not None:
            due = due.where(DeliveryRow.target == target)
        due = due.order_by(DeliveryRow.due, DeliveryRow.id).limit(most).with_for_update(skip_locked=True)
        columns = (DeliveryRow.id, DeliveryRow.sighting_seq, DeliveryRow.target, DeliveryRow.payload, DeliveryRow.attempts, DeliveryRow.created)
        with self._database.write() as connection:
            ids = list(connection.execute(due).scalars())
            if not ids:
                return []
            connection.execute(update(DeliveryRow).where(DeliveryRow.id.in_(ids)).values(due=until, lease=lease))
            rows = {row[0]: row for row in connection.execute(select(*columns).where(DeliveryRow.id.in_(ids)))}
        return [Delivery(*rows[key], lease, until) for key in ids]

    def delivered(self, delivery: Delivery, now: datetime | None = None) -> None:
        """The message arrived. Nothing happens when the lease has passed on to another."""
        self._finish(delivery, {"state": "delivered", "finished": now or datetime.now(UTC), "last_error": None})

    def failed(self, delivery: Delivery, error: str, now: datetime | None = None) -> DeliveryState:
        """The message did not arrive: it falls due again after a wait from `BACK_OFF_S`, or is dead when it is older than `GIVE_UP_S`. Gives its state."""
        time = now or datetime.now(UTC)
        reason = error.replace("\0", "")[:_LONGEST_ERROR]
        if time - delivery.created > timedelta(seconds=GIVE_UP_S):
            self._finish(delivery, {"state": "dead", "finished": time, "last_error": reason})
            return "dead"
        wait_s = BACK_OFF_S[min(delivery.attempts, len(BACK_OFF_S) - 1)]
        self._finish(delivery, {"due": time + timedelta(seconds=wait_s), "last_error": reason})
        return "pending"

    def revive(self, target: str | None = None, now: datetime | None = None) -> int:
        """Make dead messages (of a target) pending again, as if they were written now; gives how many."""
        time = now or datetime.now(UTC)
        dead = update(DeliveryRow).where(DeliveryRow.state == "dead")
        if target is not None:
            dead = dead.where(DeliveryRow.target == target)
        with self._database.write() as connection:
            return connection.execute(dead.values(state="pending", attempts=0, created=time, due=time, lease=None, finished=None)).rowcount

    def abandon(self, kinds: Mapping[str, str], now: datetime | None = None) -> int:
        """Declare pending messages dead whose target is no setting any more; gives how many.

        `kinds` says what targets are called: by a kind of settings, what stands before a setting's name, as in `{"webhook": "webhook:", "mqtt": ""}`.
        """
        # One statement: a target that is added in between, with a message to it, is seen with it or without it.
        there = union_all(*(select(literal(prefix) + SettingRow.name).where(SettingRow.kind == kind) for kind, prefix in kinds.items()))
        gone = update(DeliveryRow).where(DeliveryRow.state == "pending", DeliveryRow.target.not_in(there))
        values = {"state": "dead", "finished": now or datetime.now(UTC), "lease": None, "last_error": "the target was removed"}
        with self._database.write() as connection:
            return connection.execute(gone.values(values)).rowcount

    def state(self) -> OutboxState:
        """Figures for a look at the outbox."""
        with self._database.read() as connection:
            counts: dict[str, int] = {
                row[0]: row[1] for row in connection.execute(select(DeliveryRow.state, func.count()).group_by(DeliveryRow.state))
            }
            oldest = connection.execute(
                select(DeliveryRow.created).where(DeliveryRow.state == "pending").order_by(DeliveryRow.created).limit(1)
            ).scalar_one_or_none()
        return OutboxState(counts.get("pending", 0), counts.get("delivered", 0), counts.get("dead", 0), oldest)

    def _finish(self, delivery: Delivery, values: dict[str, object]) -> None:
        mine = update(DeliveryRow).where(DeliveryRow.id == delivery.id, DeliveryRow.lease == delivery.lease, DeliveryRow.state == "pending")
        with self._database.write() as connection:
            connection.execute(mine.values(lease=None, attempts=DeliveryRow.attempts + 1, **values))
