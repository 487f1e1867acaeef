"""Pictures in, files named by their content's hash out: written completely before a row names them, swept when no row does."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from openplate.errors import StoreError
from openplate.store.model import MEDIA_TYPES, NewPicture, Picture

GRACE_S = 3600.0
"""A file younger than this is never swept: the row that names it may still be written."""


class Evidence:
    """Evidence under one folder, as `ab/abcdef….jpg`. Equal pictures share a file. Safe for several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._aside = folder / "aside"

    def put(self, picture: NewPicture) -> str:
        """Keep a picture; it is on the disk when this returns.

        Returns:
            The hash of its bytes, 64 hexadecimal digits.

        Raises:
            StoreError: the file cannot be written.
        """
        name = hashlib.sha256(picture.data).hexdigest()
        path = self._path(name, picture.media_type)
        try:
            with suppress(FileNotFoundError):
                os.utime(path)  # starts the sweep's grace anew
                return name
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{name}.{os.getpid()}.{time.monotonic_ns()}")
            with partial.open("wb") as file:
                file.write(picture.data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            for folder in (path.parent, self.folder):
                _sync_folder(folder)
        except OSError as error:
            raise StoreError(f"{path}: evidence cannot be written: {error.strerror or error}") from error
        return name

    def read(self, picture: Picture) -> bytes:
        """The bytes of a picture.

        Raises:
            StoreError: the file is missing, or its bytes are not those that were stored.
        """
        path = self._path(picture.hash, picture.media_type)
        for place in (path, self._aside / path.name):
            try:
                data = place.read_bytes()
            except FileNotFoundError:
                continue
            if hashlib.sha256(data).hexdigest() != picture.hash:
                raise StoreError(f"{place}: the evidence was changed or damaged after it was stored")
            return data
        raise StoreError(f"{path}: the evidence is missing")

    def sweep(self, used: Callable[[Iterable[str]], set[str]], grace_s: float = GRACE_S, now_s: float | None = None) -> int:
        """Delete files that no row names, in two steps, so that a picture stored at the same moment is never lost.

        A file without a row is set aside; only when it has no row after another `grace_s` is it deleted, else it is put back.

        Args:
            used: of some hashes, gives those that rows name.
            grace_s: age in seconds before a step.
            now_s: seconds since 1970; None for the clock.

        Returns:
            How many files were deleted.
        """
        now = time.time() if now_s is None else now_s
        deleted = 0
        for batch in _batches(self._aged(self._aside.glob("*"), now - grace_s)):
            named = used([path.name.partition(".")[0] for path in batch])
            for path in batch:
                name = path.name.partition(".")[0]
                home = self.folder / name[:2] / path.name
                if name in named and not home.exists():
                    home.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(home)
                else:
                    path.unlink(missing_ok=True)
                    deleted += name not in named
        for batch in _batches(self._aged(self.folder.glob("[0-9a-f][0-9a-f]/*"), now - grace_s)):
            partial = [path for path in batch if path.name.startswith(".")]
            whole = [path for path in batch if not path.name.startswith(".")]
            for path in partial:  # left by a process that was killed while writing
                path.unlink(missing_ok=True)
            named = used([path.name.partition(".")[0] for path in whole])
            for path in whole:
                if path.name.partition(".")[0] not in named:
                    self._aside.mkdir(exist_ok=True)
                    os.utime(path, (now, now))  # before the move: aside it counts from now
                    path.replace(self._aside / path.name)
        return deleted

    def _aged(self, paths: Iterable[Path], before_s: float) -> Iterator[Path]:
        for path in paths:
            try:
                if path.stat().st_mtime <= before_s:
                    yield path
            except FileNotFoundError:
                continue

    def _path(self, name: str, media_type: str) -> Path:
        if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise StoreError(f"expected 64 hexadecimal digits as a picture's hash, got {name!r}")
        return self.folder / name[:2] / f"{name}{MEDIA_TYPES[media_type]}"


def _batches(paths: Iterable[Path], size: int = 500) -> Iterator[list[Path]]:
    batch: list[Path] = []
    for path in paths:
        batch.append(path)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut; Windows cannot open folders and does not need it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
