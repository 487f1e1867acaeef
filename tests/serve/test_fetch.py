"""Addresses that clients name: only those below an allowed one are fetched, from a real HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from openplate.serve.fetch import allowed
from openplate.serve.settings import ServeSettings, UploadLimits
from tests.serve.running import client_of, photo, plate_text


@pytest.mark.parametrize(
    ("url", "beginning"),
    [
        ("http://cams.example/gate/now.jpg", "http://cams.example/"),
        ("http://cams.example/gate/now.jpg", "http://cams.example"),
        ("http://cams.example:80/gate/now.jpg", "http://cams.example/gate"),
        ("HTTP://CAMS.example/gate/now.jpg?size=2", "http://cams.example/gate/"),
        ("https://cams.example:8443/a", "https://cams.example:8443/a"),
    ],
)
def test_address_below_an_allowed_one_is_allowed(url: str, beginning: str) -> None:
    assert allowed(url, (beginning,))


@pytest.mark.parametrize(
    "url",
    [
        "https://cams.example/gate/a.jpg",
        "http://cams.example:81/gate/a.jpg",
        "http://cams.example/gateway/a.jpg",
        "http://cams.example/gat",
        "http://cams.example.evil/gate/a.jpg",
        "http://cams.example@evil/gate/a.jpg",
        "http://evil/http://cams.example/gate/",
        "http://cams.example/gate/../admin",
        "http://cams.example/gate/%2e%2e/admin",
        "http://cams.example/gate/%252e%252e/admin",
        "http://cams.example\\@evil/gate/",
        "http://cams.example/gate/\r\nHost: evil",
        " http://cams.example/gate/a.jpg",
        "file:///gate/a.jpg",
        "//cams.example/gate/a.jpg",
        "http://cams.example:99999/gate/a",
        "http://[/gate/",
        "",
    ],
)
def test_other_address_is_not_allowed(url: str) -> None:
    assert not allowed(url, ("http://cams.example/gate/",))


class Camera(BaseHTTPRequestHandler):
    """Gives the photo at /gate/now.jpg, other things elsewhere."""

    def do_GET(self) -> None:
        size = {"/gate/large": 300_000, "/gate/endless": 10**12}.get(self.path)
        body = photo() if self.path in ("/gate/now.jpg", "/secret") else b"no picture" if size is None else b""
        self.send_response({"/gate/gone": 404, "/gate/moved": 302}.get(self.path, 200))
        if self.path == "/gate/moved":
            self.send_header("Location", "/secret")
        self.send_header("Content-Length", str(size or len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
            for _ in range(0, size or 0, 65536):
                self.wfile.write(bytes(65536))
        except OSError:  # the service has had enough
            pass

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def fetching(camera: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    limits = UploadLimits(max_body_bytes=250_000)
    settings = ServeSettings(port=0, data=tmp_path_factory.mktemp("data"), workers=1, allow_urls=(f"{camera}/gate/",), limits=limits)
    with client_of(settings) as client:
        yield client


def test_picture_behind_an_allowed_address_is_read(fetching: httpx.Client, camera: str) -> None:
    (result,) = fetching.post("/v1/read", params={"url": f"{camera}/gate/now.jpg"}).json()
    assert result["image"] == "now.jpg"
    assert [plate["text"] for plate in result["plates"] if plate["status"] == "read"] == [plate_text()]


def test_plate_reader_takes_an_allowed_address(fetching: httpx.Client, camera: str) -> None:
    answer = fetching.post("/v1/plate-reader/", data={"upload_url": f"{camera}/gate/now.jpg"}, files={"unused": (None, "x")})
    assert [plate["plate"] for plate in answer.json()["results"]] == [plate_text().lower()]


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/secret", 403, "addresses are fetched only from where the service allows it"),
        ("/gate/gone", 422, "gone: expected a picture behind the address, its server answered 404"),
        ("/gate/moved", 422, "moved: expected a picture behind the address, its server answered 302"),
        ("/gate/text", 422, "text: expected a JPEG, PNG"),
        ("/gate/large", 422, "large: expected at most 250,000 bytes behind the address"),
        ("/gate/endless", 422, "endless: expected at most 250,000 bytes behind the address"),
    ],
)
def test_address_that_gives_no_picture_is_told(fetching: httpx.Client, camera: str, path: str, status: int, told: str) -> None:
    answer = fetching.post("/v1/read", params={"url": camera + path})
    assert (answer.status_code, answer.json()["detail"][: len(told)]) == (status, told)


def test_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with client_of(ServeSettings(port=0, data=tmp_path, workers=1, allow_urls=("http://127.0.0.1:1/",))) as client:
        answer = client.post("/v1/read", params={"url": "http://127.0.0.1:1/a.jpg"})
    assert (answer.status_code, answer.json()["detail"]) == (422, "a.jpg: the address cannot be fetched; check it, or send the picture itself")
