"""Readers and a set of leaning plates in; how much each reads from the labelled corners, and from the upright box around them, out.

What a spatial transformer inside a reader is worth shows in the second: nothing else straightens the plate there, neither its corners nor the straightener.

Example: openplate synthesize crops --tilt 45 --rotate 30 --difficulty 0.5 --count 2000 --seed 77 --out drawn_leaning
         python bench/leaning.py drawn_leaning crnn.onnx stn.onnx
"""

from __future__ import annotations

from pathlib import Path

import click

from openplate.charset import normalise
from openplate.dataset import load_dataset
from openplate.errors import OpenPlateError
from openplate.evaluate.characters import TextPair, character_errors
from openplate.evaluate.metrics import count
from openplate.formats import load_formats
from openplate.geometry import box_to_quad, quad_to_box
from openplate.read.reader import Reader
from openplate.rectify import rectify
from openplate.sources import read_image
from openplate.types import Crop

CUTS = ("four corners", "upright box")


@click.command()
@click.argument("dataset", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("readers", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(dataset: Path, readers: tuple[Path, ...]) -> None:
    """Print a table: exact texts with their 95 % interval, and the character error rate, of READERS on the plates of DATASET.

    Example: python bench/leaning.py drawn_leaning crnn.onnx stn.onnx
    """
    try:
        plates = load_plates(dataset)
        if not plates:
            raise click.ClickException(f"{dataset}: expected plates with four corners and a text, found none")
        click.echo("| reader | cut out by | exact | CER |\n|---|---|---|---|")
        for path in readers:
            reader = Reader(path, load_formats())
            for cut, name in enumerate(CUTS):
                pairs = [TextPair(text, reader([crops[cut]]).text, "") for text, crops in plates]
                exact, cer = count(pair.truth == pair.read for pair in pairs), character_errors(pairs).cer
                assert exact.share is not None and exact.low is not None and exact.high is not None and cer is not None
                share = f"{100 * exact.share:.1f} % ({100 * exact.low:.1f}-{100 * exact.high:.1f})"
                click.echo(f"| {path.stem} | {name} | {share} | {100 * cer:.2f} % |")
    except OpenPlateError as error:
        raise click.ClickException(str(error)) from None


def load_plates(dataset: Path) -> list[tuple[str, tuple[Crop, Crop]]]:
    """The text of each plate, and what is cut out by its corners and by the upright box around them.

    Raises:
        DatasetError: the folder is not a data set.
        SourceError: an image cannot be read.
    """
    plates = []
    for entry in load_dataset(dataset).images:
        image = read_image(entry.path)[0].image
        for plate in entry.plates:
            if plate.text and plate.quad is not None:
                upright = box_to_quad(*quad_to_box(plate.quad))
                plates.append((normalise(plate.text), (rectify(image, plate.quad), rectify(image, upright))))
    return plates


if __name__ == "__main__":
    main()
