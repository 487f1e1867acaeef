"""Stored sightings and news of cameras in, a stream of server-sent events for each client out.

Sightings are read from the store by their number, so that a client that comes back with the last number it saw misses none and gets none twice.
What is only news (a visit has opened, a camera has stopped) is told to those who listen, and to nobody later.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from starlette.concurrency import run_in_threadpool

from openplate.serve.problems import TooBusy
from openplate.serve.stored import StoredSighting
from openplate.store import Sighting, Store

Topic = Literal["sighting", "opened", "updated", "camera"]
TOPICS: tuple[Topic, ...] = ("sighting", "opened", "updated", "camera")

MOST_LISTENERS = 100
_NEWS_KEPT = 200
_LOOK_S = 0.5
"""How soon a stream sees that the service stops or its client went away."""
_POLL_S = 2.0
"""How soon sightings are seen that another service stored in the same database."""
_ALIVE_S = 15.0
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class News:
    """Something that was told: of which topic and camera, as a JSON object."""

    topic: Topic
    camera: str
    data: dict[str, Any]


class _Listener:
    """One client's stream: what waits for it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.something = asyncio.Event()
        self.news: deque[News] = deque(maxlen=_NEWS_KEPT)

    def tell(self, news: News | None) -> None:
        """Called from any thread."""
        if news is not None:
            self.news.append(news)
        try:
            self.loop.call_soon_threadsafe(self.something.set)
        except RuntimeError:  # the loop has ended
            pass


class Events:
    """Who listens to a service, and what they are told. `closing` ends all streams."""

    def __init__(self, store: Store, closing: threading.Event) -> None:
        self._store, self._closing = store, closing
        self._listeners: set[_Listener] = set()
        self._lock = threading.Lock()

    def stored(self) -> None:
        """Sightings were stored. Called from any thread."""
        self._tell_all(None)

    def tell(self, news: News) -> None:
        """Tell those who listen. Called from any thread."""
        self._tell_all(news)

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return len(self._listeners)

    async def listen(
        self,
        after: int | None,
        topics: Collection[Topic] = TOPICS,
        cameras: Collection[str] = (),
        gone: Callable[[], Any] | None = None,
    ) -> AsyncIterator[str]:
        """A stream of events in the form of `text/event-stream`.

        Args:
            after: number of the last sighting that the client saw; None for only what comes from now on.
            topics: what to tell.
            cameras: of which cameras; of all when empty.
            gone: an async function that says whether the client went away.

        Raises:
            TooBusy: too many listen already.
        """
        with self._lock:
            if len(self._listeners) >= MOST_LISTENERS:
                raise TooBusy(f"{MOST_LISTENERS} clients listen already; come again later", 30)
            listener = _Listener()
            self._listeners.add(listener)
        try:
            seq = await run_in_threadpool(self._store.last_seq) if after is None else after
            # The number goes first: who loses the connection before anything was told has to know from where to go on.
            yield f"retry: 2000\nid: {seq}\n\n"
            quiet_s = unpolled_s = 0.0
            listener.something.set()
            while not self._closing.is_set():
                try:
                    await asyncio.wait_for(listener.something.wait(), _LOOK_S)
                    woken = True
                except TimeoutError:
                    woken = False
                if gone is not None and await gone():
                    return
                quiet_s, unpolled_s = quiet_s + _LOOK_S, unpolled_s + _LOOK_S
                listener.something.clear()
                said = False
                while listener.news:
                    news = listener.news.popleft()
                    if news.topic in topics and (not cameras or news.camera in cameras):
                        yield _event(news.topic, news.data)
                        said = True
                if "sighting" in topics and (woken or unpolled_s >= _POLL_S):
                    unpolled_s = 0.0
                    while not self._closing.is_set():
                        found = await run_in_threadpool(self._store.after, seq, _AT_ONCE)
                        for one in found:
                            seq = one.seq
                            if not cameras or one.camera in cameras:
                                yield _sighting_event(one)
                                said = True
                        if len(found) < _AT_ONCE:
                            break
                if said:
                    quiet_s = 0.0
                elif quiet_s >= _ALIVE_S:
                    quiet_s = 0.0
                    yield f": still here\nid: {seq}\n\n"
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def _tell_all(self, news: News | None) -> None:
        with self._lock:
            for listener in self._listeners:
                listener.tell(news)


def _sighting_event(sighting: Sighting) -> str:
    return f"id: {sighting.seq}\n" + _event("sighting", StoredSighting.of(sighting).as_json())


def _event(topic: Topic, data: dict[str, Any]) -> str:
    # Without line ends in it, JSON is one line; U+2028 is no line end here.
    return f"event: {topic}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"
