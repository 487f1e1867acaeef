"""`openplate export CHECKPOINT`: a checkpoint as a self-describing `.onnx` file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; default: the checkpoint's name with .onnx.")
@click.option(
    "--calibrate", is_flag=True, help="Readers: fit the confidence on drawn crops and held-out photos that training did not use, and store it."
)
@click.option(
    "--photos", multiple=True, type=click.Path(path_type=Path, file_okay=False), help="Data sets whose held-out fifth the calibration uses too."
)
@click.option("--ship", is_flag=True, help="Put the file among the package's weights, with its checksum and reference outputs.")
def export(checkpoint: Path, out: Path | None, calibrate: bool, photos: tuple[Path, ...], ship: bool) -> None:
    """Write CHECKPOINT as .onnx and check it against PyTorch on both engines; a difference is an error.

    Example: openplate export runs/reader/best.pt --calibrate --ship
    """
    from openplate.export import export_checkpoint
    from openplate.export.ship import calibrate_reader, ship_network

    target = out or checkpoint.with_suffix(".onnx")
    for engine, difference in export_checkpoint(checkpoint, target).items():
        click.echo(f"{engine}: largest difference from PyTorch {difference:.2g}", err=True)
    if calibrate:
        result = calibrate_reader(target, photos)
        click.echo(f"calibrated on {result.readings} readings: expected error {result.error_before:.4f} → {result.error_after:.4f}", err=True)
    if ship:
        target = ship_network(target)
    click.echo(target)
