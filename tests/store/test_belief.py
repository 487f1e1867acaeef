"""Probabilities of texts and patterns: worked out by hand, and by going through all texts."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openplate.charset import DIGITS, LATIN, UMLAUTS
from openplate.store.belief import Belief
from openplate.store.patterns import Pattern
from openplate.types import Candidate, Character

ALPHABET = DIGITS + LATIN + UMLAUTS


def belief(text: str, rights: list[float], *candidates: tuple[str, float]) -> Belief:
    characters = [Character(c, q) for c, q in zip(text, rights, strict=True)]
    return Belief(text, candidates[0][1], characters, [Candidate(t, p, None) for t, p in candidates])


def test_candidates_keep_their_posteriors() -> None:
    one = belief("8", [0.6], ("8", 0.6), ("B", 0.3))
    assert one.of_text("8") == 0.6
    assert one.of_text("B") == 0.3
    assert one.rest == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the error model gives 3 itself 0.9 · 0.5 = 0.45; the rest, 0.5, is shared by what it leaves, 0.55
        ("4", 0.9 * 0.5 / 9 * 0.5 / 0.55),
        # a letter that looks like nothing near 3 is not possible
        ("A", 0.0),
        # one character missed: 1 before the 3 (0.5 / 36), or 1 for 3 and then 3 (0.5 / 9 / 36), two places
        ("13", 0.05 * (0.5 / 36 + 0.5 / 9 / 36) / 2 * 0.5 / 0.55),
        # the only character is too many
        ("", 0.05 * 0.5 / 0.55),
        ("1234", 0.0),
    ],
)
def test_unsure_digit(text: str, expected: float) -> None:
    assert belief("3", [0.5], ("3", 0.5)).of_text(text) == pytest.approx(expected)


def test_look_alike_is_likelier_than_another_digit() -> None:
    one = belief("8", [0.5], ("8", 0.5))
    assert one.of_text("B") == pytest.approx(0.9 * 0.5 * 0.5 * 0.5 / 0.55)
    assert one.of_text("B") > 8 * one.of_text("3")


def test_text_that_is_one_shorter() -> None:
    # either the 3 is too many and 4 is really 3 (0.2 / 9), or the 4 is too many (0.8): each half the time
    one = belief("34", [0.8, 0.8], ("34", 0.6))
    scale = 0.4 / (1 - 0.9 * 0.64)
    assert one.of_text("3") == pytest.approx(0.05 * (0.2 / 9 + 0.8) / 2 * scale)


def test_posteriors_over_one_are_scaled_down() -> None:
    one = belief("8", [0.9], ("8", 0.9), ("B", 0.6))
    assert one.of_text("8") == pytest.approx(0.6)
    assert one.rest == 0


def test_nothing_read_matches_nothing() -> None:
    nothing = Belief("", 0.0, (), ())
    assert nothing.of_text("A1") == 0
    assert nothing.of_pattern(Pattern("*")) == 0
    assert nothing.likely(10) == []


def test_unreadable_plate_is_judged_by_its_first_candidate() -> None:
    one = Belief("", 0.3, [Character("3", 0.5)], [Candidate("3", 0.5, None)])
    assert one.of_text("4") == pytest.approx(0.9 * 0.5 / 9 * 0.5 / 0.55)


def test_characters_that_do_not_fit_count_as_the_whole() -> None:
    # 0.64 for two characters: 0.8 each
    odd = Belief("34", 0.64, [Character("3", 0.1)], [])
    assert odd.of_text("35") == pytest.approx(belief("34", [0.8, 0.8], ("34", 0.64)).of_text("35"))


@pytest.mark.parametrize(
    "one",
    [
        belief("3B", [0.7, 0.4], ("3B", 0.3), ("38", 0.2), ("3", 0.1)),
        belief("7", [0.2], ("7", 0.1)),
        belief("OI", [1.0, 0.9], ("OI", 0.8)),
    ],
)
def test_all_texts_together_have_probability_one(one: Belief) -> None:
    total = sum(one.of_text("".join(t)) for length in range(4) for t in product(ALPHABET, repeat=length) if length <= len(one.best) + 1)
    assert total == pytest.approx(1)


@pytest.mark.parametrize("typed", ["*", "3*", "*B", "?8", "#@", "@*", "*3*", "3?", "???", "#", "*#*#*"])
def test_pattern_has_the_probability_of_all_texts_that_match(typed: str) -> None:
    one = belief("3B", [0.7, 0.4], ("3B", 0.3), ("38", 0.2), ("3", 0.1))
    pattern = Pattern(typed)
    texts = ("".join(t) for length in range(4) for t in product(ALPHABET, repeat=length))
    assert one.of_pattern(pattern) == pytest.approx(sum(one.of_text(t) for t in texts if pattern.matches(t)))


@settings(max_examples=50)
@given(
    st.text("3B8O1", min_size=1, max_size=6),
    st.lists(st.floats(0, 1), min_size=6, max_size=6),
    st.lists(st.tuples(st.text("3B8O1", min_size=1, max_size=7), st.floats(0, 1)), max_size=4),
    st.text("3B8O1?@#*", min_size=1, max_size=7),
)
def test_probabilities_stay_between_nothing_and_one(text: str, rights: list[float], candidates: list[tuple[str, float]], typed: str) -> None:
    one = Belief(text, 0.5, [Character(c, q) for c, q in zip(text, rights, strict=False)], [Candidate(t, p, None) for t, p in candidates])
    pattern = Pattern(typed)
    assert 0 <= one.of_pattern(pattern) <= 1 + 1e-9
    if pattern.matches(text):
        assert one.of_pattern(pattern) >= one.of_text(text) - 1e-9


def test_likely_texts_are_sorted_and_never_count_twice() -> None:
    one = belief("8B1", [0.9, 0.5, 0.8], ("8B1", 0.4), ("881", 0.3))
    likely = one.likely(50)
    assert [t for t, _ in likely[:2]] == ["8B1", "881"]
    probabilities = [p for _, p in likely]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len({t for t, _ in likely}) == len(likely)
    assert 0.8 < sum(probabilities) <= 1 + 1e-9


def test_likely_texts_are_the_likeliest_of_their_length() -> None:
    one = belief("8B1", [0.9, 0.5, 0.8], ("8B1", 0.4))
    every = sorted((one.of_text("".join(t)) for t in product(ALPHABET, repeat=3)), reverse=True)
    assert [p for _, p in one.likely(20)] == pytest.approx(every[:20])
