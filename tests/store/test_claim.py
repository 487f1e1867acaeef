"""A right that one process has."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from openplate.store import Store
from tests.store.conftest import run_sql

HOLD = """
import sys
from pathlib import Path
from openplate.store import Store
store = Store(Path(sys.argv[1]), sys.argv[2])
print(store.claim("cameras").take(), flush=True)
sys.stdin.read()
"""


def test_one_has_it_until_it_lets_go(open_store: Callable[..., Store]) -> None:
    first, second = open_store().claim("cameras"), open_store().claim("cameras")
    assert (first.take(), second.take(), first.take()) == (True, False, True)
    first.let_go()
    assert (second.take(), first.take()) == (True, False)
    second.let_go()


def test_another_name_is_another_right(store: Store) -> None:
    one, other = store.claim("cameras"), store.claim("upkeep")
    assert (one.take(), other.take()) == (True, True)
    one.let_go()
    other.let_go()


def test_process_that_is_killed_has_it_no_more(open_store: Callable[..., Store], tmp_path: Path, database_url: str) -> None:
    claim = open_store().claim("cameras")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "data"), database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert not claim.take()
        process.kill()
    assert any(claim.take() for _ in range(1000)), "PostgreSQL sees the end of a connection a moment later"
    claim.let_go()


def test_lost_connection_is_noticed(open_store: Callable[..., Store], database_url: str, database_kind: str) -> None:
    if database_kind == "sqlite":
        pytest.skip("SQLite has no connections that can be lost")
    first, second = open_store().claim("cameras"), open_store().claim("cameras")
    assert first.take()
    run_sql(database_url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    assert any(second.take() for _ in range(1000))
    assert not first.take()
    second.let_go()
    assert first.take(), "it is taken again with a new connection"
    first.let_go()


def test_claims_leave_the_database_usable(store: Store) -> None:
    claim = store.claim("cameras")
    assert claim.take()
    store.lists.create("gate", "allow")
    with store._database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM plate_list")).scalar_one() == 1
    claim.let_go()
