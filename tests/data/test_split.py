from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from openplate.data.split import find_leaks, groups_of, likeness, split, texts_of, write_split
from openplate.dataset import LabelledImage, LabelledPlate, load_dataset
from openplate.errors import DatasetError
from tests.conftest import label
from tests.data.conftest import picture


def images(*texts: Sequence[str | None]) -> list[LabelledImage]:
    """Images whose plates have these texts."""
    return [LabelledImage(Path(f"{i}.png"), 200, 100, tuple(LabelledPlate(t, "RU", None) for t in one)) for i, one in enumerate(texts)]


@pytest.mark.parametrize(
    ("situation", "texts", "alike", "groups"),
    [
        ("different plates", [["A1"], ["B2"]], [], [[0], [1]]),
        ("the same plate in another spelling", [["A 1"], ["B2"], ["а1"]], [], [[0, 2], [1]]),
        ("two plates in an image join their groups", [["A1"], ["B2"], ["A1", "B2"], ["C3"]], [], [[0, 1, 2], [3]]),
        ("unread plates are nobody's", [[None], [None], []], [], [[0], [1], [2]]),
        ("images that look alike", [[None], ["A1"], [None], ["A1"]], [(0, 3)], [[0, 1, 3], [2]]),
    ],
)
def test_images_that_share_a_plate_are_a_group(
    situation: str, texts: list[list[str | None]], alike: list[tuple[int, int]], groups: list[list[int]]
) -> None:
    assert groups_of(images(*texts), alike) == groups, situation


def test_parts_share_no_plate_and_have_their_shares() -> None:
    data = images(*[[f"A{i % 60}"] for i in range(100)])  # 40 plates in two images, 20 in one
    parts = split(data, {"train": 80, "val": 10, "test": 10}, seed=5)
    assert {part: len(indices) for part, indices in parts.items()} == {"train": 80, "val": 10, "test": 10}
    assert sorted(i for indices in parts.values() for i in indices) == list(range(100))
    leaks = find_leaks({part: [data[i] for i in indices] for part, indices in parts.items()})
    assert (leaks.plates, leaks.images) == ((), ())


def test_same_seed_makes_the_same_parts_and_another_others() -> None:
    data = images(*[[f"A{i}"] for i in range(50)])
    shares = {"train": 1, "test": 1}
    assert split(data, shares, seed=1) == split(data, shares, seed=1)
    assert split(data, shares, seed=1) != split(data, shares, seed=2)


def test_group_that_fits_nowhere_goes_where_most_room_is() -> None:
    data = images(*[["A1"]] * 9, ["B2"])
    parts = split(data, {"test": 20, "train": 80}, seed=0)
    assert parts == {"train": tuple(range(9)), "test": (9,)}


@pytest.mark.parametrize("shares", [{}, {"train": 0.0}, {"train": 1.0, "test": -1.0}, {"train": float("nan")}])
def test_shares_of_nothing_give_error(shares: dict[str, float]) -> None:
    with pytest.raises(DatasetError, match="shares above 0"):
        split(images(["A1"]), shares, seed=0)


def test_leaks_name_the_plates_and_how_often_each_side_has_them() -> None:
    sides = {"train": images(["A1"], ["A 1"], ["B2"]), "val": images(["C3"]), "test": images(["A1", "C3"], [None])}
    found = [(plate.text, dict(plate.images)) for plate in find_leaks(sides).plates]
    assert found == [("A1", {"train": 2, "test": 1}), ("C3", {"val": 1, "test": 1})]


def test_same_and_nearly_the_same_pictures_are_leaks_even_without_a_text(tmp_path: Path) -> None:
    names = {"a.png": "one", "b.png": "two", "c.jpg": "one", "d.png": "one", "e.png": "three"}
    paths = [picture(tmp_path / name, like=like) for name, like in names.items()]
    every = [LabelledImage(path, 200, 100, ()) for path in paths]
    found = likeness(every)
    assert found.contents[0] == found.contents[3]
    assert set(found.pairs) >= {(0, 2), (0, 3), (2, 3)}
    assert all({first, second} <= {0, 2, 3} for first, second in found.pairs)
    leaks = find_leaks({"train": every[:2], "test": every[2:]}, found)
    assert [(shared.first.name, shared.second.name, shared.same) for shared in leaks.images] == [("a.png", "c.jpg", False), ("a.png", "d.png", True)]


def test_pictures_that_look_alike_but_are_labelled_differently_are_not_near(tmp_path: Path) -> None:
    paths = [picture(tmp_path / name, like="one") for name in ("a.png", "b.jpg")]

    def near(*texts: str | None) -> int:
        return len(likeness([LabelledImage(p, 200, 100, (LabelledPlate(t, "RU", None),)) for p, t in zip(paths, texts, strict=True)]).near)

    assert (near("A1", "B2"), near("A1", None), near("A1", "A 1")) == (0, 1, 1)


def test_picture_that_cannot_be_opened_is_a_fault_and_like_none(tmp_path: Path) -> None:
    good = picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"x")
    every = [LabelledImage(path, 200, 100, ()) for path in (good, tmp_path / "b.png", tmp_path / "lost.png")]
    found = likeness(every)
    assert (found.near, found.unreadable, found.contents[2]) == ((), {1, 2}, None)
    assert [Path(fault.where).name for fault in found.faults] == ["b.png", "lost.png"]


def test_parts_are_written_as_data_sets(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    dataset = load_dataset(make_dataset([label("A1")], [label("B2"), label(None, (0, 0, 30, 10))], []))
    folders = write_split(dataset, {"train": (0, 2), "val": (), "test": (1,)}, tmp_path / "out", link=False, progress=lambda done: None)
    assert [folder.name for folder in folders] == ["train", "test"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["test", "train"]
    (image,) = load_dataset(tmp_path / "out/test").images
    assert (image.path.name, texts_of(image), len(image.plates)) == ("1.png", {"B2"}, 2)
    assert image.path.read_bytes() == dataset.images[1].path.read_bytes()


@pytest.mark.parametrize("part", ["", "../x", ".hidden", "a/b"])
def test_part_that_is_no_folder_name_gives_error(make_dataset: Callable[..., Path], tmp_path: Path, part: str) -> None:
    dataset = load_dataset(make_dataset([]))
    with pytest.raises(DatasetError, match="expected a part's name"):
        write_split(dataset, {part: (0,)}, tmp_path / "out", link=False, progress=lambda done: None)


def test_interruption_while_writing_leaves_nothing(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    dataset = load_dataset(make_dataset([], []))

    def interrupt(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_split(dataset, {"train": (0,), "test": (1,)}, tmp_path / "out", link=False, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["street"]
