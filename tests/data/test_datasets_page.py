"""What docs/datasets.md says of labels, checked against what is drawn and loaded."""

import json
import random
import re
from pathlib import Path

import pytest

from openplate.dataset import load_dataset
from openplate.formats.load import load_formats
from openplate.synthesize.plates import draw_plate
from tests.data.conftest import picture, written

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf8")


def test_examples_of_labels_can_be_loaded(tmp_path: Path) -> None:
    line, plate = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
    picture(tmp_path / "images/00000.jpg")
    picture(tmp_path / "images/00001.jpg")
    second = {"image": "images/00001.jpg", "width": 200, "height": 150, "plates": [json.loads(plate)]}
    written(tmp_path / "labels.jsonl", f"{line}\n{json.dumps(second)}\n")
    assert [image.plates[0].text for image in load_dataset(tmp_path).images] == ["O481MA99", "O071CM06"]


@pytest.mark.parametrize(
    ("name", "upper", "lower"),
    [
        ("RU/1A", "[ABEKMHOPCTYX][0-9]{3}", "[ABEKMHOPCTYX]{2}[0-9]{2,3}"),  # GOST R 50577: a letter and three digits over two letters and the region
        ("RU/4", "[0-9]{4}", "[ABEKMHOPCTYX]{2}[0-9]{2,3}"),  # four digits over two letters and the region
    ],
)
def test_text_of_a_drawn_plate_of_two_lines_is_the_upper_line_then_the_lower(name: str, upper: str, lower: str) -> None:
    (kind,) = (one for country in load_formats() for one in country.types if one.name == name)
    drawn = draw_plate(kind, random.Random(0), width_px=64)
    assert re.fullmatch(upper, drawn.text[: drawn.first_line])
    assert re.fullmatch(lower, drawn.text[drawn.first_line :])
