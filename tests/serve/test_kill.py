"""A service that is killed while its camera stores sightings, at the smallest size of `bench/serve_kill.py`."""

from __future__ import annotations

from pathlib import Path

from tests.serve.parade import bench, watch_unbroken


def test_killed_service_loses_no_sighting_and_no_message(tmp_path: Path) -> None:
    outcome = bench.run(tmp_path, vehicles=24, kills=1, refuses=5, say=lambda _: None)
    assert (outcome.lost, outcome.without_evidence, outcome.untold, outcome.left_over) == (0, 0, 0, 0)
    assert outcome.sightings == len(watch_unbroken(tmp_path / "parade.mp4"))
    assert outcome.right >= 22
