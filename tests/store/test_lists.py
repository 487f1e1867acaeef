"""Lists in the database, and matching sightings with their entries."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openplate.errors import StoreError
from openplate.store import NewEntry, PlateList, Store
from openplate.store.belief import Belief
from openplate.store.lists import LEAST_MATCH, Entry, Matcher, compile_regex
from openplate.store.model import EntryKind
from openplate.store.privacy import Privacy
from openplate.types import Candidate, Character
from tests.store.conftest import NOON, sighting

PLAIN = Privacy("plain", Path(), None)


def one_list(*patterns: str, kind: EntryKind = "plate", min_match: float = LEAST_MATCH) -> Matcher:
    entries = [Entry(i, 1, kind, pattern, None, None, "") for i, pattern in enumerate(patterns, start=1)]
    return Matcher([PlateList(1, "one", "watch", "", min_match, None)], entries, PLAIN)


def belief(text: str, right: float, *candidates: tuple[str, float]) -> Belief:
    return Belief(text, candidates[0][1], [Character(c, right) for c in text], [Candidate(t, p, None) for t, p in candidates])


def test_sure_sighting_matches_its_plate_with_its_confidence() -> None:
    (match,) = one_list("B999XX77", "A123BC77").match(belief("A123BC77", 0.99, ("A123BC77", 0.95)), NOON)
    assert (match.list_id, match.entry_id, match.probability) == (1, 2, 0.95)


def test_second_candidate_matches_with_its_posterior() -> None:
    (match,) = one_list("A123BC777").match(belief("A123BC77", 0.9, ("A123BC77", 0.6), ("A123BC777", 0.3)), NOON)
    assert match.probability == 0.3


def test_half_read_plate_matches_by_its_characters() -> None:
    # the 8 is as likely a B: half of the wrong half, of what the candidates leave
    characters = [Character(c, 1.0) for c in "A12"] + [Character("8", 0.5)]
    unsure = Belief("A128", 0.5, characters, [Candidate("A128", 0.5, None)])
    (match,) = one_list("A12B").match(unsure, NOON)
    assert match.probability == pytest.approx(0.9 * 0.25 * 0.5 / 0.55)


def test_probability_under_the_lists_least_does_not_match() -> None:
    assert one_list("A123BC77", min_match=0.5).match(belief("A123BC77", 0.9, ("A123BC77", 0.49)), NOON) == ()
    assert len(one_list("A123BC77", min_match=0.5).match(belief("A123BC77", 0.9, ("A123BC77", 0.5)), NOON)) == 1


def test_best_entry_of_each_list_counts() -> None:
    lists = [PlateList(1, "one", "watch", "", 0.1, None), PlateList(2, "two", "allow", "", 0.1, None)]
    entries = [
        Entry(1, 1, "plate", "A1238", None, None, ""),
        Entry(2, 1, "plate", "A123B", None, None, ""),
        Entry(3, 2, "wildcard", "A*", None, None, ""),
    ]
    matches = Matcher(lists, entries, PLAIN).match(belief("A123B", 1.0, ("A123B", 0.7), ("A1238", 0.3)), NOON)
    assert [(m.list_id, m.entry_id, m.probability) for m in matches] == [(2, 3, 1.0), (1, 2, 0.7)]


def test_entry_holds_from_its_beginning_and_not_at_its_end() -> None:
    hour = timedelta(hours=1)
    entry = Entry(1, 1, "plate", "A123", NOON, NOON + hour, "")
    matcher = Matcher([PlateList(1, "one", "watch", "", 0.5, None)], [entry], PLAIN)
    sure = belief("A123", 1.0, ("A123", 1.0))
    at = [NOON - timedelta(microseconds=1), NOON, NOON + hour - timedelta(microseconds=1), NOON + hour]
    assert [bool(matcher.match(sure, time)) for time in at] == [False, True, True, False]


def test_regular_expression_sums_what_it_matches() -> None:
    one = belief("A1", 1.0, ("A1", 0.6), ("A2", 0.3), ("B1", 0.1))
    (match,) = one_list("a[12]", kind="regex").match(one, NOON)
    assert match.probability == pytest.approx(0.9)
    assert one_list("A", kind="regex").match(one, NOON) == (), "the whole text has to match"


@settings(max_examples=200)
@given(
    st.text("A8B0O17", min_size=1, max_size=7),
    st.lists(st.floats(0, 1), min_size=7, max_size=7),
    st.lists(st.tuples(st.text("A8B0O17", min_size=1, max_size=8), st.floats(0, 1)), max_size=4),
    st.lists(st.text("A8B0O17", min_size=1, max_size=8), min_size=1, max_size=30, unique=True),
    st.floats(LEAST_MATCH, 1),
)
def test_matching_finds_the_entry_that_going_through_all_finds(
    text: str, rights: list[float], candidates: list[tuple[str, float]], patterns: list[str], least: float
) -> None:
    one = Belief(text, 0.5, [Character(c, q) for c, q in zip(text, rights, strict=False)], [Candidate(t, p, None) for t, p in candidates])
    best = max(one.of_text(pattern) for pattern in patterns)
    matches = one_list(*patterns, min_match=least).match(one, NOON)
    assert [m.probability for m in matches] == ([best] if best >= least else [])


@given(st.data())
def test_entry_within_one_edit_is_always_compared(data: st.DataObject) -> None:
    plate = data.draw(st.text("A8B0O17", min_size=1, max_size=9))
    place = data.draw(st.integers(0, len(plate) - 1))
    other = data.draw(st.sampled_from(["", *"A8B0O17"]))
    behind = data.draw(st.sampled_from(["", plate[place]]))
    edited = plate[:place] + other + behind + plate[place + 1 :]
    if edited:
        one = belief(edited, 0.5, (edited, 0.5))
        assert [entry.pattern for entry in one_list(plate, "XYZXYZ")._near(one)] == [plate]


@pytest.mark.parametrize("pattern", ["(A+)+$", "(A|A)*B", "(?:A*)*C", "([A-Z]+)*X"])
def test_regular_expression_cannot_be_made_to_run_for_long(pattern: str) -> None:
    # A backtracking engine takes 2^32 steps for these; this test then does not end.
    assert compile_regex(pattern).fullmatch("A" * 32 + "!") is None


@pytest.mark.parametrize("pattern", ["(", "(?=A)B", r"(A)\1", "", "A" * 501, "((A{1000}){1000}){1000}", "[[:wrong:]]"])
def test_regular_expression_that_cannot_be_used_is_refused(pattern: str) -> None:
    with pytest.raises(StoreError, match="regular expression"):
        compile_regex(pattern)


def test_regular_expression_knows_cyrillic_look_alikes_and_keeps_its_classes() -> None:
    regex = compile_regex(r"а\d{3}[вс]+")  # Cyrillic letters
    assert regex.fullmatch("A123BC") is not None
    assert regex.fullmatch("AXYZBC") is None


def test_lists_are_made_changed_and_removed(store: Store) -> None:
    made = store.lists.create("gate", "allow", note="for the gate")
    store.lists.create("alarm", "watch", min_match=0.1, keep_days=365)
    assert [one.name for one in store.lists.all()] == ["alarm", "gate"]
    store.lists.change(replace(made, name="main gate", min_match=0.9))
    assert store.lists.get("main gate") == PlateList(made.id, "main gate", "allow", "for the gate", 0.9, None)
    store.lists.remove("alarm")
    assert [one.name for one in store.lists.all()] == ["main gate"]


def test_name_that_is_taken_is_refused(store: Store) -> None:
    first = store.lists.create("gate", "allow")
    second = store.lists.create("alarm", "watch")
    with pytest.raises(StoreError, match="there is a list 'gate' already"):
        store.lists.create("gate", "watch")
    with pytest.raises(StoreError, match="there is a list 'gate' already"):
        store.lists.change(replace(second, name="gate"))
    assert store.lists.get("gate") == first


@pytest.mark.parametrize(
    ("name", "kind", "least", "days"), [(" ", "allow", 0.5, None), ("a", "", 0.5, None), ("a", "b", 0.01, None), ("a", "b", 0.5, -1.0)]
)
def test_list_with_a_wrong_value_is_refused(name: str, kind: str, least: float, days: float | None, tmp_path: Path) -> None:
    with Store(tmp_path) as store, pytest.raises(StoreError):
        store.lists.create(name, kind, min_match=least, keep_days=days)


def test_what_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(StoreError, match="there is no list 'x'"):
        store.lists.entries("x")
    with pytest.raises(StoreError, match="there is no list 'x'"):
        store.lists.add("x", [NewEntry("A1")])
    with pytest.raises(StoreError, match="there is no list 'x'"):
        store.lists.remove("x")
    with pytest.raises(StoreError, match="no list with id 7"):
        store.lists.change(PlateList(7, "x", "watch", "", 0.5, None))
    with pytest.raises(StoreError, match="no list entry with id 7"):
        store.lists.remove_entry(7)


def test_entries_are_spelled_as_plates_are_and_added_once(store: Store) -> None:
    store.lists.create("gate", "allow")
    until = NOON + timedelta(days=1)
    first, second = store.lists.add("gate", [NewEntry("а 123 вс-77"), NewEntry("A1??*", "wildcard", note="staff")])
    assert (first.pattern, second.pattern, second.note) == ("A123BC77", "A1??*", "staff")
    (again,) = store.lists.add("gate", [NewEntry("A123BC77", valid_until=until, note="until May")])
    assert again == replace(first, valid_until=until, note="until May")
    assert store.lists.entries("gate") == [again, second]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (NewEntry("A1*"), "without wildcards"),
        (NewEntry("A'1"), "letters and digits"),
        (NewEntry("(", "regex"), "cannot be used"),
        (NewEntry("A1", valid_from=NOON, valid_until=NOON), "valid_from before valid_until"),
        (NewEntry("A1", valid_from=NOON.replace(tzinfo=None)), "time zone"),
    ],
)
def test_one_wrong_entry_adds_none(wrong: NewEntry, message: str, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.lists.create("gate", "allow")
        with pytest.raises(StoreError, match=message):
            store.lists.add("gate", [NewEntry("A123BC77"), wrong])
        assert store.lists.entries("gate") == []


def test_sighting_remembers_its_lists_when_the_entry_goes(store: Store) -> None:
    store.lists.create("gate", "allow")
    (entry,) = store.lists.add("gate", [NewEntry("A123BC77")])
    stored = store.add(sighting(1, "A123BC77", 0.9)).sighting
    assert [(m.list, m.kind, m.entry, m.probability) for m in stored.lists] == [("gate", "allow", entry.id, 0.9)]
    store.lists.remove_entry(entry.id)
    kept = store.get("s1")
    assert kept is not None
    assert [(m.list, m.entry) for m in kept.lists] == [("gate", None)]
    assert store.add(sighting(2, "A123BC77", 0.9)).sighting.lists == ()
    store.lists.remove("gate")
    kept = store.get("s1")
    assert kept is not None
    assert kept.lists == ()


def test_entry_that_another_process_adds_counts_at_once(open_store: Callable[..., Store]) -> None:
    one, other = open_store(), open_store()
    assert one.add(sighting(1)).sighting.lists == ()
    other.lists.create("gate", "allow")
    other.lists.add("gate", [NewEntry("A123BC77")])
    assert [m.list for m in one.add(sighting(2)).sighting.lists] == ["gate"]


def test_many_entries_are_added_at_once(store: Store) -> None:
    store.lists.create("permits", "allow")
    plates = [f"{a}{n:03}{b}" for a in string.ascii_uppercase[:3] for n in range(200) for b in ("AA", "BB")]
    assert len(store.lists.add("permits", [NewEntry(plate) for plate in plates])) == 1200
    assert [e.pattern for e in store.lists.entries("permits")] == plates
    assert [m.list for m in store.add(sighting(1, "B150BB")).sighting.lists] == ["permits"]
