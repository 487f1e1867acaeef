from pathlib import Path

import cv2
import numpy as np
import pytest

from openplate.errors import ConfigError
from openplate.evaluate import confusions
from openplate.evaluate.characters import TextPair, character_errors
from openplate.evaluate.confusions import confusion_csv, confusion_matrix, confusion_png, write_confusions

ERRORS = character_errors([TextPair("A8", "AB", ""), TextPair("A88", "A8", ""), TextPair("A", "AA", "")])


def test_matrix_has_rows_for_labels_and_a_blank_row_and_column() -> None:
    matrix = confusion_matrix(ERRORS)
    assert matrix.characters == ("8", "A", "B")
    assert matrix.counts.tolist() == [[1, 0, 1, 1], [0, 3, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_csv_names_every_row_and_column() -> None:
    assert confusion_csv(confusion_matrix(ERRORS)).splitlines() == [
        "label \\ read,8,A,B,(missing)",
        "8,1,0,1,1",
        "A,0,3,0,0",
        "B,0,0,0,0",
        "(inserted),0,1,0,0",
    ]


def test_picture_is_green_where_right_and_red_where_confused() -> None:
    data = confusion_png(confusion_matrix(ERRORS), "three texts")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)
    blue, green, red = picture[..., 0], picture[..., 1], picture[..., 2]
    assert min(picture.shape[:2]) > 400
    assert (green - red > 60).sum() > 500
    assert (red - green > 60).sum() > 500
    assert (red - green > 60).sum() > (blue - red > 60).sum()


def test_picture_is_the_same_each_time() -> None:
    matrix = confusion_matrix(ERRORS)
    assert confusion_png(matrix, "") == confusion_png(matrix, "")


def test_character_that_no_font_has_is_named_by_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confusions, "_FONTS", ("DejaVu Sans",))
    families, names = confusions._named(("A", "皖"))
    assert (families, names) == (["DejaVu Sans"], ["A", "U+7696"])


def test_both_files_are_written_into_a_folder_that_is_made(tmp_path: Path) -> None:
    table, picture = write_confusions(ERRORS, tmp_path / "a" / "b", "title")
    assert table.read_text(encoding="utf8").startswith("label")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write the confusions"):
        write_confusions(ERRORS, tmp_path / "file" / "b", "")
