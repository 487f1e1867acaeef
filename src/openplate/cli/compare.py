"""`openplate compare A B`: two networks and labelled data sets in; who has which plate right as a table or JSON, changed plates pictured in a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import click

from openplate.cli.codes import country_codes
from openplate.cli.evaluate import each_dataset, make_room, open_pipeline, print_table, tell_unknown, write_page
from openplate.dataset import Dataset
from openplate.engine import open_network
from openplate.evaluate.compare import PairedReport, combine_pairs, pair_reports
from openplate.evaluate.compare_page import COMPARISON_HEADINGS, comparison_page, comparison_row
from openplate.evaluate.run import evaluate as measure
from openplate.evaluate.summary import Part
from openplate.weights import network_path

JSON_VERSION = 1
SHIPPED = "shipped"


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.argument("datasets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DATASET...")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object instead of a table.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write a page (HTML) with every changed plate pictured.")
@click.option("--part", type=click.Choice(["reader", "detector", "all"]), help="What to measure. Default: what A and B are.")
@click.option("--equal", "alike", multiple=True, metavar="CHARS", help="Characters that count as one when texts are compared, e.g. O0. Repeatable.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N images of each data set.")
@click.option("--country", callback=country_codes, metavar="CODES", help="Countries to expect, e.g. ru,kz; others stay possible.")
@click.option("--only", callback=country_codes, metavar="CODES", help="Countries to allow, e.g. ru; no others are read.")
@click.option("--engine", "engines", multiple=True, metavar="NAME", help="auto, openvino or onnxruntime. Given twice: of A, then of B.")
@click.option("--precision", "precisions", multiple=True, metavar="NAME", help="auto, fp32, bf16, ... Given twice: of A, then of B.")
@click.option("--device", metavar="NAME", help="cpu, cuda, ...")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the engine.")
@click.option("--formats", multiple=True, type=click.Path(), help="A folder with further format files. Repeatable.")
@click.pass_context
def compare(
    ctx: click.Context,
    a: str,
    b: str,
    datasets: tuple[Path, ...],
    as_json: bool,
    report: Path | None,
    part: str | None,
    alike: tuple[str, ...],
    limit: int | None,
    country: tuple[str, ...] | None,
    only: tuple[str, ...] | None,
    engines: tuple[str, ...],
    precisions: tuple[str, ...],
    device: str | None,
    threads: int | None,
    formats: tuple[str, ...],
) -> None:
    """Measure the networks A and B (.onnx; two readers, or two detectors) on the same labelled DATASETs: which plates B fixes, which it breaks.

    A or B may be the word "shipped": the network of the same kind in the package.

    Example: openplate compare shipped runs/reader/best.onnx DATASET --report compared.html
    """
    kind, paths = _resolve(a, b)
    if report:
        make_room(report)
    shared = {"country": country, "only": only, "device": device, "threads": threads, "formats": formats}
    options = [
        {**shared, kind: path, "engine": _of(engines, i, "--engine"), "precision": _of(precisions, i, "--precision")} for i, path in enumerate(paths)
    ]
    wanted = cast(Part, part or kind)
    pipelines = [open_pipeline({name: value for name, value in one.items() if value not in (None, ())}) for one in options]

    def look(dataset: Dataset) -> PairedReport:
        charsets = [pipeline.decoder.charset for pipeline in pipelines]
        same = charsets[0].characters == charsets[1].characters
        for who, charset in [("either reader", charsets[0])] if same else zip("AB", charsets, strict=True):
            tell_unknown(dataset, charset, wanted, alike, who)
        return pair_reports(*(measure(pipeline, dataset, part=wanted, alike=alike) for pipeline in pipelines))

    reports, ok = each_dataset(datasets, limit, False, look)
    if reports:
        whole = combine_pairs(reports)
        if as_json:
            total = {key: value for key, value in whole.as_json().items() if key not in ("changes", "problems")}
            sets = [one.as_json() for one in reports]
            click.echo(json.dumps({"version": JSON_VERSION, "a": a, "b": b, "kind": kind, "sets": sets, "all": total}, ensure_ascii=False, indent=2))
        else:
            shown = [*reports, *([whole] if len(reports) > 1 else [])]
            print_table([list(COMPARISON_HEADINGS), *(comparison_row(one.name, row) for one in shown for row in one.comparisons())])
        if any(row.task == "reader" and row.cer_a is None for row in whole.comparisons()):
            click.echo("CER needs the package rapidfuzz: pip install 'openplate[evaluate]'", err=True)
        if report is not None:
            settings = ", ".join([f"part {wanted}", *(f"{group} taken as one" for group in alike)])
            write_page(report, comparison_page(reports, whole, a, b, settings))
    if not ok:
        ctx.exit(1)


def _resolve(a: str, b: str) -> tuple[str, list[Path]]:
    """What both networks are ("reader" or "detector"), and their files."""
    if a == b == SHIPPED:
        raise click.UsageError("expected at least one network (.onnx) beside the shipped one")
    kinds = [None if name == SHIPPED else open_network(Path(name)).metadata.get("openplate.kind", "detector") for name in (a, b)]
    known = [kind for kind in kinds if kind is not None]
    if len(set(known)) > 1 or known[0] not in ("reader", "detector"):
        raise click.UsageError(f"expected two readers or two detectors, got {' and '.join(known)}")
    return known[0], [network_path(known[0]) if name == SHIPPED else Path(name) for name in (a, b)]


def _of(given: tuple[str, ...], index: int, option: str) -> str | None:
    """What an option that may be given once (for both) or twice says for A (0) or B (1)."""
    if len(given) > 2:
        raise click.UsageError(f"{option} may be given once, or twice for A and B, got {len(given)} times")
    return given[min(index, len(given) - 1)] if given else None
