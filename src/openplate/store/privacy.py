"""Plates in, what the store may keep of them out: the texts themselves, or keyed hashes (HMAC-SHA256) from which nobody without the key gets them back.

Plates are few enough to try them all, so a salt that lies beside the hashes would protect nothing: the key is a file of its own, not in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, insert, select

from openplate.errors import StoreError
from openplate.store.model import Blur, NewSighting
from openplate.store.tables import StateRow
from openplate.types import Candidate, Character

Mode = Literal["plain", "hash"]
HASHED = "h:"
"""Begins every hashed plate."""
_KEY_BYTES = 32


class Privacy:
    """How one store keeps plates.

    Args:
        mode: "plain" or "hash".
        folder: holds `privacy.key`, which is made where there is none and nothing was stored yet.
        blur: makes plates in evidence unrecognisable; without it, "hash" keeps no evidence.
    """

    def __init__(self, mode: Mode, folder: Path, blur: Blur | None) -> None:
        self.mode = mode
        self._file = folder / "privacy.key"
        self._blur = blur
        self._key = b""

    @property
    def hashed(self) -> bool:
        """Whether plates are kept as hashes."""
        return self.mode == "hash"

    def agree(self, connection: Connection) -> None:
        """Settle with the database how it keeps plates: the first opening decides for good.

        Raises:
            StoreError: the database keeps plates in the other way, or the key is missing or another one.
        """
        kept = {row.name: row.value for row in connection.execute(select(StateRow.name, StateRow.value).where(StateRow.name.in_(["privacy", "key"])))}
        if kept.get("privacy", self.mode) != self.mode:
            raise StoreError(
                f"this store was made with privacy {kept['privacy']!r} and cannot be opened with {self.mode!r}; open it as it is, or begin another"
            )
        if self.hashed:
            self._key = self._read_key(may_make="privacy" not in kept)
            check = self.token("check value of the key")
            if kept.get("key", check) != check:
                raise StoreError(f"{self._file}: this is not the key with which the store's plates were hashed; bring back the file that was there")
        if not kept:
            rows = [{"name": "privacy", "value": self.mode}] + ([{"name": "key", "value": check}] if self.hashed else [])
            connection.execute(insert(StateRow), rows)

    def token(self, text: str) -> str:
        """What is kept of a text in the project's spelling: itself, or its hash."""
        if not self.hashed:
            return text
        return HASHED + hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:32]

    def protect(self, new: NewSighting) -> NewSighting:
        """The sighting as it may be kept: where plates are hashed, its texts become hashes and its pictures are blurred or left out."""
        if not self.hashed:
            return new
        pictures = [self._blur(picture) for picture in new.pictures] if self._blur else []
        return replace(
            new,
            text=None if new.text is None else self.token(new.text),
            characters=tuple(Character("", c.confidence) for c in new.characters),
            candidates=tuple(Candidate(self.token(c.text), c.confidence, c.format) for c in new.candidates),
            pictures=tuple(picture for picture in pictures if picture is not None),
        )

    def _read_key(self, may_make: bool) -> bytes:
        try:
            key = self._file.read_bytes()
        except FileNotFoundError:
            if not may_make:
                raise StoreError(f"{self._file}: the key of the hashed plates is missing; bring the file back from a copy") from None
            return self._make_key()
        except OSError as error:
            raise StoreError(f"{self._file}: the key cannot be read: {error.strerror}") from None
        if len(key) != _KEY_BYTES:
            raise StoreError(f"{self._file}: expected {_KEY_BYTES} bytes, got {len(key)}; bring the file back from a copy")
        return key

    def _make_key(self) -> bytes:
        key = secrets.token_bytes(_KEY_BYTES)
        handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return key
