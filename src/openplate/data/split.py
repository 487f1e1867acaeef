"""A data set in, parts that share no plate out; parts that exist already in, what they share out."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from openplate.charset import normalise
from openplate.data.likeness import NEAR_BITS, Fingerprint, fingerprint, near_pairs
from openplate.data.place import IMAGES, FreeNames, place_picture, whole_folder
from openplate.dataset import Dataset, DatasetWriter, Fault, LabelledImage
from openplate.errors import DatasetError, SourceError
from openplate.sources import read_image


@dataclass(frozen=True, slots=True)
class Likeness:
    """What images share apart from their labels: `contents` is the SHA-256 of each file, None where it cannot be read; `near` the pairs of images that
    show nearly the same, by index; `unreadable` the images that cannot be opened, and `faults` why."""

    contents: tuple[str | None, ...]
    near: tuple[tuple[int, int], ...]
    unreadable: frozenset[int]
    faults: tuple[Fault, ...]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs of images that belong together: those of `near`, and each image whose file was there before with the first of its kind."""
        first: dict[str, int] = {}
        same = [(first.setdefault(content, index), index) for index, content in enumerate(self.contents) if content is not None]
        return (*self.near, *((one, other) for one, other in same if one != other))


@dataclass(frozen=True, slots=True)
class SharedPlate:
    """A plate's text that lies on several sides, and how many images of each side show it."""

    text: str
    images: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SharedImage:
    """Two image files on different sides that are the same file (`same`), or show nearly the same."""

    first: Path
    second: Path
    same: bool


@dataclass(frozen=True, slots=True)
class Leakage:
    """What the sides of a split share; nothing, when both are empty."""

    plates: tuple[SharedPlate, ...]
    images: tuple[SharedImage, ...]


def split(
    images: Sequence[LabelledImage], shares: Mapping[str, float], seed: int, alike: Iterable[tuple[int, int]] = ()
) -> dict[str, tuple[int, ...]]:
    """Divide images into parts of about the sizes `shares` (any positive numbers), so that no plate lies in two parts.

    Images that share a plate's text, or that `alike` names as a pair, stay together. Larger groups are placed first; each goes to a part that it still
    fits in, drawn in proportion to the room left there. The result depends on the images' order, the shares and the seed alone.

    Returns:
        For each part the indices of its images, in their order.

    Raises:
        DatasetError: there is no part, or a share is not above 0.

    """
    if not shares or any(not share > 0 for share in shares.values()):
        raise DatasetError(f"expected parts with shares above 0, got {dict(shares)}")
    rng = random.Random(seed)
    groups = groups_of(images, alike)
    rng.shuffle(groups)
    groups.sort(key=len, reverse=True)
    total = sum(shares.values())
    room = {part: len(images) * share / total for part, share in shares.items()}
    chosen: dict[str, list[int]] = {part: [] for part in shares}
    for group in groups:
        fitting = [part for part in shares if room[part] >= len(group)]
        part = rng.choices(fitting, [room[part] for part in fitting])[0] if fitting else max(shares, key=lambda part: room[part])
        room[part] -= len(group)
        chosen[part].extend(group)
    return {part: tuple(sorted(indices)) for part, indices in chosen.items()}


def groups_of(images: Sequence[LabelledImage], alike: Iterable[tuple[int, int]] = ()) -> list[list[int]]:
    """The indices of the images in groups that have to stay together, each in order, by their first image."""
    parent = list(range(len(images)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    def join(first: int, second: int) -> None:
        low, high = sorted((root(first), root(second)))
        parent[high] = low

    by_text: dict[str, int] = {}
    for index, image in enumerate(images):
        for text in texts_of(image):
            join(by_text.setdefault(text, index), index)
    for first, second in alike:
        join(first, second)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(images)):
        groups[root(index)].append(index)
    return list(groups.values())


def texts_of(image: LabelledImage) -> frozenset[str]:
    """The texts of an image's plates in the project's spelling."""
    return frozenset(text for plate in image.plates if plate.text is not None and (text := normalise(plate.text)))


def likeness(images: Sequence[LabelledImage], progress: Callable[[int], None] = lambda done: None, bits: int = NEAR_BITS) -> Likeness:
    """What images share apart from their labels; opens every file. `progress` gets the number of images done.

    Two images whose plates are all labelled, with different texts, are never near: drawn plates of one format can look alike at 17×16 px, and their
    labels say that they are not the same.
    """
    contents: list[str | None] = [None] * len(images)
    prints: list[Fingerprint] = []
    printed: list[int] = []
    faults: list[Fault] = []
    for index, image in enumerate(images):
        try:
            data = image.path.read_bytes()
            contents[index] = hashlib.sha256(data).hexdigest()
            prints.append(fingerprint(read_image(data, name=image.path.name)[0].image))
            printed.append(index)
        except (OSError, SourceError) as error:
            faults.append(Fault(str(image.path), str(error)))
        progress(index + 1)
    near = []
    if prints:
        for first, second in near_pairs(np.stack(prints), bits):
            pair = printed[first], printed[second]
            if not _told_apart(images[pair[0]], images[pair[1]]):
                near.append(pair)
    return Likeness(tuple(contents), tuple(near), frozenset(range(len(images))) - frozenset(printed), tuple(faults))


def find_leaks(sides: Mapping[str, Sequence[LabelledImage]], found: Likeness | None = None) -> Leakage:
    """What the sides of a split share. `found` is the likeness of all their images, side after side; None looks at texts alone."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for side, images in sides.items():
        for image in images:
            for text in texts_of(image):
                counts[text][side] += 1
    plates = tuple(SharedPlate(text, dict(where)) for text, where in sorted(counts.items()) if len(where) > 1)
    if found is None:
        return Leakage(plates, ())
    every = [(side, image) for side, images in sides.items() for image in images]
    pairs = {(first, second): False for first, second in found.near if found.contents[first] != found.contents[second]}
    pairs |= {pair: True for pair in _same_across(every, found)}
    shared = tuple(
        SharedImage(every[first][1].path, every[second][1].path, is_same)
        for (first, second), is_same in sorted(pairs.items())
        if every[first][0] != every[second][0]
    )
    return Leakage(plates, shared)


def write_split(
    dataset: Dataset, parts: Mapping[str, Sequence[int]], target: Path, *, link: bool, progress: Callable[[int], None]
) -> tuple[Path, ...]:
    """Write parts of a data set, given by indices, as data sets `target/part`; all of them, or none. Parts without images are left out.

    Raises:
        DatasetError: `target` holds something already or cannot be written, or a part's name is no folder name.

    """
    for part in parts:
        if not part or part.startswith(".") or not all(c.isalnum() or c in "-_." for c in part):
            raise DatasetError(f"expected a part's name of letters, digits, - and _, got {part!r}")
    done = 0
    with whole_folder(target) as building:
        for part, indices in parts.items():
            if not indices:
                continue
            names = FreeNames()
            (building / part / IMAGES).mkdir(parents=True)
            with DatasetWriter(building / part) as writer:
                for index in indices:
                    image = dataset.images[index]
                    path = building / part / IMAGES / names.take(image.path.relative_to(dataset.folder))
                    place_picture(image.path, path, link=link)
                    writer.add(LabelledImage(path, image.width, image.height, image.plates))
                    done += 1
                    progress(done)
    return tuple(target / part for part, indices in parts.items() if indices)


def _told_apart(first: LabelledImage, second: LabelledImage) -> bool:
    complete = all(image.plates and all(plate.text is not None for plate in image.plates) for image in (first, second))
    return complete and not texts_of(first) & texts_of(second)


def _same_across(every: Sequence[tuple[str, LabelledImage]], found: Likeness) -> set[tuple[int, int]]:
    """The pairs of same files on different sides; of many copies on a side only the first is paired."""
    by_content: dict[str, dict[str, int]] = defaultdict(dict)
    for index, ((side, _), content) in enumerate(zip(every, found.contents, strict=True)):
        if content is not None:
            by_content[content].setdefault(side, index)
    return {(min(pair), max(pair)) for firsts in by_content.values() for pair in combinations(firsts.values(), 2)}
