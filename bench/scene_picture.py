"""Draws a street with three plates, reads it with the shipped weights and writes the picture with the plates marked: the one in README.md.

Nothing is written unless every plate is read as it was drawn, and nothing else is. Needs openplate[synthesize]. Example:

    python bench/scene_picture.py docs/scene.jpg

Other weights may need another seed; `--search` takes the first from `--seed` on with three countries of which all is read, and names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from openplate import Pipeline
from openplate.annotate import annotate
from openplate.formats import Format, load_formats, select
from openplate.sources import write_image
from openplate.synthesize.scenes import ScenePlate, draw_scene
from openplate.types import Plate

SEED = 4
SIZE = (1280, 720)
COUNTRIES = ("RU", "CN", "DE", "KZ")
"""Chinese plates need a font with their characters, such as Debian's fonts-noto-cjk."""
PLATES = 3
LEAST_CONFIDENCE = 0.9
SEARCHED = 400
"""Seeds that `--search` tries at most."""


def formats() -> list[Format]:
    """The countries of the street, each as common as the others."""
    return [replace(f, weight=1.0) for f in select(load_formats(), COUNTRIES)]


def faults(drawn: Sequence[ScenePlate], read: Sequence[Plate]) -> list[str]:
    """What keeps a street from being shown: too few plates, one that was not read as it was drawn, one that is not there, or a faint reading."""
    said = [] if len(drawn) == PLATES else [f"{len(drawn)} plates are drawn, not {PLATES}"]
    texts = {plate.text for plate in drawn if plate.text is not None}
    said += [f"{text} was not read" for text in sorted(texts - {plate.text for plate in read})]
    for plate in read:
        if plate.text not in texts:
            said.append(f"{plate.text or 'an unreadable plate'} was found and not drawn")
        elif plate.reading.confidence < LEAST_CONFIDENCE:
            said.append(f"{plate.text} was read with {plate.reading.confidence:.2f}, below {LEAST_CONFIDENCE}")
    return said


@click.command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seed", default=SEED, show_default=True, help="The street to draw.")
@click.option("--search", is_flag=True, help="Take the first seed from --seed on with three countries of which all is read.")
def main(out: Path, seed: int, search: bool) -> None:
    """Write the picture to OUT (.jpg or .png)."""
    pipeline = Pipeline()
    for tried in range(seed, seed + (SEARCHED if search else 1)):
        image, drawn = draw_scene(tried, *SIZE, formats(), vehicles=PLATES)
        if search and len({plate.country for plate in drawn}) < PLATES:  # one vehicle hides another's plate, or two are of one country
            continue
        read = pipeline.read(image)
        said = faults(drawn, read)
        if not said:
            write_image(out, annotate(image, read))
            click.echo(f"{out}: seed {tried}, {', '.join(f'{plate.text} {plate.reading.confidence:.3f}' for plate in read)}")
            return
        click.echo(f"seed {tried}: {'; '.join(said)}", err=True)
    raise click.ClickException("nothing was written; give another --seed, or --search")


if __name__ == "__main__":
    main()
