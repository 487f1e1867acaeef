"""Hashed plates: nothing readable is kept, and whole plates still match."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from openplate.errors import StoreError
from openplate.store import NewDelivery, NewEntry, NewPicture, Query, Store, Vehicle
from openplate.store.database import Database
from tests.store.conftest import sighting


def blur(picture: NewPicture) -> NewPicture | None:
    return NewPicture(picture.kind, b"blurred " + picture.data, picture.media_type) if picture.kind == "frame" else None


def everything(url: str, folder: Path) -> str:
    """All that the database holds, as one text."""
    database = Database(url, folder)
    with database.read() as connection:
        names = ("sighting", "list_entry", "vehicle", "delivery", "state", "list_match")
        rows = [str(tuple(row)) for name in names for row in connection.execute(text(f"SELECT * FROM {name}"))]
    database.close()
    return "\n".join(rows)


def test_no_plate_is_in_the_database(open_store: Callable[..., Store], database_url: str, tmp_path: Path) -> None:
    store = open_store("hash")
    store.lists.create("gate", "allow")
    store.lists.add("gate", [NewEntry("A123BC77")])
    store.register.import_csv(b"plate,make\nA123BC77,Lada\n")
    store.add(sighting(1, "A123BC77", 0.7, (("A123BC77", 0.7), ("A128BC77", 0.2))), lambda one: [NewDelivery("webhook:gate", str(one.text))])
    kept = everything(database_url, tmp_path)
    assert "Lada" in kept
    assert not re.search("A12[38]|BC77|8C77", kept)
    stored = store.search().hits[0].sighting
    assert re.fullmatch("h:[0-9a-f]{32}", stored.text or "")
    assert {c.text for c in stored.characters} == {""}
    assert store.outbox.claim()[0].payload == stored.text


def test_lists_register_and_exact_search_still_match(open_store: Callable[..., Store]) -> None:
    store = open_store("hash")
    store.lists.create("gate", "allow", min_match=0.02)
    (entry,) = store.lists.add("gate", [NewEntry("а 123 вс 77", note="director")])
    assert entry.pattern.startswith("h:")
    store.register.put(Vehicle("A123BC77", "Lada"))
    first = store.add(sighting(1, "A123BC77", 0.7)).sighting
    assert [(m.list, m.probability) for m in first.lists] == [("gate", 0.7)]
    assert first.vehicle is not None
    assert first.vehicle.vehicle.make == "Lada"
    assert [hit.sighting.id for hit in store.search(Query("A123BC77")).hits] == ["s1"]
    assert store.search(Query("A123BC78")).hits == ()
    assert store.register.get("A123BC77") is not None


def test_half_read_plate_matches_a_hashed_entry(open_store: Callable[..., Store]) -> None:
    store = open_store("hash")
    store.lists.create("gate", "allow", min_match=0.02)
    store.lists.add("gate", [NewEntry("A12B")])
    plain_probability = 0.9 * 0.25 * 0.5 / 0.55
    from dataclasses import replace

    from openplate.types import Character

    unsure = replace(sighting(1, "A128", 0.5), characters=(*(Character(c, 1.0) for c in "A12"), Character("8", 0.5)))
    (match,) = store.add(unsure).sighting.lists
    assert match.probability == pytest.approx(plain_probability)


@pytest.mark.parametrize("how", ["wildcard", "contains", "fuzzy"])
def test_searching_for_parts_says_why_it_cannot(how: str, open_store: Callable[..., Store]) -> None:
    with pytest.raises(StoreError, match="plates are hashed in this store: only whole plates"):
        open_store("hash").search(Query("A123", how))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["wildcard", "regex"])
def test_entry_that_is_no_whole_plate_says_why_it_cannot(kind: str, open_store: Callable[..., Store]) -> None:
    store = open_store("hash")
    store.lists.create("gate", "allow")
    with pytest.raises(StoreError, match="an entry has to be a whole plate"):
        store.lists.add("gate", [NewEntry("A.*", kind)])  # type: ignore[arg-type]


def test_evidence_is_blurred_or_left_out(open_store: Callable[..., Store]) -> None:
    pictures = (NewPicture("frame", b"frame"), NewPicture("crop", b"crop"))
    store = open_store("hash", blur)
    (kept,) = store.add(sighting(1, pictures=pictures)).sighting.pictures
    assert store.evidence.read(kept) == b"blurred frame"
    assert open_store("hash").add(sighting(2, pictures=pictures)).sighting.pictures == ()


def test_store_stays_as_it_was_made(open_store: Callable[..., Store]) -> None:
    open_store("hash").close()
    with pytest.raises(StoreError, match="made with privacy 'hash' and cannot be opened with 'plain'"):
        open_store("plain")


def test_plain_store_cannot_become_hashed(open_store: Callable[..., Store], tmp_path: Path) -> None:
    open_store("plain").close()
    with pytest.raises(StoreError, match="made with privacy 'plain'"):
        open_store("hash")
    assert not (tmp_path / "data" / "privacy.key").exists()


def test_key_is_a_private_file_outside_the_database(open_store: Callable[..., Store], tmp_path: Path) -> None:
    open_store("hash").close()
    key = tmp_path / "data" / "privacy.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32


def test_missing_key_is_an_error_and_no_new_one_is_made(open_store: Callable[..., Store], tmp_path: Path) -> None:
    open_store("hash").close()
    (tmp_path / "data" / "privacy.key").unlink()
    with pytest.raises(StoreError, match="the key of the hashed plates is missing"):
        open_store("hash")
    assert not (tmp_path / "data" / "privacy.key").exists()


@pytest.mark.parametrize(("key", "message"), [(b"x" * 32, "not the key with which"), (b"short", "expected 32 bytes, got 5")])
def test_other_key_is_an_error(key: bytes, message: str, open_store: Callable[..., Store], tmp_path: Path) -> None:
    open_store("hash").close()
    (tmp_path / "data" / "privacy.key").write_bytes(key)
    with pytest.raises(StoreError, match=message):
        open_store("hash")


def test_two_stores_hash_the_same_plate_differently(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        with Store(tmp_path / name, privacy="hash") as store:
            texts.append(store.add(sighting(1)).sighting.text)
    assert texts[0] != texts[1]
