"""CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace

import pytest

from openplate.errors import StoreError
from openplate.store import NewEntry, Query, Store, Vehicle
from tests.store.conftest import NOON, sighting


def test_columns_and_values(store: Store) -> None:
    store.lists.create("gate", "allow")
    store.lists.add("gate", [NewEntry("A123BC77")])
    store.register.put(Vehicle("A123BC77", "Lada", "Vesta", "white", "flat 12", NOON))
    store.add(replace(sighting(1, "A123BC77", 0.9), direction="towards", reasons=("two looks", "only")))
    rows = list(csv.DictReader(io.StringIO("".join(store.export_csv()))))
    assert rows == [
        {
            "id": "s1", "camera": "gate", "source": "rtsp://camera/1", "status": "read", "text": "A123BC77", "confidence": "0.9", "match": "",
            "country": "RU", "format": "RU/1", "first": "2026-05-01T12:00:58+00:00", "last": "2026-05-01T12:01:00+00:00", "looks": "3",
            "direction": "towards", "parked": "false", "lists": "gate", "make": "Lada", "model": "Vesta", "colour": "white", "owner": "flat 12",
            "permit_until": "2026-05-01T12:00:00+00:00", "reasons": "two looks; only",
        }
    ]  # fmt: skip


def test_cell_that_looks_like_a_formula_becomes_text(store: Store) -> None:
    store.add(sighting(1, camera='=HYPERLINK("http://x")'))
    (row,) = csv.DictReader(io.StringIO("".join(store.export_csv())))
    assert row["camera"] == '\'=HYPERLINK("http://x")'


def test_export_has_every_hit_and_its_match(store: Store) -> None:
    for number in range(5):
        store.add(sighting(number, "A123BC77" if number % 2 else "X999XX"))
    rows = list(csv.DictReader(io.StringIO("".join(store.export_csv(Query("A123BC77", "fuzzy"))))))
    assert [(row["id"], row["match"]) for row in rows] == [("s3", "0.9"), ("s1", "0.9")]


def test_export_reads_part_by_part(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openplate.store.store.LARGEST_PAGE", 2)
    for number in range(7):
        store.add(sighting(number))
    lines = store.export_csv()
    assert isinstance(lines, Iterator)
    taken = [next(lines) for _ in range(3)]
    store.add(sighting(3, "X999XX"))  # has been stored: changes nothing
    assert [line.split(",")[0] for line in [*taken, *lines]] == ["id", "s6", "s5", "s4", "s3", "s2", "s1", "s0"]


def test_wrong_query_fails_before_the_first_line(store: Store) -> None:
    with pytest.raises(StoreError):
        store.export_csv(Query("A*"))
