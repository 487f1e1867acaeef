import random

import pytest
from rapidfuzz.distance import Levenshtein

from openplate.evaluate.characters import Cell, CountryErrors, LengthError, Step, TextPair, align, character_errors, edits
from openplate.evaluate.metrics import count


@pytest.mark.parametrize(
    ("truth", "read", "steps"),
    [
        ("AB", "AB", [("A", "A", 1), ("B", "B", 2)]),
        ("A8", "AB", [("A", "A", 1), ("8", "B", 2)]),
        ("A777", "A77", [("A", "A", 1), ("7", "7", 2), ("7", "7", 3), ("7", "", 4)]),
        ("AB12", "AB812", [("A", "A", 1), ("B", "B", 2), ("", "8", 3), ("1", "1", 3), ("2", "2", 4)]),
        ("X5", "X5I", [("X", "X", 1), ("5", "5", 2), ("", "I", 3)]),
        ("AB", "", [("A", "", 1), ("B", "", 2)]),
        ("", "A", [("", "A", 1)]),
    ],
)
def test_texts_are_aligned(truth: str, read: str, steps: list[tuple[str, str, int]]) -> None:
    assert align(truth, read) == [Step(*step) for step in steps]


def test_alignment_has_the_fewest_edits_and_holds_both_texts() -> None:
    rng = random.Random(7)
    for _ in range(300):
        truth, read = ("".join(rng.choices("AB01", k=rng.randint(0, 8))) for _ in range(2))
        steps = align(truth, read)
        assert ("".join(s.truth for s in steps), "".join(s.read for s in steps)) == (truth, read)
        assert sum(not s.right for s in steps) == Levenshtein.distance(truth, read)


def test_one_insertion_leaves_what_follows_right() -> None:
    errors = character_errors([TextPair("A123BC77", "AA123BC77", "RU")])
    assert (errors.right.right, errors.right.total, errors.inserted) == (8, 8, 1)
    assert errors.cer == pytest.approx(1 / 8)


PAIRS = [
    TextPair("A123BC77", "A123BC77", "RU"),
    TextPair("A888BC77", "A8B8BC7", "RU"),
    TextPair("皖A12345", "皖A123451", "CN"),
    TextPair("B234", "", "CN"),
]


def test_numbers_of_four_texts() -> None:
    """27 characters in the labels: one replaced, one and then four (an unread text) missing, one inserted."""
    errors = character_errors(PAIRS)
    assert (errors.texts, errors.unread) == (4, 1)
    assert (errors.right.right, errors.right.total) == (21, 27)
    assert (errors.replaced, errors.missing, errors.inserted) == (1, 5, 1)
    assert errors.cer == pytest.approx(7 / 27)
    assert errors.lengths == (LengthError(-4, 1), LengthError(-1, 1), LengthError(0, 1), LengthError(1, 1))
    assert errors.by_country == (
        CountryErrors("CN", count([False, False]), count([True] * 7 + [False] * 4), pytest.approx(5 / 11)),
        CountryErrors("RU", count([True, False]), count([True] * 14 + [False] * 2), pytest.approx(2 / 16)),
    )


def test_unread_text_confuses_nothing() -> None:
    errors = character_errors(PAIRS)
    assert errors.confusions == (Cell("", "1", 1), Cell("7", "", 1), Cell("8", "B", 1))
    assert Cell("2", "2", 2) in errors.same  # A123BC77 and 皖A12345, not B234
    first, third, eighth = errors.by_position[0], errors.by_position[2], errors.by_position[7]
    assert (first.right.right, first.right.total) == (3, 3)
    assert (third.right.right, third.right.total, third.replaced, third.missing, third.inserted) == (2, 3, 1, 0, 0)
    # Which of the two 7 of A888BC77 is missing cannot be known; 皖A12345 has seven characters, what was read after them stands before the eighth.
    assert (eighth.position, eighth.right.total, eighth.inserted) == (8, 2, 1)


def test_confusions_are_sorted_by_how_often() -> None:
    errors = character_errors([TextPair("88A", "BBA", ""), TextPair("80", "BO", ""), TextPair("0", "O", "")])
    assert errors.confusions == (Cell("8", "B", 3), Cell("0", "O", 2))


def test_characters_taken_as_one_are_no_error() -> None:
    errors = character_errors([TextPair("O1", "01", "")], ("O0",))
    assert (errors.cer, errors.confusions) == (0.0, ())
    assert edits("O1", "0I", ("O0",)) == 1


def test_spelling_does_not_count() -> None:
    assert edits("А 123 ВС", "a123bc") == 0  # Cyrillic look-alikes, spaces, case


def test_no_texts_have_no_rate() -> None:
    errors = character_errors([])
    assert (errors.texts, errors.cer, errors.right.share, errors.by_position) == (0, None, None, ())
