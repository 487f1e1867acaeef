import math
import random

import numpy as np
import pytest

from openplate.synthesize.faces import Camera, Face, Sheet, gloss, glow, lay, put_over, rounded, signed_area, smear, texture_levels

LEVEL = Camera(200, 100, focal_px=100, height_m=1.0, pitch=0.0)


@pytest.mark.parametrize(
    ("situation", "camera", "point", "pixel"),
    [
        ("straight ahead at the camera's height: the picture's middle", LEVEL, (0, 1, 10), (100, 50)),
        ("1 m to the right at 10 m: 10 px", LEVEL, (1, 1, 10), (110, 50)),
        ("on the ground at 10 m: 10 px down", LEVEL, (0, 0, 10), (100, 60)),
        ("twice as far: half as much", LEVEL, (1, 0, 20), (105, 55)),
        ("a camera turned right by 45° has (10, 10) in its middle", Camera(200, 100, 100, 1.0, 0.0, math.pi / 4), (10, 1, 10), (100, 50)),
        ("a camera that looks 45° down has the ground 1 m before it in its middle", Camera(200, 100, 100, 1.0, math.pi / 4), (0, 0, 1), (100, 50)),
    ],
)
def test_points_are_projected_by_hand(situation: str, camera: Camera, point: tuple[float, float, float], pixel: tuple[float, float]) -> None:
    pixels, _ = camera.project(np.array([point], np.float64))
    assert pixels[0].tolist() == pytest.approx(pixel), situation


def test_depth_is_the_distance_along_the_view_and_the_horizon_rises_with_the_pitch() -> None:
    assert LEVEL.project(np.array([[3.0, 0.0, 7.0]]))[1][0] == pytest.approx(7.0)
    assert LEVEL.horizon_px == 50
    assert Camera(200, 100, 100, 1.0, math.atan(0.5)).horizon_px == pytest.approx(0.0)


def test_face_is_drawn_where_its_corners_lie_and_nowhere_else() -> None:
    sheet = Sheet(0, 1, 0, 1, 64)
    sheet.fill([(0, 1), (1, 1), (1, 0), (0, 0)], (200.0, 100.0, 50.0), body=True)
    layer = np.zeros((40, 60, 4), np.uint8)
    corners = np.array([[10, 5], [50, 5], [50, 25], [10, 25]], np.float64)
    lay(layer, Face(np.zeros((4, 3)), texture_levels(sheet.layer())), corners)
    assert layer[15, 30].tolist() == [200, 100, 50, 255]
    assert layer[6:24, 11:49, 3].min() > 250
    assert layer[:4].max() == layer[27:].max() == layer[:, :8].max() == layer[:, 52:].max() == 0


def test_layer_over_a_frame_mixes_by_its_coverage() -> None:
    frame = np.full((2, 2, 3), 100, np.uint8)
    layer = np.zeros((2, 2, 4), np.uint8)
    layer[0, 0] = (200, 0, 0, 255)
    layer[0, 1] = (100, 0, 0, 128)  # half covered by (200, 0, 0)
    put_over(frame, layer)
    assert frame[0, 0].tolist() == [200, 0, 0]
    assert frame[0, 1].tolist() == pytest.approx([150, 50, 50], abs=1)
    assert frame[1].tolist() == [[100, 100, 100]] * 2


def test_motion_blur_of_8_px_turns_an_edge_into_a_ramp_of_8_px() -> None:
    picture = np.zeros((5, 40, 3), np.uint8)
    picture[:, 20:] = 240
    row = smear(picture, (8.0, 0.0))[2, :, 0].astype(int)
    assert row[:15].tolist() == [0] * 15 and row[25:].tolist() == [240] * 15
    assert (np.diff(row) >= 0).all()
    assert row[[17, 22]].tolist() == pytest.approx([45, 195], abs=20)  # (17 + 4 - 19.5) / 8 of 240, and its mirror


def test_motion_blur_goes_along_the_way_only_and_short_ways_change_nothing() -> None:
    picture = np.zeros((41, 41, 3), np.uint8)
    picture[20, 20] = 255
    spread = smear(picture, (0.0, 10.0))[..., 0]
    assert spread[:, :19].max() == spread[:, 22:].max() == 0
    assert np.flatnonzero(spread[:, 20]).min() >= 14 and np.flatnonzero(spread[:, 20]).max() <= 26
    assert smear(picture, (0.5, 0.2)) is picture


def test_glow_is_brightest_in_its_middle_and_ends() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    glow(frame, (50.0, 50.0), 8.0, (255, 250, 240), 1.0)
    assert frame[50, 50, 0] == 255
    assert 0 < frame[50, 62, 0] < 120
    assert frame[:20].max() == 0


def test_corners_are_cut_by_the_rounding_and_no_more() -> None:
    points = np.array(rounded([(0, 0), (10, 0), (10, 10), (0, 10)], 2.0))
    assert points.min() == 0 and points.max() == 10
    assert np.linalg.norm(points, axis=1).min() == pytest.approx(math.sqrt(2) / 2)  # the curve's middle: a quarter of each end's 2 from the corner
    assert abs(signed_area(points[np.argsort(np.arctan2(*(points - 5).T[::-1]))])) == pytest.approx(100, abs=4)


def test_area_is_positive_when_corners_run_clockwise_on_the_screen() -> None:
    quad = np.array([[0, 0], [4, 0], [4, 3], [0, 3]], np.float64)
    assert (signed_area(quad), signed_area(quad[::-1])) == (12.0, -12.0)


def test_light_multiplies_each_colour() -> None:
    sheet = Sheet(0, 1, 0, 1, 8)
    sheet.fill([(0, 1), (1, 1), (1, 0), (0, 0)], 200.0, body=True)
    sheet.dim(np.array([1.0, 0.5, 0.25]))
    assert sheet.rgb[4, 4].tolist() == [200, 100, 50]


def test_gloss_depends_on_the_seed_alone() -> None:
    sheets = []
    for seed in (1, 1, 2):
        sheet = Sheet(0, 1, 0, 1, 40)
        sheet.fill([(0, 1), (1, 1), (1, 0), (0, 0)], 150.0, body=True)
        gloss(sheet, random.Random(seed))
        sheets.append(sheet.rgb)
    assert np.array_equal(sheets[0], sheets[1]) and not np.array_equal(sheets[0], sheets[2])
