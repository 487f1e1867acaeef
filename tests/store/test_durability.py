"""A process that is killed (-9) while it writes: what it said was stored is there, whole, and its messages are sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from openplate.store import Store

ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path, url: str, task: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.writer", str(folder), url, task]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill_after(process: subprocess.Popen[str], lines: int) -> list[str]:
    """What the process had printed when it was killed, `lines` lines at least."""
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(lines)]
    process.kill()
    rest, _ = process.communicate()
    return said + [line for line in rest.splitlines(keepends=False) if line]


def test_killed_writer_loses_nothing_it_had_stored(open_store: Callable[..., Store], database_url: str, tmp_path: Path) -> None:
    said: list[str] = []
    for lines in (1, 20, 60):
        said += kill_after(start(tmp_path / "data", database_url, "store"), lines)
    store = open_store()
    kept = store.after(0, 100_000)
    ids = [one.id for one in kept]
    assert len(set(ids)) == len(ids)
    assert set(said) <= set(ids), "every sighting that was reported is there"
    assert len(set(ids) - set(said)) <= 3, "at most one more for each time: stored, and killed before it could say so"
    for one in kept:
        frame, crop = one.pictures
        number = one.id[1:]
        assert store.evidence.read(frame) == f"frame {number}".encode() * 2000
        assert store.evidence.read(crop) == f"crop {number}".encode()
    messages = []
    while claimed := store.outbox.claim(100):
        messages += [delivery.payload for delivery in claimed]
    assert sorted(messages) == sorted(ids), "each sighting has its message, and no message is without its sighting"


def test_messages_of_a_killed_sender_are_claimed_again(open_store: Callable[..., Store], database_url: str, tmp_path: Path) -> None:
    kill_after(start(tmp_path / "data", database_url, "store"), 12)
    store = open_store()
    pending = store.outbox.state().pending
    (claimed,) = kill_after(start(tmp_path / "data", database_url, "claim"), 1)
    lost = {int(number) for number in claimed.split()}
    assert len(lost) == 5
    assert store.outbox.state().pending == pending
    now = datetime.now(UTC)
    assert lost.isdisjoint(delivery.id for delivery in store.outbox.claim(1000, now=now, lease_s=1))
    again = store.outbox.claim(1000, now=now + timedelta(seconds=61))
    assert lost <= {delivery.id for delivery in again}
