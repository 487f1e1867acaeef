"""Labelled images: a folder with `labels.jsonl` in, a `Dataset` out, and back. The form is described in docs/datasets.md."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np

from openplate.errors import DatasetError
from openplate.geometry import as_quad, quad_area, quad_size, quad_to_box
from openplate.types import Quad

LABELS = "labels.jsonl"
_IMAGE_KEYS = ("image", "width", "height", "plates")
_PLATE_KEYS = ("text", "country", "quad")
_UPRIGHT_PX = 0.05

HOLD_OUT = 5
"""Every fifth image of a data set (by its place in labels.jsonl) is kept out of training: thresholds and calibration are set on it."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPlate:
    """A plate in an image. `text` is None when nobody could or did read it; `quad` is None when the whole image is the plate."""

    text: str | None
    country: str
    quad: Quad | None

    @property
    def upright(self) -> bool:
        """Whether the quad is an upright box: it then says where the plate lies, and not where its corners are."""
        return self.quad is not None and is_upright(self.quad)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImage:
    """An image file, its size in px, and its plates; other plates may be in it without a label."""

    path: Path
    width: int
    height: int
    plates: tuple[LabelledPlate, ...]

    @property
    def cropped(self) -> bool:
        """Whether the image is a plate and nothing else."""
        return len(self.plates) == 1 and self.plates[0].quad is None

    def height_px(self, plate: LabelledPlate) -> float:
        """The height of one of its plates in px: of the quad, or of the image when that is the plate."""
        return float(self.height) if plate.quad is None else quad_size(plate.quad)[1]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """The images of one folder, in the order of its labels; `name` is the folder's name."""

    name: str
    folder: Path
    images: tuple[LabelledImage, ...]

    def first(self, count: int) -> Dataset:
        """The same data set with its first `count` images alone."""
        return Dataset(self.name, self.folder, self.images[:count])

    def part(self, held_out: bool) -> Dataset:
        """The same data set with the images alone that training leaves out, or with all others: see `HOLD_OUT`."""
        return Dataset(self.name, self.folder, tuple(image for number, image in enumerate(self.images) if (number % HOLD_OUT == 0) == held_out))


@dataclass(frozen=True, slots=True)
class Fault:
    """A part of a data set that cannot be used: where it stands (a file, a line, a picture) and what is wrong with it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def is_upright(quad: Quad) -> bool:
    """Whether the sides of a quad run along the image's axes (to 0.05 px, labels are rounded to 0.1)."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = quad.tolist()
    return bool(max(abs(y0 - y1), abs(y2 - y3), abs(x0 - x3), abs(x1 - x2)) <= _UPRIGHT_PX)


def load_dataset(folder: Path) -> Dataset:
    """Read the labels of a folder; the image files have to be there, and are not opened.

    Raises:
        DatasetError: the folder or a file is missing, or a line does not have the form; names the file and the line.

    """
    images: list[LabelledImage] = []
    for entry in read_labels(folder):
        if isinstance(entry, Fault):
            raise DatasetError(str(entry))
        images.append(entry)
    return _dataset(folder, images)


def load_dataset_with_faults(folder: Path) -> tuple[Dataset, tuple[Fault, ...]]:
    """Read the labels of a folder like `load_dataset`, but leave lines with a fault out and list them.

    Raises:
        DatasetError: the folder or its labels are missing, or no line of them can be used.

    """
    images: list[LabelledImage] = []
    faults: list[Fault] = []
    for entry in read_labels(folder):
        if isinstance(entry, Fault):
            faults.append(entry)
        else:
            images.append(entry)
    if faults and not images:
        raise DatasetError(f"{Path(folder) / LABELS}: none of its {len(faults)} lines can be used; the first: {faults[0]}")
    return _dataset(folder, images), tuple(faults)


def read_labels(folder: Path) -> Iterator[LabelledImage | Fault]:
    """The labelled images of a folder, one a line; a fault in the place of a line that does not have the form.

    Raises:
        DatasetError: the folder or its labels are missing, or cannot be read as text.

    """
    folder = Path(folder)
    labels = folder / LABELS
    if not folder.is_dir():
        raise DatasetError(f"{folder}: expected a folder with {LABELS} and images, found {'a file' if folder.exists() else 'nothing'}")
    try:
        lines = labels.read_text(encoding="utf8").split("\n")
    except FileNotFoundError:
        raise DatasetError(f"{folder}: expected a file {LABELS} in it, found none; docs/datasets.md describes the form") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{labels}: cannot be read as UTF-8 text: {error}") from None
    seen: dict[Path, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{labels}, line {number}"
        try:
            image = _parse_image(folder, line)
        except DatasetError as error:
            yield Fault(where, str(error))
            continue
        if image.path in seen:
            yield Fault(where, f"image {image.path.name} was labelled already in line {seen[image.path]}")
            continue
        seen[image.path] = number
        yield image


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """What to call each data set: its folder's name; of several that are called the same, as much of the path as tells them apart.

    Raises:
        DatasetError: a folder is named twice.
    """
    paths = [folder.resolve() for folder in folders]
    for folder, path in zip(folders, paths, strict=True):
        if paths.count(path) > 1:
            raise DatasetError(f"{folder}: expected different data sets, this one is named twice; name each once")
    names = []
    for path in paths:
        length = 1
        while sum(other.parts[-length:] == path.parts[-length:] for other in paths) > 1:
            length += 1
        names.append("/".join(path.parts[-length:]))
    return names


class DatasetWriter:
    """Writes the labels of images that lie in `folder`, one after another; `labels.jsonl` appears when the `with` block ends without an error.

    Raises:
        DatasetError: the folder cannot be written to, or an image lies outside it.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._part = self.folder / (LABELS + ".part")
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("w", encoding="utf8", newline="\n")
        except OSError as error:
            raise DatasetError(f"{self.folder}: cannot write labels there: {error}") from None
        return self

    def add(self, image: LabelledImage) -> None:
        """Write one image's line; coordinates are rounded to 0.1 px."""
        if self._file is None:
            raise DatasetError(f"{self.folder}: add() belongs inside a `with DatasetWriter(…)` block")
        self._file.write(json.dumps(image_as_json(image, self.folder), ensure_ascii=False) + "\n")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._file is None:
            return
        self._file.close()
        self._file = None
        if kind is None:
            self._part.replace(self.folder / LABELS)
        else:
            self._part.unlink(missing_ok=True)


def write_dataset(folder: Path, images: Iterable[LabelledImage]) -> None:
    """Write the labels of images that lie in `folder`: all of them, or, when something fails, none.

    Raises:
        DatasetError: the folder cannot be written to, or an image lies outside it.

    """
    with DatasetWriter(folder) as writer:
        for image in images:
            writer.add(image)


def image_as_json(image: LabelledImage, folder: Path) -> dict[str, Any]:
    """One line of the labels as a JSON object.

    Raises:
        DatasetError: the image lies outside `folder`.

    """
    try:
        name = image.path.relative_to(folder).as_posix()
    except ValueError:
        raise DatasetError(f"{image.path}: expected an image inside {folder}") from None
    plates = [
        {
            "text": plate.text,
            "country": plate.country,
            "quad": None if plate.quad is None else [[round(float(x), 1), round(float(y), 1)] for x, y in plate.quad],
        }
        for plate in image.plates
    ]
    return {"image": name, "width": image.width, "height": image.height, "plates": plates}


def _dataset(folder: Path, images: list[LabelledImage]) -> Dataset:
    folder = Path(folder)
    if not images:
        raise DatasetError(f"{folder / LABELS}: expected one line an image, found none")
    return Dataset(folder.resolve().name, folder, tuple(images))


def _parse_image(folder: Path, line: str) -> LabelledImage:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and brackets nested without end
        raise DatasetError(f"not a JSON object: {error}") from None
    _check_keys(data, _IMAGE_KEYS, "the line")
    name = data["image"]
    if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise DatasetError(f"image: expected a path inside the folder, got {name!r}")
    width, height = (_parse_size(data, key) for key in ("width", "height"))
    if not isinstance(data["plates"], list):
        raise DatasetError(f"plates: expected a list, got {data['plates']!r}")
    entries = [entry for at, entry in enumerate(data["plates"]) if entry not in data["plates"][:at]]  # a label written twice is one plate
    plates = tuple(_parse_plate(entry, width, height) for entry in entries)
    if len(plates) > 1 and any(plate.quad is None for plate in plates):
        raise DatasetError(f"plates: a quad of null means that the whole image is the one plate, got {len(plates)} plates")
    path = folder / name
    if not path.is_file():
        raise DatasetError(f"image {name} is not there")
    return LabelledImage(path, width, height, plates)


def _parse_size(data: dict[str, Any], key: str) -> int:
    value = data[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DatasetError(f"{key}: expected a whole number of pixels above 0, got {value!r}")
    return value


def _parse_plate(entry: Any, width: int, height: int) -> LabelledPlate:
    _check_keys(entry, _PLATE_KEYS, "a plate")
    text, country = entry["text"], entry["country"]
    if text is not None and (not isinstance(text, str) or not text.strip()):
        raise DatasetError(f"text: expected the plate's characters, or null when it is not known, got {text!r}")
    if not isinstance(country, str) or not country.strip():
        raise DatasetError(f"country: expected a country's code, got {country!r}")
    return LabelledPlate(text, country, None if entry["quad"] is None else _parse_quad(entry["quad"], width, height))


def _parse_quad(value: Any, width: int, height: int) -> Quad:
    try:
        quad = as_quad(value)
    except (TypeError, ValueError):
        raise DatasetError(f"quad: expected four corners [[x, y] × 4] in px, got {value!r}") from None
    x0, y0, x1, y1 = quad_to_box(quad)
    if math.isclose(quad_area(quad), 0, abs_tol=1e-6):
        raise DatasetError(f"quad: expected four corners around an area, got {value!r}")
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise DatasetError(f"quad: expected a place in the image of {width}×{height} px, got {np.round(quad, 1).tolist()}")
    return quad


def _check_keys(data: Any, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(data, dict):
        raise DatasetError(f"{where}: expected an object with {', '.join(keys)}, got {data!r}")
    missing, unknown = [k for k in keys if k not in data], sorted(set(data) - set(keys))
    if missing or unknown:
        fault = f"key {missing[0]!r} is missing" if missing else f"unknown key {unknown[0]!r}"
        raise DatasetError(f"{where}: {fault}; expected {', '.join(keys)}")
