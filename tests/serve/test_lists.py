"""Lists over HTTP: made, filled, changed, matched by what is stored, deleted."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from tests.serve.running import Running
from tests.store.conftest import sighting


def test_list_lives_from_making_to_deleting(depot: Running, clerk: httpx.Client) -> None:
    made = clerk.post("/v1/lists", json={"name": "night shift", "kind": "allow", "min_match": 0.6})
    assert (made.status_code, made.json()) == (201, {"name": "night shift", "kind": "allow", "note": "", "min_match": 0.6, "keep_days": None})
    again = clerk.post("/v1/lists", json={"name": "night shift", "kind": "allow"})
    assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
    entries = [
        {"pattern": "а 555 аа 55", "note": "van"},
        {"pattern": "T###TT*", "kind": "wildcard", "valid_until": "2020-01-01T00:00:00Z"},
        {"pattern": "O[0-9]{3}OO77", "kind": "regex"},
    ]
    added = clerk.post("/v1/lists/night shift/entries", json=entries)
    assert added.status_code == 201
    assert [one["pattern"] for one in added.json()] == ["A555AA55", "T###TT*", "O[0-9]{3}OO77"]
    assert clerk.get("/v1/lists/night shift/entries").json() == added.json()

    store = depot.service.store
    for number, plate in enumerate(("A555AA55", "T123TT77", "O123OO77")):
        store.add(replace(sighting(number, plate, camera="lists"), id=f"lists-{number}"))
    hits = clerk.get("/v1/sightings", params={"list": "night shift"}).json()["sightings"]
    assert [one["text"] for one in hits] == ["O123OO77", "A555AA55"], "the wildcard held no longer"
    assert hits[1]["lists"] == [{"list": "night shift", "kind": "allow", "entry": added.json()[0]["id"], "probability": 0.9}]

    assert clerk.delete(f"/v1/lists/night shift/entries/{added.json()[0]['id']}").status_code == 204
    assert clerk.delete(f"/v1/lists/night shift/entries/{added.json()[0]['id']}").status_code == 404
    changed = clerk.patch("/v1/lists/night shift", json={"kind": "watch", "keep_days": 30})
    assert (changed.json()["kind"], changed.json()["keep_days"], changed.json()["min_match"]) == ("watch", 30, 0.6)
    assert clerk.patch("/v1/lists/night shift", json={"keep_days": None}).json()["keep_days"] is None
    assert clerk.delete("/v1/lists/night shift").status_code == 204
    assert clerk.get("/v1/lists/night shift").status_code == 404
    assert "night shift" not in [one["name"] for one in clerk.get("/v1/lists").json()]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"pattern": "(", "kind": "regex"}, "regular expression"),
        ({"pattern": "!!"}, "plate"),
        ({"pattern": "A1", "valid_from": "2027-01-02T00:00:00Z", "valid_until": "2027-01-01T00:00:00Z"}, "valid_from"),
        ({"pattern": "A1", "colour": "red"}, "colour"),
    ],
)
def test_wrong_entry_is_refused_with_all_others(clerk: httpx.Client, entry: dict[str, str], says: str) -> None:
    clerk.post("/v1/lists", json={"name": "wrong entries", "kind": "watch"})
    answer = clerk.post("/v1/lists/wrong entries/entries", json=[{"pattern": "A123BC77"}, entry])
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert clerk.get("/v1/lists/wrong entries/entries").json() == []


def test_name_that_is_taken_cannot_be_given_twice(clerk: httpx.Client) -> None:
    for name in ("first of two", "second of two"):
        clerk.post("/v1/lists", json={"name": name, "kind": "allow"})
    assert clerk.patch("/v1/lists/first of two", json={"name": "second of two"}).status_code == 409
    assert clerk.patch("/v1/lists/first of two", json={"name": "a/b"}).status_code == 422
