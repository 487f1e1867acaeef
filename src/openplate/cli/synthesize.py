"""`openplate synthesize crops|scenes|sequences`: drawn plates, streets or video with exact labels (docs/data.md, docs/video-data.md)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from openplate.cli.codes import country_codes


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _widths(text: str) -> tuple[float, float]:
    low, separator, high = text.partition("-")
    try:
        return float(low), float(high if separator else low)
    except ValueError:
        raise click.BadParameter(f"expected one width in px, or FROM-TO, got {text!r}", param_hint="--plate-px") from None


@click.command()
@click.argument("what", type=click.Choice(["crops", "scenes", "sequences"]))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write: images/ and labels.jsonl, or clips and labels.json.",
)
@click.option("--count", default=100, show_default=True, type=click.IntRange(1), help="Pictures or sequences to draw.")
@click.option("--country", callback=country_codes, metavar="CODES", help="Formats to draw, such as ru,cn; default: all.")
@click.option("--formats", multiple=True, type=click.Path(file_okay=False), help="Folder with further format files.")
@click.option(
    "--photos",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Data sets whose photos are the background: scenes and sequences.",
)
@click.option("--seed", default=0, show_default=True, help="The same seed draws the same pictures.")
@click.option(
    "--difficulty",
    default=0.85,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Crops: 0 clean pictures, 1 the full spread of light, blur and pose; training ends at 0.85.",
)
@click.option(
    "--tilt", type=click.FloatRange(0, 75), metavar="DEGREES", help="Crops: turned away from the camera by up to so much, every angle as often."
)
@click.option(
    "--rotate", type=click.FloatRange(0, 180), metavar="DEGREES", help="Crops: turned in the picture by up to so much, every angle as often."
)
@click.option("--workers", type=click.IntRange(1), help="Crops: processes that draw; default: one a core. The pictures are the same.")
@click.option(
    "--sheet", type=click.Path(path_type=Path, dir_okay=False), metavar="PNG", help="Crops and scenes: also write a picture of the first 48 plates."
)
@click.option(
    "--beside",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="A data set of real plates, of which the sheet shows 48 on the right.",
)
@click.option("--size", default="1280x720", show_default=True, help="Scenes without photos, and sequences: picture size.")
@click.option("--seconds", default=10.0, show_default=True, help="Sequences: length of each.")
@click.option("--fps", default=25.0, show_default=True, help="Sequences: frames a second.")
@click.option("--plate-px", default="60-160", show_default=True, metavar="FROM-TO", help="Sequences: how wide plates are at their nearest.")
@click.option(
    "--situation", "situations", multiple=True, metavar="NAME", help="Sequences: what is in each of them (docs/video-data.md); default: a mix."
)
@click.option("--pictures", is_flag=True, help="Sequences: folders of JPEG pictures instead of MP4 files.")
def synthesize(
    what: str,
    out: Path,
    count: int,
    country: tuple[str, ...] | None,
    formats: tuple[str, ...],
    photos: tuple[Path, ...],
    seed: int,
    difficulty: float,
    tilt: float | None,
    rotate: float | None,
    workers: int | None,
    sheet: Path | None,
    beside: Path | None,
    size: str,
    seconds: float,
    fps: float,
    plate_px: str,
    situations: tuple[str, ...],
    pictures: bool,
) -> None:
    """Draw labelled pictures: single plates (crops), whole scenes, or video (sequences).

    Scenes put drawn plates in place of the labelled ones in real photos (--photos), or draw streets of their own; so do sequences, in which vehicles move.

    Example: openplate synthesize crops --country ru,kz --count 1000 --out drawn
    """
    from openplate.dataset import load_dataset
    from openplate.formats import load_formats, select
    from openplate.synthesize.camera import Lean
    from openplate.synthesize.dataset import check_sheet, write_crops, write_drawn_sheet, write_scenes
    from openplate.synthesize.plates import drawable

    if beside is not None and sheet is None:
        raise click.UsageError("--beside DIR belongs to --sheet PNG; give both")
    if sheet is not None:
        if what == "sequences":
            raise click.UsageError("--sheet shows crops or scenes; of sequences there is none")
        check_sheet(sheet)
    real = None if beside is None else load_dataset(beside)

    known = load_formats(*formats)
    chosen = select(known, country or ())
    if not chosen:
        chosen = drawable(known)
        if len(chosen) < len(known):
            left_out = " ".join(f.code.lower() for f in known if f not in chosen)
            click.echo(f"no font with Chinese characters is installed (Debian: fonts-noto-cjk): drawing without {left_out}", err=True)
    width, separator, height = size.partition("x")
    if not (separator and width.isdigit() and height.isdigit() and int(width) >= 160 and int(height) >= 120):
        raise click.BadParameter(f"expected WIDTHxHEIGHT of at least 160x120, got {size!r}", param_hint="--size")
    if what == "sequences":
        from openplate.synthesize.sequences import SequenceSettings, write_sequences

        settings = SequenceSettings(seconds, fps, int(width), int(height), _widths(plate_px), situations)
        with click.progressbar(length=count * settings.frames, label="drawing frames", file=sys.stderr) as bar:
            write_sequences(out, chosen, count, seed, photos, settings, pictures, bar.update)
        click.echo(out)
        return
    with click.progressbar(range(count), label=f"drawing {what}", file=sys.stderr) as bar:
        if what == "crops":
            lean = None if tilt is None and rotate is None else Lean(tilt or 0.0, rotate or 0.0)
            write_crops(out, chosen, count, seed, difficulty, bar.update, workers or _cores(), lean)
        else:
            write_scenes(out, chosen, count, seed, photos, (int(width), int(height)), bar.update)
    if sheet is not None:
        write_drawn_sheet(out, sheet, real, seed)
    click.echo(out)
