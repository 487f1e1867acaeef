"""What a format file says, as frozen dataclasses; lengths in mm on the plate, x to the right and y down from its top left corner."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cached_property

GLYPH_STYLES = ("gost", "ga36", "din", "fe", "uk", "us", "mercosur", "plain")
"""The type faces that a plate type may name; `synthesize.glyphs` draws them."""
LONGEST_TEXT = 12
"""Characters that a plate's text has at most: readers are trained on no more."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a pattern: one of `choices`, from `least` to `most` times. Drawing takes the `drawn` ones of them; empty: all.

    `drawn_letters` says how often drawing puts 0, 1, 2 … letters among the digits, as weights; empty: as many as chance gives.
    """

    choices: tuple[str, ...]
    least: int = 1
    most: int = 1
    drawn: tuple[str, ...] = ()
    drawn_letters: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """A run of glyphs in a row, or a mark between runs that is drawn and not read.

    `pitch_mm` is the distance from one glyph's left edge to the next one's; `width_mm` the widest glyph; `gap_mm` the space before the field;
    `x_mm` fixes the left edge, otherwise the fields flow and the row is centred; `raise_mm` lifts the field above the row's base line.
    """

    pieces: tuple[Piece, ...]
    mark: str
    height_mm: float
    width_mm: float
    pitch_mm: float
    gap_mm: float
    x_mm: float | None
    raise_mm: float
    ink: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """Fields from left to right on one base line (the glyphs' lower edge)."""

    baseline_mm: float
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """Decoration: a `band`, `rect`, `frame`, `circle`, `text` or `flag`. `box_mm` is x0, y0, x1, y1; `chance` how often it is drawn."""

    kind: str
    box_mm: tuple[float, float, float, float]
    colour: str
    texts: tuple[str, ...]
    stripes: tuple[str, ...]
    line_mm: float
    chance: float


@dataclass(frozen=True)
class PlateType:
    """One type of plate of one country: its grammar and how it looks. `drawn` times as often as its `weight` says is it drawn to train on, which never sees it at 0."""

    country: str
    id: str
    title: str
    weight: float
    loose: bool
    size_mm: tuple[float, float]
    colours: tuple[tuple[str, str], ...]
    glyphs: str
    border_mm: float
    area_mm: tuple[float, float]
    rows: tuple[Row, ...]
    marks: tuple[Mark, ...]
    drawn: float = 1.0

    @property
    def name(self) -> str:
        """`COUNTRY/id`, as results name it."""
        return f"{self.country}/{self.id}"

    @property
    def lines(self) -> int:
        """Number of rows that hold text."""
        return len(self.rows)

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The whole grammar: the pieces of all fields in reading order."""
        return tuple(piece for row in self.rows for field in row.fields for piece in field.pieces)

    @cached_property
    def longest(self) -> int:
        """Length of the longest text."""
        return sum(piece.most * max(len(choice) for choice in piece.choices) for piece in self.pieces)

    @cached_property
    def log_size(self) -> float:
        """Natural logarithm of the number of texts that the grammar allows (ambiguous derivations counted apart)."""
        return sum(math.log(sum(len(p.choices) ** n for n in range(p.least, p.most + 1))) for p in self.pieces)

    def sample(self, rng: random.Random) -> tuple[str, ...]:
        """A random text, split by field in drawing order; marks give ""."""
        return tuple(sample_pieces(field.pieces, rng) for row in self.rows for field in row.fields)


def sample_pieces(pieces: tuple[Piece, ...], rng: random.Random) -> str:
    """A random text of the pieces."""
    return "".join(text for p in pieces for text in _sample_piece(p, rng))


def _sample_piece(piece: Piece, rng: random.Random) -> list[str]:
    choices = piece.drawn or piece.choices
    count = rng.randint(piece.least, piece.most)
    if not piece.drawn_letters:
        return [rng.choice(choices) for _ in range(count)]
    wanted = rng.choices(range(len(piece.drawn_letters)), piece.drawn_letters)[0]
    lettered = rng.sample(range(count), min(wanted, count))
    digits, letters = ([c for c in choices if c.isdigit()], [c for c in choices if not c.isdigit()])
    return [rng.choice(letters if i in lettered else digits) for i in range(count)]


@dataclass(frozen=True, slots=True)
class Format:
    """A country's plate types. `code` is what `--country` takes; `characters` are those of its texts that the charset lacks."""

    code: str
    name: str
    standard: str
    weight: float
    types: tuple[PlateType, ...]
    characters: str = ""
