"""Cells that begin like formulas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openplate.store.spreadsheet import guarded, unguarded


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("", ""),
        ("flat 12", "flat 12"),
        ("=cmd", "'=cmd"),
        ("+79991234567", "'+79991234567"),
        ("-", "'-"),
        ("@name", "'@name"),
        ("'=cmd", "''=cmd"),
        ("'s-Hertogenbosch", "'s-Hertogenbosch"),
        ("'", "'"),
        ("a=b", "a=b"),
    ],
)
def test_value_that_begins_like_a_formula_gets_an_apostrophe(value: str, cell: str) -> None:
    assert guarded(value) == cell
    assert unguarded(cell) == value


@given(st.text("'=+-@\ta1"))
def test_every_value_comes_back(value: str) -> None:
    assert unguarded(guarded(value)) == value
