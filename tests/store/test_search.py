"""Searching, against a search by hand through all sightings, on both databases and in both ways (driven and walked)."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openplate.charset import normalise
from openplate.errors import StoreError
from openplate.store import Count, NewEntry, NewSighting, Query, Store
from openplate.store.rows import belief_of
from tests.store.conftest import NOON, sighting

FOLDED = {"O": "0", "Q": "0", "D": "0", "I": "1", "L": "1", "Z": "2", "S": "5", "G": "6", "B": "8"}
LETTERS = "ABO8015京"
COUNT = 200


def edits(first: str, second: str) -> int:
    """Levenshtein distance, by its definition."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def fold_by_hand(text: str) -> str:
    return "".join(FOLDED.get(c, c) for c in text)


def holds(query: Query, new: NewSighting, lists: dict[str, set[str]]) -> bool:
    """Whether a query finds a sighting, straight from the query's description."""
    if query.plate is not None:
        plate = normalise(query.plate)
        text = new.text
        if query.how == "fuzzy":
            texts = {t for t in (new.text, *(c.text for c in new.candidates)) if t}
            if not any(edits(fold_by_hand(plate), fold_by_hand(t)) <= query.edits for t in texts):
                return False
            if belief_of(new).of_text(plate) < query.min_match:
                return False
        elif text is None or query.how == "exact" and text != plate or query.how == "contains" and plate not in text:
            return False
        elif query.how == "wildcard":
            expected = "".join({"?": ".", "@": "[^0-9]", "#": "[0-9]", "*": ".*"}.get(c, c) for c in plate)
            if not re.fullmatch(expected, text):
                return False
    if query.since is not None and new.last < query.since or query.until is not None and new.last >= query.until:
        return False
    if query.cameras and new.camera not in query.cameras or query.countries and new.country not in query.countries:
        return False
    if query.lists and not any(new.id in lists.get(name, ()) for name in query.lists):
        return False
    return new.confidence >= query.min_confidence and query.status in (None, new.status)


class Filled:
    """A store with sightings, and the same sightings in a list, newest first."""

    def __init__(self, store: Store) -> None:
        rng = random.Random(5)
        store.lists.create("odd", "watch")
        store.lists.create("rare", "watch")
        store.lists.add("odd", [NewEntry("*1", "wildcard"), NewEntry("*5", "wildcard")])
        store.lists.add("rare", [NewEntry("A0*", "wildcard")])
        self.store = store
        self.lists: dict[str, set[str]] = {"odd": set(), "rare": set()}
        made = []
        for number in range(COUNT):
            text = "".join(rng.choice(LETTERS) for _ in range(rng.randint(3, 8)))
            place = rng.randrange(len(text))
            other = text[:place] + rng.choice(["", *LETTERS]) + text[place + 1 :]
            confidence = rng.choice([0.3, 0.6, 0.9, 0.95])
            new = sighting(
                number,
                text if confidence > 0.3 else None,
                confidence,
                ((text, confidence), (other, (1 - confidence) / 2)),
                rng.choice(["gate", "yard", "exit"]),
                rng.choice(["RU", "KZ", None]),
                NOON + timedelta(minutes=rng.randrange(60)),
            )
            made.append((new.last, number, new))
            for match in store.add(new).sighting.lists:
                self.lists[match.list].add(new.id)
        self.newest_first = [new for _, _, new in sorted(made, key=lambda item: item[:2], reverse=True)]

    def expected(self, query: Query) -> list[str]:
        found = [new for new in self.newest_first if holds(query, new, self.lists)]
        if query.order == "match":
            # newest first already, and sorting keeps that among equals
            found.sort(key=lambda new: belief_of(new).of_text(normalise(query.plate or "")), reverse=True)
        return [new.id for new in found]

    def found(self, query: Query, size: int) -> list[str]:
        ids: list[str] = []
        cursor = None
        while True:
            page = self.store.search(query, cursor, size)
            assert len(page.hits) == size or page.next is None, "only the last page may be short"
            ids += [hit.sighting.id for hit in page.hits]
            cursor = page.next
            if cursor is None:
                return ids


@pytest.fixture(scope="module")
def filled(database_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    url = None if database_kind == "sqlite" else request.getfixturevalue("make_database")()
    with Store(tmp_path_factory.mktemp("data"), url) as store:
        yield Filled(store)


@pytest.fixture(params=["driven", "walked"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which way of searching is taken: where a driver may have no row, all are walked."""
    few = 3000 if request.param == "driven" else 0
    monkeypatch.setattr("openplate.store.search.FEW", few)
    monkeypatch.setattr("openplate.store.search.FEW_NEAR", few)
    monkeypatch.setattr("openplate.store.search._BATCH", 7)
    return str(request.param)


def test_sightings_cover_what_the_queries_ask_for(filled: Filled) -> None:
    assert 10 < len(filled.lists["odd"]) < COUNT / 2
    assert 0 < len(filled.lists["rare"]) < 10
    assert {new.status for new in filled.newest_first} == {"read", "unreadable"}
    assert len({new.last for new in filled.newest_first}) < COUNT, "some have the same time"


def choices(values: list[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "since": st.integers(-1, 61).map(lambda m: NOON + timedelta(minutes=m)),
        "until": st.integers(-1, 61).map(lambda m: NOON + timedelta(minutes=m)),
        "cameras": choices(["gate", "yard", "nowhere"]),
        "countries": choices(["RU", "KZ", "DE"]),
        "lists": choices(["odd", "rare", "none"]),
        "min_confidence": st.sampled_from([0.5, 0.9, 1.0]),
        "status": st.sampled_from(["read", "unreadable"]),
    },
)
SIZES = st.sampled_from([13, 50, 1000])
PLATES = st.one_of(
    st.tuples(st.just("exact"), st.text(LETTERS, min_size=3, max_size=4)),
    st.tuples(st.just("contains"), st.text(LETTERS, min_size=1, max_size=4)),
    st.tuples(st.just("wildcard"), st.text(LETTERS + "?@#*", min_size=1, max_size=7)),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.none(), PLATES), FILTERS, SIZES)
def test_search_finds_what_a_look_at_every_sighting_finds(
    filled: Filled, way: str, plate: tuple[str, str] | None, filters: dict[str, Any], size: int
) -> None:
    query = Query(**filters) if plate is None else Query(plate=plate[1], how=plate[0], **filters)  # type: ignore[arg-type]
    assert filled.found(query, size) == filled.expected(query)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), FILTERS, SIZES)
def test_fuzzy_search_finds_what_a_look_at_every_sighting_finds(
    filled: Filled, way: str, data: st.DataObject, filters: dict[str, Any], size: int
) -> None:
    allowed = data.draw(st.integers(0, 2))
    least = {0: 1, 1: 4, 2: 7}[allowed]
    known = [t for new in filled.newest_first for t in [new.candidates[0].text] if len(t) >= least]
    plate = data.draw(st.one_of(st.sampled_from(known), st.text(LETTERS, min_size=least, max_size=9)))
    order = data.draw(st.sampled_from(["time", "match"]))
    least_match = data.draw(st.sampled_from([0.0, 0.01, 0.5]))
    query = Query(plate=plate, how="fuzzy", edits=allowed, min_match=least_match, order=order, **filters)  # type: ignore[arg-type]
    assert filled.found(query, size) == filled.expected(query)


def test_fuzzy_hit_has_the_match_probability(store: Store) -> None:
    store.add(sighting(1, "A123BC", 0.7, (("A123BC", 0.7), ("A128BC", 0.2))))
    (hit,) = store.search(Query("A12BBC", "fuzzy")).hits
    assert hit.match == pytest.approx(belief_of(sighting(1, "A123BC", 0.7, (("A123BC", 0.7), ("A128BC", 0.2)))).of_text("A12BBC"))
    (hit,) = store.search(Query("A128BC", "fuzzy")).hits
    assert hit.match == 0.2


def test_unreadable_plate_is_found_by_a_fuzzy_search_alone(store: Store) -> None:
    store.add(sighting(1, None, 0.3, (("A123BC", 0.3),)))
    assert store.search(Query("A123BC")).hits == ()
    assert store.search(Query("A1*", "wildcard")).hits == ()
    (hit,) = store.search(Query("A1Z3BC", "fuzzy")).hits
    assert hit.sighting.status == "unreadable"


@pytest.mark.parametrize("query", [Query(), Query("7", "contains"), Query("A777", "fuzzy"), Query("A7*", "wildcard", cameras=("gate", "yard"))])
def test_paging_is_stable_while_sightings_are_added(store: Store, query: Query) -> None:
    for number in range(0, 40, 2):
        store.add(sighting(number, "A777"))
    page = store.search(query, None, 6)
    ids = [hit.sighting.id for hit in page.hits]
    added = iter([41, 1, 43, 5, 33])  # newer than all, and between those that were there
    while page.next is not None:
        store.add(sighting(next(added, 50 + len(ids)), "A777"))
        page = store.search(query, page.next, 6)
        ids += [hit.sighting.id for hit in page.hits]
    assert len(set(ids)) == len(ids)
    assert [i for i in ids if int(i[1:]) % 2 == 0 and int(i[1:]) < 40] == [f"s{n}" for n in range(38, -1, -2)]


def test_sightings_of_one_moment_are_paged_by_their_number(store: Store) -> None:
    for number in range(5):
        store.add(sighting(number, at=NOON))
    page = store.search(size=2)
    ids = []
    while True:
        ids += [hit.sighting.id for hit in page.hits]
        if page.next is None:
            break
        page = store.search(cursor=page.next, size=2)
    assert ids == ["s4", "s3", "s2", "s1", "s0"]


@pytest.mark.parametrize("cursor", ["", "x", "!!!", "e30", "WzFd", "WyJhIiwgMSwgMSwgIngiXQ", "A" * 5000])
def test_cursor_that_is_none_is_refused(cursor: str, store: Store) -> None:
    with pytest.raises(StoreError, match="cursor"):
        store.search(cursor=cursor)


def test_cursor_of_another_query_is_refused(store: Store) -> None:
    for number in range(3):
        store.add(sighting(number))
    cursor = store.search(size=1).next
    assert cursor is not None
    with pytest.raises(StoreError, match="another query"):
        store.search(Query(cameras=("gate",)), cursor)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query("A12", "fuzzy"), "1 edits needs at least 4 characters"),
        (Query("A12345", "fuzzy", edits=2), "2 edits needs at least 7 characters"),
        (Query("A1", "fuzzy", edits=3), "0, 1 or 2 edits"),
        (Query("A*"), "without wildcards"),
        (Query("A'; DROP TABLE sighting; --", "contains"), "letters and digits"),
        (Query('A" OR "', "fuzzy"), "letters and digits"),
        (Query("A%", "wildcard"), "letters and digits"),
        (Query("A1", "similar"), "exact, wildcard, contains or fuzzy"),  # type: ignore[arg-type]
        (Query(order="match"), "for a fuzzy search"),
        (Query("A1", min_match=0.5), "min_match belongs to a fuzzy search"),
        (Query(min_confidence=1.5), "min_confidence: expected 0 to 1"),
        (Query(since=NOON.replace(tzinfo=None)), "time zone"),
        (Query(cameras=("a\0b",)), "NUL"),
    ],
)
def test_wrong_query_is_refused(query: Query, message: str, store: Store) -> None:
    with pytest.raises(StoreError, match=message):
        store.search(query)


@pytest.mark.parametrize("size", [0, 1001])
def test_wrong_page_size_is_refused(size: int, store: Store) -> None:
    with pytest.raises(StoreError, match="page size from 1 to 1000"):
        store.search(size=size)


def test_time_in_another_zone_is_the_same_moment(store: Store) -> None:
    store.add(sighting(0))
    moscow = NOON.astimezone(timezone(timedelta(hours=3)))
    assert len(store.search(Query(since=moscow, until=moscow + timedelta(seconds=1))).hits) == 1
    assert store.search().hits[0].sighting.last.tzinfo is UTC


def test_counts_by_each_group(store: Store) -> None:
    store.lists.create("staff", "allow")
    store.lists.add("staff", [NewEntry("A1")])
    store.add(sighting(0, "A1", camera="gate"))
    store.add(sighting(59, "A1", camera="gate", country="KZ"))
    store.add(sighting(60, None, 0.2, (("B2", 0.2),), camera="yard", country=None))
    store.add(replace(sighting(1, "B2"), id="tomorrow", first=NOON + timedelta(days=1), last=NOON + timedelta(days=1)))
    assert store.count(by="camera") == [Count("gate", 3), Count("yard", 1)]
    assert store.count(by="country") == [Count("", 1), Count("KZ", 1), Count("RU", 2)]
    assert store.count(by="status") == [Count("read", 3), Count("unreadable", 1)]
    assert store.count(by="list") == [Count("staff", 2)]
    assert store.count(by="day") == [Count("2026-05-01", 3), Count("2026-05-02", 1)]
    assert store.count(by="hour") == [Count("2026-05-01T12:00Z", 2), Count("2026-05-01T13:00Z", 1), Count("2026-05-02T12:00Z", 1)]
    assert store.count(Query("A1"), by="camera") == [Count("gate", 2)]
    assert store.count(Query(lists=("staff",), cameras=("gate", "yard")), by="hour") == [Count("2026-05-01T12:00Z", 2)]


def test_wrong_count_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="min_match"):
        store.count(Query("A123", "fuzzy", min_match=0.1))
    with pytest.raises(StoreError, match="expected one of camera"):
        store.count(by="colour")  # type: ignore[arg-type]
    assert store.count(Query(lists=("none",))) == []


def test_search_among_more_than_a_thousand_by_match_looks_at_the_newest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openplate.store.search.MOST_BY_MATCH", 3)
    for number, confidence in enumerate([0.9, 0.5, 0.7, 0.6]):
        store.add(sighting(number, "A123", confidence))
    assert [hit.match for hit in store.search(Query("A123", "fuzzy", order="match")).hits] == [0.7, 0.6, 0.5]


def test_plain_data_folder_is_enough(tmp_path: Path) -> None:
    with Store(tmp_path / "new" / "data") as store:
        store.add(sighting(1))
        assert len(store.search().hits) == 1
    assert (tmp_path / "new" / "data" / "openplate.sqlite").exists()


def test_longest_plate_can_be_searched_for_in_every_way(store: Store) -> None:
    plate = "".join("ABCDEFGHJKMNPRTUVWXY"[n % 20] + str(n % 10) for n in range(16))
    store.add(sighting(1, plate))
    for query in (Query(plate), Query(plate[1:], "contains"), Query(plate[:31] + "#", "wildcard"), Query("ÖÖ" + plate[2:], "fuzzy", edits=2)):
        assert [hit.sighting.id for hit in store.search(query).hits] == ["s1"]
