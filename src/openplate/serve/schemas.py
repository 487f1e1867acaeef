"""What the calls about photos and all errors send and take, as pydantic models: the API's side of `openplate.results`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """One wrong value of a request."""

    where: str = Field(examples=["query.min_confidence"])
    message: str = Field(examples=["expected at most 1, got '7'"])


class Problem(BaseModel):
    """An error, as RFC 9457 describes it. `detail` says what was expected, what came and what to do."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Service Unavailable",
                "status": 503,
                "detail": "too many pictures wait (64); come again in 2 s",
            }
        },
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[Fault] = []


class Character(BaseModel):
    """One character and the probability that it is right."""

    text: str
    confidence: float


class Candidate(BaseModel):
    """A possible text with its posterior."""

    text: str
    confidence: float
    format: str | None


class Plate(BaseModel):
    """A plate in a photo (docs/results.md). `text` is null when the plate is unreadable; then `reason` says why."""

    status: Literal["read", "unreadable"]
    text: str | None
    confidence: float
    characters: list[Character]
    candidates: list[Candidate]
    country: str | None
    country_confidence: float | None = None
    format: str | None
    format_confidence: float | None = None
    lines: int
    quad: list[list[float]] = Field(description="four corners (x, y) in px: top left, top right, bottom right, bottom left of the text")
    detection_confidence: float
    reason: str | None


class Engine(BaseModel):
    """Which engine really ran."""

    name: str
    version: str
    device: str
    precision: str
    threads: int


class Times(BaseModel):
    """Milliseconds of each stage."""

    decode: float
    detect: float
    rectify: float
    read: float


class Photo(BaseModel):
    """One image's result, as `openplate read --json` prints it."""

    version: int
    image: str
    width: int
    height: int
    plates: list[Plate]
    engine: Engine
    milliseconds: Times


class FailedPhoto(BaseModel):
    """A file among several that could not be read."""

    image: str
    error: str


_PLATE_EXAMPLE = {
    "status": "read",
    "text": "A123BC77",
    "confidence": 0.9931,
    "characters": [{"text": character, "confidence": 0.9989} for character in "A123BC77"],
    "candidates": [{"text": "A123BC77", "confidence": 0.9931, "format": "RU/1"}, {"text": "A128BC77", "confidence": 0.0041, "format": "RU/1"}],
    "country": "RU",
    "country_confidence": 0.9999,
    "format": "RU/1",
    "format_confidence": 0.9412,
    "lines": 1,
    "quad": [[612.4, 388.1], [748.9, 391.6], [748.2, 420.3], [611.8, 416.7]],
    "detection_confidence": 0.9712,
    "reason": None,
}
READ_EXAMPLE = [
    {
        "version": 1,
        "image": "street.jpg",
        "width": 1280,
        "height": 720,
        "plates": [_PLATE_EXAMPLE],
        "engine": {"name": "openvino", "version": "2026.4.1", "device": "cpu", "precision": "bf16", "threads": 1},
        "milliseconds": {"decode": 4.12, "detect": 31.8, "rectify": 2.4, "read": 6.33},
    },
    {"image": "notes.txt", "error": "notes.txt: expected a JPEG, PNG, WebP, BMP, TIFF or GIF picture, got a file that starts with b'Dear Sir'"},
]
PLATE_RECOGNIZER_EXAMPLE = {
    "processing_time": 48.113,
    "timestamp": "2026-05-01T12:00:00.000000Z",
    "results": [
        {
            "box": {"xmin": 612, "ymin": 388, "xmax": 749, "ymax": 420},
            "plate": "a123bc77",
            "region": {"code": "ru", "score": 0.9931},
            "score": 0.9931,
            "candidates": [{"score": 0.9931, "plate": "a123bc77"}],
            "dscore": 0.9712,
            "vehicle": {"score": 0.0, "type": "Unknown", "box": {"xmin": 612, "ymin": 388, "xmax": 749, "ymax": 420}},
        }
    ],
    "filename": "street.jpg",
    "version": 1,
    "camera_id": "gate",
}
CODEPROJECT_EXAMPLE = {
    "success": True,
    "message": "Found A123BC77",
    "predictions": [{"confidence": 0.9931, "label": "Plate: A123BC77", "plate": "A123BC77", "x_min": 612, "y_min": 388, "x_max": 749, "y_max": 420}],
    "count": 1,
    "command": "alpr",
    "moduleId": "OpenPlate",
    "inferenceDevice": "cpu",
    "inferenceMs": 41,
    "processMs": 48,
    "code": 200,
    "timestampUTC": "Fri, 01 May 2026 12:00:00 GMT",
}
