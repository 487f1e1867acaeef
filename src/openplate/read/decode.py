"""Log-probabilities of one plate's crops in, a reading out: best texts over all formats with their posteriors.

The score of a text is its CTC probability times a prior: 1 when a tight grammar allows it, less the more texts a grammar allows, less for loose
formats and for texts that no format allows, and less again for countries that a hint leaves out. Posteriors are scores over the sum of all scores, of which the part that the search did
not look at is bounded from above, so that a confidence is never too high for want of looking.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openplate.charset import Charset
from openplate.errors import FormatError
from openplate.formats import Automaton, Format, PlateType, select
from openplate.formats.automaton import DEAD, START
from openplate.read.ctc import Found, Known, Prefixes, SearchResult, Steps, Together, compress, search, text_probability
from openplate.types import Candidate, Character, Reading

LOOSE_PRIOR = 0.5
NO_FORMAT_PRIOR = 0.01
TIGHT_LOG_SIZE = 20.0
"""A grammar that allows up to e^20 texts (Russian cars: e^19.5) has prior 1; each further factor e lowers it by `SIZE_PENALTY` (in the logarithm)."""
SIZE_PENALTY = 0.3
RARITY_PENALTY = 0.3
"""A type that is e times rarer than the commonest one has a prior lower by this (in the logarithm)."""
NOT_HINTED_PRIOR = 0.02
OTHER_LINES_PRIOR = 0.1
NO_COUNTRY = "ANY"
"""The code of plates of no country that is known; a text of no format is believed as far as a plate looks like those."""
ORIGIN_TRUST = 0.5
"""Power of what a network says of countries: of plates that are unlike the drawn ones it is surer than it should be."""
LEAST_ORIGIN = 0.1
"""Least part of its prior that a type keeps whatever the network says of its country."""
IMPOSSIBLE = 1e-9
"""Least probability that one look leaves to a text: a cut or covered look must not rule a text out for good."""
_FUSED_TEXTS = 16
"""So many texts are searched for in several looks: what is found no longer counts as what might be there."""
NOTHING = Reading("", 0.0, (), (), None, None, 1)
"""The reading of what holds no text."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Posterior → probability of being right: `sigmoid(slope · logit(p) + offset)` (Platt 1999), fitted on held-out data."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, posterior: float) -> float:
        p = min(1 - 1e-7, max(1e-7, posterior))
        return 1 / (1 + math.exp(-(self.slope * math.log(p / (1 - p)) + self.offset)))


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one crop of a plate says: its steps, the lines it shows and the texts that the search found. `Decoder.fuse` joins several.

    `origins` are log-likelihoods of countries by code, as far as the network tells any.
    """

    steps: Steps
    lines: int
    result: SearchResult
    origins: Mapping[str, float] = field(default_factory=dict)
    _known: dict[tuple[int, ...], float] = field(default_factory=dict, repr=False)

    def probability(self, ids: tuple[int, ...]) -> float:
        """The CTC probability of a text (class ids) in this look, without any prior."""
        known = self._known.get(ids)
        if known is None:
            known = self._known[ids] = text_probability(self.steps, list(ids))
        return known

    @property
    def seen(self) -> float:
        """Summed CTC probability of the texts that the search found."""
        return min(1.0, sum(f.probability for f in self.result.found))


class _Shown(NamedTuple):
    """What a plate shows beside its text: its lines, and how much of its prior a type of each country keeps (1 for those not named)."""

    lines: int
    origins: Mapping[str, float]


class Decoder:
    """Decodes over `formats`.

    Args:
        formats: all formats that are known.
        charset: of the reader's classes.
        country: codes of a soft hint; the others stay possible, at a fiftieth of the prior.
        only: codes of a strict hint; nothing else is ever read.
        calibration: of the reader's posteriors.
        rows: feature rows that the reader's steps are made of (upper, then lower); tells one-line from two-line plates.
        origins: codes of the countries of which the reader says how likely they look; each view then has one row more, `(T + 1, K)`, whose first values
            are the countries' log-likelihoods.

    Raises:
        FormatError: a code is not known.
    """

    def __init__(
        self,
        formats: Sequence[Format],
        charset: Charset,
        country: Iterable[str] = (),
        only: Iterable[str] = (),
        calibration: Calibration = Calibration(),
        rows: int = 2,
        origins: Sequence[str] = (),
    ) -> None:
        hinted, strict = select(formats, country), select(formats, only)
        used = strict or tuple(formats)
        unknown = [f.code for f in hinted if f not in used]
        if unknown:
            choice = " ".join(f.code for f in strict)
            raise FormatError(f"country hint {' '.join(unknown)} contradicts the strict choice {choice}; name it in both, or leave the hint out")
        self.charset = charset
        self.calibration = calibration
        self.rows = rows
        self.origins = tuple(origins)
        self._strict = bool(strict)
        self._hinted = {f.code for f in hinted}
        self._weight = {f.code: f.weight for f in used}
        self._automaton = Automaton(t for f in used for t in f.types)
        self._type_priors = self._weigh_types()
        self._priors: dict[tuple[int, int], list[tuple[str, float]]] = {}
        self._steps: dict[tuple[int, int], int | None] = {}

    @classmethod
    def of_network(cls, metadata: Mapping[str, str], formats: Sequence[Format], country: Iterable[str] = (), only: Iterable[str] = ()) -> Decoder:
        """The decoder that fits a network which reads: charset, calibration and feature rows are in the metadata of its file.

        Raises:
            FormatError: a code is not known.
        """
        calibration = Calibration(float(metadata.get("openplate.slope", 1)), float(metadata.get("openplate.offset", 0)))
        rows, origins = int(metadata.get("openplate.rows", 2)), metadata.get("openplate.origins", "").split()
        return cls(formats, Charset(metadata["openplate.characters"]), country, only, calibration, rows, origins)

    def hinting(self, formats: Sequence[Format], country: Iterable[str], only: Iterable[str]) -> Decoder:
        """A decoder of the same reader with other hints.

        Raises:
            FormatError: a code is not known, or the hints contradict each other.
        """
        return Decoder(formats, self.charset, country, only, self.calibration, self.rows, self.origins)

    def decode(self, views: Sequence[NDArray[np.float32]], most: int = 5) -> Reading:
        """The reading of one plate.

        Args:
            views: `(T, K)` log-probabilities (with a row more where the reader tells countries), one or several looks at the same plate; several are combined by the geometric mean of text probabilities.
            most: candidates wanted at most.
        """
        first = self.look(views[0], most)
        return self.fuse([first, *(self.look(view, most, first.lines) for view in views[1:])], most=most)

    def look(self, view: NDArray[np.float32], most: int = 5, lines: int | None = None) -> Look:
        """What one crop says; `view (T, K)` are its log-probabilities (with a row more where the reader tells countries), `lines` takes the place of what they show."""
        origins: dict[str, float] = {}
        if self.origins:
            view, said = view[:-1], view[-1].tolist()
            origins = dict(zip(self.origins, said, strict=False))
        steps = compress(view)
        lines = self._lines(view) if lines is None else lines
        nothing = math.prod(steps.blank)
        if nothing > 0.5:
            # No text can be likelier than none; where there is no plate, a search would take longest.
            return Look(steps, lines, SearchResult((Found((), nothing, nothing),), 1 - nothing), origins)
        return Look(steps, lines, self._search(steps, _Shown(lines, weigh_origins([origins], [1.0])), most), origins)

    def fuse(self, looks: Sequence[Look], weights: Sequence[float] | None = None, evidence: float = 1.0, most: int = 5) -> Reading:
        """The reading of several looks at one plate.

        A text's score is its prior times `Π p_i ^ (evidence · w_i)`, with the weights scaled to a sum of 1: the geometric mean of its probabilities in
        the looks, raised to as many independent looks as they are worth together. The search goes through all looks at once: a text that is the best of
        none may be the best of all, and what each leaves open is not what all leave open.

        Args:
            looks: the first one says how many lines there are.
            weights: how much each look counts; all the same when not given.
            evidence: 1 when the looks say the same thing again and again, up to their number when each is news.
            most: candidates wanted at most.
        """
        total_weight = math.fsum(weights) if weights else float(len(looks))
        shares_of_looks = [w / total_weight for w in weights] if weights else [1 / len(looks)] * len(looks)
        lines = looks[0].lines
        shown = _Shown(lines, weigh_origins([look.origins for look in looks], shares_of_looks))
        if len(looks) == 1 and evidence == 1:
            found, rest = list(looks[0].result.found), looks[0].result.rest
        else:
            together = Together([look.steps for look in looks], [evidence * share for share in shares_of_looks], IMPOSSIBLE)
            result = self._search(together, shown, max(most, _FUSED_TEXTS))
            found, rest = list(result.found), result.rest
            if not found or not found[0].ids:
                # Looks that contradict each other have no text together that is likelier than none; what each of them says is told all the same.
                rest += sum(f.score for f in found)
                found = self._weighed(looks, shares_of_looks, evidence, shown)
        if self._strict:
            # What the choice rules out weighs as a text of no format does: a hardly possible text is not sure because nothing else was allowed.
            rest += NO_FORMAT_PRIOR * _mean([max(0.0, 1 - look.seen) for look in looks], shares_of_looks) ** evidence
        total = sum(f.score for f in found) + rest
        if not found or total <= 0 or not found[0].ids:
            return NOTHING
        shares = [f.score / total for f in found]
        texts = [self.charset.decode(f.ids) for f in found]
        candidates: list[Candidate] = []
        for text, confidence in zip(texts, self._confidences(shares), strict=True):
            if not text or len(candidates) == most:
                continue
            best = self._best_type(text, shown)
            candidates.append(Candidate(text, confidence, best.name if best else None))
        text = candidates[0].text
        type_shares = self._type_shares(text, shown)
        plate_type, type_share = max(type_shares, key=_second, default=(None, None))
        return Reading(
            text=text,
            confidence=candidates[0].confidence,
            characters=tuple(Character(c, self.calibration(p)) for c, p in zip(text, character_shares(texts, shares), strict=True)),
            candidates=tuple(candidates),
            country=plate_type.country if plate_type else None,
            format=plate_type.name if plate_type else None,
            lines=lines,
            country_confidence=min(1.0, math.fsum(p for t, p in type_shares if t.country == plate_type.country)) if plate_type else None,
            format_confidence=type_share,
        )

    def plausibility(self, look: Look, text: str) -> float:
        """A text's score in one look over that of the look's best text, at most 1; 0 where the look found nothing but knows no such text."""
        ids = tuple(self.charset.encode(text))
        best = look.result.found[0].score if look.result.found else 0.0
        shown = _Shown(look.lines, weigh_origins([look.origins], [1.0]))
        score = look.probability(ids) * self._prior(shown, self._run(ids))
        return 0.0 if score <= 0 else min(1.0, score / best) if best > 0 else 1.0

    def is_tight(self, text: str, lines: int) -> bool:
        """Whether a type that is not loose, of a country that the hints name (any, when there are none), allows the text."""
        fitting = (t for t in self._automaton.matches(text) if not t.loose and t.lines == lines)
        return any(not self._hinted or t.country in self._hinted for t in fitting)

    def is_expected(self, text: str, lines: int) -> bool:
        """Whether a type allows the text that a plate here would have: any of a country that the hints name, or, where there are none, any that is not loose."""
        fitting = (t for t in self._automaton.matches(text) if t.lines == lines)
        return any(t.country in self._hinted if self._hinted else not t.loose for t in fitting)

    def _best_type(self, text: str, shown: _Shown) -> PlateType | None:
        """The likeliest type for a text, None when no type allows it."""
        return max(self._type_shares(text, shown), key=_second, default=(None, 0.0))[0]

    def _type_shares(self, text: str, shown: _Shown) -> list[tuple[PlateType, float]]:
        """The probability of each type that allows a text, given the text and the look of the plate; they sum to 1.

        Types are weighed by how common they are and by how few texts they allow (a tight grammar explains more).
        """

        def weight(plate_type: PlateType) -> float:
            value = math.log(self._weight[plate_type.country] * plate_type.weight) - plate_type.log_size
            if plate_type.lines != shown.lines:
                value -= math.log(50)
            value += math.log(shown.origins.get(plate_type.country, 1.0))
            if self._hinted and plate_type.country not in self._hinted:
                value += math.log(NOT_HINTED_PRIOR)
            return value

        types = self._automaton.matches(text)
        weights = [weight(plate_type) for plate_type in types]
        most = max(weights, default=0.0)
        shares = [math.exp(value - most) for value in weights]
        total = math.fsum(shares)
        return [(plate_type, share / total) for plate_type, share in zip(types, shares, strict=True)]

    def _confidences(self, shares: Sequence[float]) -> list[float]:
        """Posteriors, the largest first, as probabilities: the first is calibrated, the others divide what it leaves in proportion and stay below it."""
        first = self.calibration(shares[0])
        scale = (1 - first) / (1 - shares[0]) if shares[0] < 1 else 0.0
        return [first, *(min(first, share * scale) for share in shares[1:])]

    def _weighed(self, looks: Sequence[Look], shares: Sequence[float], evidence: float, shown: _Shown) -> list[Found]:
        """The texts that each look found, with their joint scores, the best first."""
        merged = []
        for ids in {f.ids for look in looks for f in look.result.found}:
            probability = _mean([max(IMPOSSIBLE, look.probability(ids)) for look in looks], shares) ** evidence
            merged.append(Found(ids, probability, probability * self._prior(shown, self._run(ids))))
        return sorted(merged, key=lambda f: (-f.score, f.ids))

    def _search(self, steps: Prefixes[Known], shown: _Shown, most: int) -> SearchResult:
        return search(steps, self._step, self._bound, partial(self._prior, shown), START, most)

    def _run(self, ids: tuple[int, ...]) -> int:
        return self._automaton.run(self.charset.decode(ids))

    def _step(self, state: int, k: int) -> int | None:
        if state == DEAD:  # of most prefixes that a search looks at
            return None if self._strict else DEAD
        known = self._steps.get((state, k), START)
        if known == START:  # no step leads back there
            following = self._automaton.step(state, self.charset.characters[k - 1])
            known = self._steps[state, k] = None if self._strict and following == DEAD else following
        return known

    def _bound(self, state: int) -> float:
        return 1.0 if state != DEAD else NO_FORMAT_PRIOR

    def _prior(self, shown: _Shown, state: int) -> float:
        """Largest prior of the types that accept here, less for those with other lines or of countries that look otherwise; a text that none accepts keeps
        a little, unless the choice is strict.

        "" has prior 1: where nothing is written, nothing has to be read.
        """
        if state == START:
            return 1.0
        accepted = self._priors.get((state, shown.lines))
        if accepted is None:
            accepted = self._priors[state, shown.lines] = self._by_country(state, shown.lines)
        known = 0.0 if self._strict else NO_FORMAT_PRIOR * shown.origins.get(NO_COUNTRY, 1.0)
        for country, prior in accepted:
            known = max(known, prior * shown.origins.get(country, 1.0))
        return known

    def _by_country(self, state: int, lines: int) -> list[tuple[str, float]]:
        """Each country with a type that accepts here, and the largest prior of these types."""
        priors: dict[str, float] = {}
        for plate_type in self._automaton.accepted(state):
            prior = self._type_priors[plate_type.name] * (1.0 if plate_type.lines == lines else OTHER_LINES_PRIOR)
            priors[plate_type.country] = max(prior, priors.get(plate_type.country, 0.0))
        return list(priors.items())

    def _weigh_types(self) -> dict[str, float]:
        """Prior of each type by name; the largest is 1 before hints."""
        totals: dict[str, float] = {}
        for plate_type in self._automaton.types:
            totals[plate_type.country] = totals.get(plate_type.country, 0.0) + plate_type.weight
        share = {t.name: self._weight[t.country] * t.weight / totals[t.country] for t in self._automaton.types}
        most = max(share.values(), default=1.0)
        priors = {}
        for plate_type in self._automaton.types:
            size = max(0.0, plate_type.log_size - TIGHT_LOG_SIZE)
            value = math.exp(-SIZE_PENALTY * size) * (share[plate_type.name] / most) ** RARITY_PENALTY
            if plate_type.loose:
                value *= LOOSE_PRIOR
            if self._hinted and plate_type.country not in self._hinted:
                value *= NOT_HINTED_PRIOR
            priors[plate_type.name] = value
        return priors

    def _lines(self, view: NDArray[np.float32]) -> int:
        if self.rows < 2:
            return 1
        per_row = (view.argmax(axis=-1) != 0).reshape(self.rows, -1).sum(axis=-1)
        return 2 if per_row[0] and per_row[1] else 1


def weigh_origins(said: Sequence[Mapping[str, float]], shares: Sequence[float]) -> dict[str, float]:
    """How much of its prior a type of each country keeps: 1 for the country that the looks together say first; none where a look says nothing.

    Args:
        said: log-likelihoods by country code, of each look.
        shares: of the looks, with the sum 1.
    """
    if not all(said):
        return {}
    joined = {code: math.fsum(share * look[code] for share, look in zip(shares, said, strict=True)) for code in said[0]}
    most = max(joined.values())
    return {code: max(LEAST_ORIGIN, math.exp(ORIGIN_TRUST * (value - most))) for code, value in joined.items()}


def _second(pair: tuple[PlateType | None, float | None]) -> float:
    return pair[1] or 0.0


def _mean(values: Sequence[float], shares: Sequence[float]) -> float:
    """The weighted geometric mean; 0 when one of the values is."""
    return math.exp(math.fsum(w * math.log(v) for v, w in zip(values, shares, strict=True))) if min(values) > 0 else 0.0


def character_shares(texts: Sequence[str], shares: Sequence[float]) -> list[float]:
    """For each character of `texts[0]` the summed share of the texts that agree on it, after aligning each text with the first.

    What the search did not look at counts as disagreeing with every character, in proportion: never above 1, never below the first text's own share.
    """
    best = texts[0]
    agreed = [0.0] * len(best)
    for text, share in zip(texts, shares, strict=True):
        for i in _matches(best, text):
            agreed[i] += share
    return [min(1.0, value) for value in agreed]


def _matches(first: str, second: str) -> list[int]:
    """Indices of `first` that a shortest edit script to `second` leaves alone (Levenshtein)."""
    if len(first) == len(second):
        equal = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a == b]
        if len(first) - len(equal) <= 2:  # no script is shorter
            return equal
    rows, columns = len(first) + 1, len(second) + 1
    cost = [[i + j if i * j == 0 else 0 for j in range(columns)] for i in range(rows)]
    for i in range(1, rows):
        for j in range(1, columns):
            cost[i][j] = min(cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (first[i - 1] != second[j - 1]))
    i, j, kept = rows - 1, columns - 1, []
    while i and j:
        if first[i - 1] == second[j - 1] and cost[i][j] == cost[i - 1][j - 1]:
            kept.append(i - 1)
            i, j = i - 1, j - 1
        elif cost[i][j] == cost[i - 1][j - 1] + 1:
            i, j = i - 1, j - 1
        elif cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return kept[::-1]
