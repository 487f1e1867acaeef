from pathlib import Path

import pytest

from openplate.errors import DatasetError
from tests.data.conftest import ReadKind, written


@pytest.mark.parametrize(
    ("situation", "text", "expected"),
    [
        ("fast-plate-ocr's heading", "image_path,plate_text\nimg/a.png,KK568S\n", [("img/a.png", "KK568S", None)]),
        ("columns in another order", "text;country;file\nA1;RU;a.png\n", [("a.png", "A1", "RU")]),
        ("no heading", "a.png,A1\nb.png,B2\n", [("a.png", "A1", None), ("b.png", "B2", None)]),
        ("tabs and a byte order mark", "\ufefffile\ttext\na.png\tA 1\n", [("a.png", "A 1", None)]),
        ("quotes, spaces and empty lines", 'file, text\n\n"a, b.png", A1\n', [("a, b.png", "A1", None)]),
    ],
)
def test_columns_are_found(tmp_path: Path, read_kind: ReadKind, situation: str, text: str, expected: list[tuple[str, str, str | None]]) -> None:
    rows, faults = read_kind("csv", written(tmp_path / "labels.csv", text))
    found = [(row.path.relative_to(tmp_path).as_posix(), row.marks[0].text, row.marks[0].country) for row in rows]
    assert (found, faults) == (expected, []), situation


def test_files_named_after_the_sides_of_a_split_are_sides(tmp_path: Path, read_kind: ReadKind) -> None:
    written(tmp_path / "train.csv", "a.png,A1\n")
    written(tmp_path / "plates_valid.csv", "b.png,B2\n")
    rows, _ = read_kind("csv", tmp_path)
    assert sorted((row.part, row.path.name) for row in rows) == [("train", "a.png"), ("val", "b.png")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("only.png", "expected a picture and a text"),
        ("/etc/passwd,A1", "expected a path inside"),
        ("../a.png,A1", "expected a path inside"),
        ("C:\\a.png,A1", "expected a path inside"),
        (",A1", "expected a path inside"),
    ],
)
def test_wrong_line_is_a_fault_that_names_it(tmp_path: Path, read_kind: ReadKind, line: str, message: str) -> None:
    rows, (fault,) = read_kind("csv", written(tmp_path / "labels.csv", f"file,text\na.png,A1\n{line}\n"))
    assert (len(rows), fault.where) == (1, "labels.csv, line 3")
    assert message in fault.what


@pytest.mark.parametrize(
    ("situation", "line", "message"),
    [
        ("a stray quote before the text", 'b.png,"B2', "expected a closing \", got 'b.png,\"B2'"),
        ("a stray quote before the picture", '"b.png,B2', "expected a closing \", got '\"b.png,B2'"),
        ("a field of more than 131,072 characters", f"b.png,{'B' * 131_073}", "field larger than field limit"),
    ],
)
def test_damaged_line_takes_no_other_with_it(tmp_path: Path, read_kind: ReadKind, situation: str, line: str, message: str) -> None:
    rows, (fault,) = read_kind("csv", written(tmp_path / "labels.csv", f'file,text\na.png,A1\n{line}\nc.png,C3\n"d.png",D4"\n'))
    assert [(row.path.name, row.where) for row in rows] == [
        ("a.png", "labels.csv, line 2"),
        ("c.png", "labels.csv, line 4"),
        ("d.png", "labels.csv, line 5"),
    ]
    assert fault.where == "labels.csv, line 3", situation
    assert message in fault.what, situation


def test_file_that_is_no_text_takes_no_other_with_it(tmp_path: Path, read_kind: ReadKind) -> None:
    written(tmp_path / "train.csv", "a.png,A1\n")
    (tmp_path / "val.csv").write_bytes(b"b.png,\xff\xfe1\n")
    rows, (fault,) = read_kind("csv", tmp_path)
    assert [(row.part, row.path.name) for row in rows] == [("train", "a.png")]
    assert fault.where == "val.csv" and "cannot be read as UTF-8 text" in fault.what
    (tmp_path / "train.csv").unlink()
    with pytest.raises(DatasetError, match=r"val.csv: cannot be read as UTF-8 text"):
        read_kind("csv", tmp_path)


def test_several_files_without_sides_and_no_file_give_errors(tmp_path: Path, read_kind: ReadKind) -> None:
    with pytest.raises(DatasetError, match="found none"):
        read_kind("csv", tmp_path)
    written(tmp_path / "one.csv", "a.png,A1\n")
    written(tmp_path / "train.csv", "a.png,A1\n")
    with pytest.raises(DatasetError, match="found one.csv, train.csv"):
        read_kind("csv", tmp_path)
