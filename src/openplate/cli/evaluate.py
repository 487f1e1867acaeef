"""`openplate evaluate`: labelled data sets in; a table or JSON on stdout, a report page with failures pictured, talk on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import click

from openplate.charset import Charset, normalise
from openplate.cli.codes import country_codes
from openplate.dataset import Dataset, distinct_names, load_dataset
from openplate.errors import DatasetError
from openplate.evaluate.false_alarms import FalseAlarms, combine_false_alarms, count_false_alarms
from openplate.evaluate.page import rate_text
from openplate.evaluate.report import SUMMARY_HEADINGS, evaluation_page, false_alarm_page, summary_row
from openplate.evaluate.run import Recogniser
from openplate.evaluate.run import evaluate as measure
from openplate.evaluate.summary import Part, Report, combine
from openplate.pipeline import Options, Pipeline
from openplate.types import MODELS
from openplate.weights import network_path

JSON_VERSION = 1
_SHOWN = 20
"""Unknown characters that are named."""


class Measured(Protocol):
    """What was measured of one data set; `problems` names images that could not be measured."""

    @property
    def problems(self) -> tuple[str, ...]: ...


R = TypeVar("R", Report, FalseAlarms)
M = TypeVar("M", bound=Measured)


@click.command()
@click.argument("datasets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DATASET...")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object instead of a table.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Write a page (HTML) with the failures pictured, the first 200 of each kind."
)
@click.option("--part", type=click.Choice(["reader", "detector", "all"]), default="all", show_default=True, help="What to measure.")
@click.option("--false-alarms", is_flag=True, help="Paint every labelled plate over and count the texts that are still read.")
@click.option(
    "--confusions", type=click.Path(file_okay=False, path_type=Path), help="Folder to write the reader's confusion matrix to (CSV and PNG)."
)
@click.option("--store", type=click.Path(dir_okay=False, path_type=Path), help="Add the numbers to this file (JSON) of one network's results.")
@click.option("--name", default="", help="With --store: what tables call the network. Default: the file's name.")
@click.option("--note", default="", help="With --store: what tables say of it.")
@click.option("--equal", "alike", multiple=True, metavar="CHARS", help="Characters that count as one when texts are compared, e.g. O0. Repeatable.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N images of each data set.")
@click.option("--held-out", is_flag=True, help="Only every fifth image: those that training on this data set leaves out.")
@click.option("--country", callback=country_codes, metavar="CODES", help="Countries to expect, e.g. ru,kz; others stay possible.")
@click.option("--only", callback=country_codes, metavar="CODES", help="Countries to allow, e.g. ru; no others are read.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="Below it a plate is unreadable.  [default: 0.5]")
@click.option("--engine", metavar="NAME", help="auto, openvino or onnxruntime.  [default: auto]")
@click.option("--device", metavar="NAME", help="cpu, cuda, ...  [default: cpu]")
@click.option("--precision", metavar="NAME", help="auto, fp32, bf16, ...  [default: auto]")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the engine.  [default: 1]")
@click.option("--detector", type=click.Path(path_type=Path), help="Another detector (.onnx) instead of the shipped one.")
@click.option("--reader", type=click.Path(path_type=Path), help="Another reader (.onnx) instead of the shipped one.")
@click.option("--model", type=click.Choice(MODELS), help="end-to-end: one network finds and reads; --detector is then its first file.")
@click.option("--formats", multiple=True, type=click.Path(), help="A folder with further format files. Repeatable.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    datasets: tuple[Path, ...],
    as_json: bool,
    report: Path | None,
    part: str,
    false_alarms: bool,
    confusions: Path | None,
    store: Path | None,
    name: str,
    note: str,
    alike: tuple[str, ...],
    limit: int | None,
    held_out: bool,
    country: tuple[str, ...] | None,
    only: tuple[str, ...] | None,
    min_confidence: float | None,
    engine: str | None,
    device: str | None,
    precision: str | None,
    threads: int | None,
    detector: Path | None,
    reader: Path | None,
    model: str | None,
    formats: tuple[str, ...],
) -> None:
    """Measure how well plates are found and read in labelled DATASETs (folders with labels.jsonl, see docs/datasets.md).

    Example: openplate evaluate DATASET --report report.html --confusions out
    """
    facts = None
    # What can go wrong before the measuring, which takes minutes, goes wrong at once.
    if store:
        if model == MODELS[1]:
            raise click.UsageError(f"--store keeps results of one file, and this network has three: leave out --model {model}")
        network = _stored_network(part, false_alarms, bool(limit) or held_out, detector, reader)
        from openplate.evaluate.model_results import results_of, store_results
        from openplate.export.size import network_facts

        facts = network_facts(network, name, note)
        results_of(store, facts)
    if confusions and (false_alarms or part == "detector"):
        raise click.UsageError("--confusions are the reader's: leave out --false-alarms, and take --part reader or all")
    if false_alarms and part != "all":
        raise click.UsageError(f"--false-alarms counts what all networks together read: leave out --part {part}")
    if report:
        make_room(report)
    if confusions:
        from openplate.evaluate.confusions import write_confusions
    given = {
        "country": country,
        "only": only,
        "min_confidence": min_confidence,
        "engine": engine,
        "device": device,
        "precision": precision,
        "threads": threads,
        "detector": detector,
        "reader": reader,
        "model": model,
        "formats": formats,
    }
    options = {name: value for name, value in given.items() if value not in (None, ())}
    settings = ", ".join(
        [
            *(["every fifth image alone"] if held_out else []),
            "labelled plates painted over" if false_alarms else f"part {part}",
            *(f"{n} {_without_folders(n, v)}" for n, v in options.items()),
            *(f"{group} taken as one" for group in alike),
        ]
    )
    pipeline = open_pipeline(options)
    if false_alarms:
        counts, ok = each_dataset(datasets, limit, held_out, lambda dataset: count_false_alarms(pipeline, dataset))
        whole_count = combine_false_alarms(counts) if counts else None
        _put_out(counts, whole_count, as_json, report, _print_false_alarms, lambda one, whole: false_alarm_page(one, whole, settings))
    else:

        def look(dataset: Dataset) -> Report:
            tell_unknown(dataset, pipeline.decoder.charset, part, alike)
            return measure(pipeline, dataset, part=cast(Part, part), alike=alike)

        reports, ok = each_dataset(datasets, limit, held_out, look)
        whole_report = combine(reports) if reports else None
        _put_out(reports, whole_report, as_json, report, _print_reports, lambda one, whole: evaluation_page(one, whole, settings))
        reading = whole_report.summary().reading if whole_report else None
        if reading is not None and reading.characters is None:
            click.echo("CER and confusions need the package rapidfuzz: pip install 'openplate[evaluate]'", err=True)
        if confusions and reading is not None and reading.characters is not None:
            for path in write_confusions(reading.characters, confusions, "label and read"):
                click.echo(f"confusions: {path}", err=True)
        if store and facts and reports:
            store_results(store, facts, reports=reports, settings=settings)
            click.echo(f"stored: {store}", err=True)
    if not ok:
        ctx.exit(1)


def tell_unknown(dataset: Dataset, charset: Charset, part: str, alike: Sequence[str] = (), who: str = "the reader") -> None:
    """Say on stderr what a reader cannot get right: labels with characters that it has no class for, nor for one that counts as the same (`alike`).

    Raises:
        DatasetError: the reader is to be measured, and no label has a text.
    """
    if part == "detector":
        return
    texts = [normalise(plate.text) for image in dataset.images for plate in image.plates if plate.text]
    if not texts and part == "reader":
        raise DatasetError(f"{dataset.name}: expected labels with a text, got none: of the reader nothing can be measured")
    unknown = sorted(
        character
        for character in set("".join(texts))
        if not any(charset.covers(same) for same in {character, *(mate for group in alike if character in group for mate in group)})
    )
    outside = [text for text in texts if not set(text).isdisjoint(unknown)]
    if outside:
        shown = " ".join(unknown[:_SHOWN]) + (" …" if len(unknown) > _SHOWN else "")
        click.echo(
            f"{dataset.name}: {len(outside)} of {len(texts)} labelled texts have characters that {who} does not know ({shown}): they count as wrong. "
            "A reader of these: see docs/new-country.md",
            err=True,
        )


def _without_folders(name: str, value: object) -> object:
    """An option's value as results name it: they are passed on, and where files lie on a computer is not."""
    if name == "formats":
        return tuple(Path(folder).name for folder in cast(tuple[str, ...], value))
    return value.name if isinstance(value, Path) else value


def open_pipeline(options: dict[str, Any]) -> Recogniser:
    """The pipeline with the options that were given; all others keep their defaults.

    Raises:
        OpenPlateError: weights, engine, device, countries or formats are not there.

    """
    return Pipeline(Options(**options))


def each_dataset(folders: Sequence[Path], limit: int | None, held_out: bool, look: Callable[[Dataset], M]) -> tuple[list[M], bool]:
    """What `look` makes of each data set, and whether all could be measured whole; a fault is one line on stderr."""
    done: list[M] = []
    ok = True
    for folder, name in zip(folders, distinct_names(folders), strict=True):
        try:
            dataset = replace(load_dataset(folder), name=name)
        except DatasetError as error:
            click.echo(f"error: {error}", err=True)
            ok = False
            continue
        dataset = dataset.part(held_out=True) if held_out else dataset
        try:
            one = look(dataset.first(limit) if limit else dataset)
        except DatasetError as error:
            click.echo(f"error: {error}", err=True)
            ok = False
            continue
        for problem in one.problems:
            click.echo(f"error: {problem}", err=True)
        ok = ok and not one.problems
        done.append(one)
    return done, ok


def make_room(path: Path) -> None:
    """Make the folder of a report that is still to be measured.

    Raises:
        click.ClickException: there can be no such folder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_report(path, error) from None


def write_page(path: Path, page: str) -> None:
    """Write a report.

    Raises:
        click.ClickException: the file cannot be written.
    """
    try:
        path.write_text(page, encoding="utf8")
    except OSError as error:
        raise _no_report(path, error) from None
    click.echo(f"report: {path}", err=True)


def _no_report(path: Path, error: OSError) -> click.ClickException:
    reason = (error.strerror or str(error)).lower()
    return click.ClickException(f"{path}: cannot write the report: {reason}; give the path of a file that can be made")


def _stored_network(part: str, false_alarms: bool, cut: bool, detector: Path | None, reader: Path | None) -> Path:
    """The one network that stored results speak of."""
    if false_alarms or cut:
        raise click.UsageError("--store keeps results of whole data sets: leave out --false-alarms, --limit and --held-out")
    if detector and reader:
        raise click.UsageError("--store keeps results of one network: give --detector or --reader, not both")
    network = detector or reader
    if network and part not in ("all", "detector" if detector else "reader"):
        raise click.UsageError(f"--store: part {part} does not measure {network}")
    if network:
        return network
    if part == "all":
        raise click.UsageError("--store keeps results of one network: say which with --reader, --detector or --part")
    return network_path(part)


def _put_out(
    done: Sequence[R],
    whole: R | None,
    as_json: bool,
    report: Path | None,
    show: Callable[[Sequence[R], R], None],
    page: Callable[[Sequence[R], R], str],
) -> None:
    if whole is None:
        return
    if as_json:
        sets = [one.as_json() for one in done]
        total = {key: value for key, value in whole.as_json().items() if key not in ("failures", "problems")}
        click.echo(json.dumps({"version": JSON_VERSION, "sets": sets, "all": total}, ensure_ascii=False, indent=2))
    else:
        show(done, whole)
    if report is not None:
        write_page(report, page(done, whole))


def _print_reports(reports: Sequence[Report], whole: Report) -> None:
    shown = [*reports, *([whole] if len(reports) > 1 else [])]
    print_table([list(SUMMARY_HEADINGS), *(summary_row(report.name, report.summary()) for report in shown)])
    summary = whole.summary()
    for heading, groups in (("country", summary.by_country), ("height, px", summary.by_height_px)):
        rows = [
            [g.name, str(g.plates), rate_text(g.exact), rate_text(g.found), rate_text(g.reading_exact), rate_text(g.country)]
            for g in groups
            if g.plates
        ]
        click.echo()
        print_table([[heading, "plates", "end to end %", "recall %", "reader %", "country %"], *rows])


def _print_false_alarms(counts: Sequence[FalseAlarms], whole: FalseAlarms) -> None:
    rows = [["set", "photos", "confident readings", "in 100 photos", "photos with one, %"]]
    for one in (*counts, *([whole] if len(counts) > 1 else [])):
        per_100 = "-" if one.per_100_photos is None else f"{one.per_100_photos:.1f}"
        rows.append([one.name, str(len(one.photos)), str(one.alarms), per_100, rate_text(one.photos_with_alarm)])
    print_table(rows)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns side by side, the first flush left, the others flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip())
