"""Patterns against texts, and their forms for the databases."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openplate.errors import StoreError
from openplate.store.patterns import Pattern, plate_text


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("A123BC", ["A123BC"], ["A123B", "A123BCC", ""]),
        ("A*", ["A", "A1", "AB12"], ["BA", ""]),
        ("*12*", ["12", "A12", "3125"], ["1A2", "21"]),
        ("A?3", ["A13", "AB3"], ["A3", "A123"]),
        ("@###", ["A123", "京123", "Ö000"], ["1123", "A12B", "A1234"]),
        ("*#@", ["1A", "AB1A"], ["A1", "A"]),
        ("**", ["", "A"], []),
        ("*A*A*", ["AA", "1A2A3"], ["A", "1A2"]),
    ],
)
def test_pattern_matches_whole_texts(pattern: str, matching: list[str], others: list[str]) -> None:
    assert [t for t in matching + others if Pattern(pattern).matches(t)] == matching


@given(st.text("A1?@#*", min_size=1, max_size=7), st.text("AB12", max_size=7))
def test_pattern_agrees_with_a_regular_expression(typed: str, text: str) -> None:
    expected = "".join({"?": ".", "@": "[A-Z]", "#": "[0-9]", "*": ".*"}.get(c, c) for c in typed)
    pattern = Pattern(typed)
    assert pattern.matches(text) == bool(re.fullmatch(expected, text))
    assert bool(re.search(pattern.regular_expression, text)) == pattern.matches(text)


@given(st.text("A1?*", min_size=1, max_size=7), st.text("AB12", max_size=7))
def test_every_matching_text_has_all_pieces_when_anchored(typed: str, text: str) -> None:
    pattern = Pattern(typed)
    if pattern.matches(text):
        assert all(piece in f"^{text}$" for piece in pattern.pieces)


def test_pattern_is_spelled_as_plates_are() -> None:
    pattern = Pattern(" а 1-2*?** ")  # the first letter is Cyrillic
    assert pattern.text == "A12*?*"
    assert not pattern.literal


def test_forms_for_the_databases() -> None:
    pattern = Pattern("A#?@*7")
    assert pattern.glob == "A[0-9]?[^0-9]*7"
    assert pattern.like == "A___%7"
    assert pattern.regular_expression == "^A[0-9].[^0-9].*7$"
    assert pattern.pieces == ("^A", "7$")


@pytest.mark.parametrize("typed", ["A%1", "A'1", 'A"1', "A[1", "A^1", "A$", "A\\1", "A;1", "A\0B"])
def test_character_that_databases_take_for_more_is_refused(typed: str) -> None:
    with pytest.raises(StoreError, match="letters and digits"):
        Pattern(typed)


@pytest.mark.parametrize("typed", ["", "  -", "A" * 33])
def test_empty_or_too_long_pattern_is_refused(typed: str) -> None:
    with pytest.raises(StoreError, match="1 to 32 characters"):
        Pattern(typed)


def test_plate_with_a_wildcard_is_refused() -> None:
    assert plate_text("a 123 вс") == "A123BC"
    with pytest.raises(StoreError, match="without wildcards"):
        plate_text("A12*")
