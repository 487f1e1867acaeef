"""How much clients may send at once, and how fast they have to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from openplate.pipeline import Pipeline
from openplate.serve.settings import ServeSettings, UploadLimits
from openplate.sources import encode_image
from openplate.types import Frame, PhotoResult
from tests.serve.running import Running, running

START = b"POST /v1/read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/bmp\r\n"


def bmp(width: int, height: int) -> bytes:
    return encode_image(np.zeros((height, width, 3), np.uint8), ".bmp")


def until(true: Callable[[], bool]) -> None:
    """Wait until something is so, at most ten seconds."""
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with room for three megabytes, of which one request may take two."""
    limits = UploadLimits(max_body_bytes=2_000_000, max_buffered_bytes=3_000_000, stall_timeout_s=2, body_timeout_s=3)
    with running(ServeSettings(port=0, data=tmp_path_factory.mktemp("data"), workers=1, limits=limits)) as one:
        yield one


@pytest.mark.parametrize("chunked", [False, True])
def test_body_just_under_the_limit_is_read(narrow: Running, chunked: bool) -> None:
    data = bmp(800, 800)
    assert 1_900_000 < len(data) < 2_000_000
    answer = httpx.post(f"{narrow.url}/v1/read", content=iter([data[:5], data[5:]]) if chunked else data, timeout=30)
    assert (answer.status_code, answer.json()[0]["width"]) == (200, 800)


@pytest.mark.parametrize("chunked", [False, True])
def test_body_over_the_limit_is_413(narrow: Running, chunked: bool) -> None:
    data = bmp(820, 820)
    assert len(data) > 2_000_000
    answer = httpx.post(f"{narrow.url}/v1/read", content=iter([data[:5], data[5:]]) if chunked else data, timeout=30)
    assert (answer.status_code, answer.json()["detail"]) == (
        413,
        "expected a body of at most 2,000,000 bytes, got more; send fewer or smaller pictures",
    )


def test_client_that_asks_first_is_refused_before_it_sends(narrow: Running) -> None:
    with socket.create_connection(("127.0.0.1", narrow.port), 10) as connection:
        connection.sendall(START + b"Expect: 100-continue\r\nContent-Length: 5000000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


def test_uploads_that_do_not_fit_together_are_503_and_fit_again_when_others_are_done(narrow: Running) -> None:
    data = bmp(800, 800)
    head = START + f"Content-Length: {len(data)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", narrow.port), 10) as slow:
        slow.sendall(head + data[:-10])
        time.sleep(0.3)
        refused = httpx.post(f"{narrow.url}/v1/read", content=data, timeout=30)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        slow.sendall(data[-10:])
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")
    assert httpx.post(f"{narrow.url}/v1/read", content=data, timeout=30).status_code == 200


def test_body_that_comes_bit_by_bit_is_ended_though_it_never_stalls(narrow: Running) -> None:
    with socket.create_connection(("127.0.0.1", narrow.port), 20) as connection:
        connection.sendall(START + b"Content-Length: 1000\r\n\r\n")
        connection.settimeout(0.2)
        said = b""
        for _ in range(100):
            connection.sendall(b"B")
            try:
                said = connection.recv(65536)
                break
            except TimeoutError:
                continue
    assert said.startswith(b"HTTP/1.1 408")


def test_files_of_a_form_never_touch_the_disk(tmp_path: Path, narrow: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: object, **others: object) -> object:
        raise AssertionError("a file was made")

    monkeypatch.setattr("tempfile.TemporaryFile", forbidden)
    answer = httpx.post(f"{narrow.url}/v1/read", files={"file": ("../../a.bmp", bmp(800, 800))}, timeout=30)
    assert (answer.status_code, answer.json()[0]["image"]) == (200, "a.bmp")


def test_full_queue_is_503_with_when_to_come_again(tmp_path: Path) -> None:
    limits = UploadLimits(max_waiting=1)
    with running(ServeSettings(port=0, data=tmp_path, workers=1, limits=limits)) as one:
        one.service.reading._queue.append(None)  # type: ignore[arg-type]  # one waits, and no thread is told
        answer = httpx.post(f"{one.url}/v1/read", content=bmp(64, 64))
        one.service.reading._queue.clear()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["detail"] == "too many pictures wait (1); come again in 1 s"
        assert httpx.post(f"{one.url}/v1/read", content=bmp(64, 64)).status_code == 200


def test_pictures_of_a_client_that_hangs_up_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, let = threading.Event(), threading.Event()
    given: list[int] = []
    original = Pipeline.read_frames

    def slowly(pipeline: Pipeline, frames: Sequence[Frame]) -> list[PhotoResult]:
        begun.set()
        let.wait(30)
        given.extend(frame.image.shape[1] for frame in frames)
        return original(pipeline, frames)

    monkeypatch.setattr(Pipeline, "read_frames", slowly)
    with running(ServeSettings(port=0, data=tmp_path, workers=1)) as one, ThreadPoolExecutor(2) as others:
        reading = one.service.reading
        first = others.submit(httpx.post, f"{one.url}/v1/read", content=bmp(64, 64), timeout=30)
        assert begun.wait(10)
        with socket.create_connection(("127.0.0.1", one.port), 10) as connection:
            connection.sendall(START + f"Content-Length: {len(bmp(80, 64))}\r\n\r\n".encode() + bmp(80, 64))
            until(lambda: reading.waiting == 1)
        until(lambda: reading._queue[0].future.cancelled())
        last = others.submit(httpx.post, f"{one.url}/v1/read", content=bmp(96, 64), timeout=30)
        until(lambda: reading.waiting == 2)
        let.set()
        assert (first.result().status_code, last.result().status_code) == (200, 200)
    assert given == [64, 96]
