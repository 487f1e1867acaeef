import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openplate.dataset import (
    DatasetWriter,
    LabelledImage,
    LabelledPlate,
    is_upright,
    load_dataset,
    load_dataset_with_faults,
    write_dataset,
)
from openplate.errors import DatasetError
from tests.conftest import label

QUAD = np.array([[10.04, 20.0], [60.0, 22.0], [60.0, 34.0], [10.0, 32.0]], dtype=np.float32)


def test_labels_come_out_as_written(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([label("A123BC77"), label(None, (0, 0, 30, 10), "EU")], [label("京A12345", None, "CN")], [])
    dataset = load_dataset(folder)
    first, crop, empty = dataset.images
    assert (dataset.name, first.path, first.width, first.height) == ("street", folder / "images/0.png", 200, 100)
    assert [(p.text, p.country) for p in first.plates] == [("A123BC77", "RU"), (None, "EU")]
    assert first.plates[1].quad is not None
    assert first.plates[1].quad.tolist() == [[0, 0], [30, 0], [30, 10], [0, 10]]
    assert (first.cropped, crop.cropped, empty.cropped) == (False, True, False)
    assert (first.height_px(first.plates[0]), crop.height_px(crop.plates[0])) == (20.0, 100.0)
    assert empty.plates == ()


def test_label_written_twice_in_an_image_is_one_plate(make_dataset: Callable[..., Path]) -> None:
    here, there = label("A123BC77"), label("A123BC77", (0, 0, 30, 10))
    dataset = load_dataset(make_dataset([here, there, here], [here]))
    assert [len(image.plates) for image in dataset.images] == [2, 1]


def test_first_keeps_the_order(make_dataset: Callable[..., Path]) -> None:
    dataset = load_dataset(make_dataset([], [], []))
    assert [image.path.name for image in dataset.first(2).images] == ["0.png", "1.png"]


@pytest.mark.parametrize(
    ("situation", "change", "message"),
    [
        ("unknown key", {"colour": "red"}, "unknown key 'colour'"),
        ("missing key", {"width": ...}, "key 'width' is missing"),
        ("width of 0", {"width": 0}, "width: expected a whole number of pixels above 0, got 0"),
        ("width as a text", {"width": "200"}, "got '200'"),
        ("image outside", {"image": "../x.png"}, "expected a path inside the folder"),
        ("image not there", {"image": "images/9.png"}, "image images/9.png is not there"),
        ("plates not a list", {"plates": {}}, "plates: expected a list"),
        ("plate without country", {"plates": [{"text": "A1", "quad": None}]}, "a plate: key 'country' is missing"),
        ("empty text", {"plates": [label("")]}, "or null when it is not known, got ''"),
        ("empty country", {"plates": [label("A1", country="")]}, "expected a country's code"),
        ("three corners", {"plates": [{"text": None, "country": "RU", "quad": [[0, 0], [1, 0], [1, 1]]}]}, "quad: expected four corners"),
        (
            "corner is not a number",
            {"plates": [{"text": None, "country": "RU", "quad": [[0, 0], [1, 0], [1, 1], [0, None]]}]},
            "expected four corners",
        ),
        ("flat quad", {"plates": [label("A1", (0, 0, 10, 0))]}, "around an area"),
        ("quad outside the image", {"plates": [label("A1", (300, 0, 400, 20))]}, "a place in the image of 200×100 px"),
        ("whole image and another", {"plates": [label("A1"), label("B2", None)]}, "the whole image is the one plate"),
    ],
)
def test_wrong_line_gives_error_with_file_and_line(make_dataset: Callable[..., Path], situation: str, change: dict[str, Any], message: str) -> None:
    folder = make_dataset([label("A123BC77")], [])
    entry = {"image": "images/1.png", "width": 200, "height": 100, "plates": []} | change
    line = json.dumps({key: value for key, value in entry.items() if value is not ...})
    first = (folder / "labels.jsonl").read_text(encoding="utf8").splitlines()[0]
    (folder / "labels.jsonl").write_text(f"{first}\n{line}\n", encoding="utf8")
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder)
    assert f"{folder}/labels.jsonl, line 2: " in str(caught.value), situation
    assert message in str(caught.value), situation


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected one line an image, found none"),
        ("{", "line 1: not a JSON object"),
        ("[]", "line 1: the line: expected an object with image, width, height, plates"),
    ],
)
def test_labels_that_are_no_labels_give_error(make_dataset: Callable[..., Path], content: str, message: str) -> None:
    folder = make_dataset([])
    (folder / "labels.jsonl").write_text(content, encoding="utf8")
    with pytest.raises(DatasetError, match=r"labels\.jsonl") as caught:
        load_dataset(folder)
    assert message in str(caught.value)


def test_labels_that_are_not_text_give_error(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([])
    (folder / "labels.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="cannot be read as UTF-8"):
        load_dataset(folder)


def test_image_labelled_twice_gives_error(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([])
    labels = folder / "labels.jsonl"
    labels.write_text(labels.read_text(encoding="utf8") * 2, encoding="utf8")
    with pytest.raises(DatasetError, match=r"line 2: image 0\.png was labelled already in line 1"):
        load_dataset(folder)


def test_lines_with_a_fault_are_left_out_and_listed_when_asked_for(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([label("A1")], [label("B2")])
    labels = folder / "labels.jsonl"
    first, second = labels.read_text(encoding="utf8").splitlines()
    labels.write_text("\n".join([first, "{", second.replace("1.png", "9.png"), first, "[" * 100_000, "", second]), encoding="utf8")
    dataset, faults = load_dataset_with_faults(folder)
    assert [image.plates[0].text for image in dataset.images] == ["A1", "B2"]
    assert [fault.where.rpartition(", ")[2] for fault in faults] == ["line 2", "line 3", "line 4", "line 5"]
    assert str(faults[1]) == f"{labels}, line 3: image images/9.png is not there"
    assert faults[2].what == "image 0.png was labelled already in line 1"


def test_labels_of_faults_alone_give_error(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([])
    (folder / "labels.jsonl").write_text("{\n[]\n")
    with pytest.raises(DatasetError, match="none of its 2 lines can be used; the first: .*line 1: not a JSON object"):
        load_dataset_with_faults(folder)


def test_missing_folder_and_folder_without_labels_give_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="found nothing"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"expected a file labels\.jsonl in it"):
        load_dataset(tmp_path)


def test_written_labels_are_read_back(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    write_dataset(tmp_path, [LabelledImage(tmp_path / "a.png", 80, 50, (LabelledPlate("皖A12345", "CN", QUAD),))])
    line = (tmp_path / "labels.jsonl").read_text(encoding="utf8")
    assert '"皖A12345"' in line
    assert "[10.0, 20.0]" in line
    assert line.count("\n") == 1
    plate = load_dataset(tmp_path).images[0].plates[0]
    assert plate.quad is not None
    assert np.abs(plate.quad - QUAD).max() <= 0.05


def test_failure_while_writing_leaves_old_labels(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text("old")

    def interrupted() -> Iterator[LabelledImage]:
        yield LabelledImage(tmp_path / "a.png", 80, 50, ())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, interrupted())
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("labels.jsonl", "old")]


def test_labels_appear_at_the_end_only(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "made") as writer:
        writer.add(LabelledImage(tmp_path / "made" / "a.png", 80, 50, ()))
        assert not (tmp_path / "made" / "labels.jsonl").exists()
    assert (tmp_path / "made" / "labels.jsonl").exists()


def test_image_outside_the_folder_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected an image inside"):
        write_dataset(tmp_path / "made", [LabelledImage(tmp_path / "a.png", 80, 50, ())])
    assert list((tmp_path / "made").iterdir()) == []


def test_upright_means_sides_along_the_axes() -> None:
    assert is_upright(np.array([[1, 1], [5, 1], [5, 3], [1, 3]], dtype=np.float32))
    assert not is_upright(QUAD)
    assert not LabelledPlate("A1", "RU", None).upright
