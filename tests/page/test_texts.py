from __future__ import annotations

import re
import string
from dataclasses import fields
from pathlib import Path

import pytest

from openplate.page.texts import ENGLISH, RUSSIAN, Texts, preferred

SAME = {"in_utc"}
"""What is written alike in both languages."""


def test_every_text_is_there_in_both_languages_with_the_same_blanks() -> None:
    for field in fields(Texts):
        english, russian = getattr(ENGLISH, field.name), getattr(RUSSIAN, field.name)
        if isinstance(english, tuple):
            assert [key for key, _ in english] == [key for key, _ in russian], field.name
            continue
        assert english, field.name
        assert blanks(english) == blanks(russian), field.name
        assert field.name in SAME or english != russian, field.name


def test_no_text_is_left_over() -> None:
    """A text that no part of the page shows is one that nobody translates well."""
    source = "".join(path.read_text(encoding="utf8") for path in (Path(__file__).parents[2] / "src/openplate/page").glob("*.py"))
    used = set(re.findall(r"\btexts\.(\w+)|\bself\.(\w+)|TEXTS\[language\(\)\]\.(\w+)", source))
    names = {name for group in used for name in group if name}
    assert {field.name for field in fields(Texts)} - names == set()


@pytest.mark.parametrize(("locale", "language"), [("ru-RU", "ru"), ("RU", "ru"), ("en-GB", "en"), ("de", "en"), ("rundi", "en"), (None, "en")])
def test_the_browsers_language_is_taken_where_the_page_has_it(locale: str | None, language: str) -> None:
    assert preferred(locale) == language


def test_a_word_that_the_page_does_not_know_stays_as_the_service_says_it() -> None:
    assert RUSSIAN.direction_of("still") == "стоит"
    assert RUSSIAN.direction_of("sideways") == "sideways"
    assert ENGLISH.state_of("dreaming") == "dreaming"


def blanks(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}
