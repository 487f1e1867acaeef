"""What a sighting says of a plate in, the probability that the plate has a text or matches a pattern out.

The candidates keep their posteriors. What they leave over is spread over all other texts by a model of reading errors around the best candidate b:
each character is right with its confidence, otherwise it is a look-alike or another character of its kind; with probability `SLIP` the true text
is one character longer or shorter (Kernighan, Church and Gale 1990, with one error in length at most). So the probabilities of all texts sum to 1.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from operator import mul

from openplate.charset import DIGITS, LATIN
from openplate.store.look_alikes import wrong_shares
from openplate.store.patterns import Pattern
from openplate.types import Candidate, Character

SLIP = 0.1
"""Of the wrong readings that are no candidates, the part with a wrong number of characters; half have one too few, half one too many."""
_MISSED = dict.fromkeys(DIGITS + LATIN, 1 / len(DIGITS + LATIN))
_FEWEST = 1e-9


class Belief:
    """The texts that a plate may have.

    Args:
        text: the best text, "" when nothing was read.
        confidence: that `text` is right; used when it is not among the candidates.
        characters: of `text`; where they do not fit it, each counts as sure as the whole.
        candidates: with their posteriors, which are scaled down where they sum to more than 1.
    """

    def __init__(self, text: str, confidence: float, characters: Sequence[Character], candidates: Sequence[Candidate]) -> None:
        posteriors = {c.text: c.confidence for c in reversed(candidates) if c.text}
        if text:
            posteriors.setdefault(text, confidence)
        total = max(1.0, sum(posteriors.values()))
        self.posteriors = {t: p / total for t, p in posteriors.items()}
        self.best = text or max(self.posteriors, key=lambda t: self.posteriors[t], default="")
        if "".join(c.text for c in characters) == self.best:
            self._rights = [c.confidence for c in characters]
        else:
            self._rights = [self.posteriors.get(self.best, 0.0) ** (1 / max(1, len(self.best)))] * len(self.best)

    @property
    def rest(self) -> float:
        """The probability that the plate has none of the candidates' texts."""
        return max(0.0, 1 - sum(self.posteriors.values())) if self.best else 0.0

    def of_text(self, text: str) -> float:
        """Probability that the plate has exactly this text."""
        if not self.best:
            return 0.0
        known = self.posteriors.get(text)
        return self._scale * self._error_model(text) if known is None else known

    def of_pattern(self, pattern: Pattern) -> float:
        """Probability that the plate's text matches the pattern."""
        if pattern.literal or not self.best:
            return self.of_text(pattern.text)
        matching = [t for t in self.posteriors if pattern.matches(t)]
        others = self._error_model_of_pattern(pattern) - sum(self._candidate_errors[t] for t in matching)
        return min(1.0, sum(self.posteriors[t] for t in matching) + self._scale * max(0.0, others))

    def likely(self, most: int) -> list[tuple[str, float]]:
        """The candidates and the likeliest other texts of the best one's length, at most `most` of these, each with its probability.

        Summing over a subset gives a lower bound of the subset's probability.
        """
        texts = dict(self.posteriors)
        for text in self._substitutions(most):
            texts.setdefault(text, self.of_text(text))
        return sorted(texts.items(), key=lambda item: (-item[1], item[0]))

    @cached_property
    def _candidate_errors(self) -> dict[str, float]:
        """What the error model gives to the candidates, which have their posteriors already."""
        return {text: self._error_model(text) for text in self.posteriors}

    @cached_property
    def _options(self) -> list[dict[str, float]]:
        """For each character of the best text what it may really be, with probabilities."""
        return [{b: q} | {c: (1 - q) * share for c, share in wrong_shares(b).items()} for b, q in zip(self.best, self._rights, strict=True)]

    @cached_property
    def _scale(self) -> float:
        return self.rest / max(_FEWEST, 1 - sum(self._candidate_errors.values()))

    def _error_model(self, text: str) -> float:
        """Probability of a text under the model of errors alone."""
        length = len(self.best)
        if len(text) == length:
            return (1 - SLIP) * math.prod(self._chances(text))
        if abs(len(text) - length) > 1:
            return 0.0
        # The slip lies behind `place` characters: those before it stand where they stood, those behind it one place further on or back.
        heads = list(accumulate(self._chances(text), mul, initial=1.0))
        tails = list(accumulate(self._chances(text, from_end=True), mul, initial=1.0))
        if len(text) > length:
            return SLIP / 2 * sum(heads[p] * _MISSED.get(text[p], 0.0) * tails[length - p] for p in range(length + 1)) / (length + 1)
        return SLIP / 2 * sum(heads[p] * tails[length - 1 - p] for p in range(length)) / length

    def _chances(self, text: str, from_end: bool = False) -> Iterator[float]:
        """For each character of the text that has a partner in the best text the probability that it is the true one there."""
        step = -1 if from_end else 1
        for best, right, character in zip(self.best[::step], self._rights[::step], text[::step], strict=False):
            yield right if character == best else (1 - right) * wrong_shares(best).get(character, 0.0)

    def _error_model_of_pattern(self, pattern: Pattern) -> float:
        """As `_error_model`, over all texts that match: the masses of the automaton's states, character by character."""
        length = len(self._options)
        missed = _by_symbol(pattern, _MISSED)
        same, longer, shorter = {pattern.start: 1.0}, dict[int, float](), dict[int, float]()
        for option in self._options:
            symbols = _by_symbol(pattern, option)
            longer = _merge(longer, _step(pattern, same, missed), 1 / (length + 1))
            longer = _step(pattern, longer, symbols)
            shorter = _merge(_step(pattern, shorter, symbols), same, 1 / length)
            same = _step(pattern, same, symbols)
        longer = _merge(longer, _step(pattern, same, missed), 1 / (length + 1))
        accepted = [sum(mass for state, mass in masses.items() if pattern.accepts(state)) for masses in (same, longer, shorter)]
        return (1 - SLIP) * accepted[0] + SLIP / 2 * (accepted[1] + accepted[2])

    def _substitutions(self, most: int) -> list[str]:
        """The likeliest texts of the best one's length under the model of errors, best first: a best-first search over ranks."""
        ranked = [sorted(option.items(), key=lambda item: (-item[1], item[0])) for option in self._options]
        if not ranked:
            return []
        start = (0,) * len(ranked)
        seen = {start}
        queue = [(-math.prod(r[0][1] for r in ranked), start)]
        found: list[str] = []
        while queue and len(found) < most:
            mass, ranks = heapq.heappop(queue)
            if mass == 0:
                break
            found.append("".join(r[rank][0] for r, rank in zip(ranked, ranks, strict=True)))
            for i, rank in enumerate(ranks):
                following = (*ranks[:i], rank + 1, *ranks[i + 1 :])
                if rank + 1 < len(ranked[i]) and following not in seen:
                    seen.add(following)
                    heapq.heappush(queue, (-math.prod(r[k][1] for r, k in zip(ranked, following, strict=True)), following))
        return found


def _by_symbol(pattern: Pattern, option: dict[str, float]) -> dict[str, float]:
    masses: dict[str, float] = {}
    for character, mass in option.items():
        symbol = pattern.symbol(character)
        masses[symbol] = masses.get(symbol, 0.0) + mass
    return masses


def _step(pattern: Pattern, states: dict[int, float], symbols: dict[str, float]) -> dict[int, float]:
    following: dict[int, float] = {}
    for state, mass in states.items():
        for symbol, share in symbols.items():
            target = pattern.step(state, symbol)
            if target != Pattern.DEAD:
                following[target] = following.get(target, 0.0) + mass * share
    return following


def _merge(first: dict[int, float], second: dict[int, float], weight: float) -> dict[int, float]:
    merged = dict(first)
    for state, mass in second.items():
        merged[state] = merged.get(state, 0.0) + weight * mass
    return merged
