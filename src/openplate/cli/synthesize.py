"""`openplate synthesize crops|scenes`: drawn plates or streets with exact labels, in the form of docs/datasets.md."""

from __future__ import annotations

import sys
from pathlib import Path

import click


def _codes(text: str) -> tuple[str, ...]:
    return tuple(code for code in text.replace(" ", "").split(",") if code)


@click.command()
@click.argument("what", type=click.Choice(["crops", "scenes"]))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write: images/ and labels.jsonl.")
@click.option("--count", default=100, show_default=True, type=click.IntRange(1), help="Pictures to draw.")
@click.option("--country", default="", help="Formats to draw, such as ru,cn; default: all.")
@click.option("--formats", multiple=True, type=click.Path(file_okay=False), help="Folder with further format files.")
@click.option(
    "--photos", multiple=True, type=click.Path(path_type=Path, file_okay=False), help="Scenes: data sets in whose photos the plates are replaced."
)
@click.option("--seed", default=0, show_default=True, help="The same seed draws the same pictures.")
@click.option(
    "--difficulty",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Crops: 0 clean pictures, 1 the full spread of light, blur and pose.",
)
@click.option("--size", default="1280x720", show_default=True, help="Scenes without photos: picture size.")
def synthesize(
    what: str, out: Path, count: int, country: str, formats: tuple[str, ...], photos: tuple[Path, ...], seed: int, difficulty: float, size: str
) -> None:
    """Draw labelled pictures: single plates (crops) or whole scenes.

    Scenes put drawn plates in place of the labelled ones in real photos (--photos), or draw streets of their own.

    Example: openplate synthesize crops --country ru,kz --count 1000 --out drawn
    """
    from openplate.formats import load_formats, select
    from openplate.synthesize.dataset import write_crops, write_scenes
    from openplate.synthesize.plates import drawable

    known = load_formats(*formats)
    chosen = select(known, _codes(country))
    if not chosen:
        chosen = drawable(known)
        if len(chosen) < len(known):
            left_out = " ".join(f.code.lower() for f in known if f not in chosen)
            click.echo(f"no font with Chinese characters is installed (Debian: fonts-noto-cjk): drawing without {left_out}", err=True)
    width, separator, height = size.partition("x")
    if not (separator and width.isdigit() and height.isdigit() and int(width) >= 160 and int(height) >= 120):
        raise click.BadParameter(f"expected WIDTHxHEIGHT of at least 160x120, got {size!r}", param_hint="--size")
    with click.progressbar(range(count), label=f"drawing {what}", file=sys.stderr) as bar:
        if what == "crops":
            write_crops(out, chosen, count, seed, difficulty, bar.update)
        else:
            write_scenes(out, chosen, count, seed, photos, (int(width), int(height)), bar.update)
    click.echo(out)
