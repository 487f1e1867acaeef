import json
from pathlib import Path
from typing import Any

import pytest

from openplate.errors import DatasetError
from tests.data.conftest import ReadKind, picture, written


def content(images: list[dict[str, Any]], annotations: list[dict[str, Any]], names: tuple[str, ...] = ("plate",)) -> str:
    categories = [{"id": i + 1, "name": name, "supercategory": ""} for i, name in enumerate(names)]
    return json.dumps({"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories})


IMAGE = {"id": 7, "file_name": "a.jpg", "width": 200, "height": 100}
BOX = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [10, 20, 50, 30], "area": 1500, "iscrowd": 0}


@pytest.mark.parametrize(
    ("file", "image", "part"),
    [
        ("annotations/instances_train2017.json", "train2017/a.jpg", "train"),
        ("annotations/instances_val2017.json", "images/val2017/a.jpg", "val"),
        ("test/_annotations.coco.json", "test/a.jpg", "test"),
        ("labels.json", "images/a.jpg", ""),
    ],
)
def test_picture_is_found_where_the_layout_puts_it(tmp_path: Path, read_kind: ReadKind, file: str, image: str, part: str) -> None:
    picture(tmp_path / image)
    written(tmp_path / file, content([IMAGE], [BOX]))
    (row,), faults = read_kind("coco", tmp_path)
    assert (row.path, row.part, row.size, faults) == (tmp_path / image, part, (200, 100), [])
    assert row.marks[0].points == ((10, 20), (60, 20), (60, 50), (10, 50))


@pytest.mark.parametrize(
    ("situation", "more", "points"),
    [
        ("polygon of four points", {"segmentation": [[10, 20, 60, 25, 60, 50, 10, 45]]}, ((10, 20), (60, 25), (60, 50), (10, 45))),
        ("two polygons", {"segmentation": [[0, 0, 1, 1, 2, 2, 3, 3], [1, 1, 2, 2, 3, 3, 4, 4]]}, ((10, 20), (60, 20), (60, 50), (10, 50))),
        ("run lengths", {"segmentation": {"counts": [1, 2], "size": [100, 200]}}, ((10, 20), (60, 20), (60, 50), (10, 50))),
        (
            "four key points",
            {"keypoints": [10, 20, 2, 60, 25, 1, 60, 50, 2, 10, 45, 2], "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]]},
            ((10, 20), (60, 25), (60, 50), (10, 45)),
        ),
        ("a key point that is not labelled", {"keypoints": [10, 20, 2, 60, 25, 0, 60, 50, 2, 10, 45, 2]}, ((10, 20), (60, 20), (60, 50), (10, 50))),
    ],
)
def test_the_most_exact_shape_is_taken(
    tmp_path: Path, read_kind: ReadKind, situation: str, more: dict[str, Any], points: tuple[tuple[float, float], ...]
) -> None:
    picture(tmp_path / "a.jpg")
    written(tmp_path / "labels.json", content([IMAGE], [BOX | more]))
    (row,), _ = read_kind("coco", tmp_path / "labels.json")
    assert row.marks[0].points == points, situation


def test_texts_of_coco_text_and_cvat_are_taken(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "a.jpg")
    ones = [BOX | {"utf8_string": "A1"}, BOX | {"id": 2, "attributes": {"text": "B2"}}, BOX | {"id": 3}]
    written(tmp_path / "labels.json", content([IMAGE], ones))
    (row,), _ = read_kind("coco", tmp_path)
    assert [mark.text for mark in row.marks] == ["A1", "B2", None]


def test_crowds_and_other_classes_are_left_out(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "a.jpg")
    ones = [BOX | {"iscrowd": 1}, BOX | {"category_id": 2}]
    written(tmp_path / "labels.json", content([IMAGE], [*ones, BOX], ("plate", "car")))
    with pytest.raises(DatasetError, match="found car, plate"):
        read_kind("coco", tmp_path)
    (row,), _ = read_kind("coco", tmp_path, "plate")
    assert len(row.marks) == 1


@pytest.mark.parametrize(
    ("situation", "image", "one", "message"),
    [
        ("missing picture", IMAGE | {"id": 8, "file_name": "lost.jpg"}, {}, "its picture 'lost.jpg' is not there"),
        ("name that leads out", IMAGE | {"id": 8, "file_name": "../a.jpg"}, {}, "its picture '../a.jpg' is not there"),
        ("no id", {"file_name": "a.jpg"}, {}, "expected an object with id"),
        ("box of three numbers", IMAGE | {"id": 8}, BOX | {"image_id": 8, "bbox": [1, 2, 3]}, "expected a bbox of four numbers"),
        ("flat box", IMAGE | {"id": 8}, BOX | {"image_id": 8, "bbox": [1, 2, 3, 0]}, "a width and a height above 0"),
        ("annotation of no image", IMAGE | {"id": 8}, BOX | {"image_id": 99}, "annotations[1]: expected the image_id of an image, got 99"),
    ],
)
def test_wrong_entry_is_a_fault_that_names_it(
    tmp_path: Path, read_kind: ReadKind, situation: str, image: dict[str, Any], one: dict[str, Any], message: str
) -> None:
    picture(tmp_path / "a.jpg")
    written(tmp_path / "labels.json", content([IMAGE, image], [BOX, *([one] if one else [])]))
    rows, (fault,) = read_kind("coco", tmp_path)
    assert rows[0].path == tmp_path / "a.jpg"
    assert message in str(fault), situation


@pytest.mark.parametrize("content_of_the_other", ['{"images": [', "\udcff", "[" * 100_000])
def test_broken_json_file_is_a_fault_and_the_others_are_read(tmp_path: Path, read_kind: ReadKind, content_of_the_other: str) -> None:
    picture(tmp_path / "a.jpg")
    written(tmp_path / "labels.json", content([IMAGE], [BOX]))
    (tmp_path / "export").mkdir()
    (tmp_path / "export/broken.json").write_bytes(content_of_the_other.encode("utf8", "surrogateescape"))
    (row,), (fault,) = read_kind("coco", tmp_path)
    assert (row.path, fault.where) == (tmp_path / "a.jpg", "export/broken.json")
    assert fault.what.startswith("expected a JSON file: ")


def test_source_whose_only_json_file_is_broken_gives_error(tmp_path: Path, read_kind: ReadKind) -> None:
    written(tmp_path / "labels.json", "{")
    for source in (tmp_path, tmp_path / "labels.json"):
        with pytest.raises(DatasetError, match="expected a JSON file with images, annotations and categories, found none"):
            read_kind("coco", source)


def test_file_that_is_not_coco_gives_error(tmp_path: Path, read_kind: ReadKind) -> None:
    written(tmp_path / "info.json", "{}")
    with pytest.raises(DatasetError, match="found none"):
        read_kind("coco", tmp_path)
    with pytest.raises(DatasetError, match="lists of images, annotations and categories"):
        read_kind("coco", tmp_path / "info.json")
    with pytest.raises(DatasetError, match="found nothing"):
        read_kind("coco", tmp_path / "nowhere")
