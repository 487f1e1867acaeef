"""How the service runs: frozen, with the defaults as documentation, checked on creation."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from openplate.errors import ConfigError
from openplate.pipeline import Options

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names under which a keyless service answers, beside the address that it listens on."""
MOST_WORKERS = 8
"""As long as nobody asks for more: a worker's networks take about 60 MB."""


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What clients may send. The defaults bound the memory of uploads, whatever the clients do: 256 MB for bodies, and 200 MB a worker for what it decodes."""

    max_body_bytes: int = 32 * 2**20
    """Of one request, over all its files."""
    max_files: int = 16
    """Of one request."""
    max_pixels: int = 50_000_000
    """Of one file, over all its frames."""
    max_frames: int = 16
    """Of one file."""
    max_buffered_bytes: int = 256 * 2**20
    """Over all requests that are being received or wait; beyond it requests get 503."""
    max_waiting: int = 64
    """Pictures that wait for the networks; beyond it requests get 503."""
    header_timeout_s: float = 20.0
    """From the opening of a connection to the end of its first request's headers."""
    stall_timeout_s: float = 10.0
    """Between two parts of a body."""
    body_timeout_s: float = 120.0
    """For a whole body."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Settings of the service.

    `data` is the data folder; `database` the URL of another database than the SQLite file in it; `privacy` is "plain" or "hash" (docs/store.md).
    On a loopback address no API key is needed unless `require_keys`. `options` say how photos are read; `workers` is the number of threads that read,
    each with networks of its own; `cameras` says whether it may watch the cameras, which one service of a database does; `batch` the number of pictures that are given to the networks together. `allow_urls` are beginnings of
    addresses from which pictures may be fetched when a client names one: empty means that nothing is fetched.

    Raises:
        ConfigError: a value is out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    data: Path = Path("data")
    database: str | None = None
    privacy: Literal["plain", "hash"] = "plain"
    require_keys: bool = False
    cameras: bool = True
    options: Options = field(default_factory=Options)
    workers: int = field(default_factory=lambda: min(cores(), MOST_WORKERS))
    batch: int = 8
    limits: UploadLimits = UploadLimits()
    allow_urls: tuple[str, ...] = ()
    fetch_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.host.strip():
            raise ConfigError("host: expected an address to listen on, such as 127.0.0.1 or 0.0.0.0, got nothing")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port: expected 0 to 65535, got {self.port}")
        if self.privacy not in ("plain", "hash"):
            raise ConfigError(f'privacy: expected "plain" or "hash", got {self.privacy!r}')
        for name, value in (("workers", self.workers), ("batch", self.batch)):
            if not 1 <= value <= 256:
                raise ConfigError(f"{name}: expected 1 to 256, got {value}")
        for name in UploadLimits.__dataclass_fields__:
            if getattr(self.limits, name) <= 0:
                raise ConfigError(f"{name}: expected more than 0, got {getattr(self.limits, name)}")
        for url in self.allow_urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
                raise ConfigError(f"allow-url: expected the beginning of an address, such as https://cameras.example/snapshots/, got {url!r}")

    @property
    def on_loopback(self) -> bool:
        """Whether nobody but this computer can reach the service."""
        if self.host in LOOPBACK_NAMES:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def keyless(self) -> bool:
        """Whether calls without an API key are answered."""
        return self.on_loopback and not self.require_keys
