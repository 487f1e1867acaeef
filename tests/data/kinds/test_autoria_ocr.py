import json
from pathlib import Path
from typing import Any

import pytest

from openplate.errors import DatasetError
from tests.data.conftest import ReadKind, picture, written

PUBLISHED: dict[str, Any] = {
    "tags": [],
    "objects": [],
    "state_id": "2",
    "region_id": "11",
    "size": {"width": 146, "height": 31},
    "moderation": {"isModerated": 0},
    "description": "2914 KC-7",
    "name": "10001_2914KC7_0",
    "count_lines": "1",
}


def labelled(folder: Path, stem: str, **changes: Any) -> None:
    picture(folder / "img" / f"{stem}.png")
    written(folder / "ann" / f"{stem}.json", json.dumps(PUBLISHED | changes))


def test_description_is_the_text_and_the_name_is_not(tmp_path: Path, read_kind: ReadKind) -> None:
    labelled(tmp_path / "set" / "train", "11_11_2014_10", description="A088KK60", region_id=6, name="X", predicted="A088KK68")
    labelled(tmp_path / "set" / "val", "10001_2914KC7_0")
    rows, faults = read_kind("autoria-ocr", tmp_path)
    assert [(row.part, row.path.name, row.marks[0].text, row.marks[0].country) for row in rows] == [
        ("train", "11_11_2014_10.png", "A088KK60", "RU"),
        ("val", "10001_2914KC7_0.png", "2914 KC-7", "BY"),
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("region_id", "country"), [(1, "UA"), ("3", "UA"), (4, "EU"), (7, "KZ"), (16, "RU"), (0, None), (8, None), (99, None), (None, None), ("", None)]
)
def test_region_gives_the_country(tmp_path: Path, read_kind: ReadKind, region_id: object, country: str | None) -> None:
    labelled(tmp_path, "a", region_id=region_id)
    (row,), _ = read_kind("autoria-ocr", tmp_path)
    assert (row.part, row.marks[0].country) == ("", country)


def test_labels_without_picture_picture_without_labels_and_no_text_are_faults(tmp_path: Path, read_kind: ReadKind) -> None:
    labelled(tmp_path, "good")
    labelled(tmp_path, "empty", description=" ")
    written(tmp_path / "ann" / "broken.json", "{")
    written(tmp_path / "ann" / "lost.json", json.dumps(PUBLISHED))
    picture(tmp_path / "img" / "alone.png")
    picture(tmp_path / "img" / "broken.png")
    rows, faults = read_kind("autoria-ocr", tmp_path)
    assert [row.path.stem for row in rows] == ["good"]
    assert [(fault.where, fault.what.partition(":")[0]) for fault in faults] == [
        ("ann/broken.json", "expected a JSON object"),
        ("ann/empty.json", "expected the plate's text as description, got ' '"),
        ("ann/lost.json", "its picture img/lost.png is not there"),
        ("img/alone.png", "its labels ann/alone.json are not there"),
    ]


def test_folder_of_another_layout_gives_error(tmp_path: Path, read_kind: ReadKind) -> None:
    with pytest.raises(DatasetError, match="folders img and ann side by side"):
        read_kind("autoria-ocr", tmp_path)
