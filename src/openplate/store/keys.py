"""API keys: made once and shown once, kept as hashes, checked, revoked."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select, update

from openplate.errors import StoreError
from openplate.store.database import Database
from openplate.store.model import Role
from openplate.store.tables import KeyRow

ROLES: tuple[Role, ...] = ("read", "write", "admin")
"""Each role may do what those before it may."""
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key. `prefix` is its beginning, by which people tell keys apart."""

    id: int
    name: str
    role: Role
    prefix: str
    created: datetime
    last_used: datetime | None
    revoked: datetime | None

    def may(self, role: Role) -> bool:
        """Whether the key may do what needs a role."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: `secret` is shown to the user now and never again."""

    key: ApiKey
    secret: str


class Keys:
    """The API keys of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, role: Role) -> NewKey:
        """A new key `op_PREFIX_SECRET` with 256 random bits.

        Raises:
            StoreError: the name is empty or the role is none.
        """
        if not name.strip() or "\0" in name or role not in ROLES:
            raise StoreError(f"a key needs a name and one of the roles {', '.join(ROLES)}; got {name!r} and {role!r}")
        prefix = f"op_{secrets.token_hex(4)}"
        secret = f"{prefix}_{secrets.token_urlsafe(32)}"
        now = datetime.now(UTC)
        row = {"name": name, "role": role, "prefix": prefix, "hash": _hash(secret), "created": now}
        with self._database.write() as connection:
            key = connection.execute(insert(KeyRow).values(row).returning(KeyRow.id)).scalar_one()
        return NewKey(ApiKey(key, name, role, prefix, now, None, None), secret)

    def check(self, secret: str, now: datetime | None = None) -> ApiKey | None:
        """The key that belongs to a secret; None when there is none or it was revoked. Notes the use, at most once a minute."""
        prefix = "_".join(secret.split("_")[:2])
        if "\0" in prefix:
            return None
        with self._database.read() as connection:
            row = connection.execute(select(*_COLUMNS, KeyRow.hash).where(KeyRow.prefix == prefix)).first()
        if row is None or not hmac.compare_digest(row[-1], _hash(secret)) or row.revoked is not None:
            return None
        key = ApiKey(row[0], row[1], _role(row[2]), *row[3:7])
        time = now or datetime.now(UTC)
        if key.last_used is None or time - key.last_used >= _USE_NOTED_EVERY:
            with self._database.write() as connection:
                connection.execute(update(KeyRow).where(KeyRow.id == key.id).values(last_used=time))
            return replace(key, last_used=time)
        return key

    def all(self) -> list[ApiKey]:
        """All keys, the revoked ones too, oldest first."""
        with self._database.read() as connection:
            return [ApiKey(row[0], row[1], _role(row[2]), *row[3:]) for row in connection.execute(select(*_COLUMNS).order_by(KeyRow.id))]

    def revoke(self, key_id: int, now: datetime | None = None) -> None:
        """From now on the key is refused.

        Raises:
            StoreError: there is no such key.
        """
        with self._database.write() as connection:
            if connection.execute(select(KeyRow.id).where(KeyRow.id == key_id)).first() is None:
                raise StoreError(f"there is no key with id {key_id}")
            revoked = update(KeyRow).where(KeyRow.id == key_id, KeyRow.revoked.is_(None)).values(revoked=now or datetime.now(UTC))
            connection.execute(revoked)


_COLUMNS = (KeyRow.id, KeyRow.name, KeyRow.role, KeyRow.prefix, KeyRow.created, KeyRow.last_used, KeyRow.revoked)


def _hash(secret: str) -> str:
    # A slow hash protects secrets that people choose; this one has 256 random bits.
    return hashlib.sha256(secret.encode()).hexdigest()


def _role(role: str) -> Role:
    return "admin" if role == "admin" else "write" if role == "write" else "read"
