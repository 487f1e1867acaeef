"""Errors in, RFC 9457 problem details out: what is the client's fault with its message, everything else without internals."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from openplate.errors import EngineError, OpenPlateError, StoreError, WeightsError
from openplate.serve.faults import Where, faults_of, names_beside
from openplate.serve.logged import without_plate
from openplate.serve.schemas import Fault, Problem

MEDIA_TYPE = "application/problem+json"
_LOG = logging.getLogger("openplate.serve")
_LONGEST_PATH = 200
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""As RFC 9110 has them; older versions of Python have older words."""


class TooBusy(OpenPlateError):
    """A queue is full: the client gets 503 and is told when to come again."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Conflict(OpenPlateError):
    """What is asked does not fit the state of things: the client gets 409."""


def problem_response(
    status: int, detail: str, faults: tuple[Fault, ...] = (), headers: Mapping[str, str] | None = None, path: str = ""
) -> JSONResponse:
    """A problem as an answer; under the CodeProject.AI path it has that format's keys too."""
    body: dict[str, Any] = Problem(title=title_of(status), status=status, detail=detail, errors=list(faults)).model_dump(exclude_defaults=True)
    body = {"type": "about:blank"} | body
    if path.startswith("/v1/vision/"):
        body |= {"success": False, "error": detail, "code": status}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of a call's errors: `responses={**problems(401, 404)}`."""
    return {status: {"model": Problem, "description": title_of(status)} for status in statuses}


def add_problem_handlers(app: FastAPI) -> None:
    """Make every error of an app a problem."""
    app.add_exception_handler(OpenPlateError, _expected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


def status_of(error: OpenPlateError) -> int:
    """The HTTP status of an error: 422 for what the client asked wrongly, 503 for what the service cannot do now."""
    if isinstance(error, TooBusy) or (isinstance(error, StoreError) and error.__cause__ is not None):
        return 503
    if isinstance(error, Conflict):
        return 409
    if isinstance(error, WeightsError | EngineError):
        return 500
    return 422


async def _expected(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OpenPlateError)
    status = status_of(error)
    if isinstance(error, TooBusy):
        return problem_response(status, str(error), headers={"Retry-After": str(error.retry_after_s)}, path=request.url.path)
    if status >= 500:
        _LOG.error("%s %s: %s", request.method, without_plate(request.url.path), error)
        detail = "the service cannot do this now; its log says why"
        return problem_response(status, detail, headers={"Retry-After": "5"} if status == 503 else None, path=request.url.path)
    return problem_response(status, str(error), path=request.url.path)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = faults_of(error.errors(), lambda where: _names_beside(request, where))
    return problem_response(422, "; ".join(f"{f.where}: {f.message}" for f in faults[:5]), faults, path=request.url.path)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    detail = str(error.detail)
    if error.status_code in (404, 405) and detail == title_of(error.status_code):  # the application has no such call, and nobody said more
        detail = _no_such_call(request, error)
    return problem_response(error.status_code, detail, headers=error.headers, path=request.url.path)


def _no_such_call(request: Request, error: StarletteHTTPException) -> str:
    path = request.url.path[:_LONGEST_PATH]
    if error.status_code == 404:
        return f"there is nothing at {path!r}; /docs and /openapi.json list what there is"
    return f"{path!r} does not take {request.method}; expected {(error.headers or {}).get('Allow', 'another method')}"


def _names_beside(request: Request, where: Where) -> set[str]:
    path = getattr(request.scope.get("route"), "path_format", "")
    description = request.app.openapi()
    call = description["paths"].get(path, {}).get(request.method.lower(), {})
    return names_beside(call, description["components"]["schemas"], where)


async def _gone(request: Request, error: Exception) -> JSONResponse:
    return problem_response(400, "the connection ended before the body did", path=request.url.path)  # nobody hears it


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _LOG.error("%s %s failed", request.method, without_plate(request.url.path), exc_info=error)
    return problem_response(500, "the service failed; its log says why", path=request.url.path)


def title_of(status: int) -> str:
    """The name of an HTTP status."""
    if status in _TITLES:
        return _TITLES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def not_found(what: str) -> HTTPException:
    """The error for what is not there."""
    return HTTPException(404, f"there is no {what}")
