"""One visit of one plate: looks and a path in; a sighting, or the reasons why there is none, out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from openplate.geometry import quad_size
from openplate.read.decode import NOTHING, Decoder
from openplate.track.looks import PlateLook, agreeing, fuse, keep
from openplate.track.path import Path
from openplate.track.settings import WatchSettings
from openplate.types import Quad, Reading, Sighting

FAINT = 0.5
"""Detections fainter than this on average whose text is not even likely are no plate."""
SURE = 0.98
"""A text at least this sure is not looked at for its own sake."""
_CONTRADICTS = 1e-3
_CONFIDENT, _LIKELY = 0.9, 0.5
_DOUBTS = 3
"""So many looks at another text in a row settle it."""
CLEAR = 0.75
"""A plate as confident as this is believed to be one even though it is large and the reader sees no text in it that a plate here would have."""
_CLEAR_IN_A_ROW = 0.7
"""The same for three detections in a row of what moves: plates that come from afar are faint on average (of drawn ones four were taken for no plates before)."""
_STANDING = 0.65
"""Detections fainter than this on average of what never moves and is not read are no plate, unless looks agree on a text like those of plates here:
overlays, signs and windows (drawn sequences: other plates that stand 0.66 and more)."""
_STANDING_LIKE = 0.55
"""Detections fainter than this of what never moves are no plate either where looks agree on a text like those of plates here, unless it is surely read
(drawn sequences: a sign 0.51, plates 0.59 and more)."""
_STANDING_SIGN = 0.8
"""The same for what never moves and is surely read, with a text that no plate here has (drawn sequences: signs up to 0.77, plates that stand and are read 0.83 and more)."""
_LARGE_PX = 14.0
"""Of a real plate this high the reader sees some text, if not the right one (drawn sequences: 2 of 24 things without any were plates)."""
_HUGE_PX = 30.0
"""Of a plate this high there is some text, however clearly something is detected."""
_SMALL_PX = 11.0
"""Height of a line of text under which plates are hardly read."""
_BLURRED = 0.025
"""Sharpness under which a third of the drawn plates is read."""
_WAIT_S, _WAIT_GROWTH, _LONGEST_WAIT_S = 0.12, 1.3, 3.0
_CLEARER, _CLEARER_WAIT_S, _TICK_S = 1.05, 0.08, 1e-3
"""A plate whose text is not sure is looked at again where it is this many times as telling as ever before: of one that comes nearer the last looks say most."""
_STILL_WAIT_S, _STILL_GROWTH = 0.4, 1.6
_NOTHING_WAIT_S, _NOTHING_GROWTH, _LONGEST_NOTHING_S = 0.2, 2.0, 5.0
_LEAST_PART, _LEAST_HIDDEN = 4, 2
"""Characters that a part of a text has, and that it lacks: one more or less is read wrongly at times."""
_LEAST_RESUMED = 5
"""Characters of a text that two visits of one plate may have between them but for one: shorter texts are alike too often."""
_WIDER = 1.25
"""A quad whose width over height is this many times that of the last look may show more of the plate: it was covered, or cut by the picture's edge."""
_SETTLED = 0.25
"""A plate that moved less than this many plate heights since the last look shows the same again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a visit is a sighting of a text, and if not, why."""

    status: Literal["read", "unreadable"]
    reasons: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Reported:
    """What was last said of a visit, and when."""

    time_s: float
    status: str
    text: str | None
    confidence: float
    parked: bool
    crossed: str | None


@dataclass(eq=False)
class Visit:
    """What is known of one plate while it is watched.

    `live` is False while it is lost and may still come back; `replaced` says that another plate stands where it was; a `duplicate` shows the text of another
    visit at the same time and is not reported.
    """

    id: str
    path: Path
    settings: WatchSettings
    decoder: Decoder
    live: bool = True
    looks: list[PlateLook] = field(default_factory=list)
    reading: Reading = NOTHING
    reported: Reported | None = None
    duplicate: bool = False
    replaced: bool = False
    check: bool = False
    looks_taken: int = 0
    last_look_s: float | None = None
    agreed_s: float | None = None
    """When a look last agreed with the text."""
    first_look_s: float | None = None
    _doubts: list[PlateLook] = field(default_factory=list)
    _last_quad: Quad | None = None
    _best_expected: float = 0.0
    _agreed: list[PlateLook] = field(default_factory=list)
    _blank_run: int = 0
    _largest_look_px: float = 0.0
    _unmoved: int = 0
    _weighed: int = -1
    """At which of the path's changes it was last worked out how telling a look would be."""

    def wants_look(self, time_s: float, expected: Callable[[], float]) -> bool:
        """Whether the reader should look now; `expected` says how telling the look would be, and is asked only where that decides."""
        if self.last_look_s is None or self.check:
            return True
        waited = time_s - self.last_look_s
        if self._is_look_due(time_s, waited):
            return True
        open_text = bool(self.reading.text) and self.reading.confidence < SURE and not self.duplicate
        better, wait_s = (min(self.settings.better, _CLEARER), _CLEARER_WAIT_S) if open_text else (self.settings.better, _WAIT_S)
        if waited < wait_s - _TICK_S or self._weighed == self.path.changes:
            return False
        # What stands there unchanged is as telling as before.
        self._weighed = self.path.changes
        return expected() >= better * self._best_expected

    def _is_look_due(self, time_s: float, waited: float) -> bool:
        """Whether the reader should look again after so long, however telling the look would be."""
        if self.path.broken and waited >= min(_LONGEST_NOTHING_S, _WAIT_S * _NOTHING_GROWTH**self._blank_run):
            return True
        if waited >= _WAIT_S and self._is_wider():
            return True
        standing = self.path.standing(time_s)
        if self.is_sure() or self.duplicate:
            return waited >= (self.settings.parked_check_s if standing else self.settings.check_s)
        if self._blank_run:
            return waited >= min(_LONGEST_NOTHING_S, _NOTHING_WAIT_S * _NOTHING_GROWTH**self._blank_run)
        if self._is_settled():
            return waited >= min(self.settings.parked_check_s, _STILL_WAIT_S * _STILL_GROWTH**self._unmoved)
        return waited >= min(_LONGEST_WAIT_S, _WAIT_S * _WAIT_GROWTH ** max(0, self.looks_taken - 3))

    def is_sure(self) -> bool:
        """Whether nothing but a much better look, or a check, is needed."""
        return self.reading.confidence >= SURE and self.verdict().status == "read"

    def add(self, look: PlateLook, expected: float | None = None) -> list[PlateLook]:
        """Take a look in; `expected` is how telling it was thought to be beforehand.

        Returns:
            [] when it may be this plate; otherwise the looks at another plate that has taken its place: this one has ended.
        """
        settled = self._is_settled()
        self._unmoved = self._unmoved + 1 if settled else 0
        self.looks_taken += 1
        self._largest_look_px = max(self._largest_look_px, look.height_px)
        self.first_look_s = look.time_s if self.first_look_s is None else self.first_look_s
        self.last_look_s, self._last_quad = look.time_s, self.path.quad
        self._best_expected = max(self._best_expected, look.weight if expected is None else expected)
        self._blank_run = 0 if look.reading.text else self._blank_run + 1
        self.check = False
        if self._contradicts(look):
            self._doubts.append(look)
            self.check = True
            if self._is_other_plate():
                others, self._doubts = self._doubts, []
                return others
            if len(self._doubts) < _DOUBTS:
                return []
            look_again = []
        else:
            look_again = [look]
        if look.reading.text:
            # Checks come with each doubt; a look that fits ends them, and the doubts count as what they are: looks that disagree.
            self.path.broken = self.path.away = False
            self.check = False
        self._take([*self._doubts, *look_again])
        self._doubts = []
        return []

    def begin(self, looks: list[PlateLook]) -> None:
        """Start with looks that another visit gave away."""
        for look in looks:
            self.add(look)

    def join(self, later: Visit) -> None:
        """Take a later visit of the same plate in."""
        self.path.go_on(later.path)
        self.live = later.live
        earlier, self._doubts = self._doubts, later._doubts
        self.looks_taken += later.looks_taken
        self._largest_look_px = max(self._largest_look_px, later._largest_look_px)
        self._blank_run = later._blank_run
        self.last_look_s, self._last_quad, self._unmoved = later.last_look_s, later._last_quad, later._unmoved
        self.first_look_s = self.first_look_s if self.first_look_s is not None else later.first_look_s
        self._best_expected = max(self._best_expected, later._best_expected)
        self.check = later.check
        self._take([*earlier, *later.looks])

    def knows(self, text: str) -> bool:
        """Whether at least half of the looks that show text agree with this one."""
        return bool(self.reading.text) and 2 * len(agreeing(self.decoder, self.looks, text)) >= len(self.looks)

    def resumes(self, earlier: Visit) -> bool:
        """Whether this may be an earlier visit's plate again, though it is not surely read: enough looks agree on the same text, or on one that differs in
        a single character."""
        text, before = self.reading.text, earlier.reading.text
        if min(len(text), len(before)) < _LEAST_RESUMED or len(self._agreed) < self.settings.agreeing or earlier.path.last_seen_s > self.path.first_s:
            return False
        # A single change leaves one half as it was; most texts differ in both, which takes no time to see.
        half = min(len(text), len(before)) // 2
        return (text[:half] == before[:half] or text[-half:] == before[-half:]) and _differ(text, before) <= 1

    def verdict(self) -> Verdict:
        """Whether this is a sighting of a text by now."""
        reasons = self._hindrances()
        told = self.reported is not None and self.reported.status == "read"
        if not reasons and not told and not self._is_clear() and not self.decoder.is_expected(self.reading.text, self.reading.lines):
            reasons = ["unexpected"]
        return self._unreadable(reasons) if reasons else Verdict("read", ())

    def is_known(self) -> bool:
        """Whether its text is settled, however little it may look like a plate: enough to know it again."""
        return not self._hindrances()

    def _hindrances(self) -> list[str]:
        """Why its text is not settled."""
        telling, agreed = self.looks, self._agreed
        if not self.reading.text:
            return ["no_text"]
        very_sure = any(look.reading.text == self.reading.text and look.reading.confidence >= self.settings.very_sure for look in telling)
        reasons = []
        if self.reading.format is None:
            reasons.append("no_format")
        if 2 * len(agreed) < len(telling):
            reasons.append("disagreeing")
        if self.reading.confidence < self.settings.min_confidence:
            reasons.append("unsure")
        elif len(agreed) < self.settings.agreeing and not very_sure:
            reasons.append("one_look")
        if not reasons and not self.path.motion.moved and not self._may_stand(agreed, len(telling)):
            reasons.append("static")
        return reasons

    def is_plate(self) -> bool:
        """Whether a plate seems to be there at all: its text is likely, or it is detected clearly, or well enough and a look at it may still come."""
        confidence, looked = self.path.detection_confidence, self.looks_taken >= 2
        if self._is_doubtful():
            return confidence >= FAINT and not looked
        return self.reading.confidence >= _LIKELY or self._is_clear() or (confidence >= FAINT and not (looked and not self.reading.text))

    def is_parked(self, time_s: float) -> bool:
        """Whether it has stood still long enough to count as parked."""
        return self.path.motion.still_s(time_s) >= self.settings.parked_s

    def is_news(self, time_s: float) -> bool:
        """Whether something changed since it was last reported that is worth saying."""
        last, verdict = self.reported, self.verdict()
        if last is None:
            return verdict.status == "read"
        parked = self.is_parked(time_s)
        text = self.reading.text if verdict.status == "read" else None
        if (verdict.status, text, parked, self.path.crossed) != (last.status, last.text, last.parked, last.crossed):
            return True
        if parked and time_s - last.time_s >= self.settings.parked_update_s:
            return True
        return self.reading.confidence - last.confidence >= 0.005 and 1 - self.reading.confidence <= (1 - last.confidence) / 2

    def sighting(self, time_s: float) -> Sighting:
        """What is known by now, with the evidence of the best look."""
        verdict = self.verdict()
        text = self.reading.text if verdict.status == "read" else None
        look = self._best_look()
        path = self.path
        return Sighting(
            id=self.id,
            status=verdict.status,
            text=text,
            reading=self.reading,
            first_s=path.first_s,
            last_s=path.last_seen_s,
            looks=self.looks_taken,
            agreeing=len(self._agreed),
            detection_confidence=look.detection_confidence,
            frame=look.frame,
            frame_s=look.time_s,
            quad=look.quad,
            crop=look.crop,
            picture=look.picture,
            direction=path.motion.direction(),
            heading=path.motion.heading(),
            parked=self.is_parked(path.last_seen_s),
            crossed=path.crossed,
            reasons=verdict.reasons,
        )

    def report(self, time_s: float) -> Sighting:
        """As `sighting`, remembered as said."""
        sighting = self.sighting(time_s)
        self.reported = Reported(time_s, sighting.status, sighting.text, sighting.reading.confidence, sighting.parked, sighting.crossed)
        return sighting

    def finish(self) -> None:
        """Count looks that were in doubt: there will be no others."""
        if self._doubts:
            self._take(self._doubts)
            self._doubts = []

    def why_dropped(self) -> str | None:
        """Why this is not worth a line: "no_plate" or "glimpse"; None when it is."""
        if self.reported is not None or self.verdict().status == "read":
            return None
        if self.path.detection_confidence < FAINT and self.reading.confidence < _LIKELY and not self._is_clear():
            return "no_plate"
        if self._is_doubtful():
            return "no_plate"
        if not self.looks or self.path.detections < 2 or self.path.last_seen_s - self.path.first_s < self.settings.glimpse_s:
            return "glimpse"
        return None

    def _take(self, looks: list[PlateLook]) -> None:
        """Keep the most telling of all looks and fuse them; looks that show nothing are kept only while none shows text, those that show a part of the
        text only while none is sure of the whole, and poorer ones that say the text themselves only while they do not make it unsure."""
        before, text, known = self.looks, self.reading.text, self.is_known()
        every = [*before, *looks]
        wholes = {look.reading.text for look in every if look.reading.confidence >= _CONFIDENT}
        every = [look for look in every if not any(is_part(look.reading.text, whole) for whole in wholes)]
        self._fuse(keep([look for look in every if look.reading.text] or every, self.settings.looks))
        if known and not self.is_known() and all(look.reading.text == text for look in looks):
            self._fuse(before)
        times = [look.time_s for look in agreeing(self.decoder, looks, self.reading.text)] if self.reading.text else []
        self.agreed_s = max(times, default=self.agreed_s)

    def _fuse(self, looks: list[PlateLook]) -> None:
        """Say what these looks say together."""
        self.looks = looks
        self.reading = fuse(self.decoder, looks)
        self._agreed = agreeing(self.decoder, looks, self.reading.text) if self.reading.text else []

    def _is_doubtful(self) -> bool:
        """Whether this is a sign, a caption or a lamp rather than a plate: at the same place all the time and not like a plate; large, and without any text;
        or not clearly detected, large enough to be read, and without a text that a plate here would have."""
        if not self.path.motion.moved and self.looks_taken >= self.settings.static_agreeing and self._is_no_standing_plate():
            return True
        high = self._largest_look_px
        if not self.reading.text and high >= _HUGE_PX and self.looks_taken >= 2:
            return True
        return not self._is_clear() and high >= _LARGE_PX and not self._is_expected()

    def _is_no_standing_plate(self) -> bool:
        """Whether what never moves is no plate: without any text, unless it is small and clearly detected; with a text that no plate anywhere has; surely
        read, with one that no plate here has; or faint, not read, and without a text like those of plates here."""
        found, text = self.path.detection_confidence, self.reading.text
        if not text:
            return found < CLEAR or self._largest_look_px >= _LARGE_PX
        if self.reading.format is None or (found < _STANDING_SIGN and self.reading.confidence >= _CONFIDENT and not self._is_expected()):
            return True
        return found < _STANDING and self.verdict().status != "read" and not self._looks_like_one_of_here()

    def _is_expected(self) -> bool:
        """Whether its text is one that a plate here would have."""
        return bool(self.reading.text) and self.decoder.is_expected(self.reading.text, self.reading.lines)

    def _looks_like_one_of_here(self) -> bool:
        """Whether enough looks agree, however unsurely, on a text that a plate here has, and few other things do."""
        enough = len(self._agreed) >= self.settings.static_agreeing and 2 * len(self._agreed) >= len(self.looks)
        return enough and self.path.detection_confidence >= _STANDING_LIKE and self.decoder.is_tight(self.reading.text, self.reading.lines)

    def _is_clear(self) -> bool:
        """Whether a plate is detected so clearly that it is believed to be one, whatever is read."""
        return self.path.detection_confidence >= CLEAR or (self.path.motion.moved and self.path.best_in_a_row >= _CLEAR_IN_A_ROW)

    def _contradicts(self, look: PlateLook) -> bool:
        """Whether a look shows another plate's text, as far as one look can tell. It takes less where this may have become another plate."""
        text = look.reading.text
        if not text or not self.reading.text or _differ(text, self.reading.text) < (3 if self.path.broken else 2):
            return False
        if is_part(text, self.reading.text) or is_part(self.reading.text, text):
            return False
        sure = _LIKELY if self.path.broken else _CONFIDENT
        if max(look.reading.confidence, self.reading.confidence) < _CONFIDENT or min(look.reading.confidence, self.reading.confidence) < sure:
            return False
        return self.decoder.plausibility(look.texts, self.reading.text) < _CONTRADICTS

    def _is_other_plate(self) -> bool:
        """Whether the looks in doubt outweigh that this has been one plate all the time."""
        alike = all(look.reading.text == self._doubts[0].reading.text for look in self._doubts)
        if not self.path.motion.moved and not self.path.away:
            # What changes in its place while nothing moves is a clock.
            return alike and len(self._doubts) >= _DOUBTS and self.verdict().status == "read"
        if self.path.broken:
            return len(self._doubts) >= _DOUBTS or (alike and (len(self._doubts) > 1 or self._doubts[0].reading.confidence >= SURE))
        own = max((look.weight for look in self._agreed), default=0.0)
        return alike and len(self._doubts) >= _DOUBTS and own >= 0.5 * max(look.weight for look in self._doubts)

    def _may_stand(self, agreed: list[PlateLook], telling: int) -> bool:
        """Whether a plate that never moved is believed: overlays, captions and signs do not move either."""
        if len(agreed) < self.settings.static_agreeing or 4 * len(agreed) < 3 * telling or self.path.detection_confidence < FAINT:
            return False
        times = [look.time_s for look in agreed]
        return max(times) - min(times) >= self.settings.static_s and self.decoder.is_tight(self.reading.text, self.reading.lines)

    def _unreadable(self, reasons: list[str]) -> Verdict:
        """Unreadable for `reasons`, and for what is wrong with the best look."""
        if self.looks:
            best = max(self.looks, key=lambda look: look.weight)
            if best.height_px / best.reading.lines < _SMALL_PX:
                reasons.append("too_small")
            if best.sharpness < _BLURRED:
                reasons.append("blurred")
        return Verdict("unreadable", tuple(reasons))

    def _best_look(self) -> PlateLook:
        """The look to show: one that says the text itself, the surest of the telling ones."""

        def worth(look: PlateLook) -> tuple[bool, float, float]:
            return look.reading.text == self.reading.text, look.weight * look.reading.confidence, look.height_px

        return max(self.looks, key=worth)

    def _is_wider(self) -> bool:
        """Whether more of the plate may be seen than at the last look."""
        if self._last_quad is None:
            return False
        (width, height), (last_width, last_height) = quad_size(self.path.quad), quad_size(self._last_quad)
        return width * last_height >= _WIDER * last_width * height

    def _is_settled(self) -> bool:
        """Whether the plate is where it was at the last look."""
        if self._last_quad is None:
            return False
        height = max(1.0, float(abs(self._last_quad[3] - self._last_quad[0]).max()))
        return float(abs(self.path.quad.mean(axis=0) - self._last_quad.mean(axis=0)).max()) < _SETTLED * height


def is_part(text: str, whole: str) -> bool:
    """Whether a text may be what is seen of another one while its plate is half hidden, or half in the picture."""
    return _LEAST_PART <= len(text) <= len(whole) - _LEAST_HIDDEN and text in whole


def _differ(first: str, second: str) -> int:
    """Number of single changes between two texts (Levenshtein)."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]
