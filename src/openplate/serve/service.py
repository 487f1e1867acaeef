"""Settings in, the running parts of one service out: the store, the reading of photos, cameras, live events, and the sender of messages."""

from __future__ import annotations

import threading
from collections.abc import Callable

from prometheus_client import CollectorRegistry
from starlette.concurrency import run_in_threadpool

from openplate.serve.actions import Sender
from openplate.serve.cameras import Cameras
from openplate.serve.events import Events
from openplate.serve.reading import PhotoReading
from openplate.serve.settings import ServeSettings
from openplate.serve.upkeep import Upkeep
from openplate.store import Store


def open_store(settings: ServeSettings) -> Store:
    """The settings' store: for the service, for its commands, and for the processes that watch cameras.

    Raises:
        StoreError: the data folder or the database cannot be used.
    """
    return Store(settings.data, settings.database, settings.privacy)


class Service:
    """The parts of one service; one in a process. `create_app` makes it, starts it and stops it.

    Raises:
        OpenPlateError: the store cannot be opened, or the networks cannot be loaded.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self.settings = settings
        self.registry = CollectorRegistry()
        """Where every part puts its metrics (`prometheus_client`), and from where /metrics takes them."""
        self.closing = threading.Event()
        """Set when the service begins to stop: what streams to clients has to end within a second."""
        self.store = open_store(settings)
        self.events = Events(self.store, self.closing)
        self.actions = Sender(self.store, self.registry)
        self.cameras = Cameras(self.store, settings, self.events.tell, self._on_stored, self.registry)
        self.upkeep = Upkeep(self.store)
        try:
            self.reading = PhotoReading(settings, self.registry)
        except BaseException:
            self.store.close()
            raise

    async def start(self) -> None:
        """Start the parts, inside the event loop."""
        self.reading.start()
        await run_in_threadpool(self.actions.start)
        await run_in_threadpool(self.cameras.start)
        self.upkeep.start()

    async def stop(self) -> None:
        """Stop the parts in the opposite order; what was accepted is finished, the store is closed last."""
        self.closing.set()
        await run_in_threadpool(self.cameras.stop)
        await run_in_threadpool(self.actions.stop)
        await run_in_threadpool(self.upkeep.stop)
        self.reading.stop()
        self.store.close()

    def _on_stored(self) -> None:
        """A camera's process stored something. Called from any thread."""
        self.events.stored()
        self.actions.wake()

    def faults(self) -> dict[str, str]:
        """What keeps the service from working, by part; empty when it is ready."""
        checks: dict[str, Callable[[], object]] = {"store": self.store.last_seq, "reading": self.reading.check}
        found = {}
        for name, check in checks.items():
            try:
                check()
            except Exception:  # noqa: BLE001  whatever it is, the part is not ready; the reason goes to the log, not to clients
                found[name] = "not working"
        return found
