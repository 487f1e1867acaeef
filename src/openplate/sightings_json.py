"""Sightings and counts in, JSON objects and CSV rows out; docs/video.md describes each key, and every consumer shares them."""

from __future__ import annotations

from typing import Any

from openplate.results import shown_confidence, shown_if_known
from openplate.types import Sighting, SightingEvent, WatchCounts

SIGHTING_VERSION = 1
"""Grows when a key is renamed, removed or changes its meaning; new keys do not change it."""

SIGHTING_CSV_HEADER = (
    "source", "id", "state", "status", "text", "confidence", "country", "format", "first_s", "last_s", "looks", "agreeing", "frame", "frame_s",
    "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "detection_confidence", "direction", "heading", "parked", "crossed", "reasons",
)  # fmt: skip


def event_as_json(event: SightingEvent, source: str) -> dict[str, Any]:
    """News of a sighting as a JSON object; `source` names the stream."""
    head = {"version": SIGHTING_VERSION, "event": "sighting", "state": event.state, "time_s": round(event.time_s, 3), "source": source}
    return head | sighting_as_json(event.sighting)


def sighting_as_json(sighting: Sighting) -> dict[str, Any]:
    """A sighting as a JSON object, without its pictures."""
    reading = sighting.reading
    return {
        "id": sighting.id,
        "status": sighting.status,
        "text": sighting.text,
        "confidence": shown_confidence(reading.confidence),
        "characters": [{"text": c.text, "confidence": shown_confidence(c.confidence)} for c in reading.characters],
        "candidates": [{"text": c.text, "confidence": shown_confidence(c.confidence), "format": c.format} for c in reading.candidates],
        "country": reading.country,
        "format": reading.format,
        "country_confidence": shown_if_known(reading.country_confidence),
        "format_confidence": shown_if_known(reading.format_confidence),
        "lines": reading.lines,
        "first_s": round(sighting.first_s, 3),
        "last_s": round(sighting.last_s, 3),
        "looks": sighting.looks,
        "agreeing": sighting.agreeing,
        "frame": sighting.frame,
        "frame_s": round(sighting.frame_s, 3),
        "quad": [[round(float(x), 2), round(float(y), 2)] for x, y in sighting.quad],
        "detection_confidence": shown_confidence(sighting.detection_confidence),
        "direction": sighting.direction,
        "heading": sighting.heading,
        "parked": sighting.parked,
        "crossed": sighting.crossed,
        "reasons": list(sighting.reasons),
    }


def event_as_csv(event: SightingEvent, source: str) -> list[str]:
    """News of a sighting as one row, in the order of `SIGHTING_CSV_HEADER`; what is null in JSON is empty."""
    entry = event_as_json(event, source)
    entry |= {f"{axis}{i + 1}": corner[j] for i, corner in enumerate(entry["quad"]) for j, axis in enumerate("xy")}
    entry["reasons"] = " ".join(event.sighting.reasons)
    entry["parked"] = "yes" if event.sighting.parked else "no"
    return ["" if entry[name] is None else str(entry[name]) for name in SIGHTING_CSV_HEADER]


def counts_as_json(counts: WatchCounts) -> dict[str, Any]:
    """What watching cost and gave as a JSON object."""
    return {
        "frames": counts.frames,
        "detector_runs": counts.detector_runs,
        "straightener_runs": counts.straightener_runs,
        "reader_runs": counts.reader_runs,
        "read": counts.read,
        "unreadable": counts.unreadable,
        "crossed_in": counts.crossed_in,
        "crossed_out": counts.crossed_out,
        "rejected": dict(counts.rejected),
    }
