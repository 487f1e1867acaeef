"""What a camera's process does, without the process: painted films are watched, and what is stored is looked at."""

from __future__ import annotations

import base64
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from openplate.camera import Camera
from openplate.errors import SourceError, StoreError
from openplate.pipeline import Options
from openplate.serve import camera_worker
from openplate.serve.actions import WEBHOOK, Sender, Wanted, Webhook, as_setting, new_secret
from openplate.serve.camera_worker import Brief, CameraWatch, Outlet
from openplate.sources import read_image
from openplate.store import Store
from openplate.streams import GivenFrames, Stream
from openplate.track import WatchSettings
from openplate.types import Frame
from tests.serve.parade import Receiver, wait_for
from tests.store import postgres
from tests.track.scenes import Film, Shown

RUN = datetime(2026, 5, 1, 12, tzinfo=UTC)
TEXT = "A123BC77"
FRAMES = 24


def film(shows: Callable[[int], list[Shown]] = lambda n: [Shown("a", TEXT, 100 + 6 * n, 150)]) -> Film:
    return Film(shows)


def brief(folder: Path, **changes: Any) -> Brief:
    camera = Camera("gate", "street.mp4", watch=WatchSettings(keep_frames=True))
    return replace(Brief(folder, None, "plain", Options(), camera, RUN, None), **changes)


class Watched:
    """One watching of a film, and what it said."""

    def __init__(self, given: Brief, shown: Film, frames: int = FRAMES, opener: Callable[[str, Any], Stream] | None = None) -> None:
        self._said = io.StringIO()
        opened = opener or (lambda *_: GivenFrames([shown.frame(n) for n in range(frames)], 25.0))
        self.watch = CameraWatch(given, Outlet(self._said), lambda _: shown, opened)  # type: ignore[arg-type,return-value]

    def run(self) -> list[dict[str, Any]]:
        self.watch.run()
        return self.said()

    def said(self, what: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._said.getvalue().splitlines()]
        return [line for line in lines if what is None or line["say"] == what]


def test_brief_crosses_the_pipe_unchanged() -> None:
    given = brief(
        Path("/data"),
        database="postgresql://user:secret@host/openplate",
        options=Options(country=("ru",), threads=2, detector=Path("/models/d.onnx")),
        camera=Camera("gate", "0", ("ru",), (), WatchSettings(masks=(((0.0, 0.0), (1.0, 0.0), (1.0, 0.1)),), line=((0.0, 0.5), (1.0, 0.5)))),
        recorded_at=RUN + timedelta(days=1),
    )
    assert Brief.from_line(given.as_line()) == given


@pytest.mark.parametrize(("own", "used"), [((), ("ru",)), (("kz",), ("kz",))])
def test_camera_without_countries_expects_those_of_the_service(tmp_path: Path, own: tuple[str, ...], used: tuple[str, ...]) -> None:
    made: list[Options] = []
    shown = film()

    def build(options: Options) -> Film:
        made.append(options)
        return shown

    given = brief(tmp_path, options=Options(country=("ru",), threads=2), camera=Camera("gate", "street.mp4", country=own))
    frames = GivenFrames([shown.frame(0)], 25.0)
    CameraWatch(given, Outlet(io.StringIO()), build, lambda *_: frames).run()  # type: ignore[arg-type]
    assert [(one.country, one.threads) for one in made] == [(used, 2)]


def test_visit_is_stored_with_its_time_and_evidence(tmp_path: Path) -> None:
    watched = Watched(brief(tmp_path), film())
    said = watched.run()
    assert [line["say"] for line in said if line["say"] != "status"] == ["opened", "stored", "ended"]
    with Store(tmp_path) as store:
        (one,) = store.after(0)
        assert (one.id, one.text, one.camera) == ("gate-20260501T120000Z-1", TEXT, "gate")
        assert one.last == RUN + timedelta(seconds=(FRAMES - 1) / 25)
        frame, crop = (read_image(store.evidence.read(picture))[0].image for picture in one.pictures)
        assert frame.shape == (360, 640, 3)
        assert one.quad is not None and crop.shape[1] > crop.shape[0]


def test_recording_watched_again_in_the_same_run_stores_none_twice(tmp_path: Path) -> None:
    for _ in range(2):
        Watched(brief(tmp_path), film()).run()
    Watched(brief(tmp_path, run=RUN + timedelta(hours=1)), film()).run()
    with Store(tmp_path) as store:
        assert [one.id for one in store.after(0)] == ["gate-20260501T120000Z-1", "gate-20260501T130000Z-1"]


@pytest.mark.parametrize(("for_good", "stored"), [(True, 1), (False, 0)])
def test_stopped_recording_keeps_its_visit_only_when_it_is_not_watched_again(tmp_path: Path, for_good: bool, stored: int) -> None:
    shown = film()

    class Stopped(GivenFrames):
        def __next__(self) -> Frame:
            frame = super().__next__()
            if frame.index == 20:
                watched.watch.stop(for_good)
            return frame

    watched = Watched(brief(tmp_path), shown, opener=lambda *_: Stopped([shown.frame(n) for n in range(FRAMES)], 25.0))
    said = watched.run()
    assert not {"ended", "error"} & {line["say"] for line in said}, "to be stopped is no fault"
    with Store(tmp_path) as store:
        assert len(store.after(0)) == stored


def test_source_that_fails_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_worker, "_RETRY_S", (0.01,))
    shown, tries = film(), []

    def opener(*_: object) -> GivenFrames:
        tries.append(1)
        if len(tries) < 3:
            raise SourceError("street.mp4: nothing there")
        return GivenFrames([shown.frame(n) for n in range(FRAMES)], 25.0)

    said = Watched(brief(tmp_path), shown, opener=opener).run()
    assert [line["message"] for line in said if line["say"] == "error"] == ["street.mp4: nothing there"] * 2
    assert said[-2]["error"] is None
    with Store(tmp_path) as store:
        assert len(store.after(0)) == 1


def test_database_that_is_away_for_a_while_loses_no_visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_worker, "_RETRY_S", (0.01,))
    add, tries = Store.add, []

    def failing(store: Store, *given: Any) -> Any:
        tries.append(1)
        if len(tries) < 4:
            raise StoreError("the database does not answer") from OSError()
        return add(store, *given)

    monkeypatch.setattr(Store, "add", failing)
    said = Watched(brief(tmp_path), film()).run()
    assert len([line for line in said if line["say"] == "error"]) == 3
    with Store(tmp_path) as store:
        assert [one.text for one in store.after(0)] == [TEXT]


def test_hashed_store_keeps_no_plate_in_texts_pictures_or_news(tmp_path: Path) -> None:
    said = Watched(brief(tmp_path, privacy="hash"), film()).run()
    assert TEXT not in json.dumps(said)
    with Store(tmp_path, privacy="hash") as store:
        (one,) = store.after(0)
        assert one.text is not None and one.text.startswith("h:")
        (picture,) = one.pictures
        assert (picture.kind, one.quad is not None) == ("frame", True)
        assert one.quad is not None
        x0, y0 = one.quad.min(axis=0).astype(int)
        x1, y1 = one.quad.max(axis=0).astype(int)
        blurred = read_image(store.evidence.read(picture))[0].image[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2]
    number = next(n for n in range(FRAMES) if abs(100 + 6 * n - (x0 + x1) / 2) < 2)
    painted = film().frame(number).image[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2]
    assert edges(blurred) < 0.2 * edges(painted)


def test_visit_and_its_message_are_kept_in_postgresql(tmp_path: Path) -> None:
    if postgres.binaries() is None and not os.environ.get("OPENPLATE_NEEDS_POSTGRES"):
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with postgres.running() as url, Receiver() as receiver, Store(tmp_path, url) as store:
        store.settings.put(WEBHOOK, "gate", as_setting(Webhook(receiver.url, new_secret(), Wanted(("opened", "sighting")))))
        sender = Sender(store, CollectorRegistry())
        sender.start()
        Watched(brief(tmp_path, database=url), film()).run()
        (one,) = store.after(0)
        wait_for(lambda: receiver.told[one.id] == 2, 15, "both messages")
        sender.stop()
        assert [json.loads(body)["data"]["seq"] for _, body in receiver.requests] == [0, one.seq]


def edges(image: np.ndarray[Any, Any]) -> float:
    return float(np.abs(np.diff(image.astype(np.int32), axis=1)).mean())


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[Watched]:
    """A camera whose frames never end."""
    shown = film()

    class Endless(GivenFrames):
        live = True
        started_at = RUN.timestamp()

        def __init__(self) -> None:
            super().__init__([shown.frame(0)], 25.0)
            self._number = 0

        def __next__(self) -> Frame:
            time.sleep(0.01)
            self._number += 1
            return replace(shown.frame(self._number % FRAMES), index=self._number, time_s=self._number / 25)

    watched = Watched(brief(tmp_path), shown, opener=lambda *_: Endless())
    thread = threading.Thread(target=watched.watch.run, daemon=True)
    thread.start()
    yield watched
    watched.watch.stop(for_good=True)
    thread.join(10)
    assert not thread.is_alive()


def test_running_camera_tells_how_it_is_and_gives_pictures(endless: Watched) -> None:
    endless.watch.ask_snapshot(5, marked=False)
    endless.watch.ask_snapshot(6, marked=True)
    wait_for(lambda: len(endless.said("snapshot")) == 2, 10, "the pictures")
    plain, marked = (read_image(base64.b64decode(line["jpeg"]))[0].image for line in endless.said("snapshot"))
    assert plain.shape == marked.shape == (360, 640, 3)
    wait_for(lambda: endless.said("status")[-1]["fps"] > 5, 10, "a rate")
    assert endless.said("status")[-1]["state"] == "running"
