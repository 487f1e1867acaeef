"""Russian plate crops named by their text (Hugging Face: AY000554/Car_plate_OCR_dataset) in, rows out.

Layout: `train/`, `val/` and `test/` with one picture a plate; a file's name without its suffix is the text, in capital Latin letters and digits
(`A129XY196.png`). A text of eight characters may be filled up with `-` to nine, as in the code that the data was made for. Such a plate has no box:
the picture is the plate.
Sources: the data set's card; github.com/AY000554/ocr_car_plate, README.md and DataGenerator.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from openplate.data.rows import Hints, Mark, Row, part_of, pictures
from openplate.dataset import Fault

_TEXT = re.compile(r"(?P<text>[0-9ABEKMHOPCTYX]{8,9})-?")


def read(source: Path, hints: Hints) -> Iterator[Row | Fault]:
    """One row a picture; a fault where the name is no text of eight or nine characters of the Russian alphabet.

    Raises:
        DatasetError: there is no picture.

    """
    for path in pictures(source):
        if isinstance(path, Fault):
            yield path
            continue
        relative = path.relative_to(source)
        match = _TEXT.fullmatch(path.stem)
        if match is None:
            yield Fault(str(relative), f"expected a file name of 8 or 9 characters out of 0-9 and ABEKMHOPCTYX, got {path.stem!r}")
        else:
            yield Row(part_of(relative), path, str(relative), (Mark(match["text"], "RU", None),))
