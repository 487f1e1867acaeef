import random

import numpy as np
import pytest

from openplate.formats import Automaton, load_formats, select
from openplate.geometry import box_to_quad, quad_size, quad_to_box
from openplate.synthesize import scenes
from openplate.synthesize.photos import Photo
from openplate.synthesize.plates import DrawnPlate
from openplate.synthesize.scenes import draw_recess, draw_scene, draw_window, paste, replace_plates, scatter_plates
from openplate.types import Quad
from tests.synthesize.conftest import quartered, scaled

RU = select(load_formats(), ["RU"])
NOISE = np.random.default_rng(0).integers(60, 120, (240, 320, 3), np.uint8)


def plain_plate(*_: object, **__: object) -> DrawnPlate:
    """A plate of four plain quarters, 200×50 px."""
    picture = np.repeat(quartered(200, 50, margin=30)[..., None], 3, axis=2)
    return DrawnPlate(picture, box_to_quad(30, 30, 230, 80), "A123BC77", RU[0].types[0], 8)


def inside_share(quad: Quad, side: int) -> float:
    x0, y0, x1, y1 = quad_to_box(quad)
    return max(0.0, min(x1, side) - max(x0, 0)) * max(0.0, min(y1, side) - max(y0, 0)) / ((x1 - x0) * (y1 - y0))


def test_same_seed_gives_same_scene() -> None:
    (first, plates), (again, plates_again), (other, _) = (draw_scene(seed, 320, 192) for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert [p.text for p in plates] == [p.text for p in plates_again]
    assert not np.array_equal(first, other)


def test_plates_of_a_scene_lie_in_it_apart_from_each_other_with_texts_of_their_type() -> None:
    automaton = Automaton(RU[0].types)
    counts = set()
    for seed in range(12):
        image, plates = draw_scene(seed, 320, 192)
        assert image.shape == (192, 320, 3) and image.dtype == np.uint8
        counts.add(len(plates))
        boxes = [quad_to_box(p.quad) for p in plates]
        for plate, (x0, y0, x1, y1) in zip(plates, boxes, strict=True):
            assert x0 > -1 and y0 > -1 and x1 < 321 and y1 < 193
            assert plate.exact and not plate.ignore and plate.country == "RU"
            assert plate.type in [t.name for t in automaton.matches(plate.text or "")]
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for i, a in enumerate(boxes) for b in boxes[:i])
    assert counts <= {0, 1, 2, 3} and max(counts) >= 2


def test_pasted_plate_lies_in_its_quad_and_nowhere_else() -> None:
    target = np.array([[40, 60], [240, 80], [238, 130], [44, 108]], dtype=np.float32)
    image = np.zeros((200, 300, 3), np.uint8)
    paste(image, plain_plate(), target, random.Random(1))
    levels = [int(image[y, x].mean()) for x, y in scaled(target, 0.8)]
    assert levels == sorted(levels) and levels[0] > 20  # TL TR BR BL, darkest first
    assert [int(image[y, x].max()) for x, y in scaled(target, 1.4)] == [0, 0, 0, 0]


def test_plate_pasted_outside_the_image_changes_nothing() -> None:
    image = NOISE.copy()
    paste(image, plain_plate(), box_to_quad(500, 500, 600, 525), random.Random(0))
    assert np.array_equal(image, NOISE)


def test_replaced_plates_have_exact_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "draw_plate", plain_plate)
    old = [box_to_quad(20, 40, 130, 70), box_to_quad(60, 150, 160, 175)]
    found = 0
    for seed in range(12):
        image, plates = replace_plates(NOISE, old, RU, random.Random(seed))
        assert image.shape == NOISE.shape
        for plate in plates:
            assert (plate.text, plate.country, plate.exact, plate.ignore) == ("A123BC77", "RU", True, False)
            if inside_share(plate.quad, 240) < 1:
                continue
            # Off the middle of a quarter no blur reaches: darkest TL, then TR, BR, and BL.
            levels = [int(image[y, x].astype(int).mean()) for x, y in scaled(plate.quad, 0.5)]
            assert levels == sorted(levels) and levels[0] < levels[3], seed
            found += 1
    assert found > 12


def test_replacing_keeps_the_photo_it_was_given_and_what_lies_far_from_plates() -> None:
    before = NOISE.copy()
    image, plates = replace_plates(NOISE, [box_to_quad(100, 100, 180, 120)], RU, random.Random(0))
    assert np.array_equal(NOISE, before)
    assert len(plates) == 1
    assert quad_size(plates[0].quad)[0] == pytest.approx(80, rel=0.6)
    assert np.array_equal(image[:40], before[:40]) and np.array_equal(image[200:], before[200:])


def test_scattered_plates_are_whole_and_apart() -> None:
    plates: list[scenes.ScenePlate] = []
    scatter_plates(NOISE.copy(), plates, RU, random.Random(3), (20, 80), 12)
    assert len(plates) >= 3
    boxes = [quad_to_box(p.quad) for p in plates]
    assert all(x0 > -4 and y0 > -4 and x1 < 324 and y1 < 244 for x0, y0, x1, y1 in boxes)
    assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize("upright", [True, False])
def test_kept_plates_are_exact_unless_their_labels_are_boxes_and_ignored_when_cut(monkeypatch: pytest.MonkeyPatch, upright: bool) -> None:
    monkeypatch.setattr(scenes, "draw_scene", lambda _seed, width, height, *_, **__: (np.zeros((height, width, 3), np.uint8), []))
    photo = Photo(NOISE, (box_to_quad(130, 110, 190, 125),), (upright,), ("A123BC77",))
    monkeypatch.setattr(scenes, "_fill_around", lambda image, *_: image)  # it would hide plates behind the photo
    states = []
    for seed in range(40):
        image, plates = draw_window([photo], RU, random.Random(seed), 96, keep_share=1.0)
        assert image.shape == (96, 96, 3) and image.dtype == np.uint8
        for plate in plates:
            if plate.country is None:
                assert plate.text == "A123BC77"
                assert plate.exact != upright
                assert not plate.ignore or plate.quad.min() < 0 or plate.quad.max() > 96
                states.append(plate.ignore)
    assert True in states and states.count(False) > 10


def test_cut_window_marks_a_plate_ignored_when_less_than_half_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = Photo(NOISE, (box_to_quad(130, 110, 190, 125),), (False,), (None,))
    for shift, ignored in ((0.0, False), (70.0, True)):
        quad = np.asarray(photo.quads[0] - [130 - shift, 80], dtype=np.float32)
        monkeypatch.setattr(scenes, "_cut_window", lambda *_, quad=quad: (NOISE[:96, :96].copy(), [quad], np.full((96, 96), 255, np.uint8)))
        rng = random.Random(1)
        _, plates = draw_window([photo], RU, rng, 96, keep_share=1.0)
        kept = [p for p in plates if p.text is None]
        assert [p.ignore for p in kept] == [ignored]  # 60 px wide: all of it shows, or 26 px


def test_frames_of_drawn_video_keep_their_plates_and_covered_ones_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "FRAME_SHARE", 1.0)
    frame = Photo(NOISE, (box_to_quad(130, 100, 170, 110), box_to_quad(130, 115, 170, 125)), (False, False), ("A123BC77", "B456EK99"), (False, True))
    ignored: dict[str, set[bool]] = {"A123BC77": set(), "B456EK99": set()}
    for seed in range(30):
        _, plates = draw_window([], RU, random.Random(seed), 96, keep_share=0.0, frames=[frame])
        for plate in plates:
            if plate.country is None and plate.text and plate.quad.min() >= 0 and plate.quad.max() <= 96:
                ignored[plate.text].add(plate.ignore)
    assert ignored == {"A123BC77": {False}, "B456EK99": {True}}


def test_windows_of_frames_show_signs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame with a plate at one end and a red sign at the other: some windows are cut around each."""
    monkeypatch.setattr(scenes, "FRAME_SHARE", 1.0)
    for plates in ((box_to_quad(20, 100, 60, 110),), ()):
        image = np.full((240, 960, 3), 90, np.uint8)
        image[100:120, 880:920] = (255, 0, 0)
        frame = Photo(image, plates, (False,) * len(plates), ("A123BC77",) * len(plates), (False,) * len(plates), (box_to_quad(880, 100, 920, 120),))
        windows = [draw_window([], RU, random.Random(seed), 96, keep_share=0.0, frames=[frame]) for seed in range(40)]
        red = sum(bool(((w[..., 0].astype(int) - w[..., 1]) > 60).sum() > 40) for w, _ in windows)
        with_plate = sum(any(plate.text == "A123BC77" for plate in found) for _, found in windows)
        assert red > (20 if not plates else 5), red
        assert with_plate > 15 if plates else with_plate == 0


def test_replaced_plates_of_a_window_are_exact_and_have_texts() -> None:
    photo = Photo(NOISE, (box_to_quad(130, 110, 190, 125),), (True,), ("A123BC77",))
    texts: list[str | None] = []
    for seed in range(25):
        _, plates = draw_window([photo], RU, random.Random(seed), 96, keep_share=0.0)
        texts += [p.text for p in plates]
        assert all(p.exact for p in plates)
        assert all(not p.ignore and 1 <= (p.first_line or 0) <= len(p.text or "") for p in plates if p.country)
    assert len([t for t in texts if t]) > 10


def test_window_without_photos_is_cut_from_a_drawn_street() -> None:
    first, again = (draw_window([], RU, random.Random(9), 96, 0.3) for _ in range(2))
    assert first[0].shape == (96, 96, 3)
    assert np.array_equal(first[0], again[0])
    seen = [plate for seed in range(12) for plate in draw_window([], RU, random.Random(seed), 96, 0.3)[1]]
    assert len(seen) > 6 and all(plate.exact for plate in seen)


def test_recess_is_drawn_around_the_plate_s_place_and_not_far_from_it() -> None:
    plate = box_to_quad(300, 200, 400, 230)
    for seed in range(30):
        image = np.full((400, 700, 3), 128, np.uint8)
        draw_recess(image, plate, random.Random(seed))
        changed = np.argwhere((image != 128).any(axis=2))
        assert len(changed)
        (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
        # It begins outside the plate and reaches at most 0.9 × 1.3 widths beside it, 0.6 and 0.5 heights above and below; edges and blur add a few px.
        assert left <= 300 and right >= 399 and top <= 200 and bottom >= 229
        assert left >= 300 - 117 - 8 and right <= 400 + 117 + 8 and top >= 200 - 18 - 8 and bottom <= 230 + 15 + 8


def test_recess_that_lies_outside_the_picture_changes_nothing() -> None:
    image = np.full((50, 50, 3), 128, np.uint8)
    draw_recess(image, box_to_quad(300, 200, 400, 230), random.Random(1))
    assert (image == 128).all()


def test_plates_of_a_window_lean_far_where_that_is_asked_for() -> None:
    photo = Photo(np.full((400, 400, 3), 120, np.uint8), (box_to_quad(120, 180, 260, 215),), (False,), (None,))
    ru = select(load_formats(), ["ru"])

    def turned(lean_share: float) -> float:
        plates = [p for n in range(40) for p in draw_window([photo], ru, random.Random(n), 256, 0.0, lean_share)[1] if p.exact and not p.ignore]
        assert len(plates) > 20
        return float(np.mean([abs(np.degrees(np.arctan2(*(p.quad[1] - p.quad[0])[::-1]))) > 20 for p in plates]))

    assert turned(0.0) < 0.1
    assert turned(1.0) > 0.25
