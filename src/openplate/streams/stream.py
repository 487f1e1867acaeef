"""What every stream offers: frames one after the other, and what is known about their source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol, Self

from openplate.errors import SourceError
from openplate.types import Frame


class Stream(Protocol):
    """An iterator and a context manager of frames.

    A frame's `index` is its number in the source, from 0: with `from_s` or `stride` numbers are left out, not renamed; of a live source dropped frames
    count too. Its `time_s` never goes back. `name` is the source as it may be shown: without user name and password.
    """

    @property
    def name(self) -> str:
        """The source as it may be shown; each frame's `source`."""
        ...

    @property
    def live(self) -> bool:
        """Whether frames come in their own time, so that a slow consumer misses some."""
        ...

    @property
    def fps(self) -> float | None:
        """Frames a second on average, as the source says; None when it does not."""
        ...

    @property
    def width(self) -> int:
        """Of the upright image, in px; a live source may change it."""
        ...

    @property
    def height(self) -> int:
        """Of the upright image, in px; a live source may change it."""
        ...

    @property
    def duration_s(self) -> float | None:
        """Length of the whole source as its header says; None when it is live or unknown."""
        ...

    @property
    def frames_total(self) -> int | None:
        """About how many frames will come in all, for a progress bar; None when unknown or without end."""
        ...

    @property
    def started_at(self) -> float | None:
        """Of a live source, the Unix time at which `time_s` is 0; else None."""
        ...

    @property
    def dropped(self) -> int:
        """Frames that came but were pushed out by newer ones."""
        ...

    @property
    def reconnects(self) -> int:
        """How often the source was lost and came back."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was broken so far: one sentence each, with the place; complete when the stream has ended."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...

    def __next__(self) -> Frame: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def close(self) -> None:
        """End the stream; the next frame asked for raises `StopIteration`."""
        ...


class GivenFrames:
    """A stream of frames that are there already: for tests, and for images made elsewhere.

    Raises:
        SourceError: there are no frames.
    """

    live = False
    started_at: float | None = None
    dropped = 0
    reconnects = 0

    def __init__(self, frames: Iterable[Frame], fps: float | None = None, warnings: tuple[str, ...] = ()) -> None:
        given = list(frames)
        if not given:
            raise SourceError("expected at least one frame, got none")
        self.name = given[0].source
        self.fps = fps
        self.height, self.width = given[0].image.shape[:2]
        self.duration_s: float | None = len(given) / fps if fps else None
        self.frames_total: int | None = len(given)
        self.warnings = warnings
        self._frames = iter(given)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give no further frames."""
        self._frames = iter(())
