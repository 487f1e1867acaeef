import random
from dataclasses import replace

import numpy as np
import pytest

from openplate.formats import load_formats, select
from openplate.geometry import box_to_quad, quad_size, quad_to_box
from openplate.synthesize.faces import Camera
from openplate.synthesize.plates import draw_plate
from openplate.synthesize.vehicles import End, Kind, Place, Vehicle, build_vehicle, draw_faces, project_quad
from tests.synthesize.conftest import LEVELS, quartered, scaled

DAY = np.ones(3)
STILL = np.array([[1.0, 0, 0], [0, 1, 0]])
CAMERA = Camera(640, 360, focal_px=600, height_m=1.2, pitch=0.05)
TYPE = next(t for t in select(load_formats(), ["RU"])[0].types if t.size_mm == (520, 112))


def vehicle(kind: Kind, end: End, seed: int = 1, light: float = 1.0, plate_light: float = 1.0) -> Vehicle:
    picture = np.repeat(quartered(260, 56, margin=40)[..., None], 3, axis=2)
    drawn = replace(draw_plate(TYPE, random.Random(0), width_px=64), image=picture, quad=box_to_quad(40, 40, 300, 96))
    return build_vehicle(kind, end, drawn, random.Random(seed), DAY * light, DAY * plate_light)


@pytest.mark.parametrize("kind", ["car", "van", "lorry"])
@pytest.mark.parametrize("end", ["front", "rear"])
def test_plate_is_seen_as_large_as_it_is_and_upright(kind: Kind, end: End) -> None:
    """0.52 m at 6 m through 600 px: 52 px."""
    quad = project_quad(vehicle(kind, end).plate, Place(0.3, 6.0), Camera(640, 360, 600, 1.2, 0.0), STILL)
    width, height = quad_size(quad)
    assert width == pytest.approx(52.0, abs=0.3)
    assert height == pytest.approx(52.0 * 56 / 260, abs=0.2)
    assert quad[1, 0] - quad[0, 0] > 50 and quad[3, 1] > quad[0, 1]


@pytest.mark.parametrize("kind", ["car", "van", "lorry"])
@pytest.mark.parametrize("end", ["front", "rear"])
def test_plate_s_pixels_lie_in_its_quad(kind: Kind, end: End) -> None:
    body, place = vehicle(kind, end), Place(-0.5, 4.0, 0.2)
    frame = np.zeros((360, 640, 3), np.uint8)
    drawn = draw_faces(frame, body.faces, place, CAMERA, STILL)
    quad = project_quad(body.plate, place, CAMERA, STILL)
    seen = [float(frame[y, x].mean()) for x, y in scaled(quad, 0.6)]
    assert seen == sorted(seen)  # TL TR BR BL, darkest first
    assert all(0.7 * level < value < 1.15 * level + 10 for value, level in zip(seen, LEVELS, strict=True))
    assert drawn is not None
    x0, y0, x1, y1 = quad_to_box(quad)
    assert drawn.box[0] <= x0 and drawn.box[1] <= y0 and drawn.box[2] >= x1 and drawn.box[3] >= y1
    left, top = round(x0) - drawn.box[0], round(y0) - drawn.box[1]
    assert drawn.coverage[top + 3 : top + round(y1 - y0) - 3, left + 3 : left + round(x1 - x0) - 3].min() == 255


def test_body_darkens_with_the_light_and_the_plate_with_its_own() -> None:
    frames = []
    for light, plate_light in ((1.0, 1.0), (0.2, 0.8)):
        body = vehicle("car", "rear", light=light, plate_light=plate_light)
        frame = np.zeros((360, 640, 3), np.uint8)
        draw_faces(frame, body.faces, Place(0.0, 4.0), CAMERA, STILL)
        x, y = project_quad(body.plate, Place(0.0, 4.0), CAMERA, STILL).mean(axis=0)
        frames.append((frame[: int(y) - 30].max(), frame[int(y) + 3, int(x) + 10].mean()))
    (body_day, plate_day), (body_night, plate_night) = frames
    assert body_night < 0.4 * body_day
    assert plate_night == pytest.approx(0.8 * plate_day, rel=0.1)


def test_what_is_behind_the_camera_or_beside_the_picture_is_not_drawn() -> None:
    body = vehicle("car", "front")
    frame = np.zeros((360, 640, 3), np.uint8)
    assert draw_faces(frame, body.faces, Place(0.0, -8.0), CAMERA, STILL) is None
    assert draw_faces(frame, body.faces, Place(60.0, 10.0), CAMERA, STILL) is None
    assert frame.max() == 0


def test_shake_moves_quad_and_pixels_alike() -> None:
    body, place = vehicle("van", "rear"), Place(0.0, 5.0)
    moved = STILL.copy()
    moved[:, 2] = (17.0, -9.0)
    still, shaken = (np.zeros((360, 640, 3), np.uint8) for _ in range(2))
    draw_faces(still, body.faces, place, CAMERA, STILL)
    draw_faces(shaken, body.faces, place, CAMERA, moved)
    quads = [project_quad(body.plate, place, CAMERA, shift) for shift in (STILL, moved)]
    assert np.allclose(quads[1] - quads[0], (17.0, -9.0), atol=1e-3)
    assert np.abs(shaken[50:240, 100:500].astype(int) - still[59:249, 83:483]).mean() < 0.5


def test_same_seed_builds_the_same_vehicle() -> None:
    frames = []
    for seed in (4, 4, 5):
        frame = np.zeros((360, 640, 3), np.uint8)
        draw_faces(frame, vehicle("car", "front", seed).faces, Place(0.0, 5.0), CAMERA, STILL)
        frames.append(frame)
    assert np.array_equal(frames[0], frames[1]) and not np.array_equal(frames[0], frames[2])
