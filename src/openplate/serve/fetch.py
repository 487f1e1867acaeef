"""An address that a client names in, the picture behind it out: only where an allow-list says so."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from urllib.parse import SplitResult, unquote, urlsplit

import httpx
from fastapi import HTTPException

from openplate.serve.reading import Upload
from openplate.serve.settings import ServeSettings
from openplate.serve.uploads import shown_name

_PORTS = {"http": 80, "https": 443}


async def fetch(url: str, settings: ServeSettings) -> Upload:
    """Fetch a picture file; redirects are not followed, for they lead past the allow-list.

    Raises:
        HTTPException: 403 when the address is not allowed, 422 when it gives no picture file within the limits.
    """
    if not allowed(url, settings.allow_urls):
        raise HTTPException(403, "addresses are fetched only from where the service allows it (serve --allow-url); send the picture itself")
    name = shown_name(urlsplit(url).path) or "upload"
    try:
        async with (
            asyncio.timeout(3 * settings.fetch_timeout_s),  # httpx counts from one part to the next
            httpx.AsyncClient(timeout=settings.fetch_timeout_s, trust_env=False, verify=_certificates()) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != 200:
                raise HTTPException(422, f"{name}: expected a picture behind the address, its server answered {answer.status_code}")
            data = bytearray()
            async for part in answer.aiter_bytes():
                data += part
                if len(data) > settings.limits.max_body_bytes:
                    raise HTTPException(422, f"{name}: expected at most {settings.limits.max_body_bytes:,} bytes behind the address, got more")
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        raise HTTPException(422, f"{name}: the address cannot be fetched; check it, or send the picture itself") from None
    return Upload(name, bytes(data))


@cache
def _certificates() -> ssl.SSLContext:
    """Loading them takes as long as reading a photo: once is enough."""
    return httpx.create_ssl_context(trust_env=False)


def allowed(url: str, beginnings: tuple[str, ...]) -> bool:
    """Whether an address begins like one of the allowed ones: the same scheme, host and port, and a path below."""
    asked = _split(url)
    return asked is not None and any(_below(asked, wanted) for wanted in map(_split, beginnings) if wanted is not None)


def _split(url: str) -> SplitResult | None:
    """The parts of an address; None of one that programs could understand differently."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    odd = any(ord(c) <= 0x20 or ord(c) >= 0x7F or c == "\\" for c in url) or ".." in unquote(unquote(parts.path))
    return None if odd or "@" in parts.netloc or parts.scheme not in _PORTS or not parts.hostname else parts


def _below(asked: SplitResult, wanted: SplitResult) -> bool:
    same = (asked.scheme, asked.hostname, asked.port or _PORTS[asked.scheme]) == (
        wanted.scheme,
        wanted.hostname,
        wanted.port or _PORTS[wanted.scheme],
    )
    folder = wanted.path if wanted.path.endswith("/") else wanted.path + "/"
    return same and (asked.path == wanted.path or (asked.path or "/").startswith(folder))
