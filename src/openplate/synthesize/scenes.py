"""Photos (or nothing) in, scenes with drawn plates and exact labels out.

With photos, drawn plates take the place of the labelled ones, in a like pose, light and sharpness; without, streets and vehicles are drawn.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.formats.model import Format
from openplate.geometry import grow_quad, quad_size, quad_to_box
from openplate.synthesize.camera import Lean, defocus, expose, photograph, pose, record
from openplate.synthesize.crops import choose_type, strong_lean
from openplate.synthesize.decoys import letter_around, scatter_decoys
from openplate.synthesize.photos import Photo, paint_over
from openplate.synthesize.plates import CharacterBox, DrawnPlate, draw_plate
from openplate.types import Image, Quad

FRAME_SHARE = 0.3
"""The share of the training windows that come from frames of drawn video, where there are any."""
_SIGN_SHARE = 0.3
"""The share of the windows of such frames that are cut around a sign, where one is."""


@dataclass(frozen=True, slots=True, eq=False)
class ScenePlate:
    """A plate in a scene.

    A real plate that was kept has the `text` of its label, if there is one, and no `country`; `exact` is False where the quad is only an upright box;
    `ignore` marks a plate that is cut or half covered, so that finding it is neither right nor wrong; the first `first_line` characters of `text`
    stand on its first line, None where that is not known. `characters` are the places of the characters of a drawn plate, as in `DrawnPlate`.
    """

    quad: Quad
    text: str | None
    country: str | None
    type: str | None
    exact: bool = True
    ignore: bool = False
    first_line: int | None = None
    characters: tuple[CharacterBox, ...] = ()


def paste(image: Image, drawn: DrawnPlate, target: Quad, rng: random.Random, like: NDArray[np.uint8] | None = None) -> None:
    """Puts a drawn plate with its holder into the image at `target`, in place; `like` (the old plate's pixels) sets brightness and contrast."""
    rim = rng.uniform(0.0, 0.05) if rng.random() < 0.6 else 0.0
    outer_from = grow_quad(drawn.quad, rim, rim * 2.5)
    outer_to = grow_quad(target, rim, rim * 2.5)
    x0, y0, x1, y1 = quad_to_box(outer_to)
    height, width = image.shape[:2]
    left, top = max(0, int(x0) - 2), max(0, int(y0) - 2)
    right, bottom = min(width, int(x1) + 3), min(height, int(y1) + 3)
    if right - left < 2 or bottom - top < 2:
        return
    offset = np.array([left, top], np.float32)
    size = right - left, bottom - top
    plate = photograph(_match(drawn.image, like, rng), outer_from, outer_to - offset, size)
    mask = np.zeros((size[1] * 4, size[0] * 4), np.uint8)
    cv2.fillConvexPoly(mask, np.round((outer_to - offset) * 4 * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    alpha = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    softness = rng.uniform(0.3, 0.9)
    plate = np.asarray(cv2.GaussianBlur(plate, (0, 0), softness), dtype=np.uint8)
    weight = cv2.GaussianBlur(alpha, (0, 0), 0.6).astype(np.float32)[..., None] / 255
    region = image[top:bottom, left:right]
    region[:] = (region + (plate - region.astype(np.float32)) * weight).astype(np.uint8)


def draw_recess(image: Image, plate: Quad, rng: random.Random) -> None:
    """The panel of a boot lid or bumper in which a plate of this quad sits, in place: larger than the plate, shaded, with edges; the plate is pasted afterwards.

    Where plate and body are alike, the panel's outline is the stronger one, and only the plate's is wanted.
    """
    wide = math.exp(rng.uniform(math.log(0.06), math.log(0.9)))
    left, right = wide * rng.uniform(0.7, 1.3), wide * rng.uniform(0.7, 1.3)
    above, below, narrower = rng.uniform(0.08, 0.6), rng.uniform(0.05, 0.5), rng.uniform(0, 0.25) * wide
    corners = np.array([[-left, -above], [1 + right, -above], [1 + right - narrower, 1 + below], [-left + narrower, 1 + below]], np.float32)
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    panel = cv2.perspectiveTransform(corners[None], cv2.getPerspectiveTransform(unit, plate.astype(np.float32)))[0]
    height, width = image.shape[:2]
    x0, y0, x1, y1 = quad_to_box(panel)
    x0, y0, x1, y1 = max(0, int(x0) - 3), max(0, int(y0) - 3), min(width, int(x1) + 4), min(height, int(y1) + 4)
    if x1 - x0 < 6 or y1 - y0 < 4:
        return
    region = image[y0:y1, x0:x1]
    points = np.round((panel - (x0, y0)) * 16).astype(np.int32)
    inside = np.zeros(region.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, points, 255, cv2.LINE_AA, 4)
    plate_h = quad_size(plate)[1]
    alpha = cv2.GaussianBlur(inside, (0, 0), max(0.6, rng.uniform(0.01, 0.05) * plate_h)).astype(np.float32)[..., None] / 255
    shaded = region.astype(np.float32)
    if rng.random() < 0.5:
        shaded = np.broadcast_to(np.median(region, axis=(0, 1)), region.shape).astype(np.float32)
    shade = np.linspace(rng.uniform(0.6, 1.15), rng.uniform(0.75, 1.25), region.shape[0], dtype=np.float32)[:, None, None]
    result = region + (shaded * shade * rng.uniform(0.75, 1.2) - region) * alpha
    for start, end in ((0, 1), (1, 2), (2, 3), (3, 0)):
        if rng.random() < 0.75:
            edge = np.zeros(region.shape[:2], np.uint8)
            thick = max(1, round(plate_h * rng.uniform(0.02, 0.09)))
            cv2.line(edge, [int(v) for v in points[start]], [int(v) for v in points[end]], 255, thick, cv2.LINE_AA, 4)
            tone = rng.uniform(150, 255) if rng.random() < 0.4 else rng.uniform(5, 70)
            result += (tone - result) * (edge.astype(np.float32)[..., None] / 255 * rng.uniform(0.25, 0.9))
    region[:] = np.clip(result, 0, 255).astype(np.uint8)


def _match(plate: Image, like: NDArray[np.uint8] | None, rng: random.Random) -> Image:
    """The plate with light like that of the old plate (three times in four) or a random one."""
    if rng.random() < 0.06:  # in deep shadow or dirty, hardly brighter than what is around it
        gain, cast = rng.uniform(0.1, 0.35), np.array([rng.uniform(0.8, 1.1) for _ in range(3)], np.float32)
        shift = rng.uniform(5, 35) if like is None or like.size < 30 else float(np.percentile(like, 8)) * rng.uniform(0.4, 1.0)
    elif like is None or like.size < 30 or rng.random() < 0.25:
        gain, shift, cast = rng.uniform(0.5, 1.1), rng.uniform(-15, 25), np.array([rng.uniform(0.85, 1.1) for _ in range(3)], np.float32)
    else:
        flat = like.reshape(-1, 3).astype(np.float32)
        bright = np.percentile(flat, 90, axis=0)
        dark = np.percentile(flat, 8, axis=0)
        gain = float(np.clip((bright.mean() - dark.mean()) / 190 * rng.uniform(0.8, 1.3), 0.15, 1.15))
        shift = float(dark.mean()) * rng.uniform(0.5, 1.0)
        cast = np.asarray(np.clip(bright / max(1.0, float(bright.mean())), 0.6, 1.5), np.float32)
    table = np.clip(np.arange(256, dtype=np.float32)[:, None] * gain * cast + shift, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(plate, table[:, None, :]), dtype=np.uint8)


def _new_quad(centre: NDArray[np.float32], width: float, drawn: DrawnPlate, rng: random.Random, difficulty: float, lean: Lean | None = None) -> Quad:
    plate_w, plate_h = quad_size(drawn.quad)
    return np.asarray(pose(width, width * plate_h / plate_w, rng, difficulty, lean) + centre, dtype=np.float32)


def _inside_share(quad: Quad, width: int, height: int) -> float:
    x0, y0, x1, y1 = quad_to_box(quad)
    seen = max(0.0, min(x1, width) - max(x0, 0)) * max(0.0, min(y1, height) - max(y0, 0))
    return seen / max(1e-6, (x1 - x0) * (y1 - y0))


def replace_plates(
    image: Image,
    quads: Sequence[Quad],
    formats: Sequence[Format],
    rng: random.Random,
    difficulty: float = 0.8,
    lean_share: float = 0.0,
) -> tuple[Image, list[ScenePlate]]:
    """A copy of a photo in which drawn plates stand in place of the labelled ones, at their type's natural size there; a share of `lean_share` leans far."""
    clean = paint_over(image, quads, rng)
    height, width = clean.shape[:2]
    plates: list[ScenePlate] = []
    for quad in quads:
        old_w, old_h = quad_size(quad)
        x0, y0, x1, y1 = (int(v) for v in quad_to_box(quad))
        like = image[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
        plate_type = choose_type(formats, rng)
        new_w = max(old_w, old_h * 2.2) * plate_type.size_mm[0] / 480 * rng.uniform(0.95, 1.25)
        drawn = draw_plate(plate_type, rng, width_px=int(min(560, max(64, new_w * 1.3))), margin=0.12)
        target = _new_quad(quad.mean(axis=0), new_w, drawn, rng, difficulty * 0.7, strong_lean(rng, lean_share))
        if any(_overlap(target, other.quad) for other in plates):
            continue
        if rng.random() < 0.3 and not any(_overlap(grow_quad(target, 1.0, 0.7), other.quad) for other in plates):
            draw_recess(clean, target, rng)
        if rng.random() < 0.3:
            letter_around(clean, target, [plate.quad for plate in plates], rng)
        paste(clean, drawn, target, rng, like)
        if _inside_share(target, width, height) > 0.5:
            plates.append(
                ScenePlate(target, drawn.text, drawn.type.country, drawn.type.name, first_line=drawn.first_line, characters=drawn.characters)
            )
    return clean, plates


def _overlap(first: Quad, second: Quad) -> bool:
    a, b = quad_to_box(first), quad_to_box(second)
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def scatter_plates(
    image: Image,
    plates: list[ScenePlate],
    formats: Sequence[Format],
    rng: random.Random,
    widths: tuple[float, float],
    count: int,
    lean_share: float = 0.0,
) -> None:
    """Puts up to `count` further drawn plates at random free places, in place; widths in px are spread evenly in the logarithm.

    A share of `lean_share` leans far.
    """
    height, width = image.shape[:2]
    for _ in range(count):
        new_w = math.exp(rng.uniform(math.log(widths[0]), math.log(widths[1])))
        drawn = draw_plate(choose_type(formats, rng), rng, width_px=int(min(560, max(64, new_w * 1.3))), margin=0.12)
        centre = np.array([rng.uniform(0, width), rng.uniform(0, height)], np.float32)
        target = _new_quad(centre, new_w, drawn, rng, 0.8, strong_lean(rng, lean_share))
        if _inside_share(target, width, height) < 0.97 or any(_overlap(target, p.quad) for p in plates):
            continue
        x0, y0, x1, y1 = (int(v) for v in quad_to_box(target))
        like = image[max(0, y0) : y1, max(0, x0) : x1]
        if rng.random() < 0.2 and not any(_overlap(grow_quad(target, 1.0, 0.7), p.quad) for p in plates):
            draw_recess(image, target, rng)
        if rng.random() < 0.3:
            letter_around(image, target, [plate.quad for plate in plates], rng)
        paste(image, drawn, target, rng, like if rng.random() < 0.3 else None)
        plates.append(ScenePlate(target, drawn.text, drawn.type.country, drawn.type.name, first_line=drawn.first_line, characters=drawn.characters))


def draw_window(
    photos: Sequence[Photo],
    formats: Sequence[Format],
    rng: random.Random,
    window: int,
    keep_share: float,
    lean_share: float = 0.0,
    frames: Sequence[Photo] = (),
) -> tuple[Image, list[ScenePlate]]:
    """A square training window cut from a photo (or from a drawn street) around a plate or elsewhere, with plates from 12 px to the window's width.

    `keep_share` of the photos keep their real plates; in the others drawn plates replace them, of which `lean_share` lean far. `frames` are pictures of
    drawn video, which are as they are: if there are any, `FRAME_SHARE` of the windows come from them.
    """
    anchored = 0.88
    if frames and rng.random() < FRAME_SHARE:
        photo, keep = rng.choice(frames), True
        first_lines: list[int | None] = [None] * len(photo.quads)
    elif not photos or rng.random() < 0.09:
        anchored = 0.6  # the houses of a drawn street are seen as often as its vehicles
        side = window * rng.choice((1, 2))
        image, plates = draw_scene(rng.getrandbits(32), side, side, formats, camera=False)
        quads: list[Quad] = [p.quad for p in plates]
        photo = Photo(image, tuple(quads), tuple(False for _ in quads), tuple(p.text for p in plates))
        keep, first_lines = True, [p.first_line for p in plates]
    else:
        photo = rng.choice(photos)
        keep, first_lines = rng.random() < keep_share, [None] * len(photo.quads)
    covered = photo.covered or (False,) * len(photo.quads)
    image_h, image_w = photo.image.shape[:2]
    if (photo.quads or photo.signs) and rng.random() < anchored:
        on_sign = photo.signs and (rng.random() < _SIGN_SHARE or not photo.quads)
        anchor = rng.choice(photo.signs if on_sign else photo.quads)
        plate_w = quad_size(anchor)[0]
        wanted = math.exp(rng.uniform(math.log(14), math.log(window * 0.95)) * 0.5 + rng.uniform(math.log(24), math.log(150)) * 0.5)
        if rng.random() < 0.1:  # a plate close to the camera
            wanted = math.exp(rng.uniform(math.log(window * 0.4), math.log(window * 0.95)))
        scale = float(np.clip(wanted / plate_w, 0.2, 4.0))
        centre = anchor.mean(axis=0) * scale
        reach = max(0.0, window / 2 - wanted * 0.55)
        origin = centre - window / 2 + np.array([rng.uniform(-reach, reach), rng.uniform(-window * 0.4, window * 0.4)])
    else:
        scale = math.exp(rng.uniform(math.log(0.3), math.log(1.6)))
        origin = np.array(
            [
                rng.uniform(-0.1 * window, max(0.0, image_w * scale - window * 0.9)),
                rng.uniform(-0.1 * window, max(0.0, image_h * scale - window * 0.9)),
            ]
        )
    image, quads, seen = _cut_window(photo, scale, origin, window, rng)
    upright, whole, texts = (
        list(photo.upright),
        [_inside_share(q, window, window) > 0.5 and not hidden for q, hidden in zip(quads, covered, strict=True)],
        list(photo.texts),
    )
    if seen.mean() < 0.85 * 255 and photos:
        image = _fill_around(image, quads, upright, whole, texts, seen, rng.choice(photos), window, rng)
        first_lines += [None] * (len(quads) - len(first_lines))
    if not keep and rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        quads = [np.asarray(q[[1, 0, 3, 2]] * [-1, 1] + [window, 0], dtype=np.float32) for q in quads]
    visible = [i for i, q in enumerate(quads) if _inside_share(q, window, window) > 0.02]
    if keep:
        plates = [ScenePlate(quads[i], texts[i], None, None, not upright[i], not whole[i], first_lines[i]) for i in visible]
    elif rng.random() < 0.08:
        image, plates = paint_over(image, [quads[i] for i in visible], rng), []
    else:
        cut = [quads[i] for i in visible if not whole[i]]
        image = paint_over(image, cut, rng) if cut else image
        image, plates = replace_plates(image, [quads[i] for i in visible if whole[i]], formats, rng, lean_share=lean_share)
    if rng.random() < 0.35:
        scatter_plates(image, plates, formats, rng, (16, window * 0.6), rng.randint(1, 3), lean_share)
    if rng.random() < 0.35:
        scatter_decoys(image, [plate.quad for plate in plates], rng, rng.randint(1, 4))
    difficulty = rng.random()  # half of what a detector sees are ordinary pictures
    if rng.random() < 0.5:
        gains = np.clip(
            np.arange(256, dtype=np.float32)[:, None] * [rng.uniform(1 - 0.3 * difficulty, 1 + 0.25 * difficulty) for _ in range(3)], 0, 255
        )
        image = np.asarray(cv2.LUT(image, gains.astype(np.uint8)[:, None, :]), dtype=np.uint8)
    image = expose(image, rng, difficulty)
    image = defocus(image, 14, rng, 0.3 + 0.6 * difficulty)
    if rng.random() < 0.12:
        image = np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    return record(image, rng, 0.2 + 0.6 * difficulty), plates


def _cut_window(
    photo: Photo, scale: float, origin: NDArray[np.float64], window: int, rng: random.Random
) -> tuple[Image, list[Quad], NDArray[np.uint8]]:
    """The part of a photo that starts at `origin` (in scaled px), turned a little, its quads, and where the photo reaches (255)."""
    image = photo.image
    if scale < 0.7 and min(image.shape[:2]) * scale >= 2:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        factor = np.array([image.shape[1] / photo.image.shape[1], image.shape[0] / photo.image.shape[0]], np.float32)
        remaining = 1.0
    else:
        factor, remaining = np.array([scale, scale], np.float32), scale
    turn = math.radians(rng.gauss(0, 5))
    cos, sin = math.cos(turn), math.sin(turn)
    middle = origin + window / 2
    matrix = np.array([[cos, -sin, 0], [sin, cos, 0]])
    matrix[:, 2] = window / 2 - matrix[:, :2] @ middle
    pixels = matrix.copy()
    pixels[:, :2] *= remaining
    cut = cv2.warpAffine(image, pixels, (window, window), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(114, 114, 114))
    height, width = image.shape[:2]
    outline = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ pixels[:, :2].T + pixels[:, 2]
    seen = np.zeros((window, window), np.uint8)
    cv2.fillConvexPoly(seen, np.round(outline).astype(np.int32), 255)
    quads = [np.asarray((q * factor) @ matrix[:, :2].T + matrix[:, 2], dtype=np.float32) for q in photo.quads]
    return np.asarray(cut, dtype=np.uint8), quads, seen


def _fill_around(
    image: Image,
    quads: list[Quad],
    upright: list[bool],
    whole: list[bool],
    texts: list[str | None],
    seen: NDArray[np.uint8],
    other: Photo,
    window: int,
    rng: random.Random,
) -> Image:
    """Another photo behind a photo that does not fill the window; its plates are added to the four lists where they show."""
    height, width = other.image.shape[:2]
    scale = window / min(height, width) * rng.uniform(1.05, 1.5)
    origin = np.array([rng.uniform(0, width * scale - window), rng.uniform(0, height * scale - window)])
    behind, more, _ = _cut_window(other, scale, origin, window, rng)
    for quad, up, text in zip(more, other.upright, other.texts, strict=True):
        mask = np.zeros((window, window), np.uint8)
        cv2.fillConvexPoly(mask, np.round(quad).astype(np.int32), 1)
        shown = float((seen[mask > 0] == 0).mean()) * _inside_share(quad, window, window) if mask.any() else 0.0
        if shown > 0.05:
            quads.append(quad)
            upright.append(up)
            whole.append(shown > 0.6)
            texts.append(text)
    return np.asarray(np.where(seen[..., None] > 0, image, behind), dtype=np.uint8)


def draw_scene(
    seed: int,
    width: int,
    height: int,
    formats: Sequence[Format] | None = None,
    camera: bool = True,
    vehicles: int | None = None,
) -> tuple[Image, list[ScenePlate]]:
    """A street drawn without photos: sky, houses, road, and one to three vehicles from behind, each with a drawn plate.

    Args:
        seed: the same seed gives the same scene.
        width: picture width in px.
        height: picture height in px.
        formats: whose plates are drawn; None takes Russia (no extra fonts needed).
        camera: whether a camera's light, blur, noise and JPEG are added.
        vehicles: how many stand in the street, 1 to 3; None takes a random number.
    """
    from openplate.formats import load_formats, select

    formats = formats if formats is not None else select(load_formats(), ["RU"])
    rng = random.Random(seed)
    image = _draw_street(width, height, rng)
    plates: list[ScenePlate] = []
    lanes = rng.sample((0.22, 0.5, 0.78), vehicles or rng.randint(1, 3))
    for lane in sorted(lanes, key=lambda _: rng.random()):
        depth = rng.uniform(0.35, 1.0)
        car_w = width * 0.34 * depth
        x = width * (0.5 + (lane - 0.5) * (0.5 + 0.55 * depth))
        bottom = height * (0.52 + 0.42 * depth)
        anchor = _draw_vehicle(image, x, bottom, car_w, rng)
        plate_type = choose_type(formats, rng)
        plate_w = car_w * 0.30 * plate_type.size_mm[0] / 520
        drawn = draw_plate(plate_type, rng, width_px=int(min(640, max(80, plate_w * 1.5))), margin=0.12, wear=0.4)
        target = _new_quad(np.array(anchor, np.float32), plate_w, drawn, rng, 0.25)
        if any(_overlap(target, p.quad) for p in plates) or _inside_share(target, width, height) < 0.99:
            continue
        covered = [p for p in plates if _covers(p.quad, x, bottom, car_w)]
        plates = [p for p in plates if p not in covered]
        paste(image, drawn, target, rng, None)
        plates.append(ScenePlate(target, drawn.text, drawn.type.country, drawn.type.name, first_line=drawn.first_line, characters=drawn.characters))
    if camera:
        image = record(defocus(expose(image, rng, 0.25), height * 0.03, rng, 0.3), rng, 0.25)
    return image, plates


def _covers(quad: Quad, x: float, bottom: float, car_w: float) -> bool:
    x0, y0, x1, y1 = quad_to_box(quad)
    return x1 > x - car_w / 2 and x0 < x + car_w / 2 and y1 > bottom - car_w * 0.85 and y0 < bottom


def _draw_street(width: int, height: int, rng: random.Random) -> Image:
    horizon = round(height * rng.uniform(0.3, 0.42))
    noise = np.random.default_rng(rng.getrandbits(32))
    sky = np.array([rng.randint(120, 220), rng.randint(150, 225), rng.randint(180, 250)], np.float32) * rng.uniform(0.35, 1)
    road = np.array([rng.randint(60, 130)] * 3, np.float32)
    image = np.empty((height, width, 3), np.float32)
    image[:horizon] = sky * np.linspace(0.85, 1.1, horizon, dtype=np.float32)[:, None, None]
    image[horizon:] = road * np.linspace(0.8, 1.1, height - horizon, dtype=np.float32)[:, None, None]
    x = 0
    while x < width:
        house_w = rng.randint(width // 14, width // 6)
        top = round(horizon * rng.uniform(0.05, 0.75))
        tone = np.array([rng.randint(50, 200) for _ in range(3)], np.float32)
        image[top : horizon + height // 30, x : x + house_w] = tone
        step = max(6, width // 60)
        for wy in range(top + step, horizon - step, step * 2):
            for wx in range(x + step // 2, min(width, x + house_w - step // 2), step * 2):
                image[wy : wy + step, wx : wx + step] = tone * rng.choice((0.4, 0.5, 0.6, 1.3))
        x += house_w
    for lane in (0.36, 0.64):
        for t in np.arange(0.05, 1.0, 0.16):
            y0, y1 = (round(horizon + (height - horizon) * v**1.6) for v in (t, t + 0.07))
            cx = width * (0.5 + (lane - 0.5) * (0.4 + 1.2 * t))
            w = max(1, round(width * 0.006 * (0.3 + t)))
            image[y0:y1, max(0, round(cx) - w) : round(cx) + w] = 210
    image += noise.normal(0, 4, (height, width, 1)).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def _draw_vehicle(image: Image, x: float, bottom: float, width: float, rng: random.Random) -> tuple[float, float]:
    """A vehicle from behind: body, window, lamps, wheels, bumper; returns the plate's centre."""
    tone = np.array([rng.randint(15, 235) for _ in range(3)], np.float64)
    if rng.random() < 0.6:
        tone[:] = rng.choice((20, 45, 110, 170, 225))
    body_h = width * rng.uniform(0.5, 0.62)
    roof_h = width * rng.uniform(0.24, 0.34)
    top = bottom - body_h

    def fill(points: Sequence[tuple[float, float]], colour: NDArray[np.float64] | float) -> None:
        value = [float(v) for v in np.clip(np.broadcast_to(colour, 3), 0, 255)]
        cv2.fillPoly(image, [np.round(np.array(points) * 16).astype(np.int32)], value, cv2.LINE_AA, 4)

    half = width / 2
    fill(
        [
            (x - half * 1.04, bottom - width * 0.02),
            (x + half * 1.04, bottom - width * 0.02),
            (x + half * 0.95, bottom + width * 0.05),
            (x - half * 0.95, bottom + width * 0.05),
        ],
        25,
    )
    for side in (-1, 1):
        fill(
            [
                (x + side * half * 0.95, bottom - width * 0.14),
                (x + side * half * 0.62, bottom - width * 0.14),
                (x + side * half * 0.62, bottom + width * 0.04),
                (x + side * half * 0.95, bottom + width * 0.04),
            ],
            15,
        )
    fill([(x - half, bottom - width * 0.06), (x - half * 0.98, top), (x + half * 0.98, top), (x + half, bottom - width * 0.06)], tone)
    fill([(x - half * 0.92, top), (x - half * 0.7, top - roof_h), (x + half * 0.7, top - roof_h), (x + half * 0.92, top)], tone * 0.92)
    fill(
        [
            (x - half * 0.8, top + width * 0.01),
            (x - half * 0.63, top - roof_h * 0.85),
            (x + half * 0.63, top - roof_h * 0.85),
            (x + half * 0.8, top + width * 0.01),
        ],
        rng.choice((30.0, 50.0, 90.0)),
    )
    for side in (-1, 1):
        fill(
            [
                (x + side * half * 0.97, top + body_h * 0.12),
                (x + side * half * 0.66, top + body_h * 0.15),
                (x + side * half * 0.68, top + body_h * 0.42),
                (x + side * half * 0.97, top + body_h * 0.42),
            ],
            np.array([190.0, 25, 25]) * rng.uniform(0.7, 1.2),
        )
    fill(
        [
            (x - half, bottom - body_h * 0.36),
            (x + half, bottom - body_h * 0.36),
            (x + half, bottom - body_h * 0.3),
            (x - half, bottom - body_h * 0.3),
        ],
        tone * 0.75,
    )
    recess = tone * rng.uniform(0.6, 0.85)
    cy = bottom - body_h * rng.choice((0.52, 0.2))
    fill(
        [
            (x - half * 0.38, cy - width * 0.08),
            (x + half * 0.38, cy - width * 0.08),
            (x + half * 0.38, cy + width * 0.08),
            (x - half * 0.38, cy + width * 0.08),
        ],
        recess,
    )
    return x, cy
