"""A plate pattern as it is typed in, an automaton and its SQL forms out: `*` any run, `?` any character, `@` a letter, `#` a digit.

The automaton's states are sets of places in the pattern, written as the bits of a whole number (Baeza-Yates and Gonnet 1992); place i means that
the first i symbols are used up.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache

from openplate.charset import DIGITS, normalise
from openplate.errors import StoreError

RUN, ANY, LETTER, DIGIT = "*", "?", "@", "#"
WILDCARDS = RUN + ANY + LETTER + DIGIT
LONGEST = 32
"""A text or a pattern has at most this many characters, runs not counted; plates have ten at most."""
OTHER_LETTER, OTHER_DIGIT = "letter", "digit"
"""Stand for all letters, or digits, that a pattern does not name."""


class Pattern:
    """A pattern in the project's spelling. A letter is any character but 0-9; the whole text has to match. `DEAD` is the state from which nothing matches.

    Raises:
        StoreError: the pattern is empty, too long, or has a character that is neither a letter, a digit nor a wildcard.
    """

    DEAD = 0

    def __init__(self, typed: str) -> None:
        text = re.sub(r"\*+", RUN, normalise(typed))
        wrong = [c for c in text if not c.isalnum() and c not in WILDCARDS]
        if wrong:
            raise StoreError(f"a plate has letters and digits, a pattern also {' '.join(WILDCARDS)}; got {wrong[0]!r} in {typed!r}")
        if not text or len(text.replace(RUN, "")) > LONGEST:
            raise StoreError(f"expected 1 to {LONGEST} characters that are part of a plate, got {typed!r}")
        self.text = text
        self._runs = sum(1 << i for i, c in enumerate(text) if c == RUN)
        self._named = frozenset(c for c in text if c not in WILDCARDS)
        self._accepting: dict[str, int] = {}
        self._end = 1 << len(text)
        self.start = self._skip_runs(1)

    @property
    def literal(self) -> bool:
        """Whether the pattern is a plain text."""
        return self._named == frozenset(self.text)

    def symbol(self, character: str) -> str:
        """What the automaton sees of a character: itself when the pattern names it, else `OTHER_DIGIT` or `OTHER_LETTER`."""
        return character if character in self._named else OTHER_DIGIT if character in DIGITS else OTHER_LETTER

    def step(self, state: int, symbol: str) -> int:
        """The state after one more symbol, `DEAD` when no text that goes on like this matches."""
        accepting = self._accepting.get(symbol)
        if accepting is None:
            accepting = self._accepting[symbol] = self._places_that_take(symbol)
        return self._skip_runs((state & accepting) << 1 | state & self._runs)

    def accepts(self, state: int) -> bool:
        """Whether the text that led to a state matches."""
        return bool(state & self._end)

    def matches(self, text: str) -> bool:
        """Whether a whole text, in the project's spelling, matches."""
        state = self.start
        for character in text:
            state = self.step(state, self.symbol(character))
        return self.accepts(state)

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The runs of plain characters in the anchored pattern (`^` and `$` mark the text's ends), in their order."""
        return tuple(piece for piece in re.split(r"[*?@#]", f"^{self.text}$") if piece)

    @property
    def glob(self) -> str:
        """The pattern for SQLite's `GLOB`."""
        return self.text.replace(LETTER, "[^0-9]").replace(DIGIT, "[0-9]")

    @property
    def like(self) -> str:
        """The pattern for `LIKE`, where `@` and `#` become any character."""
        return "".join({RUN: "%", ANY: "_", LETTER: "_", DIGIT: "_"}.get(c, c) for c in self.text)

    @property
    def regular_expression(self) -> str:
        """The pattern as a POSIX regular expression."""
        return "^" + "".join({RUN: ".*", ANY: ".", LETTER: "[^0-9]", DIGIT: "[0-9]"}.get(c, c) for c in self.text) + "$"

    def _places_that_take(self, symbol: str) -> int:
        kinds = ANY + (DIGIT if symbol == OTHER_DIGIT or symbol in DIGITS else LETTER)
        return sum(1 << i for i, c in enumerate(self.text) if c == symbol or c in kinds)

    def _skip_runs(self, state: int) -> int:
        # No two runs are neighbours, so that one step is enough.
        return state | (state & self._runs) << 1


@lru_cache(maxsize=4096)
def plate_text(typed: str) -> str:
    """A plate as it is typed in, in the project's spelling.

    Raises:
        StoreError: it is empty, too long, or has a character that is neither a letter nor a digit.
    """
    pattern = Pattern(typed)
    if not pattern.literal:
        raise StoreError(f"expected a plate without wildcards, got {typed!r}")
    return pattern.text
