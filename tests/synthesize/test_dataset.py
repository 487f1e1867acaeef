from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openplate.dataset import LabelledImage, load_dataset
from openplate.errors import DatasetError, SourceError
from openplate.formats import load_formats, select
from openplate.sources import read_image
from openplate.synthesize import dataset
from openplate.synthesize.dataset import check_sheet, write_crops, write_drawn_sheet, write_scenes
from openplate.types import Image
from tests.conftest import label

RU = select(load_formats(), ["RU"])


def nothing(_: int) -> None:
    """No progress bar."""


def cut_plate(image: LabelledImage) -> Image:
    """The middle half of an image's one plate."""
    quad = image.plates[0].quad
    assert quad is not None
    (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
    picture = read_image(image.path)[0].image
    return picture[int(y0 * 0.75 + y1 * 0.25) : int(y0 * 0.25 + y1 * 0.75), int(x0 * 0.75 + x1 * 0.25) : int(x0 * 0.25 + x1 * 0.75)]


def test_crops_on_disk_have_a_text_and_a_quad_inside(tmp_path: Path) -> None:
    done: list[int] = []
    write_crops(tmp_path / "crops", RU, 3, 5, 0.5, done.append)
    images = load_dataset(tmp_path / "crops").images
    assert done == [1, 1, 1]
    for image in images:
        assert read_image(image.path)[0].image.shape == (image.height, image.width, 3)
        (plate,) = image.plates
        assert plate.country == "RU" and plate.text and plate.quad is not None
        assert plate.quad.min() >= 0 and plate.quad[:, 0].max() <= image.width and plate.quad[:, 1].max() <= image.height


def test_same_seed_writes_same_scenes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_scenes(tmp_path / name, RU, 2, seed, (), (192, 128), nothing)
    first, again, other = ((tmp_path / name / "labels.jsonl").read_text() for name in "abc")
    assert first == again != other
    assert (tmp_path / "a/images/000001.jpg").read_bytes() == (tmp_path / "b/images/000001.jpg").read_bytes()
    assert {(i.width, i.height) for i in load_dataset(tmp_path / "a").images} == {(192, 128)}


def test_scenes_in_photos_have_drawn_plates_in_place_of_the_labelled_ones(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_dataset([], [label("OLD1")])  # the first image is held out
    write_scenes(tmp_path / "scenes", RU, 2, 0, [folder], (640, 480), nothing)
    for image in load_dataset(tmp_path / "scenes").images:
        assert (image.width, image.height) == (200, 100)
        assert [p.country for p in image.plates] == ["RU"]
        assert image.plates[0].text != "OLD1" and image.plates[0].quad is not None
        assert np.abs(image.plates[0].quad.mean(axis=0) - [90, 50]).max() < 12


def test_crops_are_in_colour_as_their_plates_are(tmp_path: Path) -> None:
    blue = replace(RU[0], types=tuple(t for t in RU[0].types if t.id == "police"))
    write_crops(tmp_path, [blue], 3, 0, 0.0, nothing)
    for image in load_dataset(tmp_path).images:
        plate = cut_plate(image)
        assert plate[..., 2].mean() > plate[..., 0].mean() + 60  # #1c50b8: red 28, blue 184


def test_crops_are_the_same_however_many_processes_draw_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "_PART", 2)
    done: list[int] = []
    write_crops(tmp_path / "one", RU, 5, 7, 0.85, nothing)
    write_crops(tmp_path / "two", RU, 5, 7, 0.85, done.append, workers=2)
    assert done == [2, 2, 1]
    one, two = ([p.read_bytes() for p in sorted((tmp_path / name).rglob("*.*"))] for name in ("one", "two"))
    assert len(one) == 6 and one == two  # five pictures and their labels
    write_crops(tmp_path / "more", RU, 6, 7, 0.85, nothing)
    assert (tmp_path / "more/labels.jsonl").read_text().splitlines()[:5] == (tmp_path / "one/labels.jsonl").read_text().splitlines()


def test_error_of_a_drawing_process_is_told_as_it_is_and_leaves_no_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "_PART", 1)
    (tmp_path / "images" / "000002.png").mkdir(parents=True)  # a folder where a picture is to be
    with pytest.raises(SourceError, match="000002.png: cannot be written"):
        write_crops(tmp_path, RU, 4, 0, 0.5, nothing, workers=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images"]


def test_sheet_shows_the_first_drawn_plates_and_real_ones_right_of_a_line(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    write_crops(tmp_path / "drawn", RU, 3, 0, 0.0, nothing)
    write_drawn_sheet(tmp_path / "drawn", tmp_path / "alone.png")
    write_drawn_sheet(tmp_path / "drawn", tmp_path / "both.png", load_dataset(make_dataset([label("A1")], [label("B2")])))
    alone, both = (read_image(tmp_path / name)[0].image for name in ("alone.png", "both.png"))
    height, width = alone.shape[:2]
    assert (height, width) == (96 + 26 + 2 * 8, 3 * 248 + 8)
    assert both.shape[:2] == (height, width + 6 + 2 * 248 + 8)
    assert np.array_equal(both[:, :width], alone)
    assert both[:, width : width + 6].max() == 0


def test_sheet_of_a_name_that_cannot_be_written_gives_error_at_once(tmp_path: Path) -> None:
    check_sheet(tmp_path / "sheet.png")
    with pytest.raises(SourceError, match="got '.pdf'"):
        check_sheet(tmp_path / "sheet.pdf")


def test_photos_that_are_all_crops_give_error(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="found only whole-image crops"):
        write_scenes(tmp_path / "scenes", RU, 1, 0, [make_dataset([], [label("A1", None)])], (640, 480), nothing)
    assert not (tmp_path / "scenes").exists()


def test_folder_with_a_data_set_is_not_written_over(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([label("A1")])
    before = (folder / "labels.jsonl").read_text()
    with pytest.raises(DatasetError, match="holds a data set already"):
        write_crops(folder, RU, 1, 0, 0.5, nothing)
    with pytest.raises(DatasetError, match="holds a data set already"):
        write_scenes(folder, RU, 1, 0, (), (640, 480), nothing)
    assert (folder / "labels.jsonl").read_text() == before
