"""Folding and what a wrong character may be."""

from __future__ import annotations

import pytest

from openplate.charset import CHARACTERS
from openplate.store.look_alikes import CLASSES, fold, wrong_shares


@pytest.mark.parametrize(
    ("text", "folded"),
    [("O0QD", "0000"), ("B8", "88"), ("I1L", "111"), ("5S2Z6G", "552266"), ("ÄÖÜ", "A0U"), ("H374", "H374"), ("京A12345", "京A12345")],
)
def test_look_alikes_fold_to_the_first_of_their_class(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_no_character_is_in_two_classes() -> None:
    characters = "".join(CLASSES)
    assert len(set(characters)) == len(characters)
    assert set(characters) <= set(CHARACTERS)


def test_digit_without_look_alikes_is_really_any_other_digit() -> None:
    shares = wrong_shares("3")
    assert set(shares) == set("012456789")
    assert shares["4"] == pytest.approx(1 / 9)


def test_half_of_what_looks_like_8_is_b() -> None:
    shares = wrong_shares("8")
    assert shares["B"] == pytest.approx(0.5)
    assert shares["3"] == pytest.approx(0.5 / 9)


def test_look_alike_of_the_same_kind_gets_both_shares() -> None:
    # I looks like 1 and L; L is one of the 28 other letters too
    assert wrong_shares("I")["L"] == pytest.approx(0.5 / 2 + 0.5 / 28)


@pytest.mark.parametrize("character", CHARACTERS + "Ж")
def test_shares_sum_to_one_and_leave_the_character_out(character: str) -> None:
    shares = wrong_shares(character)
    assert sum(shares.values()) == pytest.approx(1)
    assert character not in shares
