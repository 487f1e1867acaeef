"""The settings' cameras in, a supervised process for each of them out: started, stopped, asked for pictures, and started anew when it dies.

A camera's process commits its sightings itself (`camera_worker`); what comes over its pipe is only news about it.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import IO, Any, Literal

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from openplate.camera import Camera, parse_camera
from openplate.errors import ConfigError, OpenPlateError, StoreError
from openplate.serve.camera_worker import Brief
from openplate.serve.events import News, Topic
from openplate.serve.problems import Conflict
from openplate.serve.settings import ServeSettings
from openplate.store import Store
from openplate.streams.address import hide_secrets, parse_source

CAMERA = "camera"
"""The kind of cameras' settings."""
SILENT_S = 30.0
"""A process that has said nothing for so long hangs, and is ended."""
BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Waits before a process that died is started anew; from the first one again when it lived for `HEALTHY_S`."""
HEALTHY_S = 60.0
STOP_S = 8.0
"""A process has so long to store its visits when it is stopped."""
SNAPSHOT_S = 5.0
_WATCH_S = 2.0
CLAIM_S = 5.0
"""How often a service asks whether it may watch the cameras of its database."""
_LONGEST_ERROR = 300
_SECRETS = re.compile(r"://\S*@")
_LOG = logging.getLogger("openplate.serve")

State = Literal["stopped", "starting", "connecting", "running", "ended", "restarting"]


@dataclass(frozen=True, slots=True)
class CameraSetting:
    """A camera as it is kept: what to watch, whether it is to be watched, and since when."""

    camera: Camera
    watch: Mapping[str, Any]
    stream: Mapping[str, Any]
    recorded_at: datetime | None
    wanted: bool
    run: datetime

    @classmethod
    def parse(cls, name: str, value: Mapping[str, Any]) -> CameraSetting:
        """A camera of its kept form, or of what somebody typed.

        Raises:
            ConfigError: a value is wrong; names the key.
            SourceError: the source cannot be one.
        """
        watch, stream = dict(value.get("watch") or {}), dict(value.get("stream") or {})
        try:
            json.dumps([watch, stream], allow_nan=False)
        except (ValueError, RecursionError):
            raise ConfigError("watch, stream: expected finite numbers") from None
        table = {"name": name, "source": value["source"], "country": list(value.get("country") or ()), "only": list(value.get("only") or ())}
        camera = parse_camera(table | {"watch": {"keep_frames": True} | watch, "stream": stream})
        recorded_at = value.get("recorded_at")
        return cls(
            camera=camera,
            watch=watch,
            stream=stream,
            recorded_at=datetime.fromisoformat(recorded_at) if recorded_at else None,
            wanted=bool(value.get("wanted", False)),
            run=datetime.fromisoformat(value["run"]) if value.get("run") else datetime.now(UTC),
        )

    def as_setting(self) -> dict[str, Any]:
        """The camera as it is kept."""
        return {
            "source": self.camera.source,
            "country": list(self.camera.country),
            "only": list(self.camera.only),
            "watch": dict(self.watch),
            "stream": dict(self.stream),
            "recorded_at": self.recorded_at.isoformat() if self.recorded_at else None,
            "wanted": self.wanted,
            "run": self.run.isoformat(),
        }

    @property
    def shown_source(self) -> str:
        """The source without user name and password."""
        return hide_secrets(self.camera.source) if "://" in self.camera.source else self.camera.source


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """How a camera is doing.

    `fps` is the rate at which frames are watched, `dropped` counts those that came too fast, `reconnects` how often the source came back, `restarts` how
    often its process was started anew, `sightings` those that were stored since the process began. `error` is what went wrong last, None when all is well.
    The figures of a process stay until the next one has watched its first frame, also while the camera is stopped; its error until the next one is running.
    """

    state: State = "stopped"
    frames: int = 0
    fps: float = 0.0
    dropped: int = 0
    reconnects: int = 0
    restarts: int = 0
    sightings: int = 0
    last_frame: datetime | None = None
    width: int | None = None
    height: int | None = None
    error: str | None = None
    error_at: datetime | None = None
    pid: int | None = None


class NotRunning(OpenPlateError):
    """A camera is not running, so that it cannot give a picture."""


class CameraProcess:
    """Keeps one camera's process running until it is stopped or the source has ended.

    Args:
        brief: what the process has to know.
        told: called with what it says: a word and its values.
        changed: called when the state changes.
        command: what to start.
        before: how the camera was doing when it was watched last.
    """

    def __init__(
        self,
        brief: Brief,
        told: Callable[[str, dict[str, Any]], None],
        changed: Callable[[CameraStatus], None],
        command: tuple[str, ...] = (sys.executable, "-P", "-m", "openplate.serve.camera_worker"),
        before: CameraStatus = CameraStatus(),
    ) -> None:
        self._brief, self._told, self._changed, self._command = brief, told, changed, command
        self._status = replace(before, state="starting", fps=0.0, restarts=0, pid=None)
        self._said_error: str | None = None
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stopping = threading.Event()
        self._heard_s = time.monotonic()
        self._numbers = count(1)
        self._snapshots: dict[int, Future[bytes]] = {}
        self._thread = threading.Thread(target=self._keep, name=f"openplate camera {brief.camera.name}", daemon=True)

    @property
    def status(self) -> CameraStatus:
        """How it is doing."""
        return self._status

    def start(self) -> None:
        """Start the process."""
        self._thread.start()

    def stop(self, for_good: bool) -> None:
        """Tell the process to store its visits and end; `wait` waits for it."""
        self._stopping.set()
        if self._status.state == "starting":  # it has seen nothing yet, and loading its networks may take longer than anybody wants to wait
            self._end("kill")
        else:
            self._order({"do": "stop", "for_good": for_good})

    def wait(self) -> None:
        """Wait for the end; a process that takes too long is killed."""
        if self._thread.ident is None:
            return
        self._thread.join(STOP_S)
        ends: tuple[Literal["terminate", "kill"], ...] = ("terminate", "kill")
        for end in ends:
            if not self._thread.is_alive():
                break
            self._end(end)
            self._thread.join(3.0)

    def _end(self, how: Literal["terminate", "kill"]) -> None:
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.kill() if how == "kill" else self._process.terminate()

    def kill_if_silent(self) -> None:
        """End a process that hangs; it is then started anew."""
        with self._lock:
            if self._process is not None and self._process.poll() is None and time.monotonic() - self._heard_s > SILENT_S:
                _LOG.error("camera %s: its process %d has said nothing for %g s; it is killed", self._brief.camera.name, self._process.pid, SILENT_S)
                self._process.kill()

    def snapshot(self, marked: bool) -> bytes:
        """The next frame as a JPEG file.

        Raises:
            NotRunning: no frame came in time, or the process is not running.
        """
        number, answer = next(self._numbers), Future[bytes]()
        self._snapshots[number] = answer
        try:
            if not self._order({"do": "snapshot", "number": number, "marked": marked}):
                raise NotRunning(f"camera {self._brief.camera.name} is {self._status.state}: it has no picture now")
            return answer.result(SNAPSHOT_S)
        except FutureTimeout:
            raise NotRunning(f"camera {self._brief.camera.name} sent no frame for {SNAPSHOT_S:g} s; its status says why") from None
        finally:
            self._snapshots.pop(number, None)

    def _keep(self) -> None:
        """The thread: start, listen, start anew."""
        tries = 0
        while not self._stopping.is_set():
            began_s = time.monotonic()
            ended = self._run_once()
            if self._stopping.is_set():
                break
            if ended:
                self._set(state="ended", pid=None, fps=0.0)
                return
            tries = 0 if time.monotonic() - began_s > HEALTHY_S else tries
            wait_s = BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)]
            _LOG.error("camera %s: %s; it is started anew in %g s", self._brief.camera.name, self._status.error, wait_s)
            self._set(state="restarting", restarts=self._status.restarts + 1, pid=None, fps=0.0)
            self._stopping.wait(wait_s)
            tries += 1
        self._set(state="stopped", pid=None, fps=0.0)

    def _run_once(self) -> bool:
        """Run one process to its end; whether its source has ended."""
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            self._set(error=f"its process cannot be started: {error.strerror or error}", error_at=datetime.now(UTC))
            return False
        with self._lock:
            self._process, self._heard_s = process, time.monotonic()
        self._set(state="starting", pid=process.pid)
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        complaints = _Complaints(process.stderr)
        self._said_error, ended = None, False
        with process:
            with self._writing, suppress(OSError, ValueError):
                process.stdin.write(self._brief.as_line())
                process.stdin.flush()
            if self._stopping.is_set():  # stopped before there was a process to tell
                self._order({"do": "stop", "for_good": False})
            for line in process.stdout:
                self._heard_s = time.monotonic()
                ended = self._hear(line) or ended
            with suppress(OSError):
                process.stdin.close()
            code = process.wait()
            complaints.join(1.0)
        with self._lock:
            self._process = None
        if not ended and not self._stopping.is_set():
            why = self._said_error if code == 1 else None
            if why is None:  # one that was killed said nothing about it
                why = f"its process ended with code {code}" + (f": {complaints.last}" if code > 0 and complaints.last else "")
            self._set(error=why, error_at=datetime.now(UTC))
        return ended

    def _hear(self, line: str) -> bool:
        """Take one line of the process in; whether it says that the source has ended."""
        try:
            value = json.loads(line)
            what = value.pop("say")
        except (ValueError, KeyError, AttributeError):
            _LOG.warning("camera %s: unexpected output of its process: %.200s", self._brief.camera.name, line.strip())
            return False
        if what == "status":
            self._set(state=value["state"], fps=value["fps"])
            if value["frames"] or self._status.last_frame is None:
                self._set(
                    frames=value["frames"],
                    dropped=value["dropped"],
                    reconnects=value["reconnects"],
                    sightings=value["sightings"],
                    last_frame=datetime.fromisoformat(value["last_frame"]) if value["last_frame"] else None,
                    width=value["width"],
                    height=value["height"],
                )
            error = value["error"]
            if error is None and value["state"] in ("running", "ended"):
                self._set(error=None, error_at=None)
            elif error not in (None, self._status.error):
                self._set(error=error, error_at=datetime.now(UTC))
        elif what == "error":
            _LOG.warning("camera %s: %s", self._brief.camera.name, value["message"])
            self._said_error = value["message"]
            self._set(error=value["message"], error_at=datetime.now(UTC))
        elif what == "snapshot":
            answer = self._snapshots.get(value["number"])
            if answer is not None and not answer.done():
                answer.set_result(base64.b64decode(value["jpeg"]))
        else:
            self._told(what, value)
        return bool(what == "ended")

    def _order(self, order: dict[str, Any]) -> bool:
        """Tell the process something; whether there is one."""
        with self._lock:
            process = self._process
        if process is None or process.stdin is None:
            return False
        try:
            with self._writing:
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.flush()
        except (OSError, ValueError):  # it has just died
            return False
        return True

    def _set(self, **values: Any) -> None:
        before, self._status = self._status, replace(self._status, **values)
        if (before.state, before.error) != (self._status.state, self._status.error):
            self._changed(self._status)


class _Complaints(threading.Thread):
    """Passes on what a process writes to its stderr; `last` is the last line, without a user's name and password."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(name="openplate camera's stderr", daemon=True)
        self.last = ""
        self._stream = stream
        self.start()

    def run(self) -> None:
        """Read until the process has ended."""
        with suppress(OSError, ValueError):
            for line in self._stream:
                sys.stderr.write(line)
                self.last = _SECRETS.sub("://…@", line.strip())[:_LONGEST_ERROR] or self.last


class Cameras:
    """The cameras of a service.

    Args:
        store: where they are kept.
        settings: of the service; its cameras read with the same networks.
        tell: takes news of cameras and of visits that are going on.
        stored: called when a sighting was stored.
        registry: where the metrics go.
    """

    def __init__(
        self,
        store: Store,
        settings: ServeSettings,
        tell: Callable[[News], None],
        stored: Callable[[], None],
        registry: CollectorRegistry,
    ) -> None:
        self._store, self._settings, self._tell, self._stored = store, settings, tell, stored
        self._processes: dict[str, CameraProcess] = {}
        self._stopped: dict[str, CameraStatus] = {}
        """How cameras were doing that are not watched now."""
        self._claim = store.claim("cameras")
        self._may_watch = False
        self._lock = threading.Lock()
        """Held for a look at the processes, never for long."""
        self._changing = threading.Lock()
        """Held while a camera is changed, which may take as long as its process takes to end."""
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._look_after, name="openplate cameras", daemon=True)
        self._claimer = threading.Thread(target=self._claim_on, name="openplate claim to cameras", daemon=True)
        self._counted = Counter("openplate_camera_sightings", "Sightings that cameras stored", ("camera",), registry=registry)
        registry.register(_Figures(self))

    def start(self) -> None:
        """Start the cameras that are to be watched, unless another service watches them; then they are started when that one has ended."""
        self._keeper.start()
        if self._settings.cameras:
            self._claim_once()
            if not self._may_watch:
                _LOG.warning("%s; this one answers calls, and takes over when that one has ended", self._why_not)
            self._claimer.start()

    def stop(self) -> None:
        """Stop all processes; the cameras are watched again when the service is started again."""
        self._stopping.set()
        self._end_all()
        for thread in (self._keeper, self._claimer):
            if thread.ident is not None:
                thread.join(_WATCH_S)
        self._claim.let_go()

    def names(self) -> list[str]:
        """The cameras' names."""
        return list(self._store.settings.all(CAMERA))

    def get(self, name: str) -> CameraSetting:
        """One camera.

        Raises:
            StoreError: there is none of this name.
        """
        value = self._store.settings.get(CAMERA, name)
        if value is None:
            raise StoreError(f"there is no camera {name!r}")
        return CameraSetting.parse(name, value)

    def status(self, name: str) -> CameraStatus:
        """How a camera is doing."""
        return self.statuses().get(name, CameraStatus(error=None if self._may_watch else self._why_not))

    def statuses(self) -> dict[str, CameraStatus]:
        """How the cameras are doing that were watched since the service began, by name."""
        with self._lock:
            return self._stopped | {name: process.status for name, process in self._processes.items()}

    def put(self, setting: CameraSetting) -> None:
        """Keep a new or changed camera; when it is to be watched, it is from now on, as it is set now.

        Raises:
            SourceError: the source cannot be one, or is not there.
            ConfigError: it is one that a service cannot watch.
            Conflict: another service watches the cameras.
        """
        self._check_may_watch()
        address = parse_source(setting.camera.source)
        if address.kind == "pipe":
            raise ConfigError("source: expected a video file, a folder, a webcam's number or an address; nobody pipes video into a service")
        with self._changing:
            self._end(setting.camera.name)
            setting = replace(setting, run=datetime.now(UTC))
            self._store.settings.put(CAMERA, setting.camera.name, setting.as_setting())
            if setting.wanted:
                self._begin(setting)

    def want(self, name: str, wanted: bool) -> None:
        """Start or stop a camera, also for the next start of the service. Starting one that is running changes nothing; one that has ended begins anew.

        Raises:
            StoreError: there is none of this name.
            Conflict: another service watches the cameras.
        """
        self._check_may_watch()
        with self._changing:
            setting = self.get(name)
            if wanted and setting.wanted and self.status(name).state not in ("stopped", "ended"):
                return
            self._end(name)
            setting = replace(setting, wanted=wanted, run=datetime.now(UTC) if wanted else setting.run)
            self._store.settings.put(CAMERA, name, setting.as_setting())
            if wanted:
                self._begin(setting)

    def remove(self, name: str) -> None:
        """Stop and forget a camera; its sightings stay.

        Raises:
            StoreError: there is none of this name.
            Conflict: another service watches the cameras.
        """
        self._check_may_watch()
        with self._changing:
            self.get(name)
            self._end(name)
            self._store.settings.remove(CAMERA, name)
            with self._lock:
                self._stopped.pop(name, None)
            with suppress(KeyError):
                self._counted.remove(name)

    def snapshot(self, name: str, marked: bool) -> bytes:
        """A camera's next frame as a JPEG file; `marked`: with its plates.

        Raises:
            NotRunning: it is stopped, or no frame comes.
            Conflict: another service watches the cameras.
        """
        self._check_may_watch()
        with self._lock:
            process = self._processes.get(name)
        if process is None:
            raise NotRunning(f"camera {name} is stopped; start it first")
        return process.snapshot(marked)

    @property
    def _why_not(self) -> str:
        """Why this service does not watch the cameras."""
        return "another service watches the cameras of this database" if self._settings.cameras else "this service was started with --no-cameras"

    def _check_may_watch(self) -> None:
        if not self._may_watch:
            raise Conflict(f"{self._why_not}; ask the one that watches them")

    def _claim_on(self) -> None:
        while not self._stopping.wait(CLAIM_S):
            self._claim_once()

    def _claim_once(self) -> None:
        """Begin to watch when this service may, end when it may no more."""
        try:
            may = self._claim.take()
        except StoreError as error:
            # While the database is away nobody else can take the cameras over: what is watched is watched on.
            _LOG.error("cameras: %s", error)
            return
        if may == self._may_watch:
            return
        with self._changing:
            if may:
                try:
                    names = self.names()
                except StoreError as error:
                    _LOG.error("cameras: %s", error)
                    return
                self._may_watch = True
                self._begin_all(names)
            else:
                _LOG.error("cameras: the connection to the database was lost, and %s now", self._why_not)
                self._may_watch = False
                self._end_all()

    def _begin_all(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                setting = self.get(name)
                if setting.wanted:
                    self._begin(setting)
            except OpenPlateError as error:
                _LOG.error("camera %s is not started: %s", name, error)

    def _end_all(self) -> None:
        with self._lock:
            processes, self._processes = list(self._processes.values()), {}
        for process in processes:
            process.stop(for_good=False)
        for process in processes:
            process.wait()

    def _begin(self, setting: CameraSetting) -> None:
        name, settings = setting.camera.name, self._settings
        brief = Brief(
            data=settings.data,
            database=settings.database,
            privacy=settings.privacy,
            options=settings.options,
            camera=setting.camera,
            run=setting.run,
            recorded_at=setting.recorded_at,
        )
        process = CameraProcess(
            brief, lambda what, value: self._hear(name, what, value), lambda status: self._note(name, status), before=self.status(name)
        )
        with self._lock:
            if not self._stopping.is_set():
                self._processes[name] = process
                self._stopped.pop(name, None)
                process.start()

    def _end(self, name: str) -> None:
        with self._lock:
            process = self._processes.get(name)
        if process is not None:
            process.stop(for_good=True)
            process.wait()
            with self._lock:
                self._processes.pop(name, None)
                self._stopped[name] = replace(process.status, state="stopped", fps=0.0, pid=None)

    def _hear(self, name: str, what: str, value: dict[str, Any]) -> None:
        if what == "stored":
            self._counted.labels(name).inc()
            self._stored()
        elif what in ("opened", "updated"):
            topic: Topic = "opened" if what == "opened" else "updated"
            self._tell(News(topic, name, value["sighting"]))
            if what == "opened":
                self._stored()  # it may have caused a message

    def _note(self, name: str, status: CameraStatus) -> None:
        self._tell(News("camera", name, {"camera": name, "state": status.state, "error": status.error}))

    def _look_after(self) -> None:
        while not self._stopping.wait(_WATCH_S):
            with self._lock:
                processes = dict(self._processes)
            for name, process in processes.items():
                process.kill_if_silent()
                if process.status.state == "ended":
                    self._note_end(name, process)

    def _note_end(self, name: str, process: CameraProcess) -> None:
        """A recording that was watched to its end is not watched again when the service is started again."""
        with self._changing:
            with self._lock:
                current = self._processes.get(name) is process
            try:
                if current and (setting := self.get(name)).wanted:
                    self._store.settings.put(CAMERA, name, replace(setting, wanted=False).as_setting())
            except OpenPlateError as error:
                _LOG.error("camera %s: %s", name, error)


class _Figures(Collector):
    """How the cameras are doing, as metrics: made anew at each look, so that none stays of a camera that was removed."""

    def __init__(self, cameras: Cameras) -> None:
        self._cameras = cameras

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The metrics."""
        rates = GaugeMetricFamily("openplate_camera_fps", "Frames a second that a camera's process watches", labels=("camera",))
        running = GaugeMetricFamily("openplate_camera_running", "1 while a camera is running", labels=("camera",))
        restarts = GaugeMetricFamily("openplate_camera_restarts", "How often a camera's process was started anew", labels=("camera",))
        for name, status in self._cameras.statuses().items():
            rates.add_metric((name,), status.fps)
            running.add_metric((name,), status.state == "running")
            restarts.add_metric((name,), status.restarts)
        return rates, running, restarts
