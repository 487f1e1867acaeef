from pathlib import Path

import pytest

from openplate.errors import DatasetError
from tests.data.conftest import ReadKind, picture


def test_file_names_of_the_published_folders_are_the_texts(tmp_path: Path, read_kind: ReadKind) -> None:
    for name in ("train/A129XY196.png", "train/K211PA69.png", "val/E353TA46-.jpg", "test/P895HE96.png"):
        picture(tmp_path / name)
    rows, faults = read_kind("ay000554-ocr", tmp_path)
    assert sorted((row.part, row.marks[0].text) for row in rows) == [
        ("test", "P895HE96"),
        ("train", "A129XY196"),
        ("train", "K211PA69"),
        ("val", "E353TA46"),
    ]
    assert {(row.marks[0].country, row.marks[0].points) for row in rows} == {("RU", None)}
    assert faults == []


@pytest.mark.parametrize("stem", ["A129XY19666", "A129X", "D129XY196", "A129XY196_0", "а129ху196"])
def test_name_that_is_no_text_is_a_fault(tmp_path: Path, read_kind: ReadKind, stem: str) -> None:
    picture(tmp_path / "train" / f"{stem}.png")
    rows, faults = read_kind("ay000554-ocr", tmp_path)
    assert rows == []
    assert repr(stem) in faults[0].what


def test_folder_without_pictures_gives_error(tmp_path: Path, read_kind: ReadKind) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DatasetError, match="folder with pictures"):
        read_kind("ay000554-ocr", tmp_path)
