"""Photos of Russian cars with plate boxes (Hugging Face: AY000554/Car_plate_detecting_dataset) in, rows out.

Layout: `train`, `val` and `test`, each with pictures and YOLO text labels of the same name, `class x_center y_center width height` as fractions of the
picture; one class, the plate. Texts are not labelled.
Source: the data set's card.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from openplate.data.kinds import yolo
from openplate.data.rows import Hints, Row
from openplate.dataset import Fault


def read(source: Path, hints: Hints) -> Iterator[Row | Fault]:
    """The rows of the YOLO layout, with Russia as their country.

    Raises:
        DatasetError: there is no picture or no label file.

    """
    for row in yolo.read(source, hints):
        yield row if isinstance(row, Fault) else replace(row, marks=tuple(replace(mark, country="RU") for mark in row.marks))
