import functools
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from openplate.errors import ConfigError, SourceError
from openplate.streams import StreamSettings, open_stream
from tests.streams.clips import HEIGHT, WIDTH, draw, free_port, number, write_clip

PROMPT = StreamSettings(retry_first_s=0.1, open_timeout_s=3, stall_s=0.6, queue=2)
"""Settings under which nothing waits for long."""


def jpeg(shown: int) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(draw(shown), cv2.COLOR_RGB2BGR))[1].tobytes()


class MotionJpeg(BaseHTTPRequestHandler):
    """Numbered pictures at 50 a second, counted over all connections; `/N` sends N of them, `/hold/N` then holds the connection, `/one` sends a picture file."""

    shown = 0
    status = 200

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.send_response(type(self).status)
        if path == "/one":
            self.send_header("Content-Type", "image/jpeg")
            self.end_headers()
            self.wfile.write(jpeg(0))
            return
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        left = int(path.rpartition("/")[2] or 10_000)
        try:
            while left and type(self).status == 200:
                data = jpeg(type(self).shown)
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data) + data + b"\r\n")
                type(self).shown += 1
                left -= 1
                time.sleep(0.02)
            if "/hold/" in path:
                time.sleep(3)
        except OSError:
            pass


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Starts an HTTP server on the loopback and returns its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(handler: Callable[..., BaseHTTPRequestHandler], port: int = 0) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def motion_jpeg(serve: Callable[..., str]) -> tuple[str, type[MotionJpeg]]:
    handler = type("Fresh", (MotionJpeg,), {"shown": 0, "status": 200})
    return serve(handler), handler


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("openplate stream ")]


def test_motion_jpeg_is_live_and_timed_by_its_arrival(motion_jpeg: tuple[str, type[MotionJpeg]]) -> None:
    before = time.time()
    with open_stream(f"{motion_jpeg[0]}/?password=secret", PROMPT) as stream:
        assert stream.live and stream.name == f"{motion_jpeg[0]}/?password=…"
        assert (stream.width, stream.height, stream.frames_total, stream.duration_s) == (WIDTH, HEIGHT, None, None)
        frames = [next(stream) for _ in range(20)]
        assert stream.started_at is not None and before <= stream.started_at <= time.time()
    assert [number(f.image) for f in frames] == [f.index for f in frames]
    times = [f.time_s or 0.0 for f in frames]
    assert times[0] == 0 and times == sorted(times)
    assert times[-1] > 0.3
    assert not readers()


def test_a_slow_consumer_gets_the_newest_frame_and_the_rest_are_counted(motion_jpeg: tuple[str, type[MotionJpeg]]) -> None:
    with open_stream(motion_jpeg[0], StreamSettings(queue=1)) as stream:
        frames = []
        for _ in range(4):
            frames.append(next(stream))
            time.sleep(0.3)
        fetched = [frame.index for frame in frames]
        assert [number(f.image) for f in frames] == fetched
        assert all(later - earlier >= 5 for earlier, later in pairwise(fetched[1:])), fetched
        last = next(stream)
        assert stream.dropped >= last.index - len(frames)


def test_stride_holds_for_what_is_live(motion_jpeg: tuple[str, type[MotionJpeg]]) -> None:
    with open_stream(motion_jpeg[0], StreamSettings(stride=5, queue=2)) as stream:
        assert [next(stream).index % 5 for _ in range(4)] == [0, 0, 0, 0]


def test_to_ends_what_is_live(motion_jpeg: tuple[str, type[MotionJpeg]]) -> None:
    with open_stream(motion_jpeg[0], StreamSettings(to_s=0.3)) as stream:
        times = [frame.time_s or 0.0 for frame in stream]
    assert times and times[-1] < 0.3


def test_a_source_that_ends_is_connected_again_and_nothing_is_lost(motion_jpeg: tuple[str, type[MotionJpeg]]) -> None:
    with open_stream(f"{motion_jpeg[0]}/5", StreamSettings(retry_first_s=0.2, queue=50)) as stream:
        frames = [next(stream) for _ in range(15)]
        assert stream.reconnects == 2
        warnings = stream.warnings
    assert [number(f.image) for f in frames] == [f.index for f in frames] == list(range(15))
    times = [f.time_s or 0.0 for f in frames]
    assert times == sorted(times)
    assert times[5] - times[4] >= 0.2 and times[10] - times[9] >= 0.2
    assert len(warnings) == 2 and warnings[0] == f"lost at {times[4]:.2f} s: the connection broke off; back at {times[5]:.2f} s"


def test_a_source_that_falls_silent_is_connected_again(motion_jpeg: tuple[str, type[MotionJpeg]]) -> None:
    with open_stream(f"{motion_jpeg[0]}/hold/5", PROMPT) as stream:
        indexes = [next(stream).index for _ in range(7)]
        assert indexes[-1] >= 5
        assert stream.reconnects == 1
        assert "nothing came for 0.6 s" in stream.warnings[0]


def test_a_source_that_stays_away_ends_when_it_is_given_up(motion_jpeg: tuple[str, type[MotionJpeg]]) -> None:
    with open_stream(motion_jpeg[0], StreamSettings(give_up_s=0.5, retry_first_s=0.1, open_timeout_s=2)) as stream:
        next(stream)
        motion_jpeg[1].status = 503
        list(stream)
        assert stream.warnings[-1].endswith("given up after 0.5 s without a frame")
    assert not readers()


def test_closing_during_a_silence_leaves_no_thread(motion_jpeg: tuple[str, type[MotionJpeg]]) -> None:
    stream = open_stream(f"{motion_jpeg[0]}/hold/3", PROMPT)
    for _ in range(2):
        next(stream)
    stream.close()
    for reader in readers():
        reader.join(20)
    assert not readers()
    assert next(stream, None) is None


def test_nothing_listening_is_an_error_without_the_password() -> None:
    with pytest.raises(SourceError, match=r"^http://127.0.0.1:\d+/x: expected a video, got none: nothing listens there") as raised:
        open_stream(f"http://me:secret@127.0.0.1:{free_port()}/x", PROMPT)
    assert "secret" not in str(raised.value)


def test_a_source_may_be_waited_for_at_the_start(serve: Callable[..., str]) -> None:
    port = free_port()
    handler = type("Fresh", (MotionJpeg,), {"shown": 0, "status": 200})
    timer = threading.Timer(0.5, serve, (handler, port))
    timer.start()
    with open_stream(f"http://127.0.0.1:{port}", StreamSettings(wait_at_start=True, retry_first_s=0.1, retry_last_s=0.2, queue=50)) as stream:
        assert (next(stream).index, stream.reconnects, stream.warnings) == (0, 0, ())
    timer.join()


def test_a_single_picture_is_an_error_that_says_what_to_ask_for(motion_jpeg: tuple[str, type[MotionJpeg]]) -> None:
    with pytest.raises(SourceError, match="expected a stream, got a single picture"):
        open_stream(f"{motion_jpeg[0]}/one", PROMPT)


def test_what_is_live_cannot_be_skipped_or_repeated(motion_jpeg: tuple[str, type[MotionJpeg]]) -> None:
    for settings, key in ((StreamSettings(from_s=2), "from_s"), (StreamSettings(loop=2), "loop")):
        with pytest.raises(ConfigError, match=f"^{key}: .* is live"):
            open_stream(motion_jpeg[0], settings)
    assert not readers()


def test_a_file_on_the_web_gives_every_frame(serve: Callable[..., str], tmp_path: Path) -> None:
    write_clip(tmp_path / "street.mp4", container={"movflags": "faststart"})

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    address = serve(functools.partial(Quiet, directory=str(tmp_path)))
    with open_stream(f"{address}/street.mp4", PROMPT) as stream:
        assert not stream.live and stream.frames_total == 50
        assert [(number(f.image), f.index) for f in stream] == [(i, i) for i in range(50)]


def test_a_live_playlist_is_played_in_its_own_time(serve: Callable[..., str], tmp_path: Path) -> None:
    write_clip(tmp_path / "live.m3u8", count=75, form="hls", key_every=25, container={"hls_time": "1", "hls_list_size": "0"})
    playlist = tmp_path / "live.m3u8"
    playlist.write_text(playlist.read_text().replace("#EXT-X-ENDLIST\n", ""))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    address = serve(functools.partial(Quiet, directory=str(tmp_path)))
    with open_stream(f"{address}/live.m3u8", StreamSettings(queue=50)) as stream:
        assert stream.live
        began = time.monotonic()
        frames = [next(stream) for _ in range(25)]
        assert time.monotonic() - began > 0.7
    assert [f.index for f in frames] == list(range(25))
    assert np.diff([f.time_s or 0.0 for f in frames]) == pytest.approx([0.04] * 24, abs=0.002)


def test_a_fault_of_our_own_in_the_reading_thread_comes_out(motion_jpeg: tuple[str, type[MotionJpeg]], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr("openplate.streams.clock.LiveClock.time_s", fail)
    with pytest.raises(ZeroDivisionError):
        open_stream(motion_jpeg[0], PROMPT)
