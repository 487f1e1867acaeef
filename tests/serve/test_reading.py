"""The queue of photos: what waits together, what is refused, and that one client's trouble is not another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from openplate.errors import FormatError, SourceError
from openplate.pipeline import Options, Pipeline
from openplate.serve.problems import TooBusy
from openplate.serve.reading import Answer, Hints, PhotoReading, Upload
from openplate.serve.settings import ServeSettings, UploadLimits
from openplate.sources import encode_image
from openplate.types import EngineReport, Frame, Milliseconds, PhotoResult

ENGINE = EngineReport("fake", "1", "cpu", "fp32", 1)


def picture(side: int) -> Upload:
    return Upload(f"{side}.png", encode_image(np.zeros((side, side, 3), np.uint8), ".png"))


@dataclass
class SlowPipeline:
    """Finds nothing, once it is let; notes which pictures it was given together. Pictures of 13 px break it."""

    engine: EngineReport = ENGINE
    let: threading.Event = field(default_factory=threading.Event)
    together: list[list[int]] = field(default_factory=list)
    hints: list[tuple[tuple[str, ...], float]] = field(default_factory=list)

    def hinting(self, country: Sequence[str] = (), only: Sequence[str] = (), min_confidence: float = 0.5) -> SlowPipeline:
        self.hints.append((tuple(country), min_confidence))
        return self

    def read_frames(self, frames: Sequence[Frame]) -> list[PhotoResult]:
        self.let.wait()
        self.together.append([frame.image.shape[0] for frame in frames])
        if 13 in self.together[-1]:
            raise RuntimeError("broken")
        return [PhotoResult(f.source, f.image.shape[1], f.image.shape[0], (), ENGINE, Milliseconds(0, 1, 2, 3)) for f in frames]

    def read_cropped(self, frame: Frame) -> PhotoResult:
        return PhotoResult(f"cropped {frame.source}", 1, 1, (), ENGINE, Milliseconds(0, 1, 2, 3))


@contextmanager
def reading(pipeline: SlowPipeline, most: int = 64, batch: int = 8) -> Iterator[PhotoReading]:
    def build(options: Options) -> Pipeline:
        return cast(Pipeline, pipeline)

    settings = ServeSettings(data=Path("unused"), workers=1, batch=batch, limits=UploadLimits(max_waiting=most))
    one = PhotoReading(settings, CollectorRegistry(), build)
    one.start()
    try:
        yield one
    finally:
        pipeline.let.set()
        one.stop()


def until_taken(one: PhotoReading) -> None:
    """Wait until the thread has taken what waits."""
    while one.waiting:
        threading.Event().wait(0.001)


def test_pictures_that_wait_are_read_together_in_the_order_they_came() -> None:
    pipeline = SlowPipeline()
    with reading(pipeline) as one:
        first = one.submit([picture(8)], Hints())
        until_taken(one)
        others = [future for side in (9, 10, 11) for future in one.submit([picture(side)], Hints())]
        pipeline.let.set()
        results = [future.result(10).results[0].width for future in first + others]
    assert results == [8, 9, 10, 11]
    assert pipeline.together == [[8], [9, 10, 11]]


def test_no_more_than_a_batch_is_taken_at_once() -> None:
    pipeline = SlowPipeline()
    with reading(pipeline, batch=2) as one:
        first = one.submit([picture(8)], Hints())
        until_taken(one)
        others = one.submit([picture(side) for side in (9, 10, 11)], Hints())
        pipeline.let.set()
        assert [future.result(10).results[0].width for future in first + others] == [8, 9, 10, 11]
    assert pipeline.together == [[8], [9, 10], [11]]


def test_pictures_with_other_hints_are_read_apart() -> None:
    pipeline = SlowPipeline()
    with reading(pipeline) as one:
        first = one.submit([picture(8)], Hints())
        until_taken(one)
        others = [*one.submit([picture(9)], Hints(("RU",))), *one.submit([picture(10)], Hints()), *one.submit([picture(11)], Hints(("RU",)))]
        pipeline.let.set()
        assert [future.result(10).results[0].width for future in first + others] == [8, 9, 10, 11]
    assert pipeline.together == [[8], [9, 11], [10]]


def test_full_queue_refuses_and_says_when_to_come_again() -> None:
    pipeline = SlowPipeline()
    with reading(pipeline, most=3) as one:
        taken = one.submit([picture(8)], Hints())
        until_taken(one)
        waiting = one.submit([picture(9), picture(10)], Hints())
        with pytest.raises(TooBusy, match="too many pictures wait \\(2\\)") as error:
            one.submit([picture(11), picture(12)], Hints())
        assert error.value.retry_after_s >= 1
        assert one.waiting == 2, "a request is taken as a whole or not at all"
        waiting += one.submit([picture(11)], Hints())
        pipeline.let.set()
        assert [future.result(10).results[0].width for future in taken + waiting] == [8, 9, 10, 11]


def test_request_larger_than_the_queue_is_taken_when_nobody_waits() -> None:
    pipeline = SlowPipeline()
    pipeline.let.set()
    with reading(pipeline, most=2) as one:
        assert [future.result(10).results[0].width for future in one.submit([picture(side) for side in (8, 9, 10)], Hints())] == [8, 9, 10]


def test_picture_that_breaks_the_pipeline_takes_no_other_with_it() -> None:
    pipeline = SlowPipeline()
    with reading(pipeline) as one:
        first = one.submit([picture(8)], Hints())
        until_taken(one)
        nine, broken, ten = one.submit([picture(9), picture(13), picture(10)], Hints())
        pipeline.let.set()
        assert [future.result(10).results[0].width for future in (*first, nine, ten)] == [8, 9, 10]
        with pytest.raises(RuntimeError, match="broken"):
            broken.result(10)
        one.check()


def test_damaged_picture_is_an_error_in_its_place() -> None:
    pipeline = SlowPipeline()
    pipeline.let.set()
    with reading(pipeline) as one:
        answers = asyncio.run(one.read([picture(8), Upload("bad.jpg", b"no picture")], Hints()))
    assert isinstance(answers[0], Answer) and answers[0].results[0].width == 8
    assert isinstance(answers[1], SourceError) and str(answers[1]).startswith("bad.jpg: expected a JPEG")


def test_unknown_country_is_refused_before_anything_waits() -> None:
    with reading(SlowPipeline()) as one, pytest.raises(FormatError, match="'XX' is not known"):
        asyncio.run(one.read([picture(8)], Hints(("XX",))))


def test_cropped_pictures_are_only_read() -> None:
    pipeline = SlowPipeline()
    with reading(pipeline) as one:
        (future,) = one.submit([picture(8)], Hints(cropped=True))
        assert future.result(10).results[0].source == "cropped 8.png"


def test_decoding_is_part_of_the_times() -> None:
    pipeline = SlowPipeline()
    pipeline.let.set()
    with reading(pipeline) as one:
        (future,) = one.submit([picture(500)], Hints())
        times = future.result(10).results[0].milliseconds
    assert times.decode > 0
    assert (times.detect, times.rectify, times.read) == (1, 2, 3)


def test_pictures_of_a_client_that_went_away_are_not_read() -> None:
    pipeline = SlowPipeline()

    async def leave(one: PhotoReading) -> None:
        task = asyncio.create_task(one.read([picture(9)], Hints()))
        while not one.waiting:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with reading(pipeline) as one:
        first = one.submit([picture(8)], Hints())
        until_taken(one)
        asyncio.run(leave(one))
        last = one.submit([picture(10)], Hints())
        pipeline.let.set()
        assert [future.result(10).results[0].width for future in first + last] == [8, 10]
    assert pipeline.together == [[8], [10]]


def test_stopping_finishes_what_waits_and_refuses_what_comes_after() -> None:
    pipeline = SlowPipeline()
    with reading(pipeline) as one:
        futures = one.submit([picture(8), picture(9)], Hints())
        pipeline.let.set()
        one.stop()
        assert [future.result(0).results[0].width for future in futures] == [8, 9]
        with pytest.raises(TooBusy):
            one.submit([picture(10)], Hints())
        with pytest.raises(TooBusy):
            one.check()


def test_hints_that_were_asked_for_before_are_not_made_again() -> None:
    made: list[Any] = []

    class Counted(SlowPipeline):
        def hinting(self, country: Sequence[str] = (), only: Sequence[str] = (), min_confidence: float = 0.5) -> SlowPipeline:
            made.append(tuple(country))
            other = SlowPipeline()
            other.let.set()
            return other

    with reading(Counted()) as one:
        for code in ("RU", "KZ", "RU", "RU"):
            one.submit([picture(8)], Hints((code,)))[0].result(10)
    assert made == [("RU",), ("KZ",)]
