"""A real service on a free loopback port, and photos to send it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import httpx

from openplate.pipeline import Pipeline
from openplate.serve.app import create_app
from openplate.serve.server import Server
from openplate.serve.service import Service
from openplate.serve.settings import ServeSettings
from openplate.sources import encode_image, read_image
from openplate.synthesize.scenes import draw_scene
from openplate.types import Image


class Running:
    """A service that runs: its server, its parts, its address."""

    def __init__(self, settings: ServeSettings, log_level: str = "warning") -> None:
        self.app = create_app(settings)
        self.server = Server(self.app, settings, log_level)
        self._thread = threading.Thread(target=self.server.run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        while not self.server.started:
            assert self._thread.is_alive(), "the service did not start"
            time.sleep(0.01)

    @property
    def service(self) -> Service:
        service = self.app.state.service
        assert isinstance(service, Service)
        return service

    @property
    def port(self) -> int:
        return int(self.server.servers[0].sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive(), "the service did not stop"


@contextmanager
def running(settings: ServeSettings, log_level: str = "warning") -> Iterator[Running]:
    """A service with these settings; give port 0."""
    one = Running(settings, log_level)
    one.start()
    try:
        yield one
    finally:
        one.stop()


@contextmanager
def client_of(settings: ServeSettings) -> Iterator[httpx.Client]:
    """A client of a service with these settings."""
    with running(settings) as one, httpx.Client(base_url=one.url, timeout=30) as client:
        yield client


@cache
def drawn() -> tuple[Image, str]:
    """A drawn street with one vehicle, and the text of its plate, which the library reads."""
    pipeline = Pipeline()
    for seed in (4, 5, 8, 11, 2, 7):
        image, (plate,) = draw_scene(seed, 960, 540, vehicles=1)
        decoded = read_image(encode_image(image, ".jpg"))[0]
        if plate.text and [one.text for one in pipeline.read_frame(decoded).plates if one.status == "read"] == [plate.text]:
            return image, plate.text
    raise AssertionError("none of the drawn plates is read")


@cache
def photo(suffix: str = ".jpg") -> bytes:
    """The drawn street as a picture file."""
    return encode_image(drawn()[0], suffix)


def plate_text() -> str:
    """The text of the plate in `photo`."""
    return drawn()[1]
