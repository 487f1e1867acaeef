"""Detections and looks of successive frames in, events of sightings out: which plate is which, when a visit begins, goes on and ends.

Places decide where they can; where two plates are near each other, or one was out of sight, texts decide. A sighting belongs to its text: when two tracks
have swapped their plates, the sightings follow the plates.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from openplate.geometry import quad_iou
from openplate.read.decode import Decoder
from openplate.track.associate import IMPOSSIBLE, assign, contested, place_costs
from openplate.track.follow import Picture
from openplate.track.looks import AGREES, PlateLook
from openplate.track.path import Path
from openplate.track.settings import WatchSettings
from openplate.track.visit import Visit, is_part
from openplate.types import Detection, SightingEvent, Track

Looks = Callable[[Detection], PlateLook | None]
"""Reads a detection of the current frame; None where it cannot be read, such as a plate that the picture's edge cuts."""

_LOST_COST = 0.5
"""A plate in sight is likelier to be the one that was detected than one that was lost."""
_KNOWN, _STRANGE, _RULED_OUT = -1.0, 0.5, 1e-3
_LIKELY = 0.5
_REVIVED_S = 3.0
"""A plate that moved is expected where it would be by now for so long."""
_SAME_PLACE = 0.3
_MOST_LOST = 300


class Tracker:
    """Follows plates and keeps their visits. Ids are `prefix` and a number; `joined` is told the id of a visit that turned out to be part of an earlier
    one, and that one's."""

    def __init__(self, decoder: Decoder, settings: WatchSettings, prefix: str = "", joined: Callable[[str, str], None] | None = None) -> None:
        self._decoder = decoder
        self._joined = joined
        self._settings = settings
        self._prefix = prefix
        self._number = 0
        self._visits: list[Visit] = []
        self.rejected: Counter[str] = Counter()
        self.read = self.unreadable = self.crossed_in = self.crossed_out = 0

    @property
    def live(self) -> list[Visit]:
        """The visits whose plates are in sight, or were a moment ago."""
        return [visit for visit in self._visits if visit.live]

    def tracks(self, believed: bool = True) -> tuple[Track, ...]:
        """Where each plate is in the newest frame; not `believed`: also what does not seem to be a plate so far."""
        return tuple(
            Track(
                visit.id,
                visit.path.quad,
                visit.path.seen,
                visit.verdict().status,
                visit.path.detection_confidence,
                visit.reading if visit.looks else None,
            )
            for visit in self.live
            if not visit.duplicate and (visit.is_plate() or not believed)
        )

    def follow(self, frame: Picture, time_s: float) -> None:
        """Go on to the next frame."""
        for visit in self.live:
            visit.path.follow(frame, time_s)

    def detect(self, detections: Sequence[Detection], time_s: float, frame: Picture, look: Looks) -> None:
        """Take the detector's word for the current frame."""
        visits = [visit for visit in self._visits if visit.live or self._may_return(visit, time_s)]
        costs = place_costs([visit.path.expected(time_s) for visit in visits], [d.quad for d in detections])
        for i, visit in enumerate(visits):
            if not visit.live:
                costs[i] += _LOST_COST
        looks = self._look_where_texts_decide(visits, detections, costs, look)
        for j, seen in looks.items():
            for i, visit in enumerate(visits):
                costs[i, j] += _text_cost(visit, seen)
        pairs = assign(costs)
        for i, j in pairs:
            visit = visits[i]
            if not visit.live:
                visit.live = visit.path.broken = visit.path.away = True
            visit.path.detect(detections[j], time_s, frame)
            if j in looks:
                self.look(visit, looks[j])
        matched = {j for _, j in pairs}
        for j, detection in enumerate(detections):
            if j not in matched and not any(quad_iou(detection.quad, detections[k].quad) > _SAME_PLACE for k in matched):
                visit = self._new(Path(detection, time_s, frame, self._settings))
                if j in looks:
                    self.look(visit, looks[j])

    def look(self, visit: Visit, look: PlateLook, expected: float | None = None) -> None:
        """Take a look at a visit's plate in; when it shows that another plate has taken its place, the visit ends and another one begins.

        `expected` is how telling the look was thought to be beforehand.
        """
        others = visit.add(look, expected)
        if others:
            path = visit.path
            visit.path = copy.deepcopy(path)
            visit.path.last_seen_s = min(path.last_seen_s, visit.agreed_s if visit.agreed_s is not None else others[0].time_s)
            visit.live, visit.replaced = False, True
            path.restart(others[0].time_s)
            self._new(path).begin(others)

    def settle(self, time_s: float) -> list[SightingEvent]:
        """What is new after a frame: sightings that opened, improved or closed."""
        for visit in self.live:
            visit.live = not visit.path.is_lost(time_s)
        for visit in self.live:
            if visit.duplicate or (visit.reported is None and visit.is_known()):
                self._join(visit, time_s)
            elif visit.reported is None:
                self._resume(visit)
        events = []
        for visit in self.live:
            if not visit.duplicate and visit.is_news(time_s):
                events.append(SightingEvent("update" if visit.reported else "open", time_s, visit.report(time_s)))
        lost = [visit for visit in self._visits if not visit.live]
        crowd = sorted(lost, key=lambda visit: visit.path.last_seen_s)[: max(0, len(lost) - _MOST_LOST)]
        return events + self._close([v for v in lost if v in crowd or time_s - v.path.last_seen_s > self._window_s(v)], time_s)

    def close(self, time_s: float) -> list[SightingEvent]:
        """Close every sighting: there are no further frames."""
        for visit in self._visits:
            visit.finish()
        for visit in self.live:
            if visit.reported is None and visit.is_known():
                self._join(visit, time_s)
        return self._close(list(self._visits), time_s)

    def _new(self, path: Path) -> Visit:
        self._number += 1
        visit = Visit(f"{self._prefix}{self._number}", path, self._settings, self._decoder)
        self._visits.append(visit)
        return visit

    def _may_return(self, visit: Visit, time_s: float) -> bool:
        """Whether a lost plate may be recognised by its place."""
        gone_s = time_s - visit.path.last_seen_s
        return not visit.replaced and gone_s <= (self._window_s(visit) if visit.path.standing(visit.path.last_seen_s) else _REVIVED_S)

    def _window_s(self, visit: Visit) -> float:
        """For how long a lost plate may come back."""
        return self._settings.parked_rejoin_s if visit.is_parked(visit.path.last_seen_s) else self._settings.rejoin_s

    def _look_where_texts_decide(
        self, visits: Sequence[Visit], detections: Sequence[Detection], costs: NDArray[np.float64], look: Looks
    ) -> dict[int, PlateLook]:
        """Looks at the detections that places alone do not settle, where there is a text to compare with."""
        known = np.array([bool(visit.reading.text) for visit in visits], bool)
        lost = np.array([not visit.live for visit in visits], bool)
        within = costs < IMPOSSIBLE
        wanted = [j for j in range(len(detections)) if (within[:, j] & known & lost).any()]
        wanted += [j for j in contested(costs) if (within[:, j] & known).any()]
        looks = {j: look(detections[j]) for j in sorted(set(wanted))}
        return {j: seen for j, seen in looks.items() if seen is not None}

    def _join(self, visit: Visit, time_s: float) -> None:
        """Find out whether a plate whose text has just become known was here before, or is here twice."""
        others = [v for v in self._visits if v is not visit and not v.duplicate and (v.reading.text == visit.reading.text or _is_fragment(v, visit))]
        twins = [v for v in others if v.live and v.path.seen and v.reading.text == visit.reading.text and v.reported is not None]
        if not twins:
            visit.duplicate = False
            self._merge_into_last(others, visit)
            return
        twin = twins[0]
        begun_s = visit.first_look_s if visit.first_look_s is not None else time_s
        if twin.agreed_s is not None and twin.agreed_s >= begun_s:
            visit.duplicate = True
        elif twin.last_look_s is not None and twin.last_look_s > begun_s:
            # It was looked at since, and has another text now: this is where its plate went.
            self._new(copy.deepcopy(twin.path)).path.restart(time_s)
            self._merge(twin, visit)
        else:
            visit.duplicate = twin.check = True

    def _resume(self, visit: Visit) -> None:
        """Find out whether a plate that is not surely read was here before, and out of sight for a while."""
        self._merge_into_last([v for v in self._visits if v is not visit and not v.duplicate and visit.resumes(v)], visit)

    def _merge_into_last(self, others: Sequence[Visit], visit: Visit) -> None:
        """Take a visit into the last of those others that are out of sight, of reported ones if there are any."""
        gone = [v for v in others if not v.live or not v.path.seen]
        if gone:
            self._merge(max(gone, key=lambda v: (v.reported is not None, v.path.last_seen_s)), visit)

    def _merge(self, earlier: Visit, later: Visit) -> None:
        earlier.replaced = False
        earlier.join(later)
        self._visits.remove(later)
        if self._joined is not None:
            self._joined(later.id, earlier.id)

    def _close(self, visits: Sequence[Visit], time_s: float) -> list[SightingEvent]:
        events = []
        for visit in sorted(visits, key=lambda v: v.path.first_s):
            self._visits.remove(visit)
            visit.finish()
            why = "duplicate" if visit.duplicate else visit.why_dropped()
            if why is not None:
                self.rejected[why] += 1
                continue
            sighting = visit.report(time_s)
            self.rejected.update(sighting.reasons)
            self.read += sighting.status == "read"
            self.unreadable += sighting.status == "unreadable"
            self.crossed_in += sighting.crossed == "in"
            self.crossed_out += sighting.crossed == "out"
            events.append(SightingEvent("closed", time_s, sighting))
        return events


def _text_cost(visit: Visit, look: PlateLook) -> float:
    """What a look at a detection adds to the cost of taking it for a visit's plate."""
    if not visit.reading.text or not look.reading.text:
        return 0.0
    plausible = visit.decoder.plausibility(look.texts, visit.reading.text)
    if plausible >= AGREES or is_part(look.reading.text, visit.reading.text) or is_part(visit.reading.text, look.reading.text):
        return _KNOWN
    sure = min(visit.reading.confidence, look.reading.confidence) >= _LIKELY
    return IMPOSSIBLE if sure and plausible < _RULED_OUT else _STRANGE


def _is_fragment(earlier: Visit, later: Visit) -> bool:
    """Whether a lost visit that was not read, or shows a part of the text, is a part of a visit whose text is known now."""
    if earlier.live:
        return False
    unread = earlier.verdict().status == "unreadable" and earlier.knows(later.reading.text)
    return unread or (earlier.is_known() and is_part(earlier.reading.text, later.reading.text))
