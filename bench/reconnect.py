"""A camera that vanishes and comes back, many times over: is anything lost but its dark time, and does memory grow?

    python bench/reconnect.py                 # 50 times, motion JPEG over HTTP: about a minute
    python bench/reconnect.py --rtsp          # the same with tests/rtsp_server.py (needs the packages that it names): about two minutes

The camera is a process of its own, killed without warning. Each of its pictures shows its number. Over HTTP numbers run on by the camera's wall clock and
the camera notes what it sent, so that every single picture is accounted for; over RTSP they start anew with each connection. Exit code 1 when a picture is
lost, a time is wrong, the source is not found again, or a thread is left.
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from openplate.streams import StreamSettings, open_stream
from openplate.types import Image

WIDTH, HEIGHT, FPS = 160, 96, 25
RTSP_SERVER = Path(__file__).parents[1] / "tests" / "rtsp_server.py"
SETTLED = 5
"""Memory is compared from this return on: before it, libraries are still loaded and pools filled."""


def main() -> None:
    """Run the camera's side or the measuring side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50, help="how often the camera vanishes (default 50)")
    parser.add_argument("--up-s", type=float, default=0.7, help="how long it sends each time")
    parser.add_argument("--down-s", type=float, default=0.3, help="how long it is away each time")
    parser.add_argument("--rtsp", action="store_true", help="use an RTSP server")
    parser.add_argument("--max-growth-mb", type=float, default=5.0, help="fail when memory grows by more (default 5)")
    parser.add_argument("--serve", nargs=3, metavar=("PORT", "START", "NOTES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(int(options.serve[0]), float(options.serve[1]), Path(options.serve[2]))
    else:
        sys.exit(measure(options.times, options.up_s, options.down_s, options.rtsp, options.max_growth_mb))


def measure(times: int, up_s: float, down_s: float, rtsp: bool, max_growth_mb: float) -> int:
    """Watch the camera while a thread kills and starts it; prints the balance, returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        camera = Camera(rtsp, Path(folder) / "notes.txt")
        camera.start()
        settings = StreamSettings(queue=50, retry_first_s=0.05, retry_last_s=0.2, open_timeout_s=5, stall_s=5)
        shown: list[int] = []
        times_s: list[float] = []
        memory_mb: list[float] = []
        with open_stream(camera.address, settings) as stream:
            breaker = threading.Thread(target=camera.break_off, args=(times, up_s, down_s, lambda: stream.reconnects))
            breaker.start()
            for frame in stream:
                shown.append(number(frame.image))
                times_s.append(frame.time_s or 0.0)
                if stream.reconnects >= len(memory_mb):
                    memory_mb.append(resident_mb())
                    print(f"\r{stream.reconnects} of {times} returns, {len(shown)} frames, {memory_mb[-1]:.1f} MB", end="", file=sys.stderr)
                if not breaker.is_alive() and stream.reconnects >= times:
                    break
            dropped, reconnects = stream.dropped, stream.reconnects
        print(file=sys.stderr)
        breaker.join()
        camera.kill()
        sent = [one for one in camera.notes() if one <= shown[-1]]
    lost = len(set(sent) - set(shown)) - dropped if sent else sum(b > a + 1 for a, b in pairwise(shown))
    error_s = max(abs((t - times_s[0]) - (n - shown[0]) / FPS) for t, n in zip(times_s, shown, strict=True)) if sent else 0.0
    growth_mb = memory_mb[-1] - memory_mb[min(SETTLED, len(memory_mb) - 1)]
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("openplate ")]
    rows = [
        ("returns", f"{reconnects} of {times}"),
        ("pictures sent while connected" if sent else "pictures", str(len(set(sent)) if sent else len(shown))),
        ("pictures received", str(len(shown))),
        ("pushed out by newer ones", str(dropped)),
        ("lost", str(lost)),
        ("watched", f"{times_s[-1]:.1f} s"),
        ("largest error of a time", f"{error_s:.3f} s" if sent else "-"),
        ("memory after 5 returns, at the end", f"{memory_mb[min(SETTLED, len(memory_mb) - 1)]:.1f} MB, {memory_mb[-1]:.1f} MB"),
        ("threads left", str(len(threads))),
    ]
    for name, value in rows:
        print(f"{name:36}{value}")
    good = reconnects == times and lost <= 0 and error_s < 0.5 and not threads and growth_mb < max_growth_mb
    print("nothing but the dark time is lost" if good else "FAILED")
    return 0 if good else 1


class Camera:
    """The camera's process."""

    def __init__(self, rtsp: bool, notes: Path) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.address = f"rtsp://127.0.0.1:{self.port}/street" if rtsp else f"http://127.0.0.1:{self.port}/street.mjpg"
        self._notes = notes
        own = [sys.executable, str(Path(__file__)), "--serve", str(self.port), str(time.time()), str(notes)]
        self._command = ["/usr/bin/python3", str(RTSP_SERVER), "--port", str(self.port)] if rtsp else own
        self._child: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._child = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout
        if self._child.stdout.readline() != "ready\n":
            raise SystemExit("the camera did not start")

    def kill(self) -> None:
        """Kill it without warning."""
        if self._child is not None:
            self._child.send_signal(signal.SIGKILL)
            self._child.communicate()

    def break_off(self, times: int, up_s: float, down_s: float, returns: object) -> None:
        """Kill and start it `times` times; each time it is up until it was found again and `up_s` longer."""
        assert callable(returns)
        for turn in range(times):
            while returns() < turn:
                time.sleep(0.02)
            time.sleep(up_s)
            self.kill()
            time.sleep(down_s)
            self.start()

    def notes(self) -> list[int]:
        """The numbers that it sent."""
        return [int(line) for line in self._notes.read_text().split()] if self._notes.exists() else []


def serve(port: int, start: float, notes: Path) -> None:
    """Send numbered pictures until killed; a number is noted once the picture is handed to the system."""

    class Street(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with notes.open("a") as book:
                try:
                    while True:
                        now = int((time.time() - start) * FPS) + 1
                        time.sleep(max(0.0, start + now / FPS - time.time()))
                        data = cv2.imencode(".jpg", draw(now))[1].tobytes()
                        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data) + data + b"\r\n")
                        book.write(f"{now}\n")
                        book.flush()
                except OSError:
                    pass

    server = HTTPServer(("127.0.0.1", port), Street)
    print("ready", flush=True)
    server.serve_forever()


def draw(shown: int) -> Image:
    """A picture that shows a number as ten blocks below ten more: the lowest bit is on the left above."""
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    for bit in range(20):
        x, y = 8 + 14 * (bit % 10), 8 if bit < 10 else 50
        image[y : y + 32, x : x + 12] = 255 if shown >> bit & 1 else 0
    return image


def number(image: Image) -> int:
    """The number that a picture shows."""
    places = [(8 + 14 * (bit % 10), 8 if bit < 10 else 50) for bit in range(20)]
    return sum(1 << bit for bit, (x, y) in enumerate(places) if image[y + 4 : y + 28, x + 2 : x + 10].mean() > 128)


def resident_mb() -> float:
    """This process's memory, from the system's own account (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    main()
