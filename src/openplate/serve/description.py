"""The OpenAPI description as FastAPI makes it in, the one that the service gives out: how keys are sent, and errors as they are, with examples."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from openplate.serve.problems import MEDIA_TYPE, title_of
from openplate.serve.settings import ServeSettings

_DETAILS = {
    400: "expected a whole form, got one without its end; send it again",
    401: "an API key is needed: send a header 'Authorization: Bearer KEY'",
    403: "this needs a key with the role admin, the key 'page' has the role read",
    404: "there is no camera 'gate'",
    408: "no byte of the body came for 10 s; send it again",
    409: "there is a list 'residents' already; take another name",
    413: "expected a body of at most 33554432 bytes, got more",
    422: "expected a picture: as a file in the field 'file' of a form, or as the whole body",
    503: "too many pictures wait (64); come again in 2 s",
}
_OWN_ERRORS = {("/readyz", "503")}
"""Answers that are no problems although their status says error."""
_PLACE = '<div id="swagger-ui">'
_WITHOUT_SCRIPTS = """<p style="margin: 2em; font-family: sans-serif">
This page loads its scripts from the internet. If nothing else appears here, the browser cannot reach it, or runs no scripts:
<a href="openapi.json">openapi.json</a> describes the same calls.
</p>"""
_PROBLEM = {"$ref": "#/components/schemas/Problem"}


def describe(app: FastAPI, settings: ServeSettings) -> None:
    """Let an application give this description. Calls whose dependencies ask for a key say so; on a keyless service they say that none is needed too."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(made(), settings.keyless)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI's documentation shows


async def docs_page() -> HTMLResponse:
    """The description as a page on which calls can be tried. Its scripts come from the internet; until they run, the page says so."""
    page = bytes(get_swagger_ui_html(openapi_url="openapi.json", title="OpenPlate").body).decode()
    return HTMLResponse(page.replace(_PLACE, _PLACE + _WITHOUT_SCRIPTS))


def _described(description: dict[str, Any], keyless: bool) -> dict[str, Any]:
    for path, calls in description["paths"].items():
        for call in calls.values():
            answers = call["responses"]
            if call.get("security"):
                if keyless:
                    call["security"] = [*call["security"], {}]
                for status in ("401", "403"):
                    answers.setdefault(status, {})
            for status, answer in answers.items():
                if int(status) >= 400 and (path, status) not in _OWN_ERRORS:
                    answer["description"] = title_of(int(status))
                    answer["content"] = {MEDIA_TYPE: {"schema": _PROBLEM, "example": _example(int(status))}}
    # FastAPI's own form of errors, which is never sent.
    for name in ("HTTPValidationError", "ValidationError"):
        description["components"]["schemas"].pop(name, None)
    return description


def _example(status: int) -> dict[str, Any]:
    return {"type": "about:blank", "title": title_of(status), "status": status, "detail": _DETAILS[status]}
