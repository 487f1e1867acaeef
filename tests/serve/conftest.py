"""One service for the tests that change nothing in it, and its client."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from openplate.serve.settings import ServeSettings, UploadLimits
from tests.serve.running import Running, running


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A keyless service with small limits: 2 MB and 4 files a request, 4 megapixels and 4 frames a file, half a second between parts of a body."""
    limits = UploadLimits(max_body_bytes=2_000_000, max_files=4, max_pixels=4_000_000, max_frames=4, stall_timeout_s=0.5, header_timeout_s=1.0)
    with running(ServeSettings(port=0, data=tmp_path_factory.mktemp("data"), workers=1, limits=limits)) as one:
        yield one


@pytest.fixture(scope="session")
def client(served: Running) -> Iterator[httpx.Client]:
    """A client of the one service."""
    with httpx.Client(base_url=served.url, timeout=30) as one:
        yield one


@pytest.fixture(scope="session")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A keyless service for tests that store, add cameras or set actions; each takes names of its own."""
    with running(ServeSettings(port=0, data=tmp_path_factory.mktemp("depot"), workers=1)) as one:
        yield one


@pytest.fixture
def clerk(depot: Running) -> Iterator[httpx.Client]:
    """A client of the depot."""
    with httpx.Client(base_url=depot.url, timeout=60) as one:
        yield one
