"""The wire formats of Plate Recognizer and CodeProject.AI, as their bridges send and take them."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from functools import cache
from typing import Any

import httpx
import numpy as np
import pytest

from openplate.pipeline import Pipeline
from openplate.serve.routes.compatible import _codeproject, _fraction, _known, _plate_recognizer
from openplate.types import Candidate, Character, Detection, Plate, Reading
from tests.serve.running import drawn, photo, plate_text


def plate(country: str | None = "RU") -> Plate:
    reading = Reading(
        "A123BC77",
        0.98765,
        tuple(Character(c, 0.99) for c in "A123BC77"),
        (Candidate("A123BC77", 0.98765, "RU/1"), Candidate("A128BC77", 0.01, "RU/1")),
        country,
        "RU/1" if country else None,
        1,
    )
    quad = np.array([[10.4, 20.6], [110, 25], [109, 50], [9.6, 45.2]], np.float32)
    return Plate("read", "A123BC77", None, Detection(quad, 0.91239), reading)


def test_plate_in_plate_recognizers_form() -> None:
    box = {"xmin": 10, "ymin": 21, "xmax": 110, "ymax": 50}
    assert _plate_recognizer(plate()) == {
        "box": box,
        "plate": "a123bc77",
        "region": {"code": "ru", "score": 0.9876},
        "score": 0.9876,
        "candidates": [{"score": 0.9876, "plate": "a123bc77"}, {"score": 0.01, "plate": "a128bc77"}],
        "dscore": 0.9123,
        "vehicle": {"score": 0.0, "type": "Unknown", "box": box},
    }


def test_plate_of_no_known_country_has_an_empty_region() -> None:
    assert _plate_recognizer(plate(None))["region"] == {"code": "", "score": 0.0}


def test_plate_in_codeprojects_form() -> None:
    assert _codeproject(plate()) == {
        "confidence": 0.9876,
        "label": "Plate: A123BC77",
        "plate": "A123BC77",
        "x_min": 10,
        "y_min": 21,
        "x_max": 110,
        "y_max": 50,
    }


def test_regions_are_countries_that_formats_know_once_each() -> None:
    assert _known(("ru", "us-ca", "us-ny", "atlantis", "KZ")) == tuple(c for c in ("RU", "US", "KZ") if c in _known((c.lower(),)))
    assert _known(("ru", "RU", "kz", "zz")) == ("RU", "KZ")


@pytest.mark.parametrize(("text", "number"), [(None, 0.5), ("0.4", 0.4), ("40", 0.4), ("1", 1.0), ("0", 0.0)])
def test_threshold_may_be_a_fraction_or_percents(text: str | None, number: float) -> None:
    assert _fraction(text, 0.5) == number


@cache
def box_of_plate() -> tuple[int, int, int, int]:
    (found,) = [one for one in Pipeline().read(drawn()[0]) if one.text == plate_text()]
    corners = found.detection.quad
    return tuple(round(float(v)) for v in (*corners.min(axis=0), *corners.max(axis=0)))  # type: ignore[return-value]


def close(found: dict[str, Any], names: str) -> bool:
    """Whether a box is the plate's, to the pixels that JPEG may move it by."""
    return all(abs(found[name] - side) <= 3 for name, side in zip(names.split(), box_of_plate(), strict=True))


def test_plate_recognizers_bridge_gets_its_answer(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/plate-reader/",
        files={"upload": ("street.jpg", photo())},
        data={"regions": ["ru", "kz"], "camera_id": "gate", "timestamp": "2026-05-01T12:00:00Z", "mmc": "true"},
    )
    assert answer.status_code == 201
    body = answer.json()
    assert {"processing_time", "results", "filename", "version", "timestamp", "camera_id"} == set(body)
    assert (body["filename"], body["version"], body["camera_id"], body["timestamp"]) == ("street.jpg", 1, "gate", "2026-05-01T12:00:00Z")
    (found,) = body["results"]
    assert (found["plate"], found["region"]["code"]) == (plate_text().lower(), "ru")
    assert found["candidates"][0] == {"score": found["score"], "plate": found["plate"]}
    assert close(found["box"], "xmin ymin xmax ymax")
    assert body["processing_time"] > 0


def test_time_is_told_when_the_bridge_tells_none(client: httpx.Client) -> None:
    body = client.post("/v1/plate-reader/", files={"upload": photo()}).json()
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    assert body["camera_id"] is None


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,"])
@pytest.mark.parametrize("others", [{"unused": (None, "")}, None], ids=["multipart", "urlencoded"])
def test_picture_may_come_as_base64(client: httpx.Client, prefix: str, others: Any) -> None:
    text = prefix + base64.b64encode(photo()).decode()
    body = client.post("/v1/plate-reader/", data={"upload": text}, files=others).json()
    assert [one["plate"] for one in body["results"]] == [plate_text().lower()]


@pytest.mark.parametrize(("config", "read"), [({"region": "strict"}, False), ({"region": "strict", "mode": "fast"}, False), ({}, True)])
def test_strict_regions_rule_others_out(client: httpx.Client, config: dict[str, str], read: bool) -> None:
    answer = client.post("/v1/plate-reader/", files={"upload": photo()}, data={"regions": "kz", "config": json.dumps(config)})
    texts = [one["plate"] for one in answer.json()["results"]]
    assert (plate_text().lower() in texts) is read


def test_codeprojects_bridge_gets_its_answer(client: httpx.Client) -> None:
    answer = client.post("/v1/vision/alpr", files={"upload": ("street.jpg", photo())})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["success"], body["code"], body["count"], body["message"]) == (True, 200, 1, f"Found {plate_text()}")
    (found,) = body["predictions"]
    assert (found["plate"], found["label"]) == (plate_text(), f"Plate: {plate_text()}")
    assert close(found, "x_min y_min x_max y_max")
    assert isinstance(body["processMs"], int) and isinstance(body["inferenceMs"], int)


def test_codeprojects_threshold_leaves_plates_out(client: httpx.Client) -> None:
    body = client.post("/v1/vision/alpr", files={"upload": photo()}, data={"min_confidence": "1.0"}).json()
    assert (body["success"], body["predictions"], body["message"]) == (True, [], "No plates found")


def test_codeprojects_errors_have_its_keys(client: httpx.Client) -> None:
    answer = client.post("/v1/vision/alpr", files={"upload": b"no picture"})
    assert answer.status_code == 422
    body = answer.json()
    assert (body["success"], body["code"]) == (False, 422)
    assert body["error"] == body["detail"] != ""
