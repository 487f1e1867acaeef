"""Named settings of a kind, such as cameras and webhooks: JSON objects in, the same out."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select

from openplate.errors import StoreError
from openplate.store.database import Database, insert_into
from openplate.store.tables import SettingRow


class Settings:
    """What has to outlive a restart and is no table of its own. The caller knows what the values mean."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """The values of a kind by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(SettingRow.name, SettingRow.value).where(SettingRow.kind == kind).order_by(SettingRow.name))
            return {name: value for name, value in rows}

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """One value, None when there is none."""
        with self._database.read() as connection:
            return connection.execute(select(SettingRow.value).where(SettingRow.kind == kind, SettingRow.name == name)).scalar_one_or_none()

    def put(self, kind: str, name: str, value: dict[str, Any]) -> None:
        """Write one value.

        Raises:
            StoreError: the name is empty.
        """
        if not name.strip() or "\0" in name:
            raise StoreError(f"a {kind} needs a name, got {name!r}")
        with self._database.write() as connection:
            statement = insert_into(connection, SettingRow).values(kind=kind, name=name, value=value)
            connection.execute(statement.on_conflict_do_update(index_elements=["kind", "name"], set_={"value": value}))

    def remove(self, kind: str, name: str) -> None:
        """Delete one value.

        Raises:
            StoreError: there is none.
        """
        with self._database.write() as connection:
            if not connection.execute(delete(SettingRow).where(SettingRow.kind == kind, SettingRow.name == name)).rowcount:
                raise StoreError(f"there is no {kind} {name!r}")
