"""Plate crops with a JSON file each (AUTO.RIA Numberplate OCR, of the Nomeroff Net project) in, rows out.

Layout: `train`, `val` and `test`, each with `img/NAME.png` and `ann/NAME.json`. In the JSON `description` is the text; `name` is an identifier and
`predicted` a network's guess, neither is a label. `region_id` (number, text of a number, or missing) is an index into the project's list of plate
regions. The picture is the plate.
Sources: github.com/ria-com/nomeroff-net, moderation/README.md, data/dataset/TextDetector/ocr_example and
nomeroff_net/pipes/number_plate_classificators/options_detector.py (`CLASS_REGION_ALL`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from openplate.data.rows import Hints, Mark, Row, part_of
from openplate.dataset import Fault
from openplate.errors import DatasetError
from openplate.sources import SUFFIXES

REGIONS = (
    "xx-unknown", "eu-ua-2015", "eu-ua-2004", "eu-ua-1995", "eu", "xx-transit", "ru", "kz", "eu-ua-ordlo-dpr", "eu-ua-ordlo-lpr", "ge", "by", "su", "kg",
    "am", "ua-military", "ru-military", "md",
)  # fmt: skip
"""The project's plate regions, by `region_id`."""
COUNTRIES = {
    "eu-ua-2015": "UA",
    "eu-ua-2004": "UA",
    "eu-ua-1995": "UA",
    "eu-ua-custom": "UA",
    "ua-military": "UA",
    "eu": "EU",
    "ru": "RU",
    "ru-military": "RU",
    "kz": "KZ",
    "ge": "GE",
    "by": "BY",
    "su": "SU",
    "kg": "KG",
    "am": "AM",
    "md": "MD",
}
"""Plate region → country; the others say none."""


def read(source: Path, hints: Hints) -> Iterator[Row | Fault]:
    """One row a JSON file; a fault for each without a picture or a text, and for each picture without a JSON file.

    Raises:
        DatasetError: there is no folder `ann` beside a folder `img`.

    """
    folders = sorted(path.parent for path in source.rglob("ann") if path.is_dir() and (path.parent / "img").is_dir())
    if not folders:
        raise DatasetError(f"{source}: expected folders img and ann side by side, in it or in train, val and test; found none")
    for folder in folders:
        by_stem = {path.stem: path for path in sorted((folder / "img").iterdir()) if path.suffix.lower() in SUFFIXES}
        labels = sorted((folder / "ann").glob("*.json"))
        for file in labels:
            yield _row(file, by_stem.get(file.stem), source)
        for stem in sorted(by_stem.keys() - {file.stem for file in labels}):
            yield Fault(str(by_stem[stem].relative_to(source)), f"its labels ann/{stem}.json are not there")


def country_of(region: str) -> str | None:
    """The country of a plate region, written with hyphens or underscores; None when it says none."""
    return COUNTRIES.get(region.strip().lower().replace("_", "-"))


def _row(file: Path, picture: Path | None, source: Path) -> Row | Fault:
    where = str(file.relative_to(source))
    try:
        data = json.loads(file.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError) as error:
        return Fault(where, f"expected a JSON object: {error}")
    text = data.get("description") if isinstance(data, dict) else None
    if not isinstance(text, str) or not text.strip():
        return Fault(where, f"expected the plate's text as description, got {text!r}")
    if picture is None:
        return Fault(where, f"its picture img/{file.stem}.png is not there")
    return Row(part_of(file.relative_to(source)), picture, where, (Mark(text, _country(data.get("region_id")), None),))


def _country(region_id: object) -> str | None:
    number = str(region_id).strip()
    return country_of(REGIONS[int(number)]) if number.isascii() and number.isdigit() and int(number) < len(REGIONS) else None
