from pathlib import Path, PurePosixPath

import pytest

from openplate.data.rows import Hints, chosen_classes, inside, part_named, part_of, pictures, quad_around
from openplate.errors import DatasetError
from tests.data.conftest import picture


@pytest.mark.parametrize(
    ("situation", "points"),
    [
        ("from the upper left", [(10, 20), (60, 22), (60, 34), (10, 32)]),
        ("from the lower right", [(60, 34), (10, 32), (10, 20), (60, 22)]),
        ("the other way round", [(10, 32), (60, 34), (60, 22), (10, 20)]),
        ("corners crossed", [(10, 20), (60, 34), (60, 22), (10, 32)]),
    ],
)
def test_four_corners_in_any_order_come_out_from_the_upper_left(situation: str, points: list[tuple[float, float]]) -> None:
    assert quad_around(points).tolist() == [[10, 20], [60, 22], [60, 34], [10, 32]], situation


def test_plate_turned_by_less_than_45_degrees_comes_out_as_it_is_read() -> None:
    # Published with the AUTO.RIA example: the plate runs up to the right.
    assert quad_around([(482, 695), (522, 767), (291, 903), (261, 842)]).tolist() == [[261, 842], [482, 695], [522, 767], [291, 903]]
    # A square turned by 40° to the right: its upper left corner is the leftmost but one from above.
    assert quad_around([(0, 64), (77, 0), (141, 77), (64, 141)]).tolist()[0] == [0, 64]


def test_polygon_of_more_points_becomes_the_smallest_rectangle_around() -> None:
    quad = quad_around([(0, 0), (20, 0), (40, 0), (40, 10), (0, 10), (0, 5)])
    assert quad.tolist() == [pytest.approx(corner, abs=1e-4) for corner in [(0, 0), (40, 0), (40, 10), (0, 10)]]


@pytest.mark.parametrize("points", [[(0, 0), (1, 1)], [(0, 0), (1, 0), (2, 0), (3, 0)], [(0, 0), (1, 0), (float("nan"), 1), (0, 1)]])
def test_points_around_nothing_give_error(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="expected"):
        quad_around(points)


@pytest.mark.parametrize(
    ("path", "part"),
    [("train/a.png", "train"), ("set/Valid/images/a.png", "val"), ("images/testing/a.png", "test"), ("train.png", ""), ("trains/a.png", "")],
)
def test_side_is_the_outermost_folder_of_its_name(path: str, part: str) -> None:
    assert part_of(PurePosixPath(path)) == part


@pytest.mark.parametrize(
    ("stem", "part"), [("train", "train"), ("instances_train2017", "train"), ("plates-valid", "val"), ("_annotations.coco", ""), ("contest", "")]
)
def test_side_of_a_file_is_a_word_of_its_name(stem: str, part: str) -> None:
    assert part_named(stem) == part


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", "a.png"), ("img/a.png", "img/a.png"), ("img\\a.png", "img/a.png"), (" ./a.png ", "a.png"), ("..a/b.png", "..a/b.png")],
)
def test_name_inside_the_folder_is_taken(name: str, expected: str) -> None:
    assert inside(Path("set"), name) == Path("set") / expected


@pytest.mark.parametrize("name", ["../a.png", "img/../../a.png", "/etc/passwd", "\\\\host\\a.png", "C:\\a.png", "", " ", ".", "a\0.png", None, 7])
def test_name_that_leads_out_of_the_folder_is_not_taken(name: object) -> None:
    assert inside(Path("set"), name) is None


def test_one_class_needs_no_choice_and_several_need_one() -> None:
    assert chosen_classes(["plate", "plate"], Hints(), Path("set")) == {"plate"}
    assert chosen_classes([], Hints(), Path("set")) == set()
    assert chosen_classes(["a", "b", "c"], Hints(("a", "c")), Path("set")) == {"a", "c"}
    with pytest.raises(DatasetError, match="found car, plate"):
        chosen_classes(["plate", "car"], Hints(), Path("set"))
    with pytest.raises(DatasetError, match="one of no class at all, got 'plate'"):
        chosen_classes([], Hints(("plate",)), Path("set"))


def test_pictures_come_sorted_and_hidden_ones_not_at_all(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.JPG", ".trash/d.png", "note.txt"):
        (picture if not name.endswith("txt") else Path.touch)(tmp_path / name)
    assert list(pictures(tmp_path)) == [tmp_path / "b.png", tmp_path / "a/c.JPG"]


def test_folder_without_pictures_and_file_give_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="found none"):
        list(pictures(tmp_path))
    with pytest.raises(DatasetError, match="found a file"):
        list(pictures(picture(tmp_path / "a.png")))
    with pytest.raises(DatasetError, match="found nothing"):
        list(pictures(tmp_path / "nowhere"))
