"""`openplate formats`: the plate formats that are known, as a table or JSON on stdout."""

from __future__ import annotations

import json
import random
import unicodedata
from typing import Any

import click

from openplate.cli.codes import country_codes
from openplate.formats import Format, PlateType, load_formats, select

JSON_VERSION = 1


@click.command()
@click.option("--country", callback=country_codes, metavar="CODES", help="Only these countries, e.g. ru,kz.")
@click.option("--formats", "folders", multiple=True, type=click.Path(), help="A folder with further format files. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def formats(country: tuple[str, ...] | None, folders: tuple[str, ...], as_json: bool) -> None:
    """List plate formats: country, standard, and each type with an example, its lines and its size.

    Example: openplate formats --country ru,kz
    """
    chosen = load_formats(*folders)
    if country:
        chosen = select(chosen, country)
    if as_json:
        click.echo(json.dumps({"version": JSON_VERSION, "formats": [_as_json(f) for f in chosen]}, ensure_ascii=False, indent=2))
        return
    # At least as wide as most lists need, so that the columns of most countries stand alike.
    ids = max((14, *(len(t.id) + 2 for f in chosen for t in f.types)))
    examples = max((14, *(_places(example(t)) + 2 for f in chosen for t in f.types)))
    for entry in chosen:
        click.echo(f"{entry.code.lower():<7}{entry.name}" + (f" ({entry.standard})" if entry.standard else ""))
        for plate_type in entry.types:
            width_mm, height_mm = plate_type.size_mm
            lines = "1 line " if plate_type.lines == 1 else f"{plate_type.lines} lines"
            size = f"{width_mm:g}×{height_mm:g} mm"
            text = example(plate_type)
            text += " " * (examples - _places(text))
            click.echo(f"       {plate_type.id:<{ids}}{text}{lines}  {size:<13}{plate_type.title}".rstrip())


def example(plate_type: PlateType) -> str:
    """A text that the type's grammar allows, the same one each time."""
    return "".join(plate_type.sample(random.Random(plate_type.name)))


def _places(text: str) -> int:
    """How many places a terminal gives a text: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _as_json(entry: Format) -> dict[str, Any]:
    types = [
        {"id": t.id, "title": t.title, "example": example(t), "lines": t.lines, "size_mm": list(t.size_mm), "loose": t.loose} for t in entry.types
    ]
    return {"code": entry.code, "name": entry.name, "standard": entry.standard, "types": types}
