"""`openplate export CHECKPOINT`: a checkpoint as a self-describing `.onnx` file, and as an INT8 one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from openplate.errors import OpenPlateError, WeightsError


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path, dir_okay=False), metavar="CHECKPOINT|MODEL.onnx")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; default: the checkpoint's name with .onnx.")
@click.option(
    "--int8", is_flag=True, help="Readers, detectors, end-to-end networks: write NAME.int8.onnx too, calibrated, measured, and held to limits."
)
@click.option("--drawn", type=click.IntRange(min=1), help="--int8: drawn crops (scenes) that measure it. Default: 20000 (all but readers: 400).")
@click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="--int8: labelled data sets to measure on, none of --photos. Repeatable.",
)
@click.option(
    "--formats",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="--calibrate, --int8: folders with the further format files that training had. Repeatable.",
)
@click.option("--any-speed", is_flag=True, help="--int8: write the file though it is too slow here, for another processor.")
@click.option("--any-accuracy", is_flag=True, help="--int8: write the file though it reads worse than allowed, to measure it.")
@click.option(
    "--calibrate",
    is_flag=True,
    help="Readers, end-to-end networks: fit the confidence on drawn crops and held-out photos that training did not use, and store it.",
)
@click.option(
    "--photos",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Data sets: --calibrate uses their held-out fifth too, --int8 the other photos.",
)
@click.option("--ship", is_flag=True, help="Put the file among the package's weights, with its checksum and reference outputs.")
def export(
    checkpoint: Path,
    out: Path | None,
    int8: bool,
    drawn: int | None,
    data: tuple[Path, ...],
    formats: tuple[Path, ...],
    any_speed: bool,
    any_accuracy: bool,
    calibrate: bool,
    photos: tuple[Path, ...],
    ship: bool,
) -> None:
    """Write CHECKPOINT as .onnx and check it against PyTorch on both engines; a difference is an error.

    An end-to-end network becomes three files, NAME.onnx, NAME-straightener.onnx and NAME-reader.onnx, which belong together.

    With --int8 a second file has INT8 layers. It is measured first: where it reads worse than allowed, or is not as much faster as it has to be,
    nothing is written, unless --any-accuracy or --any-speed say so. Takes a MODEL.onnx too, of which only the INT8 file is written, or which --ship takes as it is.

    Example: openplate export runs/reader/best.pt --calibrate --int8 --data labelled
    """
    limits = {"drawn": drawn, "photos": photos, "data": data, "formats": formats, "any_speed": any_speed, "any_accuracy": any_accuracy}
    if ship and int8:
        raise click.UsageError("--ship is for the floating point file: run it without --int8; the INT8 file can be shipped when it is there")
    if photos and not (int8 or calibrate):
        raise click.UsageError("--photos belongs to --calibrate or --int8: name one of them, or leave it out")
    if int8 and photos and data:
        from openplate.dataset import load_dataset
        from openplate.export.int8 import check_apart

        check_apart(photos, [load_dataset(folder) for folder in data])  # now, and not when the confidence is fitted
    if checkpoint.suffix.lower() == ".onnx":
        if ship:
            if out or calibrate:
                raise click.UsageError("--ship puts an .onnx file among the weights as it is: leave --out and --calibrate out")
            from openplate.export.ship import ship_network

            click.echo(ship_network(checkpoint))
            return
        if not int8:
            raise click.UsageError(f"{checkpoint}: expected a checkpoint of openplate train; of an .onnx file only --int8 can be made, or --ship it")
        target = out or checkpoint.with_suffix(".int8.onnx")
        with _writable(target):
            if not calibrate:
                _write_int8(checkpoint, target, limits)
            else:
                with tempfile.TemporaryDirectory(dir=_made(target.parent)) as folder, _as_of(target.parent, folder):
                    quantised = Path(folder) / target.name
                    _write_int8(checkpoint, quantised, limits)
                    _calibrate(quantised, photos, formats)
                    _move(Path(folder), target.parent, [quantised])
        click.echo(target)
        return

    from openplate.export import export_checkpoint
    from openplate.export.end_to_end import export_end_to_end
    from openplate.export.ship import ship_network
    from openplate.train.checkpoint import load_checkpoint

    target = out or checkpoint.with_suffix(".onnx")
    kind = load_checkpoint(checkpoint)["kind"]
    if int8 and kind == "straightener":
        raise WeightsError(f"{checkpoint}: INT8 is for readers, detectors and end-to-end networks, this is a checkpoint of kind {kind!r}")
    write = export_end_to_end if kind == "end-to-end" else export_checkpoint
    with _writable(target), tempfile.TemporaryDirectory(dir=_made(target.parent)) as folder, _as_of(target.parent, folder):
        # Nothing appears before it is whole: calibrated, and where it is to become an INT8 file as well, when that holds its limits.
        written = Path(folder) / target.name
        quantised = written.with_suffix(".int8.onnx")
        for engine, difference in write(checkpoint, written).items():
            click.echo(f"{engine}: largest difference from PyTorch {difference:.2g}", err=True)
        if calibrate:
            _calibrate(written, photos, formats)
        elif kind in ("reader", "end-to-end"):
            click.echo("its confidences are as the network gives them: --calibrate makes probabilities of them", err=True)
        if int8:
            _write_int8(written, quantised, limits)
            if calibrate:
                _calibrate(quantised, photos, formats)
        _move(Path(folder), target.parent, [written, quantised])
    if ship:
        target = ship_network(target)
    click.echo(target)
    if int8:
        click.echo(target.with_suffix(".int8.onnx"))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _writable(target: Path) -> Iterator[None]:
    """While it holds, a fault of the disk where `target` is to lie becomes one line.

    Raises:
        click.ClickException: something could not be written.
    """
    try:
        yield
    except OSError as error:
        where = None if error.filename is None else Path(error.filename)
        if where and not (where.is_relative_to(target.parent) or target.is_relative_to(where)):
            raise
        reason = (error.strerror or str(error)).lower() + (f" ({where})" if where else "")
        raise click.ClickException(f"{target}: cannot be written: {reason}; make room, or name a place that can be written with --out") from None


@contextmanager
def _as_of(parent: Path, folder: str) -> Iterator[None]:
    """Errors speak of the place where files were to lie, not of the folder for what is unfinished.

    Raises:
        WeightsError: an error that named a file in that folder.
    """
    try:
        yield
    except OpenPlateError as error:
        if folder not in str(error):
            raise
        raise WeightsError(str(error).replace(folder, str(parent))) from None


def _move(folder: Path, to: Path, firsts: Sequence[Path]) -> None:
    """Put the files of a folder where they belong; `firsts`, the first files of networks, come last: who sees one finds the others."""
    for file in sorted(folder.iterdir(), key=lambda file: file in firsts):
        file.replace(to / file.name)


def _calibrate(path: Path, photos: tuple[Path, ...], formats: tuple[Path, ...]) -> None:
    from openplate.export.ship import calibrate_reader

    result = calibrate_reader(path, photos, formats=formats)
    click.echo(f"calibrated on {result.readings} readings: expected error {result.error_before:.4f} → {result.error_after:.4f}", err=True)


def _write_int8(source: Path, target: Path, given: Mapping[str, Any]) -> None:
    from openplate.dataset import load_dataset
    from openplate.export.int8 import Settings, export_int8

    settings = Settings(**{**given, "data": tuple(load_dataset(folder) for folder in given["data"])})
    export_int8(source, target, settings, lambda line: click.echo(line, err=True))
