"""This project's own form (docs/datasets.md): a folder with `labels.jsonl`, or a folder of such folders, in; rows out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openplate.data.rows import Hints, Mark, Row
from openplate.dataset import LABELS, Fault, LabelledPlate, read_labels
from openplate.errors import DatasetError


def read(source: Path, hints: Hints) -> Iterator[Row | Fault]:
    """The rows of a data set; of a folder whose sub-folders are data sets (train, val, test) each is a side of the split.

    Raises:
        DatasetError: neither the folder nor a sub-folder has `labels.jsonl`.

    """
    for part, folder in data_sets(source):
        for entry in read_labels(folder):
            if isinstance(entry, Fault):
                yield entry
            else:
                marks = tuple(_mark(plate) for plate in entry.plates)
                yield Row(part, entry.path, str(entry.path.relative_to(source)), marks, (entry.width, entry.height))


def data_sets(source: Path) -> list[tuple[str, Path]]:
    """Name and folder of each data set that a path stands for: the folder itself (named ""), or its sub-folders with `labels.jsonl`, sorted.

    Raises:
        DatasetError: neither the folder nor a sub-folder has `labels.jsonl`.

    """
    if (source / LABELS).is_file():
        return [("", source)]
    found = [(path.parent.name, path.parent) for path in sorted(source.glob(f"*/{LABELS}")) if not path.parent.name.startswith(".")]
    if not found:
        raise DatasetError(f"{source}: expected {LABELS} in it or in its sub-folders, found none; docs/datasets.md describes the form")
    return found


def _mark(plate: LabelledPlate) -> Mark:
    points = None if plate.quad is None else tuple((float(x), float(y)) for x, y in plate.quad)
    return Mark(plate.text, plate.country, points, ordered=True)
