from pathlib import Path

from tests.data.conftest import ReadKind, picture, written


def test_published_folders_give_boxes_of_russian_plates(tmp_path: Path, read_kind: ReadKind) -> None:
    picture(tmp_path / "train/images/1.png")
    written(tmp_path / "train/labels/1.txt", "0 0.5 0.5 0.2 0.1\n")
    picture(tmp_path / "test/2.png")
    written(tmp_path / "test/2.txt", "0 0.25 0.5 0.5 1\n0 0.75 0.5 0.5 1\n")
    rows, faults = read_kind("ay000554-detection", tmp_path)
    assert [(row.part, len(row.marks)) for row in rows] == [("test", 2), ("train", 1)]
    mark = rows[0].marks[0]
    assert (mark.country, mark.text, mark.fractions) == ("RU", None, True)
    assert mark.points == ((0, 0), (0.5, 0), (0.5, 1), (0, 1))
    assert faults == []
