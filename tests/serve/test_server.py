"""What the server itself does beside the application: its log, and its answer to what is no HTTP."""

from __future__ import annotations

import json
import logging
import socket

import httpx
import pytest

from openplate.serve.logged import NoPlates, without_plate
from openplate.serve.settings import ServeSettings
from tests.serve.running import Running, running


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/v1/sightings?plate=A123BC77&how=fuzzy", "/v1/sightings?…"),
        ("/v1/register/A123BC77", "/v1/register/…"),
        ("/v1/register/A123BC77?x=1", "/v1/register/…?…"),
        ("/v1/register/A123/BC77", "/v1/register/…"),
        ("/v1/register/import", "/v1/register/import"),
        ("/v1/register.csv", "/v1/register.csv"),
        ("/v1/cameras/gate", "/v1/cameras/gate"),
    ],
)
def test_log_has_no_plates_of_addresses(path: str, logged: str) -> None:
    assert without_plate(path) == logged
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 1, '%s - "%s %s HTTP/%s" %d', ("127.0.0.1:9", "GET", path, "1.1", 200), None)
    assert NoPlates().filter(record)
    assert record.getMessage() == f'127.0.0.1:9 - "GET {logged} HTTP/1.1" 200'


def test_plates_that_were_asked_for_are_not_in_the_services_log(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    with running(ServeSettings(port=0, data=tmp_path, workers=1, privacy="hash"), "info") as one:
        httpx.get(f"{one.url}/v1/sightings", params={"plate": "A123BC77"})
        httpx.get(f"{one.url}/v1/register/A123BC77")
    logged = capsys.readouterr().err
    assert "GET /v1/sightings?… HTTP/1.1" in logged
    assert "GET /v1/register/… HTTP/1.1" in logged
    assert "A123BC77" not in logged


@pytest.mark.parametrize("request_", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
def test_what_is_no_http_is_a_problem(served: Running, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 10) as connection:
        connection.sendall(request_)
        answer = b""
        while part := connection.recv(4096):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"content-type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", "Bad Request", 400)
    assert problem["detail"].startswith("expected an HTTP request with at most 64 kB of headers")
