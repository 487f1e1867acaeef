"""Plate types (and photos) in, drawn video with its full truth out: vehicles that come, go, stop, park and cross before a camera.

One camera and one country a sequence. What is drawn, in this order: a still backdrop (a street, or a photo), vehicles and people by their distance,
motion blur, things close to the camera, light, lens, noise, sharpening, the recorder's texts, and the codec.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.clips import LABELS, WHOLE, Clip, Direction, SeenPlate, TrueTrack, Truth, write_clips, write_truth
from openplate.errors import ConfigError, DatasetError
from openplate.formats.model import Format, PlateType, sample_pieces
from openplate.geometry import quad_area, quad_size, quad_to_box
from openplate.sources import write_image
from openplate.synthesize.backdrops import cover, draw_street, is_open_road, light_of, photo_backdrop
from openplate.synthesize.clarity import Strip, clarity, parts_to_tell, plate_strip
from openplate.synthesize.crops import choose_type
from openplate.synthesize.faces import Box, Camera, Face, Floats, Layer, Sheet, glow, put_over, rounded, smear, texture_levels
from openplate.synthesize.overlays import Overlay, choose_overlay
from openplate.synthesize.photos import Photo, load_photos
from openplate.synthesize.plates import CharacterBox, draw_plate
from openplate.synthesize.scenes import replace_plates
from openplate.synthesize.vehicles import Drawn, End, Kind, Lamp, Place, build_vehicle, draw_faces, project_quad
from openplate.types import Image, Quad

SITUATIONS = ("approach", "recede", "stop", "cross", "parked", "occluded", "night", "shake", "texts")
"""What can be asked of a sequence; without a wish each is drawn or not by chance."""
_MARGIN = 24
_FOCAL = {"pole": (1.1, 2.0), "gate": (0.8, 1.3), "dash": (0.75, 1.1), "hand": (0.8, 1.3), "photo": (0.9, 1.1)}
"""Kind of camera → its focal length in widths of its picture, from and to. `photo` is a photo with its own vehicles, through which the camera moves."""
_HEIGHT_M = {"pole": (4.0, 7.5), "gate": (1.8, 3.2), "dash": (1.15, 1.5), "hand": (1.4, 1.75), "photo": (1.2, 1.6)}
_CLEAR_LEVELS, _CLEAN_LEVELS = 45, 90
"""Between a plate's dark and light pixels there must be at least so many grey levels in the picture, and on the plate itself, for it to be read."""
_SEEN_WIDTH_PX, _SEEN_SHARE = 8.0, 0.02
_FRAMES_OF_ONE = 6
_WHOLE_SHARE = 0.5
"""A detector has to find a plate of which so much is seen: what a followed plate counts from."""
READABLE_ROW_PX, READABLE_WIDTH_PX, READABLE_FRAMES, READABLE_CLARITY = 12.0, 60.0, 5, 0.55
"""A plate has to be read when it is seen whole, with rows at least this high, this wide, hardly blurred, and so well kept by the recording, in that many
frames. At a `clarity` of 0.5 to 0.6 people still tell a letter or a digit, with some pains, and about every second Chinese character; under 0.5 hardly
any of these."""


@dataclass(frozen=True, slots=True)
class SequenceSettings:
    """What to draw: length, rate and size, how wide the plates are at their nearest (px), and which situations (none: by chance).

    Raises:
        ConfigError: a value is out of range, or a situation is not known.
    """

    seconds: float = 10.0
    fps: float = 25.0
    width: int = 1280
    height: int = 720
    plate_px: tuple[float, float] = (60.0, 160.0)
    situations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (0 < self.seconds <= 3600 and 1 <= self.fps <= 120):
            raise ConfigError(f"expected up to 3600 seconds at 1 to 120 frames a second, got {self.seconds} at {self.fps}")
        if self.width < 160 or self.height < 120 or self.width % 2 or self.height % 2:
            raise ConfigError(f"expected an even size of at least 160x120 px, got {self.width}x{self.height}")
        if not 16 <= self.plate_px[0] <= self.plate_px[1] <= self.width / 2:
            raise ConfigError(f"expected plate widths between 16 and half the picture's width, the smaller first, got {self.plate_px}")
        unknown = [name for name in self.situations if name not in SITUATIONS]
        if unknown:
            raise ConfigError(f"situation {unknown[0]!r} is not known; expected {', '.join(SITUATIONS)}")

    @property
    def frames(self) -> int:
        """Number of frames, at least one."""
        return max(1, round(self.seconds * self.fps))


@dataclass(frozen=True, slots=True, eq=False)
class _Actor:
    """A vehicle or a person: its faces, and its place in each frame `(N, 3)` as x, z, yaw, NaN where it is not there; whether its plate's contrast lets
    it be read, and the plate as it was drawn."""

    faces: tuple[Face, ...]
    lamps: tuple[Lamp, ...]
    plate: Floats | None
    text: str
    type: PlateType | None
    parked: bool
    path: Floats
    clear: bool = True
    artwork: Strip | None = None
    characters: tuple[CharacterBox, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Painted:
    """A plate that is part of the backdrop, as a photo has it: its quad there, and whether its contrast lets it be read."""

    quad: Quad
    text: str
    type: PlateType
    clear: bool
    artwork: Strip
    characters: tuple[CharacterBox, ...]


@dataclass(frozen=True, slots=True)
class _Zoom:
    """How a camera that moves through a photo enlarges it, from the first frame to the last, about a point in px."""

    begin: float = 1.0
    end: float = 1.0
    x: float = 0.0
    y: float = 0.0

    @property
    def still(self) -> bool:
        """Whether nothing changes."""
        return self.begin == self.end == 1.0


@dataclass(frozen=True, slots=True)
class _Look:
    """How the camera sees: its kind, how far it shakes (px), how long the shutter is open (share of a frame's time), light, lens, noise, and the codec's
    constant rate factor."""

    kind: str
    shake_px: float
    shutter: float
    night: float
    gamma: float
    lift: float
    gains: tuple[float, float, float]
    grey: bool
    soft_px: float
    noise: float
    sharpen: float
    crf: int


class DrawnSequence:
    """A sequence that is drawn while it is iterated: `(H, W, 3) uint8 RGB` and the plates in it, frame by frame, each time the same.

    Args:
        plate_format: whose plates are drawn.
        settings: length, size, situations.
        seed: the same seed gives the same sequence.
        photo: the backdrop; None draws a street.

    Raises:
        OpenPlateError: a Chinese plate is to be drawn and no font has its characters.
    """

    def __init__(self, plate_format: Format, settings: SequenceSettings, seed: int, photo: Photo | None = None) -> None:
        rng = random.Random(seed)
        self.settings, self.country = settings, plate_format.code
        self.situations = _choose_situations(settings.situations, rng)
        self._look = _choose_look(self.situations, rng)
        self._seed = rng.getrandbits(32)
        margin = _MARGIN + math.ceil(3 * self._look.shake_px)
        close = photo is not None and not is_open_road(photo)
        if close:
            self._look = replace(self._look, kind="photo", night=0.0)
            self.situations = tuple(name for name in self.situations if name in ("occluded", "shake", "texts"))
        light = np.ones(3) if photo is None else light_of(photo)
        stage = _Stage(plate_format, settings, self.situations, self._look, light, photo is not None, rng)
        self._camera, self._actors = stage.camera, stage.actors
        self._painted: tuple[_Painted, ...] = ()
        self._zoom = _Zoom()
        self._signs: tuple[Quad, ...] = ()
        if photo is None:
            backdrop, self._signs = draw_street(self._camera, margin, stage.lanes, stage.lane_m, rng)
        elif close and photo is not None:
            backdrop, self._painted, self._zoom = _repaint(photo, plate_format, settings, margin, rng)
        else:
            backdrop = photo_backdrop(photo, self._camera, margin, rng)
        if self._look.night > 0:
            backdrop = _darken(backdrop, self._look.night, rng)
        self._backdrop, self._margin = backdrop, margin
        self._front = stage.front
        texts = ["".join(sample_pieces(f.pieces, rng) for row in choose_type([plate_format], rng).rows for f in row.fields) for _ in range(2)]
        self._overlay = choose_overlay(settings.height, texts, rng) if "texts" in self.situations else Overlay((), datetime(2000, 1, 1))

    @property
    def codec_crf(self) -> int:
        """The constant rate factor that its camera's recorder would use: higher is worse."""
        return self._look.crf

    @property
    def faint(self) -> tuple[int, ...]:
        """Tracks whose plates have too little contrast to be read, as real ones in deep shadow."""
        own = [i for i, actor in enumerate(self._actors) if not actor.clear]
        return (*own, *(len(self._actors) + k for k, painted in enumerate(self._painted) if not painted.clear))

    def __iter__(self) -> Iterator[tuple[Image, tuple[SeenPlate, ...]]]:
        rng = random.Random(self._seed)
        shifts = _shake(self.settings.frames + 1, self._look, self.settings, self._zoom, rng)
        table = _light_table(self._look)
        for number in range(self.settings.frames):
            frame, seen = self._draw(number, shifts)
            yield self._record(frame, number, seen, table, rng)

    def picture(self, number: int) -> Photo:
        """One frame, before the recorder's codec, as a photo with its plates and signs."""
        rng = random.Random(self._seed)
        shifts = _shake(self.settings.frames + 1, self._look, self.settings, self._zoom, rng)
        frame, plates = self._draw(number, shifts)
        image, seen = self._record(frame, number, plates, _light_table(self._look), rng)
        texts = tuple(self._shown(plate.track).text for plate in seen)
        signs = (np.asarray((sign - self._margin) @ shifts[number, :, :2].T + shifts[number, :, 2], dtype=np.float32) for sign in self._signs)
        return Photo(
            image,
            tuple(p.quad for p in seen),
            (False,) * len(seen),
            texts,
            tuple(p.visible < _WHOLE_SHARE for p in seen),
            tuple(sign for sign in signs if quad_size(sign)[0] >= _SEEN_WIDTH_PX and _inside(sign, image.shape[1], image.shape[0]) is not None),
        )

    def clarity(self, recorded: Image, plate: SeenPlate) -> float:
        """How much of the worst part of a plate a recorded frame keeps, 0 to 1 (see `clarity`)."""
        shown = self._shown(plate.track)
        assert shown.artwork is not None and shown.type is not None
        return clarity(shown.artwork, plate_strip(recorded, plate.quad), shown.type.lines, parts_to_tell(shown.text, shown.characters))

    def truth(self, frames: Sequence[tuple[SeenPlate, ...]]) -> Truth:
        """The truth of the whole sequence, from the plates of all its frames."""
        shown = {plate.track for plates in frames for plate in plates if plate.visible >= 0.5}
        tracks = [self._track(i, frames) for i in sorted(shown)]
        kept = tuple(tuple(plate for plate in plates if plate.track in shown) for plates in frames)
        settings = self.settings
        return Truth(settings.width, settings.height, settings.fps, self.situations, tuple(tracks), kept)

    def _shown(self, track: int) -> _Actor | _Painted:
        """What carries a plate: a vehicle, or the backdrop."""
        own = len(self._actors)
        return self._actors[track] if track < own else self._painted[track - own]

    def _track(self, number: int, frames: Sequence[tuple[SeenPlate, ...]]) -> TrueTrack:
        shown = self._shown(number)
        text, plate_type, parked = shown.text, shown.type, isinstance(shown, _Actor) and shown.parked
        assert plate_type is not None
        seen = [(i, plate) for i, plates in enumerate(frames) for plate in plates if plate.track == number and plate.visible >= 0.5]
        first, last = quad_size(seen[0][1].quad)[0], quad_size(seen[-1][1].quad)[0]
        direction: Direction = "approaching" if last > 1.15 * first else "receding" if first > 1.15 * last else "still" if parked else "across"
        return TrueTrack(number, text, plate_type.country, plate_type.name, plate_type.lines, seen[0][0], seen[-1][0], parked, direction)

    def _draw(self, number: int, shifts: Floats) -> tuple[Image, list[SeenPlate]]:
        """The scene of one frame without the camera's faults, and its plates with what hides them."""
        shift, look, settings = shifts[number], self._look, self.settings
        frame = self._still(shift, shifts[number + 1])
        height, width = frame.shape[:2]
        waiting: list[tuple[int, Quad, float, Box, NDArray[np.uint8]]] = []
        margin = np.array([self._margin, self._margin], np.float64)
        for k, painted in enumerate(self._painted):
            quad = np.asarray((painted.quad - margin) @ shift[:, :2].T + shift[:, 2], dtype=np.float32)
            mask = _inside(quad, width, height)
            if mask is not None:
                later = (painted.quad.mean(axis=0) - margin) @ shifts[number + 1, :, :2].T + shifts[number + 1, :, 2]
                way = float(np.linalg.norm(later - quad.mean(axis=0))) * look.shutter
                waiting.append((len(self._actors) + k, quad, way, *mask))
        order = sorted(
            (i for i, a in enumerate(self._actors) if np.isfinite(a.path[number, 0])), key=lambda i: -float(self._actors[i].path[number, 1])
        )
        for i in order:
            actor = self._actors[i]
            place = Place(*(float(v) for v in actor.path[number]))
            blur = self._way(actor, number, shifts)
            drawn = draw_faces(frame, actor.faces, place, self._camera, shift, blur)
            if drawn is not None:
                _hide(waiting, drawn)
            if look.night > 0.2:
                self._shine(frame, actor, place, shift)
            if actor.plate is not None:
                quad = project_quad(actor.plate, place, self._camera, shift)
                mask = _inside(quad, width, height) if place.z > 1.0 and quad_size(quad)[0] >= _SEEN_WIDTH_PX else None
                if mask is not None:
                    waiting.append((i, quad, math.hypot(*blur), *mask))
        for box, layer in self._front:
            put_over(frame[box[1] : box[3], box[0] : box[2]], layer)
            _hide(waiting, Drawn(box, np.ascontiguousarray(layer[..., 3])))
        for line in self._overlay.place((width, height), number / settings.fps):
            _hide(waiting, Drawn(line.box, line.coverage))
        seen = []
        for i, quad, way, _, left in waiting:
            visible = float(left.sum()) / 255 / max(quad_area(quad), 1.0)
            if visible >= _SEEN_SHARE:
                seen.append(SeenPlate(i, quad, min(1.0, visible), way))
        return frame, seen

    def _still(self, shift: Floats, following: Floats) -> Image:
        """The backdrop as the shaken camera sees it."""
        size = self.settings.width, self.settings.height
        margin = self._margin
        if self._look.shake_px == 0 and self._zoom.still:
            return self._backdrop[margin : margin + size[1], margin : margin + size[0]].copy()
        matrix = shift.copy()
        matrix[:, 2] -= matrix[:, :2] @ np.array([margin, margin], np.float64)
        frame = np.asarray(cv2.warpAffine(self._backdrop, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)
        way = ((following - shift) @ np.array([size[0] / 2, size[1] / 2, 1.0])) * self._look.shutter
        return smear(frame, (float(way[0]), float(way[1])))

    def _way(self, actor: _Actor, number: int, shifts: Floats) -> tuple[float, float]:
        """How many px an actor moves while the shutter is open."""
        other = number + 1 if number + 1 < len(actor.path) and np.isfinite(actor.path[number + 1, 0]) else number - 1
        if other < 0 or not np.isfinite(actor.path[other, 0]):
            return 0.0, 0.0
        point = np.array([[0.0, 0.5, 0.0]])
        places = []
        for k in (number, other):
            pixels, _ = self._camera.project(Place(*(float(v) for v in actor.path[k])).move(point))
            places.append((pixels @ shifts[k, :, :2].T + shifts[k, :, 2])[0])
        way = (places[1] - places[0]) * self._look.shutter
        limit = 0.06 * self.settings.width
        return float(np.clip(way[0], -limit, limit)), float(np.clip(way[1], -limit, limit))

    def _shine(self, frame: Image, actor: _Actor, place: Place, shift: Floats) -> None:
        for lamp in actor.lamps:
            points = place.move(np.array([lamp.place], np.float64))
            pixels, depth = self._camera.project(points)
            if depth[0] > 1.0:
                x, y = (pixels @ shift[:, :2].T + shift[:, 2])[0]
                radius = self._camera.focal_px * lamp.radius_m / float(depth[0]) * (0.8 if actor.parked else 1.5)
                glow(frame, (float(x), float(y)), max(1.5, radius), lamp.colour, (0.25 if actor.parked else 1.0) * self._look.night * 1.1)

    def _record(
        self, frame: Image, number: int, seen: list[SeenPlate], table: NDArray[np.uint8], rng: random.Random
    ) -> tuple[Image, tuple[SeenPlate, ...]]:
        """Lens, sensor and recorder."""
        look = self._look
        if look.soft_px > 0.3:
            frame = np.asarray(cv2.GaussianBlur(frame, (5, 5) if look.soft_px > 0.6 else (3, 3), look.soft_px), dtype=np.uint8)
        frame = np.asarray(cv2.LUT(frame, table), dtype=np.uint8)
        if look.grey:
            frame = np.asarray(cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), dtype=np.uint8)
        if look.noise > 0.3:
            frame = _add_grain(frame, look.noise, rng)
        if look.sharpen > 0:
            soft = cv2.GaussianBlur(frame, (5, 5), 1.1)
            frame = np.asarray(cv2.addWeighted(frame, 1 + look.sharpen, soft, -look.sharpen, 0), dtype=np.uint8)
        self._overlay.draw(frame, number / self.settings.fps)
        return frame, tuple(seen)


class _Stage:
    """The camera and everybody who moves before it."""

    def __init__(
        self,
        plate_format: Format,
        settings: SequenceSettings,
        situations: Sequence[str],
        look: _Look,
        light: Floats,
        on_photo: bool,
        rng: random.Random,
    ) -> None:
        self._format, self._settings, self._situations, self._look, self._light, self._rng = plate_format, settings, situations, look, light, rng
        self.actors: list[_Actor] = []
        self.front: list[tuple[Box, Layer]] = []
        self.lane_m = rng.uniform(3.0, 3.4)
        self._times = np.arange(settings.frames) / settings.fps
        first = choose_type([plate_format], rng)
        largest = math.exp(rng.uniform(math.log(settings.plate_px[0]), math.log(settings.plate_px[1])))
        focal = settings.width * rng.uniform(*_FOCAL[look.kind])
        self.near = max(2.6, focal * first.size_mm[0] / 1000 / largest)
        focal = self.near * largest / (first.size_mm[0] / 1000)
        self.camera = self._aim(focal, on_photo)
        self.reach = 0.44 * settings.width / focal * self.near * 1.25
        self.lanes = self._lanes()
        if look.kind != "photo":
            self._fill(first)
        elif "occluded" in situations:
            self._add_walker(rng.uniform(0.25, 0.6) * settings.seconds, 0.0, 1.7 * focal / (0.8 * settings.height))

    def _aim(self, focal: float, on_photo: bool) -> Camera:
        """A camera whose lower edge cuts the plates that pass at the nearest distance, where its height allows that."""
        settings, rng = self._settings, self._rng
        height_m = rng.uniform(*_HEIGHT_M[self._look.kind])
        height_m = min(height_m, 0.6 + 0.45 * self.near)
        half = math.atan(settings.height / 2 / focal)
        pitch = math.atan((height_m - 0.5) / self.near) - half * rng.uniform(0.8, 0.98)
        low, high = (-0.35 * half, 0.5 * half) if self._look.kind in ("dash", "hand") or on_photo else (-0.1 * half, 1.0)
        yaw = rng.uniform(-0.12, 0.12) if self._look.kind != "dash" else 0.0
        return Camera(settings.width, settings.height, focal, height_m, min(high, max(low, pitch)), yaw)

    def _lanes(self) -> tuple[float, ...]:
        rng = self._rng
        count = int(min(4, max(1, (2 * self.reach - 0.6) // self.lane_m)))
        if self._look.kind == "dash":
            return (-self.lane_m, 0.0, self.lane_m)
        offset = rng.uniform(-0.5, 0.5) * min(1.0, max(0.0, self.reach - count * self.lane_m / 2))
        offset += math.tan(self.camera.yaw) * self.near * 1.3
        return tuple((k - (count - 1) / 2) * self.lane_m + offset for k in range(count))

    def _fill(self, first: PlateType) -> None:
        situations, rng, settings = self._situations, self._rng, self._settings
        speed = rng.uniform(3.5, 8) if self._look.kind != "dash" else rng.uniform(2, 5)
        lanes = list(self.lanes)
        types = [first]
        if "cross" in situations:
            self._add_crossing(
                rng.uniform(0.3, max(0.4, settings.seconds * 0.25)), rng.uniform(3.5, 6), "approach" if rng.random() < 0.6 else "recede", types
            )
        ways = [name for name in ("approach", "recede", "stop") if name in situations]
        if self._look.kind == "dash" and ways:
            self._add_leading(types)
            lanes = [lane for lane in lanes if lane != 0.0]
        if "stop" in situations and self._look.kind != "dash":
            self._add_stop(lanes[rng.randrange(len(lanes))], rng.uniform(-0.5, 1.0), rng.uniform(4, 8), types)
        moving = [name for name in ways if name != "stop"]
        if moving:
            begin = 0.0 if "cross" not in situations else settings.seconds * 0.55
            directions = {
                lane: moving[0] if len(moving) == 1 else ("approach" if (k + 0.5) < len(lanes) / 2 else "recede")
                for k, lane in enumerate(sorted(lanes))
            }
            if len(moving) == 2 and len(lanes) == 1:
                directions = {lanes[0]: rng.choice(moving)}
            busy = "stop" in situations and self._look.kind != "dash"
            for lane in lanes:
                if busy and lane != lanes[-1]:
                    continue
                at = begin + rng.uniform(-0.5, 2.5)
                while at < settings.seconds - 1.0:
                    self._add_passing(lane, at, speed * rng.uniform(0.9, 1.15), directions[lane], types)
                    at += rng.uniform(3.0, 6.5)
        if "parked" in situations:
            for side in rng.choice(((-1,), (1,), (-1, 1))):
                self._add_parked(side, types)
        if "occluded" in situations:
            self._add_hiding()

    def _type(self, types: list[PlateType]) -> PlateType:
        """The type for the next vehicle: the first one is chosen already, the camera was placed for it."""
        return types.pop() if types else choose_type([self._format], self._rng)

    def _add(self, plate_type: PlateType, end: End, path: Floats, parked: bool = False) -> None:
        rng = self._rng
        drawn = draw_plate(plate_type, rng, width_px=260, margin=0.12, wear=0.35)
        roll = rng.random()
        kind: Kind = "car" if roll < 0.68 else "van" if roll < 0.86 else "lorry"
        dark = 1 - 0.88 * self._look.night
        plate_light = self._light * (dark + (1 - dark) * rng.uniform(0.45, 0.8))
        vehicle = build_vehicle(kind, end, drawn, rng, self._light * dark, plate_light)
        levels = _contrast(drawn.image, drawn.quad)
        clear = levels >= _CLEAN_LEVELS and levels * float(plate_light.mean()) >= _CLEAR_LEVELS
        artwork = plate_strip(drawn.image, drawn.quad)
        self.actors.append(
            _Actor(vehicle.faces, vehicle.lamps, vehicle.plate, drawn.text, drawn.type, parked, path, clear, artwork, drawn.characters)
        )

    def _path(self, x: Floats, z: Floats) -> Floats:
        """Places in each frame with the yaw that follows from the way; gone once it is behind the camera or too far."""
        dx, dz = np.gradient(x), np.gradient(z)
        yaw = np.where(np.abs(dz) > 1e-3, np.arctan2(dx, np.where(dz == 0, 1e-3, dz)), 0.0)
        yaw = np.arctan(np.tan(yaw))
        smooth = max(3, len(yaw) // 12 * 2 + 1)
        yaw = np.convolve(np.pad(np.clip(yaw, -0.5, 0.5), smooth // 2, mode="edge"), np.ones(smooth) / smooth, mode="valid")
        gone = (z < 0.8) | (z > 75)
        path = np.stack([x, z, yaw], axis=1)
        path[gone] = np.nan
        return path

    def _wander(self, lane: float) -> Floats:
        rng = self._rng
        return lane + rng.uniform(-0.3, 0.3) + rng.uniform(0, 0.15) * np.sin(self._times * rng.uniform(0.4, 1.0) + rng.uniform(0, 6))

    def _add_passing(self, lane: float, at_s: float, speed: float, way: str, types: list[PlateType]) -> None:
        """A vehicle that is nearest (approaching) or enters (receding) about two seconds after `at_s`."""
        end: End = "front" if way == "approach" else "rear"
        edge = self.near * self._rng.uniform(0.85, 1.0)
        t = self._times - at_s
        if way == "approach":
            z = edge + (2.2 - t) * speed
            z = np.where(z < edge * 0.2, -1.0, z)
        else:
            z = edge * 0.75 + (t - 0.4) * speed
        self._add(self._type(types), end, self._path(self._wander(lane), z))

    def _add_stop(self, lane: float, at_s: float, speed: float, types: list[PlateType]) -> None:
        rng = self._rng
        stop_z, brake_s, wait_s = self.near * rng.uniform(1.0, 1.12), rng.uniform(1.2, 2.0), rng.uniform(1.5, 4.0)
        t = self._times - at_s
        braking = np.clip((t - 1.0) / brake_s, 0, 1)
        z = stop_z + speed * np.maximum(1.0 - t, 0) + speed * brake_s / 2 * (1 - braking) ** 2
        leaving = np.maximum(t - 1.0 - brake_s - wait_s, 0)
        z = z - 1.2 * leaving**2
        self._add(self._type(types), "front", self._path(np.full_like(z, lane + rng.uniform(-0.2, 0.2)), z))
        if rng.random() < 0.6 and wait_s > 2:  # the next one queues behind
            follow = rng.uniform(6.0, 8.0)
            z2 = z[np.maximum(0, np.arange(len(z)) - round(0.7 * self._settings.fps))] + follow
            self._add(self._type(types), "front", self._path(np.full_like(z, lane + rng.uniform(-0.3, 0.3)), z2))

    def _add_leading(self, types: list[PlateType]) -> None:
        """The vehicle ahead of a moving camera, at a changing distance."""
        rng = self._rng
        low, high = self.near, self.near * rng.uniform(1.4, 2.6)
        swing = np.sin(self._times * rng.uniform(0.25, 0.7) + rng.uniform(0, 6))
        z = (low + high) / 2 + (high - low) / 2 * swing
        self._add(self._type(types), "rear", self._path(self._wander(0.0), z))

    def _add_crossing(self, at_s: float, swap_s: float, way: str, types: list[PlateType]) -> None:
        """Two vehicles that change lanes past each other, so that their plates cross in the picture."""
        rng = self._rng
        gap, half = rng.uniform(5.0, 6.5), min(1.7, max(1.1, self.reach * 0.5))
        middle = math.tan(self.camera.yaw) * self.near * 1.6
        t = self._times - at_s
        part = np.clip(t / swap_s, 0, 1)
        across = middle + half * np.cos(part * math.pi)
        speed = max(self.near * 0.9, 5.0 * half) / swap_s
        if way == "approach":
            lead = self.near * 1.15 + speed * np.maximum(0.0, swap_s - t) - np.maximum(t - swap_s, 0) ** 2 * 1.5
            end: End = "front"
        else:
            lead = self.near * 1.15 + speed * np.clip(t, -1.0, swap_s) + np.maximum(t - swap_s, 0) ** 2 * 1.5
            end = "rear"
        for x, z in ((across, lead), (2 * middle - across, lead + gap)):
            self._add(self._type(types), end, self._path(x, z))

    def _add_parked(self, side: int, types: list[PlateType]) -> None:
        rng = self._rng
        edge = (min(self.lanes) if side < 0 else max(self.lanes)) + side * self.lane_m / 2
        x = edge + side * rng.uniform(0.5, 1.0)
        for factor in np.linspace(1.15, 2.6, 12):
            z = self.near * float(factor) * rng.uniform(0.98, 1.02)
            pixels, _ = self.camera.project(np.array([[x, 0.5, z]]))
            if (
                0.08 * self.camera.width < pixels[0, 0] < 0.92 * self.camera.width
                and 0.1 * self.camera.height < pixels[0, 1] < 0.92 * self.camera.height
            ):
                break
        else:
            return
        count = len(self._times)
        end: End = "front" if rng.random() < 0.5 else "rear"
        yaw = rng.uniform(-0.12, 0.12)
        for k in range(rng.randint(1, 2)):
            path = np.stack([np.full(count, x + rng.uniform(-0.1, 0.1)), np.full(count, z + k * rng.uniform(5.6, 7)), np.full(count, yaw)], axis=1)
            self._add(self._type(types), end, path, parked=True)

    def _add_hiding(self) -> None:
        """Something that hides a plate for a moment: a person who walks by where it stands, a branch or beam near the camera where it moves."""
        rng, fps = self._rng, self._settings.fps
        candidates = [a for a in self.actors if a.plate is not None and np.isfinite(a.path[:, 0]).sum() > fps]
        if not candidates:
            return
        actor = rng.choice(candidates)
        there = np.flatnonzero(np.isfinite(actor.path[:, 0]))
        inside = [k for k in there if self._in_picture(actor.path[k])]
        if len(inside) < fps:
            return
        middle = inside[round(len(inside) * rng.uniform(0.4, 0.7))]
        x, z, _ = actor.path[middle]
        speed = abs(float(actor.path[min(middle + 1, there[-1]), 1] - z)) * fps
        if speed < 1.2:
            self._add_walker(middle / fps, float(x), max(1.5, float(z) - rng.uniform(0.7, 1.2)))
        else:
            self.front.append(
                _branch(
                    self._picture_place(actor.path[middle]),
                    self._picture_place(actor.path[min(middle + 1, there[-1])]),
                    self._settings,
                    rng,
                    self._look.night,
                )
            )

    def _add_walker(self, at_s: float, x: float, z: float) -> None:
        """Somebody who walks across and is at (x, z) at that time."""
        rng = self._rng
        walk = rng.choice((-1, 1)) * rng.uniform(1.3, 2.0)
        xs = x + (self._times - at_s) * walk
        path = np.stack([xs, np.full(len(xs), z), np.zeros(len(xs))], axis=1)
        path[np.abs(xs - x) > 14] = np.nan
        light = self._light * (1 - 0.85 * self._look.night)
        self.actors.append(_Actor((_person(rng, light),), (), None, "", None, False, path))

    def _picture_place(self, spot: Floats) -> Floats:
        pixels, _ = self.camera.project(Place(*(float(v) for v in spot)).move(np.array([[0.0, 0.5, 0.0]])))
        return np.asarray(pixels[0], np.float64)

    def _in_picture(self, spot: Floats) -> bool:
        x, y = self._picture_place(spot)
        near = self.camera.focal_px * 0.5 / float(spot[1])
        return bool(
            near < x < self.camera.width - near and near * 0.3 < y < self.camera.height - near * 0.3 and near > 0.5 * self._settings.plate_px[0]
        )


def draw_frames(formats: Sequence[Format], photos: Sequence[Photo], count: int, rng: random.Random) -> list[Photo]:
    """`count` frames of drawn sequences, a few of each: two sequences in three before a drawn street, the others (where there are photos) before a photo."""
    frames: list[Photo] = []
    while len(frames) < count:
        chosen = rng.choices(formats, [f.weight for f in formats])[0]
        settings = SequenceSettings(plate_px=(rng.choice((24.0, 60.0)), 160.0))
        tried = (rng.choice(photos) for _ in range(4)) if photos and rng.random() < 1 / 3 else ()
        photo = next((photo for photo in tried if is_usable(photo, settings)), None)
        sequence = DrawnSequence(chosen, settings, rng.getrandbits(48), photo)
        numbers = rng.sample(range(settings.frames), min(_FRAMES_OF_ONE, count - len(frames)))
        frames += [sequence.picture(number) for number in numbers]
    return frames


def write_sequences(
    out: Path,
    formats: Sequence[Format],
    count: int,
    seed: int,
    photos: Sequence[Path],
    settings: SequenceSettings,
    pictures: bool,
    done: Callable[[int], None],
) -> None:
    """Writes `count` sequences with `labels.json` and a truth file each; `done(1)` is called after each frame.

    Args:
        out: a folder that has no labels yet.
        formats: each sequence takes one country of these, by weight.
        count: number of sequences.
        seed: the same seed draws the same sequences.
        photos: data sets whose photos are the backdrops; none: drawn streets.
        settings: length, size, situations.
        pictures: True writes folders of JPEG pictures, False H.264 in MP4 files (extra `video`).
        done: called for progress.

    Raises:
        DatasetError: `out` holds labels or pictures already, a folder of `photos` is not a data set or has no photos, or what was written cannot be read.
        OpenPlateError: a Chinese plate is to be drawn and no font has its characters.
    """
    if (out / LABELS).exists():
        raise DatasetError(f"{out}: holds labelled clips already; give another folder, or delete it")
    pool = [photo for photo in load_photos(photos, held_out=False) if is_usable(photo, settings)]
    if photos and not pool:
        raise DatasetError(
            f"{', '.join(map(str, photos))}: expected photos in which plates are at most {settings.plate_px[1]:.0f} px wide "
            f"when they fill {settings.width}x{settings.height}, found none; ask for larger plates, or name other photos"
        )
    out.mkdir(parents=True, exist_ok=True)
    clips = []
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        chosen = rng.choices(formats, [f.weight for f in formats])[0]
        sequence = DrawnSequence(chosen, settings, rng.getrandbits(48), rng.choice(pool) if pool else None)
        path = out / (f"{number:03d}" if pictures else f"{number:03d}.mp4")
        frames = []
        with closing(_open_writer(path, settings, sequence.codec_crf, pictures)) as writer:
            for image, seen in sequence:
                writer.write(image)
                frames.append(seen)
                done(1)
        truth = sequence.truth(_see_recording(path, sequence, frames))
        truth_path = out / f"{number:03d}.truth.json"
        write_truth(truth_path, truth)
        clips.append(label_clip(path, truth, sequence.country, truth_path, sequence.faint))
    write_clips(out, clips)


def label_clip(path: Path, truth: Truth, country: str, truth_path: Path | None = None, faint: Sequence[int] = ()) -> Clip:
    """Which sightings a drawn clip should give: a plate that can be read well has to be one, any other (and the tracks `faint`) may be one."""
    plates: list[TrueTrack] = []
    may: list[TrueTrack] = []
    for track in truth.tracks:
        seen = [plate for frame in truth.frames for plate in frame if plate.track == track.track]
        good = sum(is_readable(plate, track.lines) for plate in seen) >= READABLE_FRAMES and track.track not in faint
        (plates if good else may).append(track)
    parked = tuple(track.text for track in truth.tracks if track.parked)
    note = " ".join(truth.situations)
    return Clip(path, country, tuple(t.text for t in plates), parked, tuple(t.text for t in may), note, truth_path)


def is_readable(plate: SeenPlate, lines: int) -> bool:
    """Whether a plate in one frame is whole, large, sharp, and kept by the recording well enough that it has to be read."""
    width, height = quad_size(plate.quad)
    kept = plate.clarity is None or plate.clarity >= READABLE_CLARITY
    return kept and _is_whole(plate) and width >= READABLE_WIDTH_PX and height / lines >= READABLE_ROW_PX and plate.blur_px <= 0.2 * height / lines


def _is_whole(plate: SeenPlate) -> bool:
    return plate.visible >= WHOLE


def _see_recording(path: Path, sequence: DrawnSequence, frames: Sequence[tuple[SeenPlate, ...]]) -> list[tuple[SeenPlate, ...]]:
    """The plates of all frames with what the recording at `path` kept of those that are seen whole.

    Raises:
        DatasetError: the recording has another number of frames.
    """
    from openplate.streams import open_stream
    from openplate.streams.settings import StreamSettings

    found = []
    with open_stream(str(path), StreamSettings(fps=sequence.settings.fps) if path.is_dir() else StreamSettings()) as stream:
        for frame, plates in zip(stream, frames, strict=False):
            found.append(tuple(replace(plate, clarity=sequence.clarity(frame.image, plate)) if _is_whole(plate) else plate for plate in plates))
    if len(found) != len(frames):
        raise DatasetError(f"{path}: {len(frames)} frames were written and {len(found)} can be read; delete it and draw it again")
    return found


class _PictureWriter:
    """Frames as JPEG pictures in a folder."""

    def __init__(self, folder: Path) -> None:
        if folder.is_dir() and any(folder.iterdir()):
            raise DatasetError(f"{folder}: holds pictures of an earlier run; give another folder, or delete it")
        self._folder, self._number = folder, 0

    def write(self, image: Image) -> None:
        write_image(self._folder / f"{self._number:06d}.jpg", image, quality=88)
        self._number += 1

    def close(self) -> None:
        pass


class _Writer(Protocol):
    def write(self, image: Image) -> None: ...

    def close(self) -> None: ...


def _open_writer(path: Path, settings: SequenceSettings, crf: int, pictures: bool) -> _Writer:
    if pictures:
        return _PictureWriter(path)
    from openplate.streams.writer import VideoWriter

    return VideoWriter(path, settings.fps, (settings.width, settings.height), crf=crf)


def _choose_situations(asked: Sequence[str], rng: random.Random) -> tuple[str, ...]:
    """What is asked for, or a mix by chance with at least one moving vehicle or a parked one."""
    if asked:
        return tuple(name for name in SITUATIONS if name in asked)
    chances = {
        "approach": 0.6,
        "recede": 0.45,
        "stop": 0.2,
        "cross": 0.25,
        "parked": 0.35,
        "occluded": 0.3,
        "night": 0.2,
        "shake": 0.35,
        "texts": 0.6,
    }
    chosen = {name for name, chance in chances.items() if rng.random() < chance}
    if not chosen & {"approach", "recede", "stop", "cross", "parked"}:
        chosen.add("approach")
    return tuple(name for name in SITUATIONS if name in chosen)


def _choose_look(situations: Sequence[str], rng: random.Random) -> _Look:
    kinds = ("pole", "gate", "dash", "hand")
    kind = rng.choices(kinds, (0.4, 0.25, 0.2, 0.15) if "shake" in situations else (0.55, 0.45, 0, 0))[0]
    if "stop" in situations and kind == "dash":
        kind = "gate"
    shaken = "shake" in situations
    shake = (
        0.0
        if not shaken
        else {"pole": rng.uniform(0.3, 1.5), "gate": rng.uniform(0.2, 1.0), "dash": rng.uniform(1.0, 4.0), "hand": rng.uniform(1.5, 5.0)}[kind]
    )
    night = rng.uniform(0.35, 0.8) if "night" in situations else 0.0
    cast = rng.gauss(0, 0.04)
    return _Look(
        kind=kind,
        shake_px=shake,
        shutter=rng.uniform(0.03, 0.15) if not night else rng.uniform(0.06, 0.22),
        night=night,
        gamma=math.exp(rng.gauss(0, 0.15)),
        lift=rng.uniform(0.0, 0.09),
        gains=(1 + cast, 1.0, 1 - cast * rng.uniform(0.5, 1.2)),
        grey=rng.random() < (0.35 if night else 0.03),
        soft_px=rng.uniform(0.45, 1.0),
        noise=rng.uniform(1.0, 4.5) if not night else rng.uniform(2.5, 7.0),
        sharpen=rng.uniform(0.2, 0.8) if rng.random() < 0.4 else 0.0,
        crf=rng.randint(20, 29),
    )


def _shake(count: int, look: _Look, settings: SequenceSettings, zoom: _Zoom, rng: random.Random) -> Floats:
    """The affine map `(N, 2, 3)` in px that a shaken (and in a vehicle slowly advancing) camera puts on each frame."""
    maps = np.tile(np.array([[1.0, 0, 0], [0, 1, 0]]), (count, 1, 1))
    times = np.arange(count) / settings.fps
    centre = np.array([settings.width / 2, settings.height / 2])
    turn = 0.0006 * look.shake_px * np.sin(2 * math.pi * rng.uniform(0.2, 1.0) * times)
    part = np.linspace(0, 1, count)
    factors = zoom.begin * (zoom.end / zoom.begin) ** (part - 0.12 * np.sin(2 * math.pi * part))
    anchor = np.array([zoom.x, zoom.y])
    for k in range(count):
        cos, sin = math.cos(turn[k]), math.sin(turn[k])
        matrix = np.array([[cos, -sin], [sin, cos]])
        maps[k, :, :2] = matrix * factors[k]
        maps[k, :, 2] = centre - matrix @ centre + matrix @ (anchor - factors[k] * anchor)
    if look.shake_px > 0:
        for axis in (0, 1):
            for power, (low, high) in ((0.7, (0.2, 0.8)), (0.4, (1.0, 3.0)), (0.2, (4.0, 8.0))):
                maps[:, axis, 2] += look.shake_px * power * np.sin(2 * math.pi * rng.uniform(low, high) * times + rng.uniform(0, 6))
    return maps


def _repaint(
    photo: Photo, plate_format: Format, settings: SequenceSettings, margin: int, rng: random.Random
) -> tuple[Image, tuple[_Painted, ...], _Zoom]:
    """A photo as a backdrop with drawn plates in place of its own, and the way of a camera that moves towards the largest or away from it."""
    width, height = settings.width + 2 * margin, settings.height + 2 * margin
    image = cover(photo.image, width, height, 1.0)
    scale = image.shape[1] / photo.image.shape[1]
    largest = max(photo.quads, key=lambda quad: quad_size(quad)[0])
    middle = largest.mean(axis=0) * scale
    left = int(np.clip(middle[0] - width / 2, 0, image.shape[1] - width))
    top = int(np.clip(middle[1] - height * 0.6, 0, image.shape[0] - height))
    image = np.ascontiguousarray(image[top : top + height, left : left + width])
    quads = [np.asarray(quad * scale - [left, top], dtype=np.float32) for quad in photo.quads]
    image, plates = replace_plates(image, quads, [plate_format], rng, difficulty=0.5)
    types = {plate_type.name: plate_type for plate_type in plate_format.types}
    painted = [
        _Painted(p.quad, p.text or "", types[p.type or ""], _contrast(image, p.quad) >= _CLEAR_LEVELS, plate_strip(image, p.quad), p.characters)
        for p in plates
    ]
    own_px = quad_size(largest)[0] * scale
    factor = max(1.02, math.exp(rng.uniform(*(math.log(max(v, own_px * 1.1)) for v in settings.plate_px))) / own_px)
    low = max(1.0, factor * rng.uniform(0.4, 0.9))
    begin, end = (low, factor) if rng.random() < 0.6 else (factor, low)
    anchor = (middle - [left, top] - margin) * 0.75 + np.array([settings.width, settings.height]) * 0.125
    return image, tuple(painted), _Zoom(begin, end, float(anchor[0]), float(anchor[1]))


def _contrast(image: Image, quad: Quad) -> float:
    """Grey levels between the dark and the light pixels inside a quad."""
    found = _inside(quad, image.shape[1], image.shape[0])
    if found is None:
        return 0.0
    (x0, y0, x1, y1), mask = found
    values = image[y0:y1, x0:x1].mean(axis=2)[mask > 128]
    return float(np.percentile(values, 95) - np.percentile(values, 5)) if len(values) else 0.0


def is_usable(photo: Photo, settings: SequenceSettings) -> bool:
    """Whether a photo can be a backdrop: an open road, or vehicles whose plates are not larger than the settings allow."""
    scale = max(settings.width / photo.image.shape[1], settings.height / photo.image.shape[0])
    return is_open_road(photo) or max(quad_size(quad)[0] for quad in photo.quads) * scale * 1.05 <= settings.plate_px[1]


def _darken(backdrop: Image, night: float, rng: random.Random) -> Image:
    """Night: little light of one colour, and pools of street lamps."""
    height, width = backdrop.shape[:2]
    tint = np.array(rng.choice(((1.0, 0.86, 0.62), (0.8, 0.9, 1.1), (1.0, 0.95, 0.85))), np.float32)
    light = np.full((height // 8 + 1, width // 8 + 1), 1 - 0.93 * night, np.float32)
    for _ in range(rng.randint(1, 4)):
        pool = np.zeros_like(light)
        centre = rng.randrange(light.shape[1]), rng.randrange(light.shape[0] // 4, light.shape[0])
        cv2.ellipse(pool, centre, (max(2, light.shape[1] // rng.randint(5, 12)), max(2, light.shape[0] // rng.randint(8, 16))), 0, 0, 360, 1.0, -1)
        light += cv2.GaussianBlur(pool, (0, 0), light.shape[1] / 18) * rng.uniform(0.08, 0.25)
    field = cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)[..., None] * tint
    return np.clip(backdrop * field, 0, 255).astype(np.uint8)


def _light_table(look: _Look) -> NDArray[np.uint8]:
    """`(256, 1, 3)` for the exposure and colour of the whole sequence."""
    levels = (np.arange(256, dtype=np.float32) / 255) ** look.gamma * (1 - look.lift) + look.lift
    table = np.clip(levels[:, None] * np.array(look.gains, np.float32) * 255, 0, 255)
    return np.ascontiguousarray(table.astype(np.uint8)[:, None, :])


_GRAIN_SIGMA = 24.0


@lru_cache(maxsize=4)
def _grain(height: int, width: int) -> NDArray[np.uint8]:
    """Noise about 128, larger than a frame, so that each frame takes another part; coarser in colour than in light, as cameras have it."""
    noise = np.random.default_rng(7)
    fine = noise.normal(0, 1, (height + 96, width + 96, 1)).astype(np.float32)
    colour = noise.normal(0, 1, ((height + 96) // 2, (width + 96) // 2, 3)).astype(np.float32)
    whole = fine + 0.7 * cv2.resize(colour, (width + 96, height + 96), interpolation=cv2.INTER_LINEAR)
    whole = cv2.GaussianBlur(whole, (3, 3), 0.55)
    return np.asarray(np.clip(128 + _GRAIN_SIGMA * whole / whole.std(), 0, 255), dtype=np.uint8)


def _add_grain(frame: Image, sigma: float, rng: random.Random) -> Image:
    height, width = frame.shape[:2]
    x, y = rng.randint(0, 96), rng.randint(0, 96)
    part = _grain(height, width)[y : y + height, x : x + width]
    amount = sigma / _GRAIN_SIGMA
    return np.asarray(cv2.addWeighted(frame, 1.0, part, amount, -128 * amount), dtype=np.uint8)


def _inside(quad: Quad, width: int, height: int) -> tuple[Box, NDArray[np.uint8]] | None:
    """The part of a quad in the frame: its box, and 255 where the quad is; None where there is none."""
    x0, y0, x1, y1 = quad_to_box(quad)
    box = max(0, math.floor(x0)), max(0, math.floor(y0)), min(width, math.ceil(x1) + 1), min(height, math.ceil(y1) + 1)
    if box[2] - box[0] < 1 or box[3] - box[1] < 1:
        return None
    # Drawn four times as large and averaged: a small plate's area must not depend on where its edges fall between pixels.
    large = np.zeros(((box[3] - box[1]) * 4, (box[2] - box[0]) * 4), np.uint8)
    fixed = np.round(((quad - box[:2]) * 4 - 0.5) * 16).astype(np.int32)
    cv2.fillConvexPoly(large, fixed, 255.0, cv2.LINE_8, 4)
    return box, np.asarray(cv2.resize(large, (box[2] - box[0], box[3] - box[1]), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _hide(waiting: list[tuple[int, Quad, float, Box, NDArray[np.uint8]]], drawn: Drawn) -> None:
    """Takes what was drawn later off the plates that it covers, in place."""
    bx0, by0, bx1, by1 = drawn.box
    for _, _, _, (x0, y0, x1, y1), mask in waiting:
        left, top, right, bottom = max(x0, bx0), max(y0, by0), min(x1, bx1), min(y1, by1)
        if left >= right or top >= bottom:
            continue
        part = mask[top - y0 : bottom - y0, left - x0 : right - x0]
        cover = drawn.coverage[top - by0 : bottom - by0, left - bx0 : right - bx0]
        part[:] = cv2.multiply(part, cv2.bitwise_not(np.ascontiguousarray(cover)), scale=1 / 255)


def _person(rng: random.Random, light: Floats) -> Face:
    """Somebody who walks by, seen from the side."""
    sheet = Sheet(-0.4, 0.4, 0, 1.8, 200)
    grey = rng.uniform(20, 130)
    coat = np.array([grey + rng.uniform(-14, 24) for _ in range(3)])
    trousers = np.array([rng.uniform(24, 70)] * 3) + [0, 2, rng.uniform(0, 24)]
    skin = np.array([188.0, 150, 126]) * rng.uniform(0.5, 1.1)
    for x in (-0.17, 0.06):
        sheet.fill(rounded([(x, 0.85), (x + 0.16, 0.85), (x + 0.13, 0.06), (x + 0.0, 0.06)], 0.03), trousers, body=True)
        sheet.fill([(x - 0.02, 0.07), (x + 0.2, 0.07), (x + 0.2, 0.0), (x - 0.02, 0.0)], 22, body=True)
    sheet.fill(rounded([(-0.22, 1.48), (0.22, 1.48), (0.27, 0.72), (-0.26, 0.72)], 0.1), coat, body=True)
    sheet.fill(rounded([(-0.1, 1.4), (0.06, 1.4), (0.1, 0.8), (-0.08, 0.8)], 0.06), coat * 0.78, body=True)
    sheet.fill(rounded([(-0.11, 1.78), (0.11, 1.78), (0.1, 1.47), (-0.1, 1.47)], 0.09), skin, body=True)
    sheet.fill(rounded([(-0.12, 1.8), (0.12, 1.8), (0.1, 1.68), (-0.12, 1.64)], 0.08), (40, 30, 24), body=True)
    if rng.random() < 0.5:
        sheet.fill(rounded([(0.12, 0.95), (0.38, 0.95), (0.38, 0.6), (0.12, 0.6)], 0.04), [rng.uniform(30, 120)] * 3, body=True)
    sheet.shade(np.linspace(1.1, 0.8, sheet.size[1], dtype=np.float32)[:, None])
    sheet.dim(light)
    return Face(np.array([[-0.4, 1.8, 0], [0.4, 1.8, 0], [0.4, 0, 0], [-0.4, 0, 0]], np.float64), texture_levels(sheet.layer()))


def _branch(at: Floats, following: Floats, settings: SequenceSettings, rng: random.Random, night: float) -> tuple[Box, Layer]:
    """A beam or a branch near the camera, across the way that a plate takes through `at`; out of focus."""
    way = following - at
    length = max(1e-3, float(np.linalg.norm(way)))
    across = np.array([-way[1], way[0]]) / length
    thick = min(0.16 * settings.height, length * settings.fps * rng.uniform(0.12, 0.4) + 0.02 * settings.height)
    reach = rng.uniform(0.25, 1.2) * settings.width
    tilt = np.array([across[1], -across[0]]) * rng.uniform(-0.25, 0.25)
    along = (across + tilt) * rng.choice((-1, 1))
    ends = at - along * 1.5 * settings.width, at + along * reach  # it hangs in from one side of the picture
    rgb = np.zeros((settings.height, settings.width, 3), np.uint8)
    mask = np.zeros((settings.height, settings.width), np.uint8)
    leafy = rng.random() < 0.6
    colour = np.array(rng.choice(((46.0, 60, 34), (60.0, 66, 44)) if leafy else ((70.0, 72, 76), (196.0, 194, 188), (196.0, 194, 188)))) * (
        1 - 0.85 * night
    )
    if leafy:
        count = max(30, int(reach / max(6.0, thick) * 60))
        for _ in range(min(count, 900)):
            spot = ends[0] + (ends[1] - ends[0]) * rng.random() + across[::-1] * np.array([1, -1]) * rng.gauss(0, thick * 0.3)
            size = rng.uniform(0.08, 0.22) * thick
            axes, turn = (max(2, round(size * 1.4)), max(1, round(size * 0.7))), rng.uniform(0, 180)
            tone = [float(v) for v in np.clip(colour * rng.uniform(0.6, 1.5), 0, 255)]
            centre = round(float(spot[0])), round(float(spot[1]))
            cv2.ellipse(rgb, centre, axes, turn, 0, 360, tone, -1, cv2.LINE_AA)
            cv2.ellipse(mask, centre, axes, turn, 0, 360, 255.0, -1, cv2.LINE_AA)
    first, last = ((round(float(e[0])), round(float(e[1]))) for e in ends)
    core = max(2, round(thick * (0.55 if leafy else 1.0)))
    cv2.line(rgb, first, last, [float(v) for v in colour], core, cv2.LINE_AA)
    if not leafy and colour.max() > 100:  # a barrier's stripes
        length = float(np.linalg.norm(ends[1] - ends[0]))
        for begin in np.arange(0, length, thick * 6):
            a, b = (tuple(np.round(ends[0] + (ends[1] - ends[0]) * v / length).astype(int).tolist()) for v in (begin, begin + thick * 3))
            cv2.line(rgb, a, b, [float(v) for v in np.array([170.0, 30, 30]) * (1 - 0.85 * night)], core)
    cv2.line(mask, first, last, 255.0, core, cv2.LINE_AA)
    sigma = max(1.0, thick * 0.06)
    rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), dtype=np.uint8)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), dtype=np.uint8)
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(ys):
        return (0, 0, 1, 1), np.zeros((1, 1, 4), np.uint8)
    box = int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1
    layer = np.dstack([rgb, mask])[box[1] : box[3], box[0] : box[2]]
    return box, np.ascontiguousarray(layer)
