"""Plate types in, photos of drawn plates and endless training crops out; a training crop is rectified through a quad that is not exact."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.formats.model import Format, PlateType
from openplate.geometry import box_to_quad, quad_size, quad_to_box
from openplate.rectify import rectify
from openplate.synthesize.camera import Lean, Picture, defocus, expose, photograph, pose, record, to_grey
from openplate.synthesize.photos import Patch, Photo
from openplate.synthesize.plates import DrawnPlate, draw_plate
from openplate.types import Crop, Image, Quad

UPRIGHT_SHARE = 0.12
"""How often a plate is cut out by the upright box around it instead of by its corners, where nobody says."""
_ATTEMPTS = 8
STRONG_LEAN = Lean(50, 33)
"""How far plates lean that are drawn to be read whatever their pose; somewhat farther than any that is promised."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnCrop:
    """A crop with its text, of which `first_line` characters stand on the first line; `photo` and `quad` are what was rectified."""

    crop: Crop
    text: str
    first_line: int
    type: PlateType
    photo: Picture
    quad: Quad


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPhoto:
    """A photo of one drawn plate, `(H, W, 3) uint8 RGB`, with the plate's quad and text."""

    image: Image
    quad: Quad
    text: str
    type: PlateType


@dataclass(frozen=True, slots=True, eq=False)
class LabelledCrop:
    """A crop to train on: the first `first_line` characters of `text` stand on the first line, `country` is its code; None where nobody said."""

    crop: Crop
    text: str
    first_line: int | None
    country: str | None = None


def choose_type(formats: Sequence[Format], rng: random.Random) -> PlateType:
    """A plate type: the country by its weight, then the type by its weight and by how often it is to be drawn."""
    chosen = rng.choices(formats, [f.weight for f in formats])[0]
    types = [t for t in chosen.types if t.drawn]
    return rng.choices(types, [t.weight * t.drawn for t in types])[0]


def jitter_quad(quad: Quad, rng: random.Random, amount: float, upright_share: float = UPRIGHT_SHARE) -> Quad:
    """The quad as a detector would give it.

    Mostly corners off by `amount` of the plate's height (standard deviation) with a common shift and scale; a share of `upright_share` first becomes the
    upright box around the plate plus 0-8 %, as detectors without corners give it.
    """
    _, height = quad_size(quad)
    if rng.random() < upright_share:
        x0, y0, x1, y1 = quad_to_box(quad)
        grow = rng.uniform(-0.01, 0.08)
        dx, dy = (x1 - x0) * grow, (y1 - y0) * grow
        quad = box_to_quad(x0 - dx, y0 - dy, x1 + dx, y1 + dy)
    wild = 1.0 if rng.random() < 0.8 else 2.0
    spread = amount * height * wild
    corners = np.array([[rng.gauss(0, 1.3), rng.gauss(0, 0.8)] for _ in range(4)], np.float32) * spread
    shift = np.array([rng.gauss(0, 1.0), rng.gauss(0, 0.7)], np.float32) * spread
    centre = quad.mean(axis=0)
    scale = np.array([1 + rng.gauss(0.005, 0.015) * wild, 1 + rng.gauss(0.02, 0.05) * wild], np.float32)
    return np.asarray(centre + (quad - centre) * scale + corners + shift, dtype=np.float32)


def view(
    picture: NDArray[np.uint8], quad: Quad, rng: random.Random, difficulty: float, lean: Lean | None = None, filmed: bool = False
) -> tuple[Picture, Quad]:
    """A grey photo of a plate (`picture` with its `quad`, RGB or grey) under a random pose, size, light and camera, with the quad in it; a `filmed` one is
    a frame of a film, in which plates are smaller."""
    return view_as_is(to_grey(picture, rng) if picture.ndim == 3 else picture, quad, rng, difficulty, lean, filmed)


def view_as_is(
    picture: Picture, quad: Quad, rng: random.Random, difficulty: float, lean: Lean | None = None, filmed: bool = False
) -> tuple[Picture, Quad]:
    """Like `view`, in colour where the picture is (what is filmed has to be grey), and leaning as far as `lean` says."""
    width, height = quad_size(quad)
    low, high = 60 - 18 * difficulty, 150.0 if filmed else 230.0
    seen_width = math.exp(rng.uniform(math.log(low), math.log(high)))
    if height / width > 0.42:
        seen_width *= 0.72
    target = pose(seen_width, seen_width * height / width, rng, difficulty, lean)
    x0, y0, x1, y1 = quad_to_box(target)
    pad_x, pad_y = (x1 - x0) * 0.14 + 3, (y1 - y0) * 0.3 + 3
    size = math.ceil(x1 - x0 + 2 * pad_x), math.ceil(y1 - y0 + 2 * pad_y)
    target = np.asarray(target + np.array([pad_x - x0 + rng.random(), pad_y - y0 + rng.random()]), dtype=np.float32)
    photo = photograph(picture, quad, target, size)
    photo = degrade(photo, quad_size(target)[1], rng, difficulty, filmed)
    return photo, target


def degrade(photo: Picture, plate_height: float, rng: random.Random, difficulty: float, filmed: bool = False) -> Picture:
    """Light, blur, sensor and codec in the order in which they happen."""
    photo = expose(photo, rng, difficulty)
    photo = defocus(photo, plate_height, rng, difficulty)
    if filmed:
        from openplate.synthesize.recorder import film

        return film(photo, rng)
    return record(photo, rng, difficulty)


def cut_out(photo: Picture, quad: Quad, rng: random.Random) -> tuple[Picture, Quad]:
    """The picture of a plate alone, as other systems store them: upright, cut close or even into the plate, often at a size of its own.

    Returns:
        the small picture, and the quad that is its corners.
    """
    width, height = quad_size(quad)
    size = (round(width), round(height)) if rng.random() < 0.4 else (rng.choice((94, 120, 136, 160, 200)), rng.choice((24, 30, 36, 44, 56)))
    size = max(24, size[0]), max(10, size[1])
    spread_x, spread_y = 0.02 * width, 0.06 * height
    corners = np.array(
        [[rng.gauss(0.2, 1) * spread_x * a, rng.gauss(0.0, 1) * spread_y * b] for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))], np.float32
    )
    if rng.random() < 0.3:  # the same cut on both sides
        inset = np.array([rng.uniform(-0.03, 0.035) * width, rng.uniform(-0.05, 0.1) * height], np.float32)
        corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], np.float32) * inset
    target = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float32)
    homography = cv2.getPerspectiveTransform((quad + corners).astype(np.float32) - 0.5, target - 0.5)
    picture = np.asarray(cv2.warpPerspective(photo, homography, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)
    return picture, target


def strong_lean(rng: random.Random, share: float) -> Lean | None:
    """`STRONG_LEAN` for a share of all plates, None for the others; a share of 0 takes nothing from `rng`."""
    return STRONG_LEAN if share and rng.random() < share else None


def draw_crops(
    formats: Sequence[Format],
    seed: int,
    difficulty: float = 1.0,
    views: int = 3,
    jitter: float = 0.06,
    upright_share: float = UPRIGHT_SHARE,
    lean_share: float = 0.0,
    filmed_share: float = 0.0,
    rare_share: float = 0.0,
) -> Iterator[DrawnCrop]:
    """Endless crops, the same for the same arguments; `views` of each drawn plate come one after another.

    `upright_share` is that of `jitter_quad`; a share of `lean_share` leans as far as `STRONG_LEAN` says, one of `filmed_share` are frames of films, and
    one of `rare_share` of the plates has a character beyond A-Z and 0-9 if few texts of its type have one.

    Raises:
        OpenPlateError: a Chinese plate is to be drawn and no font has its characters, or one is to be filmed and there is no encoder for H.264.
    """
    rng = random.Random(seed)
    cv2.setNumThreads(1)
    while True:
        drawn = _draw(formats, rng, difficulty, rare_share)
        for _ in range(views):
            lean = strong_lean(rng, lean_share)
            photo, quad = view(drawn.image, drawn.quad, rng, difficulty, lean, bool(filmed_share) and rng.random() < filmed_share)
            if rng.random() < 0.1:
                photo, quad = cut_out(photo, quad, rng)
                crop = rectify(photo, quad)
            else:
                crop = rectify(photo, jitter_quad(quad, rng, jitter, upright_share))
            yield DrawnCrop(crop, drawn.text, drawn.first_line, drawn.type, photo, quad)


def draw_photo(formats: Sequence[Format], rng: random.Random, difficulty: float = 0.85, lean: Lean | None = None) -> DrawnPhoto:
    """One photo as `draw_crops` takes them, in colour: one in ten is cut close to the plate, as other systems store them; with `lean` none is.

    Raises:
        OpenPlateError: a Chinese plate is to be drawn and no font has its characters.
    """
    drawn = _draw(formats, rng, difficulty)
    photo, quad = view_as_is(drawn.image, drawn.quad, rng, difficulty, lean)
    if lean is None and rng.random() < 0.1:
        photo, quad = cut_out(photo, quad, rng)
    return DrawnPhoto(photo, quad, drawn.text, drawn.type)


def _draw(formats: Sequence[Format], rng: random.Random, difficulty: float, rare_share: float = 0.0) -> DrawnPlate:
    plate_type = choose_type(formats, rng)
    texts = _rare_text(plate_type, rng) if rare_share and rng.random() < rare_share else None
    return draw_plate(plate_type, rng, width_px=rng.choice((200, 240, 280)), margin=0.22, wear=difficulty, texts=texts)


def _rare_text(plate_type: PlateType, rng: random.Random) -> tuple[str, ...]:
    """A text with a character beyond A-Z and 0-9, if a few attempts give one: umlauts are too rare to be learned from what is drawn evenly."""
    for _ in range(_ATTEMPTS):
        texts = plate_type.sample(rng)
        if not "".join(texts).isascii():
            break
    return texts


@dataclass(frozen=True, slots=True)
class Material:
    """Real photos to mix in. Patches are drawn by the rarity of their first character, so that one province does not drown the others.

    `texts` are those of the patches, where they are known without opening them.
    """

    patches: Sequence[Patch] = ()
    photos: Sequence[Photo] = ()
    texts: tuple[str, ...] = ()

    def patch_weights(self) -> list[float]:
        """One weight a patch: 1 / (number of patches with the same first character) ^ 0.75."""
        firsts = [text[0] for text in self.texts or (patch.text for patch in self.patches)]
        counts = Counter(firsts)
        return [counts[first] ** -0.75 for first in firsts]


def mix_crops(
    formats: Sequence[Format],
    material: Material,
    seed: int,
    difficulty: float,
    views: int = 3,
    real_share: float = 0.08,
    empty_share: float = 0.03,
    upright_share: float = UPRIGHT_SHARE,
    lean_share: float = 0.0,
    filmed_share: float = 0.0,
    rare_share: float = 0.0,
) -> Iterator[LabelledCrop]:
    """Endless crops: drawn ones, with `real_share` of photographed again real plates and `empty_share` of places without a plate (text "").

    `real_share` counts as zero where there are no patches. `upright_share`, `lean_share`, `filmed_share` and `rare_share`, of the drawn
    ones, are those of `draw_crops`.
    """
    rng = random.Random(seed)
    drawn = draw_crops(
        formats,
        rng.getrandbits(48),
        difficulty,
        views,
        upright_share=upright_share,
        lean_share=lean_share,
        filmed_share=filmed_share,
        rare_share=rare_share,
    )
    weights = material.patch_weights()
    real_share = real_share if material.patches else 0.0
    while True:
        kind = rng.random()
        if kind < real_share:
            patch = rng.choices(material.patches, weights)[0]
            yield LabelledCrop(_again(patch, rng, difficulty), patch.text, patch.first_line, patch.country)
        elif kind < real_share + empty_share:
            yield LabelledCrop(empty_crop(material.photos, rng), "", 0)
        else:
            entry = next(drawn)
            yield LabelledCrop(entry.crop, entry.text, entry.first_line, entry.type.country)


def _again(patch: Patch, rng: random.Random, difficulty: float) -> Crop:
    """A real plate once more: photographed again, or, the more often the smaller it is, as it is, in another light and through another quad."""
    if rng.random() < 0.3 + 0.5 * min(1.0, max(0.0, (140 - quad_size(patch.quad)[0]) / 80)):
        return rectify(expose(to_grey(patch.image, rng), rng, 0.5 * difficulty), jitter_quad(patch.quad, rng, 0.05))
    photo, quad = view(patch.image, patch.quad, rng, difficulty * rng.uniform(0.3, 0.9))
    if rng.random() < 0.25:
        return rectify(*cut_out(photo, quad, rng))
    return rectify(photo, jitter_quad(quad, rng, 0.05))


def empty_crop(photos: Sequence[Photo], rng: random.Random) -> Crop:
    """A crop of a place without a plate, from a photo when there is one, otherwise of lines and noise."""
    if not photos:
        noise = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (6, 18), np.uint8)
        return np.asarray(cv2.resize(noise, (192, 48), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    photo = rng.choice(photos)
    height, width = photo.image.shape[:2]
    for _ in range(20):
        w = min(width * 0.8, math.exp(rng.uniform(math.log(40), math.log(400))))
        h = w * rng.uniform(0.2, 0.6)
        x, y = rng.uniform(0, width - w), rng.uniform(0, max(1.0, height - h))
        if all(x + w < q[:, 0].min() or x > q[:, 0].max() or y + h < q[:, 1].min() or y > q[:, 1].max() for q in photo.quads):
            break
    else:
        return np.full((48, 192), rng.randrange(256), np.uint8)
    quad = jitter_quad(box_to_quad(x, y, x + w, y + h), rng, 0.1)
    return degrade(rectify(photo.image, quad), 40, rng, 0.6)
