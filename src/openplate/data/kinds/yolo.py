"""Ultralytics' YOLO layout with boxes, oriented boxes or polygons in, rows out.

Layout: for each picture a text file of the same name with one object a line, every number a fraction of the picture's width or height:
`class x_center y_center width height` (detection), or `class x1 y1 x2 y2 x3 y3 x4 y4` and more points (oriented boxes, segmentation). Labels lie where
the path has `labels` for `images`, or beside the picture. A picture without a label file has no object. `train`, `val` and `test` are folders, above or
below `images`; data.yaml is not needed, classes are given by number.
Sources: docs.ultralytics.com/datasets/detect, /datasets/obb and /datasets/segment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from openplate.data.rows import Hints, Mark, Points, Row, box_points, chosen_classes, part_of, pictures
from openplate.dataset import Fault
from openplate.errors import DatasetError

Corners = Callable[[Sequence[float]], Points]
"""The numbers of a line after its class → corners as fractions; raises ValueError when they are not what was expected."""
_LIMIT = 4.0
"""A fraction beyond it is no overhang but a number in px."""


def read(source: Path, hints: Hints) -> Iterator[Row | Fault]:
    """One row a picture.

    Raises:
        DatasetError: there is no picture or no label file, or it is not said which of several classes are plates.

    """
    yield from read_lines(source, hints, _corners)


def read_lines(source: Path, hints: Hints, corners: Corners) -> Iterator[Row | Fault]:
    """One row a picture, with the corners that `corners` finds in each line.

    Raises:
        DatasetError: there is no picture or no label file, or it is not said which of several classes are plates.

    """
    found: list[tuple[Path, Path, list[tuple[str, Points]]]] = []
    faults: list[Fault] = []
    used: set[Path] = set()
    for path in pictures(source):
        if isinstance(path, Fault):
            faults.append(path)
            continue
        labels = _labels_of(path, source)
        used.add(labels)
        try:
            found.append((path, labels, _objects(labels, corners)))
        except (ValueError, OSError) as error:
            faults.append(Fault(_shown(labels, source), str(error)))
    if not any(labels.is_file() for labels in used):
        raise DatasetError(f"{source}: expected a text file of labels for each picture, beside it or in labels/ where it lies in images/; found none")
    classes = chosen_classes({name for _, _, objects in found for name, _ in objects}, hints, source)
    yield from faults
    for path, labels, objects in found:
        where = _shown(labels if labels.is_file() else path, source)
        marks = tuple(Mark(None, None, points, fractions=True) for name, points in objects if name in classes)
        yield Row(part_of(path.relative_to(source)), path, where, marks)
    for labels in sorted(path for path in source.rglob("*.txt") if "labels" in path.relative_to(source).parts[:-1]):
        if labels not in used:
            yield Fault(str(labels.relative_to(source)), "its picture is not there")


def _labels_of(path: Path, source: Path) -> Path:
    parts = list(path.relative_to(source).with_suffix(".txt").parts)
    places = [i for i, name in enumerate(parts[:-1]) if name == "images"]
    if places:
        parts[places[-1]] = "labels"
    elif source.name == "images":
        beside = source.with_name("labels").joinpath(*parts)
        return beside if beside.is_file() else path.with_suffix(".txt")
    return source.joinpath(*parts)


def _shown(path: Path, source: Path) -> str:
    """A file's path from the source, or from the folder above it for labels beside a folder of images."""
    return str(path.relative_to(source if path.is_relative_to(source) else source.parent))


def _objects(labels: Path, corners: Corners) -> list[tuple[str, Points]]:
    if not labels.is_file():
        return []
    objects = []
    for number, line in enumerate(labels.read_text(encoding="utf-8-sig").splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            name, values = str(int(float(fields[0]))), [float(field) for field in fields[1:]]
            if not all(abs(value) <= _LIMIT for value in values):
                raise ValueError("expected fractions of the picture's width and height")
            objects.append((name, corners(values)))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"line {number}: {error}, got {line.strip()[:80]!r}") from None
    return objects


def _corners(values: Sequence[float]) -> Points:
    if len(values) == 4:
        return fraction_box(values)
    if len(values) >= 6 and len(values) % 2 == 0:
        return tuple(zip(values[::2], values[1::2], strict=True))
    raise ValueError("expected a class and 4 numbers (a box), or a class and at least 3 points")


def fraction_box(values: Sequence[float]) -> Points:
    """The corners of `x_center y_center width height`.

    Raises:
        ValueError: width or height is not above 0.

    """
    x, y, width, height = values[:4]
    if width <= 0 or height <= 0:
        raise ValueError("expected a width and a height above 0")
    return box_points(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
