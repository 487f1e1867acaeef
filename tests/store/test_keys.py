"""API keys: shown once, checked, revoked."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from openplate.errors import StoreError
from openplate.store import Store
from openplate.store.database import Database


def test_key_is_recognised_and_its_secret_is_nowhere(store: Store, database_url: str, tmp_path: Path) -> None:
    made = store.keys.create("gate camera", "write")
    assert re.fullmatch(r"op_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", made.secret)
    assert made.secret.startswith(made.key.prefix)
    found = store.keys.check(made.secret)
    assert found is not None
    assert (found.name, found.role, found.revoked) == ("gate camera", "write", None)
    database = Database(database_url, tmp_path)
    with database.read() as connection:
        assert made.secret[12:] not in str(connection.execute(text("SELECT * FROM api_key")).all())
    database.close()


def test_wrong_secrets_are_refused(store: Store) -> None:
    secret = store.keys.create("a", "admin").secret
    last = "A" if secret[-1] != "A" else "B"
    for wrong in ("", "op", secret[:-1], secret[:-1] + last, secret + "x", secret[:12], "op_x_y", "\0", secret + "\0", "op_\0_x"):
        assert store.keys.check(wrong) is None


def test_revoked_key_is_refused_and_stays_listed(store: Store) -> None:
    made, other = store.keys.create("a", "read"), store.keys.create("b", "read")
    when = datetime(2026, 5, 1, tzinfo=UTC)
    store.keys.revoke(made.key.id, when)
    store.keys.revoke(made.key.id, when + timedelta(days=1))
    assert store.keys.check(made.secret) is None
    assert store.keys.check(other.secret) is not None
    assert [(key.name, key.revoked) for key in store.keys.all()] == [("a", when), ("b", None)]


def test_use_is_noted_once_a_minute(store: Store) -> None:
    secret = store.keys.create("a", "read").secret
    now = datetime(2026, 5, 1, tzinfo=UTC)
    for after_s in (0, 59, 60):
        store.keys.check(secret, now + timedelta(seconds=after_s))
        assert store.keys.all()[0].last_used == now + timedelta(seconds=60 if after_s == 60 else 0)


def test_each_role_may_do_what_the_lesser_ones_may(store: Store) -> None:
    allowed = {role: [store.keys.create("a", role).key.may(needed) for needed in ("read", "write", "admin")] for role in ("read", "write", "admin")}
    assert allowed == {"read": [True, False, False], "write": [True, True, False], "admin": [True, True, True]}


def test_wrong_key_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="one of the roles read, write, admin"):
        store.keys.create("a", "root")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="a key needs a name"):
        store.keys.create("  ", "read")
    with pytest.raises(StoreError, match="no key with id 5"):
        store.keys.revoke(5)
