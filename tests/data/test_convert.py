import errno
import os
from pathlib import Path

import pytest

from openplate.charset import Charset
from openplate.data.check import charset_with
from openplate.data.convert import NothingSoundError, Settings, convert
from openplate.data.kinds import KINDS
from openplate.dataset import load_dataset
from openplate.errors import DatasetError
from tests.data.conftest import picture, written


def table(folder: Path, *lines: str) -> Path:
    return written(folder / "labels.csv", "file,text,country\n" + "\n".join(lines) + "\n")


def test_source_without_a_split_becomes_one_data_set(tmp_path: Path) -> None:
    picture(tmp_path / "src/img/a.png", 94, 24)
    picture(tmp_path / "src/b.png", 80, 20)
    table(tmp_path / "src", "img/a.png,а123вс77,RU", "b.png,kk 568-s,")
    result = convert(tmp_path / "src", KINDS["csv"], tmp_path / "out", Settings(country="SK"))
    (written_set,) = result.written
    assert (written_set.folder, written_set.images, written_set.plates, written_set.texts) == (tmp_path / "out", 2, 2, 2)
    assert result.faults == ()
    images = load_dataset(tmp_path / "out").images
    assert [(i.path.name, i.width, i.height, i.plates[0].text, i.plates[0].country, i.cropped) for i in images] == [
        ("a.png", 94, 24, "A123BC77", "RU", True),
        ("b.png", 80, 20, "KK568S", "SK", True),
    ]
    assert images[0].path.read_bytes() == (tmp_path / "src/img/a.png").read_bytes()


def test_sides_of_a_split_become_data_sets_of_their_own(tmp_path: Path) -> None:
    for name in ("train/A129XY196.png", "train/K211PA69.png", "val/E353TA46.png", "P895HE96.png"):
        picture(tmp_path / "src" / name)
    result = convert(tmp_path / "src", KINDS["ay000554-ocr"], tmp_path / "out")
    assert [(one.folder.name, one.images) for one in result.written] == [("train", 2), ("val", 1), ("rest", 1)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["rest", "train", "val"]
    assert {i.plates[0].text for i in load_dataset(tmp_path / "out/train").images} == {"A129XY196", "K211PA69"}


def test_boxes_become_quads_in_px(tmp_path: Path) -> None:
    picture(tmp_path / "src/images/a.jpg", 200, 100)
    written(tmp_path / "src/labels/a.txt", "0 0.5 0.5 0.25 0.2\n")
    convert(tmp_path / "src", KINDS["yolo"], tmp_path / "out")
    (image,) = load_dataset(tmp_path / "out").images
    (plate,) = image.plates
    assert plate.quad is not None
    assert plate.quad.tolist() == [[75, 40], [125, 40], [125, 60], [75, 60]]
    assert (plate.text, plate.country, plate.upright) == (None, "XX", True)


@pytest.mark.parametrize(
    ("situation", "line", "message"),
    [
        ("missing picture", "lost.png,A1,", "picture lost.png is not there"),
        ("damaged picture", "cut.png,A1,", "expected a whole PNG picture"),
        ("no picture at all", "note.png,A1,", "expected a JPEG, PNG"),
        ("text outside the charset", "b.png,A1Щ,", "'Щ' is not in the charset"),
        ("no text", "b.png, - ,", "expected a plate's characters"),
        ("labelled twice", "a.png,B2,", "labelled already: labels.csv, line 2"),
        ("the same picture under another name", "copy.png,B2,", "the same picture as labels.csv, line 2"),
        ("path that leads out", "../b.png,B2,", "expected a path inside"),
    ],
)
def test_row_with_a_fault_is_left_out_and_listed(tmp_path: Path, situation: str, line: str, message: str) -> None:
    source = tmp_path / "src"
    picture(source / "b.png")
    data = picture(source / "a.png").read_bytes()
    (source / "copy.png").write_bytes(data)
    (source / "cut.png").write_bytes(data[:-100])
    (source / "note.png").write_bytes(b"not a picture")
    table(source, "a.png,A1,", line)
    result = convert(source, KINDS["csv"], tmp_path / "out")
    (fault,) = result.faults
    assert fault.where == "labels.csv, line 3", situation
    assert message in fault.what, situation
    assert [image.path.name for image in load_dataset(tmp_path / "out").images] == ["a.png"]


def test_picture_with_one_faulty_plate_is_left_out_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / f"src/images/{name}.jpg")
    written(tmp_path / "src/labels/a.txt", "0 0.5 0.5 0.2 0.2\n0 1.5 0.5 0.2 0.2\n")
    written(tmp_path / "src/labels/b.txt", "0 0.5 0.5 0.2 0.2\n")
    result = convert(tmp_path / "src", KINDS["yolo"], tmp_path / "out")
    assert [fault.where for fault in result.faults] == ["labels/a.txt"]
    assert "a place in the image of 200×100 px" in result.faults[0].what
    assert [image.path.name for image in load_dataset(tmp_path / "out").images] == ["b.jpg"]


def test_size_that_is_not_the_picture_s_is_a_fault(tmp_path: Path) -> None:
    picture(tmp_path / "src/a.jpg", 100, 200)
    picture(tmp_path / "src/b.jpg", 200, 100)
    size = "<size><width>200</width><height>100</height></size>"
    box = "<object><name>p</name><bndbox><xmin>11</xmin><ymin>11</ymin><xmax>50</xmax><ymax>30</ymax></bndbox></object>"
    for name in "ab":
        written(tmp_path / f"src/{name}.xml", f"<annotation><filename>{name}.jpg</filename>{size}{box}</annotation>")
    result = convert(tmp_path / "src", KINDS["voc"], tmp_path / "out")
    assert [str(fault) for fault in result.faults] == ["a.xml: expected a picture of 200×100 px as labelled, got 100×200"]


def test_nothing_sound_gives_error_and_writes_nothing(tmp_path: Path) -> None:
    table(tmp_path / "src", "lost.png,A1,")
    with pytest.raises(DatasetError, match=r"found none; 1 fault: labels\.csv, line 2: picture lost\.png is not there$"):
        convert(tmp_path / "src", KINDS["csv"], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


def test_nothing_sound_gives_error_with_the_count_and_all_faults(tmp_path: Path) -> None:
    table(tmp_path / "src", "lost.png,A1,", "gone.png,B2,", "only")
    with pytest.raises(NothingSoundError, match=r"found none; 3 faults, the first: labels\.csv, line 4: expected a picture and a text") as caught:
        convert(tmp_path / "src", KINDS["csv"], tmp_path / "out")
    assert [fault.where for fault in caught.value.faults] == ["labels.csv, line 4", "labels.csv, line 2", "labels.csv, line 3"]


def test_source_that_stops_after_a_fault_gives_error_with_that_fault(tmp_path: Path) -> None:
    written(tmp_path / "src/broken.json", "{")
    with pytest.raises(NothingSoundError, match=r"images, annotations and categories, found none; 1 fault: broken\.json: expected a JSON file"):
        convert(tmp_path / "src", KINDS["coco"], tmp_path / "out")


def test_side_without_sound_pictures_is_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "src/train/A129XY196.png")
    (tmp_path / "src/val").mkdir()
    (tmp_path / "src/val/E353TA46.png").write_bytes(b"x")
    result = convert(tmp_path / "src", KINDS["ay000554-ocr"], tmp_path / "out")
    assert [one.folder.name for one in result.written] == ["train"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train"]
    assert len(result.faults) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
def test_interruption_or_full_disk_in_the_middle_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    for name in ("A129XY196", "K211PA69"):
        picture(tmp_path / f"src/train/{name}.png")

    def fail(done: int, total: int) -> None:
        if done == 2:
            raise error

    with pytest.raises((KeyboardInterrupt, DatasetError)):
        convert(tmp_path / "src", KINDS["ay000554-ocr"], tmp_path / "out", progress=fail)
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


def test_further_characters_and_links_are_taken(tmp_path: Path) -> None:
    picture(tmp_path / "src/a.png")
    table(tmp_path / "src", "a.png,AЩ1,")
    result = convert(tmp_path / "src", KINDS["csv"], tmp_path / "out", Settings(charset=charset_with("Щ"), link=True))
    assert result.faults == ()
    (image,) = load_dataset(tmp_path / "out").images
    assert image.plates[0].text == "AЩ1"
    assert image.path.samefile(tmp_path / "src/a.png")


def test_converting_what_was_converted_changes_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / f"src/images/{name}.jpg")
        written(tmp_path / f"src/labels/{name}.txt", "0 0.5 0.5 0.33 0.21 0.35 0.4 0.66 0.42 0.66 0.6 0.35 0.61\n")
    convert(tmp_path / "src", KINDS["yolo-pose"], tmp_path / "one", Settings(charset=Charset()))
    convert(tmp_path / "one", KINDS["openplate"], tmp_path / "two")
    assert (tmp_path / "one/labels.jsonl").read_bytes() == (tmp_path / "two/labels.jsonl").read_bytes()
    assert len(load_dataset(tmp_path / "two").images) == 2


def test_progress_counts_every_picture(tmp_path: Path) -> None:
    for name in ("A129XY196", "K211PA69", "E353TA46"):
        picture(tmp_path / f"src/{name}.png")
    seen: list[tuple[int, int]] = []
    convert(tmp_path / "src", KINDS["ay000554-ocr"], tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
