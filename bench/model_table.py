"""Stored results of networks in, the tables of models in README.md and MODELS.md out; no number in them is typed.

A table stands between two comment lines, and the script replaces what is between them:

    <!-- models reader which -->
    <!-- /models -->

The first word is the kind of network (reader, detector), the second the table: `which` (one row a network: size, speed, all sets together),
`sets` (a column a data set) or `speed` (sizes, milliseconds and memory by engine and batch). Results are the files that `openplate evaluate --store`
and `openplate bench MODEL --store` write; sets whose name begins with "drawn" are drawn, all others are photos.

Example: python bench/model_table.py README.md MODELS.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from openplate.errors import OpenPlateError
from openplate.evaluate.metrics import Rate, rate
from openplate.evaluate.model_results import load_results
from openplate.weights import checksums

RESULTS = Path(__file__).parent / "results"
BLOCK = re.compile(r"^<!-- models (\w+) (\w+) -->\n(.*?)^<!-- /models -->$", re.MULTILINE | re.DOTALL)
DRAWN = "drawn"
BATCHES = (1, 8)
ENGINES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}
Results = dict[str, Any]
Row = list[str]


@click.command()
@click.argument("documents", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--results", "folder", default=RESULTS, show_default=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of stored results."
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a document does not say what the results say.")
def main(documents: tuple[Path, ...], folder: Path, check: bool) -> None:
    """Write the tables of models into DOCUMENTS.

    Example: python bench/model_table.py README.md MODELS.md
    """
    try:
        models = [load_results(path) for path in sorted(folder.glob("*.json"))]
    except OpenPlateError as error:
        raise click.ClickException(str(error)) from None
    if not models:
        raise click.ClickException(f"{folder}: expected results (*.json) as openplate evaluate --store writes them, found none")
    stale = False
    for document in documents:
        text = document.read_text(encoding="utf8")
        written = fill(text, models)
        if written == text:
            continue
        stale = True
        if check:
            click.echo(f"{document}: its tables are not what {folder} says; run python bench/model_table.py {document}", err=True)
        else:
            document.write_text(written, encoding="utf8")
            click.echo(document)
    sys.exit(1 if check and stale else 0)


def fill(text: str, models: Sequence[Results]) -> str:
    """A document with its tables made anew.

    Raises:
        click.ClickException: there is no place for a table, or no such table.
    """
    if not BLOCK.search(text):
        raise click.ClickException("expected a line such as <!-- models reader which --> and after it <!-- /models -->, found none")

    def made(match: re.Match[str]) -> str:
        kind, table = match.group(1), match.group(2)
        chosen = _ranked([m for m in models if m["network"]["kind"] == kind], kind)
        if table not in TABLES or not chosen:
            raise click.ClickException(f"<!-- models {kind} {table} -->: expected a kind with results, and one of {', '.join(TABLES)}")
        return f"<!-- models {kind} {table} -->\n{TABLES[table](chosen, kind)}\n<!-- /models -->"

    return BLOCK.sub(made, text)


def which_table(models: Sequence[Results], kind: str) -> str:
    """One row a network: what it costs, and what it does on all photos and on each drawn set."""
    drawn = [name for name in _set_names(models) if name.startswith(DRAWN)]
    photos = [name for name in _set_names(models) if not name.startswith(DRAWN)]
    measure = ("exact %", "CER %") if kind == "reader" else ("recall %", "matched %")
    batches = " / ".join(str(batch) for batch in BATCHES)
    heading = [kind, "weights", "parameters", "file", *(f"{name}, ms, batch {batches}" for name in ENGINES.values())]
    heading += [f"photos, {measure[0]}", f"photos, {measure[1]}", *(f"{name}, {measure[0]}" for name in drawn)]
    notes = any(m["network"]["note"] for m in models)
    rows = []
    for model in models:
        network = model["network"]
        row = [_name(model), network["weights"], _millions(network["parameters"]), _megabytes(network["bytes"])]
        row += [" / ".join(_fastest(model, engine, batch) for batch in BATCHES) for engine in ENGINES]
        row += [_rate(_first(model, photos, kind)), _second(model, photos, kind), *(_rate(_first(model, [name], kind)) for name in drawn)]
        rows.append([*row, *([network["note"]] if notes else [])])
    said = f"Photos: {', '.join(photos)}. " if photos else ""
    return (
        _markdown([*heading, *(["note"] if notes else [])], rows)
        + f"\n\n{said}In brackets the 95 % interval. {_how(models)} The fastest precision of each engine. {_read_with(models, kind)}"
    )


def sets_table(models: Sequence[Results], kind: str) -> str:
    """One row a network, one column a data set."""
    names = _set_names(models)
    what = "exact % (CER %)" if kind == "reader" else "recall % (mAP50-95)"
    rows = []
    for model in models:
        cells = []
        for name in names:
            first = _first(model, [name], kind)
            if first is None or first.share is None:
                cells.append("-")
            elif kind == "reader":
                cells.append(f"{100 * first.share:.1f} ({_second(model, [name], kind)})")
            else:
                value = model["sets"][name]["detection"]["map50_95"]
                cells.append(f"{100 * first.share:.1f} ({'-' if value is None else f'{value:.3f}'})")
        rows.append([_name(model), model["network"]["weights"], *cells])
    plates = [next(str(m["sets"][name]["plates"]) for m in models if name in m["sets"]) for name in names]
    return (
        _markdown([kind, "weights", *(f"{name}, {count} plates" for name, count in zip(names, plates, strict=True))], rows)
        + f"\n\nEach cell: {what}. {_read_with(models, kind)}"
    )


def speed_table(models: Sequence[Results], kind: str) -> str:
    """One row a network and batch: sizes, and milliseconds an image by engine and precision."""
    runs = sorted(
        {(s["engine"]["name"], s["engine"]["precision"]) for m in models for s in _speeds(m)}, key=lambda run: (list(ENGINES).index(run[0]), run[1])
    )
    rows = []
    for model in models:
        for batch in sorted({s["batch"] for s in _speeds(model)}):
            cells = []
            for run in runs:
                found = [s for s in _speeds(model) if s["batch"] == batch and (s["engine"]["name"], s["engine"]["precision"]) == run]
                cells.append(_time(found[0]) if found else "-")
            network = model["network"]
            rows.append(
                [
                    _name(model),
                    network["weights"],
                    _millions(network["parameters"]),
                    _millions(network["macs"]),
                    _megabytes(network["bytes"]),
                    str(batch),
                    *cells,
                ]
            )
    heading = [kind, "weights", "parameters", "multiply-adds", "file", "batch", *(f"{ENGINES[name]} {precision}" for name, precision in runs)]
    said = "Milliseconds an image: median (95th percentile), and the peak memory of the process."
    return _markdown(heading, rows) + f"\n\n{said} {_how(models)}"


TABLES = {"which": which_table, "sets": sets_table, "speed": speed_table}


def _ranked(models: Sequence[Results], kind: str) -> list[Results]:
    """Shipped networks first, then by what is right on all photos; those that were not measured on all of them last."""
    photos = [name for name in _set_names(models) if not name.startswith(DRAWN)]

    def key(model: Results) -> tuple[bool, float, str]:
        found = _first(model, photos, kind)
        return not _shipped(model), -(found.share if found and found.share is not None else -1.0), model["network"]["name"]

    return sorted(models, key=key)


def _shipped(model: Results) -> bool:
    return model["network"]["sha256"] in checksums().values()


def _name(model: Results) -> str:
    return f"**{model['network']['name']}** (shipped)" if _shipped(model) else str(model["network"]["name"])


def _set_names(models: Sequence[Results]) -> list[str]:
    """Every set that a network was measured on, photos first."""
    return sorted(dict.fromkeys(name for model in models for name in model["sets"]), key=lambda name: name.startswith(DRAWN))


def _parts(model: Results, names: Iterable[str], part: str) -> list[dict[str, Any]] | None:
    """What was measured on the sets; None when one of them is missing, so that no sum is over fewer plates than another's."""
    found = [model["sets"].get(name, {}).get(part) for name in names]
    return None if not found or any(one is None for one in found) else [one for one in found if one is not None]


def _first(model: Results, names: Sequence[str], kind: str) -> Rate | None:
    """Exact texts of a reader, labels found by a detector, over some sets together."""
    parts = _parts(model, names, "reading" if kind == "reader" else "detection")
    key = "exact" if kind == "reader" else "recall"
    return None if parts is None else rate(sum(one[key]["right"] for one in parts), sum(one[key]["total"] for one in parts))


def _second(model: Results, names: Sequence[str], kind: str) -> str:
    """The CER of a reader, the share of a detector's detections that find a label."""
    parts = _parts(model, names, "reading" if kind == "reader" else "detection")
    if parts is None:
        return "-"
    if kind != "reader":
        return _rate(rate(sum(one["matched"]["right"] for one in parts), sum(one["matched"]["total"] for one in parts)))
    if any(one["characters"] is None for one in parts):
        return "-"
    characters = sum(one["characters"]["total"] for one in parts)
    return f"{100 * sum(one['cer'] * one['characters']['total'] for one in parts) / characters:.2f}" if characters else "-"


def _speeds(model: Results) -> list[dict[str, Any]]:
    """The times with one thread on a CPU."""
    return [s for s in model["speeds"] if s["engine"]["threads"] == 1 and s["engine"]["device"] == "cpu"]


def _fastest(model: Results, engine: str, batch: int) -> str:
    times = [s["image_ms"]["median"] for s in _speeds(model) if s["engine"]["name"] == engine and s["batch"] == batch]
    return f"{min(times):.2f}" if times else "-"


def _time(speed: dict[str, Any]) -> str:
    memory = "" if speed["peak_memory_mb"] is None else f", {speed['peak_memory_mb']:.0f} MB"
    return f"{speed['image_ms']['median']:.2f} ({speed['image_ms']['p95']:.2f}){memory}"


def _how(models: Sequence[Results]) -> str:
    speeds = [s for model in models for s in _speeds(model)]
    if not speeds:
        return ""
    cpus = sorted({s["cpu"] for s in speeds})
    engines = sorted({f"{ENGINES[s['engine']['name']]} {s['engine']['version']}" for s in speeds})
    return f"Times: one thread on {', '.join(cpus)}; {', '.join(engines)}."


def _read_with(models: Sequence[Results], kind: str) -> str:
    """In which engine and precision the sets were measured."""
    part = "reading" if kind == "reader" else "detection"
    found: dict[str, set[str]] = {}
    for model in models:
        for measured in model["sets"].values():
            if part in measured:
                engine = measured[part]["engine"]
                found.setdefault(model["network"]["weights"], set()).add(f"{ENGINES[engine['name']]} {engine['precision']}")
    said = "; ".join(f"{', '.join(sorted(how))} ({weights})" for weights, how in sorted(found.items()))
    return f"Sets measured in {said}." if said else ""


def _rate(found: Rate | None) -> str:
    if found is None or found.share is None or found.low is None or found.high is None:
        return "-"
    return f"{100 * found.share:.1f} ({100 * found.low:.1f}-{100 * found.high:.1f})"


def _millions(number: int) -> str:
    return f"{number / 1e9:.2f} G" if number >= 1e9 else f"{number / 1e6:.2f} M"


def _megabytes(number: int) -> str:
    return f"{number / 1e6:.1f} MB"


def _markdown(heading: Sequence[str], rows: Iterable[Row]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
