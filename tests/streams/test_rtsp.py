"""Against a real RTSP server (GStreamer's), which is a child process that is killed and started again."""

import functools
import signal
import subprocess
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from openplate.errors import SourceError
from openplate.streams import StreamSettings, open_stream
from tests.streams.clips import HEIGHT, WIDTH, free_port, number

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).parents[1] / "rtsp_server.py"
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
SETTINGS = StreamSettings(queue=30, retry_first_s=0.1, retry_last_s=0.2, open_timeout_s=4, stall_s=1)


@functools.cache
def missing() -> str:
    """Why there is no server, "" when there is one."""
    try:
        done = subprocess.run([SYSTEM_PYTHON, str(SERVER), "--check"], check=False, capture_output=True, text=True, timeout=30)
    except OSError as error:
        return str(error)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=f"no RTSP server ({missing()}); apt-get install {PACKAGES}")


class Server:
    """An RTSP server that can be killed and started again under the same address."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"rtsp://127.0.0.1:{self.port}/street"
        self._child: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> str:
        self._child = subprocess.Popen([SYSTEM_PYTHON, str(SERVER), "--port", str(self.port), *options], stdout=subprocess.PIPE, text=True)
        assert self._child.stdout and self._child.stdout.readline() == "ready\n"
        return self.address

    def kill(self) -> None:
        if self._child is not None:
            self._child.send_signal(signal.SIGKILL)
            self._child.communicate()
            self._child = None


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.kill()


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("openplate stream ")]


@pytest.mark.parametrize("codec", ["h264", "h265", "jpeg"])
def test_a_camera_gives_its_frames_with_the_times_of_its_own_clock(server: Server, codec: str) -> None:
    with open_stream(server.start("--codec", codec), SETTINGS) as stream:
        assert stream.live and (stream.fps, stream.width, stream.height) == (25, WIDTH, HEIGHT)
        frames = [next(stream) for _ in range(25)]
        assert (stream.dropped, stream.reconnects, stream.warnings) == (0, 0, ())
    assert [(number(f.image), f.index) for f in frames] == [(i, i) for i in range(25)]
    assert [f.time_s for f in frames] == [pytest.approx(0.04 * i, abs=0.02) for i in range(25)]
    assert not readers()


def test_a_camera_that_is_killed_comes_back_and_only_the_dark_time_is_lost(server: Server) -> None:
    with open_stream(server.start(), SETTINGS) as stream:
        frames = [next(stream) for _ in range(15)]
        for _ in range(2):
            server.kill()
            threading.Timer(0.3, server.start).start()
            frames += [next(stream) for _ in range(15)]
            while number(frames[-1].image) != 14:  # what was sent before the end came first
                frames.append(next(stream))
        assert stream.reconnects == 2
        warnings = stream.warnings
    shown = [number(f.image) for f in frames]
    assert shown.count(0) == 3, "each connection starts with its first picture"
    starts = [i for i, one in enumerate(shown) if one == 0] + [len(shown)]
    for begin, end in pairwise(starts):
        assert shown[begin:end] == list(range(end - begin)), "nothing is lost within a connection"
    assert [f.index for f in frames] == list(range(len(frames)))
    times = [f.time_s or 0.0 for f in frames]
    assert times == sorted(times)
    for begin in starts[1:-1]:
        assert times[begin] - times[begin - 1] > 0.25, "the clock counts the dark time"
    assert len(warnings) == 2 and all(one.startswith("lost at ") and "; back at " in one for one in warnings)
    assert not readers()


def test_a_camera_that_sends_no_more_pictures_counts_as_lost(server: Server) -> None:
    with open_stream(server.start("--silent-after", "10"), SETTINGS) as stream:
        shown = [number(next(stream).image) for _ in range(15)]
        assert shown == [*range(10), *range(5)]
        assert stream.reconnects == 1
        assert "nothing came for 1 s" in stream.warnings[0]


def test_a_wrong_password_is_an_error_and_the_right_one_is_not_shown(server: Server) -> None:
    address = server.start("--password", "secret")
    with pytest.raises(SourceError, match="user name or password is refused"):
        open_stream(address, SETTINGS)
    with open_stream(address.replace("//", "//user:secret@"), SETTINGS) as stream:
        assert stream.name == next(stream).source == address


def test_a_path_that_is_not_there_is_an_error(server: Server) -> None:
    with pytest.raises(SourceError, match=r"/nowhere\.jpg: expected a video, got none: nothing is under this path"):
        open_stream(server.start().replace("street", "nowhere.jpg"), SETTINGS)


def test_nothing_listening_is_an_error(server: Server) -> None:
    with pytest.raises(SourceError, match="nothing listens there; check host and port"):
        open_stream(server.address, SETTINGS)


def test_udp_carries_the_frames_too(server: Server) -> None:
    with open_stream(server.start("--codec", "jpeg"), StreamSettings(queue=30, transport="udp", open_timeout_s=4)) as stream:
        shown = [number(next(stream).image) for _ in range(10)]
    assert shown == sorted(shown) and len(set(shown)) == 10
