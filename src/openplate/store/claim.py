"""A database and a name in, a right that one process at a time has there out: until it lets go, or ends in whatever way."""

from __future__ import annotations

import sqlite3
import threading
import zlib
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError, InterfaceError

from openplate.errors import StoreError
from openplate.store.database import Database

_KEYS = 0x6F70_0003
"""The first number of claims' advisory locks on PostgreSQL; the second one is made of the name."""
_LOST = (DatabaseError, InterfaceError, OSError)  # the driver lets some of the network's errors through as they are


class Claim:
    """The right of a name. On SQLite it is a lock on a file beside the database, on PostgreSQL one of a connection that stays open. Safe for several threads."""

    def __init__(self, database: Database, name: str) -> None:
        self._database, self._name = database, name
        self._keys = {"first": _KEYS, "second": zlib.crc32(name.encode()) >> 1}
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None
        self._connection: Connection | None = None

    def take(self) -> bool:
        """Take the right if nobody else has it; whether it is ours now. To be asked again from time to time: a connection may have been lost with it.

        Raises:
            StoreError: the database does not answer; a right that was ours may be somebody else's now.
        """
        with self._lock:
            return self._take_file() if self._database.kind == "sqlite" else self._take_connection()

    def let_go(self) -> None:
        """Leave the right to others."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            if self._connection is not None:
                with suppress(*_LOST):  # closing it lets go too, but only when the server has noticed, and another may ask before that
                    self._connection.execute(text("SELECT pg_advisory_unlock(:first, :second)"), self._keys)
                self._connection.invalidate()
                self._connection.close()
            self._file = self._connection = None

    def _take_file(self) -> bool:
        if self._file is not None:
            return True
        beside = Path(str(self._database.url.database))
        path = beside.with_name(f"{beside.name}-{self._name}.lock")
        connection = None
        try:
            # SQLite's own locks: they end with the process on every system, and are not handed on to its children.
            connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            if connection is not None and "locked" in str(error):
                return False
            raise StoreError(f"{path}: cannot be locked: {error}") from error
        self._file = connection
        return True

    def _take_connection(self) -> bool:
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
            except _LOST:
                self._connection.invalidate()
                self._connection.close()
                self._connection = None
            else:
                return True
        try:
            connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            taken = bool(connection.execute(text("SELECT pg_try_advisory_lock(:first, :second)"), self._keys).scalar_one())
        except _LOST as error:
            raise StoreError(f"the database does not do what is asked: {type(error).__name__}") from error
        if taken:
            self._connection = connection
        else:
            connection.close()
        return taken
