"""Labelled photos in, material for drawing out: patches of real plates with their texts, and photos to put drawn plates into."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar, overload

import cv2
import numpy as np

from openplate.charset import CHARACTERS, PROVINCES, Charset, normalise
from openplate.dataset import LabelledImage, LabelledPlate, load_dataset
from openplate.formats.model import LONGEST_TEXT
from openplate.geometry import box_to_quad, quad_size, quad_to_box
from openplate.sources import read_image
from openplate.types import Image, Quad

KEPT_BYTES = 1_000_000_000
"""How much of the pictures of data sets a process keeps in memory, of photos and of plates each."""


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A real plate with some surroundings, its quad in the patch, its text, and the code of its country where the label says it."""

    image: Image
    quad: Quad
    text: str
    country: str | None = None

    @property
    def first_line(self) -> int | None:
        """How many characters of `text` stand on the first line: all on a flat plate, two on a high Chinese one; None where the shape does not tell."""
        width, height = quad_size(self.quad)
        if height < 0.36 * width:
            return len(self.text)
        return 2 if self.text[:1] in PROVINCES and height > 0.42 * width else None


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A photo with the quads of its plates; `upright` says, for each, that the quad is only a box, `covered` (if not empty) that something hides much of it.

    `signs` are quads of signs, as far as they are known.
    """

    image: Image
    quads: tuple[Quad, ...]
    upright: tuple[bool, ...]
    texts: tuple[str | None, ...]
    covered: tuple[bool, ...] = ()
    signs: tuple[Quad, ...] = ()


T = TypeVar("T", Patch, Photo)
E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class TextCounts:
    """How many labelled plates with a text `load_patches` takes, and how many it leaves out: for a character outside the charset, for an upright box
    instead of corners, for a text too long. `characters` are those outside the charset, the most frequent first."""

    used: int
    outside: int
    upright: int
    long: int
    characters: str

    @property
    def total(self) -> int:
        """All plates with a text."""
        return self.used + self.outside + self.upright + self.long


class Opened(Sequence[T]):
    """Pictures that are opened when they are asked for. Those that fit into `kept_bytes` together stay in memory; of a large data set the others are read
    from their files each time.

    Args:
        entries: what `load` takes, one for each picture.
        load: gives a picture; raises a `SourceError` where it cannot be read.
        kept_bytes: how much stays in memory.
    """

    def __init__(self, entries: Sequence[E], load: Callable[[E], T], kept_bytes: int = KEPT_BYTES) -> None:
        self._load: Callable[[int], T] = lambda number: load(entries[number])
        self._count = len(entries)
        self._kept: dict[int, T] = {}
        self._room = kept_bytes

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: int | slice) -> T | list[T]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        number = place % len(self) if -len(self) <= place < len(self) else place
        if number in self._kept:
            return self._kept[number]
        found = self._load(number)
        if found.image.nbytes <= self._room:
            self._room -= found.image.nbytes
            self._kept[number] = found
        return found


def spread(count: int, most: int) -> list[int]:
    """Places of `count` things, or of `most` of them, evenly spread, where there are more."""
    taken = min(count, most)
    return [place * count // taken for place in range(taken)]


def open_photos(folders: Iterable[Path], held_out: bool | None, longest_px: int = 1280) -> Opened[Photo]:
    """The photos (not the whole-image crops) of data sets, shrunk to `longest_px`, each read when it is asked for.

    Args:
        folders: data sets in the form of docs/datasets.md.
        held_out: True gives every fifth image, False the others, None all.
        longest_px: longer side that a photo has at most.

    Raises:
        DatasetError: a folder is not a data set.
    """
    entries = [entry for folder in folders for entry in _part(folder, held_out) if not entry.cropped]
    return Opened(entries, partial(_photo, longest_px=longest_px))


def load_photos(folders: Iterable[Path], held_out: bool | None, longest_px: int = 1280) -> list[Photo]:
    """As `open_photos`, all read at once.

    Raises:
        DatasetError: a folder is not a data set.
        SourceError: an image cannot be read.
    """
    return list(open_photos(folders, held_out, longest_px))


def _photo(entry: LabelledImage, longest_px: int) -> Photo:
    image = read_image(entry.path)[0].image
    factor = min(1.0, longest_px / max(image.shape[:2]))
    if factor < 1:
        image = np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    labelled = [p for p in entry.plates if p.quad is not None]
    quads = tuple(np.asarray(p.quad * factor, dtype=np.float32) for p in labelled if p.quad is not None)
    return Photo(image, quads, tuple(p.upright for p in labelled), tuple(p.text for p in labelled))


def open_patches(
    folders: Iterable[Path], held_out: bool | None, width_px: int = 320, characters: str = CHARACTERS, in_photos: bool = False
) -> tuple[Opened[Patch], tuple[str, ...]]:
    """The plates with a known text of these characters and true corners (or that fill their image), at most `width_px` wide, each cut out when it is
    asked for; and their texts. With `in_photos`, those alone that have a place in a photo.

    `held_out` is that of `open_photos`. What is left out, `count_texts` says.

    Raises:
        DatasetError: a folder is not a data set.
    """
    charset = Charset(characters)
    images = [entry for folder in folders for entry in _part(folder, held_out)]
    used = [(entry.path, plate) for entry in images for plate in entry.plates if _use(plate, charset) == "used"]
    entries = [(path, plate) for path, plate in used if plate.quad is not None or not in_photos]
    return Opened(entries, partial(_patch, width_px=width_px)), tuple(normalise(plate.text or "") for _, plate in entries)


def load_patches(folders: Iterable[Path], held_out: bool | None, width_px: int = 320, characters: str = CHARACTERS) -> list[Patch]:
    """As `open_patches`, all read at once.

    Raises:
        DatasetError: a folder is not a data set.
        SourceError: an image cannot be read.
    """
    return list(open_patches(folders, held_out, width_px, characters)[0])


def _patch(entry: tuple[Path, LabelledPlate], width_px: int) -> Patch:
    path, plate = entry
    image = read_image(path)[0].image
    quad = plate.quad if plate.quad is not None else box_to_quad(0, 0, image.shape[1], image.shape[0])
    return _cut(image, quad, normalise(plate.text or ""), plate.country, width_px)


def count_texts(folders: Iterable[Path], held_out: bool | None, characters: str = CHARACTERS) -> TextCounts:
    """Of how many plates with a text `load_patches` with the same arguments takes how many; no image is opened.

    Raises:
        DatasetError: a folder is not a data set.
    """
    charset = Charset(characters)
    plates = [plate for folder in folders for entry in _part(folder, held_out) for plate in entry.plates]
    uses = Counter(_use(plate, charset) for plate in plates)
    strange = Counter(c for plate in plates for c in normalise(plate.text or "") if not charset.covers(c))
    return TextCounts(uses["used"], uses["outside"], uses["upright"], uses["long"], "".join(c for c, _ in strange.most_common()))


def _part(folder: Path, held_out: bool | None) -> list[LabelledImage]:
    """The images of a data set that belong to a part of it: every fifth, the others, or all."""
    dataset = load_dataset(folder)
    return list((dataset if held_out is None else dataset.part(held_out)).images)


def _use(plate: LabelledPlate, charset: Charset) -> Literal["used", "outside", "upright", "long", "no text"]:
    """Whether a plate's text can be learned, and if not, why. A text of separators alone is none."""
    text = normalise(plate.text or "")
    if not text:
        return "no text"
    if not charset.covers(text):
        return "outside"
    if plate.upright:
        return "upright"
    return "used" if len(text) <= LONGEST_TEXT else "long"


def _cut(image: Image, quad: Quad, text: str, country: str | None, width_px: int) -> Patch:
    width, height = quad_size(quad)
    x0, y0, x1, y1 = quad_to_box(quad)
    pad_x, pad_y = 0.25 * width, 0.6 * height
    left, top = max(0, int(x0 - pad_x)), max(0, int(y0 - pad_y))
    region = image[top : int(y1 + pad_y) + 1, left : int(x1 + pad_x) + 1]
    quad = quad - np.array([left, top], np.float32)
    factor = min(1.0, width_px / width)
    if factor < 1:
        size = max(1, round(region.shape[1] * factor)), max(1, round(region.shape[0] * factor))
        quad = quad * np.array([size[0] / region.shape[1], size[1] / region.shape[0]], np.float32)
        region = np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return Patch(np.ascontiguousarray(region), np.asarray(quad, dtype=np.float32), text, country)


def paint_over(image: Image, quads: Sequence[Quad], rng: random.Random) -> Image:
    """A copy of the image without its plates: each quad and a margin is filled from its surroundings (Telea 2004) at low resolution."""
    result = image.copy()
    for quad in quads:
        width, height = quad_size(quad)
        x0, y0, x1, y1 = quad_to_box(quad)
        pad = max(4.0, 0.7 * height)
        left, top = int(max(0, x0 - pad)), int(max(0, y0 - pad))
        region = result[top : int(y1 + pad) + 1, left : int(x1 + pad) + 1]
        if min(region.shape[:2]) < 4:
            continue
        factor = min(1.0, 48 / max(1.0, height))
        size = max(4, round(region.shape[1] * factor)), max(4, round(region.shape[0] * factor))
        small = np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        factor_x, factor_y = size[0] / region.shape[1], size[1] / region.shape[0]
        mask = np.zeros(small.shape[:2], np.uint8)
        centre = quad.mean(axis=0)
        local = (centre + (quad - centre) * np.array([1 + 0.16 * height / max(width, 1.0), 1.16], np.float32) - (left, top)) * (factor_x, factor_y)
        cv2.fillConvexPoly(mask, np.round(local).astype(np.int32), 255)
        cv2.dilate(mask, np.ones((3, 3), np.uint8), mask)
        filled = cv2.inpaint(small, mask, 3, cv2.INPAINT_TELEA)
        back = cv2.resize(filled, (region.shape[1], region.shape[0]), interpolation=cv2.INTER_LINEAR)
        soft = cv2.resize(cv2.GaussianBlur(mask, (0, 0), 1.0), (region.shape[1], region.shape[0])).astype(np.float32)[..., None] / 255
        noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 3, region.shape).astype(np.float32)
        region[:] = np.clip(region * (1 - soft) + (back + noise) * soft, 0, 255).astype(np.uint8)
    return result
