"""A service that is killed while its camera stores sightings; whether none that was committed is lost, and every one was told to the webhook.

A drawn parade of vehicles' plates is the camera's source. The service and the camera's process are killed (SIGKILL) in the middle and started again.

Example: python bench/serve_kill.py --sightings 1000 --kills 2
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import click
import cv2
import httpx
import numpy as np

from openplate.errors import StoreError
from openplate.formats import load_formats, select
from openplate.store import Sighting, Store
from openplate.streams.writer import VideoWriter
from openplate.synthesize.plates import draw_plate
from openplate.types import Image

FPS = 5.0
WIDTH, HEIGHT = 640, 360
_PLACES = [(2 + 208 * column, 4 + 88 * row) for row in range(4) for column in range(3)]
_FRAMES, _PAUSE = 3, 1
_STEP_PX = 4
_PLATE_PX = 122
WATCH = {
    "lost_s": 0.15,
    "follow_s": 0.15,
    "rejoin_s": 0.2,
    "agreeing": 1,
    "static_agreeing": 1,
    "static_s": 0.0,
    "very_sure": 0.9,
    "min_confidence": 0.8,
    "detect_s": 0.1,
    "idle_s": 0.1,
}
"""For a parade: vehicles pass quickly and never come back."""
COUNTRY = "ru"


def draw_parade(path: Path, vehicles: int, seed: int = 1) -> list[str]:
    """A video in which plates pass, twelve at a time for 0.6 s; gives their texts."""
    rng = random.Random(seed)
    (ru,) = select(load_formats(), [COUNTRY])
    kind = next(one for one in ru.types if one.name == "RU/1")
    street: Image = np.asarray(
        cv2.resize(np.random.default_rng(seed).integers(70, 110, (18, 32, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8
    )
    writer = VideoWriter(path, FPS, (WIDTH, HEIGHT), crf=20)
    texts: list[str] = []
    while len(texts) < vehicles:
        drawn = [draw_plate(kind, rng, _PLATE_PX, 0.3, 0.0) for _ in range(min(len(_PLACES), vehicles - len(texts)))]
        texts.extend(one.text for one in drawn)
        for number in range(_FRAMES):
            frame = street.copy()
            for (x, y), plate in zip(_PLACES, drawn, strict=False):
                _put(frame, plate.image, x + number * _STEP_PX, y + number * 2)
            writer.write(frame)
        for _ in range(_PAUSE):
            writer.write(street)
    writer.close()
    return texts


def _put(frame: Image, plate: Image, x: int, y: int) -> None:
    height, width = plate.shape[:2]
    frame[y : y + height, x : x + width] = plate


class Receiver:
    """A real HTTP server that takes webhooks and counts them by sighting. Every `refuses`-th request is answered with 503 (0: none)."""

    def __init__(self, refuses: int = 0) -> None:
        self.told: Counter[str] = Counter()
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.refused = 0
        self.open = True
        """While False every request is answered with 503."""
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.take({key.lower(): value for key, value in self.headers.items()}, body, refuses))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/plates"

    def take(self, headers: dict[str, str], body: bytes, refuses: int) -> int:
        """Count a request; the status to answer with."""
        with self._lock:
            if not self.open or (refuses and (len(self.requests) + self.refused + 1) % refuses == 0):
                self.refused += 1
                return 503
            self.requests.append((headers, body))
            self.told[str(json.loads(body)["data"].get("id", "test"))] += 1
        return 204

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class ServiceProcess:
    """`openplate serve` as a process of its own, that can be killed and started again on the same data."""

    def __init__(self, data: Path, log: Path) -> None:
        self._data, self._log = data, log
        self._process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client()

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        port = free_port()
        command = [sys.executable, "-P", "-m", "openplate", "serve", "--port", str(port), "--data", str(self._data), "--workers", "1"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.client.close()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        wait_for(self._is_ready, 120, "the service to be ready")

    def kill(self, cameras_too: bool) -> list[int]:
        """Kill it, with its cameras' processes if wanted; gives those processes."""
        assert self._process is not None
        children = camera_processes(self._process.pid)
        for pid in [self._process.pid, *(children if cameras_too else [])]:
            os.kill(pid, signal.SIGKILL)
        self._process.wait()
        return children

    def stop(self) -> None:
        """Stop it as a user does."""
        assert self._process is not None
        self.client.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise SystemExit(f"the service ended with {self._process.returncode}; its log:\n{self._log.read_text(encoding='utf8')[-2000:]}")
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False


def camera_processes(parent: int) -> list[int]:
    """The processes that a process started and that still run."""
    children = Path(f"/proc/{parent}/task")
    return [int(pid) for one in children.iterdir() for pid in (one / "children").read_text(encoding="utf8").split()]


def is_running(pid: int) -> bool:
    """Whether a process runs: one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(holds: Callable[[], bool], limit_s: float, what: str) -> None:
    """Wait until something holds."""
    until = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > until:
            raise SystemExit(f"waited {limit_s:g} s in vain for {what}")
        time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    `sightings` are in the store at the end; `lost` were committed before a kill and are not there now; `without_evidence` have no pictures or none that can be
    read; `untold` never reached the webhook, `told_again` did so more than once; `left_over` are processes of cameras that outlived their service; `right`
    counts the vehicles whose text was read.
    """

    sightings: int
    lost: int
    without_evidence: int
    untold: int
    left_over: int
    told_again: int
    right: int
    seconds: float


def run(folder: Path, vehicles: int, kills: int, refuses: int = 7, say: Callable[[str], None] = print) -> Outcome:
    """Watch a parade, killing the service on the way: the first time alone, then with its camera's process, and so on by turns."""
    texts = draw_parade(folder / "parade.mp4", vehicles)
    say(f"{vehicles} vehicles drawn")
    began_s = time.monotonic()
    service = ServiceProcess(folder / "data", folder / "serve.log")
    committed: set[str] = set()
    cameras: list[int] = []
    with Receiver(refuses) as receiver:
        service.start()
        service.client.put("/v1/webhooks/bench", json={"url": receiver.url, "statuses": ["read", "unreadable"]}).raise_for_status()
        camera = {"name": "parade", "source": str(folder / "parade.mp4"), "country": [COUNTRY], "watch": WATCH}
        service.client.post("/v1/cameras", json=camera).raise_for_status()
        with Store(folder / "data") as store:
            for number in range(kills):
                at = vehicles * (number + 1) // (kills + 1)
                wait_for(lambda at=at: stored(store) >= at, 600, f"{at} sightings")  # type: ignore[misc]
                cameras += service.kill(cameras_too=number % 2 == 1)
                committed |= ids(store)
                say(f"killed at {len(committed)} sightings, {sum(receiver.told.values())} messages arrived{', with its camera' * (number % 2)}")
                service.start()
            wait_for(lambda: service.client.get("/v1/cameras/parade").json()["status"]["state"] == "ended", 900, "the end of the parade")
            wait_for(lambda: store.outbox.state().pending == 0, 300, "the messages")
            final = ids(store)
            sightings = list(all_sightings(store))
            unproven = sum(not has_evidence(store, one) for one in sightings)
        service.stop()
        return Outcome(
            sightings=len(final),
            lost=len(committed - final),
            without_evidence=unproven,
            untold=len(final - set(receiver.told)),
            left_over=sum(is_running(pid) for pid in cameras),
            told_again=sum(count > 1 for count in receiver.told.values()),
            right=len(set(texts) & {one.text for one in sightings if one.text}),
            seconds=time.monotonic() - began_s,
        )


def all_sightings(store: Store) -> Iterator[Sighting]:
    """Everything in a store."""
    seq = 0
    while found := store.after(seq, 500):
        yield from found
        seq = found[-1].seq


def stored(store: Store) -> int:
    """How many sightings a store has; their numbers have gaps."""
    return sum(one.sightings for one in store.count(by="status"))


def ids(store: Store) -> set[str]:
    """The ids of everything in a store."""
    return {one.id for one in all_sightings(store)}


def has_evidence(store: Store, sighting: Sighting) -> bool:
    """Whether a sighting has pictures and all of them can be read."""
    try:
        return bool(sighting.pictures) and all(store.evidence.read(one) for one in sighting.pictures)
    except StoreError:
        return False


@click.command()
@click.option("--sightings", "vehicles", default=1000, show_default=True, type=click.IntRange(12), help="Vehicles that pass.")
@click.option("--kills", default=2, show_default=True, type=click.IntRange(1), help="How often the service is killed on the way.")
def main(vehicles: int, kills: int) -> None:
    """Kill the service amid camera sightings and count what is missing afterwards; the exit code is 1 when anything is."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), vehicles, kills, say=lambda text: click.echo(text, err=True))
    click.echo(f"sightings {outcome.sightings} of {vehicles} vehicles, {outcome.right} texts right, {outcome.seconds:.0f} s")
    click.echo(f"committed before a kill and lost: {outcome.lost}; without evidence: {outcome.without_evidence}")
    click.echo(f"webhook never told: {outcome.untold}; told more than once: {outcome.told_again}; processes left over: {outcome.left_over}")
    sys.exit(1 if outcome.lost or outcome.without_evidence or outcome.untold or outcome.left_over else 0)


if __name__ == "__main__":
    main()
