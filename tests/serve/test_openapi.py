"""The whole OpenAPI description: every call with an example, and no generated request that makes the service fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from openplate.serve import cameras
from openplate.serve.app import create_app
from openplate.serve.settings import ServeSettings, UploadLimits
from tests.serve.running import running

schemathesis = pytest.importorskip("schemathesis", reason="the generated requests need schemathesis")

EXAMPLES = int(os.environ.get("OPENPLATE_GENERATED", "8"))
"""Requests a call; set OPENPLATE_GENERATED for more."""


# The stream of events never ends by itself; test_events.py looks at it.
SCHEMA = schemathesis.openapi.from_dict(create_app(ServeSettings()).openapi()).exclude(path="/v1/events")
CALLS = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations()}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service whose cameras are processes that do nothing: generated cameras are to be stored, not to be watched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cameras, "CameraProcess", partial(cameras.CameraProcess, command=("true",)))
        limits = UploadLimits(max_body_bytes=2_000_000, max_pixels=4_000_000)
        with running(ServeSettings(port=0, data=tmp_path_factory.mktemp("data"), workers=1, limits=limits)) as one:
            yield one.url


@pytest.mark.parametrize("name", CALLS)
def test_generated_requests_never_make_the_service_fail(url: str, name: str) -> None:
    @given(case=CALLS[name].as_strategy())
    @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
    def never_fails(case: Any) -> None:
        answer = case.call(base_url=url, timeout=30)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"]
            assert answer.json()["detail"]

    never_fails()


def operations() -> dict[str, dict[str, Any]]:
    paths = create_app(ServeSettings()).openapi()["paths"]
    return {f"{method.upper()} {path}": call for path, methods in paths.items() for method, call in methods.items()}


def test_every_call_is_described() -> None:
    assert [name for name, call in operations().items() if not call.get("description")] == []


def examples_in(node: Any, components: dict[str, Any], depth: int = 0) -> bool:
    """Whether a part of the description has an example, itself or in what it refers to."""
    if depth > 12:
        return False
    if isinstance(node, list):
        return any(examples_in(one, components, depth + 1) for one in node)
    if not isinstance(node, dict):
        return False
    if "example" in node or "examples" in node:
        return True
    if isinstance(node.get("$ref"), str):
        return examples_in(components[node["$ref"].rpartition("/")[2]], components, depth + 1)
    return any(examples_in(one, components, depth + 1) for one in node.values())


def of_calls(pick: str) -> dict[str, Any]:
    return {name: call[pick] for name, call in operations().items() if pick in call}


def test_every_body_of_a_request_has_an_example() -> None:
    components = create_app(ServeSettings()).openapi()["components"]["schemas"]
    without = [name for name, body in of_calls("requestBody").items() if not all(examples_in(one, components) for one in body["content"].values())]
    assert without == []


def test_every_parameter_in_a_path_has_an_example() -> None:
    without = [
        f"{name}: {one['name']}"
        for name, parameters in of_calls("parameters").items()
        for one in parameters
        if one["in"] == "path" and not examples_in(one, {})
    ]
    assert without == []


def test_every_answer_of_every_kind_has_an_example() -> None:
    components = create_app(ServeSettings()).openapi()["components"]["schemas"]
    without = [
        f"{name} {status} {kind}"
        for name, answers in of_calls("responses").items()
        for status, answer in answers.items()
        for kind, body in answer.get("content", {}).items()
        if not examples_in(body, components)
    ]
    assert without == []


def test_every_error_is_a_problem() -> None:
    others = [
        f"{name} {status}"
        for name, answers in of_calls("responses").items()
        for status, answer in answers.items()
        if status >= "400" and list(answer["content"]) != ["application/problem+json"] and (name, status) != ("GET /readyz", "503")
    ]
    assert others == []


OPEN = ["GET /healthz", "GET /readyz"]


def test_every_call_that_may_need_a_key_says_how_it_is_sent_and_what_comes_without() -> None:
    schemes = create_app(ServeSettings()).openapi()["components"]["securitySchemes"]
    kinds = {(one["type"], one.get("scheme"), one.get("name")) for one in schemes.values()}
    assert kinds == {("http", "bearer", None), ("apiKey", None, "X-API-Key")}
    calls = operations()
    assert [name for name, call in calls.items() if "401" not in call["responses"] or "403" not in call["responses"]] == OPEN
    assert [name for name, call in calls.items() if {next(iter(one), None) for one in call.get("security", [])} != {*schemes, None}] == OPEN


def test_service_that_needs_keys_says_so() -> None:
    paths = create_app(ServeSettings(require_keys=True)).openapi()["paths"]
    assert {} not in paths["/v1/read"]["post"]["security"]


def test_every_answer_with_a_body_has_an_example() -> None:
    description = create_app(ServeSettings()).openapi()
    components = description["components"]["schemas"]
    without = []
    for name, call in operations().items():
        for status, answer in call["responses"].items():
            bodies = {kind: body for kind, body in answer.get("content", {}).items() if kind == "application/json"}
            if status.startswith("2") and bodies and not examples_in(bodies, components):
                without.append(name)
    assert without == []


def test_page_of_the_description_says_why_it_is_empty_when_its_scripts_cannot_be_loaded(client: httpx.Client) -> None:
    answer = client.get("/docs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    shown_until_the_scripts_run = answer.text.partition('<div id="swagger-ui">')[2].partition("</div>")[0]
    assert "loads its scripts from the internet" in shown_until_the_scripts_run
    assert client.get("/openapi.json").status_code == 200
    assert '<a href="openapi.json">' in shown_until_the_scripts_run
