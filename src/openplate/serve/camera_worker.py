"""One camera's process: what to watch as a line of JSON on stdin, stored sightings and lines of JSON about them on stdout.

`python -m openplate.serve.camera_worker` is started by `openplate.serve.cameras`. Sightings are committed to the store here, with the messages that they
cause, so that nothing is lost when the service dies. The end of stdin means that it did: the visits so far are stored, and the process ends.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TextIO

from openplate.annotate import annotate
from openplate.camera import Camera, parse_camera
from openplate.errors import OpenPlateError, StoreError
from openplate.pipeline import Options, Pipeline
from openplate.serve.actions import Actions, Event
from openplate.serve.evidence_blur import blur_detections, evidence_blur
from openplate.serve.stored import StoredSighting
from openplate.sources import encode_image, silence_codecs
from openplate.store import NewPicture, NewSighting, Sighting, Store, Stored
from openplate.streams import Stream, open_stream
from openplate.types import Frame, SightingEvent
from openplate.watch import Watcher

STATUS_S = 1.0
BUSY_S = 60.0
"""A frame that takes longer than this is taken for a hang: the status stops, and the service starts the process anew."""
STOP_AT_MOST_S = 60.0
"""A process that cannot end ends itself: the service that started it may be gone."""
_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
_FPS_FRAMES = 50
_JPEG_QUALITY = 90

State = Literal["starting", "connecting", "running", "ended"]


@dataclass(frozen=True, slots=True)
class Brief:
    """What a camera's process has to know.

    `run` is the moment at which somebody started the camera; it stays the same when the process is started anew. The sightings of a recorded source have
    ids and times that follow from it, so that watching the recording again stores none twice. `recorded_at` is when a recording began, if that is known.
    """

    data: Path
    database: str | None
    privacy: Literal["plain", "hash"]
    options: Options
    camera: Camera
    run: datetime
    recorded_at: datetime | None

    def as_line(self) -> str:
        """The brief as a line of JSON."""
        value = asdict(self) | {"run": self.run.isoformat(), "recorded_at": self.recorded_at.isoformat() if self.recorded_at else None}
        return json.dumps(value, default=str) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Brief:
        """The brief that a line holds.

        Raises:
            ConfigError: a value is wrong.
        """
        value = json.loads(line)
        return cls(
            data=Path(value["data"]),
            database=value["database"],
            privacy=value["privacy"],
            options=_options(value["options"]),
            camera=parse_camera(_without_none(value["camera"])),
            run=datetime.fromisoformat(value["run"]),
            recorded_at=datetime.fromisoformat(value["recorded_at"]) if value["recorded_at"] else None,
        )


class Outlet:
    """Writes lines of JSON for the service."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def say(self, what: str, value: Mapping[str, Any]) -> None:
        """Write one line."""
        with self._lock, suppress(OSError, ValueError):  # nobody reads any more: the end of stdin says so too
            self._stream.write(json.dumps({"say": what, **value}, ensure_ascii=True) + "\n")
            self._stream.flush()


class CameraWatch:
    """Watches one camera until it ends or is stopped, and stores what it sees."""

    def __init__(
        self,
        brief: Brief,
        outlet: Outlet,
        pipeline: Callable[[Options], Pipeline] = Pipeline,
        opener: Callable[[str, Any], Stream] = open_stream,
    ) -> None:
        self._brief, self._outlet, self._open = brief, outlet, opener
        self._build = pipeline
        self._stopping = threading.Event()
        self._for_good = False
        self._snapshots: queue.SimpleQueue[tuple[int, bool]] = queue.SimpleQueue()
        self._stream: Stream | None = None
        self._state: State = "starting"
        self._error: str | None = None
        self._frames = self._stored = self._dropped = self._reconnects = 0
        self._last_frame: datetime | None = None
        self._size: tuple[int, int] | None = None
        self._arrivals: deque[float] = deque(maxlen=_FPS_FRAMES)
        self._busy_since_s: float | None = None

    def stop(self, for_good: bool = False) -> None:
        """End soon. Unless it is for good, a recording will be watched again from its beginning, and its unfinished visits are left to that time.
        Called from any thread."""
        self._for_good = for_good
        self._stopping.set()
        stream = self._stream
        if stream is not None and stream.live:  # a live stream may be waiting for its next frame
            stream.close()

    def ask_snapshot(self, number: int, marked: bool) -> None:
        """Send the next frame as a picture. Called from any thread."""
        self._snapshots.put((number, marked))

    def run(self) -> None:
        """Watch; returns at the end of a recorded source, or when stopped."""
        threading.Thread(target=self._report, daemon=True).start()
        camera = self._brief.camera
        options = self._brief.options
        options = replace(options, country=camera.country or options.country, only=camera.only or options.only)
        self._pipeline = self._build(options)
        with Store(self._brief.data, self._brief.database, self._brief.privacy, evidence_blur(self._pipeline.detect)) as self._store:
            failures = 0
            while not self._stopping.is_set():
                self._state = "connecting"
                before = self._frames
                try:
                    if self._watch():
                        self._state = "ended"
                        break
                    if not self._stopping.is_set():
                        self._fail("the stream ended")
                except OpenPlateError as error:
                    self._fail(" ".join(str(error).split()))
                failures = 0 if self._frames > before else failures
                self._stopping.wait(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1
        self._outlet.say("status", self._status())
        if self._state == "ended":
            self._outlet.say("ended", {})

    def _watch(self) -> bool:
        """Watch the source once; whether it was recorded, and is over."""
        camera = self._brief.camera
        with self._open(camera.source, camera.stream) as stream:
            self._stream = stream
            try:
                dropped, reconnects = self._dropped, self._reconnects
                watcher = Watcher(self._pipeline, camera.watch, self._prefix(stream))
                begin = self._begin(stream)
                self._state, self._error = "running", None
                self._outlet.say("status", self._status())  # a short recording may be through before the next report is due
                over = False
                try:
                    while not self._stopping.is_set():
                        frame = next(stream, None)
                        if frame is None:
                            over = True
                            break
                        self._busy_since_s = time.monotonic()
                        events = watcher.feed(frame)
                        self._count(frame, stream, begin)
                        self._dropped, self._reconnects = dropped + stream.dropped, reconnects + stream.reconnects
                        for event in events:
                            self._take(event, stream, begin)
                        self._send_snapshots(frame, watcher)
                        self._busy_since_s = None
                finally:
                    if over or self._for_good or not self._is_watched_again(stream):
                        for event in watcher.close():
                            self._take(event, stream, begin)
                    self._busy_since_s = None
                return over and not stream.live
            finally:
                self._stream = None

    def _is_watched_again(self, stream: Stream) -> bool:
        """Whether a new start of the process in the same run sees the same frames again."""
        return not stream.live and self._brief.camera.stream.loop == 1

    def _prefix(self, stream: Stream) -> str:
        """What the ids of this stream's sightings begin with: never used again, but for a recording that is watched again in the same run."""
        moment = self._brief.run if self._is_watched_again(stream) else datetime.fromtimestamp(stream.started_at or time.time(), UTC)
        return f"{self._brief.camera.name}-{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"

    def _begin(self, stream: Stream) -> datetime:
        """The time at second 0 of a stream."""
        if stream.started_at is not None:
            return datetime.fromtimestamp(stream.started_at, UTC)
        return self._brief.recorded_at or self._brief.run

    def _take(self, event: SightingEvent, stream: Stream, begin: datetime) -> None:
        """Store a finished visit; tell of one that is going on."""
        new = new_sighting(event, self._brief.camera.name, stream.name, begin)
        if event.state == "closed":
            kept = self._insist(lambda: self._store.add(new, self._deliveries("sighting")))
            if kept is not None and kept.fresh:
                self._stored += 1
                self._outlet.say("stored", {"seq": kept.sighting.seq, "id": kept.sighting.id})
            return
        deliveries = self._deliveries("opened") if event.state == "open" else None
        told = self._insist(lambda: self._store.announce(new, deliveries))
        if told is not None and told.fresh:
            self._outlet.say("opened" if event.state == "open" else "updated", {"sighting": StoredSighting.of(told.sighting).as_json()})

    def _deliveries(self, event: Event) -> Callable[[Sighting], Any]:
        actions = Actions.load(self._store)
        return lambda sighting: actions.deliveries(event, sighting)

    def _insist(self, write: Callable[[], Stored]) -> Stored | None:
        """Write to the store, however long it is away; None when it refuses what is written, or when stopping."""
        tries = 0
        while True:
            try:
                done = write()
            except StoreError as error:
                self._fail(str(error))
                if error.__cause__ is None:  # a value that it does not take: trying again does not help
                    return None
                self._busy_since_s = None  # waiting is no hang
                if self._stopping.wait(_RETRY_S[min(tries, len(_RETRY_S) - 1)]) and tries > 3:
                    return None
                tries += 1
            else:
                if tries:
                    self._error = None
                return done

    def _count(self, frame: Frame, stream: Stream, begin: datetime) -> None:
        self._frames += 1
        self._arrivals.append(time.monotonic())
        self._last_frame = begin + timedelta(seconds=frame.time_s or 0.0)
        self._size = frame.picture.shape[1], frame.picture.shape[0]

    def _send_snapshots(self, frame: Frame, watcher: Watcher) -> None:
        while not self._snapshots.empty():
            number, marked = self._snapshots.get()
            image = frame.image
            if self._brief.privacy == "hash":
                image = blur_detections(image, [*self._pipeline.detect(image), *(plate.detection for plate in watcher.plates)])
            elif marked:
                image = annotate(image, watcher.plates)
            data = encode_image(image, ".jpg", _JPEG_QUALITY)
            self._outlet.say("snapshot", {"number": number, "jpeg": base64.b64encode(data).decode()})

    def _fail(self, message: str) -> None:
        self._error = message
        self._outlet.say("error", {"message": message})

    def _report(self) -> None:
        """Say every second how it is going, unless a frame hangs."""
        while True:
            since_s = self._busy_since_s
            if since_s is None or time.monotonic() - since_s < BUSY_S:
                self._outlet.say("status", self._status())
            time.sleep(STATUS_S)

    def _status(self) -> dict[str, Any]:
        arrivals = list(self._arrivals)
        recent = [one for one in arrivals if one > time.monotonic() - 10]
        fps = (len(recent) - 1) / max(recent[-1] - recent[0], 1e-6) if len(recent) > 1 else 0.0
        return {
            "state": self._state,
            "frames": self._frames,
            "fps": round(fps, 2),
            "dropped": self._dropped,
            "reconnects": self._reconnects,
            "last_frame": self._last_frame.isoformat() if self._last_frame else None,
            "width": self._size[0] if self._size else None,
            "height": self._size[1] if self._size else None,
            "sightings": self._stored,
            "error": self._error,
        }


def new_sighting(event: SightingEvent, camera: str, source: str, begin: datetime) -> NewSighting:
    """A watched visit as the store takes it; `begin` is the time at second 0 of its stream."""
    seen, reading = event.sighting, event.sighting.reading
    pictures = []
    if seen.picture is not None:
        pictures.append(NewPicture("frame", seen.picture, quad=seen.quad))
    if seen.crop is not None and event.state == "closed":
        pictures.append(NewPicture("crop", encode_image(seen.crop, ".jpg", _JPEG_QUALITY)))
    first = begin + timedelta(seconds=seen.first_s)
    return NewSighting(
        id=seen.id,
        camera=camera,
        source=source,
        status=seen.status,
        text=seen.text,
        confidence=reading.confidence,
        characters=reading.characters,
        candidates=reading.candidates,
        country=reading.country,
        format=reading.format,
        first=first,
        last=max(first, begin + timedelta(seconds=seen.last_s)),
        looks=max(1, seen.looks),
        direction=seen.direction,
        parked=seen.parked,
        quad=seen.quad if seen.picture is not None else None,
        reasons=seen.reasons,
        pictures=tuple(pictures) if event.state == "closed" else (),
    )


def main() -> int:
    """Take the brief from stdin, watch, and answer; the exit code."""
    # What libraries print goes to stderr: stdout belongs to the service.
    stdout = os.fdopen(os.dup(1), "w", encoding="utf8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service says when to stop
    outlet = Outlet(stdout)
    silence_codecs()
    try:
        watch = CameraWatch(Brief.from_line(sys.stdin.readline()), outlet)
        signal.signal(signal.SIGTERM, lambda *_: watch.stop())
        threading.Thread(target=_listen, args=(watch, sys.stdin), daemon=True).start()
        watch.run()
    except OpenPlateError as error:
        outlet.say("error", {"message": " ".join(str(error).split())})
        return 1
    return 0


def _listen(watch: CameraWatch, stdin: TextIO) -> None:
    """Do what the service says, until it says nothing more because it is gone."""
    for_good = False
    for line in stdin:
        order = json.loads(line)
        if order["do"] == "stop":
            for_good = bool(order["for_good"])
            break
        if order["do"] == "snapshot":
            watch.ask_snapshot(int(order["number"]), bool(order["marked"]))
    watch.stop(for_good)
    time.sleep(STOP_AT_MOST_S)
    os._exit(3)


def _options(value: Mapping[str, Any]) -> Options:
    known = {field.name: value[field.name] for field in fields(Options) if field.name in value}
    for name in ("detector", "reader"):
        known[name] = Path(known[name]) if known.get(name) else None
    for name in ("country", "only", "formats"):
        known[name] = tuple(known[name])
    return Options(**known)


def _without_none(value: Any) -> Any:
    """A table without its nulls: a camera's keys that are not given keep their defaults."""
    return {key: _without_none(one) for key, one in value.items() if one is not None} if isinstance(value, Mapping) else value


if __name__ == "__main__":
    sys.exit(main())
