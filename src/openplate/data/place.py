"""Picture files in; copies under safe names in a folder that appears whole or not at all out."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path, PurePath

from openplate.errors import DatasetError

IMAGES = "images"
_LAYOUT_FOLDERS = frozenset({"", "images", "img", "jpegimages"})
_MAX_NAME_BYTES = 180


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A hidden folder beside `target` to write into; it becomes `target` when the block ends without an error, otherwise it is removed.

    Raises:
        DatasetError: `target` holds something already, or the disk does not take what is written.

    """
    target = Path(target)
    try:
        if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
            raise DatasetError(f"{target}: holds something already; give another folder, or delete it")
        target.parent.mkdir(parents=True, exist_ok=True)
        building = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        building.mkdir()
    except OSError as error:
        raise DatasetError(f"{target}: cannot be written: {error.strerror or error}") from None
    try:
        yield building
        if target.exists():
            target.rmdir()
        building.rename(target)
    except OSError as error:
        raise DatasetError(f"{target}: cannot be written: {error.strerror or error}; nothing was left there") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


class FreeNames:
    """Names for the pictures of one folder: plain, and each once, whatever the source calls them."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, relative: PurePath) -> str:
        """A name for a picture that its source calls `relative`: its own, or with its folder's or a number when that is taken."""
        suffix = relative.suffix.lower() if relative.suffix[1:].isalnum() and len(relative.suffix) <= 6 else ""
        stem, parent = _plain(relative.stem), _plain(relative.parent.name)
        candidates = [stem] if parent.lower() in _LAYOUT_FOLDERS else [stem, f"{parent}_{stem}"]
        numbered = (f"{stem}-{number}" for number in count(2))
        name = next(name for one in chain(candidates, numbered) if (name := _short(one, suffix)).casefold() not in self._taken)
        self._taken.add(name.casefold())
        return name


def place_picture(source: Path, target: Path, *, link: bool) -> None:
    """Copy a picture file, or make a hard link to it; where no link can be made, it is copied.

    Raises:
        OSError: it cannot be read or written.

    """
    if link:
        with contextlib.suppress(OSError):
            real = source.resolve()  # a link to a symbolic link would break with it
            os.link(real, target)
            return
    if not stat.S_ISREG(source.stat().st_mode):
        raise OSError(f"{source}: expected a file")
    shutil.copyfile(source, target)


def _plain(name: str) -> str:
    """A name of letters, digits and `-_.&+`, without a leading dot."""
    return "".join(c if c.isalnum() or c in "-_.&+" else "_" for c in name).lstrip(".")


def _short(stem: str, suffix: str) -> str:
    data = (stem or "picture").encode("utf8", "replace")
    if len(data) > _MAX_NAME_BYTES:  # what makes long names differ may stand at either end
        half = _MAX_NAME_BYTES // 2
        stem = f"{data[:half].decode('utf8', 'ignore')}~{data[-half:].decode('utf8', 'ignore')}"
    return f"{stem or 'picture'}{suffix}"
