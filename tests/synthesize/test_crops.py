import random
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from openplate.errors import OpenPlateError
from openplate.formats import Automaton, load_formats, select
from openplate.geometry import box_to_quad, quad_size
from openplate.synthesize import crops, recorder
from openplate.synthesize.crops import Material, choose_type, draw_crops, draw_photo, empty_crop, jitter_quad, mix_crops, view
from openplate.synthesize.photos import Patch, Photo
from tests.synthesize.conftest import LEVELS, quartered, scaled

RU = select(load_formats(), ["RU"])
PATCH = Patch(np.full((60, 140, 3), 255, np.uint8), box_to_quad(20, 20, 120, 40), "京A12345")


def test_same_seed_gives_same_crops_and_another_seed_others() -> None:
    first, again, other = (list(islice(draw_crops(RU, seed), 6)) for seed in (1, 1, 2))
    assert all(np.array_equal(a.crop, b.crop) and a.text == b.text for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a.crop, b.crop) for a, b in zip(first, other, strict=True))


def test_views_of_one_plate_come_one_after_another() -> None:
    entries = list(islice(draw_crops(RU, 5, views=3), 6))
    texts = [entry.text for entry in entries]
    assert texts[:3] == [texts[0]] * 3 and texts[3:] == [texts[3]] * 3 and texts[0] != texts[3]
    assert len({entry.crop.tobytes() for entry in entries}) == 6
    for entry in entries:
        assert entry.crop.shape == (48, 192) and entry.crop.dtype == np.uint8
        assert entry.type is not None and Automaton([entry.type]).matches(entry.text)


def test_types_are_chosen_by_country_and_then_by_weight() -> None:
    formats = select(load_formats(), ["RU", "FI"])
    rng = random.Random(0)
    chosen = [choose_type(formats, rng) for _ in range(2000)]
    share = sum(t.country == "RU" for t in chosen) / 2000
    first = RU[0].types[0]
    within = sum(t is first for t in chosen) / sum(t.country == "RU" for t in chosen)
    assert share == pytest.approx(formats[0].weight / (formats[0].weight + formats[1].weight), abs=0.05)
    assert within == pytest.approx(first.weight / sum(t.weight for t in RU[0].types), abs=0.06)


def test_type_is_chosen_as_many_times_as_often_as_it_says() -> None:
    first, second = (replace(t, weight=1.0) for t in RU[0].types[:2])
    rng = random.Random(0)
    chosen = [choose_type([replace(RU[0], types=(first, replace(second, drawn=3.0)))], rng).id for _ in range(2000)]
    assert chosen.count(second.id) / 2000 == pytest.approx(0.75, abs=0.04)


def test_types_that_are_only_read_are_never_chosen_and_change_no_choice() -> None:
    drawn = [replace(RU[0], types=tuple(t for t in RU[0].types if t.drawn))]
    assert len(drawn[0].types) == len(RU[0].types) - 2
    first, second = random.Random(9), random.Random(9)
    assert [choose_type(RU, first).id for _ in range(500)] == [choose_type(drawn, second).id for _ in range(500)]


def test_photo_of_a_plate_is_in_colour_with_its_quad_inside() -> None:
    coloured = 0
    for seed in range(12):
        drawn = draw_photo(RU, random.Random(seed), 0.85)
        height, width, channels = drawn.image.shape
        assert channels == 3 and Automaton([drawn.type]).matches(drawn.text)
        assert drawn.quad.min() >= 0 and drawn.quad[:, 0].max() <= width and drawn.quad[:, 1].max() <= height
        coloured += bool(np.ptp(drawn.image.astype(np.int16), axis=2).max() > 20)
    assert coloured >= 8  # the others are in deep shadow, or without a flag


def test_quad_of_a_view_encloses_the_plate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops, "degrade", lambda photo, *_: photo)
    picture, quad = quartered(240, 60, margin=40), box_to_quad(40, 40, 280, 100)
    for seed in range(60):
        photo, seen = view(picture, quad, random.Random(seed), 1.0)
        height, width = photo.shape
        assert seen.min() > 0 and seen[:, 0].max() < width and seen[:, 1].max() < height
        inside = [int(photo[y, x]) for x, y in scaled(seen, 0.75)]
        outside = [int(photo[y, x]) for x, y in scaled(seen, 1.25) if 0 <= x < width and 0 <= y < height]
        assert inside == pytest.approx(LEVELS, abs=24), seed  # levels lie 50 apart
        assert all(value < 60 for value in outside), seed


def test_view_without_difficulty_is_upright() -> None:
    _, seen = view(np.zeros((140, 320), np.uint8), box_to_quad(40, 40, 280, 100), random.Random(3), 0.0)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = seen.tolist()
    assert (y0, x1, y2, x3) == pytest.approx((y1, x2, y3, x0), abs=1e-3)
    assert (x1 - x0) / (y3 - y0) == pytest.approx(4.0, rel=1e-4)
    assert 60 <= x1 - x0 <= 230


def test_jitter_is_small_mostly_and_bounded_always() -> None:
    quad = box_to_quad(100, 100, 200, 120)
    rng = random.Random(0)
    away = np.array([np.linalg.norm(jitter_quad(quad, rng, 0.06) - quad, axis=1).max() for _ in range(1500)])
    # One step is 0.06 of 20 px, 1.2 px: corners 1.3 of it and shift 1.0 of it, twice that one time in five; scale 1.5 % of 50 px.
    assert 1.5 < np.median(away) < 5
    assert away.max() < 20


def test_jitter_of_a_leaning_quad_is_now_and_then_its_upright_box() -> None:
    quad = np.array([[0, 0], [100, 40], [100, 60], [0, 20]], dtype=np.float32)
    rng = random.Random(1)
    heights = [quad_size(jitter_quad(quad, rng, 0.0))[1] for _ in range(400)]
    assert 0.06 < np.mean([h > 45 for h in heights]) < 0.2


def test_shares_of_upright_boxes_and_of_leaning_plates_are_what_was_asked_for() -> None:
    rng, leaning = random.Random(1), np.array([[0, 0], [100, 40], [92, 62], [-8, 22]], np.float32)
    upright = [np.ptp(jitter_quad(leaning, rng, 0.0, 0.5)[[0, 1], 1]) < 1 for _ in range(400)]
    assert 0.4 < np.mean(upright) < 0.6
    ru = select(load_formats(), ["ru"])

    def turned(lean_share: float) -> float:
        """The share of plates turned in the picture by more than 18°; mostly drawn plates turn by less."""
        quads = [crop.quad for crop in islice(draw_crops(ru, 5, 0.5, lean_share=lean_share), 150)]
        return float(np.mean([abs(np.degrees(np.arctan2(*(q[1] - q[0])[::-1]))) > 18 for q in quads]))

    assert turned(0.0) < 0.03
    assert turned(1.0) > 0.3


def test_mixed_crops_are_real_and_empty_in_their_shares() -> None:
    mixed = list(islice(mix_crops(RU, Material((PATCH,), ()), 4, 1.0, 3, 0.3, 0.2), 200))
    texts = [entry.text for entry in mixed]
    assert 0.2 < texts.count(PATCH.text) / 200 < 0.4
    assert 0.12 < texts.count("") / 200 < 0.28
    assert all(entry.crop.shape == (48, 192) for entry in mixed)


@pytest.mark.parametrize(("width", "least", "most"), [(60, 0.7, 0.9), (280, 0.2, 0.4)])
def test_small_real_plates_are_mostly_taken_as_they_are(monkeypatch: pytest.MonkeyPatch, width: int, least: float, most: float) -> None:
    again = []
    monkeypatch.setattr(crops, "view", lambda *args: again.append(1) or view(*args))
    patch = Patch(np.full((60, width + 40, 3), 255, np.uint8), box_to_quad(20, 20, 20 + width, 40), "B123ABC")
    mixed = list(islice(mix_crops(RU, Material((patch,), ()), 4, 1.0, 3, 1.0, 0.0), 200))
    assert least < 1 - len(again) / 200 < most
    assert all(entry.text == "B123ABC" and entry.crop.shape == (48, 192) for entry in mixed)


def test_without_patches_no_crop_is_real_and_empty_ones_keep_their_share() -> None:
    texts = [entry.text for entry in islice(mix_crops(RU, Material(), 4, 0.5, 3, 0.9, 0.05), 60)]
    assert texts.count("") < 12
    assert all(Automaton(RU[0].types).matches(text) for text in texts if text)


def test_patch_weights_hold_frequent_provinces_down() -> None:
    patches = tuple(Patch(PATCH.image, PATCH.quad, text) for text in ["皖A1"] * 16 + ["京A1"])
    weights = Material(patches).patch_weights()
    assert weights == pytest.approx([0.125] * 16 + [1.0])  # 16 ^ -0.75 = 1/8


def test_empty_crop_never_shows_a_plate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops, "degrade", lambda photo, *_: photo)
    image = np.zeros((300, 600, 3), np.uint8)
    image[140:160, 280:320] = 255
    photo = Photo(image, (box_to_quad(240, 110, 360, 190),), (False,), ("A123BC77",))
    for seed in range(40):
        crop = empty_crop([photo], random.Random(seed))
        assert crop.shape == (48, 192)
        assert crop.max() == 0, seed


def test_empty_crop_of_a_photo_full_of_plate_is_plain_and_without_photos_is_noise() -> None:
    covered = Photo(np.zeros((50, 100, 3), np.uint8), (box_to_quad(0, 0, 100, 50),), (False,), (None,))
    plain, noise = empty_crop([covered], random.Random(0)), empty_crop([], random.Random(0))
    assert plain.shape == noise.shape == (48, 192)
    assert plain.std() == 0 and noise.std() > 20


def test_chinese_crops_without_fonts_give_error(no_fonts: None) -> None:
    with pytest.raises(OpenPlateError, match="fonts-noto-cjk"):
        next(draw_crops(select(load_formats(), ["CN"]), 0))


def test_shares_of_filmed_and_of_rare_plates_are_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    filmed: list[float] = []

    def count(photo: np.ndarray, rng: random.Random) -> np.ndarray:
        filmed.append(1)
        return photo

    monkeypatch.setattr(recorder, "film", count)
    de = select(load_formats(), ["de"])
    plain = list(islice(draw_crops(de, 5, 0.5, 1), 150))
    assert not filmed
    changed = list(islice(draw_crops(de, 5, 0.5, 1, filmed_share=0.4, rare_share=1.0), 150))
    assert 0.3 < len(filmed) / 150 < 0.5
    rare = [float(np.mean([not entry.text.isascii() for entry in entries])) for entries in (plain, changed)]
    assert rare[0] < 0.1 and rare[1] > max(0.12, 2 * rare[0])
    assert all(Automaton(de[0].types).matches(entry.text) for entry in changed)
    widths = [quad_size(entry.quad)[0] for entry in islice(draw_crops(de, 5, 0.5, 1, filmed_share=1.0), 100)]
    assert max(widths) < 190 < max(quad_size(entry.quad)[0] for entry in plain), "plates in films are smaller"


def test_german_numbers_do_not_begin_with_zero() -> None:
    de = select(load_formats(), ["de"])
    formats = Automaton(de[0].types)
    assert formats.matches("FUK7") and formats.matches("BK1000")
    assert not formats.matches("FUK07") and not formats.matches("HONH054")
