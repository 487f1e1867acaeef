"""Whether the service says how it is."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from openplate.serve.settings import ServeSettings
from tests.serve.running import photo, running


def metric(client: httpx.Client, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def test_living_process_says_so(client: httpx.Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "privacy": "plain"})


def test_working_service_is_ready(client: httpx.Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "faults": {}})


def test_read_pictures_are_counted(client: httpx.Client) -> None:
    before = metric(client, "openplate_pictures_read_total"), metric(client, "openplate_pictures_failed_total")
    client.post("/v1/read", files=[("file", ("a.jpg", photo())), ("file", ("b.jpg", b"no picture"))])
    after = metric(client, "openplate_pictures_read_total"), metric(client, "openplate_pictures_failed_total")
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


def test_service_whose_reading_stopped_is_alive_but_not_ready(tmp_path: Path) -> None:
    with running(ServeSettings(port=0, data=tmp_path, workers=1)) as one:
        one.service.reading.stop()
        assert httpx.get(f"{one.url}/healthz").status_code == 200
        answer = httpx.get(f"{one.url}/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "faults": {"reading": "not working"}})
