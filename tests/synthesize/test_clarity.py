"""What a recording keeps of a plate: measured on pictures of which it is known what was done to them."""

import random
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from openplate.formats import load_formats, select
from openplate.geometry import box_to_quad
from openplate.synthesize.clarity import clarity, plate_strip
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
    return clarity(plate_strip(PLATE.image, PLATE.quad), plate_strip(recorded, quad), 1)


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
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.6 and values[3] < 0.85 * values[0]


def test_flat_grey_or_another_text_is_not_the_plate() -> None:
    flat = scene()
    flat[30:48, 40:120] = 128
    assert kept(flat) == 0.0
    mirrored = scene()
    mirrored[30:48, 40:120] = mirrored[30:48, 40:120][:, ::-1]
    assert kept(mirrored) < 0.3


def test_strip_has_the_size_of_the_plate_and_leaves_out_its_rim() -> None:
    image = np.zeros((80, 160, 3), np.uint8)
    image[30:48, 40:120] = 255
    image[33:45, 50:110] = 90
    strip = plate_strip(image, box_to_quad(40, 30, 120, 48))
    assert strip.shape == (18, 80)
    assert set(np.unique(plate_strip(image, box_to_quad(50, 33, 110, 45)))) == {90}
