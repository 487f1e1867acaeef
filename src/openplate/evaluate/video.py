"""Labelled clips in, how well their plates became sightings out: right, wrong, missed and doubled, identities kept, what fusing gains, what it costs.

A clip is watched once (`watch_clip`) and judged from what came out (`judge`), against its labels and, where it was drawn, against its full truth.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from openplate.clips import WHOLE, Clip, SeenPlate, Truth, load_truth
from openplate.errors import DatasetError
from openplate.evaluate.metrics import Rate, overlap, rate, same_text
from openplate.evaluate.summary import READ_IOU
from openplate.evaluate.tracks import FrameMatch, TrackScore, combine_scores, match_frame, score_tracks
from openplate.geometry import quad_size
from openplate.read.decode import Decoder
from openplate.streams import open_stream
from openplate.streams.settings import StreamSettings
from openplate.track.settings import DEFAULT_SETTINGS, WatchSettings
from openplate.types import Crop, Detection, Image, Quad, Sighting, SightingEvent, WatchCounts
from openplate.watch import PlateReader, Watcher

COUNTED_SHARE, COUNTED_PX = 0.5, 50.0
"""A true plate counts as in sight, for following it and for how long its text took, when this share of it is seen and it is this wide."""
WIDTH_EDGES = (60.0, 90.0, 130.0)

Outcome = Literal["right", "doubled", "wrong", "extra", "missed"]
OUTCOMES: dict[Outcome, str] = {
    "right": "One sighting with exactly the plate's text.",
    "doubled": "A further sighting of a text that has one already.",
    "wrong": "A sighting with a text that no plate of the clip has.",
    "extra": "The same, where no plate is: an overlay, a sign, or a plate that has no label. Only full truth tells it from wrong.",
    "missed": "A plate that has to be seen and has no sighting with its text.",
}


@dataclass(frozen=True, slots=True, eq=False)
class SingleLook:
    """What one look at a plate says alone."""

    frame: int
    quad: Quad
    text: str
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class ClipRun:
    """What watching a clip gave: all events, what is followed in each frame (by frame number) under the id of the sighting that it ended as, every look,
    and what it cost.

    `watch_s` is the time from the file to the sightings, `decode_s` that of decoding alone, both on the clock; `watch_cpu_s` and `decode_cpu_s` are the
    processor's time. `plays_s` is the length of what was watched.
    """

    events: tuple[SightingEvent, ...]
    tracks: dict[int, tuple[tuple[str, Quad], ...]]
    looks: tuple[SingleLook, ...]
    counts: WatchCounts
    plays_s: float
    watch_s: float
    watch_cpu_s: float
    decode_s: float
    decode_cpu_s: float
    warnings: tuple[str, ...] = ()

    @property
    def closed(self) -> tuple[Sighting, ...]:
        """The sightings as they ended."""
        return tuple(event.sighting for event in self.events if event.state == "closed")


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What became of one plate or of one sighting. `truth` is None where no plate is known there; `late_s` is how long a right text took."""

    outcome: Outcome
    truth: str | None
    text: str | None
    confidence: float | None
    first_s: float | None
    frame: int | None
    late_s: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of a plate: whether it is its text, and how sure that was said to be."""

    right: bool
    confidence: float


NOTHING_SAID = Said(False, 0.0)


@dataclass(frozen=True, slots=True)
class Fused:
    """One plate that was looked at more than once: what the first look, the clearest, the surest, and all looks together say of its text.

    `needed`: it has to be seen; `given`: its sighting has a text. The clearest look is the one at which, as the truth knows, the recording kept most of
    the plate: the best single frame that one could choose without reading any; None where the truth does not know.
    """

    width_px: float
    needed: bool
    looks: int
    first: Said
    clearest: Said | None
    surest: Said
    fused: Said
    given: bool


@dataclass(frozen=True, slots=True)
class FusedGroup:
    """Plates of one width (px, at their nearest), and how many of them each way of reading gets wrong; None where that is not known of all of them.

    `given` is how many sightings have a text, `given_wrong` how many of these are wrong; `given_clearest_wrong` and `given_best_wrong` are how many would be
    wrong if as many texts were given out of single looks, the clearest or the surest of each plate, those that are said to be the most sure.
    """

    name: str
    plates: int
    looks: int
    first_wrong: int
    clearest_wrong: int | None
    best_wrong: int
    fused_wrong: int
    given: int
    given_clearest_wrong: int | None
    given_best_wrong: int
    given_wrong: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Network runs, frames, and times in seconds, over one clip or several."""

    frames: int
    plays_s: float
    watch_s: float
    watch_cpu_s: float
    decode_s: float
    decode_cpu_s: float
    detector_runs: int
    straightener_runs: int
    reader_runs: int

    @property
    def times_real_time(self) -> float:
        """Seconds of video that one second deals with."""
        return self.plays_s / max(self.watch_s, 1e-9)

    @property
    def times_decoding(self) -> float:
        """The whole way, file to sightings, as a multiple of decoding alone."""
        return self.watch_s / max(self.decode_s, 1e-9)


@dataclass(frozen=True, slots=True, eq=False)
class VideoReport:
    """The judgement of one clip or of several together.

    `expected` counts plates that must be seen, `accepted` all sightings with a text; `allowed` are right ones of plates that may be missing; `unreadable`
    and `revised` count sightings without a text in the end, and those whose text changed after they were reported. `tracking` counts every track that ended as a sighting,
    `tracking_plates` leaves out those that never lie on a plate; both are None without full truth.
    """

    name: str
    clips: int
    expected: int
    accepted: int
    allowed: int
    unreadable: int
    revised: int
    judged: tuple[Judged, ...]
    fused: tuple[Fused, ...]
    tracking: TrackScore | None
    tracking_plates: TrackScore | None
    cost: Cost
    rejected: tuple[tuple[str, int], ...] = ()
    problems: tuple[str, ...] = ()

    def count(self, *outcomes: Outcome) -> int:
        """How many plates or sightings came out so."""
        return sum(one.outcome in outcomes for one in self.judged)

    @property
    def right(self) -> Rate:
        """Plates that must be seen and have a sighting with exactly their text."""
        return rate(self.expected - self.count("missed"), self.expected)

    @property
    def wrong(self) -> Rate:
        """Accepted sightings whose text no plate has, there or anywhere."""
        return rate(self.count("wrong", "extra"), self.accepted)

    @property
    def doubled(self) -> Rate:
        """Accepted sightings that repeat another one."""
        return rate(self.count("doubled"), self.accepted)

    @property
    def late_s(self) -> tuple[float, float] | None:
        """Median and 90th percentile of the time from first sight to the first right text; None where none was right."""
        values = [one.late_s for one in self.judged if one.late_s is not None]
        return (float(np.median(values)), float(np.percentile(values, 90))) if values else None

    def fused_groups(self, needed: bool = False) -> tuple[FusedGroup, ...]:
        """What fusing gains, by the plates' width; `needed`: of the plates that have to be seen alone."""
        some = [one for one in self.fused if one.needed or not needed]
        return tuple(group for group in (_fused_group(*width, some) for width in _width_groups()) if group.plates)

    def runs_a_sighting(self) -> tuple[float, float, float] | None:
        """Detector, straightener and reader runs for each sighting that ended, readable or not; None without any."""
        sightings = self.accepted + self.unreadable
        cost = self.cost
        return (cost.detector_runs / sightings, cost.straightener_runs / sightings, cost.reader_runs / sightings) if sightings else None

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        late, runs, tracking, on_plates = self.late_s, self.runs_a_sighting(), self.tracking, self.tracking_plates
        return {
            "name": self.name,
            "clips": self.clips,
            "expected": self.expected,
            "accepted": self.accepted,
            "allowed": self.allowed,
            "unreadable": self.unreadable,
            "revised": self.revised,
            "right": asdict(self.right),
            "wrong": asdict(self.wrong),
            "extra": self.count("extra"),
            "doubled": asdict(self.doubled),
            "missed": self.count("missed"),
            "late_s": None if late is None else {"median": late[0], "p90": late[1]},
            "tracking": None if tracking is None else asdict(tracking) | {"idf1": tracking.idf1},
            "tracking_plates": None if on_plates is None else asdict(on_plates) | {"idf1": on_plates.idf1},
            "fused": [asdict(group) for group in self.fused_groups()],
            "fused_needed": [asdict(group) for group in self.fused_groups(needed=True)],
            "runs_a_sighting": None if runs is None else dict(zip(("detector", "straightener", "reader"), runs, strict=True)),
            "cost": asdict(self.cost) | {"times_real_time": self.cost.times_real_time, "times_decoding": self.cost.times_decoding},
            "rejected": dict(self.rejected),
            "failures": [asdict(one) for one in self.judged if one.outcome != "right"],
            "problems": list(self.problems),
        }


class _Listener:
    """A pipeline that remembers what its reader said of which quad, so that single looks can be compared with what they say together."""

    def __init__(self, pipeline: PlateReader) -> None:
        self._pipeline = pipeline
        self.frame = 0
        self.heard: list[tuple[int, Quad, NDArray[np.float32]]] = []
        self._quad: Quad | None = None

    @property
    def decoder(self) -> Decoder:
        return self._pipeline.decoder

    def detect(self, image: Image) -> list[Detection]:
        return self._pipeline.detect(image)

    def straighten(self, image: Image, quad: Quad) -> Quad:
        self._quad = self._pipeline.straighten(image, quad)
        return self._quad

    def log_probabilities(self, crop: Crop) -> NDArray[np.float32]:
        said = self._pipeline.log_probabilities(crop)
        if self._quad is not None:
            self.heard.append((self.frame, self._quad, said))
        return said

    def looks(self) -> Iterator[SingleLook]:
        """Every look, read alone."""
        for frame, quad, said in self.heard:
            reading = self.decoder.fuse([self.decoder.look(said)])
            yield SingleLook(frame, quad, reading.text, reading.confidence)


def watch_clip(pipeline: PlateReader, path: Path, settings: WatchSettings = DEFAULT_SETTINGS, fps: float | None = None) -> ClipRun:
    """Watches a clip, and decodes it once more alone to know what that takes; `fps` is the rate of a folder's pictures.

    Raises:
        SourceError: the clip cannot be read at all.
    """
    stream_settings = StreamSettings(fps=fps) if path.is_dir() else StreamSettings()
    decode_s, decode_cpu_s = _time_decoding(path, stream_settings)
    listener = _Listener(pipeline)
    joined: dict[str, str] = {}
    watcher = Watcher(listener, settings, joined=joined.__setitem__)
    events: list[SightingEvent] = []
    tracks: dict[int, tuple[tuple[str, Quad], ...]] = {}
    watch_s = watch_cpu_s = last_s = 0.0
    with open_stream(str(path), stream_settings) as stream:
        rate_fps = stream.fps or 25.0
        while True:
            began, began_cpu = time.perf_counter(), time.process_time()
            frame = next(stream, None)
            if frame is not None:
                listener.frame = frame.index
            events += watcher.close() if frame is None else watcher.feed(frame)
            watch_s, watch_cpu_s = watch_s + time.perf_counter() - began, watch_cpu_s + time.process_time() - began_cpu
            if frame is None:
                break
            last_s = frame.time_s if frame.time_s is not None else frame.index / rate_fps
            tracks[frame.index] = tuple((track.id, track.quad) for track in watcher.followed if track.seen)
        warnings = stream.warnings
    return ClipRun(
        events=tuple(events),
        tracks={number: _as_ended(followed, joined) for number, followed in tracks.items()},
        looks=tuple(listener.looks()),
        counts=watcher.counts,
        plays_s=last_s + 1 / rate_fps,
        watch_s=watch_s,
        watch_cpu_s=watch_cpu_s,
        decode_s=decode_s,
        decode_cpu_s=decode_cpu_s,
        warnings=warnings,
    )


def _as_ended(followed: Sequence[tuple[str, Quad]], joined: Mapping[str, str]) -> tuple[tuple[str, Quad], ...]:
    """What is followed in a frame under the ids of the sightings that it has become a part of in the end, each once: where two parts of one were in sight
    together, the one that had its id all along."""
    ended: dict[str, Quad] = {}
    for name, quad in sorted(followed, key=lambda pair: pair[0] in joined):
        while name in joined:
            name = joined[name]
        ended.setdefault(name, quad)
    return tuple(ended.items())


def _time_decoding(path: Path, settings: StreamSettings) -> tuple[float, float]:
    began, began_cpu = time.perf_counter(), time.process_time()
    with open_stream(str(path), settings) as stream:
        for _ in stream:
            pass
    return time.perf_counter() - began, time.process_time() - began_cpu


def evaluate_clip(pipeline: PlateReader, clip: Clip, settings: WatchSettings = DEFAULT_SETTINGS, alike: Sequence[str] = ()) -> VideoReport:
    """Watches a labelled clip and judges it. `alike` holds groups of characters that count as one ("O0").

    Raises:
        SourceError: the clip cannot be read at all.
        DatasetError: its truth cannot be read, or has other frames than the clip.
    """
    truth = load_truth(clip.truth) if clip.truth else None
    run = watch_clip(pipeline, clip.path, settings, truth.fps if truth else None)
    if truth is not None and run.counts.frames != len(truth.frames):
        raise DatasetError(f"{clip.path}: the truth has {len(truth.frames)} frames, the clip {run.counts.frames}; draw it again")
    return judge(clip, run, truth, alike)


def judge(clip: Clip, run: ClipRun, truth: Truth | None = None, alike: Sequence[str] = ()) -> VideoReport:
    """What became of each plate and of each sighting of a clip.

    Each text in the labels takes the first sighting that ended with it; a further one is doubled. What has another text is wrong, or, where full truth
    knows of no plate in that place, extra.
    """
    read = [sighting for sighting in sorted(run.closed, key=lambda s: s.first_s) if sighting.status == "read"]
    open_texts = [(text, True) for text in clip.plates] + [(text, False) for text in clip.may]
    taken: list[tuple[str, bool]] = []
    judged: list[Judged] = []
    allowed = 0
    for sighting in read:
        text = sighting.text or ""
        place = next((entry for entry in open_texts if same_text(entry[0], text, alike)), None)
        late_s = None
        if place is not None:
            open_texts.remove(place)
            taken.append(place)
            outcome: Outcome = "right"
            allowed += not place[1]
            late_s = _late_s(sighting, place[0], run, truth, alike)
        elif any(same_text(known, text, alike) for known, _ in taken):
            outcome = "doubled"
        else:
            outcome = "wrong" if truth is None or _plate_at(sighting, truth) is not None else "extra"
        true_text = place[0] if place else text if outcome == "doubled" else _plate_at(sighting, truth) if truth else None
        judged.append(Judged(outcome, true_text, text, sighting.reading.confidence, sighting.first_s, sighting.frame, late_s))
    for text, needed in open_texts:
        if needed:
            judged.append(_missed(text, run, truth, alike))
    counts = run.counts
    ended = {sighting.id for sighting in run.closed}  # a track that became no sighting, readable or not, was not taken for a plate
    return VideoReport(
        name=clip.path.name,
        clips=1,
        expected=len(clip.plates),
        accepted=len(read),
        allowed=allowed,
        unreadable=len(run.closed) - len(read),
        revised=sum(_was_revised(sighting, run, alike) for sighting in run.closed),
        judged=tuple(judged),
        fused=tuple(_compare_looks(clip, run, truth, alike)) if truth else (),
        tracking=score_tracks(_frame_matches(run, truth, ended)) if truth else None,
        tracking_plates=score_tracks(_frame_matches(run, truth, ended & _on_plates(run, truth))) if truth else None,
        cost=Cost(
            counts.frames,
            run.plays_s,
            run.watch_s,
            run.watch_cpu_s,
            run.decode_s,
            run.decode_cpu_s,
            counts.detector_runs,
            counts.straightener_runs,
            counts.reader_runs,
        ),
        rejected=counts.rejected,
        problems=tuple(f"{clip.path.name}: {warning}" for warning in run.warnings),
    )


def combine_reports(reports: Sequence[VideoReport], name: str = "all") -> VideoReport:
    """Several clips as one; identities are those of the clips that have full truth."""
    scores = [report.tracking for report in reports if report.tracking is not None]
    on_plates = [report.tracking_plates for report in reports if report.tracking_plates is not None]
    costs = [asdict(report.cost) for report in reports]
    rejected: dict[str, int] = {}
    for report in reports:
        for reason, times in report.rejected:
            rejected[reason] = rejected.get(reason, 0) + times
    return VideoReport(
        name=name,
        clips=sum(report.clips for report in reports),
        expected=sum(report.expected for report in reports),
        accepted=sum(report.accepted for report in reports),
        allowed=sum(report.allowed for report in reports),
        unreadable=sum(report.unreadable for report in reports),
        revised=sum(report.revised for report in reports),
        judged=tuple(replace(one, reason=f"{report.name}: {one.reason or ''}".rstrip(": ")) for report in reports for one in report.judged),
        fused=tuple(one for report in reports for one in report.fused),
        tracking=combine_scores(scores) if scores else None,
        tracking_plates=combine_scores(on_plates) if on_plates else None,
        cost=Cost(**{key: sum(cost[key] for cost in costs) for key in costs[0]}),
        rejected=tuple(sorted(rejected.items())),
        problems=tuple(problem for report in reports for problem in report.problems),
    )


def _plate_at(sighting: Sighting, truth: Truth) -> str | None:
    """The text of the plate that lies where the sighting's evidence was taken."""
    frame = truth.frames[sighting.frame] if sighting.frame < len(truth.frames) else ()
    found = _track_at(sighting.quad, frame)
    return None if found is None else next(track.text for track in truth.tracks if track.track == found)


def _track_at(quad: Quad, plates: Sequence[SeenPlate]) -> int | None:
    best = max(plates, key=lambda plate: overlap(quad, plate.quad), default=None)
    return best.track if best is not None and overlap(quad, best.quad) >= READ_IOU else None


def _late_s(sighting: Sighting, text: str, run: ClipRun, truth: Truth | None, alike: Sequence[str]) -> float | None:
    """Seconds from when a plate came in sight (without full truth: was first noticed) to the first event that gives its text."""
    told = next((e.time_s for e in run.events if e.sighting.id == sighting.id and e.sighting.text and same_text(e.sighting.text, text, alike)), None)
    begins = sighting.first_s
    if truth is not None:
        names = {track.track for track in truth.tracks if same_text(track.text, text, alike)}
        first = next((i for i, plates in enumerate(truth.frames) if any(p.track in names and _counts(p) for p in plates)), None)
        begins = begins if first is None else first / truth.fps
    return None if told is None else max(0.0, told - begins)


def _was_revised(sighting: Sighting, run: ClipRun, alike: Sequence[str]) -> bool:
    """Whether an event before the last gave a text that the sighting did not keep."""
    told = [event.sighting.text for event in run.events if event.sighting.id == sighting.id and event.sighting.text]
    return any(not same_text(text, sighting.text or "", alike) for text in told)


def _missed(text: str, run: ClipRun, truth: Truth | None, alike: Sequence[str]) -> Judged:
    """A plate without a sighting of its text, with what there was instead."""
    there = [s for s in run.closed if s.status == "unreadable" and any(same_text(c.text, text, alike) for c in s.reading.candidates)]
    if truth is not None and not there:
        there = [s for s in run.closed if _plate_at(s, truth) == text]
    if not there:
        return Judged("missed", text, None, None, None, None, reason="no sighting")
    sighting = max(there, key=lambda s: s.looks)
    reason = "unreadable: " + " ".join(sighting.reasons) if sighting.status == "unreadable" else "another text was given"
    return Judged("missed", text, sighting.reading.text, sighting.reading.confidence, sighting.first_s, sighting.frame, reason=reason)


def _counts(plate: SeenPlate) -> bool:
    return plate.visible >= COUNTED_SHARE and quad_size(plate.quad)[0] >= COUNTED_PX


def _frame_matches(run: ClipRun, truth: Truth, names: set[str]) -> Iterator[FrameMatch]:
    """Each frame's true plates, and those of the tracks `names` that are in it."""
    for number, plates in enumerate(truth.frames):
        counted = [(plate.track, plate.quad) for plate in plates if _counts(plate)]
        ignored = [plate.quad for plate in plates if not _counts(plate)]
        followed = [(name, quad) for name, quad in run.tracks.get(number, ()) if name in names]
        yield match_frame(counted, ignored, followed, least_width_px=COUNTED_PX)


def _on_plates(run: ClipRun, truth: Truth) -> set[str]:
    """The tracks that lie on a plate in some frame."""
    return {name for i, tracks in run.tracks.items() for name, quad in tracks if _track_at(quad, truth.frames[i]) is not None}


def _compare_looks(clip: Clip, run: ClipRun, truth: Truth, alike: Sequence[str]) -> Iterator[Fused]:
    """For each plate in sight that was looked at more than once: its first look, its clearest and its surest one, and its sighting."""
    looks: dict[int, list[tuple[float | None, SingleLook]]] = {}
    for look in run.looks:
        plates = truth.frames[look.frame]
        track = _track_at(look.quad, plates)
        if track is not None:
            plate = next(plate for plate in plates if plate.track == track)
            looks.setdefault(track, []).append((plate.clarity, look))
    sightings: dict[int, list[Sighting]] = {}
    for sighting in run.closed:
        track = _track_at(sighting.quad, truth.frames[sighting.frame])
        if track is not None:
            sightings.setdefault(track, []).append(sighting)
    for true in truth.tracks:
        seen = looks.get(true.track, [])
        widths = [quad_size(p.quad)[0] for plates in truth.frames for p in plates if p.track == true.track and p.visible >= WHOLE]
        if len(seen) < 2 or max(widths, default=0.0) < COUNTED_PX:
            continue
        measured = [(clarity, look) for clarity, look in seen if clarity is not None]
        clearest = max(measured, key=_clarity)[1] if measured else None
        surest = max((look for _, look in seen), key=lambda look: look.confidence)
        own = max(sightings.get(true.track, []), key=_telling, default=None)

        def said(text: str, confidence: float, true_text: str = true.text) -> Said:
            return Said(same_text(text, true_text, alike), confidence)

        yield Fused(
            width_px=max(widths),
            needed=any(same_text(true.text, text, alike) for text in clip.plates),
            looks=len(seen),
            first=said(seen[0][1].text, seen[0][1].confidence),
            clearest=None if clearest is None else said(clearest.text, clearest.confidence),
            surest=said(surest.text, surest.confidence),
            fused=NOTHING_SAID if own is None else said(own.reading.text, own.reading.confidence),
            given=own is not None and own.status == "read",
        )


def _telling(sighting: Sighting) -> tuple[bool, int]:
    """Of several sightings of a plate one with a text counts, and the one that was looked at most."""
    return sighting.status == "read", sighting.looks


def _clarity(pair: tuple[float, SingleLook]) -> float:
    return pair[0]


def _width_groups() -> list[tuple[str, float, float]]:
    edges = (0.0, *WIDTH_EDGES, math.inf)
    names = [f"<{WIDTH_EDGES[0]:.0f}", *(f"{a:.0f}-{b:.0f}" for a, b in pairwise(WIDTH_EDGES)), f"{WIDTH_EDGES[-1]:.0f}+"]
    return [*((name, edges[i], edges[i + 1]) for i, name in enumerate(names)), ("all", 0.0, math.inf)]


def _fused_group(name: str, low: float, high: float, fused: Sequence[Fused]) -> FusedGroup:
    group = [one for one in fused if low <= one.width_px < high]
    measured = [one.clearest for one in group if one.clearest is not None]
    clearest, surest = measured if len(measured) == len(group) else None, [one.surest for one in group]
    given = [one.fused for one in group if one.given]
    return FusedGroup(
        name,
        plates=len(group),
        looks=sum(one.looks for one in group),
        first_wrong=_wrong([one.first for one in group]),
        clearest_wrong=None if clearest is None else _wrong(clearest),
        best_wrong=_wrong(surest),
        fused_wrong=_wrong([one.fused for one in group]),
        given=len(given),
        given_clearest_wrong=None if clearest is None else _wrong(clearest, len(given)),
        given_best_wrong=_wrong(surest, len(given)),
        given_wrong=_wrong(given),
    )


def _wrong(said: Sequence[Said], most: int | None = None) -> int:
    """How many are wrong, of all or of the `most` surest."""
    return sum(not one.right for one in sorted(said, key=_confidence, reverse=True)[:most])


def _confidence(said: Said) -> float:
    return said.confidence


FUSED_HEADINGS = (
    "width, px", "plates", "looks", "first look wrong", "clearest look wrong", "surest look wrong", "fused wrong",
    "texts given", "as many clearest wrong", "as many surest wrong", "given wrong",
)  # fmt: skip
VIDEO_HEADINGS = (
    "clip", "plates", "right", "missed", "wrong", "extra", "doubled", "unreadable", "first text s", "IDF1", "on plates", "switches", "fragments",
    "runs a sighting", "× real time", "× decoding",
)  # fmt: skip


def video_row(report: VideoReport) -> list[str]:
    """The numbers of a report as the cells under `VIDEO_HEADINGS`; "-" for what was not measured."""
    late, runs, tracking = report.late_s, report.runs_a_sighting(), report.tracking
    return [
        report.name,
        str(report.expected),
        str(report.right.right),
        *(str(report.count(outcome)) for outcome in _COUNTED),
        str(report.unreadable),
        "-" if late is None else f"{late[0]:.2f} ({late[1]:.2f})",
        *("-" if score is None or score.idf1 is None else f"{score.idf1:.3f}" for score in (tracking, report.tracking_plates)),
        *([str(tracking.switches), str(tracking.fragments)] if tracking else ["-", "-"]),
        "-" if runs is None else " ".join(f"{value:.0f}" for value in runs),
        f"{report.cost.times_real_time:.1f}",
        f"{report.cost.times_decoding:.1f}",
    ]


_COUNTED: tuple[Outcome, ...] = ("missed", "wrong", "extra", "doubled")
