"""Cameras over HTTP: real processes watch drawn videos, sightings are stored, told and sent, and a process that dies is started anew."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from openplate.formats import load_formats, select
from openplate.serve import cameras as cameras_module
from openplate.serve.cameras import CameraProcess, Cameras, CameraSetting, CameraStatus, NotRunning
from openplate.serve.problems import Conflict
from openplate.serve.settings import ServeSettings
from openplate.sources import encode_image, read_image
from openplate.store import Store
from openplate.streams import open_stream
from openplate.synthesize.sequences import SequenceSettings, write_sequences
from tests.serve.parade import COUNTRY, WATCH, Receiver, draw_parade, wait_for, watch_unbroken
from tests.serve.running import Running

STREET_TEXT = "E303HH73"


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a vehicle that comes nearer."""
    folder = tmp_path_factory.mktemp("street") / "clips"
    settings = SequenceSettings(seconds=3, fps=10, width=640, height=360, plate_px=(110, 170), situations=("approach",))
    write_sequences(folder, select(load_formats(), ["ru"]), 1, 8, (), settings, False, lambda _: None)
    return folder / "000.mp4"


@pytest.fixture(scope="module")
def parade(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """72 vehicles that pass, and their plates' texts."""
    path = tmp_path_factory.mktemp("parade") / "parade.mp4"
    return path, draw_parade(path, 72)


@pytest.fixture(scope="module")
def unbroken(parade: tuple[Path, list[str]]) -> list[str | None]:
    """The texts of the sightings that the parade gives when nothing interrupts it."""
    return watch_unbroken(parade[0])


def status(client: httpx.Client, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"/v1/cameras/{name}").json()["status"]
    return answer


def wait_for_state(client: httpx.Client, name: str, *states: str) -> dict[str, Any]:
    wait_for(lambda: status(client, name)["state"] in states, 90, f"camera {name} to be {' or '.join(states)}, {status(client, name)}")
    return status(client, name)


def sightings(client: httpx.Client, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/sightings", params={"camera": name, "size": 1000}).json()["sightings"]
    return found


def test_vehicle_before_a_camera_is_stored_with_evidence_told_and_sent(clerk: httpx.Client, street: Path) -> None:
    told: list[tuple[str, Any]] = []
    listening = threading.Event()

    def listen() -> None:
        with httpx.Client(base_url=clerk.base_url, timeout=60) as client, client.stream("GET", "/v1/events", params={"camera": "street"}) as answer:
            listening.set()
            topic = ""
            for line in answer.iter_lines():
                topic = line.removeprefix("event: ") if line.startswith("event: ") else topic
                if line.startswith("data: "):
                    told.append((topic, json.loads(line.removeprefix("data: "))))
                    if topic == "sighting" and told[-1][1]["status"] == "read":
                        return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert listening.wait(10)
    clerk.post("/v1/lists", json={"name": "street guests", "kind": "allow"})
    clerk.post("/v1/lists/street guests/entries", json=[{"pattern": STREET_TEXT}])
    with Receiver() as receiver:
        clerk.put("/v1/webhooks/street", json={"url": receiver.url, "cameras": ["street"], "events": ["opened", "sighting"]})
        camera = {"name": "street", "source": str(street), "country": ["ru"], "recorded_at": "2026-05-01T12:00:00Z"}
        made = clerk.post("/v1/cameras", json=camera)
        assert made.status_code == 201, made.text
        ended = wait_for_state(clerk, "street", "ended")
        assert (ended["frames"], ended["error"], ended["width"]) == (30, None, 640)
        (one,) = [one for one in sightings(clerk, "street") if one["status"] == "read"]
        assert (one["text"], one["lists"][0]["list"]) == (STREET_TEXT, "street guests")
        assert one["first"].startswith("2026-05-01T12:00:0"), "times count from the recording's begin"
        frame, crop = (read_image(clerk.get(picture["url"]).content)[0].image for picture in one["pictures"])
        assert frame.shape == (360, 640, 3)
        assert crop.shape[1] > 3 * crop.shape[0]
        wait_for(lambda: receiver.told[one["id"]] == 2, 20, "both messages")
        assert [json.loads(body)["type"] for _, body in receiver.requests] == ["opened", "sighting"]
        thread.join(20)
        topics = [topic for topic, _ in told]
        assert one["id"] in [data["id"] for topic, data in told if topic == "sighting"]
        assert "opened" in topics
        assert {"camera": "street", "state": "running", "error": None} in [data for topic, data in told if topic == "camera"]
        clerk.delete("/v1/webhooks/street")
    # A recording that has ended is not watched again by itself.
    wait_for(lambda: not clerk.get("/v1/cameras/street").json()["wanted"], 10, "the note that it has ended")


def test_killed_process_is_started_anew_and_stores_each_visit_once(
    depot: Running, clerk: httpx.Client, parade: tuple[Path, list[str]], unbroken: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras_module, "BACK_OFF_S", (0.1,))
    path, texts = parade
    clerk.post("/v1/cameras", json={"name": "killed", "source": str(path), "country": [COUNTRY], "watch": WATCH})
    wait_for(lambda: len(sightings(clerk, "killed")) >= 12, 60, "the first sightings")
    pid = depot.service.cameras.status("killed").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    before = {one["id"] for one in sightings(clerk, "killed")}
    wait_for(lambda: status(clerk, "killed")["restarts"] == 1, 20, "the new start")
    ended = wait_for_state(clerk, "killed", "ended")
    after = sightings(clerk, "killed")
    assert before <= {one["id"] for one in after}
    assert ended["restarts"] == 1
    assert Counter(one["text"] for one in after) == Counter(unbroken)
    assert len(set(unbroken) & set(texts)) >= 68


def test_running_camera_gives_pictures_until_it_is_stopped(clerk: httpx.Client, parade: tuple[Path, list[str]]) -> None:
    camera = {"name": "endless", "source": str(parade[0]), "watch": WATCH | {"keep_frames": False}, "stream": {"loop": 0}, "start": False}
    assert clerk.post("/v1/cameras", json=camera).json()["status"]["state"] == "stopped"
    refused = clerk.get("/v1/cameras/endless/snapshot")
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    assert clerk.post("/v1/cameras/endless/start").json()["wanted"]
    wait_for_state(clerk, "endless", "running")
    plain = read_image(clerk.get("/v1/cameras/endless/snapshot").content)[0].image
    marked = clerk.get("/v1/cameras/endless/snapshot", params={"marked": True})
    assert (plain.shape, marked.headers["content-type"]) == ((360, 640, 3), "image/jpeg")
    wait_for(lambda: status(clerk, "endless")["fps"] > 0, 20, "a rate")
    assert 'openplate_camera_running{camera="endless"} 1.0' in clerk.get("/metrics").text
    stopped = clerk.post("/v1/cameras/endless/stop").json()
    assert (stopped["wanted"], stopped["status"]["state"]) == (False, "stopped")
    count = len(sightings(clerk, "endless"))
    assert count > 0
    assert clerk.delete("/v1/cameras/endless").status_code == 204
    assert clerk.get("/v1/cameras/endless").status_code == 404
    assert len(sightings(clerk, "endless")) == count, "sightings stay"


@contextmanager
def mjpeg(pictures: list[bytes], fps: float) -> Iterator[str]:
    """A camera that sends its pictures over HTTP again and again; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "multipart/x-mixed-replace; boundary=part")
            self.end_headers()
            with suppress(OSError):
                for picture in cycle(pictures):
                    self.wfile.write(b"--part\r\ncontent-type: image/jpeg\r\ncontent-length: %d\r\n\r\n%s\r\n" % (len(picture), picture))
                    time.sleep(1 / fps)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/video.mjpg"
    server.shutdown()
    server.server_close()


def test_live_camera_stores_what_it_sees_at_the_time_of_day(clerk: httpx.Client, street: Path) -> None:
    with open_stream(str(street)) as stream:
        pictures = [encode_image(frame.image, ".jpg") for frame in stream]
    began = datetime.now(UTC)
    with mjpeg(pictures, 10) as url:
        camera = {"name": "live", "source": url, "country": ["ru"], "stream": {"live": True}, "watch": {"rejoin_s": 0.5, "lost_s": 0.5}}
        assert clerk.post("/v1/cameras", json=camera).status_code == 201
        wait_for(lambda: any(one["text"] == STREET_TEXT for one in sightings(clerk, "live")), 90, "the vehicle")
        assert status(clerk, "live")["state"] == "running"
        assert clerk.post("/v1/cameras/live/stop").json()["status"]["state"] == "stopped"
    (one, *_) = [one for one in sightings(clerk, "live") if one["text"] == STREET_TEXT]
    assert began < datetime.fromisoformat(one["first"]) <= datetime.fromisoformat(one["last"]) < datetime.now(UTC)
    assert re.fullmatch(r"live-\d{8}T\d{6}Z-\d+", one["id"])


def test_source_that_does_not_answer_is_reported_and_tried_again(clerk: httpx.Client) -> None:
    source = "rtsp://admin:hidden@127.0.0.1:9/stream"
    made = clerk.post("/v1/cameras", json={"name": "silent", "source": source, "stream": {"open_timeout_s": 1}})
    assert made.json()["source"] == "rtsp://127.0.0.1:9/stream"
    wait_for(lambda: status(clerk, "silent")["error"] is not None and status(clerk, "silent")["state"] == "connecting", 60, "the fault")
    now = status(clerk, "silent")
    assert (now["state"], now["restarts"]) == ("connecting", 0), "the process waits, it does not die"
    assert "hidden" not in clerk.get("/v1/cameras").text
    changed = clerk.patch("/v1/cameras/silent", json={"country": ["ru"]}).json()
    assert (changed["country"], changed["source"], changed["stream"]) == (["ru"], "rtsp://127.0.0.1:9/stream", {"open_timeout_s": 1})
    assert clerk.delete("/v1/cameras/silent").status_code == 204


@pytest.mark.parametrize(
    ("camera", "code", "says"),
    [
        ({"name": "a/b", "source": "0"}, 422, "name"),
        ({"name": "faulty", "source": "-"}, 422, "source"),
        ({"name": "faulty", "source": "/nothing/here.mp4"}, 422, "nothing"),
        ({"name": "faulty", "source": "0", "watch": {"colour": 1}}, 422, "watch.colour"),
        ({"name": "faulty", "source": "0", "watch": {"looks": 0}}, 422, "looks"),
        ({"name": "faulty", "source": "0", "stream": {"transport": "pigeon"}}, 422, "stream.transport"),
        ({"name": "faulty", "source": "0", "country": ["zz"]}, 422, "zz"),
        ({"name": "twice", "source": "0", "start": False}, 409, "already"),
    ],
)
def test_wrong_camera_is_refused_and_not_kept(clerk: httpx.Client, camera: dict[str, Any], code: int, says: str) -> None:
    clerk.post("/v1/cameras", json={"name": "twice", "source": "0", "start": False})
    answer = clerk.post("/v1/cameras", json=camera)
    assert (answer.status_code, answer.headers["content-type"]) == (code, "application/problem+json")
    assert says in answer.json()["detail"]
    assert clerk.get("/v1/cameras/faulty").status_code == 404


def process(command: str, brief: Any, told: Callable[[str, dict[str, Any]], None] = lambda *_: None) -> CameraProcess:
    return CameraProcess(brief, told, lambda _: None, ("/bin/sh", "-c", command))


class FakeBrief:
    """All that a process needs of a brief, where a shell plays the worker."""

    class camera:
        name = "shell"

    def as_line(self) -> str:
        return "{}\n"


STATUS = json.dumps({"say": "status", "state": "running", "error": None, "last_frame": None} | {
    name: 0 for name in ("frames", "fps", "dropped", "reconnects", "width", "height", "sightings")
})  # fmt: skip


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[CameraProcess]]:
    monkeypatch.setattr(cameras_module, "STOP_S", 0.2)
    processes: list[CameraProcess] = []
    yield processes
    for one in processes:
        one.stop(for_good=True)
        one.wait()


def test_process_that_dies_again_and_again_waits_longer_each_time(started: list[CameraProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(cameras_module, "BACK_OFF_S", (0.01, 0.02, 0.03))
    one = process("exit 3", FakeBrief())
    wait = one._stopping.wait
    monkeypatch.setattr(one._stopping, "wait", lambda s: (waits.append(s), wait(s))[1])
    started.append(one)
    one.start()
    wait_for(lambda: len(waits) >= 4, 10, "four new starts")
    assert waits[:4] == [0.01, 0.02, 0.03, 0.03]
    assert one.status.error == "its process ended with code 3"


def test_process_that_hangs_is_killed_and_started_anew(started: list[CameraProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras_module, "SILENT_S", 0.2)
    monkeypatch.setattr(cameras_module, "BACK_OFF_S", (0.01,))
    one = process(f"echo '{STATUS}'; exec sleep 60", FakeBrief())
    started.append(one)
    one.start()
    wait_for(lambda: one.status.state == "running", 10, "the process")
    first = one.status.pid
    time.sleep(0.3)
    one.kill_if_silent()
    wait_for(lambda: one.status.pid not in (first, None) and one.status.state == "running", 10, "the new process")
    assert (one.status.restarts, one.status.error) == (1, None)


def test_process_that_does_not_stop_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras_module, "STOP_S", 0.2)
    one = process(f"trap '' TERM; echo '{STATUS}'; while true; do sleep 0.1; done", FakeBrief())
    one.start()
    wait_for(lambda: one.status.state == "running", 10, "the process")
    one.stop(for_good=True)
    one.wait()
    assert one.status == CameraStatus("stopped", width=0, height=0)


@pytest.fixture
def shells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cameras whose processes are shells that say that they run, until their stdin ends or says stop."""
    monkeypatch.setattr(cameras_module, "STOP_S", 5.0)
    command = ("/bin/sh", "-c", f"read brief; echo '{STATUS}'; read order")
    monkeypatch.setattr(cameras_module, "CameraProcess", partial(CameraProcess, command=command))


@contextmanager
def cameras_of(folder: Path, registry: CollectorRegistry | None = None) -> Iterator[Cameras]:
    with Store(folder) as store:
        some = Cameras(store, ServeSettings(data=folder), lambda _: None, lambda: None, registry or CollectorRegistry())
        some.start()
        yield some
        some.stop()


@pytest.mark.usefixtures("shells")
def test_cameras_that_were_watched_are_watched_again_when_the_service_starts_again(tmp_path: Path) -> None:
    with cameras_of(tmp_path) as some:
        for name, wanted in (("gate", True), ("yard", False), ("stopped", True), ("gone", True)):
            some.put(CameraSetting.parse(name, {"source": "0", "wanted": wanted}))
        some.want("stopped", False)
        some.remove("gone")
        run = some.get("gate").run
        wait_for(lambda: some.status("gate").state == "running", 10, "the camera")
    with cameras_of(tmp_path) as some:
        wait_for(lambda: some.status("gate").state == "running", 10, "the camera")
        assert some.get("gate").run == run, "a recording goes on with the ids that it had"
        assert (some.names(), some.status("yard").state, some.status("stopped").state) == (["gate", "stopped", "yard"], "stopped", "stopped")
        pid = some.status("gate").pid
        some.want("gate", True)
        assert some.status("gate").pid == pid, "starting what runs changes nothing"
        some.put(some.get("gate"))
        wait_for(lambda: some.status("gate").pid not in (pid, None), 10, "the changed camera to begin anew")


SEEN = json.dumps({
    "say": "status", "state": "running", "error": None, "last_frame": "2026-05-01T12:00:00+00:00",
    "frames": 70, "fps": 12.5, "dropped": 3, "reconnects": 1, "width": 640, "height": 360, "sightings": 2,
})  # fmt: skip
FIRST = STATUS.replace('"frames": 0', '"frames": 1')
NOT_YET = STATUS.replace('"running"', '"connecting"')


def shell_cameras(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let a shell play each camera's process from now on."""
    monkeypatch.setattr(cameras_module, "STOP_S", 5.0)
    monkeypatch.setattr(cameras_module, "CameraProcess", partial(CameraProcess, command=("/bin/sh", "-c", script)))


def test_metrics_of_a_camera_are_0_when_it_is_stopped_and_gone_when_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell_cameras(monkeypatch, f"""read brief; echo '{SEEN}'; echo '{{"say": "stored", "seq": 1}}'; read order""")
    monkeypatch.setattr(cameras_module, "_WATCH_S", 0.01)
    registry = CollectorRegistry()
    labels = {"camera": "gate"}
    with cameras_of(tmp_path, registry) as some:
        some.put(CameraSetting.parse("gate", {"source": "0", "wanted": True}))
        wait_for(lambda: registry.get_sample_value("openplate_camera_fps", labels) == 12.5, 10, "the rate")
        wait_for(lambda: registry.get_sample_value("openplate_camera_sightings_total", labels) == 1, 10, "the count")
        assert registry.get_sample_value("openplate_camera_running", labels) == 1
        some.want("gate", False)
        assert registry.get_sample_value("openplate_camera_fps", labels) == 0
        assert registry.get_sample_value("openplate_camera_running", labels) == 0
        some.remove("gate")
        assert "gate" not in generate_latest(registry).decode()


def test_figures_stay_when_a_camera_is_stopped_and_until_the_next_process_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = json.dumps({"say": "error", "message": "no signal"})
    shell_cameras(monkeypatch, f"read brief; echo '{SEEN}'; echo '{fault}'; read order")
    with cameras_of(tmp_path) as some:
        some.put(CameraSetting.parse("gate", {"source": "0", "wanted": True}))
        wait_for(lambda: some.status("gate").error is not None, 10, "the fault")
        some.want("gate", False)
        kept = some.status("gate")
        assert (kept.state, kept.frames, kept.sightings, kept.fps, kept.error) == ("stopped", 70, 2, 0.0, "no signal")
        assert kept.last_frame == datetime(2026, 5, 1, 12, tzinfo=UTC)
        shell_cameras(monkeypatch, f"read brief; echo '{NOT_YET}'; read order; echo '{FIRST}'; read order")
        some.want("gate", True)
        wait_for(lambda: some.status("gate").state == "connecting", 10, "the next process")
        assert some.status("gate") == replace(kept, state="connecting", pid=some.status("gate").pid)
        monkeypatch.setattr(cameras_module, "SNAPSHOT_S", 0.1)
        with suppress(NotRunning):
            some.snapshot("gate", False)  # the shell takes it for the order to go on
        wait_for(lambda: some.status("gate").state == "running", 10, "the next process to have seen something")
        now = some.status("gate")
        assert (now.state, now.frames, now.sightings, now.error, now.error_at) == ("running", 1, 0, None, None)
        some.remove("gate")
        assert some.status("gate") == CameraStatus()


def test_process_that_dies_says_why_with_the_last_line_of_its_stderr(started: list[CameraProcess]) -> None:
    command = "printf 'Traceback\\n  rtsp://me:pw@10.0.0.5 x\\nModuleNotFoundError: rtsp://me:pw@10.0.0.5\\n\\n' >&2; exit 1"
    started.append(one := process(command, FakeBrief()))
    one.start()
    wait_for(lambda: one.status.error is not None, 10, "the fault")
    assert one.status.error == "its process ended with code 1: ModuleNotFoundError: rtsp://…@10.0.0.5"


def test_process_that_said_what_is_wrong_is_believed_instead(started: list[CameraProcess]) -> None:
    started.append(one := process("""echo late >&2; echo '{"say": "error", "message": "no such country"}'; exit 1""", FakeBrief()))
    one.start()
    wait_for(lambda: one.status.state == "restarting", 10, "the end")
    assert one.status.error == "no such country"


def test_start_while_the_end_of_a_recording_is_noted_is_not_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell_cameras(monkeypatch, """read brief; echo '{"say": "ended"}'""")
    monkeypatch.setattr(cameras_module, "_WATCH_S", 100.0)
    with cameras_of(tmp_path) as some:
        some.put(CameraSetting.parse("gate", {"source": "0", "wanted": True}))
        wait_for(lambda: some.status("gate").state == "ended", 10, "the end")
        get, starting = some.get, threading.Thread(target=lambda: some.want("gate", True))

        def get_and_let_another_start(name: str) -> CameraSetting:
            setting = get(name)
            some.get = get  # type: ignore[method-assign]
            starting.start()
            starting.join(1.0)  # without a lock it goes on here; with one it waits
            return setting

        some.get = get_and_let_another_start  # type: ignore[method-assign]
        some._note_end("gate", some._processes["gate"])
        starting.join(10)
        assert some.get("gate").wanted


def test_one_service_watches_the_cameras_of_a_database_and_the_next_takes_over(tmp_path: Path, shells: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras_module, "CLAIM_S", 0.05)
    said: list[str] = []
    log = logging.getLogger("of this test")  # services that run in this process settle where the lines of the module's own one go
    log.addFilter(lambda record: said.append(record.getMessage()) is not None)
    monkeypatch.setattr(cameras_module, "_LOG", log)
    gate = CameraSetting.parse("gate", {"source": "0", "wanted": True})
    with cameras_of(tmp_path) as second, cameras_of(tmp_path) as first:
        with pytest.raises(Conflict, match="another service watches the cameras of this database; ask the one that watches them"):
            first.put(gate)
        assert said == ["another service watches the cameras of this database; this one answers calls, and takes over when that one has ended"]
        second.put(gate)
        wait_for(lambda: second.status("gate").state == "running", 10, "the camera")
        assert first.status("gate") == CameraStatus(error="another service watches the cameras of this database")
        for refused in (lambda: first.want("gate", False), lambda: first.remove("gate"), lambda: first.snapshot("gate", False)):
            with pytest.raises(Conflict):
                refused()
        second.stop()
        wait_for(lambda: first.status("gate").state == "running", 10, "the other service to take over")
        assert first.get("gate").wanted


@pytest.mark.usefixtures("shells")
def test_service_that_lost_its_claim_to_another_ends_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras_module, "CLAIM_S", 0.05)
    with cameras_of(tmp_path) as some:
        some.put(CameraSetting.parse("gate", {"source": "0", "wanted": True}))
        wait_for(lambda: some.status("gate").state == "running", 10, "the camera")
        monkeypatch.setattr(some._claim, "take", lambda: False)
        wait_for(lambda: some.status("gate").state == "stopped", 10, "the end of its process")
        assert some.get("gate").wanted
        monkeypatch.undo()
        wait_for(lambda: some.status("gate").state != "stopped", 20, "the next claim")


@pytest.mark.usefixtures("shells")
def test_service_without_cameras_answers_calls_alone(tmp_path: Path) -> None:
    with cameras_of(tmp_path) as some:
        some.put(CameraSetting.parse("gate", {"source": "0", "wanted": False}))
        with Store(tmp_path) as store:
            other = Cameras(store, ServeSettings(data=tmp_path, cameras=False), lambda _: None, lambda: None, CollectorRegistry())
            other.start()
            assert (other.names(), other.status("gate").error) == (["gate"], "this service was started with --no-cameras")
            with pytest.raises(Conflict):
                other.want("gate", True)
            other.stop()


def test_words_that_are_none_are_passed_over(started: list[CameraProcess]) -> None:
    told: list[str] = []
    one = process("""echo nonsense; echo '{"say": "stored", "seq": 1}'; echo '{"say": "ended"}'""", FakeBrief(), lambda what, _: told.append(what))
    started.append(one)
    one.start()
    wait_for(lambda: one.status.state == "ended", 10, "the end")
    assert told == ["stored", "ended"]
