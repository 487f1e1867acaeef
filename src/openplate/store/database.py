"""A data folder or a database URL in, a `Database` with the newest schema out: SQLite (WAL) or PostgreSQL, read and write transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from rapidfuzz.distance import Levenshtein
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, IntegrityError, InterfaceError

from openplate.errors import StoreError
from openplate.store.tables import Base

BUSY_S = 30
"""How long a writer waits for another process's transaction on SQLite."""
_WRITE = "openplate_write"
_SCHEMA_LOCK, _ORDER_LOCK = 0x6F70_0001, 0x6F70_0002  # PostgreSQL advisory locks: any two numbers of our own
_OLDEST_SQLITE = (3, 35, 0)  # trigrams came with 3.34, RETURNING with 3.35
T = TypeVar("T")
_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """An open database. Safe for several threads; after a fork the child has to open its own.

    Raises:
        StoreError: the URL is wrong, the database does not answer, or its schema is newer than this version of OpenPlate.
    """

    def __init__(self, url: str | None, folder: Path) -> None:
        self.url = _url(url, folder)
        self.kind: Literal["sqlite", "postgresql"] = "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"
        self.engine = _engine(self.url)
        self._write_lock = threading.Lock()
        try:
            with self._connection(write=False) as connection:
                heads = _known_heads(connection)
            if heads != set(_script().get_heads()):
                with self._connection(write=True) as connection:
                    upgrade(connection)
        except BaseException:
            self.engine.dispose()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that changes nothing.

        Raises:
            StoreError: the database does not answer.
        """
        with self._connection(write=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block and undone by an exception.

        Raises:
            StoreError: the database does not answer, or is locked for longer than `BUSY_S`.
        """
        if self.kind == "sqlite":
            # SQLite has one writer; waiting here is fair, waiting in SQLite sleeps up to 100 ms at a time.
            with self._write_lock, self._connection(write=True) as connection:
                yield connection
        else:
            with self._connection(write=True) as connection:
                yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def commit_in_order(self, connection: Connection) -> None:
        """Make row numbers follow the order of commits: a reader who has seen number n never finds a smaller new one later."""
        if self.kind == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ORDER_LOCK})

    @contextmanager
    def _connection(self, write: bool) -> Iterator[Connection]:
        try:
            with self.engine.connect() as connection:
                connection = connection.execution_options(**{_WRITE: write})
                with connection.begin():
                    yield connection
        except IntegrityError:  # a value that is there already: the caller's to explain
            raise
        except (DatabaseError, InterfaceError) as error:
            raise StoreError(f"{_shown(self.url)}: the database does not do what is asked: {_reason(error)}") from error


def insert_into(connection: Connection, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say what happens on a conflict, as both databases understand it."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def batches(values: Sequence[T], size: int = 500) -> Iterator[Sequence[T]]:
    """The values in parts that fit into one statement."""
    return (values[start : start + size] for start in range(0, len(values), size))


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest version, inside the connection's transaction.

    Raises:
        StoreError: the database has a version that this OpenPlate does not know, or is not encoded in UTF-8.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
        encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
        if encoding != "UTF8":
            raise StoreError(
                f"expected a PostgreSQL database with encoding UTF8, got {encoding}; create it with: createdb --encoding UTF8 --template template0"
            )
    _known_heads(connection)
    script = _script()
    context = MigrationContext.configure(connection, opts={"fn": lambda revision, _: script._upgrade_revs("head", revision)})
    with Operations.context(context):
        context.run_migrations()


def _known_heads(connection: Connection) -> set[str]:
    script = _script()
    heads = set(MigrationContext.configure(connection).get_current_heads())
    unknown = heads - {revision.revision for revision in script.walk_revisions()}
    if unknown:
        known = script.get_current_head()
        raise StoreError(
            f"{_shown(connection.engine.url)}: the database has schema {' '.join(sorted(unknown))}, this OpenPlate knows schemas up to {known}; "
            "install the newer OpenPlate that wrote it, or open another database"
        )
    return heads


def _script() -> ScriptDirectory:
    return ScriptDirectory(str(_MIGRATIONS))


def _url(url: str | None, folder: Path) -> URL:
    if url is None:
        return URL.create("sqlite", database=str(folder / "openplate.sqlite"))
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
    except (ArgumentError, ValueError):
        raise StoreError("the database URL cannot be read; expected sqlite:////path/to/file or postgresql://user:password@host/database") from None
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+pg8000")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+pg8000"):
        raise StoreError(f"expected a database URL that begins with sqlite:// or postgresql://, got {parsed.drivername}://")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError("expected a file in the SQLite URL, as in sqlite:////path/to/file; a database in memory cannot be shared by threads")
    return parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=8)
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(
            f"expected SQLite {'.'.join(map(str, _OLDEST_SQLITE))} or newer, Python has {sqlite3.sqlite_version}; use PostgreSQL, or a newer Python"
        )
    engine = create_engine(url, connect_args={"timeout": BUSY_S}, pool_size=8, max_overflow=8)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not where Python's module guesses
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "cache_size = -65536", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function("near", 3, _near, deterministic=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A reader that turns into a writer would fail at once when another writer came between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITE) else "BEGIN")

    return engine


def _near(folds: str, folded: str, edits: int) -> bool:
    """Whether one of the anchored texts lies within an edit distance; for SQLite, PostgreSQL has `levenshtein_less_equal`."""
    return any(Levenshtein.distance(one, folded, score_cutoff=edits) <= edits for one in folds[1:-1].split("$^"))


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _reason(error: DBAPIError) -> str:
    """The driver's message without SQL and parameters, which may hold plates."""
    original = error.orig
    first = original.args[0] if original is not None and original.args else original
    if isinstance(first, dict):  # pg8000 gives the fields of the server's message
        first = first.get("M", "unknown reason")
    return str(first)
