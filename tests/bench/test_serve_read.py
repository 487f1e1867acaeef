"""The parts of bench/serve_read.py that reckon; the whole is run by hand."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from openplate.serve.settings import ServeSettings
from openplate.sources import read_image
from tests.serve.running import running

SCRIPT = Path(__file__).parents[2] / "bench" / "serve_read.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("serve_read", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["serve_read"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_rate_is_answered_photos_a_second(script: ModuleType) -> None:
    assert script.Load([0.1] * 30, [503], 4.0).rate == 7.5


def test_photos_are_drawn_in_the_asked_width(script: ModuleType) -> None:
    photos = script.drawn_photos(64)
    assert len(photos) == 16
    assert {read_image(data)[0].image.shape for data in photos} == {(36, 64, 3)}


def test_clients_send_as_many_photos_as_asked_and_count_what_was_refused(script: ModuleType, tmp_path: Path) -> None:
    good = script.drawn_photos(64)[0]
    with running(ServeSettings(port=0, data=tmp_path, workers=1)) as one:
        seen = script.load(one.port, [good, good, b"no picture"], 4, requests=9)
    assert (len(seen.seconds), seen.errors) == (6, [422, 422, 422])


def test_broken_connections_count_as_errors_and_the_client_goes_on(script: ModuleType) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        hanging_up = threading.Thread(target=lambda: [server.accept()[0].close() for _ in range(5)], daemon=True)
        hanging_up.start()
        seen = script.load(server.getsockname()[1], [b"photo"], 2, requests=5)
    assert (seen.seconds, seen.errors) == ([], [script.NO_ANSWER] * 5)


def test_processor_time_and_memory_of_a_process_are_read(script: ModuleType) -> None:
    before = script.cpu_ms(os.getpid())
    used = time.process_time()
    while time.process_time() - used < 0.1:
        pass
    assert 80 <= script.cpu_ms(os.getpid()) - before <= 1000
    assert 20 < script.memory_mb(os.getpid()) < 20_000
