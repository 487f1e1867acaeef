"""Plates that nobody labelled are added, those that are labelled stay as they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from openplate.cli import main
from openplate.data.prelabel import prelabel
from openplate.dataset import Dataset, LabelledImage, LabelledPlate, load_dataset, write_dataset
from openplate.geometry import box_iou, quad_to_box
from openplate.pipeline import Options, Pipeline
from openplate.sources import write_image
from openplate.synthesize.scenes import ScenePlate, draw_scene
from tests.data.conftest import picture

SIZE = 960, 310
"""The lower part of a drawn street: without its houses."""


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(Options(country="ru", all_detections=True))


def street(folder: Path, labelled: bool) -> tuple[Dataset, ScenePlate]:
    """A data set of one drawn street with one plate, which is labelled or not, and a cut-out plate."""
    image, (plate,) = draw_scene(11, 960, 540, vehicles=1)
    image, plate = np.ascontiguousarray(image[540 - SIZE[1] :]), replace(plate, quad=plate.quad - np.array([0, 540 - SIZE[1]], np.float32))
    (folder / "images").mkdir(parents=True)
    write_image(folder / "images" / "street.png", image)
    known = (LabelledPlate("A000AA00", "RU", plate.quad),) if labelled else ()
    crop = picture(folder / "images" / "crop.png")
    write_dataset(
        folder,
        [LabelledImage(folder / "images" / "street.png", *SIZE, known), LabelledImage(crop, 200, 100, (LabelledPlate("B111BB11", "RU", None),))],
    )
    return load_dataset(folder), plate


def test_plate_without_a_label_is_added_as_an_upright_box_with_its_text(tmp_path: Path, pipeline: Pipeline) -> None:
    dataset, plate = street(tmp_path / "some", labelled=False)
    result = prelabel(dataset, tmp_path / "all", pipeline, least=0.5, least_text=0.5)
    assert (result.images, result.labelled, result.added, result.read, result.faults) == (2, 1, 1, 1, ())
    scene, crop = load_dataset(tmp_path / "all").images
    (added,) = scene.plates
    assert (added.text, added.country, added.upright) == (plate.text, "RU", True)
    assert added.quad is not None
    assert box_iou(np.array([quad_to_box(added.quad)], np.float32), np.array([quad_to_box(plate.quad)], np.float32))[0, 0] > 0.5
    assert [(p.text, p.quad) for p in crop.plates] == [("B111BB11", None)]


def test_text_that_is_not_sure_enough_is_left_open(tmp_path: Path, pipeline: Pipeline) -> None:
    dataset, _ = street(tmp_path / "some", labelled=False)
    assert prelabel(dataset, tmp_path / "all", pipeline, least=0.5, least_text=1.0).read == 0
    assert [(p.text, p.country) for p in load_dataset(tmp_path / "all").images[0].plates] == [(None, "XX")]


def test_labelled_plate_stays_as_it_is(tmp_path: Path, pipeline: Pipeline) -> None:
    dataset, plate = street(tmp_path / "some", labelled=True)
    assert prelabel(dataset, tmp_path / "all", pipeline, least=0.5).added == 0
    (kept,) = load_dataset(tmp_path / "all").images[0].plates
    assert kept.text == "A000AA00"
    assert kept.quad is not None and np.allclose(kept.quad, plate.quad, atol=0.1)


def test_command_names_a_damaged_picture_keeps_the_others_and_ends_with_1(tmp_path: Path) -> None:
    dataset, _ = street(tmp_path / "some", labelled=False)
    dataset.images[0].path.write_bytes(b"no picture")
    result = CliRunner().invoke(main, ["data", "prelabel", str(tmp_path / "some"), "--to", str(tmp_path / "all")])
    assert result.exit_code == 1
    assert "street.png" in result.stderr
    assert result.stdout == f"{tmp_path / 'all'}\n"
    assert [image.path.name for image in load_dataset(tmp_path / "all").images] == ["crop.png"]
