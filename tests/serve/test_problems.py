"""Errors become problems: the client's with their message, the service's without internals."""

from __future__ import annotations

import httpx
import pytest

from openplate.errors import ConfigError, EngineError, FormatError, OpenPlateError, SourceError, StoreError, WeightsError
from openplate.serve.problems import Conflict, TooBusy, status_of, title_of
from tests.serve.running import Running


def caused(error: OpenPlateError) -> OpenPlateError:
    error.__cause__ = OSError("disk")
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SourceError("x"), 422),
        (FormatError("x"), 422),
        (ConfigError("x"), 422),
        (StoreError("the query is wrong"), 422),
        (caused(StoreError("the database does not answer")), 503),
        (TooBusy("x"), 503),
        (Conflict("x"), 409),
        (WeightsError("x"), 500),
        (EngineError("x"), 500),
    ],
)
def test_status_says_whose_fault_it_is(error: OpenPlateError, status: int) -> None:
    assert status_of(error) == status


def test_path_that_there_is_not_is_a_problem(client: httpx.Client) -> None:
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    detail = "there is nothing at '/nowhere'; /docs and /openapi.json list what there is"
    assert answer.json() == {"type": "about:blank", "title": "Not Found", "status": 404, "detail": detail}


def test_wrong_method_is_a_problem(client: httpx.Client) -> None:
    answer = client.get("/v1/read")
    assert (answer.status_code, answer.json()["title"]) == (405, "Method Not Allowed")
    assert answer.json()["detail"] == "'/v1/read' does not take GET; expected POST"


@pytest.mark.parametrize(
    ("status", "title"), [(413, "Content Too Large"), (422, "Unprocessable Content"), (503, "Service Unavailable"), (799, "Error")]
)
def test_titles_are_those_of_rfc_9110_whatever_the_version_of_python(status: int, title: str) -> None:
    assert title_of(status) == title


def test_description_and_answers_have_the_same_titles(client: httpx.Client) -> None:
    answer = client.post("/v1/read", content=b"no picture")
    assert (answer.status_code, answer.json()["title"]) == (422, "Unprocessable Content")
    described = client.get("/openapi.json").json()["paths"]["/v1/read"]["post"]["responses"]
    assert (described["422"]["description"], described["413"]["description"]) == ("Unprocessable Content", "Content Too Large")


def test_wrong_values_are_listed(client: httpx.Client) -> None:
    answer = client.post("/v1/read?min_confidence=7&cropped=maybe", content=b"x")
    assert [fault["where"] for fault in answer.json()["errors"]] == ["query.min_confidence", "query.cropped"]


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("password=secret"), 500), (caused(StoreError("postgresql://user:secret@host: gone")), 503)]
)
def test_what_fails_inside_is_not_told(served: Running, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(served.service.reading, "check_hints", fail)
    answer = httpx.post(f"{served.url}/v1/read", content=b"x")  # an own connection: the service closes it after such an error
    assert answer.status_code == status
    assert "secret" not in answer.text
    assert answer.json()["detail"].endswith("its log says why")
