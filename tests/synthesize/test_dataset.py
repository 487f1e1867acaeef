from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openplate.dataset import load_dataset
from openplate.errors import DatasetError
from openplate.formats import load_formats, select
from openplate.sources import read_image
from openplate.synthesize.dataset import write_crops, write_scenes
from tests.conftest import label

RU = select(load_formats(), ["RU"])


def nothing(_: int) -> None:
    """No progress bar."""


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
