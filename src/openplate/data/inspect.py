"""A data set and its faults in; counts, sizes, charset and further faults out, and a sheet of samples."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import cv2
import numpy as np

from openplate.charset import Charset, normalise
from openplate.data.check import quad_fault, sound_text
from openplate.dataset import Dataset, Fault, LabelledImage, LabelledPlate
from openplate.errors import SourceError
from openplate.geometry import box_to_quad, grow_quad, quad_size
from openplate.rectify import MARGIN_X, MARGIN_Y
from openplate.sources import read_image, write_image
from openplate.types import Image

Sample = tuple[LabelledImage, LabelledPlate | None]
"""A plate with its image; or an image without one."""
_CELL_WIDTH, _CELL_HEIGHT, _CAPTION_PX = 240, 96, 26
_GAP_PX = 8
_PAPER, _INK, _FAINT = (250, 250, 248), (30, 30, 30), (235, 235, 232)
BUILT_IN = Charset()
_FONT, _FONT_WEIGHT, _FONT_PX = "sans", 500, 17


@dataclass(frozen=True, slots=True)
class Spread:
    """The least, the middle and the greatest of some numbers, and the tenth and ninetieth percentile."""

    least: float
    p10: float
    median: float
    p90: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a data set holds. Counts of plates are by country, by length of the text (`texts` have one), and by kind of quad; `characters` counts the
    characters of all texts; `most_seen` are the texts of most images. Spreads are None when there is nothing to count."""

    name: str
    images: int
    plates: int
    texts: int
    different_texts: int
    images_without_plates: int
    by_country: Mapping[str, int]
    by_length: Mapping[int, int]
    by_quad: Mapping[str, int]
    characters: Mapping[str, int]
    outside_charset: Mapping[str, int]
    most_seen: tuple[tuple[str, int], ...]
    image_width_px: Spread | None
    image_height_px: Spread | None
    plate_width_px: Spread | None
    plate_height_px: Spread | None
    opened: bool
    faults: tuple[Fault, ...]

    def as_json(self) -> dict[str, Any]:
        """The inspection as a JSON object."""
        return {
            "name": self.name,
            "images": self.images,
            "plates": self.plates,
            "texts": self.texts,
            "different_texts": self.different_texts,
            "images_without_plates": self.images_without_plates,
            "by_country": dict(self.by_country),
            "by_length": {str(length): count for length, count in self.by_length.items()},
            "by_quad": dict(self.by_quad),
            "characters": dict(self.characters),
            "outside_charset": dict(self.outside_charset),
            "most_seen": [{"text": text, "images": count} for text, count in self.most_seen],
            **{
                key: None if spread is None else {name: getattr(spread, name) for name in Spread.__slots__}
                for key, spread in (
                    ("image_width_px", self.image_width_px),
                    ("image_height_px", self.image_height_px),
                    ("plate_width_px", self.plate_width_px),
                    ("plate_height_px", self.plate_height_px),
                )
            },
            "opened": self.opened,
            "faults": [{"where": fault.where, "what": fault.what} for fault in self.faults],
        }


def inspect_dataset(
    dataset: Dataset,
    faults: Sequence[Fault] = (),
    charset: Charset = BUILT_IN,
    *,
    open_images: bool = True,
    progress: Callable[[int], None] = lambda done: None,
) -> Inspection:
    """Count what a data set holds and check it: `faults` are those found while loading; with `open_images` every picture is opened and measured."""
    found = list(faults)
    plates = [(image, plate) for image in dataset.images for plate in image.plates]
    texts = [normalise(plate.text) for _, plate in plates if plate.text is not None]
    for done, image in enumerate(dataset.images, start=1):
        found.extend(Fault(str(image.path), what) for what in _faults_of(image, charset, open_image=open_images))
        progress(done)
    characters = Counter("".join(texts))
    sizes = [(image.height_px(plate), float(image.width) if plate.quad is None else quad_size(plate.quad)[0]) for image, plate in plates]
    images_of = Counter(
        text for image in dataset.images for text in {normalise(plate.text) for plate in image.plates if plate.text is not None} if text
    )
    return Inspection(
        name=dataset.name,
        images=len(dataset.images),
        plates=len(plates),
        texts=len(texts),
        different_texts=len(set(texts)),
        images_without_plates=sum(not image.plates for image in dataset.images),
        by_country=_most_first(Counter(plate.country for _, plate in plates)),
        by_length=dict(sorted(Counter(len(text) for text in texts).items())),
        by_quad={kind: count for kind, count in _by_quad(plate for _, plate in plates).items() if count},
        characters=dict(sorted(characters.items())),
        outside_charset={character: count for character, count in sorted(characters.items()) if not charset.covers(character)},
        most_seen=tuple(sorted(((text, count) for text, count in images_of.items() if count > 1), key=lambda pair: (-pair[1], pair[0]))[:5]),
        image_width_px=spread_of([image.width for image in dataset.images]),
        image_height_px=spread_of([image.height for image in dataset.images]),
        plate_width_px=spread_of([width for _, width in sizes]),
        plate_height_px=spread_of([height for height, _ in sizes]),
        opened=open_images,
        faults=tuple(found),
    )


def spread_of(values: Sequence[float]) -> Spread | None:
    """The spread of some numbers, percentiles by linear interpolation, rounded to 0.1; None for none."""
    if not values:
        return None
    tenths = quantiles(values, n=10, method="inclusive") if len(values) > 1 else [values[0]] * 9
    least, greatest = min(values), max(values)
    return Spread(*(round(float(value), 1) for value in (least, tenths[0], tenths[4], tenths[8], greatest)))


def write_sheet(dataset: Dataset, path: Path, count: int = 48, seed: int = 0, columns: int = 6) -> int:
    """Write a picture of `count` plates drawn by `seed` (or all, when there are fewer), each seen from straight ahead over its country and text.

    Images without a plate stand in for plates when there is none. Pictures that cannot be opened are passed over.

    Returns:
        How many plates the sheet shows; with none nothing is written.

    Raises:
        SourceError: the file's suffix is unknown, or it cannot be written.

    """
    cells = cells_of(shuffled(dataset, seed), count)
    if cells:
        write_image(path, draw_sheet(cells, columns))
    return len(cells)


def shuffled(dataset: Dataset, seed: int) -> list[Sample]:
    """The plates of a data set in an order drawn by `seed`; its images when it has no plate."""
    samples: list[Sample] = [(image, plate) for image in dataset.images for plate in image.plates]
    samples = samples or [(image, None) for image in dataset.images]
    random.Random(seed).shuffle(samples)
    return samples


def cells_of(samples: Iterable[Sample], count: int) -> list[Image]:
    """The first `count` samples whose pictures can be opened, each seen from straight ahead over its country and text."""
    cells: list[Image] = []
    for image, plate in samples:
        if len(cells) == count:
            break
        try:
            cells.append(_cell(read_image(image.path)[0].image, plate))
        except SourceError:
            continue
    return cells


def draw_sheet(cells: Sequence[Image], columns: int = 6) -> Image:
    """Cells row by row on one picture, `(H, W, 3) uint8 RGB`; at least one cell."""
    width, height = _CELL_WIDTH + _GAP_PX, _CELL_HEIGHT + _CAPTION_PX + _GAP_PX
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * height + _GAP_PX, columns * width + _GAP_PX, 3), _PAPER, np.uint8)
    for i, cell in enumerate(cells):
        top, left = _GAP_PX + i // columns * height, _GAP_PX + i % columns * width
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _faults_of(image: LabelledImage, charset: Charset, *, open_image: bool) -> list[str]:
    faults = []
    for plate in image.plates:
        if plate.text is not None:
            try:
                sound_text(plate.text, charset)
            except ValueError as error:
                faults.append(str(error))
        if plate.quad is not None and (fault := quad_fault(plate.quad, image.width, image.height)):
            faults.append(fault)
    if open_image:
        try:
            height, width = read_image(image.path)[0].image.shape[:2]
        except SourceError as error:
            faults.append(str(error))
        else:
            if (width, height) != (image.width, image.height):
                faults.append(f"expected a picture of {image.width}×{image.height} px as labelled, got {width}×{height}")
    return faults


def _by_quad(plates: Any) -> Counter[str]:
    counts = Counter({"true quads": 0, "upright boxes": 0, "whole images": 0})
    for plate in plates:
        counts["whole images" if plate.quad is None else "upright boxes" if plate.upright else "true quads"] += 1
    return counts


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _cell(image: Image, plate: LabelledPlate | None) -> Image:
    """A plate over its caption, `(_CELL_HEIGHT + _CAPTION_PX, _CELL_WIDTH, 3) uint8 RGB`."""
    height, width = image.shape[:2]
    quad = box_to_quad(0, 0, width, height) if plate is None or plate.quad is None else grow_quad(plate.quad, MARGIN_X, MARGIN_Y)
    plate_width, plate_height = quad_size(quad)
    scale = min(_CELL_WIDTH / max(plate_width, 1), _CELL_HEIGHT / max(plate_height, 1))
    shown = max(1, min(_CELL_WIDTH, round(plate_width * scale))), max(1, min(_CELL_HEIGHT, round(plate_height * scale)))
    size = (
        (max(shown[0], round(plate_width)), max(shown[1], round(plate_height))) if scale < 1 else shown
    )  # made smaller by averaging, not by leaving out
    corners = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float32)
    homography = cv2.getPerspectiveTransform((quad - 0.5).astype(np.float32), corners - 0.5)
    crop = cv2.warpPerspective(image, homography, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    crop = cv2.resize(crop, shown, interpolation=cv2.INTER_AREA)
    cell = np.full((_CELL_HEIGHT + _CAPTION_PX, _CELL_WIDTH, 3), _FAINT, np.uint8)
    top, left = (_CELL_HEIGHT - shown[1]) // 2, (_CELL_WIDTH - shown[0]) // 2
    cell[top : top + shown[1], left : left + shown[0]] = crop
    caption = "no plate" if plate is None else f"{plate.country}  {plate.text or '?'}"
    cv2.putText(cell, caption, (6, _CELL_HEIGHT + 19), _INK, cv2.FontFace(_FONT), _FONT_PX, _FONT_WEIGHT)
    return cell
