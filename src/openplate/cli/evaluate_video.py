"""`openplate evaluate-video`: labelled clips in; a table or JSON on stdout, what went wrong and all talk on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from openplate.cli.codes import country_codes, split_codes
from openplate.clips import Clip, load_clips
from openplate.errors import OpenPlateError
from openplate.evaluate.video import FUSED_HEADINGS, VIDEO_HEADINGS, VideoReport, combine_reports, evaluate_clip, video_row
from openplate.pipeline import Options, Pipeline
from openplate.track.settings import DEFAULT_SETTINGS
from openplate.watch import PlateReader

JSON_VERSION = 1


@click.command("evaluate-video")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SOURCE...")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object instead of tables.")
@click.option("--equal", "alike", multiple=True, metavar="CHARS", help="Characters that count as one when texts are compared, e.g. O0. Repeatable.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N clips of each source.")
@click.option(
    "--country", callback=country_codes, metavar="CODES", help="Countries to expect in every clip, e.g. ru,kz. Default: what each clip's label says."
)
@click.option("--no-hint", is_flag=True, help="Expect no country, whatever the labels say.")
@click.option("--only", callback=country_codes, metavar="CODES", help="Countries to allow, e.g. ru; no others are read.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="Below it a sighting is unreadable.")
@click.option("--engine", metavar="NAME", help="auto, openvino or onnxruntime.")
@click.option("--device", metavar="NAME", help="cpu, cuda, ...")
@click.option("--precision", metavar="NAME", help="auto, fp32, bf16, ...")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the engine.")
@click.option("--detector", type=click.Path(path_type=Path), help="Another detector (.onnx) instead of the shipped one.")
@click.option("--reader", type=click.Path(path_type=Path), help="Another reader (.onnx) instead of the shipped one.")
@click.option("--formats", multiple=True, type=click.Path(), help="A folder with further format files. Repeatable.")
@click.pass_context
def evaluate_video(
    ctx: click.Context,
    sources: tuple[Path, ...],
    as_json: bool,
    alike: tuple[str, ...],
    limit: int | None,
    country: tuple[str, ...] | None,
    no_hint: bool,
    only: tuple[str, ...] | None,
    min_confidence: float | None,
    engine: str | None,
    device: str | None,
    precision: str | None,
    threads: int | None,
    detector: Path | None,
    reader: Path | None,
    formats: tuple[str, ...],
) -> None:
    """Measure how well the plates of labelled clips become sightings. SOURCE is a folder with labels.json, or a clip beside one.

    Example: openplate evaluate-video drawn --country ru
    """
    given = {
        "only": only,
        "engine": engine,
        "device": device,
        "precision": precision,
        "threads": threads,
        "detector": detector,
        "reader": reader,
        "formats": formats,
    }
    options = {name: value for name, value in given.items() if value not in (None, ())}
    settings = DEFAULT_SETTINGS if min_confidence is None else replace(DEFAULT_SETTINGS, min_confidence=min_confidence)
    pipelines: dict[tuple[str, ...], PlateReader] = {}
    reports: list[VideoReport] = []
    clips, faults = _load(sources, limit)
    for fault in faults:
        click.echo(f"error: {fault}", err=True)
    with click.progressbar(clips, label="clips", file=sys.stderr, show_pos=True) as bar:
        for clip in bar:
            hint = () if no_hint else split_codes(clip.country) if country is None else country
            try:
                if hint not in pipelines:
                    pipelines[hint] = open_reader(options | ({"country": hint} if hint else {}))
                reports.append(evaluate_clip(pipelines[hint], clip, settings, alike))
            except OpenPlateError as error:
                faults.append(str(error))
                click.echo(f"\nerror: {error}", err=True)
    for report in reports:
        for problem in report.problems:
            click.echo(f"error: {problem}", err=True)
    if reports:
        whole = combine_reports(reports)
        if as_json:
            parts = [report.as_json() for report in reports]
            click.echo(json.dumps({"version": JSON_VERSION, "clips": parts, "all": whole.as_json()}, ensure_ascii=False, indent=2))
        else:
            _print(reports, whole)
    if faults or any(report.problems for report in reports):
        ctx.exit(1)


def open_reader(options: dict[str, Any]) -> PlateReader:
    """The pipeline with the options that were given; all others keep their defaults.

    Raises:
        OpenPlateError: weights, engine, device, countries or formats are not there.
    """
    return Pipeline(Options(**options))


def _load(sources: Sequence[Path], limit: int | None) -> tuple[list[Clip], list[str]]:
    clips: list[Clip] = []
    faults: list[str] = []
    for source in sources:
        try:
            clips += load_clips(source)[:limit]
        except OpenPlateError as error:
            faults.append(str(error))
    return clips, faults


def _print(reports: Sequence[VideoReport], whole: VideoReport) -> None:
    shown = [*reports, *([whole] if len(reports) > 1 else [])]
    _table([list(VIDEO_HEADINGS), *(video_row(report) for report in shown)])
    groups = [(f"{g.name}, to be read", g) for g in whole.fused_groups(needed=True)] + [(g.name, g) for g in whole.fused_groups()]
    if groups:
        click.echo()
        rows = [list(FUSED_HEADINGS)]
        for name, g in groups:
            read = (g.plates, g.looks, g.first_wrong, g.clearest_wrong, g.best_wrong, g.fused_wrong)
            given = (g.given, g.given_clearest_wrong, g.given_best_wrong, g.given_wrong)
            rows.append([name, *("-" if n is None else str(n) for n in (*read, *given))])
        _table(rows)
    failures = [(report.name, one) for report in reports for one in report.judged if one.outcome != "right"]
    if failures:
        click.echo()
        rows = [["clip", "outcome", "plate", "text", "confidence", "frame", "why"]]
        for name, one in failures:
            confidence = "-" if one.confidence is None else f"{one.confidence:.3f}"
            frame = "-" if one.frame is None else str(one.frame)
            rows.append([name, one.outcome, one.truth or "-", one.text or "-", confidence, frame, one.reason or "-"])
        _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> None:
    """Columns side by side, the first flush left, the others flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip())
