"""Pictures of many clients in, their results out: a bounded queue, and threads that take together what waits and give it to the pipeline.

Each thread has networks of its own, so that as many pictures are read at once as there are threads. Within a thread the pipeline runs one picture
after the other: on a processor a detector run of eight pictures takes longer than eight runs (44 against 32 ms a picture, one thread, bf16).
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from openplate.annotate import annotate
from openplate.errors import OpenPlateError
from openplate.formats import load_formats, select
from openplate.pipeline import Options, Pipeline
from openplate.serve.problems import TooBusy
from openplate.serve.settings import ServeSettings
from openplate.sources import Limits, encode_image, read_image
from openplate.types import Frame, PhotoResult

T = TypeVar("T")
_HINTS_KEPT = 8
"""Pipelines with other hints that a thread keeps; each took a tenth of a second to make and holds about 8 MB."""
_PIXELS_TOGETHER = 64_000_000
"""Decoded pixels that one thread holds at most, unless a single picture has more."""
_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Hints:
    """How one client wants its pictures read: see `openplate.pipeline.Options`. `cropped`: each picture is a plate already."""

    country: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    min_confidence: float = 0.5
    cropped: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture file as a client sent it. `name` is what results and errors call it; it is never a path."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What one picture file gave: a result for each of its frames and, where it was asked for, the first frame with its plates marked, as JPEG."""

    results: tuple[PhotoResult, ...]
    marked: bytes | None


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    upload: Upload
    hints: Hints
    mark: bool
    future: Future[Answer] = field(default_factory=Future)
    since_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    waiting: _Waiting
    frames: tuple[Frame, ...]
    decode_ms: float


class PhotoReading:
    """Reads the photos that clients send.

    Args:
        settings: how many threads, how many pictures may wait, and how they are read.
        registry: where the metrics go.
        build: makes a thread's pipeline.

    Raises:
        OpenPlateError: the networks cannot be loaded.
    """

    def __init__(self, settings: ServeSettings, registry: CollectorRegistry, build: Callable[[Options], Pipeline] = Pipeline) -> None:
        limits = settings.limits
        self._max_waiting, self._batch = limits.max_waiting, settings.batch
        self._limits = Limits(max_pixels=limits.max_pixels, max_file_bytes=limits.max_body_bytes, max_frames=limits.max_frames)
        self._formats = load_formats(*settings.options.formats)
        pipelines = [build(settings.options) for _ in range(settings.workers)]
        self.engine = pipelines[0].engine
        self._threads = [
            threading.Thread(target=self._work, args=(_Hinted(one),), name=f"reading-{i}", daemon=True) for i, one in enumerate(pipelines)
        ]
        self._queue: deque[_Waiting] = deque()
        self._news = threading.Condition()
        self._stopping = False
        self._mean_s = 0.1
        self._metrics = _Metrics(registry, self._queue)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what waits and stop the threads."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def check(self) -> None:
        """Whether the threads work.

        Raises:
            TooBusy: a thread is not running.
        """
        if self._stopping or not all(thread.is_alive() for thread in self._threads):
            raise TooBusy("photos are not being read", 5)

    @property
    def waiting(self) -> int:
        """Pictures that wait for a thread."""
        return len(self._queue)

    def check_hints(self, hints: Hints) -> None:
        """Refuse unknown countries before anything waits.

        Raises:
            FormatError: a code is not known.
        """
        select(self._formats, hints.country)
        select(self._formats, hints.only)

    async def read(self, uploads: Sequence[Upload], hints: Hints, mark: bool = False) -> list[Answer | OpenPlateError]:
        """Read picture files together with those of other clients; in the place of a file that cannot be read stands its error.

        Raises:
            FormatError: a country code is not known.
            TooBusy: too many pictures wait already.
        """
        self.check_hints(hints)
        futures = [asyncio.wrap_future(future) for future in self.submit(uploads, hints, mark)]
        try:
            answers = await asyncio.gather(*futures, return_exceptions=True)
        except asyncio.CancelledError:  # the client went away: what still waits need not be read
            for future in futures:
                future.cancel()
            raise
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, OpenPlateError):
                raise answer
        return [answer for answer in answers if isinstance(answer, Answer | OpenPlateError)]

    def submit(self, uploads: Sequence[Upload], hints: Hints, mark: bool = False) -> list[Future[Answer]]:
        """Let picture files wait for the networks: all of them or none.

        Raises:
            TooBusy: too many pictures wait already.
        """
        new = [_Waiting(upload, hints, mark) for upload in uploads]
        with self._news:
            waiting = len(self._queue)
            # A request that is larger than the queue is accepted when nobody waits: it could never be otherwise.
            if self._stopping or (waiting and waiting + len(new) > self._max_waiting):
                self._metrics.refused.inc(len(new))
                retry_s = max(1, math.ceil(waiting * self._mean_s / len(self._threads)))
                raise TooBusy(f"too many pictures wait ({waiting}); come again in {retry_s} s", retry_s)
            self._queue.extend(new)
            self._news.notify(len(new))
        return [one.future for one in new]

    def _work(self, pipelines: _Hinted) -> None:
        while True:
            with self._news:
                while not self._queue:
                    if self._stopping:
                        return
                    self._news.wait()
                # Each thread takes its share, so that none idles while another has many to do.
                share = min(self._batch, math.ceil(len(self._queue) / len(self._threads)))
                taken = [self._queue.popleft() for _ in range(share)]
            started = time.monotonic()
            taken = [one for one in taken if one.future.set_running_or_notify_cancel()]
            self._metrics.together.observe(len(taken))
            held: list[_Decoded] = []
            for one in taken:
                self._metrics.waited.observe(started - one.since_s)
                decoded = self._tried(one, partial(self._decode, one))
                if decoded is not None:
                    if held and _pixels(held) + _pixels([decoded]) > _PIXELS_TOGETHER:
                        self._answer(pipelines, held)
                        held = []
                    held.append(decoded)
            self._answer(pipelines, held)
            if taken:
                self._mean_s += 0.1 * ((time.monotonic() - started) / len(taken) - self._mean_s)
            del taken, held  # a thread that waits holds no pictures

    def _answer(self, pipelines: _Hinted, held: Sequence[_Decoded]) -> None:
        """Read what is decoded and settle every future; one that fails takes no other with it."""
        for hints in dict.fromkeys(one.waiting.hints for one in held):
            group = [one for one in held if one.waiting.hints == hints]
            results: Sequence[Sequence[PhotoResult] | None]
            try:
                results = _read(pipelines, hints, group)
            except Exception:  # noqa: BLE001  which of them failed shows when each is read by itself
                results = [None] * len(group)
            for one, given in zip(group, results, strict=True):
                self._settle(one, pipelines, given)

    def _settle(self, one: _Decoded, pipelines: _Hinted, results: Sequence[PhotoResult] | None) -> None:
        def finish() -> Answer:
            given = _read(pipelines, one.waiting.hints, [one])[0] if results is None else results
            marked = encode_image(annotate(one.frames[0].image, given[0].plates), ".jpg") if one.waiting.mark else None
            return Answer(tuple(given), marked)

        answer = self._tried(one.waiting, finish)
        if answer is not None:
            self._metrics.read.inc(len(answer.results))
            self._metrics.plates.inc(sum(len(result.plates) for result in answer.results))
            one.waiting.future.set_result(answer)

    def _tried(self, one: _Waiting, step: Callable[[], T]) -> T | None:
        """What a step gives; when it fails, its error becomes the future's."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001  a thread that dies would leave clients waiting for ever
            self._metrics.failed.inc()
            one.future.set_exception(error)
            return None

    def _decode(self, one: _Waiting) -> _Decoded:
        started = time.perf_counter()
        frames = read_image(one.upload.data, self._limits, name=one.upload.name)
        return _Decoded(one, tuple(frames), (time.perf_counter() - started) * 1000 / len(frames))


class _Hinted:
    """One thread's pipeline, and those with other hints that share its networks."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._others: OrderedDict[tuple[tuple[str, ...], tuple[str, ...]], Pipeline] = OrderedDict()

    def of(self, hints: Hints) -> Pipeline:
        """The pipeline with these hints; the countries not asked for longest are given up for new ones."""
        key = (hints.country, hints.only)
        known = self._others.pop(key, None)
        self._others[key] = known or self._pipeline.hinting(*key)
        if len(self._others) > _HINTS_KEPT:
            self._others.popitem(last=False)
        return self._others[key].hinting(*key, hints.min_confidence)


class _Metrics:
    def __init__(self, registry: CollectorRegistry, queue: deque[_Waiting]) -> None:
        waiting = Gauge("openplate_waiting", "Pictures that wait for the networks", registry=registry)
        waiting.set_function(lambda: len(queue))
        self.read = Counter("openplate_pictures_read", "Pictures read", registry=registry)
        self.plates = Counter("openplate_plates", "Plates found in pictures", registry=registry)
        self.failed = Counter("openplate_pictures_failed", "Pictures that could not be read", registry=registry)
        self.refused = Counter("openplate_pictures_refused", "Pictures refused because too many waited", registry=registry)
        self.waited = Histogram("openplate_waited_seconds", "How long pictures waited for the networks", registry=registry, buckets=_SECONDS)
        self.together = Histogram("openplate_taken_together", "Pictures that a thread took at once", registry=registry, buckets=(1, 2, 4, 8, 16, 32))


def _read(pipelines: _Hinted, hints: Hints, group: Sequence[_Decoded]) -> list[list[PhotoResult]]:
    """The results of each file's frames, with the times of decoding."""
    pipeline = pipelines.of(hints)
    frames = [frame for one in group for frame in one.frames]
    results = iter([pipeline.read_cropped(frame) for frame in frames] if hints.cropped else pipeline.read_frames(frames))
    return [
        [replace(result, milliseconds=replace(result.milliseconds, decode=one.decode_ms)) for _, result in zip(one.frames, results, strict=False)]
        for one in group
    ]


def _pixels(held: Sequence[_Decoded]) -> int:
    return sum(frame.image.shape[0] * frame.image.shape[1] for one in held for frame in one.frames)
