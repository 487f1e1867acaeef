import json
from pathlib import Path
from typing import Any

import pytest

from openplate.errors import DatasetError
from tests.data.conftest import ReadKind, picture, written


def region(xs: list[float], ys: list[float], **attributes: str) -> dict[str, Any]:
    return {
        "region_attributes": {"class": "numberplate"} | attributes,
        "shape_attributes": {"name": "polygon", "all_points_x": xs, "all_points_y": ys},
    }


def labels(*entries: dict[str, Any]) -> str:
    return json.dumps({"_via_settings": {}, "_via_img_metadata": {entry["filename"]: entry for entry in entries}, "_via_attributes": {}})


def test_published_example_gives_polygon_text_and_country(tmp_path: Path, read_kind: ReadKind) -> None:
    image = picture(tmp_path / "train" / "250031471orig.jpeg")
    plate = region([482, 522, 291, 261], [695, 767, 903, 842], region_name="eu", np="NEBV043")
    written(tmp_path / "train" / "via_region_data.json", labels({"filename": image.name, "regions": [plate], "size": 0}))
    (row,), faults = read_kind("autoria-detection", tmp_path)
    assert (row.part, row.path, faults) == ("train", image, [])
    mark = row.marks[0]
    assert (mark.text, mark.country, mark.ordered) == ("NEBV043", "EU", False)
    assert mark.points == ((482, 695), (522, 767), (291, 903), (261, 842))


def test_first_release_without_class_and_closed_polygon_is_read(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "a.jpg")
    plate = region([1, 9, 9, 1, 1], [1, 1, 5, 5, 1])
    plate["region_attributes"] = {}
    written(tmp_path / "via_region_data.json", json.dumps({"a.jpg123": {"filename": "a.jpg", "regions": {"0": plate}}}))
    (row,), _ = read_kind("autoria-detection", tmp_path)
    assert row.marks[0].points == ((1, 1), (9, 1), (9, 5), (1, 5))
    assert (row.marks[0].text, row.marks[0].country) == (None, None)


def test_rect_is_read_and_other_classes_are_left_out(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "a.jpg")
    rect = {"region_attributes": {"class": "numberplate"}, "shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 30, "height": 10}}
    other = region([0, 1, 1, 0], [0, 0, 1, 1])
    other["region_attributes"] = {"class": "car"}
    written(tmp_path / "via_region_data.json", labels({"filename": "a.jpg", "regions": [rect, other]}))
    (row,), _ = read_kind("autoria-detection", tmp_path)
    assert [mark.points for mark in row.marks] == [((1, 2), (31, 2), (31, 12), (1, 12))]


@pytest.mark.parametrize(
    ("situation", "entry", "message"),
    [
        ("name that leads out", {"filename": "../a.jpg", "regions": []}, "expected a filename inside the folder, got '../a.jpg'"),
        ("points of different number", {"filename": "b.jpg", "regions": [region([1, 2, 3], [1, 2])]}, "expected regions with shape_attributes"),
        (
            "shape of no points",
            {"filename": "b.jpg", "regions": [{"shape_attributes": {"name": "circle"}}]},
            "expected regions with shape_attributes",
        ),
    ],
)
def test_wrong_entry_is_a_fault_that_names_it(tmp_path: Path, read_kind: ReadKind, situation: str, entry: dict[str, Any], message: str) -> None:
    written(tmp_path / "val" / "via_region_data.json", labels({"filename": "a.jpg", "regions": []}, entry))
    rows, (fault,) = read_kind("autoria-detection", tmp_path)
    assert [row.path.name for row in rows] == ["a.jpg"]
    assert fault.where == f"val/via_region_data.json, {entry['filename']}"
    assert message in fault.what, situation


def test_broken_labels_of_one_side_leave_the_other(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "train" / "a.jpg")
    written(tmp_path / "train" / "via_region_data.json", labels({"filename": "a.jpg", "regions": [region([1, 9, 9, 1], [1, 1, 5, 5])], "size": 0}))
    written(tmp_path / "val" / "via_region_data.json", "{")
    rows, (fault,) = read_kind("autoria-detection", tmp_path)
    assert [row.part for row in rows] == ["train"]
    assert fault.where == "val/via_region_data.json" and "expected a JSON object" in fault.what


def test_folder_of_another_layout_gives_error(tmp_path: Path, read_kind: ReadKind) -> None:
    with pytest.raises(DatasetError, match="expected via_region_data.json"):
        read_kind("autoria-detection", tmp_path)
    written(tmp_path / "via_region_data.json", "[]")
    with pytest.raises(DatasetError, match="expected an object with _via_img_metadata, got list"):
        read_kind("autoria-detection", tmp_path)
