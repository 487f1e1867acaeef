"""Search, counts, export, and evidence over HTTP; the sightings are put into the store as a camera's process puts them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from openplate.store import NewPicture
from openplate.types import Candidate
from tests.serve.running import Running, photo
from tests.store.conftest import NOON, sighting

PLATES = ("A123BC77", "A128BC77", "B777BB99", None)


@pytest.fixture(scope="module", autouse=True)
def stored(depot: Running) -> None:
    """Four sightings of the camera `search`, one minute apart: s1 A123BC77, s2 A128BC77 that may be A123BC77, s3 B777BB99, s4 unreadable."""
    store = depot.service.store
    store.lists.create("search residents", "allow")
    for number, plate in enumerate(PLATES, 1):
        new = sighting(number, plate, camera="search", pictures=(NewPicture("frame", photo()),) if number == 1 else ())
        if number == 2:
            new = replace(new, confidence=0.7, candidates=(Candidate("A128BC77", 0.7, "RU/1"), Candidate("A123BC77", 0.25, "RU/1")))
        store.add(replace(new, id=f"search-{number}"))


def found(client: httpx.Client, **query: object) -> list[str]:
    answer = client.get("/v1/sightings", params={"camera": "search"} | query)
    assert answer.status_code == 200, answer.text
    return [one["id"].removeprefix("search-") for one in answer.json()["sightings"]]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, ["4", "3", "2", "1"]),
        ({"plate": "а123вс77"}, ["1"]),
        ({"plate": "A12?BC*", "how": "wildcard"}, ["2", "1"]),
        ({"plate": "@###@@##", "how": "wildcard"}, ["3", "2", "1"]),
        ({"plate": "777", "how": "contains"}, ["3"]),
        ({"plate": "A123BC77", "how": "fuzzy", "order": "match"}, ["1", "2"]),
        ({"plate": "A123BC77", "how": "fuzzy", "min_match": 0.5}, ["1"]),
        ({"status": "unreadable"}, ["4"]),
        ({"min_confidence": 0.8, "status": "read"}, ["3", "1"]),
        ({"country": "RU", "plate": "B777BB99"}, ["3"]),
        ({"country": "KZ"}, []),
        ({"list": "search residents"}, []),
        ({"since": (NOON + timedelta(minutes=2)).isoformat(), "until": (NOON + timedelta(minutes=3)).isoformat()}, ["2"]),
    ],
)
def test_search_finds(clerk: httpx.Client, query: dict[str, object], ids: list[str]) -> None:
    assert found(clerk, **query) == ids


def test_fuzzy_hit_says_how_likely_it_is(clerk: httpx.Client) -> None:
    query = {"camera": "search", "plate": "A123BC77", "how": "fuzzy", "order": "match"}
    sure, other = clerk.get("/v1/sightings", params=query).json()["sightings"]
    assert (sure["text"], other["text"]) == ("A123BC77", "A128BC77")
    assert sure["match"] >= 0.9
    assert 0.25 <= other["match"] < 0.3


def test_pages_give_each_sighting_once_whatever_is_stored_meanwhile(depot: Running, clerk: httpx.Client) -> None:
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = clerk.get("/v1/sightings", params={"camera": "search", "size": 2} | cursor).json()
        ids += [one["id"] for one in page["sightings"]]
        if not cursor:
            depot.service.store.add(replace(sighting(60, "X001XX01", camera="search"), id="search-later"))
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert ids == ["search-4", "search-3", "search-2", "search-1"]


def test_export_has_a_line_for_each(clerk: httpx.Client) -> None:
    answer = clerk.get("/v1/sightings.csv", params={"camera": "search", "plate": "77", "how": "contains"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["text"] for row in rows] == ["B777BB99", "A128BC77", "A123BC77"]


def test_counts_by_status(clerk: httpx.Client) -> None:
    query = {"camera": "search", "by": "status", "until": (NOON + timedelta(minutes=5)).isoformat()}
    assert clerk.get("/v1/sightings/counts", params=query).json() == [{"group": "read", "sightings": 3}, {"group": "unreadable", "sightings": 1}]


def test_evidence_comes_as_it_was_stored(clerk: httpx.Client) -> None:
    one = clerk.get("/v1/sightings/search-1").json()
    (picture,) = one["pictures"]
    answer = clerk.get(picture["url"])
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "image/jpeg", photo())
    assert clerk.get(picture["url"], headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["/v1/sightings/nothing", "/v1/sightings/%00", "/v1/pictures/0", "/v1/pictures/99999999999999999999"])
def test_what_is_not_there_is_404(clerk: httpx.Client, path: str) -> None:
    answer = clerk.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"plate": "A1", "how": "fuzzy"}, "at least 4 characters"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"since": "2027-03-31T00:00:00"}, "a time with a zone"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "1970"),
        ({"min_confidence": "nan"}, "min_confidence"),
        ({"order": "match"}, "fuzzy"),
        ({"size": 0}, "size"),
    ],
)
def test_wrong_query_is_422_and_says_why(clerk: httpx.Client, query: dict[str, object], says: str) -> None:
    answer = clerk.get("/v1/sightings", params=query)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "query", "unknown", "known"),
    [
        ("/v1/sightings", {"plates": "ZZZZ"}, "plates", "camera, country, cursor, edits, how, list, min_confidence, min_match, order, plate, since, size, status, until"),
        ("/v1/sightings.csv", {"cameras": "gate", "plate": "A"}, "cameras", "camera, country, edits, how, list, "),
        ("/v1/sightings/counts", {"group": "hour"}, "group", "by, camera, "),
        ("/v1/events", {"topics": "sighting"}, "topics", "after, camera, topic"),
        ("/v1/register", {"page": "2"}, "page", "after, size"),
        ("/v1/cameras/gate/snapshot", {"annotate": "1"}, "annotate", "marked"),
    ],
)  # fmt: skip
def test_unknown_parameter_is_refused_with_those_that_there_are(
    clerk: httpx.Client, path: str, query: dict[str, str], unknown: str, known: str
) -> None:
    answer = clerk.get(path, params=query)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"query.{unknown}: there is no such parameter; expected some of {known}")
    assert answer.json()["errors"][0]["where"] == f"query.{unknown}"


def test_headers_of_a_picture_are_given_without_it(depot: Running, clerk: httpx.Client) -> None:
    stored = depot.service.store.add(replace(sighting(1, camera="head", pictures=(NewPicture("crop", b"bytes"),)), id="head-1")).sighting
    url = f"/v1/pictures/{stored.pictures[0].id}"
    whole, head = clerk.get(url), clerk.head(url)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "5")
    assert head.headers["etag"] == whole.headers["etag"]
