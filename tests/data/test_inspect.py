from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openplate.data.inspect import Spread, inspect_dataset, spread_of, write_sheet
from openplate.dataset import Fault, LabelledImage, LabelledPlate, load_dataset, write_dataset
from openplate.errors import SourceError
from openplate.sources import read_image, write_image
from tests.conftest import label
from tests.data.conftest import picture


def test_counts_are_those_of_the_labels(make_dataset: Callable[..., Path]) -> None:
    tilted = {"text": "京A12345", "country": "CN", "quad": [[10, 10], [60, 14], [60, 30], [10, 26]]}
    folder = make_dataset([label("A1"), tilted], [label("A 1", None)], [label(None, (0, 0, 40, 10), "EU")], [])
    one = inspect_dataset(load_dataset(folder))
    assert (one.images, one.images_without_plates, one.plates, one.texts, one.different_texts) == (4, 1, 4, 3, 2)
    assert list(one.by_country.items()) == [("RU", 2), ("CN", 1), ("EU", 1)]
    assert one.by_length == {2: 2, 7: 1}
    assert one.by_quad == {"true quads": 1, "upright boxes": 2, "whole images": 1}
    assert one.characters == {"1": 3, "2": 1, "3": 1, "4": 1, "5": 1, "A": 3, "京": 1}
    assert one.most_seen == (("A1", 2),)
    assert one.image_width_px == Spread(200, 200, 200, 200, 200)
    assert one.plate_height_px == Spread(10.0, 11.8, 18.0, 76.0, 100.0)  # of 10, 16, 20 and 100
    assert (one.faults, one.opened, one.outside_charset) == ((), True, {})


def test_spread_of_numbers() -> None:
    assert spread_of([]) is None
    assert spread_of([7]) == Spread(7, 7, 7, 7, 7)
    assert spread_of(list(range(11))) == Spread(0, 1, 5, 9, 10)


def test_faults_of_labels_and_pictures_are_listed(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([label("A1")], [label("Щ9")], [label("B2", (195, 0, 300, 20))], [label("C3")])
    dataset = load_dataset(folder)
    dataset.images[0].path.write_bytes(b"x")
    picture(dataset.images[3].path, 100, 100)
    one = inspect_dataset(dataset, (Fault("labels.jsonl, line 9", "lost"),))
    assert [(Path(fault.where).name, fault.what.partition(":")[0]) for fault in one.faults] == [
        ("labels.jsonl, line 9", "lost"),
        ("0.png", str(dataset.images[0].path)),
        ("1.png", "text 'Щ9'"),
        ("2.png", "quad"),
        ("3.png", "expected a picture of 200×100 px as labelled, got 100×100"),
    ]
    assert one.outside_charset == {"Щ": 1}
    unopened = inspect_dataset(dataset, open_images=False)
    assert [Path(fault.where).name for fault in unopened.faults] == ["1.png", "2.png"]
    assert not unopened.opened


def test_inspection_as_json_has_what_it_counts(make_dataset: Callable[..., Path]) -> None:
    data = inspect_dataset(load_dataset(make_dataset([label("A1")]))).as_json()
    assert (data["name"], data["by_length"], data["faults"]) == ("street", {"2": 1}, [])
    assert data["plate_width_px"] == {"least": 80, "p10": 80, "median": 80, "p90": 80, "greatest": 80}


def test_sheet_shows_each_plate_in_its_cell(tmp_path: Path) -> None:
    images = []
    for i, colour in enumerate([(255, 0, 0), (0, 0, 255)]):
        path = tmp_path / "images" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        image = np.full((100, 200, 3), 128, np.uint8)
        image[40:60, 50:130] = colour
        write_image(path, image)
        quad = np.array([[50, 40], [130, 40], [130, 60], [50, 60]], np.float32)
        images.append(LabelledImage(path, 200, 100, (LabelledPlate("京A1", "CN", quad),)))
    write_dataset(tmp_path, images)
    assert write_sheet(load_dataset(tmp_path), tmp_path / "sheet.png", count=10) == 2
    sheet = read_image(tmp_path / "sheet.png")[0].image
    assert sheet.shape == (8 + 96 + 26 + 8, 2 * 248 + 8, 3)
    centres = sorted(tuple(int(v) for v in sheet[8 + 48, 8 + column * 248 + 120]) for column in (0, 1))
    assert centres == [(0, 0, 255), (255, 0, 0)]
    assert (sheet[8 + 96 :, 8:248] < 60).any()  # the caption's ink


def test_sheet_is_the_same_for_a_seed_and_passes_over_what_cannot_be_opened(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    dataset = load_dataset(make_dataset(*[[label(f"A{i}")] for i in range(9)]))
    dataset.images[4].path.write_bytes(b"x")
    assert [write_sheet(dataset, tmp_path / f"{seed}{run}.png", count=4, seed=seed) for seed in (0, 1) for run in "ab"] == [4] * 4
    assert (tmp_path / "0a.png").read_bytes() == (tmp_path / "0b.png").read_bytes()
    assert (tmp_path / "0a.png").read_bytes() != (tmp_path / "1a.png").read_bytes()
    assert write_sheet(dataset, tmp_path / "all.png", count=100) == 8


def test_sheet_of_nothing_is_not_written_and_of_photos_without_plates_shows_them(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    dataset = load_dataset(make_dataset([], []))
    assert write_sheet(dataset, tmp_path / "photos.png") == 2
    for image in dataset.images:
        image.path.write_bytes(b"x")
    assert write_sheet(dataset, tmp_path / "none.png") == 0
    assert not (tmp_path / "none.png").exists()


def test_sheet_of_an_unknown_suffix_gives_error(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected a file name that ends in"):
        write_sheet(load_dataset(make_dataset([label("A1")])), tmp_path / "sheet.pdf")
