"""PASCAL VOC's layout in, rows out.

Layout: one XML file a picture, `annotation` with `filename`, `size` and an `object` with `name` and `bndbox` (`xmin`, `ymin`, `xmax`, `ymax`) for each
object. Pixels are counted from 1 and both edges belong to the box, so that `xmin` 1 and `xmax` W span the whole picture. XML files lie in
`Annotations/`, pictures in `JPEGImages/` (or `annotations/` and `images/`, or together); `ImageSets/Main/train.txt`, `val.txt` and `test.txt` name the
sides of the split, otherwise folders called train, val and test do. Texts are not labelled.
Source: the VOC2012 development kit, host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from openplate.data.rows import Hints, Mark, Points, Row, box_points, chosen_classes, part_of, pictures
from openplate.dataset import Fault
from openplate.errors import DatasetError

_MAX_BYTES = 8 * 2**20


def read(source: Path, hints: Hints) -> Iterator[Row | Fault]:
    """One row an XML file.

    Raises:
        DatasetError: there is no picture or no XML file, or it is not said which of several classes are plates.

    """
    faults: list[Fault] = []
    by_name: dict[str, list[Path]] = {}
    for path in pictures(source):
        if isinstance(path, Fault):
            faults.append(path)
            continue
        for key in {path.name, path.stem}:
            by_name.setdefault(key, []).append(path)
    files = sorted(path for path in source.rglob("*.xml") if not any(name.startswith(".") for name in path.relative_to(source).parts))
    if not files:
        raise DatasetError(f"{source}: expected an XML file for each picture, found none")
    found: list[tuple[Path, Path, tuple[int, int] | None, list[tuple[str, Points]]]] = []
    for file in files:
        try:
            root = _parse(file)
            picture = _picture(file, root.findtext("filename", ""), by_name)
            found.append((file, picture, _size(root), [_object(element) for element in root.iter("object")]))
        except (ValueError, OSError, ElementTree.ParseError) as error:
            faults.append(Fault(str(file.relative_to(source)), str(error)))
    classes = chosen_classes({name for *_, objects in found for name, _ in objects}, hints, source)
    sides = _sides(source)
    yield from faults
    for file, picture, size, objects in found:
        marks = tuple(Mark(None, None, points, ordered=True) for name, points in objects if name in classes)
        relative = file.relative_to(source)
        yield Row(sides.get(file.stem, "") if sides else part_of(relative), picture, str(relative), marks, size)


def _parse(file: Path) -> Element:
    if file.stat().st_size > _MAX_BYTES:
        raise ValueError(f"expected at most {_MAX_BYTES:,} bytes")
    data = file.read_bytes()
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:  # entities can grow without end, and VOC has none
        raise ValueError("expected an annotation without a document type")
    return ElementTree.fromstring(data)


def _picture(file: Path, filename: str, by_name: dict[str, list[Path]]) -> Path:
    """The picture of an XML file: the one that it names, or else the one of its own name; of several the nearest."""
    name = PurePosixPath(filename.strip().replace("\\", "/")).name
    candidates = by_name.get(name) or by_name.get(file.stem)
    if not candidates:
        raise ValueError(f"its picture {name or file.stem!r} is not there")
    distances = [(len(set(path.parent.parts) ^ set(file.parent.parts)), path) for path in candidates]
    nearest = min(distances)
    if sum(distance == nearest[0] for distance, _ in distances) > 1:
        raise ValueError(f"expected one picture {name or file.stem!r}, found {len(candidates)}")
    return nearest[1]


def _size(root: Element) -> tuple[int, int] | None:
    width, height = (int(float(root.findtext(f"size/{key}", "0"))) for key in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None


def _object(element: Element) -> tuple[str, Points]:
    name = element.findtext("name", "").strip()
    if not name:
        raise ValueError("an object without a name")
    box = element.find("bndbox")
    if box is None:
        raise ValueError(f"object {name!r} without a bndbox")
    x0, y0, x1, y1 = (_number(box, key) for key in ("xmin", "ymin", "xmax", "ymax"))
    return name, box_points(max(0.0, x0 - 1), max(0.0, y0 - 1), x1, y1)


def _number(box: Element, key: str) -> float:
    text = box.findtext(key)
    try:
        return float(text or "")
    except ValueError:
        raise ValueError(f"bndbox: expected a number as {key}, got {text!r}") from None


def _sides(source: Path) -> dict[str, str]:
    """Name of an XML file → its side, from the lists of ImageSets/Main."""
    sides: dict[str, str] = {}
    for part in ("train", "val", "test"):
        for file in sorted(source.rglob(f"ImageSets/Main/{part}.txt")):
            for line in file.read_text(encoding="utf8", errors="replace").splitlines():
                if line.strip():
                    sides[line.split()[0]] = part
    return sides
