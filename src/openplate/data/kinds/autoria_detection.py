"""Photos with plates as polygons (AUTO.RIA Numberplate, of the Nomeroff Net project) in, rows out.

Layout: `train` and `val`, each with pictures and `via_region_data.json` of the VGG Image Annotator: `_via_img_metadata` maps to entries with `filename`
and `regions`; a region has `shape_attributes` (`polygon` with `all_points_x` and `all_points_y`, or `rect`) and `region_attributes`, whose `class` is
`numberplate` for a plate, and which may hold the text as `np` and the plate region as `region_name`. Corners begin anywhere.
Source: github.com/ria-com/nomeroff-net, data/dataset/Detector/autoria_numberplate_dataset_example.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openplate.data.kinds.autoria_ocr import country_of
from openplate.data.rows import Hints, Mark, Points, Row, box_points, inside, part_of
from openplate.dataset import Fault
from openplate.errors import DatasetError

_LABELS = "via_region_data.json"
_PLATE = "numberplate"


def read(source: Path, hints: Hints) -> Iterator[Row | Fault]:
    """One row an entry; regions of other classes are left out.

    Raises:
        DatasetError: there is no `via_region_data.json`, or none that is a JSON object.

    """
    files = sorted(source.rglob(_LABELS))
    if not files:
        raise DatasetError(f"{source}: expected {_LABELS} in it or in train and val, found none")
    broken: list[Fault] = []
    for file in files:
        entries = _entries(file, source)
        if isinstance(entries, Fault):
            broken.append(entries)
            continue
        for key, entry in entries.items():
            yield _row(file, key, entry, source)
    if len(broken) == len(files):
        raise DatasetError(f"{source / broken[0].where}: {broken[0].what}")
    yield from broken


def _entries(file: Path, source: Path) -> dict[str, Any] | Fault:
    where = str(file.relative_to(source))
    try:
        data = json.loads(file.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError) as error:
        return Fault(where, f"expected a JSON object: {error}")
    entries = data.get("_via_img_metadata", data) if isinstance(data, dict) else None  # the annotator's first version has the entries alone
    return entries if isinstance(entries, dict) else Fault(where, f"expected an object with _via_img_metadata, got {type(data).__name__}")


def _row(file: Path, key: str, entry: Any, source: Path) -> Row | Fault:
    where = f"{file.relative_to(source)}, {key}"
    if not isinstance(entry, dict):
        return Fault(where, f"expected an object with filename and regions, got {entry!r}"[:200])
    path = inside(file.parent, entry.get("filename"))
    if path is None:
        return Fault(where, f"expected a filename inside the folder, got {entry.get('filename')!r}")
    regions = entry.get("regions", [])
    try:
        marks = tuple(_mark(region) for region in (regions.values() if isinstance(regions, dict) else regions) if _is_plate(region))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Fault(where, f"expected regions with shape_attributes of a polygon or a rect: {type(error).__name__} {error}")
    return Row(part_of(file.relative_to(source)), path, where, marks)


def _attributes(region: dict[str, Any]) -> dict[str, Any]:
    attributes = region.get("region_attributes")
    return attributes if isinstance(attributes, dict) else {}


def _is_plate(region: dict[str, Any]) -> bool:
    """Whether a region is a plate; the first releases give no class, all of their regions are plates."""
    attributes = _attributes(region)
    kind = attributes.get("class", attributes.get("label", _PLATE))
    return bool(kind == _PLATE)


def _mark(region: dict[str, Any]) -> Mark:
    shape, attributes = region["shape_attributes"], _attributes(region)
    text, land = attributes.get("np"), attributes.get("region_name")
    points: Points
    if "all_points_x" in shape:
        points = tuple((float(x), float(y)) for x, y in zip(shape["all_points_x"], shape["all_points_y"], strict=True))
        if len(points) > 4 and points[0] == points[-1]:  # a polygon may end where it began
            points = points[:-1]
    else:
        x, y, width, height = (float(shape[key]) for key in ("x", "y", "width", "height"))
        points = box_points(x, y, x + width, y + height)
    return Mark(text if isinstance(text, str) and text.strip() else None, country_of(land) if isinstance(land, str) else None, points)
