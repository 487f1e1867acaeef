"""How long things are kept in; a thread that forgets what is older, every hour."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict

from openplate.errors import StoreError
from openplate.store import Forgotten, Retention, Store

RETENTION = "retention"
"""The kind and the name of the setting."""
EVERY_S = 3600.0
_FIRST_S = 60.0
_LOG = logging.getLogger("openplate.serve")


def kept_for(store: Store) -> Retention:
    """How long a store keeps things."""
    value = store.settings.get(RETENTION, RETENTION)
    return Retention() if value is None else Retention(value["days"], value["picture_days"], value["finished_days"])


def keep_for(store: Store, retention: Retention) -> None:
    """Change how long a store keeps things."""
    store.settings.put(RETENTION, RETENTION, asdict(retention))


class Upkeep:
    """Deletes what is too old, in the background."""

    def __init__(self, store: Store, first_s: float = _FIRST_S, every_s: float = EVERY_S) -> None:
        self._store, self._first_s, self._every_s = store, first_s, every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="openplate upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is being deleted."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(10.0)

    def once(self) -> Forgotten:
        """Delete what is too old now.

        Raises:
            StoreError: the database does not answer.
        """
        forgotten = self._store.forget(kept_for(self._store))
        if any(asdict(forgotten).values()):
            _LOG.info("deleted for their age: %s", ", ".join(f"{number} {name}" for name, number in asdict(forgotten).items()))
        return forgotten

    def _run(self) -> None:
        wait_s = self._first_s
        while not self._stopping.wait(wait_s):
            wait_s = self._every_s
            try:
                self.once()
            except (StoreError, OSError) as error:
                _LOG.error("upkeep: %s", error)
