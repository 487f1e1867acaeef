"""Log-probabilities of one plate's crops in, a reading out: best texts over all formats with their posteriors.

The score of a text is its CTC probability times a prior: 1 when a tight grammar allows it, less the more texts a grammar allows, less for loose
formats and for texts that no format allows, and less again for countries that a hint leaves out. Posteriors are scores over the sum of all scores, of which the part that the search did
not look at is bounded from above, so that a confidence is never too high for want of looking.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from openplate.charset import Charset
from openplate.errors import FormatError
from openplate.formats import Automaton, Format, PlateType, select
from openplate.formats.automaton import DEAD, START
from openplate.read.ctc import Found, Steps, compress, search, text_probability
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


@dataclass(frozen=True, slots=True)
class Calibration:
    """Posterior → probability of being right: `sigmoid(slope · logit(p) + offset)` (Platt 1999), fitted on held-out data."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, posterior: float) -> float:
        p = min(1 - 1e-7, max(1e-7, posterior))
        return 1 / (1 + math.exp(-(self.slope * math.log(p / (1 - p)) + self.offset)))


class Decoder:
    """Decodes over `formats`.

    Args:
        formats: all formats that are known.
        charset: of the reader's classes.
        country: codes of a soft hint; the others stay possible, at a fiftieth of the prior.
        only: codes of a strict hint; nothing else is ever read.
        calibration: of the reader's posteriors.
        rows: feature rows that the reader's steps are made of (upper, then lower); tells one-line from two-line plates.

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
    ) -> None:
        hinted, strict = select(formats, country), select(formats, only)
        used = strict or tuple(formats)
        unknown = [f.code for f in hinted if f not in used]
        if unknown:
            raise FormatError(f"country hint {' '.join(unknown)} contradicts the strict choice {' '.join(f.code for f in strict)}")
        self.charset = charset
        self.calibration = calibration
        self.rows = rows
        self._strict = bool(strict)
        self._hinted = {f.code for f in hinted}
        self._weight = {f.code: f.weight for f in used}
        self._automaton = Automaton(t for f in used for t in f.types)
        self._type_priors = self._weigh_types()
        self._priors: dict[tuple[int, int], float] = {}

    def decode(self, views: Sequence[NDArray[np.float32]], most: int = 5) -> Reading:
        """The reading of one plate.

        Args:
            views: `(T, K)` log-probabilities, one or several looks at the same plate; several are combined by the geometric mean of text probabilities.
            most: candidates wanted at most.
        """
        all_steps = [compress(view) for view in views]
        lines = self._lines(views[0])
        prior = partial(self._prior, lines)
        results = [search(steps, self._step, self._bound, prior, START, most) for steps in all_steps]
        if len(views) == 1:
            found, rest = list(results[0].found), results[0].rest
        else:
            found, rest = self._combine(all_steps, lines, [f for r in results for f in r.found], [r.rest for r in results])
        if self._strict:
            # What the choice rules out weighs as a text of no format does: a hardly possible text is not sure because nothing else was allowed.
            ruled_out = (max(0.0, 1 - sum(f.probability for f in r.found)) for r in results)
            rest += NO_FORMAT_PRIOR * math.prod(ruled_out) ** (1 / len(results))
        total = sum(f.score for f in found) + rest
        if not found or total <= 0 or not found[0].ids:
            return Reading("", 0.0, (), (), None, None, 1)
        shares = [f.score / total for f in found]
        candidates: list[Candidate] = []
        for entry, share in zip(found, shares, strict=True):
            if not entry.ids or len(candidates) == most:
                continue
            text = self.charset.decode(entry.ids)
            best = self.best_type(text, lines)
            candidates.append(Candidate(text, self.calibration(share), best.name if best else None))
        text = candidates[0].text
        plate_type = self.best_type(text, lines)
        texts = [self.charset.decode(f.ids) for f in found]
        return Reading(
            text=text,
            confidence=candidates[0].confidence,
            characters=tuple(Character(c, self.calibration(p)) for c, p in zip(text, character_shares(texts, shares), strict=True)),
            candidates=tuple(candidates),
            country=plate_type.country if plate_type else None,
            format=plate_type.name if plate_type else None,
            lines=lines,
        )

    def best_type(self, text: str, lines: int) -> PlateType | None:
        """The likeliest type for a text: types are weighed by how common they are and by how few texts they allow (a tight grammar explains more)."""

        def weight(plate_type: PlateType) -> float:
            value = math.log(self._weight[plate_type.country] * plate_type.weight) - plate_type.log_size
            if plate_type.lines != lines:
                value -= math.log(50)
            if self._hinted and plate_type.country not in self._hinted:
                value += math.log(NOT_HINTED_PRIOR)
            return value

        return max(self._automaton.matches(text), key=weight, default=None)

    def _combine(self, all_steps: list[Steps], lines: int, found: list[Found], rests: list[float]) -> tuple[list[Found], float]:
        """Texts of all looks under the geometric mean of their probabilities; that of the rests bounds the rest (Hölder's inequality)."""
        merged = []
        for ids in {f.ids for f in found}:
            logs = [math.log(max(1e-9, text_probability(steps, list(ids)))) for steps in all_steps]
            probability = math.exp(sum(logs) / len(logs))
            merged.append(Found(ids, probability, probability * self._prior(lines, self._run(ids))))
        merged.sort(key=lambda f: (-f.score, f.ids))
        return merged, math.prod(rests) ** (1 / len(rests))

    def _run(self, ids: tuple[int, ...]) -> int:
        return self._automaton.run(self.charset.decode(ids))

    def _step(self, state: int, k: int) -> int | None:
        following = self._automaton.step(state, self.charset.characters[k - 1])
        return None if self._strict and following == DEAD else following

    def _bound(self, state: int) -> float:
        return 1.0 if state != DEAD else NO_FORMAT_PRIOR

    def _prior(self, lines: int, state: int) -> float:
        """Largest prior of the types that accept here, less for those with other `lines`; a text that none accepts keeps a little, unless the choice is strict.

        "" has prior 1: where nothing is written, nothing has to be read.
        """
        known = self._priors.get((state, lines))
        if known is None:
            known = 1.0 if state == START else 0.0 if self._strict else NO_FORMAT_PRIOR
            for plate_type in self._automaton.accepted(state):
                known = max(known, self._type_priors[plate_type.name] * (1.0 if plate_type.lines == lines else OTHER_LINES_PRIOR))
            self._priors[state, lines] = known
        return known

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
