"""What is deleted when, and that nothing else is."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from openplate.errors import StoreError
from openplate.store import Forgotten, NewDelivery, NewEntry, NewPicture, Query, Retention, Store
from openplate.store import retention as module
from tests.store.conftest import NOON, sighting


def days(count: float) -> timedelta:
    return timedelta(days=count)


def ids(store: Store) -> list[str]:
    return [hit.sighting.id for hit in store.search().hits]


def test_sightings_go_at_their_age(store: Store) -> None:
    for number, age in enumerate([0, 29, 31]):
        store.add(sighting(number, at=NOON - days(age)))
    assert store.forget(Retention(days=30), NOON).sightings == 1
    assert ids(store) == ["s0", "s1"]


def test_nothing_goes_without_an_age(store: Store) -> None:
    store.add(sighting(1, at=NOON - days(10_000)), lambda _: [NewDelivery("a", "x")])
    assert store.forget(Retention(), NOON) == Forgotten(0, 0, 0, 0)
    assert ids(store) == ["s1"]


def test_lists_keep_theirs_for_longer_or_shorter(store: Store) -> None:
    store.lists.create("staff", "allow", keep_days=1)
    store.lists.create("thieves", "watch", keep_days=365)
    store.lists.create("guests", "allow")
    for name, plate in (("staff", "A1"), ("thieves", "B2"), ("guests", "C3"), ("staff", "D4"), ("thieves", "D4")):
        store.lists.add(name, [NewEntry(plate)])
    plates = ["A1", "B2", "C3", "D4", "E5"]
    for number, (plate, age) in enumerate((plate, age) for plate in plates for age in (2, 40, 400)):
        store.add(sighting(number, plate, at=NOON - days(age)))
    store.forget(Retention(days=30), NOON)
    left = sorted((h.sighting.text, round((NOON - h.sighting.last) / days(1))) for h in store.search().hits)
    # staff 1 day; thieves 365; guests as all others; who is on both lists stays for the longer time
    assert left == [("B2", 2), ("B2", 40), ("C3", 2), ("D4", 2), ("D4", 40), ("E5", 2)]


def test_forgotten_sighting_is_in_no_index(store: Store) -> None:
    store.add(sighting(1, "A123BC77", at=NOON - days(2)))
    store.forget(Retention(days=1), NOON)
    store.add(sighting(2, "X999XX99"))
    for query in (Query("A123BC77"), Query("123B", "contains"), Query("A123*", "wildcard"), Query("A123BC77", "fuzzy")):
        assert store.search(query).hits == ()
    assert [hit.sighting.id for hit in store.search(Query("999", "contains")).hits] == ["s2"]


def test_pictures_can_go_before_their_sighting(store: Store, tmp_path: Path) -> None:
    for number, age in enumerate([1, 8]):
        store.add(sighting(number, at=NOON - days(age), pictures=(NewPicture("crop", f"crop {number}".encode()),)))
    assert store.forget(Retention(picture_days=7), NOON).pictures == 1
    assert [len(hit.sighting.pictures) for hit in store.search().hits] == [1, 0]
    now_s = datetime.now().timestamp()
    assert store.sweep(3600, now_s + 2 * 3600) == 0
    assert store.sweep(3600, now_s + 4 * 3600) == 1
    files = [path for path in (tmp_path / "data" / "evidence").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"crop 0"]


def test_finished_messages_go_after_a_week_and_pending_ones_stay(store: Store) -> None:
    store.outbox.add([NewDelivery("a", "sent"), NewDelivery("a", "waiting")], NOON)
    sent, _ = store.outbox.claim(2, now=NOON)
    store.outbox.delivered(sent, NOON)
    assert store.forget(Retention(), NOON + days(6.9)).deliveries == 0
    assert store.forget(Retention(), NOON + days(7.1)).deliveries == 1
    assert store.outbox.state().pending == 1


def test_messages_go_with_their_sighting(store: Store) -> None:
    store.add(sighting(1, at=NOON - days(2)), lambda _: [NewDelivery("a", "x")])
    store.forget(Retention(days=1), NOON)
    assert store.outbox.state().pending == 0


def test_more_than_one_part_is_deleted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    for number in range(8):
        store.add(sighting(number))
    assert store.forget(Retention(days=0), NOON + days(1)).sightings == 8


@pytest.mark.parametrize("wrong", [Retention(days=-1), Retention(picture_days=float("nan")), Retention(finished_days=1e9)])
def test_wrong_age_is_refused_and_deletes_nothing(wrong: Retention, store: Store) -> None:
    store.add(sighting(1))
    with pytest.raises(StoreError, match="retention: expected"):
        store.forget(wrong, NOON + days(1))
    assert ids(store) == ["s1"]
