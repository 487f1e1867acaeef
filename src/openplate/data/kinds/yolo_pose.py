"""Ultralytics' YOLO pose layout with four key points a plate in, rows out.

Layout: as `yolo`, a line being `class x_center y_center width height px1 py1 … px4 py4`, or with a visibility after each point (`kpt_shape: [4, 2]` or
`[4, 3]`); a point of visibility 0, or at 0 0, was not labelled. The points are the plate's corners; data sets disagree on where they begin, so the
corners are put in order by where they lie. A plate without all four keeps its upright box.
Source: docs.ultralytics.com/datasets/pose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from openplate.data.kinds.yolo import fraction_box, read_lines
from openplate.data.rows import Hints, Points, Row
from openplate.dataset import Fault


def read(source: Path, hints: Hints) -> Iterator[Row | Fault]:
    """One row a picture.

    Raises:
        DatasetError: there is no picture or no label file, or it is not said which of several classes are plates.

    """
    yield from read_lines(source, hints, _corners)


def _corners(values: Sequence[float]) -> Points:
    if len(values) not in (12, 16):
        raise ValueError("expected a class, a box of 4 numbers and 4 points of 2 or 3 numbers")
    box, step = fraction_box(values), (len(values) - 4) // 4
    points = [tuple(values[start : start + step]) for start in range(4, len(values), step)]
    labelled = all((x, y) != (0, 0) and (not visible or visible[0] > 0) for x, y, *visible in points)
    return tuple((x, y) for x, y, *_ in points) if labelled else box
