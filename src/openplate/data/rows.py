"""What a reader of a data set hands over: rows of pictures and marks as their source states them, before anything is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.dataset import Fault
from openplate.errors import DatasetError, SourceError
from openplate.geometry import as_quad, quad_area
from openplate.sources import expand
from openplate.types import Quad

Points = tuple[tuple[float, float], ...]
"""Corners `(x, y)` in the order of the source."""

_PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A plate as its source states it.

    `text` is None when the source does not say it, `country` likewise. `points` are the corners of a quad or of a polygon around the plate, None when
    the picture is the plate; in px, or as fractions of the picture's width and height when `fractions` is true. `ordered` says that they are four and
    come as TL TR BR BL.
    """

    text: str | None
    country: str | None
    points: Points | None
    fractions: bool = False
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A picture and its marks. `part` is the side of the source's split ("train", "val", "test", "" for none), `where` the place to name in a fault,
    `size` the picture's width and height in px where the source states them."""

    part: str
    path: Path
    where: str
    marks: tuple[Mark, ...]
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user knows of a source: which of its classes are plates (all of them when it has one class)."""

    classes: tuple[str, ...] = ()


Reader = Callable[[Path, Hints], Iterable[Row | Fault]]
"""Reads a source; raises DatasetError when it does not have the layout at all."""


def part_of(relative: PurePath) -> str:
    """The side of a split that a file lies on: its outermost folder called train, val or test (valid, validation and the like count); "" for none."""
    return next((_PARTS[name.lower()] for name in relative.parts[:-1] if name.lower() in _PARTS), "")


def part_named(stem: str) -> str:
    """The side of a split that a file stands for: "train" for `train`, `instances_train2017`, `plates-train`; "" for none."""
    words = "".join(c if c.isalpha() else " " for c in stem.lower()).split()
    return next((_PARTS[word] for word in words if word in _PARTS), "")


def pictures(source: Path) -> Iterator[Path | Fault]:
    """The picture files of a folder and all below, sorted; a fault in the place of a folder that cannot be read.

    Raises:
        DatasetError: there is no folder, or no picture in it.

    """
    if not source.is_dir():
        raise DatasetError(f"{source}: expected a folder, found {'a file' if source.exists() else 'nothing'}")
    found = 0
    for entry in expand([str(source)]):
        if isinstance(entry, SourceError):
            yield Fault(str(source), str(entry))
        else:
            found += 1
            yield entry
    if not found:
        raise DatasetError(f"{source}: expected a folder with pictures, found none; check the path")


def inside(folder: Path, name: object) -> Path | None:
    r"""The file that a label names relative to `folder`; None when the name leads out of it, or is none. `\` counts as `/`."""
    if not isinstance(name, str) or "\0" in name:
        return None
    relative = PurePosixPath(name.strip().replace("\\", "/"))
    if not relative.name or relative.is_absolute() or ".." in relative.parts or relative.parts[0].endswith(":"):
        return None
    return folder / relative


def chosen_classes(found: Iterable[str], hints: Hints, source: Path) -> frozenset[str]:
    """Which classes of a source are plates.

    Raises:
        DatasetError: the source has several and the user named none, or named one that is not there.

    """
    known = sorted(set(found))
    unknown = [name for name in hints.classes if name not in known]
    if unknown:
        raise DatasetError(f"{source}: expected --class to be one of {', '.join(known) or 'no class at all'}, got {unknown[0]!r}")
    if not hints.classes and len(known) > 1:
        raise DatasetError(f"{source}: expected one class, or --class NAME to say which are plates; found {', '.join(known)}")
    return frozenset(hints.classes or known)


def box_points(x0: float, y0: float, x1: float, y1: float) -> Points:
    """The corners of an upright box, TL TR BR BL."""
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)


def quad_around(points: Sequence[Sequence[float]] | NDArray[np.float32]) -> Quad:
    """The quad of a plate marked by a polygon in px whose order is not known: four corners as they are, of more the smallest rectangle around them.

    Convention: TL is the corner from which the top side runs most nearly to the right: plates turned by less than 45° come out right.

    Raises:
        ValueError: there are fewer than three finite points, or they enclose no area.

    """
    polygon = np.asarray(points, np.float32).reshape(-1, 2)
    if len(polygon) < 3 or not np.isfinite(polygon).all():
        raise ValueError(f"expected at least three finite points, got {np.round(polygon, 1).tolist()}")
    hull = np.asarray(cv2.convexHull(polygon, clockwise=True), np.float32).reshape(-1, 2)
    if len(polygon) != 4 or len(hull) != 4:
        hull = np.asarray(cv2.boxPoints(cv2.minAreaRect(polygon)), np.float32)
    quad = as_quad(hull)
    if quad_area(quad) <= 0:
        raise ValueError(f"expected corners around an area, got {np.round(polygon, 1).tolist()}")
    x, y = quad[:, 0], quad[:, 1]
    if float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) < 0:  # y runs down: TL TR BR BL is positive
        quad = quad[::-1]
    turned = [np.roll(quad, -start, axis=0) for start in range(4)]
    return np.ascontiguousarray(max(turned, key=_level), np.float32)


def _level(quad: Quad) -> float:
    """The cosine of the angle between a quad's upper and lower side, taken together, and the x axis."""
    run = (quad[1] - quad[0]) + (quad[2] - quad[3])
    return float(run[0] / max(float(np.hypot(*run)), 1e-9))
