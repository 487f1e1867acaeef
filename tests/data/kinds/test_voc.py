from pathlib import Path

import pytest

from openplate.errors import DatasetError
from tests.data.conftest import ReadKind, picture, written


def annotation(filename: str, *objects: str, size: str = "<size><width>200</width><height>100</height><depth>3</depth></size>") -> str:
    return f"<annotation><folder>x</folder><filename>{filename}</filename>{size}{''.join(objects)}</annotation>"


def box(x0: float, y0: float, x1: float, y1: float, name: str = "licence") -> str:
    edges = f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
    return f"<object><name>{name}</name><difficult>0</difficult><bndbox>{edges}</bndbox></object>"


def test_pixels_count_from_1_so_that_a_box_can_span_the_picture(tmp_path: Path, read_kind: ReadKind) -> None:
    image = picture(tmp_path / "JPEGImages/a.jpg")
    written(tmp_path / "Annotations/a.xml", annotation("a.jpg", box(1, 1, 200, 100), box(11, 21, 60, 40)))
    (row,), faults = read_kind("voc", tmp_path)
    assert (row.path, row.size, faults) == (image, (200, 100), [])
    assert [mark.points for mark in row.marks] == [
        ((0, 0), (200, 0), (200, 100), (0, 100)),
        ((10, 20), (60, 20), (60, 40), (10, 40)),
    ]


def test_image_sets_name_the_sides(tmp_path: Path, read_kind: ReadKind) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / f"JPEGImages/{name}.jpg")
        written(tmp_path / f"Annotations/{name}.xml", annotation(f"{name}.jpg", box(1, 1, 20, 10)))
    written(tmp_path / "ImageSets/Main/train.txt", "a\n")
    written(tmp_path / "ImageSets/Main/val.txt", "b  1\n")
    rows, _ = read_kind("voc", tmp_path)
    assert [row.part for row in rows] == ["train", "val", ""]


def test_picture_is_the_nearest_of_its_name(tmp_path: Path, read_kind: ReadKind) -> None:
    for side in ("train", "test"):
        picture(tmp_path / side / "a.png")
        written(tmp_path / side / "a.xml", annotation("C:\\data\\a.png", box(1, 1, 20, 10)))
    rows, faults = read_kind("voc", tmp_path)
    assert [(row.part, row.path) for row in rows] == [("test", tmp_path / "test/a.png"), ("train", tmp_path / "train/a.png")]
    assert faults == []


@pytest.mark.parametrize(
    ("situation", "text", "message"),
    [
        ("not XML", "<annotation>", "no element found"),
        ("missing picture", annotation("lost.jpg", box(1, 1, 20, 10)), "its picture 'lost.jpg' is not there"),
        ("edge is no number", annotation("a.jpg", box(1, 1, 20, 10).replace("20", "wide")), "expected a number as xmax, got 'wide'"),
        ("object without a box", annotation("a.jpg", "<object><name>licence</name></object>"), "without a bndbox"),
        ("document type", "<!DOCTYPE a [<!ENTITY b 'c'>]>" + annotation("a.jpg"), "without a document type"),
    ],
)
def test_wrong_file_is_a_fault_that_names_it(tmp_path: Path, read_kind: ReadKind, situation: str, text: str, message: str) -> None:
    picture(tmp_path / "images/a.jpg")
    written(tmp_path / "annotations/good.xml", annotation("a.jpg", box(1, 1, 20, 10)))
    written(tmp_path / "annotations/wrong.xml", text)
    rows, (fault,) = read_kind("voc", tmp_path)
    assert (len(rows), fault.where) == (1, "annotations/wrong.xml")
    assert message in fault.what, situation


def test_several_classes_and_no_file_give_errors(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "images/a.jpg")
    with pytest.raises(DatasetError, match="expected an XML file"):
        read_kind("voc", tmp_path)
    written(tmp_path / "annotations/a.xml", annotation("a.jpg", box(1, 1, 20, 10), box(1, 1, 200, 100, "car")))
    with pytest.raises(DatasetError, match="found car, licence"):
        read_kind("voc", tmp_path)
    (row,), _ = read_kind("voc", tmp_path, "licence")
    assert len(row.marks) == 1
