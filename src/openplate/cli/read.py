"""`openplate read`: pictures in; a table, JSON or CSV on stdout and, where asked for, marked pictures in folders; errors and progress on stderr."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import click

from openplate.cli import INTERRUPTED
from openplate.cli.codes import country_codes
from openplate.errors import OpenPlateError
from openplate.types import MODELS, Frame, Image, PhotoResult, Plate


class PhotoReader(Protocol):
    """What this command needs of `openplate.pipeline.Pipeline`."""

    def read_frame(self, frame: Frame, decode_ms: float = 0.0) -> PhotoResult:
        """Find and read the plates of a frame."""

    def read_cropped(self, frame: Frame, decode_ms: float = 0.0) -> PhotoResult:
        """Read a frame that is a plate already."""


class Printer(Protocol):
    """Prints results one by one as they come."""

    def add(self, result: PhotoResult) -> None:
        """Print one photo's result."""

    def close(self) -> None:
        """Print what ends the output."""


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "form", flag_value="json", multiple=True, help="Print one JSON array, an object an image.")
@click.option("--jsonl", "form", flag_value="jsonl", multiple=True, help="Print a line of JSON an image, as soon as it is read.")
@click.option("--csv", "form", flag_value="csv", multiple=True, help="Print a CSV row a plate.")
@click.option(
    "--annotate", "annotate_dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Save pictures with the plates marked."
)
@click.option("--crops", "crops_dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Save each plate, straightened.")
@click.option(
    "--blur", "blur_dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Save pictures with the plates made unreadable."
)
@click.option("--cropped", is_flag=True, help="Each picture is a plate already: only read it.")
@click.option("--country", callback=country_codes, metavar="CODES", help="Countries to expect, e.g. ru,kz; others stay possible.")
@click.option("--only", callback=country_codes, metavar="CODES", help="Countries to allow, e.g. ru; no others are read.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="Below it a plate is unreadable.  [default: 0.5]")
@click.option("--engine", metavar="NAME", help="auto, openvino or onnxruntime.  [default: auto]")
@click.option("--device", metavar="NAME", help="cpu, cuda, gpu, ...  [default: cpu]")
@click.option("--precision", metavar="NAME", help="auto, fp32 or bf16.  [default: auto]")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the engine.  [default: 1]")
@click.option("--detector", type=click.Path(path_type=Path), help="Another detector (.onnx) instead of the shipped one.")
@click.option("--reader", type=click.Path(path_type=Path), help="Another reader (.onnx) instead of the shipped one.")
@click.option("--formats", multiple=True, type=click.Path(), help="A folder with further format files. Repeatable.")
@click.option("--model", type=click.Choice(MODELS), help="end-to-end: one network finds and reads; --detector is then its first file.")
@click.option("--all-detections", is_flag=True, help="Report faint and outsized detections too in which no text is seen.")
@click.pass_context
def read(
    ctx: click.Context,
    paths: tuple[str, ...],
    form: tuple[str, ...],
    annotate_dir: Path | None,
    crops_dir: Path | None,
    blur_dir: Path | None,
    cropped: bool,
    country: tuple[str, ...] | None,
    only: tuple[str, ...] | None,
    min_confidence: float | None,
    engine: str | None,
    device: str | None,
    precision: str | None,
    threads: int | None,
    detector: Path | None,
    reader: Path | None,
    formats: tuple[str, ...],
    model: str | None,
    all_detections: bool,
) -> None:
    """Find and read the number plates in PATHs: picture files, folders (with all below) and patterns such as 'in/*.jpg'.

    Example: openplate read photo.jpg street --country ru,kz --csv
    """
    from openplate.pipeline import Options, Pipeline
    from openplate.sources import expand, silence_codecs

    if len(set(form)) > 1:
        raise click.UsageError("--json, --jsonl and --csv exclude each other; give one of them")
    given: dict[str, Any] = {
        "country": country,
        "only": only,
        "min_confidence": min_confidence,
        "engine": engine,
        "device": device,
        "precision": precision,
        "threads": threads,
        "detector": detector,
        "reader": reader,
        "formats": formats,
        "model": model,
        "all_detections": all_detections or None,
    }
    silence_codecs()
    try:
        pipeline = Pipeline(Options(**{name: value for name, value in given.items() if value not in (None, ())}))
    except OpenPlateError as error:
        raise click.ClickException(str(error)) from None
    entries = list(expand(paths))
    pictures = Pictures(annotate_dir, crops_dir, blur_dir, inputs=[entry for entry in entries if isinstance(entry, Path)])
    ctx.exit(read_all(pipeline, entries, printer(form[0] if form else "table"), pictures, cropped=cropped))


def read_all(pipeline: PhotoReader, entries: Sequence[Path | OpenPlateError], output: Printer, pictures: Pictures, *, cropped: bool) -> int:
    """Read every entry, print and save what comes out, name each fault in one line on stderr; the exit code."""
    # Where results scroll by on the same terminal, they are the progress.
    bar = len(entries) > 1 and sys.stderr.isatty() and not sys.stdout.isatty()
    clear = "\r\033[K" if bar else ""
    code = done = 0

    def tell(fault: OpenPlateError) -> None:
        nonlocal code
        code = 1
        click.echo(f"{clear}error: {' '.join(str(fault).split())}", err=True)

    try:
        with click.progressbar(entries, file=sys.stderr, hidden=not bar) as shown:
            for entry in shown:
                try:
                    if isinstance(entry, OpenPlateError):
                        raise entry
                    frames, decode_ms, damage = _frames(entry)
                    if damage is not None:
                        tell(damage)
                    for frame in frames:
                        result = (pipeline.read_cropped if cropped else pipeline.read_frame)(frame, decode_ms)
                        try:
                            # Before it is printed: who reads stdout may have gone, and a result that was seen has its pictures.
                            pictures.save(frame, result.plates, len(frames))
                        finally:
                            output.add(result)
                except OpenPlateError as fault:
                    tell(fault)
                done += 1
    except KeyboardInterrupt:
        click.echo(f"{clear}stopped after {done} of {len(entries)}", err=True)
        code = INTERRUPTED
    output.close()
    return code


class Pictures:
    """Saves the pictures that were asked for, `NAME.annotated.jpg`, `NAME.plate1.png` and `NAME.blurred.jpg`.

    Equal names from different folders are told apart by a number, `NAME-2`, which all frames of a file share, and no input is written over.
    """

    def __init__(self, annotate_dir: Path | None, crops_dir: Path | None, blur_dir: Path | None, inputs: Sequence[Path] = ()) -> None:
        self._annotate_dir, self._crops_dir, self._blur_dir = annotate_dir, crops_dir, blur_dir
        self._wanted = any((annotate_dir, crops_dir, blur_dir))
        self._taken = self._stems_of(inputs) if self._wanted else set()
        self._next: dict[str, int] = {}
        self._name = ""

    def save(self, frame: Frame, plates: Sequence[Plate], frames: int = 1) -> None:
        """Save what was asked for of one frame; its file has `frames`, which come in their order.

        Raises:
            SourceError: a file cannot be written.
        """
        from openplate.annotate import annotate, blur_plates, cut_plate

        if not self._wanted:
            return
        outputs: list[tuple[Path, str, Callable[[], Image]]] = []
        if self._annotate_dir:
            outputs.append((self._annotate_dir, ".annotated.jpg", partial(annotate, frame.image, plates)))
        if self._blur_dir:
            outputs.append((self._blur_dir, ".blurred.jpg", partial(blur_plates, frame.image, plates)))
        if self._crops_dir:
            for i, plate in enumerate(plates):
                outputs.append((self._crops_dir, f".plate{i + 1}.png", partial(cut_plate, frame.image, plate)))
        self._write(frame, outputs, frames)

    def _write(self, frame: Frame, outputs: Sequence[tuple[Path, str, Callable[[], Image]]], frames: int) -> None:
        from openplate.sources import write_image

        if not frame.index:
            self._name = self._choose_name(Path(frame.source).stem, frames)
        for folder, suffix, draw in outputs:
            write_image(folder / (_stem(self._name, frame.index) + suffix), draw())

    def _choose_name(self, wanted: str, frames: int) -> str:
        """`wanted`, or with the least number that leaves the file of every frame free."""
        while True:
            number = self._next[wanted.lower()] = self._next.get(wanted.lower(), 0) + 1
            name = wanted if number == 1 else f"{wanted}-{number}"
            stems = {_stem(name, index).lower() for index in range(frames)}
            if stems.isdisjoint(self._taken):
                self._taken |= stems
                return name

    def _stems_of(self, inputs: Sequence[Path]) -> set[str]:
        """What inputs that lie where pictures are saved, and are called as these are, begin with."""
        kinds = ((self._annotate_dir, r"\.annotated\.jpg"), (self._crops_dir, r"\.plate\d+\.png"), (self._blur_dir, r"\.blurred\.jpg"))
        endings = [(str(folder.resolve()).lower(), re.compile(f"(.+){ending}")) for folder, ending in kinds if folder is not None]
        stems = set()
        for path in inputs:
            for place in (path.resolve(), path.parent.resolve() / path.name):  # a link and what it leads to
                for folder, ending in endings:
                    if str(place.parent).lower() == folder and (match := ending.fullmatch(place.name.lower())):
                        stems.add(match[1])
        return stems


class _Lines:
    """A line of text or more for each result, after a header."""

    def __init__(self, lines: Callable[[PhotoResult], Sequence[str]], header: str | None = None) -> None:
        self._lines, self._header = lines, header

    def add(self, result: PhotoResult) -> None:
        self.close()
        for line in self._lines(result):
            click.echo(line)
        sys.stdout.flush()

    def close(self) -> None:
        if self._header is not None:
            click.echo(self._header)
            self._header = None


class _JsonArray:
    """One JSON array, an object a line."""

    def __init__(self) -> None:
        self._opened = False

    def add(self, result: PhotoResult) -> None:
        click.echo((",\n" if self._opened else "[\n") + _json(result), nl=False)
        self._opened = True

    def close(self) -> None:
        click.echo("\n]" if self._opened else "[]")


def printer(form: str) -> Printer:
    """The printer of a form: `table`, `json`, `jsonl` or `csv`."""
    from openplate.results import CSV_HEADER, photo_as_csv, photo_as_table, table_header

    if form == "json":
        return _JsonArray()
    if form == "jsonl":
        return _Lines(lambda result: [_json(result)])
    if form == "csv":
        return _Lines(lambda result: [_csv_line(row) for row in photo_as_csv(result)], _csv_line(CSV_HEADER))
    return _Lines(photo_as_table, table_header())


def _frames(path: Path) -> tuple[list[Frame], float, OpenPlateError | None]:
    """A file's frames, the milliseconds that each took to decode, and what is wrong with a file that was decoded all the same."""
    from openplate.sources import overhear_decoder, read_image

    name = click.format_filename(path)
    start = time.perf_counter()
    with overhear_decoder() as heard:
        frames = read_image(path, name=name)
    return frames, (time.perf_counter() - start) * 1000 / len(frames), heard.damage(name)


def _json(result: PhotoResult) -> str:
    from openplate.results import photo_as_json

    return json.dumps(photo_as_json(result), ensure_ascii=False)


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _stem(name: str, index: int) -> str:
    return f"{name}.frame{index + 1}" if index else name
