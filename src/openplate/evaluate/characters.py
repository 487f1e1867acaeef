"""Pairs of a label's text and a read text in; errors by character, length, position and country, and the confusions of aligned characters out.

Texts are aligned by the fewest insertions, deletions and replacements (Levenshtein 1966). Needs rapidfuzz (extra `evaluate`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from openplate.evaluate.metrics import Rate, canonical, count, rate

BLANK = ""
"""Stands for the character that is not there: the label's beside an inserted one, the read one beside a missing one."""


@dataclass(frozen=True, slots=True)
class TextPair:
    """The text of a label, what was read there ("" for nothing), and the label's country."""

    truth: str
    read: str
    country: str


@dataclass(frozen=True, slots=True)
class Step:
    """One place of an alignment: `truth` is `BLANK` for an inserted character, `read` is `BLANK` for a missing one.

    `position` counts the label's characters from 1; an inserted character has that of the character it stands before, one more than the last at the end.
    """

    truth: str
    read: str
    position: int

    @property
    def right(self) -> bool:
        """Whether the label's character was read as it is."""
        return self.truth == self.read


@dataclass(frozen=True, slots=True)
class Cell:
    """How often a label's character was read as another, or as itself."""

    truth: str
    read: str
    count: int


@dataclass(frozen=True, slots=True)
class LengthError:
    """How many texts were read with `difference` characters more (less, when negative) than the label has."""

    difference: int
    texts: int


@dataclass(frozen=True, slots=True)
class PositionErrors:
    """What became of the labels' characters at one position, counted from 1; `inserted` counts characters read before it that are not there."""

    position: int
    right: Rate
    replaced: int
    missing: int
    inserted: int


@dataclass(frozen=True, slots=True)
class CountryErrors:
    """The texts of one country: those that are exact, the characters read as they are, and the character error rate."""

    country: str
    exact: Rate
    characters: Rate
    cer: float | None


@dataclass(frozen=True, slots=True)
class CharacterErrors:
    """All texts, character by character.

    `right` counts the labels' characters that were read as they are (character accuracy; what was read besides does not count);
    `cer` is all edits over all characters of the labels, None without any. `unread` counts texts of which nothing was read: their characters are missing
    in `right`, `cer`, `missing`, `lengths` and `by_country`, and are left out of `by_position`, `confusions` (the edits, the most frequent first) and
    `same` (the characters that were read as they are), where they would hide what is confused with what.
    """

    texts: int
    unread: int
    right: Rate
    cer: float | None
    replaced: int
    missing: int
    inserted: int
    lengths: tuple[LengthError, ...]
    by_position: tuple[PositionErrors, ...]
    by_country: tuple[CountryErrors, ...]
    confusions: tuple[Cell, ...]
    same: tuple[Cell, ...]


def align(truth: str, read: str) -> list[Step]:
    """The two texts side by side with the fewest edits; where several alignments have as few, always the same one."""
    steps = []
    for part in Levenshtein.opcodes(truth, read):
        labelled, seen = range(part.src_start, part.src_end), range(part.dest_start, part.dest_end)
        if part.tag == "insert":
            steps += [Step(BLANK, read[j], part.src_start + 1) for j in seen]
        elif part.tag == "delete":
            steps += [Step(truth[i], BLANK, i + 1) for i in labelled]
        else:
            steps += [Step(truth[i], read[j], i + 1) for i, j in zip(labelled, seen, strict=True)]
    return steps


def edits(truth: str, read: str, alike: Sequence[str] = ()) -> int:
    """Fewest edits that turn one text into the other, both compared as `canonical`."""
    return int(Levenshtein.distance(canonical(truth, alike), canonical(read, alike)))


def character_errors(pairs: Sequence[TextPair], alike: Sequence[str] = ()) -> CharacterErrors:
    """Everything about the characters of some texts; `alike` holds groups of characters that count as one ("O0")."""
    texts = [TextPair(canonical(pair.truth, alike), canonical(pair.read, alike), pair.country) for pair in pairs]
    aligned = [align(pair.truth, pair.read) for pair in texts]
    steps = [step for one in aligned for step in one]
    seen = [step for pair, one in zip(texts, aligned, strict=True) if pair.read for step in one]
    cells = Counter((step.truth, step.read) for step in seen)
    ordered = [Cell(*pair, number) for pair, number in sorted(cells.items(), key=lambda item: (-item[1], item[0]))]
    lengths = Counter(len(pair.read) - len(pair.truth) for pair in texts)
    return CharacterErrors(
        texts=len(texts),
        unread=sum(not pair.read for pair in texts),
        right=_right(steps),
        cer=_cer(steps),
        replaced=sum(bool(step.truth and step.read and not step.right) for step in steps),
        missing=sum(step.read == BLANK for step in steps),
        inserted=sum(step.truth == BLANK for step in steps),
        lengths=tuple(LengthError(difference, lengths[difference]) for difference in sorted(lengths)),
        by_position=_by_position(seen),
        by_country=tuple(_country(country, texts, aligned) for country in sorted({pair.country for pair in texts})),
        confusions=tuple(cell for cell in ordered if cell.truth != cell.read),
        same=tuple(cell for cell in ordered if cell.truth == cell.read),
    )


def _right(steps: Sequence[Step]) -> Rate:
    return count(step.right for step in steps if step.truth != BLANK)


def _cer(steps: Sequence[Step]) -> float | None:
    characters = sum(step.truth != BLANK for step in steps)
    return sum(not step.right for step in steps) / characters if characters else None


def _by_position(steps: Sequence[Step]) -> tuple[PositionErrors, ...]:
    found = []
    for position in range(1, max((step.position for step in steps), default=0) + 1):
        here = [step for step in steps if step.position == position]
        labelled = [step for step in here if step.truth != BLANK]
        right, missing = sum(step.right for step in labelled), sum(step.read == BLANK for step in labelled)
        replaced, inserted = len(labelled) - right - missing, len(here) - len(labelled)
        found.append(PositionErrors(position, rate(right, len(labelled)), replaced, missing, inserted))
    return tuple(found)


def _country(country: str, texts: Sequence[TextPair], aligned: Sequence[Sequence[Step]]) -> CountryErrors:
    chosen = [i for i, pair in enumerate(texts) if pair.country == country]
    steps = [step for i in chosen for step in aligned[i]]
    return CountryErrors(country, count(texts[i].truth == texts[i].read for i in chosen), _right(steps), _cer(steps))
