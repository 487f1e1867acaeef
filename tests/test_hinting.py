"""Pipelines with other hints that share networks: what each reads in the same drawn plate."""

from __future__ import annotations

import pytest

from openplate.errors import ConfigError, FormatError
from openplate.pipeline import Pipeline
from openplate.types import Image
from tests.serve.running import drawn


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline()


def texts(pipeline: Pipeline, image: Image) -> list[str | None]:
    return [plate.text for plate in pipeline.read(image) if plate.status == "read"]


def test_other_hints_read_other_plates_and_leave_the_first_pipeline_as_it_was(pipeline: Pipeline) -> None:
    image, text = drawn()
    strict = pipeline.hinting(only=("kz",))
    assert (texts(pipeline, image), texts(strict, image), texts(pipeline, image)) == ([text], [], [text])
    assert (pipeline.options.only, strict.options.only) == ((), ("kz",))


def test_hints_that_fit_read_what_a_pipeline_made_with_them_reads(pipeline: Pipeline) -> None:
    image, _ = drawn()
    hinted, made = pipeline.hinting(country=("ru",)).read(image), Pipeline(country="ru").read(image)
    assert [(p.text, p.reading) for p in hinted] == [(p.text, p.reading) for p in made]


def test_other_threshold_makes_the_same_reading_unreadable(pipeline: Pipeline) -> None:
    image, text = drawn()
    plates = pipeline.hinting(min_confidence=1.0).read(image)
    assert {plate.status for plate in plates} == {"unreadable"}
    assert text in [plate.reading.text for plate in plates]


def test_wrong_hints_are_told(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="min_confidence: expected 0 to 1, got 2"):
        pipeline.hinting(min_confidence=2)
    with pytest.raises(FormatError, match="'xx' is not known"):
        pipeline.hinting(country=("xx",))
    with pytest.raises(FormatError, match="contradicts"):
        pipeline.hinting(country=("kz",), only=("ru",))
