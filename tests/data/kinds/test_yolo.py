from pathlib import Path

import pytest

from openplate.errors import DatasetError
from tests.data.conftest import ReadKind, picture, written


@pytest.mark.parametrize(
    ("image", "label", "part"),
    [
        ("images/train/a.jpg", "labels/train/a.txt", "train"),
        ("valid/images/a.jpg", "valid/labels/a.txt", "val"),
        ("images/a.jpg", "labels/a.txt", ""),
        ("images/trip/images/a.jpg", "images/trip/labels/a.txt", ""),
        ("a.jpg", "a.txt", ""),
    ],
)
def test_label_is_found_where_the_layout_puts_it(tmp_path: Path, read_kind: ReadKind, image: str, label: str, part: str) -> None:
    picture(tmp_path / image)
    written(tmp_path / label, "0 0.5 0.25 0.5 0.5\n")
    (row,), faults = read_kind("yolo", tmp_path)
    assert (row.path, row.part, faults) == (tmp_path / image, part, [])
    assert row.marks[0].points == ((0.25, 0), (0.75, 0), (0.75, 0.5), (0.25, 0.5))


def test_folder_of_images_alone_finds_the_labels_beside_it(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "images" / "a.jpg")
    written(tmp_path / "labels" / "a.txt", "0 0.5 0.5 1 1\n")
    (row,), _ = read_kind("yolo", tmp_path / "images")
    assert len(row.marks) == 1


def test_no_label_file_at_all_gives_error(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "images" / "a.jpg")
    with pytest.raises(DatasetError, match="expected a text file of labels"):
        read_kind("yolo", tmp_path)


def test_oriented_box_and_polygon_keep_their_points(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "images/a.jpg")
    written(tmp_path / "labels/a.txt", "0 0.1 0.2 0.5 0.3 0.5 0.4 0.1 0.3\n0 0 0 0.5 0 1 0 1 1 0 1\n")
    (row,), _ = read_kind("yolo", tmp_path)
    assert row.marks[0].points == ((0.1, 0.2), (0.5, 0.3), (0.5, 0.4), (0.1, 0.3))
    assert len(row.marks[1].points) == 5
    assert not row.marks[0].ordered


def test_picture_without_labels_has_no_plate(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "images/a.jpg")
    picture(tmp_path / "images/b.jpg")
    picture(tmp_path / "images/c.jpg")
    written(tmp_path / "labels/a.txt", "0 0.5 0.5 1 1\n")
    written(tmp_path / "labels/c.txt", "\n")
    rows, faults = read_kind("yolo", tmp_path)
    assert [(row.path.stem, len(row.marks)) for row in rows] == [("a", 1), ("b", 0), ("c", 0)]
    assert faults == []


def test_labels_without_picture_are_a_fault(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "images/a.jpg")
    written(tmp_path / "labels/a.txt", "0 0.5 0.5 1 1\n")
    written(tmp_path / "labels/lost.txt", "0 0.5 0.5 1 1\n")
    _, faults = read_kind("yolo", tmp_path)
    assert [str(fault) for fault in faults] == ["labels/lost.txt: its picture is not there"]


@pytest.mark.parametrize(
    ("situation", "line", "message"),
    [
        ("numbers in px", "0 640 320 100 30", "line 2: expected fractions"),
        ("three numbers", "0 0.5 0.5 0.1", "line 2: expected a class and 4 numbers"),
        ("odd number of coordinates", "0 0.1 0.1 0.2 0.2 0.3", "line 2: expected a class and 4 numbers"),
        ("no width", "0 0.5 0.5 0 0.1", "line 2: expected a width and a height above 0"),
        ("a word", "plate 0.5 0.5 0.1 0.1", "line 2: "),
        ("not a number", "0 nan 0.5 0.1 0.1", "line 2: expected fractions"),
    ],
)
def test_wrong_line_is_a_fault_that_names_it(tmp_path: Path, read_kind: ReadKind, situation: str, line: str, message: str) -> None:
    picture(tmp_path / "images/a.jpg")
    written(tmp_path / "labels/a.txt", f"0 0.5 0.5 0.1 0.1\n{line}\n")
    rows, (fault,) = read_kind("yolo", tmp_path)
    assert (rows, fault.where) == ([], "labels/a.txt")
    assert fault.what.startswith(message), situation


def test_of_several_classes_the_user_says_which_are_plates(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "images/a.jpg")
    written(tmp_path / "labels/a.txt", "0 0.5 0.5 1 1\n2 0.5 0.5 0.2 0.2\n")
    with pytest.raises(DatasetError, match="found 0, 2"):
        read_kind("yolo", tmp_path)
    with pytest.raises(DatasetError, match=r"expected --class to be one of 0, 2, got '7'"):
        read_kind("yolo", tmp_path, "7")
    (row,), _ = read_kind("yolo", tmp_path, "2")
    assert [mark.points[0] for mark in row.marks] == [(0.4, 0.4)]
