"""A photo's result as JSON, CSV rows or a table's rows; docs/results.md describes each key, and the command line and the API share it."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from typing import Any

from openplate.types import PhotoResult, Plate

RESULT_VERSION = 1
"""Grows when a key is renamed, removed or changes its meaning; new keys do not change it."""

CSV_HEADER = (
    "image", "status", "text", "confidence", "country", "format", "lines", "detection_confidence",
    "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "reason", "country_confidence",
)  # fmt: skip
_STEERING = ("Cc", "Zl", "Zp")
"""Unicode's categories of control characters and of what ends a line or a paragraph."""
_TABLE = (("TEXT", 12), ("CONFIDENCE", 10), ("COUNTRY", 7), ("FORMAT", 16), ("IMAGE", 0))


def photo_as_json(result: PhotoResult) -> dict[str, Any]:
    """One photo's result as a JSON object."""
    times = result.milliseconds
    return {
        "version": RESULT_VERSION,
        "image": result.source,
        "width": result.width,
        "height": result.height,
        "plates": [_plate_as_json(plate) for plate in result.plates],
        "engine": result.engine.as_json(),
        "milliseconds": {name: round(getattr(times, name), 2) for name in ("decode", "detect", "rectify", "read")},
    }


def photo_as_csv(result: PhotoResult) -> list[list[str]]:
    """One row a plate, in the order of `CSV_HEADER`; an image without plates has none."""
    rows = []
    for plate in result.plates:
        entry = _plate_as_json(plate)
        entry |= {f"{axis}{i + 1}": corner[j] for i, corner in enumerate(entry["quad"]) for j, axis in enumerate("xy")}
        entry["image"] = result.source
        rows.append(["" if entry[name] is None else str(entry[name]) for name in CSV_HEADER])
    return rows


def table_header() -> str:
    """The table's first line."""
    return _table_line(name for name, _ in _TABLE)


def photo_as_table(result: PhotoResult) -> list[str]:
    """One line a plate, or one that says that there is none; the columns are those of `table_header`."""
    lines = []
    source = _on_one_line(result.source)
    for plate in result.plates:
        reading = plate.reading
        image = source if plate.status == "read" else f"{source}  ({plate.reason or 'unreadable'})"
        text = plate.text or (f"{reading.text}?" if reading.text else "?")
        lines.append(
            _table_line((text, f"{shown_confidence(reading.confidence, 1000) * 100:.1f} %", reading.country or "-", reading.format or "-", image))
        )
    return lines or [_table_line(("-", "-", "-", "-", f"{source}  (no plate found)"))]


def _plate_as_json(plate: Plate) -> dict[str, Any]:
    reading = plate.reading
    return {
        "status": plate.status,
        "text": plate.text,
        "confidence": shown_confidence(reading.confidence),
        "characters": [{"text": c.text, "confidence": shown_confidence(c.confidence)} for c in reading.characters],
        "candidates": [{"text": c.text, "confidence": shown_confidence(c.confidence), "format": c.format} for c in reading.candidates],
        "country": reading.country,
        "format": reading.format,
        "country_confidence": shown_if_known(reading.country_confidence),
        "format_confidence": shown_if_known(reading.format_confidence),
        "lines": reading.lines,
        "quad": [[round(float(x), 2), round(float(y), 2)] for x, y in plate.detection.quad],
        "detection_confidence": shown_confidence(plate.detection.confidence),
        "reason": plate.reason,
    }


def shown_confidence(confidence: float, scale: int = 10_000) -> float:
    """Cut to four digits, never rounded up: what is printed as 0.99 is at least 0.99."""
    return math.floor(round(float(confidence) * scale, 6)) / scale


def shown_if_known(confidence: float | None) -> float | None:
    """As `shown_confidence`; None for None."""
    return None if confidence is None else shown_confidence(confidence)


def _on_one_line(name: str) -> str:
    r"""A name with what ends a line or steers a terminal written out, as \n and \x1b."""
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in _STEERING else c for c in name)


def _table_line(cells: Iterator[str] | tuple[str, ...]) -> str:
    return "  ".join(_pad(cell, width) for cell, (_, width) in zip(cells, _TABLE, strict=True)).rstrip()


def _pad(cell: str, width: int) -> str:
    """Filled up with spaces to a width in a terminal, where a Chinese character takes two places."""
    return cell + " " * (width - sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in cell))
