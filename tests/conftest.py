"""A pipeline that says what a test tells it to, and small data sets on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import settings

from openplate.charset import Charset
from openplate.geometry import box_to_quad
from openplate.read.decode import Decoder
from openplate.types import (
    Candidate,
    Character,
    Detection,
    EngineReport,
    Frame,
    Image,
    Milliseconds,
    PhotoResult,
    Plate,
    Quad,
    Reading,
)

# The same examples in every run: a change is tested, not the luck of the day.
settings.register_profile("openplate", derandomize=True, deadline=None)
settings.load_profile("openplate")

WIDTH, HEIGHT = 200, 100
BOX = (50.0, 40.0, 130.0, 60.0)


def reading(text: str, confidence: float) -> Reading:
    return Reading(text, confidence, tuple(Character(c, confidence) for c in text), (Candidate(text, confidence, "RU/1"),), "RU", "RU/1", 1)


def plate(quad: Quad, text: str, confidence: float, readable: bool = True) -> Plate:
    detection = Detection(quad, 0.9)
    if readable:
        return Plate("read", text, None, detection, reading(text, confidence))
    return Plate("unreadable", None, "confidence is low", detection, reading(text, confidence))


@dataclass
class FakePipeline:
    """Finds and reads the same in every image; `on_quads` is what the reader says of labelled quads, one after another."""

    plates: list[Plate] = field(default_factory=list)
    on_quads: list[Reading] = field(default_factory=list)
    engine: EngineReport = field(default_factory=lambda: EngineReport("fake", "1", "cpu", "fp32", 1))
    seen: list[Image] = field(default_factory=list)
    decoder: Decoder = field(default_factory=lambda: Decoder((), Charset()))

    def detect(self, image: Image) -> list[Detection]:
        return [plate.detection for plate in self.plates]

    def read_quads(self, image: Image, quads: Sequence[Quad]) -> list[Reading]:
        assert len(quads) == len(self.on_quads)
        return self.on_quads

    def read_frame(self, frame: Frame) -> PhotoResult:
        self.seen.append(frame.image)
        height, width = frame.image.shape[:2]
        return PhotoResult(frame.source, width, height, tuple(self.plates), self.engine, Milliseconds(0, 0, 0, 0))

    def read_cropped(self, frame: Frame) -> PhotoResult:
        return self.read_frame(frame)


def label(text: str | None, box: tuple[float, float, float, float] | None = BOX, country: str = "RU") -> dict[str, Any]:
    return {"text": text, "country": country, "quad": None if box is None else box_to_quad(*box).tolist()}


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Path]:
    """A folder with one image of 200×100 px for each list of labels."""

    def make(*labels: list[dict[str, Any]], name: str = "street") -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        lines = []
        for number, plates in enumerate(labels):
            image = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
            cv2.rectangle(image, (50, 40), (130, 60), (255, 255, 255), -1)
            assert cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
            lines.append(json.dumps({"image": f"images/{number}.png", "width": WIDTH, "height": HEIGHT, "plates": plates}))
        (folder / "labels.jsonl").write_text("\n".join(lines) + "\n", encoding="utf8")
        return folder

    return make


@pytest.fixture
def draw_in_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training draws its shards in a thread of the test's own process: starting another one takes seconds."""

    class DrawnHere:
        def __init__(self, draw: Callable[[int], Any]) -> None:
            self._draw = draw

        def __call__(self, number: int) -> Any:
            return self._draw(number)

        def end(self) -> None:
            pass

    monkeypatch.setattr("openplate.train.shards.DrawingProcess", DrawnHere)
