"""A data set of another kind in; data sets in the form of docs/datasets.md, and every fault that was left out, out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from openplate.charset import Charset
from openplate.data.check import UNKNOWN_COUNTRY, sound_plate
from openplate.data.place import IMAGES, FreeNames, place_picture, whole_folder
from openplate.data.rows import Hints, Reader, Row
from openplate.dataset import LABELS, DatasetWriter, Fault, LabelledImage, LabelledPlate
from openplate.errors import DatasetError, SourceError
from openplate.sources import DEFAULT_LIMITS, read_image

REST = "rest"
"""The side of pictures that a source with a split puts on no side."""
_AT_ONCE = 256
_THREADS = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """How to convert: `country` for plates whose source says none, which `classes` are plates, the `charset` of texts, and whether pictures are hard
    links (`link`) instead of copies."""

    country: str = UNKNOWN_COUNTRY
    classes: tuple[str, ...] = ()
    charset: Charset = field(default_factory=Charset)
    link: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """A data set that was written: its folder, its images and their plates, how many of those have a text, and how many have no country."""

    folder: Path
    images: int
    plates: int
    texts: int
    unknown_country: int


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written, and what was left out."""

    written: tuple[Written, ...]
    faults: tuple[Fault, ...]


class NothingSoundError(DatasetError):
    """Nothing of a source can be used; `faults` are all that were found until then."""

    def __init__(self, message: str, faults: Sequence[Fault]) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


@dataclass(slots=True)
class _Side:
    """One data set while it is written: its name, its folder, and what it has got."""

    part: str
    folder: Path
    writer: DatasetWriter
    names: FreeNames = field(default_factory=FreeNames)
    by_path: dict[Path, str] = field(default_factory=dict)
    by_content: dict[str, str] = field(default_factory=dict)
    images: int = 0
    plates: int = 0
    texts: int = 0
    unknown_country: int = 0


@dataclass(frozen=True, slots=True)
class _Picture:
    digest: str
    width: int
    height: int


def convert(
    source: Path,
    read: Reader,
    target: Path,
    settings: Settings = Settings(),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Conversion:
    """Write `source`, read by `read`, to `target`: one data set, or one for each side of the source's split (`target/train`, …).

    A picture is left out whole when anything about it is wrong, so that no plate of it stays unlabelled. Every picture is opened. `target` appears when
    all is written; what fails or is interrupted leaves nothing there. `progress` gets the pictures done and their number.

    Raises:
        NothingSoundError: nothing of the source can be used, and there are faults that say why.
        DatasetError: the source does not have the layout or holds nothing, or `target` holds something or cannot be written.

    """
    source, target = Path(source), Path(target)
    faults: list[Fault] = []
    rows: list[Row] = []
    try:
        for entry in read(source, Hints(settings.classes)):
            if isinstance(entry, Fault):
                faults.append(entry)
            else:
                rows.append(entry)
    except DatasetError as error:
        raise _nothing_sound(str(error), faults) from None
    with whole_folder(target) as building:
        with ExitStack() as stack:
            sides: dict[str, _Side] = {}
            for row, picture in _opened(rows, progress):
                if row.part not in sides:
                    folder = building / f".side{len(sides)}"
                    (folder / IMAGES).mkdir(parents=True)
                    sides[row.part] = _Side(row.part, folder, stack.enter_context(DatasetWriter(folder)))
                fault = picture if isinstance(picture, str) else _add(row, picture, sides[row.part], source, settings)
                if fault:
                    faults.append(Fault(row.where, fault))
            used = [side for side in sides.values() if side.images]
            if not used:
                raise _nothing_sound(f"{source}: expected at least one labelled picture without a fault, found none", faults)
        return Conversion(_arrange(building, target, list(sides.values())), tuple(faults))


def _nothing_sound(message: str, faults: Sequence[Fault]) -> DatasetError:
    """The error that nothing can be used, with the faults found until then where there are any."""
    if not faults:
        return DatasetError(message)
    count = "1 fault" if len(faults) == 1 else f"{len(faults):,} faults, the first"
    return NothingSoundError(f"{message}; {count}: {faults[0]}", faults)


def _opened(rows: Sequence[Row], progress: Callable[[int, int], None]) -> Iterator[tuple[Row, _Picture | str]]:
    """Each row with its picture's contents in short, or with what is wrong with it; in the order of the rows."""
    done = 0
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for start in range(0, len(rows), _AT_ONCE):
            chunk = rows[start : start + _AT_ONCE]
            for row, picture in zip(chunk, pool.map(_open, chunk), strict=True):
                yield row, picture
                done += 1
                progress(done, len(rows))


def _open(row: Row) -> _Picture | str:
    try:
        if not row.path.is_file():
            return f"picture {row.path.name} is not there"
        if row.path.stat().st_size > DEFAULT_LIMITS.max_file_bytes:
            return f"picture {row.path.name}: expected at most {DEFAULT_LIMITS.max_file_bytes:,} bytes"
        data = row.path.read_bytes()
        image = read_image(data, name=row.path.name)[0].image
    except (OSError, SourceError) as error:
        return str(error)
    return _Picture(hashlib.sha256(data).hexdigest(), image.shape[1], image.shape[0])


def _add(row: Row, picture: _Picture, side: _Side, source: Path, settings: Settings) -> str:
    """Write a row and its picture; what is wrong with it instead, "" when nothing is."""
    if row.path in side.by_path:
        return f"picture {row.path.name} was labelled already: {side.by_path[row.path]}"
    if picture.digest in side.by_content:
        return f"the same picture as {side.by_content[picture.digest]}"
    if row.size is not None and row.size != (picture.width, picture.height):
        return f"expected a picture of {row.size[0]}×{row.size[1]} px as labelled, got {picture.width}×{picture.height}"
    if len(row.marks) > 1 and any(mark.points is None for mark in row.marks):
        return f"expected one plate where the picture is the plate, got {len(row.marks)}"
    try:
        plates = tuple(sound_plate(mark, picture.width, picture.height, settings.country, settings.charset) for mark in row.marks)
    except ValueError as error:
        return str(error)
    path = side.folder / IMAGES / side.names.take(row.path.relative_to(source if source.is_dir() else source.parent))
    place_picture(row.path, path, link=settings.link)
    side.writer.add(LabelledImage(path, picture.width, picture.height, plates))
    side.by_path[row.path] = side.by_content[picture.digest] = row.where
    _count(side, plates)
    return ""


def _count(side: _Side, plates: tuple[LabelledPlate, ...]) -> None:
    side.images += 1
    side.plates += len(plates)
    side.texts += sum(plate.text is not None for plate in plates)
    side.unknown_country += sum(plate.country == UNKNOWN_COUNTRY for plate in plates)


def _arrange(building: Path, target: Path, sides: list[_Side]) -> tuple[Written, ...]:
    """Give each data set its place: a single one without a name is the folder itself, others are sub-folders."""
    used = [side for side in sides if side.images]
    for side in sides:
        if not side.images:
            (side.folder / LABELS).unlink()
            (side.folder / IMAGES).rmdir()
            side.folder.rmdir()
    if len(used) == 1 and not used[0].part:
        only = used[0]
        for entry in list(only.folder.iterdir()):
            entry.rename(building / entry.name)
        only.folder.rmdir()
        return (_written(target, only),)
    names = FreeNames()
    moved = [(names.take(Path(side.part or REST)), side) for side in sorted(used, key=lambda side: side.part or "~")]
    for name, side in moved:
        side.folder.rename(building / name)
    return tuple(_written(target / name, side) for name, side in moved)


def _written(folder: Path, side: _Side) -> Written:
    return Written(folder, side.images, side.plates, side.texts, side.unknown_country)
