"""A query and a cursor in, a page of matching rows out; also counts.

What narrows a search to few rows (a trigram index, a camera, a list's matches) drives it: those rows are looked up and sorted. Where each has too
many rows, all rows are walked in order of time instead until the page is full, which takes little when many rows match. Both ways give the same page.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, islice, pairwise
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    type_coerce,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from openplate.errors import StoreError
from openplate.store.belief import Belief
from openplate.store.database import batches
from openplate.store.look_alikes import fold
from openplate.store.model import Count, Group, Query
from openplate.store.patterns import Pattern, plate_text
from openplate.store.privacy import Privacy
from openplate.store.tables import ListRow, MatchRow, SightingRow, from_microseconds
from openplate.types import Candidate, Character

FEW = 3000
"""A driver with more rows than this is not used: so many rows are walked quickly until a page is full."""
FEW_NEAR = 30_000
"""The same for a fuzzy search, of whose rows hardly any are near enough: a walk would be long."""
LARGEST_PAGE = 1000
MOST_BY_MATCH = 1000
"""Sorting by match looks at the newest so many hits."""
LEAST_FUZZY = {0: 1, 1: 4, 2: 7}
"""A fuzzy search with so many edits needs at least so many characters: then the anchored text has edits + 1 pieces of a trigram or more, of which one is intact."""
_GRAM = 3
_BATCH = 200
_HOUR_US = 3_600_000_000

Key = tuple[float, int, int]
"""A row's place in the order: match (0 when sorted by time), microseconds, seq; all fall."""
Hide = Callable[[Any], Any]
"""Passes a column through, or turns it into an expression that no index serves."""
Condition = Callable[[Hide], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Found:
    """A row that matches, its time, and its match probability (None unless the search is fuzzy)."""

    seq: int
    microseconds: int
    match: float | None


@dataclass(frozen=True, slots=True)
class FoundPage:
    """The rows of one page, and the cursor of the next, None on the last one."""

    rows: tuple[Found, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class _Driver:
    """`rows` selects the seq of all rows that can hold; it is used when there are at most `most`.

    `counted` has as many rows or more and is quick to count; None where the only way to count is to try.
    """

    rows: Select[Any]
    counted: Select[Any] | None
    most: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """Every condition has to hold; any one driver may drive the search."""

    conditions: tuple[Condition, ...]
    drivers: tuple[_Driver, ...]


def search(connection: Connection, query: Query, cursor: str | None, size: int, privacy: Privacy) -> FoundPage:
    """One page of what a query finds.

    Raises:
        StoreError: the query, the cursor or the size is wrong.
    """
    if not 1 <= size <= LARGEST_PAGE:
        raise StoreError(f"expected a page size from 1 to {LARGEST_PAGE}, got {size}")
    plan = _plan(connection, query, privacy)
    start = None if cursor is None else _decode_cursor(cursor, query)
    if plan is None:
        return FoundPage((), None)
    if query.order == "match":
        newest = list(islice(_found(connection, plan, query, None, MOST_BY_MATCH), MOST_BY_MATCH))
        found = sorted((row for row in newest if start is None or _key(row, query) < start), key=lambda row: _key(row, query), reverse=True)
    else:
        found = list(islice(_found(connection, plan, query, start, size + 1), size + 1))
    page = tuple(found[:size])
    return FoundPage(page, _encode_cursor(_key(page[-1], query), query) if len(found) > size else None)


def count(connection: Connection, query: Query, by: Group, privacy: Privacy) -> list[Count]:
    """How many sightings of a query fall into each group, in the order of groups; for "list" those that were on each list.

    Raises:
        StoreError: the query or the group is wrong, or the query has a least match.
    """
    if query.min_match > 0:
        raise StoreError("counting does not take min_match; leave it out")
    plan = _plan(connection, query, privacy)
    if plan is None:
        return []
    time = type_coerce(SightingRow.last_time, BigInteger)
    groups: dict[str, ColumnElement[Any]] = {
        "camera": type_coerce(SightingRow.camera, String),
        "country": func.coalesce(SightingRow.country, literal_column("''")),
        "status": type_coerce(SightingRow.status, String),
        "list": type_coerce(ListRow.name, String),
        "hour": time.op("/")(literal_column(str(_HOUR_US))),
        "day": time.op("/")(literal_column(str(24 * _HOUR_US))),
    }
    if by not in groups:
        raise StoreError(f"expected one of {', '.join(groups)}, got {by!r}")
    chosen = select(groups[by], func.count()).select_from(SightingRow).where(*(condition(_as_it_is) for condition in plan.conditions))
    if by == "list":
        chosen = chosen.join(MatchRow, MatchRow.sighting_seq == SightingRow.seq).join(ListRow, ListRow.id == MatchRow.list_id)
    counted = sorted((row[0], row[1]) for row in connection.execute(chosen.group_by(groups[by])))
    if by == "hour":
        return [Count(from_microseconds(key * _HOUR_US).strftime("%Y-%m-%dT%H:00Z"), number) for key, number in counted]
    if by == "day":
        return [Count(from_microseconds(key * 24 * _HOUR_US).strftime("%Y-%m-%d"), number) for key, number in counted]
    return [Count(key, number) for key, number in counted]


def belief_of_row(best: str | None, confidence: float, characters: Sequence[Any], candidates: Sequence[Any]) -> Belief:
    """The belief that a row's `text`, `confidence`, `characters` and `candidates` stand for."""
    options = [Candidate(c[0], c[1], c[2]) for c in candidates]
    return Belief(best or (options[0].text if options else ""), confidence, [Character(c[0], c[1]) for c in characters], options)


def _plan(connection: Connection, query: Query, privacy: Privacy) -> _Plan | None:
    """What has to hold, and what may drive the search; None when nothing can be found."""
    _check(query, privacy)
    conditions: list[Condition] = []
    drivers: list[_Driver] = []
    if query.plate is not None:
        plan = _fuzzy(connection, query) if query.how == "fuzzy" else _exact(query, privacy) if query.how == "exact" else _pattern(connection, query)
        conditions.extend(plan.conditions)
        drivers.extend(plan.drivers)
    since, until = query.since, query.until
    if since is not None:
        conditions.append(lambda hide: hide(SightingRow.last_time) >= since)
    if until is not None:
        conditions.append(lambda hide: hide(SightingRow.last_time) < until)
    countries = [code.upper() for code in query.countries]
    statuses = [query.status] if query.status is not None else []
    for column, values in ((SightingRow.camera, list(query.cameras)), (SightingRow.country, countries), (SightingRow.status, statuses)):
        if values:
            conditions.append(_among(connection, column, values))
            row = aliased(SightingRow)
            drivers.append(_driver(select(row.seq).where(getattr(row, column.key).in_(values))))
    if query.min_confidence > 0:
        conditions.append(lambda hide: hide(SightingRow.confidence) >= query.min_confidence)
    if query.lists:
        ids = list(connection.execute(select(ListRow.id).where(ListRow.name.in_(query.lists))).scalars())
        if not ids:
            return None
        conditions.append(lambda _: exists().where(MatchRow.sighting_seq == SightingRow.seq, MatchRow.list_id.in_(ids)))
        drivers.append(_driver(select(MatchRow.sighting_seq).where(MatchRow.list_id.in_(ids))))
    return _Plan(tuple(conditions), tuple(drivers))


def _check(query: Query, privacy: Privacy) -> None:
    if query.how not in ("exact", "wildcard", "contains", "fuzzy"):
        raise StoreError(f"expected exact, wildcard, contains or fuzzy, got {query.how!r}")
    fuzzy = query.how == "fuzzy" and query.plate is not None
    if query.order not in ("time", "match") or (query.order == "match" and not fuzzy):
        raise StoreError(f'expected order "time", or "match" for a fuzzy search, got {query.order!r}')
    if query.plate is not None and privacy.hashed and query.how != "exact":
        raise StoreError(f"plates are hashed in this store: only whole plates can be searched for (exact), not {query.how}")
    if query.edits not in LEAST_FUZZY:
        raise StoreError(f"expected 0, 1 or 2 edits, got {query.edits}")
    for time in (query.since, query.until):
        if time is not None and time.tzinfo is None:
            raise StoreError(f"expected a time with a time zone, as in 2027-03-31T18:00+03:00, got {time.isoformat()}")
    for name, value in (("min_confidence", query.min_confidence), ("min_match", query.min_match)):
        if not 0 <= value <= 1:
            raise StoreError(f"{name}: expected 0 to 1, got {value}")
    if query.min_match > 0 and not fuzzy:
        raise StoreError("min_match belongs to a fuzzy search")
    if any("\0" in value for value in (*query.cameras, *query.countries, *query.lists)):
        raise StoreError("names have no NUL characters")


def _exact(query: Query, privacy: Privacy) -> _Plan:
    kept = privacy.token(plate_text(query.plate or ""))
    row = aliased(SightingRow)
    return _Plan((lambda hide: hide(SightingRow.text) == kept,), (_driver(select(row.seq).where(row.text == kept)),))


def _pattern(connection: Connection, query: Query) -> _Plan:
    """Conditions on the text for wildcards and parts; a driver where the pattern has a piece that is long enough."""
    typed = query.plate or ""
    pattern = Pattern(typed) if query.how == "wildcard" else Pattern(f"*{plate_text(typed)}*")
    long = [piece for piece in pattern.pieces if len(piece) >= _GRAM]
    if connection.dialect.name == "sqlite":
        return _Plan((lambda hide: _glob(hide(SightingRow.text), pattern.glob),), (_driver(_holding("text", _all(long))),) if long else ())
    row = aliased(SightingRow)
    conditions: list[Condition] = [lambda hide: hide(SightingRow.text).like(pattern.like)]
    if {"@", "#"} & set(pattern.text):
        conditions.append(lambda hide: hide(SightingRow.text).regexp_match(pattern.regular_expression))
    return _Plan(tuple(conditions), (_Driver(select(row.seq).where(row.text.like(pattern.like)), None, FEW),) if long else ())


def _fuzzy(connection: Connection, query: Query) -> _Plan:
    """Conditions on the folded texts: one of the pieces is in them, and one of them lies within the edits."""
    typed, edits = query.plate or "", query.edits
    folded = fold(plate_text(typed))
    least = LEAST_FUZZY[edits]
    if len(folded) < least:
        raise StoreError(
            f"a fuzzy search with {edits} edits needs at least {least} characters, got {typed!r}; search for a part of the plate instead"
        )
    anchored = f"^{folded}$"
    # As equal pieces as possible: whoever edits the text in fewer places than there are pieces leaves one of them intact.
    pieces = [anchored[a:b] for a, b in pairwise(len(anchored) * i // (edits + 1) for i in range(edits + 2))]
    if connection.dialect.name == "sqlite":
        conditions: tuple[Condition, ...] = (
            lambda hide: or_(*(_glob(hide(SightingRow.folds), f"*{piece}*") for piece in pieces)),
            lambda hide: func.near(hide(SightingRow.folds), folded, edits),
        )
        wanted = _any(pieces)
        grams = list(dict.fromkeys(anchored[i : i + _GRAM] for i in range(len(anchored) - _GRAM + 1)))
        # Each edit spoils three trigrams at most. That two remain says more than one piece of three letters does, and is still quick to look up.
        pairs = [_all(pair) for pair in combinations(grams, 2)] if edits == 2 and len(grams) - _GRAM * edits >= 2 else []
        both = f"{wanted} AND ({' OR '.join(pairs)})" if pairs else wanted
        return _Plan(conditions, (_Driver(_holding("folds", both), _holding("folds", wanted), FEW_NEAR),))
    row = aliased(SightingRow)
    near: Any = text(
        "EXISTS (SELECT 1 FROM unnest(string_to_array(trim(both '^$' from sighting.folds), '$^')) AS one"
        " WHERE levenshtein_less_equal(one, CAST(:folded AS text), CAST(:edits AS integer)) <= CAST(:edits AS integer))"
    ).bindparams(folded=folded, edits=edits)
    conditions = (
        lambda hide: or_(*(hide(SightingRow.folds).like(f"%{piece}%") for piece in pieces)),
        lambda _: near,
    )
    rows = select(row.seq).where(or_(*(row.folds.like(f"%{piece}%") for piece in pieces)))
    return _Plan(conditions, (_Driver(rows, None, FEW_NEAR),))


def _driver(rows: Select[Any]) -> _Driver:
    return _Driver(rows, rows, FEW)


def _holding(column: str, wanted: str) -> Select[Any]:
    """SQLite: the seq of rows for whose column the trigram index finds what is wanted."""
    found = text("gram MATCH :wanted").bindparams(wanted=f"{column}: ({wanted})")
    return select(literal_column("rowid", Integer)).select_from(text("gram")).where(found)


def _all(pieces: Sequence[str]) -> str:
    return "(" + " AND ".join(f'"{piece}"' for piece in pieces) + ")"  # letters, digits and anchors alone: quoting them is safe


def _any(pieces: Sequence[str]) -> str:
    return "(" + " OR ".join(f'"{piece}"' for piece in pieces) + ")"


def _among(connection: Connection, column: Any, values: Sequence[Any]) -> Condition:
    if len(values) == 1:
        return lambda hide: hide(column) == values[0]
    # One value has its rows in order of time in an index. For several, SQLite would sort all their rows: it has to walk by time.
    several = _hidden(column) if connection.dialect.name == "sqlite" else column
    return lambda _: several.in_(values)


def _glob(column: Any, pattern: str) -> ColumnElement[bool]:
    return type_coerce(column, String).op("GLOB", is_comparison=True)(pattern)


def _as_it_is(column: Any) -> Any:
    return column


def _hidden(column: Any) -> Any:
    """SQLite: the column as an expression that no index serves."""
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def _found(connection: Connection, plan: _Plan, query: Query, start: Key | None, first: int) -> Iterator[Found]:
    """The rows that match, newest first, behind `start`; `first` is how many are wanted."""
    fuzzy = plate_text(query.plate) if query.plate is not None and query.how == "fuzzy" else None
    driver = _chosen(connection, plan)
    batch = first
    while True:
        rows = None if driver is None else _driven(connection, plan, driver, start, batch)
        if rows is None:
            driver = None
            rows = _walked(connection, plan, start, batch)
        matches = _matches(connection, [row[0] for row in rows], fuzzy) if fuzzy is not None else {}
        for seq, microseconds in rows:
            match = matches.get(seq)
            if match is None or match >= query.min_match:
                yield Found(seq, microseconds, match)
        if len(rows) < batch:
            return
        start = (0.0, rows[-1][1], rows[-1][0])
        batch = max(_BATCH, first)


def _chosen(connection: Connection, plan: _Plan) -> _Driver | None:
    """The driver to take: one that has to be tried, else the one with the fewest rows; None when each has too many."""
    best: tuple[int, _Driver] | None = None
    _guide(connection, walk=False)
    for driver in plan.drivers:
        if driver.counted is None:
            return driver
        counted = connection.execute(select(func.count()).select_from(driver.counted.limit(driver.most + 1).subquery())).scalar_one()
        if counted <= driver.most and (best is None or counted < best[0]):
            best = (counted, driver)
    return None if best is None else best[1]


def _driven(connection: Connection, plan: _Plan, driver: _Driver, start: Key | None, most: int) -> list[tuple[int, int]] | None:
    """(seq, microseconds) of at most `most` rows for which the plan's conditions hold, newest first, behind `start`; None when the driver has too many."""
    _guide(connection, walk=False)
    time, seq = type_coerce(SightingRow.last_time, BigInteger), SightingRow.seq
    if connection.dialect.name == "sqlite":
        # No index but the driver may serve, and a hidden column is in none.
        holding = select(seq, time).where(
            *(condition(_hidden) for condition in plan.conditions), *_behind(start, _hidden(time)), seq.in_(driver.rows)
        )
        return [(row[0], row[1]) for row in connection.execute(holding.order_by(_hidden(time).desc(), seq.desc()).limit(most))]
    holding = select(seq.label("seq"), time.label("time")).where(*(condition(_as_it_is) for condition in plan.conditions), *_behind(start, time))
    hits = holding.limit(driver.most + 1).cte("hits")
    newest = select(hits.c.seq, hits.c.time, select(func.count()).select_from(hits).scalar_subquery())
    rows = connection.execute(newest.order_by(hits.c.time.desc(), hits.c.seq.desc()).limit(most)).all()
    return None if rows and rows[0][2] > driver.most else [(row[0], row[1]) for row in rows]


def _walked(connection: Connection, plan: _Plan, start: Key | None, most: int) -> list[tuple[int, int]]:
    """As `_driven`, by going through all rows in order of time until there are enough."""
    _guide(connection, walk=True)
    time, seq = type_coerce(SightingRow.last_time, BigInteger), SightingRow.seq
    holding = select(seq, time).where(*(condition(_as_it_is) for condition in plan.conditions), *_behind(start, time))
    return [(row[0], row[1]) for row in connection.execute(holding.order_by(time.desc(), seq.desc()).limit(most))]


def _behind(start: Key | None, time: Any) -> tuple[ColumnElement[bool], ...]:
    if start is None:
        return ()
    return (tuple_(time, SightingRow.seq) < tuple_(literal(start[1], BigInteger), literal(start[2], BigInteger)),)


def _guide(connection: Connection, walk: bool) -> None:
    """PostgreSQL cannot know how rare a part of a plate is, and a wrong guess costs a look at every row: what drives a search is decided here."""
    if connection.dialect.name == "postgresql":
        names = ("enable_bitmapscan", "enable_sort", "enable_seqscan", "jit", "max_parallel_workers_per_gather")
        values = ("off", "off", "off", "off", "0") if walk else ("on", "on", "off", "off", "0")
        connection.execute(text("SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in zip(names, values, strict=True))))


def _matches(connection: Connection, seqs: Sequence[int], plate: str) -> dict[int, float]:
    """The probability that each row's plate is this one."""
    columns = (SightingRow.seq, SightingRow.text, SightingRow.confidence, SightingRow.characters, SightingRow.candidates)
    matches = {}
    for some in batches(seqs):
        for row in connection.execute(select(*columns).where(SightingRow.seq.in_(some))):
            matches[row[0]] = belief_of_row(*row[1:]).of_text(plate)
    return matches


def _key(row: Found, query: Query) -> Key:
    return (row.match or 0.0 if query.order == "match" else 0.0, row.microseconds, row.seq)


def _fingerprint(query: Query) -> str:
    return hashlib.sha256(json.dumps(asdict(query), default=str, sort_keys=True).encode()).hexdigest()[:12]


def _encode_cursor(key: Key, query: Query) -> str:
    return base64.urlsafe_b64encode(json.dumps([*key, _fingerprint(query)]).encode()).decode().rstrip("=")


def _decode_cursor(cursor: str, query: Query) -> Key:
    try:
        match, microseconds, seq, fingerprint = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars="-_", validate=True))
        key = (float(match), int(microseconds), int(seq))
    except (binascii.Error, ValueError, TypeError, OverflowError):
        raise StoreError("the cursor is none that this store gave; begin again without one") from None
    if fingerprint != _fingerprint(query) or not all(abs(number) < 2**63 for number in key):
        raise StoreError("the cursor belongs to another query; begin again without one")
    return key
