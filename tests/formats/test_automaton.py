"""The automaton against texts worked out by hand, and against every shipped type."""

from __future__ import annotations

import math
import random

import pytest

from openplate.formats import Automaton, PlateType, load_formats
from openplate.formats.automaton import DEAD, START
from openplate.formats.load import parse_format

TWO_TYPES = """
country = "tt"
name = "Test"
[classes]
town = ["A", "AB", "ABC"]
h = "EH"
[[types]]
id = "short"
size_mm = [520, 110]
rows = [{ baseline_mm = 90, fields = [
  { text = "{town}{d:1-2}", height_mm = 75 },
  { mark = "-", height_mm = 75 },
  { text = "{h:0-1}", height_mm = 75 },
] }]
[[types]]
id = "two-line"
size_mm = [280, 200]
rows = [
  { baseline_mm = 90, fields = [{ text = "AB", height_mm = 75 }] },
  { baseline_mm = 190, fields = [{ text = "{d*2}", height_mm = 75 }] },
]
"""
TYPES = [t for f in load_formats() for t in f.types]


@pytest.fixture
def automaton() -> Automaton:
    return Automaton(parse_format(TWO_TYPES, "tt.toml").types)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("A1", ["short"]),
        ("AB1", ["short"]),
        ("AB12", ["short", "two-line"]),
        ("AB12E", ["short"]),
        ("ABC12H", ["short"]),
        ("", []),
        ("A", []),
        ("AC1", []),
        ("B12", []),
        ("AB123", []),
        ("AB12EH", []),
        ("AB-12", []),
    ],
)
def test_text_matches_exactly_the_types_whose_grammar_it_fulfils(automaton: Automaton, text: str, ids: list[str]) -> None:
    assert [t.id for t in automaton.matches(text)] == ids


def test_wrong_character_leads_to_dead_and_stays_there(automaton: Automaton) -> None:
    assert automaton.step(START, "B") == DEAD
    assert automaton.step(DEAD, "A") == DEAD
    assert automaton.accepted(DEAD) == ()


def test_steps_one_by_one_end_where_run_ends(automaton: Automaton) -> None:
    state = START
    for character in "ABC12":
        state = automaton.step(state, character)
    assert state == automaton.run("ABC12")
    assert automaton.run("") == START


def test_types_come_in_the_order_given(automaton: Automaton) -> None:
    reverse = Automaton(reversed(automaton.types))
    assert [t.id for t in reverse.matches("AB12")] == ["two-line", "short"]


def test_size_of_a_grammar_counts_its_texts(automaton: Automaton) -> None:
    # three towns, 10 + 100 numbers, no suffix or one of two
    assert automaton.types[0].log_size == pytest.approx(math.log(3 * 110 * 3))
    assert automaton.types[1].log_size == pytest.approx(math.log(100))


@pytest.mark.parametrize("plate_type", TYPES, ids=lambda t: t.name)
def test_sampled_text_is_accepted_and_no_beginning_of_it_is_dead(plate_type: PlateType) -> None:
    automaton = Automaton([plate_type])
    rng = random.Random(7)
    for _ in range(12):
        text = "".join(plate_type.sample(rng))
        state = START
        for character in text:
            state = automaton.step(state, character)
            assert state != DEAD, text
        assert automaton.accepted(state) == (plate_type,), text
        assert len(text) <= plate_type.longest


def test_all_types_together_accept_what_each_accepts_alone() -> None:
    together = Automaton(TYPES)
    rng = random.Random(11)
    for plate_type in TYPES:
        text = "".join(plate_type.sample(rng))
        alone = [t.name for t in TYPES if Automaton([t]).matches(text)] if plate_type.id == "car" else [plate_type.name]
        names = [t.name for t in together.matches(text)]
        assert set(alone) <= set(names), text
        if plate_type.id == "car":
            assert names == alone
