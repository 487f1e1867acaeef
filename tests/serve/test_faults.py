"""What clients send wrongly is told in sentences: what was expected, what came, what to do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from openplate.serve.app import create_app
from openplate.serve.faults import faults_of
from openplate.serve.settings import ServeSettings
from openplate.serve.spelling import IN_WORDS

ADDRESS = {
    "since=2026-11-21": "query.since: expected a time with a zone, such as 2026-11-21T00:00:00Z or 2026-11-21T00:00:00+03:00"
    " (in an address, + is written %2B), got '2026-11-21'",
    "since=2026-11-21T00:00:00+03:00": "query.since: expected a time with a zone, such as 2026-11-21T00:00:00Z or 2026-11-21T00:00:00+03:00"
    " (in an address, + is written %2B), got '2026-11-21T00:00:00 03:00'",
    "since=1066-01-01T00:00:00Z": "query.since: expected a year from 1970 to 2999, got 1066",
    "edits=3": "query.edits: expected at most 2, got '3'",
    "edits=two": "query.edits: expected a whole number, got 'two'",
    "min_confidence=-0.5": "query.min_confidence: expected at least 0, got '-0.5'",
    "min_confidence=high": "query.min_confidence: expected a number, got 'high'",
    "how=sideways": "query.how: expected exact, wildcard, contains or fuzzy, got 'sideways'",
    "plate=": "query.plate: expected at least 1 character, got none",
    f"plate={'7' * 65}": "query.plate: expected at most 64 characters, got 65",
    "size=0&size=0": "query.size: expected at least 1, got '0'",
}


@pytest.mark.parametrize("query", ADDRESS)
def test_wrong_value_in_an_address_is_told_in_words(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/v1/sightings?{query}")
    assert (answer.status_code, answer.json()["detail"]) == (422, ADDRESS[query])


def test_misspelt_option_of_a_picture_is_told_with_those_that_there_are(client: httpx.Client) -> None:
    answer = client.post("/v1/read?cuntry=ru", content=b"x")
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        "query.cuntry: there is no such parameter; expected some of annotate, country, cropped, min_confidence, only, url; did you mean country?"
    )


BODIES: dict[str, tuple[str, Any, str]] = {
    "camera's name": (
        "/v1/cameras",
        {"name": "c x", "source": "0"},
        "body.name: expected letters a-z, digits, - and _, beginning with a letter or a digit, got 'c x'",
    ),
    "misspelt key": (
        "/v1/lists",
        {"name": "a", "kind": "allow", "notes": "x"},
        "body.notes: there is no such key; expected some of keep_days, kind, min_match, name, note; did you mean note?",
    ),
    "misspelt key in a list": (
        "/v1/lists/residents/entries",
        [{"patern": "A1", "pattern": "A1"}],
        "body.0.patern: there is no such key; expected some of kind, note, pattern, valid_from, valid_until; did you mean pattern?",
    ),
    "missing key": ("/v1/lists", {"kind": "allow"}, "body.name: expected a value, got none"),
    "no entries": ("/v1/lists/residents/entries", [], "body: expected at least 1 value, got none"),
    "null": ("/v1/lists", {"name": None, "kind": "allow"}, "body.name: expected text, got null"),
    "list for an object": ("/v1/lists", [1], "body: expected an object, got a list"),
    "text for a flag": ("/v1/cameras", {"name": "a", "source": "0", "start": "perhaps"}, "body.start: expected true or false, got 'perhaps'"),
    "long text": ("/v1/cameras", {"name": "a", "source": "0", "start": "x" * 70}, f"body.start: expected true or false, got '{'x' * 60}'…"),
}


@pytest.mark.parametrize("name", BODIES)
def test_wrong_value_in_a_body_is_told_in_words(client: httpx.Client, name: str) -> None:
    path, body, told = BODIES[name]
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.json()["detail"]) == (422, told)


def test_body_that_is_not_said_to_be_json_is_told_how_to_send_it(client: httpx.Client) -> None:
    answer = client.post("/v1/lists", content=b'{"name": "a", "kind": "allow"}', headers={"Content-Type": "application/x-www-form-urlencoded"})
    told = "body: expected an object in JSON, got other data; send it with the header 'Content-Type: application/json'"
    assert (answer.status_code, answer.json()["detail"]) == (422, told)


def test_damaged_json_and_no_body_are_told(client: httpx.Client) -> None:
    damaged = client.post("/v1/lists", content=b'{"name": ', headers={"Content-Type": "application/json"})
    assert damaged.json()["detail"].endswith("expected JSON, got something else: Expecting value")
    assert client.post("/v1/lists").json()["detail"] == "body: expected JSON as the body, got none"


def test_address_that_may_hold_a_password_is_not_repeated(client: httpx.Client) -> None:
    answer = client.post("/v1/cameras", json={"name": "a", "source": "rtsp://user:secret@10.0.0.5/\n1"})
    assert answer.json()["detail"] == "body.source: expected one line without control characters"


def test_error_that_is_not_known_keeps_its_words() -> None:
    (fault,) = faults_of([{"type": "moon", "loc": ("body", 0, "phase"), "msg": "the moon is full", "input": 1}], lambda _: ())
    assert (fault.where, fault.message) == ("body.0.phase", "the moon is full")


def test_every_pattern_of_the_calls_has_words() -> None:
    def patterns(node: Any) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(patterns, node))
        if not isinstance(node, dict):
            return set()
        own = {node["pattern"]} if isinstance(node.get("pattern"), str) and node.get("type") == "string" else set()
        return own.union(*map(patterns, node.values()))

    assert patterns(create_app(ServeSettings()).openapi()) == set(IN_WORDS)
