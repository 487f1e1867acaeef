"""Lists of plates in the database, and entries + a belief in, matches with probabilities out."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import re2
from sqlalchemy import ColumnElement, Connection, delete, insert, select, true, update
from sqlalchemy.exc import IntegrityError

from openplate.charset import normalise
from openplate.errors import StoreError
from openplate.store.belief import Belief
from openplate.store.database import Database, batches, insert_into
from openplate.store.look_alikes import fold
from openplate.store.model import EntryKind
from openplate.store.patterns import Pattern, plate_text
from openplate.store.privacy import Privacy
from openplate.store.tables import EntryRow, ListRow, StateRow

LEAST_MATCH = 0.02
"""No list can ask for less: under it an entry that is not compared (two or more characters away) could have mattered."""
LIKELY = 256
"""Texts that are tried with regular expressions and hashed entries."""
_REGEX_LONGEST = 500
_REGEX_MEMORY = 1 << 20


@dataclass(frozen=True, slots=True)
class PlateList:
    """A list. `kind` says what it is for: "allow", "watch", "block" or any word of the user's.

    `min_match` is the probability from which a sighting counts as being on the list; `keep_days` replaces the retention of its sightings, None leaves it.
    """

    id: int
    name: str
    kind: str
    note: str
    min_match: float
    keep_days: float | None


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be added. `kind` is "plate", "wildcard" or "regex" (RE2 syntax, has to match the whole text); it holds for valid_from <= time < valid_until."""

    pattern: str
    kind: EntryKind = "plate"
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the list with this id; where plates are hashed, `pattern` is a hash."""

    id: int
    list_id: int
    kind: EntryKind
    pattern: str
    valid_from: datetime | None
    valid_until: datetime | None
    note: str


@dataclass(frozen=True, slots=True)
class EntryMatch:
    """An entry that a sighting may be, with the probability."""

    list_id: int
    entry_id: int
    probability: float


class _Regex(Protocol):
    def fullmatch(self, text: str) -> object | None: ...


class Matcher:
    """The entries of all lists, prepared for matching. Does not change; safe for several threads.

    Plain plates are found by look-up: an entry whose text has a look-alike within one edit shares its first or its last half with it, unedited.
    """

    def __init__(self, lists: Iterable[PlateList], entries: Iterable[Entry], privacy: Privacy) -> None:
        self._least = {found.id: found.min_match for found in lists}
        self._privacy = privacy
        self._exact: dict[str, list[Entry]] = {}
        self._halves: dict[tuple[str, str], list[Entry]] = {}
        self._wildcards: list[tuple[Entry, Pattern]] = []
        self._regexes: list[tuple[Entry, _Regex]] = []
        for entry in entries:
            if entry.kind == "wildcard":
                self._wildcards.append((entry, Pattern(entry.pattern)))
            elif entry.kind == "regex":
                self._regexes.append((entry, compile_regex(entry.pattern)))
            else:
                self._exact.setdefault(entry.pattern, []).append(entry)
                if not privacy.hashed:
                    folded = fold(entry.pattern)
                    middle = len(folded) // 2
                    for key in (("head", folded[:middle]), ("tail", folded[middle:])):
                        self._halves.setdefault(key, []).append(entry)

    def match(self, belief: Belief, time: datetime) -> tuple[EntryMatch, ...]:
        """The best entry of each list that the plate is on with at least the list's `min_match`, surest first."""
        best: dict[int, EntryMatch] = {}
        for entry, probability in self._probabilities(belief):
            if not _holds(entry, time) or probability < self._least[entry.list_id]:
                continue
            known = best.get(entry.list_id)
            if known is None or (probability, -entry.id) > (known.probability, -known.entry_id):
                best[entry.list_id] = EntryMatch(entry.list_id, entry.id, probability)
        return tuple(sorted(best.values(), key=lambda match: (-match.probability, match.list_id)))

    def _probabilities(self, belief: Belief) -> Iterable[tuple[Entry, float]]:
        likely = belief.likely(LIKELY) if self._regexes or (self._privacy.hashed and self._exact) else []
        if self._privacy.hashed:
            for text, probability in likely:
                for entry in self._exact.get(self._privacy.token(text), ()):
                    yield entry, probability
        else:
            for entry in self._near(belief):
                yield entry, belief.of_text(entry.pattern)
        for entry, pattern in self._wildcards:
            yield entry, belief.of_pattern(pattern)
        for entry, regex in self._regexes:
            yield entry, sum(probability for text, probability in likely if regex.fullmatch(text) is not None)

    def _near(self, belief: Belief) -> list[Entry]:
        found = {entry.id: entry for text in belief.posteriors for entry in self._exact.get(text, ())}
        folded = fold(belief.best)
        # One edit makes a text of n characters from one of n - 1, n or n + 1; the entry's own length says where its halves meet.
        for length in range(max(1, len(folded) - 1), len(folded) + 2):
            middle = length // 2
            for key in (("head", folded[:middle]), ("tail", folded[len(folded) - (length - middle) :] if length - middle <= len(folded) else "")):
                for entry in self._halves.get(key, ()):
                    if abs(len(entry.pattern) - len(folded)) <= 1:
                        found[entry.id] = entry
        return list(found.values())


class Lists:
    """Lists and their entries in the database. Changes count for the sightings that are stored afterwards."""

    def __init__(self, database: Database, privacy: Privacy) -> None:
        self._database = database
        self._privacy = privacy
        self._matcher: tuple[str, Matcher] | None = None

    def all(self) -> list[PlateList]:
        """All lists, by name."""
        with self._database.read() as connection:
            return _lists(connection)

    def get(self, name: str) -> PlateList:
        """The list of a name.

        Raises:
            StoreError: there is none.
        """
        with self._database.read() as connection:
            return _list(connection, name)

    def create(self, name: str, kind: str, note: str = "", min_match: float = 0.5, keep_days: float | None = None) -> PlateList:
        """A list without entries.

        Raises:
            StoreError: the name is taken or empty, or a value is out of range.
        """
        _check_list(name, kind, min_match, keep_days)
        values = {"name": name, "kind": kind, "note": note, "min_match": min_match, "keep_days": keep_days}
        try:
            with self._database.write() as connection:
                key = connection.execute(insert(ListRow).values(values).returning(ListRow.id)).scalar_one()
                _touch(connection)
        except IntegrityError:
            raise StoreError(f"there is a list {name!r} already; change it, or take another name") from None
        return PlateList(key, name, kind, note, min_match, keep_days)

    def change(self, changed: PlateList) -> None:
        """Write a list's changed values; its id says which one it is.

        Raises:
            StoreError: the list is not there, the name is taken, or a value is out of range.
        """
        _check_list(changed.name, changed.kind, changed.min_match, changed.keep_days)
        values = {name: getattr(changed, name) for name in ("name", "kind", "note", "min_match", "keep_days")}
        try:
            with self._database.write() as connection:
                if not connection.execute(update(ListRow).where(ListRow.id == changed.id).values(values)).rowcount:
                    raise StoreError(f"there is no list with id {changed.id}")
                _touch(connection)
        except IntegrityError:
            raise StoreError(f"there is a list {changed.name!r} already; take another name") from None

    def remove(self, name: str) -> None:
        """Delete a list with its entries and its matches.

        Raises:
            StoreError: there is none of that name.
        """
        with self._database.write() as connection:
            connection.execute(delete(ListRow).where(ListRow.id == _list(connection, name).id))
            _touch(connection)

    def entries(self, name: str) -> list[Entry]:
        """A list's entries, in the order in which they were added.

        Raises:
            StoreError: there is no such list.
        """
        with self._database.read() as connection:
            return _entries(connection, EntryRow.list_id == _list(connection, name).id)

    def add(self, name: str, entries: Sequence[NewEntry]) -> list[Entry]:
        """Add entries, all or none; one that is there already gets the new note and validity.

        Raises:
            StoreError: there is no such list, or an entry is wrong; names it.
        """
        rows = [self._row(entry) for entry in entries]
        with self._database.write() as connection:
            found = _list(connection, name)
            ids = []
            for row in rows:
                statement = insert_into(connection, EntryRow).values(list_id=found.id, **row)
                again = {"valid_from": row["valid_from"], "valid_until": row["valid_until"], "note": row["note"]}
                statement = statement.on_conflict_do_update(index_elements=["list_id", "kind", "pattern"], set_=again)
                ids.append(connection.execute(statement.returning(EntryRow.id)).scalar_one())
            _touch(connection)
            by_id = {entry.id: entry for some in batches(ids) for entry in _entries(connection, EntryRow.id.in_(some))}
        return [by_id[key] for key in ids]

    def remove_entry(self, entry_id: int) -> None:
        """Delete an entry; sightings that matched it stay on the list.

        Raises:
            StoreError: there is no such entry.
        """
        with self._database.write() as connection:
            if not connection.execute(delete(EntryRow).where(EntryRow.id == entry_id)).rowcount:
                raise StoreError(f"there is no list entry with id {entry_id}")
            _touch(connection)

    def matcher(self, connection: Connection) -> Matcher:
        """The matcher of the lists as the connection's transaction sees them; it is made anew only when a list changed."""
        version = connection.execute(select(StateRow.value).where(StateRow.name == "lists")).scalar_one_or_none() or ""
        known = self._matcher
        if known is None or known[0] != version:
            self._matcher = known = (version, Matcher(_lists(connection), _entries(connection, true()), self._privacy))
        return known[1]

    def _row(self, entry: NewEntry) -> dict[str, str | datetime | None]:
        if entry.kind not in ("plate", "wildcard", "regex"):
            raise StoreError(f'expected an entry of kind "plate", "wildcard" or "regex", got {entry.kind!r}')
        if self._privacy.hashed and entry.kind != "plate":
            raise StoreError(f"plates are hashed in this store: an entry has to be a whole plate, got the {entry.kind} {entry.pattern!r}")
        for time in (entry.valid_from, entry.valid_until):
            if time is not None and time.tzinfo is None:
                raise StoreError(f"entry {entry.pattern!r}: expected times with a time zone, got {time.isoformat()}")
        if entry.valid_from and entry.valid_until and entry.valid_from >= entry.valid_until:
            raise StoreError(f"entry {entry.pattern!r}: expected valid_from before valid_until")
        if entry.kind == "plate":
            pattern = self._privacy.token(plate_text(entry.pattern))
        elif entry.kind == "wildcard":
            pattern = Pattern(entry.pattern).text
        else:
            pattern = entry.pattern
            compile_regex(pattern)
        return {"kind": entry.kind, "pattern": pattern, "valid_from": entry.valid_from, "valid_until": entry.valid_until, "note": entry.note}


def compile_regex(pattern: str) -> _Regex:
    """A regular expression that matches in time linear in the text (RE2): it cannot be made to run for long. Case does not matter.

    Raises:
        StoreError: RE2 does not take it (it has no look-around and no back-references), or it is too long or too large.
    """
    if not 1 <= len(pattern) <= _REGEX_LONGEST:
        raise StoreError(f"expected a regular expression of 1 to {_REGEX_LONGEST} characters, got {len(pattern)}")
    options = re2.Options()
    options.max_mem, options.log_errors, options.case_sensitive, options.never_capture = _REGEX_MEMORY, False, False, True
    # Cyrillic look-alikes as everywhere; ASCII stays as it is, for \d is not \D.
    spelled = "".join(c if c.isascii() else normalise(c) for c in pattern)
    try:
        compiled: _Regex = re2.compile(spelled, options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error
        raise StoreError(f"the regular expression {pattern!r} cannot be used: {reason}") from None
    return compiled


def _holds(entry: Entry, time: datetime) -> bool:
    return (entry.valid_from is None or entry.valid_from <= time) and (entry.valid_until is None or time < entry.valid_until)


def _check_list(name: str, kind: str, min_match: float, keep_days: float | None) -> None:
    if not name.strip() or not kind.strip() or "\0" in name + kind:
        raise StoreError("a list needs a name and a kind, such as allow, watch or block")
    if not LEAST_MATCH <= min_match <= 1:
        raise StoreError(f"list {name!r}: expected min_match from {LEAST_MATCH} to 1, got {min_match}")
    if keep_days is not None and not 0 <= keep_days <= 36500:
        raise StoreError(f"list {name!r}: expected keep_days from 0 to 36500, got {keep_days}")


def _touch(connection: Connection) -> None:
    """Give the lists another version, in the transaction that changed them."""
    statement = insert_into(connection, StateRow).values(name="lists", value=secrets.token_hex(8))
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value}))


def _lists(connection: Connection) -> list[PlateList]:
    columns = (ListRow.id, ListRow.name, ListRow.kind, ListRow.note, ListRow.min_match, ListRow.keep_days)
    return [PlateList(*row) for row in connection.execute(select(*columns).order_by(ListRow.name))]


def _list(connection: Connection, name: str) -> PlateList:
    found = next((one for one in _lists(connection) if one.name == name), None)
    if found is None:
        raise StoreError(f"there is no list {name!r}")
    return found


def _entries(connection: Connection, where: ColumnElement[bool]) -> list[Entry]:
    columns = (EntryRow.id, EntryRow.list_id, EntryRow.kind, EntryRow.pattern, EntryRow.valid_from, EntryRow.valid_until, EntryRow.note)
    rows = connection.execute(select(*columns).where(where).order_by(EntryRow.id))
    return [Entry(row[0], row[1], _kind(row[2]), *row[3:]) for row in rows]


def _kind(kind: str) -> EntryKind:
    return "wildcard" if kind == "wildcard" else "regex" if kind == "regex" else "plate"
