from pathlib import Path

import pytest

from tests.data.conftest import ReadKind, picture, written

BOX = "0 0.5 0.5 0.4 0.2"
CORNERS = ((0.3, 0.45), (0.7, 0.4), (0.7, 0.55), (0.3, 0.6))


@pytest.mark.parametrize(
    ("situation", "line", "points"),
    [
        ("points of two numbers", f"{BOX} 0.3 0.45 0.7 0.4 0.7 0.55 0.3 0.6", CORNERS),
        ("points with a visibility", f"{BOX} 0.3 0.45 2 0.7 0.4 1 0.7 0.55 2 0.3 0.6 2", CORNERS),
        ("a point that is not labelled", f"{BOX} 0.3 0.45 2 0.7 0.4 0 0.7 0.55 2 0.3 0.6 2", ((0.3, 0.4), (0.7, 0.4), (0.7, 0.6), (0.3, 0.6))),
        ("a point at 0 0", f"{BOX} 0.3 0.45 0 0 0.7 0.55 0.3 0.6", ((0.3, 0.4), (0.7, 0.4), (0.7, 0.6), (0.3, 0.6))),
    ],
)
def test_four_key_points_are_the_corners(
    tmp_path: Path, read_kind: ReadKind, situation: str, line: str, points: tuple[tuple[float, float], ...]
) -> None:
    picture(tmp_path / "images/train/a.jpg")
    written(tmp_path / "labels/train/a.txt", line + "\n")
    (row,), faults = read_kind("yolo-pose", tmp_path)
    assert (row.part, faults) == ("train", [])
    assert row.marks[0].points == tuple(pytest.approx(point) for point in points), situation


def test_row_with_other_points_is_a_fault(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "images/a.jpg")
    written(tmp_path / "labels/a.txt", BOX + "\n")
    rows, (fault,) = read_kind("yolo-pose", tmp_path)
    assert rows == []
    assert "4 points of 2 or 3 numbers" in fault.what
