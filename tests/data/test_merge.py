from collections.abc import Callable
from pathlib import Path

import pytest

from openplate.data.merge import merge
from openplate.dataset import Dataset, LabelledImage, LabelledPlate, load_dataset, write_dataset
from openplate.errors import DatasetError
from tests.data.conftest import picture


@pytest.fixture
def make_set(tmp_path: Path) -> Callable[..., Dataset]:
    """A data set of pictures `name → (what it shows, the plate's text)`."""

    def make(folder: str, **shown: tuple[str, str | None]) -> Dataset:
        images = [
            LabelledImage(picture(tmp_path / folder / "images" / f"{name}.png", like=like), 200, 100, (LabelledPlate(text, "RU", None),))
            for name, (like, text) in shown.items()
        ]
        write_dataset(tmp_path / folder, images)
        return load_dataset(tmp_path / folder)

    return make


def test_images_of_all_are_written_under_different_names(make_set: Callable[..., Dataset], tmp_path: Path) -> None:
    sets = [make_set("street", a=("1", "A1"), b=("2", "B2")), make_set("dash", a=("3", "C3"))]
    seen: list[int] = []
    result = merge(sets, tmp_path / "all", progress=seen.append)
    assert (result.images, result.plates, result.faults, seen) == (3, 3, (), [1, 2, 3])
    merged = load_dataset(tmp_path / "all").images
    assert [(image.path.name, image.plates[0].text) for image in merged] == [("a.png", "A1"), ("b.png", "B2"), ("dash_a.png", "C3")]
    assert merged[2].path.read_bytes() == sets[1].images[0].path.read_bytes()


def test_picture_in_two_sets_is_taken_once_and_another_label_is_said(make_set: Callable[..., Dataset], tmp_path: Path) -> None:
    first, second = make_set("street", a=("1", "A1"), b=("2", "B2")), make_set("dash", x=("1", "A 1"), y=("2", None))
    result = merge([first, second], tmp_path / "all")
    assert result.images == 2
    assert [fault.what for fault in result.faults] == [
        f"the same picture as {first.images[0].path}",
        f"the same picture as {first.images[1].path}, but labelled without a text and there B2",
    ]


def test_interruption_and_nothing_to_merge_leave_nothing(make_set: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make_set("street", a=("1", "A1"))

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge([dataset], tmp_path / "all", progress=interrupt)
    dataset.images[0].path.unlink()
    with pytest.raises(DatasetError, match="at least one image"):
        merge([dataset], tmp_path / "all")
    assert [path.name for path in tmp_path.iterdir()] == ["street"]
