"""A folder of pictures in; its pictures as frames out, in the order that a person would number them."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from openplate.errors import SourceError
from openplate.sources import expand, read_image
from openplate.streams.settings import DEFAULT_FPS, StreamSettings
from openplate.types import Frame

_MAX_WARNINGS = 50
_DIGITS = re.compile(r"(\d+)")


class PictureFolder:
    """The pictures of a folder and its subfolders at `settings.fps` (25 when not given); of a file with several, the first.

    Numbers in names count as numbers: frame9 comes before frame10. A picture that cannot be read is named in `warnings` and leaves a gap in number and time.

    Raises:
        SourceError: there are no pictures, or none can be read.
    """

    live = False
    started_at: float | None = None
    dropped = 0
    reconnects = 0

    def __init__(self, folder: str, settings: StreamSettings) -> None:
        found = list(expand([folder]))
        faults = [str(one) for one in found if isinstance(one, SourceError)]
        self._paths = sorted((one for one in found if isinstance(one, Path)), key=_natural)
        if not self._paths:
            raise SourceError(faults[0])
        self.name = folder
        self.fps: float | None = settings.fps or DEFAULT_FPS
        self.duration_s: float | None = len(self._paths) / self.fps
        self._settings = settings
        self._rate = self.fps
        self._warnings = faults
        self._unread = 0
        chosen = self._chosen()
        self.frames_total: int | None = None if settings.loop == 0 else len(chosen) * settings.loop
        if not chosen:
            raise SourceError(f"{folder}: expected frames from {settings.from_s:g} s on, got none (it is {self.duration_s:.2f} s long)")
        self._frames = self._play(chosen)
        self._first = next(self._frames, None)
        if self._first is None:
            raise SourceError(f"{folder}: expected pictures, got none that can be read; the first: {self._warnings[0]}")
        self.height, self.width = self._first.image.shape[:2]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The pictures that could not be read, with the reason."""
        return (*self._warnings, *([f"{self._unread} further pictures could not be read"] if self._unread else []))

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give no further frames."""
        self._first = None
        self._frames.close()

    def _chosen(self) -> range:
        """The numbers of the pictures asked for."""
        first = math.ceil(self._settings.from_s * self._rate - 1e-6)
        end = len(self._paths) if self._settings.to_s is None else min(len(self._paths), math.ceil(self._settings.to_s * self._rate - 1e-6))
        return range(first, end, self._settings.stride)

    def _play(self, chosen: range) -> Generator[Frame]:
        for turn in count() if self._settings.loop == 0 else range(self._settings.loop):
            read = 0
            for number in chosen:
                try:
                    image = read_image(self._paths[number])[0].image
                except SourceError as error:
                    if turn == 0:
                        self._warn(str(error))
                    continue
                read += 1
                whole = turn * (chosen.stop - chosen.start) + number
                yield Frame(image, self.name, whole, whole / self._rate)
            if not read:
                return

    def _warn(self, text: str) -> None:
        if len(self._warnings) < _MAX_WARNINGS:
            self._warnings.append(text)
        else:
            self._unread += 1


def _natural(path: Path) -> list[tuple[int, str]]:
    """Runs of digits sort by value, everything else as text without regard to case."""
    parts = _DIGITS.split(str(path))
    return [(int(part), "") if i % 2 else (-1, part.lower()) for i, part in enumerate(parts)]
