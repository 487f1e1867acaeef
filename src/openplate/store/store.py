"""Sightings in, everything that is asked about them out: the whole store on one screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, insert, select

from openplate.errors import StoreError
from openplate.store import export, retention
from openplate.store.belief import Belief
from openplate.store.claim import Claim
from openplate.store.database import Database, insert_into
from openplate.store.evidence import GRACE_S, Evidence
from openplate.store.keys import Keys
from openplate.store.lists import Lists
from openplate.store.model import Blur, Count, Group, Hit, NewDelivery, NewSighting, Page, Picture, Query, Sighting, Stored, checked
from openplate.store.outbox import Outbox
from openplate.store.privacy import Mode, Privacy
from openplate.store.register import Register
from openplate.store.rows import as_row, belief_of, folds_of, load
from openplate.store.search import LARGEST_PAGE, count, search
from openplate.store.settings import Settings
from openplate.store.tables import MatchRow, PictureRow, SightingRow

EVERYTHING = Query()
Deliveries = Callable[[Sighting], Sequence[NewDelivery]]
"""Which messages a sighting causes. Called inside the transaction: it has to be quick, and must not use the store."""


class Store:
    """Sightings with their evidence, lists, the register, the outbox, API keys and settings. Safe for several threads, and for several processes.

    Args:
        folder: the data folder; it is made when it is not there. Holds evidence, the key of hashed plates and, without `database`, the SQLite file.
        database: URL of another database, such as `postgresql://user:password@host/openplate`.
        privacy: "plain", or "hash" to keep keyed hashes instead of plates; it is decided when the store is opened first.
        blur: makes plates in evidence unrecognisable; with "hash", evidence is kept only when this is given.

    Raises:
        StoreError: the folder or the database cannot be used, its schema is newer than this OpenPlate, or it keeps plates in the other way.
    """

    def __init__(self, folder: Path, database: str | None = None, privacy: Mode = "plain", blur: Blur | None = None) -> None:
        if privacy not in ("plain", "hash"):
            raise StoreError(f'expected privacy "plain" or "hash", got {privacy!r}')
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder}: the data folder cannot be made: {error.strerror}") from None
        self._privacy = Privacy(privacy, folder, blur)
        self._database = Database(database, folder)
        try:
            with self._database.write() as connection:
                self._database.commit_in_order(connection)  # of two that open a new store at once, one decides
                self._privacy.agree(connection)
        except BaseException:
            self._database.close()
            raise
        self.evidence = Evidence(folder / "evidence")
        self.lists = Lists(self._database, self._privacy)
        self.register = Register(self._database, self._privacy)
        self.outbox = Outbox(self._database)
        self.keys = Keys(self._database)
        self.settings = Settings(self._database)

    def claim(self, name: str) -> Claim:
        """A right that one process at a time has in this database."""
        return Claim(self._database, name)

    def add(self, new: NewSighting, deliveries: Deliveries | None = None) -> Stored:
        """Store a sighting with its evidence, its matches and the messages it causes: all or nothing, and for good when this returns.

        Raises:
            StoreError: a value is wrong, or the disk or the database fails; nothing is stored then.
        """
        new = checked(new)
        kept = self._privacy.protect(new)
        hashes = [self.evidence.put(picture) for picture in kept.pictures]
        belief = belief_of(new)
        row = as_row(kept, "" if self._privacy.hashed else folds_of(new), datetime.now(UTC))
        with self._database.write() as connection:
            self._database.commit_in_order(connection)
            insertion = insert_into(connection, SightingRow).values(row).on_conflict_do_nothing(index_elements=["id"])
            seq = connection.execute(insertion.returning(SightingRow.seq)).scalar_one_or_none()
            if seq is None:
                known = connection.execute(select(SightingRow.seq).where(SightingRow.id == new.id)).scalar_one()
                return Stored(self._load(connection, [known])[0], fresh=False)
            pictures = [
                {"sighting_seq": seq, "position": i, "kind": p.kind, "hash": name, "media_type": p.media_type, "size_bytes": len(p.data)}
                for i, (p, name) in enumerate(zip(kept.pictures, hashes, strict=True))
            ]
            if pictures:
                connection.execute(insert(PictureRow), pictures)
            self._match(connection, seq, belief, kept.last)
            stored = self._load(connection, [seq])[0]
            if deliveries is not None:
                self.outbox.put(connection, deliveries(stored), seq, stored.stored)
        return Stored(stored, fresh=True)

    def announce(self, new: NewSighting, deliveries: Deliveries | None = None) -> Stored:
        """What `add` would store of a visit that is not over yet, with its matches and its vehicle; only the messages that it causes are written.

        Its `seq` is 0 and it has no pictures. When a sighting of this id is stored already, that is given with `fresh=False`, and nothing is written.

        Raises:
            StoreError: a value is wrong, or the database fails; nothing is written then.
        """
        new = checked(new)
        kept = self._privacy.protect(replace(new, pictures=()))
        row = as_row(kept, "", datetime.now(UTC))
        with self._database.write() as connection:
            self._database.commit_in_order(connection)
            known = connection.execute(select(SightingRow.seq).where(SightingRow.id == new.id)).scalar_one_or_none()
            if known is not None:
                return Stored(self._load(connection, [known])[0], fresh=False)
            rehearsal = connection.begin_nested()
            seq = connection.execute(insert(SightingRow).values(row).returning(SightingRow.seq)).scalar_one()
            self._match(connection, seq, belief_of(new), kept.last)
            told = replace(self._load(connection, [seq])[0], seq=0)
            rehearsal.rollback()
            if deliveries is not None:
                self.outbox.put(connection, deliveries(told), None, told.stored)
        return Stored(told, fresh=True)

    def get(self, sighting_id: str) -> Sighting | None:
        """The sighting of an id, None when there is none."""
        with self._database.read() as connection:
            seq = connection.execute(select(SightingRow.seq).where(SightingRow.id == sighting_id)).scalar_one_or_none()
            return None if seq is None else self._load(connection, [seq])[0]

    def picture(self, picture_id: int) -> Picture | None:
        """What is known of a picture, None when there is none; `evidence.read` gives its bytes."""
        columns = (PictureRow.id, PictureRow.kind, PictureRow.hash, PictureRow.media_type, PictureRow.size_bytes)
        with self._database.read() as connection:
            row = connection.execute(select(*columns).where(PictureRow.id == picture_id)).first()
        return None if row is None else Picture(*row)

    def search(self, query: Query = EVERYTHING, cursor: str | None = None, size: int = 50) -> Page:
        """One page of what a query finds. Going on from page to page gives every sighting that was there from the start exactly once.

        Raises:
            StoreError: the query, the cursor or the size is wrong.
        """
        with self._database.read() as connection:
            found = search(connection, query, cursor, size, self._privacy)
            sightings = {one.seq: one for one in self._load(connection, [row.seq for row in found.rows])}
        return Page(tuple(Hit(sightings[row.seq], row.match) for row in found.rows if row.seq in sightings), found.next)

    def export_csv(self, query: Query = EVERYTHING) -> Iterator[str]:
        """All that a query finds as lines of CSV, read from the database part by part.

        Raises:
            StoreError: the query is wrong.
        """
        first = self.search(query, None, LARGEST_PAGE)  # a wrong query fails here, not at the first line
        return export.csv_lines(self._hits(query, first))

    def count(self, query: Query = EVERYTHING, by: Group = "camera") -> list[Count]:
        """How many sightings of a query fall into each hour, day, camera, country, status or list.

        Raises:
            StoreError: the query is wrong.
        """
        with self._database.read() as connection:
            return count(connection, query, by, self._privacy)

    def after(self, seq: int, most: int = 100) -> list[Sighting]:
        """The sightings stored after number `seq`, in the order of storing: none is ever stored later with a smaller number."""
        with self._database.read() as connection:
            seqs = list(connection.execute(select(SightingRow.seq).where(SightingRow.seq > seq).order_by(SightingRow.seq).limit(most)).scalars())
            return self._load(connection, seqs)

    def last_seq(self) -> int:
        """The number of the sighting stored last, 0 when there is none."""
        with self._database.read() as connection:
            return connection.execute(select(SightingRow.seq).order_by(SightingRow.seq.desc()).limit(1)).scalar_one_or_none() or 0

    def forget(self, kept: retention.Retention, now: datetime | None = None) -> retention.Forgotten:
        """Delete what is older than it may be, and evidence that no sighting names.

        Raises:
            StoreError: an age is out of range.
        """
        return retention.forget(self._database, self.evidence, kept, now)

    def sweep(self, grace_s: float = GRACE_S, now_s: float | None = None) -> int:
        """Delete evidence that no sighting names; gives how many files."""
        return retention.sweep(self._database, self.evidence, grace_s, now_s)

    def close(self) -> None:
        """Close the database; the store is of no use afterwards."""
        self._database.close()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def _hits(self, query: Query, page: Page) -> Iterator[Hit]:
        while True:
            yield from page.hits
            if page.next is None:
                return
            page = self.search(query, page.next, LARGEST_PAGE)

    def _match(self, connection: Connection, seq: int, belief: Belief, time: datetime) -> None:
        """Write the lists that a sighting is on."""
        matches = self.lists.matcher(connection).match(belief, time)
        if matches:
            values = [{"sighting_seq": seq, "list_id": m.list_id, "entry_id": m.entry_id, "probability": m.probability} for m in matches]
            connection.execute(insert(MatchRow), [value | {"last_time": time} for value in values])

    def _load(self, connection: Connection, seqs: Sequence[int]) -> list[Sighting]:
        found = load(connection, seqs, self.register, self._privacy)
        return [found[seq] for seq in seqs if seq in found]
