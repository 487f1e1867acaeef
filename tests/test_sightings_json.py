import json

import numpy as np

from openplate.geometry import box_to_quad
from openplate.sightings_json import SIGHTING_CSV_HEADER, counts_as_json, event_as_csv, event_as_json
from openplate.types import Candidate, Character, Reading, Sighting, SightingEvent, WatchCounts


def event(status: str = "read", reasons: tuple[str, ...] = ()) -> SightingEvent:
    reading = Reading(
        "A1", 0.98767, (Character("A", 0.999), Character("1", 0.98)), (Candidate("A1", 0.98767, "RU/1"),), "RU", "RU/1", 1, 0.76549, None
    )
    sighting = Sighting(
        id="gate-7",
        status=status,  # type: ignore[arg-type]
        text="A1" if status == "read" else None,
        reading=reading,
        first_s=1.23456,
        last_s=4.0,
        looks=5,
        agreeing=4,
        detection_confidence=0.87654,
        frame=42,
        frame_s=1.68,
        quad=box_to_quad(10, 20, 30.456, 25),
        crop=np.zeros((4, 8, 3), np.uint8),
        picture=b"jpeg",
        direction="approaching",
        heading=None,
        parked=False,
        crossed="in",
        reasons=reasons,
    )
    return SightingEvent("closed", 5.00049, sighting)


def test_event_is_one_flat_object_without_pictures() -> None:
    assert event_as_json(event(), "gate.mp4") == {
        "version": 1,
        "event": "sighting",
        "state": "closed",
        "time_s": 5.0,
        "source": "gate.mp4",
        "id": "gate-7",
        "status": "read",
        "text": "A1",
        "confidence": 0.9876,
        "characters": [{"text": "A", "confidence": 0.999}, {"text": "1", "confidence": 0.98}],
        "candidates": [{"text": "A1", "confidence": 0.9876, "format": "RU/1"}],
        "country": "RU",
        "format": "RU/1",
        "country_confidence": 0.7654,
        "format_confidence": None,
        "lines": 1,
        "first_s": 1.235,
        "last_s": 4.0,
        "looks": 5,
        "agreeing": 4,
        "frame": 42,
        "frame_s": 1.68,
        "quad": [[10.0, 20.0], [30.46, 20.0], [30.46, 25.0], [10.0, 25.0]],
        "detection_confidence": 0.8765,
        "direction": "approaching",
        "heading": None,
        "parked": False,
        "crossed": "in",
        "reasons": [],
    }


def test_unreadable_event_has_no_text_but_candidates_and_reasons() -> None:
    data = json.loads(json.dumps(event_as_json(event("unreadable", ("unsure", "blurred")), "x")))
    assert (data["text"], data["status"], data["reasons"]) == (None, "unreadable", ["unsure", "blurred"])
    assert data["candidates"][0]["text"] == "A1"


def test_csv_row_has_a_cell_for_each_column_and_empty_ones_for_null() -> None:
    row = dict(zip(SIGHTING_CSV_HEADER, event_as_csv(event("unreadable", ("unsure", "blurred")), "x"), strict=True))
    assert (row["text"], row["heading"], row["reasons"], row["parked"]) == ("", "", "unsure blurred", "no")
    assert (row["x1"], row["y1"], row["x3"], row["y3"]) == ("10.0", "20.0", "30.46", "25.0")


def test_counts_keep_each_reason() -> None:
    counts = WatchCounts(100, 17, 9, 9, 2, 1, 1, 0, (("masked", 3), ("unsure", 1)))
    assert counts_as_json(counts) == {
        "frames": 100,
        "detector_runs": 17,
        "straightener_runs": 9,
        "reader_runs": 9,
        "read": 2,
        "unreadable": 1,
        "crossed_in": 1,
        "crossed_out": 0,
        "rejected": {"masked": 3, "unsure": 1},
    }
