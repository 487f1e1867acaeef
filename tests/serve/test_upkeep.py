"""How long things are kept: set over HTTP, done in the background."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from openplate.serve.upkeep import Upkeep, keep_for, kept_for
from openplate.store import Retention, Store
from tests.serve.parade import wait_for
from tests.store.conftest import sighting


def test_sightings_go_by_their_age_in_the_background(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        now = datetime.now(UTC)
        for number, days in enumerate((1, 40)):
            store.add(replace(sighting(number, at=now - timedelta(days=days))))
        keep_for(store, Retention(days=30))
        upkeep = Upkeep(store, first_s=0.01)
        upkeep.start()
        wait_for(lambda: store.get("s1") is None, 10, "the old sighting to go")
        upkeep.stop()
        assert store.get("s0") is not None


def test_retention_is_kept_as_it_is_set(clerk: httpx.Client, tmp_path: Path) -> None:
    assert clerk.get("/v1/retention").json() == {"days": None, "picture_days": None, "finished_days": 7}
    wanted = {"days": 365, "picture_days": 30, "finished_days": 1}
    assert clerk.put("/v1/retention", json=wanted).json() == wanted
    assert clerk.get("/v1/retention").json() == wanted
    assert clerk.put("/v1/retention", json={"days": -1}).status_code == 422
    clerk.put("/v1/retention", json={})
    with Store(tmp_path) as store:
        assert kept_for(store) == Retention()
