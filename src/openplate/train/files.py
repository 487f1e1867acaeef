"""A text in, a file that holds it out: whole or as it was before, also when the disk is full or the program is killed."""

from __future__ import annotations

from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Writes UTF-8 beside `path` and puts it in its place; a file that holds this text already is left alone.

    Raises:
        OSError: it cannot be written; the file before it is whole.
    """
    content = text.encode()
    if path.is_file() and path.read_bytes() == content:
        return
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
