"""COCO's layout in, rows out.

Layout: a JSON file with `images` (`id`, `file_name`, `width`, `height`), `annotations` (`image_id`, `category_id`, `bbox` as x, y, width, height in px
counted from 0) and `categories` (`id`, `name`). Of an annotation the most exact shape is taken: four labelled `keypoints`, else a `segmentation` of one
polygon, else the box. Objects with `iscrowd` are left out. A text is taken from `utf8_string` (COCO-Text) or `attributes.text` (CVAT). Several JSON
files are the sides of a split, by their folder's or their own name (`instances_train2017.json`, `train/_annotations.coco.json`).
Source: cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openplate.data.rows import Hints, Mark, Points, Row, box_points, chosen_classes, inside, part_named, part_of
from openplate.dataset import Fault
from openplate.errors import DatasetError


def read(source: Path, hints: Hints) -> Iterator[Row | Fault]:
    """One row an image; images without annotations have no plate. A broken JSON file is a fault.

    Raises:
        DatasetError: there is no JSON file with images and annotations, or it is not said which of several classes are plates.

    """
    folder = source.parent if source.is_file() else source
    contents: list[tuple[Path, dict[str, Any]]] = []
    for file in [source] if source.is_file() else _json_files(source):
        data = _load(file, folder)
        if isinstance(data, Fault):
            yield data
        elif data is not None:
            contents.append((file, data))
        elif file == source:
            raise DatasetError(f"{file}: expected an object with lists of images, annotations and categories")
    if not contents:
        raise DatasetError(f"{source}: expected a JSON file with images, annotations and categories, found none")
    names = [_names(data) for _, data in contents]
    used = {
        category.get(one.get("category_id"), "")
        for (_, data), category in zip(contents, names, strict=True)
        for one in data["annotations"]
        if isinstance(one, dict) and _hashable(one.get("category_id")) and not one.get("iscrowd")
    }
    classes = chosen_classes(used - {""}, hints, source)
    for (file, data), category in zip(contents, names, strict=True):
        yield from _rows(folder, file, data, category, classes)


def _json_files(source: Path) -> list[Path]:
    if not source.is_dir():
        raise DatasetError(f"{source}: expected a folder or a JSON file, found nothing")
    return sorted(path for path in source.rglob("*.json") if not any(name.startswith(".") for name in path.relative_to(source).parts))


def _load(file: Path, folder: Path) -> dict[str, Any] | Fault | None:
    """The contents of a JSON file; None when it is of another kind, a fault when it is broken."""
    try:
        data = json.loads(file.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError) as error:
        return Fault(str(file.relative_to(folder)), f"expected a JSON file: {error}")
    if isinstance(data, dict) and all(isinstance(data.get(key), list) for key in ("images", "annotations", "categories")):
        return data
    return None


def _names(data: dict[str, Any]) -> dict[Any, str]:
    categories = data.get("categories")
    entries = categories if isinstance(categories, list) else []
    return {one["id"]: str(one.get("name", one["id"])) for one in entries if isinstance(one, dict) and _hashable(one.get("id"))}


def _hashable(value: object) -> bool:
    return isinstance(value, int | str)


def _rows(folder: Path, file: Path, data: dict[str, Any], category: dict[Any, str], classes: frozenset[str]) -> Iterator[Row | Fault]:
    where = str(file.relative_to(folder))
    part = part_of(file.relative_to(folder)) or part_named(file.stem)
    by_image: dict[Any, list[dict[str, Any]]] = {}
    known = {one["id"] for one in data["images"] if isinstance(one, dict) and _hashable(one.get("id"))}
    for number, one in enumerate(data["annotations"]):
        if not isinstance(one, dict) or not _hashable(one.get("image_id")) or one["image_id"] not in known:
            yield Fault(
                where, f"annotations[{number}]: expected the image_id of an image, got {one.get('image_id') if isinstance(one, dict) else one!r}"
            )
        elif category.get(one.get("category_id") if _hashable(one.get("category_id")) else None) in classes and not one.get("iscrowd"):
            by_image.setdefault(one["image_id"], []).append(one)
    for number, image in enumerate(data["images"]):
        place = f"{where}, images[{number}]"
        if not isinstance(image, dict) or not _hashable(image.get("id")):
            yield Fault(place, f"expected an object with id and file_name, got {image!r}"[:200])
            continue
        path = _picture(folder, file, part, image.get("file_name"))
        if path is None:
            yield Fault(place, f"its picture {image.get('file_name')!r} is not there")
            continue
        try:
            marks = tuple(_mark(one) for one in by_image.get(image["id"], []))
        except (ValueError, TypeError) as error:
            yield Fault(place, f"{image['file_name']}: {error}")
            continue
        yield Row(part, path, place, marks, _size(image))


def _picture(folder: Path, file: Path, part: str, name: object) -> Path | None:
    """The picture of an image: beside the JSON file, in the source, or in a folder of pictures named as COCO and its followers do."""
    stem = file.stem.removeprefix("instances_")
    places = [
        file.parent,
        folder,
        *(base / one for base in (folder, file.parent) for one in ("images", stem, f"images/{stem}", part, f"images/{part}")),
    ]
    candidates = (inside(place, name) for place in places)
    return next((path for path in candidates if path is not None and path.is_file()), None)


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0 else None


def _mark(one: dict[str, Any]) -> Mark:
    attributes = one.get("attributes")
    text = one.get("utf8_string") or (attributes.get("text") if isinstance(attributes, dict) else None)
    shape = _keypoints(one.get("keypoints")) or _polygon(one.get("segmentation"))
    if shape:
        return Mark(str(text) if text else None, None, shape)
    box = one.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError(f"expected a bbox of four numbers, got {box!r}")
    x, y, width, height = (float(value) for value in box)
    if not (width > 0 and height > 0):
        raise ValueError(f"expected a bbox with a width and a height above 0, got {box!r}")
    return Mark(str(text) if text else None, None, box_points(x, y, x + width, y + height), ordered=True)


def _keypoints(values: object) -> Points | None:
    """Four points `x, y, visibility`, all of them labelled."""
    if not isinstance(values, list) or len(values) != 12 or not all(float(visible) > 0 for visible in values[2::3]):
        return None
    return tuple((float(x), float(y)) for x, y in zip(values[::3], values[1::3], strict=True))


def _polygon(values: object) -> Points | None:
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], list) or len(values[0]) < 8 or len(values[0]) % 2:
        return None
    return tuple((float(x), float(y)) for x, y in zip(values[0][::2], values[0][1::2], strict=True))
