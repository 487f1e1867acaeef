"""Requests in, the same requests out with bodies that keep to limits: size, pace, and memory over all requests."""

from __future__ import annotations

import asyncio
import time

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openplate.serve.problems import problem_response
from openplate.serve.settings import UploadLimits

_LONGEST_DISCARD_S = 2.0
"""A client that sends too much is listened to for so long, so that it gets to see the answer."""


class BodyLimits:
    """Middleware that ends a request whose body is too large (413) or too slow (408), or for which there is no memory now (503)."""

    def __init__(self, app: ASGIApp, limits: UploadLimits) -> None:
        self._app, self._limits = app, limits
        self._buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        body = _Body(self, receive)
        try:
            length = headers.get(b"content-length", b"")
            if length.isdigit() and int(length) > self._limits.max_body_bytes:
                if b"expect" not in headers:  # a client that asks first has not sent anything yet
                    await body.discard(int(length))
                await problem_response(413, self.too_large(), path=scope["path"])(scope, receive, send)
                return
            await self._app(scope, body.receive, send)
        finally:
            self._buffered -= body.received

    def too_large(self) -> str:
        """What clients are told that send too much."""
        return f"expected a body of at most {self._limits.max_body_bytes:,} bytes, got more; send fewer or smaller pictures"

    def take(self, count: int) -> bool:
        """Count bytes that are held in memory; False when there is no room."""
        self._buffered += count
        return self._buffered <= self._limits.max_buffered_bytes

    @property
    def limits(self) -> UploadLimits:
        """The limits that hold."""
        return self._limits


class _Body:
    """One request's body."""

    def __init__(self, owner: BodyLimits, receive: Receive) -> None:
        self._owner, self._receive = owner, receive
        self._ended = False
        self._began_s: float | None = None
        self.received = 0

    async def receive(self) -> Message:
        """The next part of the body; after its end, the client's going away.

        Raises:
            HTTPException: a limit is passed.
        """
        if self._ended:
            return await self._receive()
        limits = self._owner.limits
        now = time.monotonic()
        self._began_s = now if self._began_s is None else self._began_s
        wait_s = min(limits.stall_timeout_s, self._began_s + limits.body_timeout_s - now)
        try:
            message = await asyncio.wait_for(self._receive(), max(0.001, wait_s))
        except TimeoutError:
            self._ended = True
            raise HTTPException(408, "the body came too slowly; send it again", {"Connection": "close"}) from None
        if message["type"] != "http.request":
            self._ended = True
            return message
        self._ended = not message.get("more_body", False)
        size = len(message.get("body", b""))
        self.received += size
        fits = self._owner.take(size)
        if self.received > limits.max_body_bytes:
            if not self._ended:
                await self.discard(limits.max_body_bytes)
            raise HTTPException(413, self._owner.too_large(), {"Connection": "close"})
        if not fits:
            self._ended = True
            raise HTTPException(503, "too many uploads at once; come again in 2 s", {"Retry-After": "2", "Connection": "close"})
        return message

    async def discard(self, most: int) -> None:
        """Take what the client still sends, up to a number of bytes and a time, and forget it."""
        self._ended = True
        try:
            async with asyncio.timeout(_LONGEST_DISCARD_S):
                while most > 0:
                    message = await self._receive()
                    most -= len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return
        except TimeoutError:
            return
