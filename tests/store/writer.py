"""A process to be killed: stores sightings, or claims messages, and says on stdout what is done for good.

Arguments: folder, database URL, "store" or "claim".
"""

from __future__ import annotations

import sys
from pathlib import Path

from openplate.store import NewDelivery, NewPicture, Store
from tests.store.conftest import sighting


def main() -> None:
    folder, url, task = sys.argv[1:]
    store = Store(Path(folder), url)
    if task == "claim":
        claimed = store.outbox.claim(5, lease_s=60)
        print(" ".join(str(delivery.id) for delivery in claimed), flush=True)
        sys.stdin.read()
        return
    for number in range(1_000_000):
        pictures = (NewPicture("frame", f"frame {number}".encode() * 2000), NewPicture("crop", f"crop {number}".encode()))
        stored = store.add(sighting(number, pictures=pictures), lambda one: [NewDelivery("webhook:gate", one.id)])
        print(stored.sighting.id, flush=True)


if __name__ == "__main__":
    main()
