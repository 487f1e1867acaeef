import math
import random

import cv2
import numpy as np
import pytest

from openplate.geometry import box_to_quad
from openplate.synthesize.camera import Lean, defocus, expose, photograph, pose, record, to_grey
from tests.synthesize.conftest import LEVELS, quartered, scaled


def test_pose_without_difficulty_is_the_upright_rectangle_about_the_origin() -> None:
    for seed in range(5):
        assert pose(100, 20, random.Random(seed), 0.0).tolist() == [[-50, -10], [50, -10], [50, 10], [-50, 10]]


def test_poses_are_convex_and_keep_the_order_of_the_corners() -> None:
    for seed in range(200):
        quad = pose(100, 25, random.Random(seed), 1.0)
        assert cv2.isContourConvex(quad)
        assert cv2.contourArea(quad, oriented=True) > 100  # clockwise with y down: TL TR BR BL
        assert quad[[0, 3], 0].max() < quad[[1, 2], 0].min()


def test_leaning_plates_are_turned_in_the_picture_by_up_to_what_was_asked_for() -> None:
    rng = random.Random(2)
    quads = [pose(200, 50, rng, 0.0, Lean(0.0, 30.0)) for _ in range(300)]
    turned = [math.degrees(math.atan2(quad[1, 1] - quad[0, 1], quad[1, 0] - quad[0, 0])) for quad in quads]
    assert -30 <= min(turned) < -27 and 27 < max(turned) <= 30
    assert all(np.linalg.norm(quad[1] - quad[0]) == pytest.approx(200, rel=0.01) for quad in quads)


def test_leaning_plates_are_foreshortened_by_up_to_what_was_asked_for() -> None:
    rng = random.Random(3)
    areas = [float(cv2.contourArea(pose(200, 50, rng, 1.0, Lean(45.0, 0.0)))) / 10_000 for _ in range(300)]
    assert min(areas) == pytest.approx(math.cos(math.radians(45)), abs=0.06)
    assert max(areas) == pytest.approx(1.0, abs=0.03)
    assert np.mean(areas) == pytest.approx(math.sin(math.radians(45)) / math.radians(45), abs=0.03)  # the mean cosine of evenly spread angles


def test_photograph_shifted_by_whole_pixels_is_a_copy() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)
    photo = photograph(image, box_to_quad(0, 0, 40, 20), box_to_quad(10, 5, 50, 25), (60, 30))
    assert photo.shape == (30, 60, 3)
    assert np.array_equal(photo[5:25, 10:50], image)
    assert np.array_equal(photo[0, 0], image[0, 0])  # the border is repeated


def test_photograph_takes_corners_to_corners() -> None:
    target = np.array([[20, 10], [170, 30], [160, 90], [30, 60]], dtype=np.float32)
    photo = photograph(quartered(80, 40, margin=20), box_to_quad(20, 20, 100, 60), target, (200, 100))
    assert [photo[y, x] for x, y in scaled(target, 0.9)] == list(LEVELS)
    assert [photo[y, x] for x, y in scaled(target, 1.12)] == [0, 0, 0, 0]


def test_photograph_averages_what_it_shrinks() -> None:
    ys, xs = np.mgrid[0:200, 0:400]
    board = ((xs + ys) % 2 * 255).astype(np.uint8)
    photo = photograph(board, box_to_quad(0, 0, 400, 200), box_to_quad(0, 0, 60, 30), (60, 30))
    assert photo.min() >= 115 and photo.max() <= 140


@pytest.mark.parametrize(("width", "height"), [(160, 80), (92, 46), (44, 22)])  # 1.5, 2.6 and 5.5 pixels become one
def test_edge_in_a_shrunk_photograph_stays_where_it_was_and_fine_patterns_become_grey(width: int, height: int) -> None:
    ys, xs = np.mgrid[0:121, 0:241]  # odd sizes: halving leaves a row and a column over
    half_black = np.where(xs < 100, 0, 250).astype(np.uint8)
    board = ((xs + ys) % 2 * 250).astype(np.uint8)
    quads = box_to_quad(0, 0, 240, 120), box_to_quad(0, 0, width, height)
    edge, grey = (photograph(picture, *quads, (width, height)) for picture in (half_black, board))
    black_px = (1 - edge[1:-1] / 250).sum(axis=1)
    assert np.abs(black_px - width * 100 / 240).max() < 0.1
    assert np.count_nonzero((edge[height // 2] > 10) & (edge[height // 2] < 240)) <= 3
    assert grey.min() >= 95 and grey.max() <= 155
    colour = photograph(np.dstack([half_black] * 3), *quads, (width, height))
    assert np.abs(colour.astype(int) - edge[..., None]).max() <= 1


def test_grey_of_a_grey_picture_is_the_same() -> None:
    image = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    for seed in range(10):
        grey = to_grey(image, random.Random(seed))
        assert np.abs(grey.astype(int) - image[..., 0]).max() <= 1


def test_light_without_difficulty_changes_nothing() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for seed in range(10):
        assert np.abs(expose(image, random.Random(seed), 0.0).astype(int) - image).max() <= 1
        assert np.array_equal(defocus(image, 20, random.Random(seed), 0.0), image)


@pytest.mark.parametrize("shape", [(48, 192), (48, 192, 3)])
def test_camera_keeps_shape_and_depends_on_the_seed_alone(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    pictures = []
    for seed in (*range(12), *range(12)):
        rng = random.Random(seed)
        picture = record(defocus(expose(image, rng, 1.0), 30, rng, 1.0), rng, 1.0)
        assert picture.shape == shape and picture.dtype == np.uint8
        pictures.append(picture.tobytes())
    assert pictures[:12] == pictures[12:]
    assert len(set(pictures)) == 12
