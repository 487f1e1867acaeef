"""Who may call: an API key with a role, or nobody's key on a loopback address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request

from openplate.serve.service import Service
from openplate.serve.settings import LOOPBACK_NAMES
from openplate.store import ApiKey

Role = Literal["read", "write", "admin"]
_HOW = "send a header 'Authorization: Bearer KEY'"


def service(request: Request) -> Service:
    """The service that an app runs."""
    return cast(Service, request.app.state.service)


TheService = Annotated[Service, Depends(service)]
"""Gives a handler the service: `def handler(service: TheService)`."""


def require(role: Role) -> Any:
    """A dependency that lets a call through when its key may do what needs a role: `dependencies=[require("read")]`.

    It gives the key, None where no key is needed. Answers 401 without a valid key and 403 when its role does not suffice.
    """
    return Depends(_CHECKS[role])


def _check(role: Role) -> Callable[[Request], ApiKey | None]:
    def check(request: Request) -> ApiKey | None:
        running = service(request)
        secret = _secret(request)
        if secret is None:
            if not running.settings.keyless:
                raise HTTPException(401, f"an API key is needed: {_HOW}", {"WWW-Authenticate": "Bearer"})
            _refuse_other_sites(request)
            return None
        key = running.store.keys.check(secret)
        if key is None:
            raise HTTPException(401, f"this API key is not known or was revoked: {_HOW}", {"WWW-Authenticate": "Bearer"})
        if not key.may(role):
            raise HTTPException(403, f"this needs a key with the role {role}, the key {key.name!r} has the role {key.role}")
        return key

    return check


_CHECKS = {role: _check(role) for role in ("read", "write", "admin")}


def _secret(request: Request) -> str | None:
    """The key of a request: `Authorization: Bearer KEY`, `Authorization: Token KEY` (as Plate Recognizer's clients send it) or `X-API-Key: KEY`."""
    header = request.headers.get("authorization", "")
    scheme, _, secret = header.partition(" ")
    if scheme.lower() in ("bearer", "token"):
        return secret.strip()
    if header:
        raise HTTPException(401, f"expected the scheme Bearer or Token, got {scheme!r}: {_HOW}", {"WWW-Authenticate": "Bearer"})
    return request.headers.get("x-api-key")


def _refuse_other_sites(request: Request) -> None:
    """Without keys, a web page that the user has open must not reach the service: neither by its address nor by a name that points here."""
    host = _hostname(f"//{request.headers.get('host', '')}")
    origin = request.headers.get("origin")
    if host not in LOOPBACK_NAMES:
        raise HTTPException(403, f"without an API key this service answers to localhost and 127.0.0.1 alone, not to {host!r}; {_HOW}")
    if origin is not None and _hostname(origin) not in LOOPBACK_NAMES:
        raise HTTPException(403, f"without an API key this service does not answer pages of other sites; {_HOW}")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
