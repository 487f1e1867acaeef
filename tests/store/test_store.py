"""Storing sightings: all or nothing, once, in order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from openplate.errors import StoreError
from openplate.geometry import box_to_quad
from openplate.store import NewDelivery, NewEntry, NewPicture, NewSighting, Query, Store
from openplate.types import Candidate, Character
from tests.store.conftest import NOON, sighting


def test_everything_comes_back(store: Store) -> None:
    moscow = timezone(timedelta(hours=3))
    new = NewSighting(
        id="01J",
        camera="gate",
        source="rtsp://camera/1",
        status="read",
        text="а 123 вс 77",
        confidence=0.93,
        characters=tuple(Character(c, 0.99) for c in "A123BC77"),
        candidates=(Candidate("A123BC77", 0.93, "RU/1"), Candidate("A128BC77", 0.04, None)),
        country="ru",
        format="RU/1",
        first=datetime(2026, 5, 1, 15, 0, 0, 250_000, moscow),
        last=datetime(2026, 5, 1, 15, 0, 3, 1, moscow),
        looks=7,
        direction="towards",
        parked=True,
        quad=box_to_quad(10, 20, 110.25, 42.5),
        reasons=("two looks agree",),
        pictures=(NewPicture("frame", b"frame"), NewPicture("crop", b"crop", "image/png")),
    )
    stored = store.add(new)
    found = store.get("01J")
    assert stored.fresh
    assert found is not None
    for one in (stored.sighting, found):
        assert (one.text, one.country, one.confidence, one.status) == ("A123BC77", "RU", 0.93, "read")
        assert one.characters == new.characters
        assert one.candidates == new.candidates
        assert one.first == datetime(2026, 5, 1, 12, 0, 0, 250_000, UTC)
        assert one.last == datetime(2026, 5, 1, 12, 0, 3, 1, UTC)
        assert (one.camera, one.source, one.format, one.looks, one.direction, one.parked) == ("gate", "rtsp://camera/1", "RU/1", 7, "towards", True)
        assert one.quad is not None
        assert np.array_equal(one.quad, box_to_quad(10, 20, 110.25, 42.5))
        assert one.reasons == ("two looks agree",)
        assert [(p.kind, p.media_type, p.size_bytes, store.evidence.read(p)) for p in one.pictures] == [
            ("frame", "image/jpeg", 5, b"frame"),
            ("crop", "image/png", 4, b"crop"),
        ]
        assert [store.picture(p.id) for p in one.pictures] == list(one.pictures)


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.get("s1") is None
    assert store.picture(1) is None
    assert store.last_seq() == 0
    assert store.after(0) == []


def test_second_storing_changes_nothing(store: Store) -> None:
    first = store.add(sighting(1, "A123BC77"))
    second = store.add(sighting(1, "X999XX99", pictures=(NewPicture("crop", b"other"),)))
    assert (first.fresh, second.fresh) == (True, False)
    assert second.sighting.seq == first.sighting.seq
    assert second.sighting.text == "A123BC77"
    assert second.sighting.pictures == ()


def test_evidence_is_on_the_disk_before_its_row(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fault(*_: object) -> None:
        raise StoreError("the database is gone")

    monkeypatch.setattr(store._database, "commit_in_order", fault)
    with pytest.raises(StoreError):
        store.add(sighting(1, pictures=(NewPicture("crop", b"abc"),)))
    files = [path for path in (tmp_path / "data" / "evidence").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"abc"]


def test_unreadable_sighting_keeps_its_candidates(store: Store) -> None:
    stored = store.add(sighting(1, None, 0.3, (("A123BC77", 0.3), ("A128BC77", 0.2)))).sighting
    assert (stored.status, stored.text) == ("unreadable", None)
    assert [c.text for c in stored.candidates] == ["A123BC77", "A128BC77"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "an id of 1 to 64 characters"),
        ({"id": "x" * 65}, "an id of 1 to 64 characters"),
        ({"camera": ""}, "a camera"),
        ({"status": "seen"}, 'status "read" or "unreadable"'),
        ({"text": None}, "a text exactly when"),
        ({"text": " - "}, "a text that is not empty"),
        ({"confidence": 1.1}, "confidences from 0 to 1"),
        ({"confidence": float("nan")}, "confidences from 0 to 1"),
        ({"characters": (Character("A", -0.1),)}, "confidences from 0 to 1"),
        ({"last": NOON.replace(tzinfo=None)}, "times with a time zone"),
        ({"last": NOON - timedelta(days=1)}, "the first look not after the last"),
        ({"looks": 0}, "at least one look"),
        ({"quad": np.full((4, 2), np.inf, dtype=np.float32)}, "four finite corners"),
        ({"camera": "a\0b"}, "texts without NUL"),
        ({"pictures": (NewPicture("crop", b""),)}, "pictures that are not empty"),
        ({"pictures": (NewPicture("crop", b"x", "text/html"),)}, "pictures that are not empty, as image/jpeg image/png image/webp"),
    ],
)
def test_wrong_sighting_is_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        with pytest.raises(StoreError, match=message):
            store.add(replace(sighting(1), **change))  # type: ignore[arg-type]
        assert store.last_seq() == 0


def test_sightings_are_followed_in_the_order_of_storing(store: Store) -> None:
    for number in (3, 1, 2):
        store.add(sighting(number))
    first = store.after(0, 2)
    assert [one.id for one in first] == ["s3", "s1"]
    assert [one.id for one in store.after(first[-1].seq)] == ["s2"]
    assert store.last_seq() == store.after(first[-1].seq)[-1].seq


def test_follower_misses_nothing_while_many_write(open_store: Callable[..., Store]) -> None:
    stores = [open_store(), open_store()]

    def write(number: int) -> None:
        stores[number % 2].add(sighting(number))

    seen: list[str] = []
    last = 0
    with ThreadPoolExecutor(6) as pool:
        writing = [pool.submit(write, number) for number in range(60)]
        while len(seen) < 60 and not (all(w.done() for w in writing) and not stores[0].after(last)):
            for one in stores[0].after(last):
                seen.append(one.id)
                last = one.seq
        assert [w.result() for w in writing] == [None] * 60
    assert sorted(seen) == sorted(f"s{n}" for n in range(60))


def test_number_of_a_deleted_sighting_is_not_given_again(store: Store) -> None:
    from openplate.store import Retention

    first = store.add(sighting(1)).sighting.seq
    store.forget(Retention(days=0), NOON + timedelta(days=1))
    assert store.add(sighting(2)).sighting.seq > first


def test_announced_visit_is_matched_and_sends_but_is_not_stored(store: Store) -> None:
    store.lists.create("residents", "allow")
    store.lists.add("residents", [NewEntry("A123BC77")])
    store.register.import_csv(b"plate,make\nA123BC77,Lada\n")
    store.add(sighting(1, "B777BB99"))
    before = store.last_seq()
    told = store.announce(sighting(2), lambda one: [NewDelivery("webhook:gate", one.id)])
    assert told.fresh
    assert (told.sighting.seq, told.sighting.text, told.sighting.lists[0].list) == (0, "A123BC77", "residents")
    assert told.sighting.vehicle is not None and told.sighting.vehicle.vehicle.make == "Lada"
    assert (store.get("s2"), store.last_seq(), store.search(Query(lists=("residents",))).hits) == (None, before, ())
    assert [one.payload for one in store.outbox.claim()] == ["s2"]


def test_announcing_what_is_stored_already_sends_nothing(store: Store) -> None:
    store.add(sighting(1))
    again = store.announce(sighting(1), lambda one: [NewDelivery("webhook:gate", one.id)])
    assert (again.fresh, again.sighting.seq) == (False, store.last_seq())
    assert store.outbox.state().pending == 0
