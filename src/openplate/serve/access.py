"""Who may call: an API key with a role, or nobody's key on a loopback address."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer

from openplate.serve.service import Service
from openplate.serve.settings import LOOPBACK_NAMES
from openplate.store import ApiKey

Role = Literal["read", "write", "admin"]
_BEARER = HTTPBearer(auto_error=False, description="A key that `openplate serve keys add` printed.")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, for clients that cannot send the other header.")
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


def _check(role: Role) -> Callable[..., ApiKey | None]:
    # The last two are there for the description alone; `_secret` reads the headers.
    def check(request: Request, bearer: Annotated[Any, Depends(_BEARER)], header: Annotated[Any, Depends(_HEADER)]) -> ApiKey | None:
        running = service(request)
        secret = _secret(request)
        if secret is None:
            if not running.settings.keyless:
                raise HTTPException(401, f"an API key is needed: {_HOW}", {"WWW-Authenticate": "Bearer"})
            _refuse_other_sites(request, LOOPBACK_NAMES | {running.settings.host.lower()})
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


def _refuse_other_sites(request: Request, names: Collection[str]) -> None:
    """Without keys, a web page that the user has open must not reach the service: neither by its address nor by a name that points here."""
    host = _hostname(f"//{request.headers.get('host', '')}")
    origin = request.headers.get("origin")
    if host not in names:
        raise HTTPException(403, f"without an API key this service answers to {', '.join(sorted(names))} alone, not to {host!r}; {_HOW}")
    if origin is not None and _hostname(origin) not in names:
        raise HTTPException(403, f"without an API key this service does not answer pages of other sites; {_HOW}")


def only_known_parameters(request: Request) -> None:
    """A dependency that refuses a GET with parameters which its call does not have: a misspelt filter would give everything.

    Raises:
        RequestValidationError: names the unknown parameters and those that there are.
    """
    route = request.scope.get("route")
    if request.method != "GET" or not request.query_params or not isinstance(route, APIRoute):
        return
    known = _parameters(route.dependant)
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if known and unknown:
        raise RequestValidationError([{"loc": ("query", name), "msg": "unknown", "type": "extra_forbidden"} for name in unknown])


def _parameters(call: Dependant) -> set[str]:
    """The names of the parameters that a call and what it depends on take from the address."""
    return {field.alias for field in call.query_params}.union(*(_parameters(one) for one in call.dependencies))


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
