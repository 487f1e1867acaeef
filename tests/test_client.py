from __future__ import annotations

import json
import queue
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest

from openplate.client import (
    Client,
    Count,
    Entry,
    NewCamera,
    NewEntry,
    PlateList,
    Query,
    Vehicle,
    photo_from_json,
)
from openplate.errors import ServiceError, SourceError
from openplate.results import photo_as_json
from openplate.serve.settings import ServeSettings
from openplate.store import NewPicture, NewSighting
from openplate.types import Candidate, Character, Detection, EngineReport, Milliseconds, PhotoResult, Plate, Reading
from tests.serve.parade import wait_for
from tests.serve.running import Running, photo, plate_text, running

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
QUAD = np.array([[10, 20], [60, 22], [60, 33], [10, 31]], np.float32)


def sighting(number: int, plate: str | None = "A123BC77", camera: str = "gate", pictures: tuple[NewPicture, ...] = ()) -> NewSighting:
    last = NOON + timedelta(minutes=number)
    return NewSighting(
        id=f"s{number}",
        camera=camera,
        source="rtsp://10.0.0.5/1",
        status="read" if plate else "unreadable",
        text=plate,
        confidence=0.9,
        characters=tuple(Character(c, 0.9) for c in plate or "A1"),
        candidates=(Candidate(plate or "A1", 0.9, "RU/1"),),
        country="RU",
        format="RU/1",
        first=last - timedelta(seconds=2),
        last=last,
        looks=3,
        quad=QUAD,
        pictures=pictures,
    )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Ten sightings `s0` to `s9`, a minute apart, the even ones at the gate; `s9` is unreadable, `s8` has a picture."""
    with running(ServeSettings(port=0, data=tmp_path_factory.mktemp("data"), workers=1)) as one:
        store = one.service.store
        store.lists.create("residents", "allow")
        store.register.import_csv(b"plate,make,permit until\nA123BC77,Lada,2031-03-31\n")
        for number in range(10):
            pictures = (NewPicture("crop", b"bytes of a picture", "image/png"),) if number == 8 else ()
            store.add(sighting(number, None if number == 9 else "A123BC77", "yard" if number % 2 else "gate", pictures))
        yield one


@pytest.fixture
def client(service: Running) -> Iterator[Client]:
    with Client(service.url) as one:
        yield one


def test_a_photo_gives_the_plates_that_are_in_it(client: Client) -> None:
    (result,) = client.read(photo(), country=["ru"])
    assert [plate.text for plate in result.plates if plate.status == "read"] == [plate_text()]
    assert (result.width, result.height) == (960, 540)
    assert result.engine.device == "cpu"


def test_a_file_is_sent_under_its_name_and_one_that_is_missing_is_an_error(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "street.jpg"
    path.write_bytes(photo())
    assert client.read(path)[0].source == "street.jpg"
    with pytest.raises(SourceError, match=r"missing\.jpg: cannot be read"):
        client.read(tmp_path / "missing.jpg")


def test_the_annotated_picture_is_a_jpeg_file(client: Client) -> None:
    assert client.annotated(photo()).startswith(b"\xff\xd8\xff")


def test_what_is_no_picture_is_refused_with_the_services_words(client: Client) -> None:
    with pytest.raises(ServiceError, match="expected a JPEG, PNG") as refused:
        client.read(b"no picture at all")
    assert refused.value.status == 422


def test_a_photos_result_survives_the_way_through_json() -> None:
    reading = Reading("A1", 0.75, (Character("A", 0.8), Character("1", 0.9)), (Candidate("A1", 0.75, "RU/1"),), "RU", "RU/1", 1)
    plate = Plate("unreadable", None, "confidence is low", Detection(QUAD, 0.5), reading)
    before = PhotoResult("x.jpg", 640, 480, (plate,), EngineReport("openvino", "1", "cpu", "bf16", 2), Milliseconds(1.0, 2.0, 3.0, 4.0))
    after = photo_from_json(json.loads(json.dumps(photo_as_json(before))))
    assert after.plates[0].reading == reading
    assert (after.plates[0].status, after.plates[0].text, after.plates[0].reason) == ("unreadable", None, "confidence is low")
    assert np.array_equal(after.plates[0].detection.quad, QUAD)
    assert (after.source, after.engine, after.milliseconds) == (before.source, before.engine, before.milliseconds)


@pytest.mark.parametrize("change", [{"plates": [{}]}, {"width": None, "plates": None}, {"engine": {"name": "x"}}])
def test_an_answer_of_another_form_is_told_as_such(change: dict[str, object]) -> None:
    good = {"image": "x", "width": 1, "height": 1, "plates": [], "engine": {}, "milliseconds": {}}
    with pytest.raises(ServiceError, match="of another version"):
        photo_from_json(good | change)


def test_pages_follow_one_another_until_everything_was_given_once(client: Client) -> None:
    assert [one.id for one in client.sightings(page_size=3)] == [f"s{number}" for number in range(9, -1, -1)]
    page = client.search(size=4)
    assert [one.id for one in page.sightings] == ["s9", "s8", "s7", "s6"]
    assert page.next is not None
    assert client.search(Query(cameras=("gate",), until=NOON + timedelta(minutes=1))).next is None


def test_filters_hold_together(client: Client) -> None:
    query = Query("A123", "contains", cameras=("gate",), since=NOON + timedelta(minutes=3), status="read", countries=("RU",), min_confidence=0.5)
    assert [one.id for one in client.sightings(query)] == ["s8", "s6", "s4"]
    (first, *_) = client.sightings(Query("A1238C77", "fuzzy", order="match"))
    assert first.match is not None
    assert 0 < first.match < 0.5


def test_a_sighting_comes_with_all_that_was_stored(client: Client) -> None:
    found = client.sighting("s8")
    assert found is not None
    assert (found.text, found.camera, found.last) == ("A123BC77", "gate", NOON + timedelta(minutes=8))
    assert found.characters[0] == Character("A", 0.9)
    assert found.quad is not None
    assert np.array_equal(found.quad, QUAD)
    assert found.vehicle is not None
    assert (found.vehicle.make, found.vehicle.permit_until) == ("Lada", datetime(2031, 4, 1, tzinfo=UTC))
    assert client.picture(found.pictures[0]) == b"bytes of a picture"
    assert client.sighting("not there") is None


def test_counts_and_the_csv_file_follow_the_query(client: Client) -> None:
    assert client.count("camera") == [Count("gate", 5), Count("yard", 5)]
    assert client.count("hour", Query(status="unreadable")) == [Count("2026-05-01T12:00Z", 1)]
    lines = client.export_csv(Query(cameras=("yard",))).decode().splitlines()
    assert len(lines) == 1 + 5
    assert lines[0].startswith("id,") or "id" in lines[0].split(",")


def test_a_list_is_made_changed_filled_and_removed(client: Client) -> None:
    made = client.create_list(PlateList("night shift, B", "watch", "x", 0.3, 365.0))
    assert made == PlateList("night shift, B", "watch", "x", 0.3, 365.0)
    assert client.change_list("night shift, B", replace(made, kind="block", keep_days=None)).keep_days is None
    until = datetime(2031, 1, 1, tzinfo=UTC)
    first, second = client.add_entries("night shift, B", [NewEntry("a123bc77", valid_until=until), NewEntry("H###@@199", "wildcard", note="flat 12")])
    assert first == Entry(first.id, "A123BC77", "plate", None, until, "")
    client.remove_entry("night shift, B", first.id)
    assert client.entries("night shift, B") == [second]
    client.remove_list("night shift, B")
    assert [one.name for one in client.lists()] == ["residents"]


def test_the_register_takes_one_vehicle_or_a_file(client: Client) -> None:
    kept = client.put_vehicle(Vehicle("b777bb99", "Volvo", permit_until=NOON))
    assert kept == Vehicle("B777BB99", "Volvo", permit_until=NOON)
    assert client.vehicle("В777ВВ99") == kept  # Cyrillic look-alikes
    done = client.import_register(b"plate,colour,garage\nB777BB99,blue,3\n,red,4\n")
    assert (done.added, done.updated, done.ignored_columns) == (0, 1, ("garage",))
    assert done.faults[0].line == 3
    assert [one.plate for one in client.vehicles(after="A999")] == ["B777BB99"]
    client.remove_vehicle("B777BB99")
    assert client.vehicle("B777BB99") is None


def test_a_camera_is_added_changed_and_removed_and_has_no_picture_while_it_stands_still(client: Client) -> None:
    made = client.add_camera(NewCamera("door", "rtsp://user:secret@10.0.0.9/1", ("ru",), watch={"min_confidence": 0.95}, start=False))
    assert (made.source, made.wanted, made.status.state, made.watch) == ("rtsp://10.0.0.9/1", False, "stopped", {"min_confidence": 0.95})
    assert client.change_camera("door", {"country": ["kz"]}).country == ("kz",)
    assert client.snapshot("door") is None
    assert client.stop_camera("door").wanted is False
    client.remove_camera("door")
    assert client.camera("door") is None
    assert client.cameras() == []


def test_events_begin_behind_a_number_and_go_on_when_the_service_comes_back(tmp_path: Path) -> None:
    settings = ServeSettings(port=0, data=tmp_path, workers=1)
    with running(settings) as one:
        store, port = one.service.store, one.port
        for number in range(3):
            store.add(sighting(number))
        events = Client(one.url).events(["sighting"], after=1)
        assert [next(events).sighting.id for _ in range(2)] == ["s1", "s2"]  # type: ignore[union-attr]
    with running(replace(settings, port=port)) as one:
        one.service.store.add(sighting(3, camera="yard"))
        event = next(events)
        assert (event.topic, event.camera) == ("sighting", "yard")
        assert event.sighting is not None
        assert event.sighting.id == "s3"
        events.close()  # type: ignore[attr-defined]


class Between:
    """A proxy in front of a service, which can be cut and mended."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._open: list[socket.socket] = []
        self.port = 0
        self.mend()

    def mend(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def cut(self) -> None:
        for one in (self._listening, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open = []

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = listening.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
                self._open += [here, there]
                for source, target in ((here, there), (there, here)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                target.sendall(part)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def test_events_of_a_connection_that_broke_before_the_first_sighting_are_given_later(tmp_path: Path) -> None:
    with running(ServeSettings(port=0, data=tmp_path, workers=1)) as one:
        store, heard = one.service.store, one.service.events
        store.add(sighting(0))
        between = Between(one.port)
        given: queue.Queue[str] = queue.Queue()

        def listen() -> None:
            for event in Client(f"http://127.0.0.1:{between.port}").events(["sighting"]):
                assert event.sighting is not None
                given.put(event.sighting.id)

        threading.Thread(target=listen, daemon=True).start()
        wait_for(lambda: heard.listeners == 1, 10, "the client")
        between.cut()
        wait_for(lambda: heard.listeners == 0, 10, "the client to be gone")
        store.add(sighting(1))
        between.mend()
        assert given.get(timeout=15) == "s1"
        store.add(sighting(2))
        heard.stored()
        assert given.get(timeout=15) == "s2"
        between.cut()


def test_events_are_read_whatever_the_parts_in_which_they_come() -> None:
    text = 'retry: 2000\n\nevent: camera\ndata: {"camera":"gate","state":"stopped","error":"a\u2028b"}\n\n: still here\n\nevent: camera\ndata: {"cam'
    rest = 'era":"yard","state":"running","error":null}\n\n'

    class Parts(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for byte in (text + rest).encode():  # one byte at a time: characters of several bytes are cut too
                yield bytes([byte])

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Parts()))
    events = Client(transport=transport).events(["camera"])
    first, second = next(events), next(events)
    assert (first.camera, first.state, first.error) == ("gate", "stopped", "a\u2028b")
    assert (second.camera, second.state, second.error) == ("yard", "running", None)


def test_a_key_is_sent_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    with running(ServeSettings(port=0, data=tmp_path, workers=1, require_keys=True)) as one:
        made = one.service.store.keys.create("gate", "read")
        with Client(one.url, made.secret) as client:
            client.check()
            with pytest.raises(ServiceError, match="role write") as refused:
                client.create_list(PlateList("residents", "allow"))
            assert refused.value.status == 403
        for key in (None, "wrong"):
            with Client(one.url, key) as client, pytest.raises(ServiceError) as refused:
                client.check()
            assert refused.value.status == 401


def test_a_service_that_is_not_there_is_told_with_its_address() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServiceError, match=re.escape("http://127.0.0.1:9 does not answer")) as refused:
        client.lists()
    assert refused.value.status is None


@pytest.mark.parametrize("server", ["10.0.0.5:8080", "ftp://x", "", "http://[::1"])
def test_an_address_that_is_none_is_refused_at_once(server: str) -> None:
    with pytest.raises(ServiceError, match="expected an address such as http://127.0.0.1:8080"):
        Client(server)


def test_a_key_with_a_line_break_is_refused_without_showing_it() -> None:
    with pytest.raises(ServiceError, match="copy it again") as refused:
        Client(key="opk_secret\n")
    assert "secret" not in str(refused.value)


def test_a_busy_service_says_when_to_come_again() -> None:
    problem = {"title": "Service Unavailable", "status": 503, "detail": "64 pictures wait already"}
    busy = httpx.MockTransport(lambda request: httpx.Response(503, json=problem, headers={"Retry-After": "2"}))
    with pytest.raises(ServiceError, match="64 pictures wait already") as refused:
        Client(transport=busy).read(b"x")
    assert (refused.value.status, refused.value.retry_after_s) == (503, 2.0)


@pytest.mark.parametrize("body", ["<html>a proxy</html>", "{}", "3"])
def test_an_answer_of_something_else_is_no_crash(body: str) -> None:
    other = httpx.MockTransport(lambda request: httpx.Response(200, text=body))
    with pytest.raises(ServiceError, match="something else"):
        Client(transport=other).lists()
    with pytest.raises(ServiceError):
        Client(transport=httpx.MockTransport(lambda request: httpx.Response(502, text=body))).lists()


def test_whether_plates_are_hashed_is_told_and_a_service_that_does_not_say_keeps_them(client: Client, tmp_path: Path) -> None:
    assert client.privacy() == "plain"
    with running(ServeSettings(port=0, data=tmp_path, workers=1, privacy="hash")) as one, Client(one.url) as hashed:
        assert hashed.privacy() == "hash"
    older = httpx.MockTransport(lambda _: httpx.Response(200, json={"status": "ok"}))
    assert Client(transport=older).privacy() == "plain"


def test_keys_that_a_newer_service_adds_are_passed_over() -> None:
    newer = [{"name": "a", "kind": "allow", "note": "", "min_match": 1, "keep_days": None, "colour": "red"}]
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=newer))
    assert Client(transport=transport).lists() == [PlateList("a", "allow", "", 1.0, None)]


def test_the_documents_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    document = (Path(__file__).parents[1] / "docs" / "client.md").read_text(encoding="utf8")
    code = document.split("```python\n")[1].split("```")[0].partition("    for event in")[0]  # events have no end
    (tmp_path / "street.jpg").write_bytes(photo())
    monkeypatch.chdir(tmp_path)
    with running(ServeSettings(port=0, data=tmp_path / "data", workers=1)) as one:
        one.service.store.add(sighting(1))
        exec(compile(code.replace("http://127.0.0.1:8080", one.url), "client.md", "exec"), {})  # noqa: S102
        assert [entry.kind for entry in one.service.store.lists.entries("residents")] == ["plate", "wildcard"]
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(plate_text()) for line in lines)
    assert lines[-1].startswith("2026-05-01 12:01:00+00:00 A123BC77 0.")


def test_every_method_is_in_the_document() -> None:
    document = (Path(__file__).parents[1] / "docs" / "client.md").read_text(encoding="utf8")
    methods = [name for name in vars(Client) if not name.startswith("_") and name != "close"]
    assert [name for name in methods if f"`{name}`" not in document] == []
