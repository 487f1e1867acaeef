"""Photos as clients of Plate Recognizer and of CodeProject.AI send them in, answers in those formats out, so that their bridges work unchanged.

Plate Recognizer: https://guides.platerecognizer.com/docs/snapshot/api-reference; CodeProject.AI: https://www.codeproject.com/AI/docs/api/api_reference.html.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from openplate.errors import OpenPlateError
from openplate.formats import load_formats
from openplate.geometry import quad_to_box
from openplate.results import shown_confidence
from openplate.serve.access import TheService, require
from openplate.serve.fetch import fetch
from openplate.serve.problems import problems
from openplate.serve.reading import Answer, Hints, Upload
from openplate.serve.schemas import CODEPROJECT_EXAMPLE, PLATE_RECOGNIZER_EXAMPLE
from openplate.serve.service import Service
from openplate.serve.uploads import Form, decoded_base64, read_form, while_connected
from openplate.types import PhotoResult, Plate

router = APIRouter(tags=["compatible"])
_FILE = {"type": "string", "format": "binary"}


def _body(example: dict[str, Any], **fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema, "example": example}}}}


@router.post(
    "/v1/plate-reader/",
    status_code=201,
    dependencies=[require("read")],
    openapi_extra=_body(
        {"upload": "the bytes of street.jpg", "regions": ["ru"], "camera_id": "gate"},
        upload=_FILE | {"description": "the picture, or its Base64 text"},
        upload_url={"type": "string", "description": "an address to fetch the picture from; the service has to allow it"},
        regions={"type": "array", "items": {"type": "string"}, "description": "countries to expect, such as ru or us-ca"},
        camera_id={"type": "string"},
        timestamp={"type": "string"},
        config={"type": "string", "description": 'JSON; {"region": "strict"} allows the regions alone'},
    ),
    responses={
        201: {"description": "the plates that were read", "content": {"application/json": {"example": PLATE_RECOGNIZER_EXAMPLE}}},
        **problems(400, 401, 403, 408, 413, 422, 503),
    },
)
async def plate_reader(request: Request, service: TheService) -> Response:
    """Read a picture as Plate Recognizer's Snapshot API does.

    Plates are in lower case; unreadable plates are left out. Fields that are not listed are ignored, and so are regions that no format here has.
    """
    started = time.perf_counter()
    form = await read_form(request, service.settings.limits, ("upload",), text_forms=True)
    upload = await _upload(form, service)
    regions = _known(form.every("regions"))
    strict = _config(form).get("region") == "strict"
    given = service.settings.options
    hints = Hints(() if strict else regions or tuple(given.country), regions if strict and regions else tuple(given.only), given.min_confidence)
    result, took_s = await _first(request, service, upload, hints, started)
    body = {
        "processing_time": round(1000 * took_s, 3),
        "timestamp": form.last("timestamp") or datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "results": [_plate_recognizer(plate) for plate in result.plates if plate.status == "read"],
        "filename": upload.name,
        "version": 1,
        "camera_id": form.last("camera_id"),
    }
    return JSONResponse(body, 201)


@router.post(
    "/v1/vision/alpr",
    dependencies=[require("read")],
    openapi_extra=_body(
        {"upload": "the bytes of street.jpg", "min_confidence": 0.8},
        upload=_FILE | {"description": "the picture"},
        min_confidence={"type": "number", "description": "below it plates are left out"},
    ),
    responses={
        200: {"description": "the plates that were read", "content": {"application/json": {"example": CODEPROJECT_EXAMPLE}}},
        **problems(400, 401, 403, 408, 413, 422, 503),
    },
)
async def alpr(request: Request, service: TheService) -> Response:
    """Read a picture as CodeProject.AI's number plate reader does. Errors carry that format's keys too: `success`, `error`, `code`."""
    started = time.perf_counter()
    form = await read_form(request, service.settings.limits, ("upload", "image"), text_forms=True)
    upload = await _upload(form, service)
    given = service.settings.options
    hints = Hints(tuple(given.country), tuple(given.only), _fraction(form.last("min_confidence"), given.min_confidence))
    result, took_s = await _first(request, service, upload, hints, started)
    times = result.milliseconds
    plates = [plate for plate in result.plates if plate.status == "read"]
    found = [_codeproject(plate) for plate in plates]
    body = {
        "success": True,
        "message": f"Found {', '.join(str(plate.text) for plate in plates)}" if plates else "No plates found",
        "predictions": found,
        "count": len(found),
        "command": "alpr",
        "moduleId": "OpenPlate",
        "inferenceDevice": result.engine.device,
        "inferenceMs": round(times.detect + times.rectify + times.read),
        "processMs": round(1000 * took_s),
        "code": 200,
        "timestampUTC": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
    }
    return JSONResponse(body)


async def _upload(form: Form, service: Service) -> Upload:
    """The form's one picture: a file, Base64 text, or behind an address."""
    if form.uploads:
        return form.uploads[0]
    text, url = form.last("upload"), form.last("upload_url")
    if text:
        return decoded_base64(text)
    if url:
        return await fetch(url, service.settings)
    raise HTTPException(400, "expected a picture in the field 'upload' of a form (multipart/form-data)")


async def _first(request: Request, service: Service, upload: Upload, hints: Hints, started: float) -> tuple[PhotoResult, float]:
    """The result of the picture's first frame, and how long the call took."""
    (answer,) = await while_connected(request, service.reading.read([upload], hints))
    if isinstance(answer, OpenPlateError):
        raise answer
    assert isinstance(answer, Answer)
    return answer.results[0], time.perf_counter() - started


def _plate_recognizer(plate: Plate) -> dict[str, Any]:
    x0, y0, x1, y1 = _box(plate)
    box = {"xmin": x0, "ymin": y0, "xmax": x1, "ymax": y1}
    reading = plate.reading
    score = shown_confidence(reading.confidence)
    return {
        "box": box,
        "plate": str(plate.text).lower(),
        "region": {"code": (reading.country or "").lower(), "score": score if reading.country else 0.0},
        "score": score,
        "candidates": [{"score": shown_confidence(c.confidence), "plate": c.text.lower()} for c in reading.candidates],
        "dscore": shown_confidence(plate.detection.confidence),
        # Bridges take these keys for granted; vehicles themselves are not looked for.
        "vehicle": {"score": 0.0, "type": "Unknown", "box": box},
    }


def _codeproject(plate: Plate) -> dict[str, Any]:
    x0, y0, x1, y1 = _box(plate)
    return {
        "confidence": shown_confidence(plate.reading.confidence),
        "label": f"Plate: {plate.text}",
        "plate": plate.text,
        "x_min": x0,
        "y_min": y0,
        "x_max": x1,
        "y_max": y1,
    }


def _box(plate: Plate) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(float(side)) for side in quad_to_box(plate.detection.quad))
    return x0, y0, x1, y1


def _known(regions: tuple[str, ...]) -> tuple[str, ...]:
    """The regions' countries, of which a format is known: `us-ca` is `US`."""
    known = {one.code for one in load_formats()}
    return tuple(dict.fromkeys(code for region in regions if (code := region.partition("-")[0].upper()) in known))


def _config(form: Form) -> dict[str, Any]:
    try:
        config = json.loads(form.last("config") or "{}")
    except (ValueError, RecursionError):
        raise HTTPException(400, "config: expected a JSON object") from None
    return config if isinstance(config, dict) else {}


def _fraction(text: str | None, default: float) -> float:
    """A number from 0 to 1; clients send percents too."""
    try:
        number = default if text is None else float(text)
    except ValueError:
        raise HTTPException(400, f"min_confidence: expected a number from 0 to 1, got {text!r}") from None
    if not 0 <= number <= 100:  # NaN fails as well
        raise HTTPException(400, f"min_confidence: expected a number from 0 to 1, got {text!r}")
    return number / 100 if number > 1 else number
