"""Drawn plates that pass, and a real receiver of webhooks: what `bench/serve_kill.py` measures with."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from openplate.pipeline import Pipeline
from openplate.streams import open_stream
from openplate.track.settings import WatchSettings
from openplate.watch import Watcher

SCRIPT = Path(__file__).parents[2] / "bench" / "serve_kill.py"


def _load():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("bench_serve_kill", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bench = _load()
Receiver = bench.Receiver
draw_parade = bench.draw_parade
WATCH = bench.WATCH
COUNTRY = bench.COUNTRY


def watch_unbroken(path: Path) -> list[str | None]:
    """The texts of the sightings that a parade gives when nothing interrupts it; which drawn plates are found differs a little between machines."""
    watcher = Watcher(Pipeline(country=COUNTRY, threads=1), WatchSettings(**WATCH))
    with open_stream(str(path)) as stream:
        events = [event for frame in stream for event in watcher.feed(frame)] + watcher.close()
    return [event.sighting.text for event in events if event.state == "closed"]


def wait_for(holds, limit_s: float, what: str) -> None:  # type: ignore[no-untyped-def]
    """Wait until something holds."""
    try:
        bench.wait_for(holds, limit_s, what)
    except SystemExit as error:
        raise AssertionError(str(error)) from None
