"""`openplate bench`: how long each stage takes here, for the engines, precisions, threads and batch sizes asked for."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from openplate.errors import OpenPlateError
from openplate.evaluate.bench import JSON_VERSION, as_text, setups
from openplate.evaluate.bench import bench as measure
from openplate.sources import write_image

_SCENE_PX = (1920, 1080)


@click.command()
@click.argument("photos", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[PHOTO...]")
@click.option("--runs", default=50, show_default=True, type=click.IntRange(min=1), help="How often each photo is measured.")
@click.option("--warm-up", default=5, show_default=True, type=click.IntRange(min=0), help="How often it is read before.")
@click.option("--engine", "engines", multiple=True, default=["auto"], show_default=True, metavar="NAME", help="Repeatable.")
@click.option("--precision", "precisions", multiple=True, default=["auto"], show_default=True, metavar="NAME", help="Repeatable.")
@click.option("--threads", multiple=True, default=[1], show_default=True, type=click.IntRange(min=1), help="Repeatable.")
@click.option("--batch", "batches", multiple=True, default=[1], show_default=True, type=click.IntRange(min=1), help="Photos at once. Repeatable.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda, gpu, ...")
@click.option("--detector", type=click.Path(path_type=Path), help="Another detector (.onnx) instead of the shipped one.")
@click.option("--reader", type=click.Path(path_type=Path), help="Another reader (.onnx) instead of the shipped one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.pass_context
def bench(
    ctx: click.Context,
    photos: tuple[Path, ...],
    runs: int,
    warm_up: int,
    engines: tuple[str, ...],
    precisions: tuple[str, ...],
    threads: tuple[int, ...],
    batches: tuple[int, ...],
    device: str,
    detector: Path | None,
    reader: Path | None,
    as_json: bool,
) -> None:
    """Measure milliseconds a photo, by stage, on PHOTOs or on a drawn scene of 1920×1080."""
    wanted = setups(engines, precisions, threads, batches, device=device, detector=detector, reader=reader)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = measure(wanted, photos or (draw_photo(Path(folder)),), runs=runs, warm_up=warm_up)
    if as_json:
        click.echo(json.dumps({"version": JSON_VERSION, "setups": [o.as_json() for o in outcomes]}, ensure_ascii=False, indent=2))
    else:
        click.echo(as_text(outcomes))
        click.echo("milliseconds a photo: median (95th percentile); imdecode is OpenCV decoding the same bytes, ratio is total / imdecode", err=True)
    if any(o.error for o in outcomes):
        ctx.exit(1)


def draw_photo(folder: Path) -> Path:
    """A drawn street scene with one plate or more as a JPEG file in the folder.

    Raises:
        OpenPlateError: what draws scenes is not installed.
    """
    try:
        from openplate.synthesize.scenes import draw_scene

        image, _ = draw_scene(1, *_SCENE_PX)
    except ImportError as error:
        raise OpenPlateError(f"scenes cannot be drawn here ({error}); name a photo, or pip install 'openplate[synthesize]'") from None
    path = folder / "scene.jpg"
    write_image(path, image)
    return path
