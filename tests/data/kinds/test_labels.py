from collections.abc import Callable
from pathlib import Path

import pytest

from openplate.errors import DatasetError
from tests.conftest import label
from tests.data.conftest import ReadKind


def test_labels_become_rows_and_wrong_lines_faults(make_dataset: Callable[..., Path], read_kind: ReadKind) -> None:
    folder = make_dataset([label("A1"), label(None, (0, 0, 20, 10))], [label("B2", None)])
    with (folder / "labels.jsonl").open("a") as stream:
        stream.write("{}\n")
    rows, (fault,) = read_kind("openplate", folder)
    assert [(row.part, row.size, [mark.text for mark in row.marks]) for row in rows] == [("", (200, 100), ["A1", None]), ("", (200, 100), ["B2"])]
    assert rows[0].marks[1].points == ((0, 0), (20, 0), (20, 10), (0, 10))
    assert rows[1].marks[0].points is None
    assert "line 3: the line: key 'image' is missing" in str(fault)


def test_data_sets_in_a_folder_are_sides(make_dataset: Callable[..., Path], tmp_path: Path, read_kind: ReadKind) -> None:
    make_dataset([label("A1")], name="set/train")
    make_dataset([label("B2")], name="set/night")
    rows, _ = read_kind("openplate", tmp_path / "set")
    assert [(row.part, row.where) for row in rows] == [("night", "night/images/0.png"), ("train", "train/images/0.png")]


def test_folder_without_labels_gives_error(tmp_path: Path, read_kind: ReadKind) -> None:
    with pytest.raises(DatasetError, match="in it or in its sub-folders"):
        read_kind("openplate", tmp_path)
