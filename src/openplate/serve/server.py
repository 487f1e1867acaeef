"""An application in, an HTTP server out: uvicorn with a time limit for headers, which tells the service when it begins to stop.

Everything that it says goes to stderr.
"""

from __future__ import annotations

import asyncio
import copy
import os
import socket
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from openplate.errors import ConfigError
from openplate.serve.logged import NoPlates
from openplate.serve.problems import problem_response
from openplate.serve.settings import ServeSettings

_MOST_HEADER_BYTES = 64 * 1024
_MOST_CONNECTIONS = 1024
_GRACE_S = 10
"""How long calls may go on after the service was told to stop."""


class Server(uvicorn.Server):
    """Serves one application. `should_exit` stops it, as in uvicorn; streams to clients then end by `Service.closing`."""

    def __init__(self, app: FastAPI, settings: ServeSettings, log_level: str = "info") -> None:
        class Protocol(_Protocol):
            header_timeout_s = settings.limits.header_timeout_s

        super().__init__(
            uvicorn.Config(
                app,
                settings.host,
                settings.port,
                http=Protocol,
                ws="none",
                log_config=_log_config(log_level),
                log_level=log_level,
                server_header=False,
                h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._app = app

    async def shutdown(self, sockets: Any = None) -> None:
        """Let streams end, wait for calls, stop the application."""
        service = getattr(self._app.state, "service", None)
        if service is not None:
            service.closing.set()
        await super().shutdown(sockets)


def listen(settings: ServeSettings) -> socket.socket:
    """A socket at the settings' address; port 0 takes a free one.

    Raises:
        ConfigError: the address is none of this computer's, or it is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((str(address[0]), settings.port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(f"{settings.host} port {settings.port} cannot be listened on: {_reason(error)}; choose another --host or --port") from None


def _reason(error: OSError) -> str:
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).lower()  # a name that is not known


def _log_config(log_level: str) -> dict[str, Any]:
    config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    config["filters"] = {"no plates": {"()": NoPlates}}
    config["handlers"]["access"]["filters"] = ["no plates"]
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    config["loggers"]["openplate"] = {"handlers": ["default"], "level": log_level.upper(), "propagate": False}
    return config


class _Protocol(H11Protocol):
    """Closes connections on which no whole request line with headers comes in time."""

    header_timeout_s = 20.0
    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time."""
        super().connection_made(transport)
        self._header_timer = self.loop.call_later(self.header_timeout_s, self._close_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time."""
        if self._header_timer is not None:
            self._header_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; after the answer to a request, those of the next one have the same time."""
        super().data_received(data)
        waiting = self.conn.their_state is h11.IDLE
        if self._header_timer is not None and not waiting:
            self._header_timer.cancel()
            self._header_timer = None
        elif self._header_timer is None and waiting:
            self._header_timer = self.loop.call_later(self.header_timeout_s, self._close_idle)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP request as every other error is answered."""
        answer = problem_response(400, f"expected an HTTP request with at most {_MOST_HEADER_BYTES // 1024} kB of headers, got something else")
        headers = [*answer.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _close_idle(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()
