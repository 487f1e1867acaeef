"""Opening, upgrading and refusing databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from openplate.errors import StoreError
from openplate.store import Store
from openplate.store.database import Database
from openplate.store.tables import Base
from tests.store.conftest import sighting


def test_migrations_make_what_the_models_say(store: Store, database_url: str, tmp_path: Path) -> None:
    database = Database(database_url, tmp_path)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": _is_ours})
        differences = compare_metadata(context, Base.metadata)
    database.close()
    assert differences == []


def _is_ours(_: object, name: str | None, kind: str, reflected: bool, __: object) -> bool:
    # The search indexes are no models: SQLite's has tables of its own.
    return not (reflected and str(name).startswith("gram") and kind == "table") and not (kind == "index" and str(name).endswith("_grams"))


def test_opening_again_keeps_what_was_stored(open_store: Callable[..., Store]) -> None:
    first = open_store()
    first.add(sighting(1))
    first.close()
    assert [hit.sighting.id for hit in open_store().search().hits] == ["s1"]


def test_two_open_stores_see_each_other(open_store: Callable[..., Store]) -> None:
    one, other = open_store(), open_store()
    one.add(sighting(1))
    other.add(sighting(2))
    assert [hit.sighting.id for hit in one.search().hits] == ["s2", "s1"]


def test_newer_schema_is_refused_by_name_and_left_alone(open_store: Callable[..., Store], database_url: str, tmp_path: Path) -> None:
    open_store().close()
    database = Database(database_url, tmp_path)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(StoreError, match="the database has schema 9999, this OpenPlate knows schemas up to 0001; install the newer OpenPlate"):
        open_store()


def test_exception_undoes_a_write(store: Store, database_url: str, tmp_path: Path) -> None:
    database = Database(database_url, tmp_path)
    with pytest.raises(KeyError), database.write() as connection:
        connection.execute(text("INSERT INTO state (name, value) VALUES ('a', 'b')"))
        raise KeyError("a")
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM state WHERE name = 'a'")).scalar_one() == 0
    database.close()


def test_sqlite_waits_in_a_log_and_syncs_every_commit(tmp_path: Path) -> None:
    database = Database(None, tmp_path)
    with database.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    database.close()
    assert (tmp_path / "openplate.sqlite").exists()


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    database = Database(None, tmp_path)
    with database.write() as writing:
        writing.execute(text("INSERT INTO state (name, value) VALUES ('a', 'b')"))
        with database.read() as reading:
            assert reading.execute(text("SELECT count(*) FROM state")).scalar_one() == 0
    database.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/db", "begins with sqlite:// or postgresql://, got mysql://"),
        ("postgresql+psycopg2://host/db", "got postgresql\\+psycopg2://"),
        ("sqlite://", "expected a file in the SQLite URL"),
        ("sqlite:///:memory:", "expected a file in the SQLite URL"),
        ("no url", "the database URL cannot be read"),
    ],
)
def test_url_that_is_not_possible_is_refused(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=message):
        Database(url, tmp_path)


def test_server_that_does_not_answer_is_an_error_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the database does not do what is asked") as caught:
        Database(f"postgresql://user:topsecret@/db?unix_sock={tmp_path}/none", tmp_path)
    assert "topsecret" not in str(caught.value)


def test_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "openplate.sqlite").write_text("This is a text and no database at all. " * 10)
    with pytest.raises(StoreError, match="not a database"):
        Database(None, tmp_path)


def test_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    with pytest.raises(StoreError, match="the data folder cannot be made"):
        Store(tmp_path / "data")


def test_locked_database_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openplate.store.database.BUSY_S", 0.01)
    database = Database(None, tmp_path)
    other = sqlite3.connect(tmp_path / "openplate.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="database is locked"), database.write():
        pass
    other.close()
    database.close()


def test_sqlite_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 31, 1))
    with pytest.raises(StoreError, match="expected SQLite 3.35.0 or newer"):
        Database(None, tmp_path)
