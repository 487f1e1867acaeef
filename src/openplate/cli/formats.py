"""`openplate formats`: the plate formats that are known, as a table or JSON on stdout."""

from __future__ import annotations

import json
import random
from typing import Any

import click

from openplate.formats import Format, PlateType, load_formats, select

JSON_VERSION = 1


@click.command()
@click.option("--country", default="", metavar="CODES", help="Only these countries, e.g. ru,kz.")
@click.option("--formats", "folders", multiple=True, type=click.Path(), help="A folder with further format files. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def formats(country: str, folders: tuple[str, ...], as_json: bool) -> None:
    """List plate formats: country, standard, and each type with an example, its lines and its size."""
    chosen = load_formats(*folders)
    codes = [code.strip() for code in country.split(",") if code.strip()]
    if codes:
        chosen = select(chosen, codes)
    if as_json:
        click.echo(json.dumps({"version": JSON_VERSION, "formats": [_as_json(f) for f in chosen]}, ensure_ascii=False, indent=2))
        return
    for entry in chosen:
        click.echo(f"{entry.code.lower():<7}{entry.name}" + (f" ({entry.standard})" if entry.standard else ""))
        for plate_type in entry.types:
            width_mm, height_mm = plate_type.size_mm
            lines = "1 line " if plate_type.lines == 1 else f"{plate_type.lines} lines"
            size = f"{width_mm:g}×{height_mm:g} mm"
            click.echo(f"       {plate_type.id:<14}{example(plate_type):<14}{lines}  {size:<13}{plate_type.title}".rstrip())


def example(plate_type: PlateType) -> str:
    """A text that the type's grammar allows, the same one each time."""
    return "".join(plate_type.sample(random.Random(plate_type.name)))


def _as_json(entry: Format) -> dict[str, Any]:
    types = [
        {"id": t.id, "title": t.title, "example": example(t), "lines": t.lines, "size_mm": list(t.size_mm), "loose": t.loose} for t in entry.types
    ]
    return {"code": entry.code, "name": entry.name, "standard": entry.standard, "types": types}
