"""The live stream over HTTP: what is told, to whom, and that nobody who comes back misses anything."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from openplate.serve import events as events_module
from openplate.serve.events import Events, News
from openplate.serve.problems import TooBusy
from openplate.store import Store
from tests.serve.parade import wait_for
from tests.serve.running import Running
from tests.store.conftest import sighting


def put(depot: Running, number: int, camera: str) -> int:
    stored = depot.service.store.add(replace(sighting(number, camera=camera), id=f"{camera}-{number}"))
    depot.service.events.stored()
    return stored.sighting.seq


@contextmanager
def stream(client: httpx.Client, query: dict[str, object], **headers: str) -> Iterator[Iterator[tuple[str, str | None, Any]]]:
    """The events of a stream as (topic, id, data)."""
    with client.stream("GET", "/v1/events", params=query, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")

        def events() -> Iterator[tuple[str, str | None, Any]]:
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line and not line.startswith(":"):
                    fields[name] = value
                elif not line:
                    if "event" in fields:
                        yield fields["event"], fields.get("id"), json.loads(fields["data"])
                    fields = {}

        yield events()


def test_stored_sighting_is_told_with_its_number(depot: Running, clerk: httpx.Client) -> None:
    with stream(clerk, {"camera": "live"}) as events:
        threading.Timer(0.3, put, (depot, 1, "live")).start()
        topic, number, data = next(events)
    assert (topic, data["id"], data["text"], number) == ("sighting", "live-1", "A123BC77", str(data["seq"]))


def test_client_that_comes_back_misses_none_and_gets_none_twice(depot: Running, clerk: httpx.Client) -> None:
    first = put(depot, 1, "back")
    for number in range(2, 5):
        put(depot, number, "back")
    with stream(clerk, {"camera": "back"}, **{"Last-Event-ID": str(first)}) as events:
        assert [next(events)[2]["id"] for _ in range(3)] == ["back-2", "back-3", "back-4"]
        put(depot, 5, "back")
        assert next(events)[2]["id"] == "back-5"


def test_stream_begins_with_the_number_behind_which_it_tells(depot: Running, clerk: httpx.Client) -> None:
    last = put(depot, 1, "begin")
    with clerk.stream("GET", "/v1/events", params={"camera": "begin"}) as answer:
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(3)] == ["retry: 2000", f"id: {last}", ""]


def test_stream_that_tells_nothing_says_how_far_it_looked(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(events_module, "_ALIVE_S", 0.5)

    async def listen(store: Store) -> list[str]:
        stream = Events(store, threading.Event()).listen(None, cameras=["gate"])
        parts = [await anext(stream)]
        store.add(replace(sighting(1, camera="yard"), id="yard-1"))
        parts.append(await anext(stream))
        await stream.aclose()
        return parts

    with Store(tmp_path) as store:
        assert asyncio.run(asyncio.wait_for(listen(store), 10)) == ["retry: 2000\nid: 0\n\n", ": still here\nid: 1\n\n"]


def test_news_goes_to_those_who_asked_for_its_topic_and_camera(depot: Running, clerk: httpx.Client) -> None:
    with stream(clerk, {"topic": ["camera", "opened"], "camera": "news"}) as events:

        def tell() -> None:
            depot.service.events.tell(News("camera", "other", {"state": "running"}))
            depot.service.events.tell(News("updated", "news", {"text": "A"}))
            depot.service.events.tell(News("opened", "news", {"text": "B"}))

        threading.Timer(0.3, tell).start()
        assert next(events) == ("opened", None, {"text": "B"})


def test_client_that_goes_away_is_forgotten(depot: Running) -> None:
    events = depot.service.events
    wait_for(lambda: events.listeners == 0, 10, "earlier clients to be forgotten")
    with httpx.Client(base_url=depot.url, timeout=10) as client, client.stream("GET", "/v1/events"):
        wait_for(lambda: events.listeners == 1, 10, "the client")
    wait_for(lambda: events.listeners == 0, 10, "the client to be forgotten")
    assert events.listeners == 0


@pytest.mark.parametrize("query", [{"topic": "weather"}, {"after": -1}])
def test_wrong_wish_is_422(clerk: httpx.Client, query: dict[str, object]) -> None:
    assert clerk.get("/v1/events", params=query).status_code == 422


def test_streams_end_when_the_service_stops_and_too_many_are_refused(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(events_module, "MOST_LISTENERS", 1)
    closing = threading.Event()

    async def listen(events: Events) -> int:
        stream = events.listen(None)
        assert await anext(stream) == "retry: 2000\nid: 0\n\n"
        with pytest.raises(TooBusy):
            await anext(events.listen(None))
        closing.set()
        assert [part async for part in stream] == []
        return events.listeners

    with Store(tmp_path) as store:
        assert asyncio.run(asyncio.wait_for(listen(Events(store, closing)), 10)) == 0
