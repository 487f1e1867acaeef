"""A table of picture files and plate texts (CSV) in, rows out.

Layout: a CSV file, or a folder with one (or with train.csv, val.csv, test.csv). With a heading the columns are found by name: the picture in `file`,
`image`, `path`, `filename` or `image_path`, the text in `text`, `plate`, `label` or `plate_text`, the country, if any, in `country`; without one the
first two columns are picture and text. Fields are separated by commas, semicolons or tabs, and may be quoted within their line: one line is one row.
Paths count from the CSV file's folder. The picture is the plate.
Source: fast-plate-ocr's data sets (`image_path,plate_text`), github.com/ankandrew/fast-plate-ocr, docs.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from openplate.data.rows import Hints, Mark, Row, inside, part_named
from openplate.dataset import Fault
from openplate.errors import DatasetError

_FILE = ("file", "image", "path", "filename", "image_path")
_TEXT = ("text", "plate", "label", "plate_text")
_COUNTRY = ("country",)
_SEPARATORS = ",;\t"


def read(source: Path, hints: Hints) -> Iterator[Row | Fault]:
    """One row a line.

    Raises:
        DatasetError: there is no CSV file, or several whose names do not say train, val or test, or none can be read as text.

    """
    folder = source.parent if source.is_file() else source
    files = [source] if source.is_file() else sorted(source.glob("*.csv"))
    if not files:
        raise DatasetError(f"{source}: expected a CSV file, or a folder with one, found none")
    parts = [part_named(file.stem) for file in files] if len(files) > 1 else [""]
    if "" in parts and len(files) > 1:
        raise DatasetError(f"{source}: expected one CSV file, or train.csv, val.csv and test.csv; found {', '.join(file.name for file in files)}")
    broken: list[Fault] = []
    for part, file in zip(parts, files, strict=True):
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            broken.append(Fault(file.name, f"cannot be read as UTF-8 text: {error}"))
            continue
        yield from _rows(part, file, folder, text)
    if len(broken) == len(files):
        raise DatasetError(f"{folder / broken[0].where}: {broken[0].what}")
    yield from broken


def _rows(part: str, file: Path, folder: Path, text: str) -> Iterator[Row | Fault]:
    lines = text.split("\n")
    separator = max(_SEPARATORS, key=lines[0].count)
    columns: tuple[int, int, int | None] | None = None
    for number, line in enumerate(lines, start=1):
        where = f"{file.name}, line {number}"
        fields = _fields(line, separator)
        if isinstance(fields, str):
            yield Fault(where, fields)
            continue
        if not any(field.strip() for field in fields):
            continue
        if columns is None:
            heading = _heading(fields)
            columns = heading or (0, 1, None)
            if heading:
                continue
        yield _row(part, folder, where, fields, columns)


def _fields(line: str, separator: str) -> list[str] | str:
    """The fields of a line, or what is wrong with it. Each line is read alone: a stray quote takes no other line with it."""
    try:
        (fields,) = csv.reader([line + "\n"], delimiter=separator, skipinitialspace=True)
    except csv.Error as error:
        return f"cannot be read as fields of a table: {error}"
    if fields and fields[-1].endswith("\n"):  # the line's end is a part of the field only when its quote is open
        return f'expected a closing ", got {line.strip()[:80]!r}'
    return fields


def _heading(fields: list[str]) -> tuple[int, int, int | None] | None:
    """The columns of file, text and country, by the names in the first line; None when it is no heading."""
    names = [field.strip().lower() for field in fields]
    file, text, country = (next((names.index(name) for name in known if name in names), None) for known in (_FILE, _TEXT, _COUNTRY))
    return None if file is None or text is None else (file, text, country)


def _row(part: str, folder: Path, where: str, fields: list[str], columns: tuple[int, int, int | None]) -> Row | Fault:
    file, text, country = columns
    if len(fields) <= max(file, text):
        return Fault(where, f"expected a picture and a text, got {fields!r}")
    path = inside(folder, fields[file])
    if path is None:
        return Fault(where, f"expected a path inside {folder.name}, got {fields[file]!r}")
    land = fields[country].strip() if country is not None and country < len(fields) else ""
    return Row(part, path, where, (Mark(fields[text], land or None, None),))
