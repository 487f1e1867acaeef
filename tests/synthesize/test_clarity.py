"""What a recording keeps of a plate: measured on pictures of which it is known what was done to them."""

import random
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from openplate.formats import load_formats, select
from openplate.geometry import box_to_quad
from openplate.synthesize.clarity import clarity, parts_to_tell, plate_strip
from openplate.synthesize.plates import draw_plate
from openplate.types import Image, Quad

(RU,) = select(load_formats(), ["ru"])
QUAD = box_to_quad(40, 30, 120, 48)


PLATE = draw_plate(RU.types[0], random.Random(4), width_px=260, margin=0.05, wear=0.0)


def scene(quad: Quad = QUAD) -> Image:
    """The drawn plate on a grey wall."""
    image = np.full((80, 160, 3), 110, np.uint8)
    to = cv2.getPerspectiveTransform(PLATE.quad, quad)
    soft = cv2.GaussianBlur(PLATE.image, (0, 0), 0.4 * 260 / (quad[1, 0] - quad[0, 0]))
    return np.asarray(cv2.warpPerspective(soft, to, (160, 80), dst=image, borderMode=cv2.BORDER_TRANSPARENT), dtype=np.uint8)


def kept(recorded: Image, quad: Quad = QUAD) -> float:
    return clarity(plate_strip(PLATE.image, PLATE.quad), plate_strip(recorded, quad), 1, PLATE.characters)


def test_artwork_itself_is_kept_whole() -> None:
    assert kept(PLATE.image, PLATE.quad) == pytest.approx(1.0)


def test_smaller_plates_keep_less() -> None:
    quads = [box_to_quad(4, 10, 4 + width, 10 + width * 112 / 520) for width in (140, 100, 70, 40)]
    values = [kept(scene(quad), quad) for quad in quads]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.7 and values[-1] < 0.4


def test_light_does_not_matter() -> None:
    image = scene()
    assert kept((image // 2 + 20).astype(np.uint8)) == pytest.approx(kept(image), abs=0.02)
    ramp = np.linspace(0.5, 1.0, 160)[None, :, None]
    assert kept((image * ramp).astype(np.uint8)) == pytest.approx(kept(image), abs=0.05)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda image, much: cv2.GaussianBlur(image, (0, 0), (0.4, 1.5, 4.0)[much]),
        lambda image, much: np.clip(image + np.random.default_rng(1).normal(0, (8, 50, 160)[much], (80, 160, 1)), 0, 255).astype(np.uint8),
        lambda image, much: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, (90, 15, 1)[much]])[1], cv2.IMREAD_COLOR),
    ],
    ids=["blur", "noise", "codec"],
)
def test_the_more_a_recording_spoils_the_less_is_kept(spoil: Callable[[Image, int], Image]) -> None:
    values = [kept(scene()), *(kept(spoil(scene(), much)) for much in range(3))]
    assert values[1:] == sorted(values[1:], reverse=True)
    assert values[0] > 0.6 and abs(values[1] - values[0]) < 0.1 and values[3] < 0.85 * values[0]


def test_flat_grey_or_another_text_is_not_the_plate() -> None:
    flat = scene()
    flat[30:48, 40:120] = 128
    assert kept(flat) == 0.0
    mirrored = scene()
    mirrored[30:48, 40:120] = mirrored[30:48, 40:120][:, ::-1]
    assert kept(mirrored) < 0.3


def test_the_worst_character_counts_also_at_the_edges() -> None:
    before = kept(scene())
    for x0, y0, x1, y1 in PLATE.characters:
        image = scene()
        left, right, top, bottom = 40 + 80 * x0, 40 + 80 * x1, 30 + 18 * y0, 30 + 18 * y1
        image[int(top) - 1 : int(bottom) + 2, int(left) - 1 : int(right) + 2] = 128
        assert kept(image) < 0.4 * before, (x0, x1)
    rim = scene()
    rim[30:33, 40:120] = 128
    assert kept(rim) == pytest.approx(before, abs=0.1), "above the characters"


def test_dots_of_an_umlaut_count_for_themselves() -> None:
    (de,) = select(load_formats(), ["de"])
    chosen = next(t for t in de.types if t.id == "2-letter")
    plate = draw_plate(chosen, random.Random(4), width_px=260, margin=0.05, wear=0.0, texts=("MÜ", "K", "8275"))
    strip = plate_strip(plate.image, plate.quad)
    parts = parts_to_tell(plate.text, plate.characters)
    assert parts[:7] == plate.characters and len(parts) == 8
    assert clarity(strip, strip, 1, parts) == pytest.approx(1.0)
    height, width = strip.shape
    x0, y0, x1, y1 = parts[7]
    left, right, top, bottom = round(x0 * width), round(x1 * width), round(y0 * height), round(y1 * height)
    without = strip.copy()
    without[top - 1 : bottom, left:right] = np.percentile(strip[:, left:right], 90)
    assert clarity(strip, without, 1, plate.characters) > 0.6, "a U is much like an Ü"
    assert clarity(strip, without, 1, parts) < 0.45
    assert parts_to_tell("MUK8275", plate.characters) == plate.characters


@pytest.mark.parametrize("country", ["ru", "de", "us", "by"])
def test_characters_lie_where_they_were_drawn(country: str) -> None:
    (chosen,) = select(load_formats(), [country])
    for seed in range(12):
        plate = draw_plate(chosen.types[seed % len(chosen.types)], random.Random(seed), width_px=320, margin=0.05, wear=0.0)
        assert len(plate.characters) == len(plate.text)
        strip = plate_strip(plate.image, plate.quad)
        height, width = strip.shape
        for x0, y0, x1, y1 in plate.characters:
            inside = strip[max(0, round(y0 * height)) : round(y1 * height), max(0, round(x0 * width)) : round(x1 * width)]
            assert np.percentile(inside, 95) - np.percentile(inside, 5) > 30, (plate.text, x0)


def test_strip_has_the_size_of_the_plate() -> None:
    image = np.zeros((80, 160, 3), np.uint8)
    image[30:48, 40:120] = 255
    strip = plate_strip(image, box_to_quad(40, 30, 120, 48))
    assert strip.shape == (18, 80)
    assert (strip[1:-1, 1:-1] == 255).all()
