"""Readings from outputs made by hand: each cell says which characters are likely there, what is missing to 1 is blank."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from openplate.charset import Charset
from openplate.errors import FormatError
from openplate.formats import Format, load_formats
from openplate.formats.load import parse_format
from openplate.read.ctc import compress, text_probability
from openplate.read.decode import NO_FORMAT_PRIOR, NOT_HINTED_PRIOR, OTHER_LINES_PRIOR, Calibration, Decoder, character_shares
from openplate.types import Reading
from tests.read.brute_force import all_texts, logs, outputs

CHARSET = Charset()
Cell = str | Mapping[str, float]


def country(code: str, *rows: str, loose: bool = False) -> Format:
    """A country with one plate type, `CODE/car`; all of them are equally common."""
    fields = ", ".join(f'{{ baseline_mm = 90, fields = [{{ text = "{row}", height_mm = 75 }}] }}' for row in rows)
    return parse_format(
        f'country = "{code}"\nname = "{code}"\n[[types]]\nid = "car"\nloose = {str(loose).lower()}\nsize_mm = [520, 110]\nrows = [{fields}]', code
    )


def view(upper: Sequence[Cell], lower: Sequence[Cell] = ()) -> NDArray[np.float32]:
    """`(T, K)` log-probabilities of two rows, a blank after each cell."""
    length = 2 * max(len(upper), len(lower))
    probabilities = np.zeros((2 * length, len(CHARSET)))
    for row, cells in enumerate((upper, lower)):
        for i, cell in enumerate(cells):
            for character, p in {cell: 1.0}.items() if isinstance(cell, str) else cell.items():
                probabilities[row * length + 2 * i, CHARSET.encode(character)[0]] = p
    probabilities[:, 0] = 1 - probabilities.sum(axis=1)
    return logs(probabilities)


def by_text(reading: Reading) -> dict[str, float]:
    return {c.text: c.confidence for c in reading.candidates}


LETTER_DIGIT, TWO_DIGITS = country("xx", "{L}{d}"), country("yy", "{d}{d}")
ROUND = {"O": 0.5, "0": 0.5}
ROUNDER = {"O": 0.6, "0": 0.4}


# --- position settles what the eye cannot


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (["A", ROUND, "1", "2", "B", "C", "7", "7"], "A012BC77"),
        (["A", "1", ROUND, ROUND, "B", "C", "7", "7"], "A100BC77"),
        (["A", "1", "2", "3", ROUND, "C", "7", "7"], "A123OC77"),
        (["A", "1", "2", "3", ROUND, ROUND, "7", ROUND], "A123OO70"),
    ],
    ids=["number", "two of the number", "series", "series and region"],
)
def test_o_and_0_are_settled_by_position(cells: list[Cell], text: str) -> None:
    reading = Decoder(load_formats(), CHARSET, only=["ru"]).decode([view(cells)])
    assert (reading.text, reading.country, reading.format, reading.lines) == (text, "RU", "RU/1", 1)
    assert reading.confidence > 0.9


def test_listed_region_is_read_as_its_type_and_another_as_unlisted() -> None:
    decoder = Decoder(load_formats(), CHARSET, only=["ru"])
    listed, other = decoder.decode([view([*"A123BC702"])]), decoder.decode([view([*"A123BC601"])])
    assert (listed.text, listed.format, other.text, other.format) == ("A123BC702", "RU/1", "A123BC601", "RU/1-unlisted")
    assert min(listed.confidence, other.confidence) > 0.9


def test_region_that_is_listed_outweighs_the_likelier_look_of_one_that_is_not() -> None:
    # 6 is three times as likely as 1; 101 is a code and 601 is none
    reading = Decoder(load_formats(), CHARSET, country=["ru"]).decode([view([*"A123BC", {"6": 0.75, "1": 0.25}, "0", "1"])])
    assert (reading.text, reading.format) == ("A123BC101", "RU/1")
    assert "A123BC601" in by_text(reading)


def test_position_outweighs_the_likelier_look() -> None:
    # 0.16 for 00 and 0.36 for OO, but no Russian plate begins with three letters
    reading = Decoder(load_formats(), CHARSET, country=["ru"]).decode([view(["A", ROUNDER, ROUNDER, "7", "B", "C", "7", "7"])])
    assert (reading.text, reading.format) == ("A007BC77", "RU/1")
    assert "AO07BC77" in by_text(reading)


def test_b_and_8_are_settled_by_position() -> None:
    eight = {"B": 0.55, "8": 0.45}
    reading = Decoder(load_formats(), CHARSET, only=["ru"]).decode([view(["A", eight, eight, eight, eight, "B", "7", "7"])])
    assert reading.text == "A888BB77"


def test_equal_neighbours_are_kept() -> None:
    reading = Decoder(load_formats(), CHARSET, only=["ru"]).decode([view([*"A777BC777"])])
    assert reading.text == "A777BC777"
    assert [c.text for c in reading.characters] == [*"A777BC777"]


def test_three_digit_region_is_not_cut() -> None:
    # 77 is a region as well, but every cell is sure
    reading = Decoder(load_formats(), CHARSET, country=["ru"]).decode([view([*"A123BC977"])])
    assert reading.text == "A123BC977"


def test_province_is_read_with_its_country() -> None:
    reading = Decoder(load_formats(), CHARSET).decode([view([*"京A12345"])])
    assert (reading.text, reading.country, reading.format) == ("京A12345", "CN", "CN/blue")


# --- nothing is forced


def test_text_of_no_format_is_read_as_it_stands() -> None:
    reading = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET).decode([view(["7", "A", "7"])])
    assert (reading.text, reading.country, reading.format) == ("7A7", None, None)
    assert [c.format for c in reading.candidates] == [None]
    assert reading.confidence == pytest.approx(1, abs=1e-6)


def test_clear_text_of_no_format_beats_a_hardly_possible_one() -> None:
    # "7A": 0.999 without a format, "77": 0.001 in yy
    reading = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET).decode([view(["7", {"A": 0.999, "7": 0.001}])])
    assert (reading.text, reading.format) == ("7A", None)
    unknown, known = 0.999 * NO_FORMAT_PRIOR, 0.001
    assert by_text(reading) == pytest.approx({"7A": unknown / (unknown + known), "77": known / (unknown + known)}, abs=1e-4)


def test_blank_crop_reads_nothing() -> None:
    assert Decoder([LETTER_DIGIT], CHARSET).decode([view([{}, {}])]) == Reading("", 0.0, (), (), None, None, 1)


def test_strict_choice_reads_nothing_else() -> None:
    decoder = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, only=["yy"])
    assert decoder.decode([view(["O", "7"])]).text == ""
    assert decoder.decode([view([ROUNDER, "7"])]).text == "07"


def test_hardly_possible_text_is_not_sure_because_the_choice_is_strict() -> None:
    # "O7" is 0.999 and ruled out: "07" stays as unsure as it would be beside a text of no format
    reading = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, only=["yy"]).decode([view([{"O": 0.999, "0": 0.001}, "7"])])
    assert by_text(reading) == pytest.approx({"07": 0.001 / (0.001 + 0.999 * NO_FORMAT_PRIOR)}, abs=1e-4)


def test_one_look_at_what_is_ruled_out_does_not_spoil_three_sure_ones() -> None:
    sure, wrong = view([{"O": 0.99, "Q": 0.01}, "7"]), view(["7", "7"])
    reading = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, only=["xx"]).decode([sure, sure, sure, wrong])
    assert reading.text == "O7"
    assert reading.confidence > 0.9


# --- hints


def test_without_hint_the_likelier_look_wins() -> None:
    reading = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET).decode([view([ROUNDER, "7"])])
    assert (reading.text, reading.country, reading.format) == ("O7", "XX", "XX/car")
    assert by_text(reading) == pytest.approx({"O7": 0.6, "07": 0.4}, abs=1e-5)


def test_soft_hint_turns_the_balance_and_keeps_the_other_country() -> None:
    reading = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, country=["YY"]).decode([view([ROUNDER, "7"])])
    hinted, other = 0.4, 0.6 * NOT_HINTED_PRIOR
    assert (reading.text, reading.country) == ("07", "YY")
    assert by_text(reading) == pytest.approx({"07": hinted / (hinted + other), "O7": other / (hinted + other)}, abs=1e-5)


def test_soft_hint_does_not_hide_a_clear_plate_of_another_country() -> None:
    reading = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, country=["yy"]).decode([view(["O", "7"])])
    assert (reading.text, reading.country) == ("O7", "XX")


def test_hint_names_the_country_of_a_text_that_two_countries_allow() -> None:
    formats = [country("aa", "{L}{d}"), country("bb", "{L}{d}")]
    named = [Decoder(formats, CHARSET, country=hint).decode([view(["A", "1"])]).country for hint in (["aa"], ["bb"])]
    assert named == ["AA", "BB"]


def test_tighter_grammar_explains_a_text_better() -> None:
    formats = [country("aa", "{L}{d}"), country("bb", "A{d}")]
    decoder = Decoder(formats, CHARSET)
    assert decoder.decode([view(["A", "1"])]).country == "BB"
    assert decoder.decode([view(["B", "1"])]).country == "AA"


def test_tight_format_beats_a_loose_one_of_the_same_look() -> None:
    formats = [country("aa", "{d}{d}"), country("zz", "{L}{d}", loose=True)]
    reading = Decoder(formats, CHARSET).decode([view([ROUND, "7"])])
    assert (reading.text, reading.country) == ("07", "AA")
    assert 0 < by_text(reading)["O7"] < by_text(reading)["07"]


def test_hint_within_the_strict_choice_is_taken() -> None:
    formats = [country("aa", "{L}{d}"), country("bb", "{L}{d}"), TWO_DIGITS]
    reading = Decoder(formats, CHARSET, country=["bb"], only=["aa", "bb"]).decode([view(["A", "1"])])
    assert reading.country == "BB"


def test_hint_that_contradicts_the_strict_choice_is_an_error() -> None:
    with pytest.raises(FormatError, match="country hint YY contradicts the strict choice XX; name it in both, or leave the hint out"):
        Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, country=["xx", "yy"], only=["xx"])


@pytest.mark.parametrize("hint", [{"country": ["qq"]}, {"only": ["qq"]}], ids=["soft", "strict"])
def test_unknown_country_is_an_error(hint: dict[str, list[str]]) -> None:
    with pytest.raises(FormatError, match="'qq' is not known; known are: xx yy"):
        Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, **hint)


# --- several looks


def test_two_looks_are_combined_by_the_geometric_mean() -> None:
    looks = [view([{"O": 0.8, "Q": 0.2}, "7"]), view([{"O": 0.3, "Q": 0.7}, "7"])]
    reading = Decoder([LETTER_DIGIT], CHARSET).decode(looks)
    o, q = math.sqrt(0.8 * 0.3), math.sqrt(0.2 * 0.7)
    assert reading.text == "O7"
    assert by_text(reading) == pytest.approx({"O7": o / (o + q), "Q7": q / (o + q)}, abs=1e-5)


def test_order_of_the_looks_does_not_matter() -> None:
    looks = [view([{"O": 0.8, "Q": 0.2}, "7"]), view([{"O": 0.3, "Q": 0.7}, "1"])]
    decoder = Decoder([LETTER_DIGIT], CHARSET)
    assert by_text(decoder.decode(looks)) == pytest.approx(by_text(decoder.decode(looks[::-1])))


def test_same_look_twice_says_what_it_says_once() -> None:
    look = view([{"O": 0.8, "Q": 0.2}, {"7": 0.9, "1": 0.1}])
    decoder = Decoder([LETTER_DIGIT], CHARSET)
    once, twice = decoder.decode([look]), decoder.decode([look, look])
    assert twice.text == once.text == "O7"
    assert twice.confidence == pytest.approx(once.confidence, abs=1e-5)


def test_looks_that_contradict_each_other_leave_no_sure_text() -> None:
    reading = Decoder([LETTER_DIGIT], CHARSET).decode([view(["O", "7"]), view(["Q", "7"])])
    assert by_text(reading) == pytest.approx({"O7": 0.5, "Q7": 0.5}, abs=1e-3)


# --- lines


@pytest.mark.parametrize(
    ("upper", "lower", "lines"),
    [("A123BC77", "", 1), ("", "A123BC77", 1), ("A123", "BC77", 2)],
    ids=["upper row", "lower row", "both rows"],
)
def test_lines_follow_the_rows_that_hold_text(upper: str, lower: str, lines: int) -> None:
    reading = Decoder(load_formats(), CHARSET).decode([view([*upper], [*lower])])
    assert (reading.text, reading.lines) == ("A123BC77", lines)
    assert reading.format == {1: "RU/1", 2: "RU/1A"}[lines]


def test_reader_with_one_row_sees_one_line() -> None:
    reading = Decoder([LETTER_DIGIT], CHARSET, rows=1).decode([view(["A"], ["1"])])
    assert (reading.text, reading.lines) == ("A1", 1)


# --- candidates, confidence


def test_candidates_are_sorted_and_begin_with_the_text() -> None:
    look = view([{"O": 0.5, "Q": 0.3, "D": 0.2}, {"7": 0.75, "1": 0.25}])
    reading = Decoder([LETTER_DIGIT], CHARSET).decode([look])
    assert [(c.text, round(c.confidence, 3), c.format) for c in reading.candidates[:4]] == [
        ("O7", 0.375, "XX/car"),
        ("Q7", 0.225, "XX/car"),
        ("D7", 0.15, "XX/car"),
        ("O1", 0.125, "XX/car"),
    ]
    assert reading.candidates[0].text == reading.text
    assert reading.candidates[0].confidence == reading.confidence


@pytest.mark.parametrize("looks", [1, 3])
def test_no_more_candidates_than_asked_for(looks: int) -> None:
    look = view([{"O": 0.5, "Q": 0.3, "D": 0.2}, {"7": 0.75, "1": 0.25}])
    reading = Decoder([LETTER_DIGIT], CHARSET).decode([look] * looks, most=2)
    assert [c.text for c in reading.candidates] == ["O7", "Q7"]


def test_texts_that_were_not_listed_count_against_the_first() -> None:
    # "O7" is 0.375 of all, also when nothing else is asked for
    look = view([{"O": 0.5, "Q": 0.3, "D": 0.2}, {"7": 0.75, "1": 0.25}])
    reading = Decoder([LETTER_DIGIT], CHARSET).decode([look], most=1)
    assert [c.text for c in reading.candidates] == ["O7"]
    assert reading.confidence <= 0.375 + 1e-6


def test_each_character_has_its_own_confidence() -> None:
    reading = Decoder([LETTER_DIGIT], CHARSET).decode([view([{"O": 0.8, "Q": 0.2}, {"7": 0.9, "1": 0.1}])])
    assert [c.text for c in reading.characters] == ["O", "7"]
    assert [c.confidence for c in reading.characters] == pytest.approx([0.8, 0.9], abs=1e-3)
    assert reading.confidence == pytest.approx(0.72, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(outputs(longest=2, most_classes=3).filter(lambda o: o.shape == (2, 3)), outputs(longest=2, most_classes=3).filter(lambda o: o.shape == (2, 3)))
def test_confidence_is_never_above_the_texts_share_of_all_texts(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> None:
    probabilities = np.concatenate([upper, lower])
    charset = Charset("A0")
    steps = compress(logs(probabilities))
    two_lines = bool(upper.argmax(axis=1).any()) and bool(lower.argmax(axis=1).any())
    priors = {"": 1.0, "A0": OTHER_LINES_PRIOR if two_lines else 1.0}
    scores = {
        charset.decode(ids): text_probability(steps, list(ids)) * priors.get(charset.decode(ids), NO_FORMAT_PRIOR) for ids in all_texts(probabilities)
    }
    for most in (1, 2, 5):
        reading = Decoder([LETTER_DIGIT], charset).decode([logs(probabilities)], most)
        for candidate in reading.candidates:
            assert candidate.confidence <= scores[candidate.text] / sum(scores.values()) + 1e-5
        if reading.text:
            assert scores[reading.text] == pytest.approx(max(scores.values()))
            assert all(c.confidence >= reading.confidence - 1e-9 for c in reading.characters)


@pytest.mark.parametrize(
    ("slope", "offset", "posterior", "confidence"),
    [(1, 0, 0.3, 0.3), (2, 0, 0.9, 81 / 82), (1, -math.log(9), 0.5, 0.1), (0.5, 0, 0.9, 0.75), (0, 0, 0.99, 0.5)],
    ids=["identity", "odds squared: 81 to 1", "odds of 1 to 9", "root of odds: 3 to 1", "knows nothing"],
)
def test_calibration_by_hand(slope: float, offset: float, posterior: float, confidence: float) -> None:
    assert Calibration(slope, offset)(posterior) == pytest.approx(confidence)


@pytest.mark.parametrize("posterior", [0.0, 1.0, -1e-12, 1 + 1e-12])
def test_certain_posterior_stays_finite(posterior: float) -> None:
    assert Calibration(3, 1)(posterior) == pytest.approx(round(posterior), abs=1e-6)


def test_calibration_bends_every_confidence_of_a_reading() -> None:
    reading = Decoder([LETTER_DIGIT], CHARSET, calibration=Calibration(2, 0)).decode([view([{"O": 0.75, "Q": 0.25}, "7"])])
    # odds of 3 to 1 become 9 to 1
    assert by_text(reading) == pytest.approx({"O7": 0.9, "Q7": 0.1}, abs=1e-5)
    assert reading.characters[0].confidence == pytest.approx(0.9, abs=1e-5)


def test_candidates_share_what_the_calibrated_first_leaves() -> None:
    look = view([{"O": 0.5, "Q": 0.3, "D": 0.2}, "7"])
    doubting = Decoder([LETTER_DIGIT], CHARSET, calibration=Calibration(1, -math.log(9))).decode([look])
    # odds of 1 to 1 become 1 to 9; 0.9 is left for 0.3 and 0.2, and none is surer than the first
    assert by_text(doubting) == pytest.approx({"O7": 0.1, "Q7": 0.1, "D7": 0.1}, abs=1e-5)
    trusting = Decoder([LETTER_DIGIT], CHARSET, calibration=Calibration(1, math.log(4))).decode([look])
    # odds of 1 to 1 become 4 to 1; 0.2 is left for 0.3 and 0.2
    assert by_text(trusting) == pytest.approx({"O7": 0.8, "Q7": 0.12, "D7": 0.08}, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=6), st.floats(0, 1), st.floats(0.2, 4), st.floats(-4, 4))
def test_candidates_are_sorted_and_sum_to_at_most_one(scores: list[float], rest: float, slope: float, offset: float) -> None:
    total = sum(scores) + rest
    shares = sorted((score / total for score in scores), reverse=True)
    confidences = Decoder([LETTER_DIGIT], CHARSET, calibration=Calibration(slope, offset))._confidences(shares)
    assert sum(confidences) <= 1 + 1e-9
    assert confidences == sorted(confidences, reverse=True)
    assert confidences[0] == Calibration(slope, offset)(shares[0])


# --- country and format, given the text


def test_one_type_that_allows_the_text_is_certain() -> None:
    reading = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET).decode([view(["A", "7"])])
    assert (reading.country, reading.country_confidence, reading.format_confidence) == ("XX", 1.0, 1.0)


def test_two_countries_are_weighed_by_how_many_texts_their_grammars_allow() -> None:
    # A7 is one of 10 texts of bb and one of 260 of aa: 26 to 1
    reading = Decoder([country("aa", "{L}{d}"), country("bb", "A{d}")], CHARSET).decode([view(["A", "7"])])
    assert (reading.country, reading.format) == ("BB", "BB/car")
    assert reading.country_confidence == pytest.approx(26 / 27)
    assert reading.format_confidence == pytest.approx(26 / 27)


def test_country_is_as_likely_as_its_types_together() -> None:
    rows = 'size_mm = [520, 110]\nrows = [{ baseline_mm = 90, fields = [{ text = "{L}{d}", height_mm = 75 }] }]'
    types = "\n".join(f'[[types]]\nid = "{name}"\nweight = {weight}\n{rows}' for name, weight in (("car", 3), ("taxi", 1)))
    two = parse_format(f'country = "aa"\nname = "A"\n{types}', "aa")
    reading = Decoder([two, country("bb", "{L}{d}")], CHARSET).decode([view(["A", "7"])])
    # weights 3 and 1 in aa, 1 in bb, all grammars of the same size
    assert (reading.country, reading.format) == ("AA", "AA/car")
    assert reading.country_confidence == pytest.approx(4 / 5)
    assert reading.format_confidence == pytest.approx(3 / 5)


def test_hint_makes_its_country_likelier() -> None:
    formats = [country("aa", "{L}{d}"), country("bb", "{L}{d}")]
    reading = Decoder(formats, CHARSET, country=["bb"]).decode([view(["A", "1"])])
    assert reading.country == "BB"
    assert reading.country_confidence == pytest.approx(1 / (1 + NOT_HINTED_PRIOR))


def test_text_of_no_format_has_no_country_to_be_sure_of() -> None:
    reading = Decoder([LETTER_DIGIT], CHARSET).decode([view(["7", "7"])])
    assert (reading.text, reading.country_confidence, reading.format_confidence) == ("77", None, None)


# --- character shares


@pytest.mark.parametrize(
    ("texts", "shares", "expected"),
    [
        (["AB1"], [0.7], [0.7, 0.7, 0.7]),
        (["AB1", "AB7"], [0.6, 0.4], [1.0, 1.0, 0.6]),
        (["AB1", "AB7", "B1"], [0.5, 0.3, 0.1], [0.8, 0.9, 0.6]),
        (["AB1", "AXB1"], [0.5, 0.4], [0.9, 0.9, 0.9]),
        (["777", "77"], [0.6, 0.4], None),
        (["A12345", "12345A"], [0.6, 0.4], [0.6, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (["AB1", ""], [0.6, 0.4], [0.6, 0.6, 0.6]),
    ],
    ids=["alone", "last differs", "one shorter", "one longer", "one of three sevens", "shifted by one", "nothing"],
)
def test_character_shares_by_hand(texts: list[str], shares: list[float], expected: list[float] | None) -> None:
    if expected is None:  # which of the sevens is missing cannot be said
        assert sorted(character_shares(texts, shares)) == pytest.approx([0.6, 1.0, 1.0])
    else:
        assert character_shares(texts, shares) == pytest.approx(expected)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text("A7B", max_size=6), min_size=1, max_size=5), st.integers(1, 9))
def test_character_shares_lie_between_the_texts_own_share_and_1(texts: list[str], first: int) -> None:
    shares = [first / (first + len(texts) - 1)] + [1 / (first + len(texts) - 1)] * (len(texts) - 1)
    found = character_shares(texts, shares)
    assert len(found) == len(texts[0])
    assert all(shares[0] <= share <= 1 for share in found)


# --- looks of video: weights and evidence


def test_weights_say_how_much_each_look_counts() -> None:
    """Weights 3 and 1: the first look's probabilities count to the power of 3/4."""
    decoder = Decoder([LETTER_DIGIT], CHARSET)
    looks = [decoder.look(view([{"O": 0.8, "Q": 0.2}, "7"])), decoder.look(view([{"O": 0.3, "Q": 0.7}, "7"]))]
    o, q = 0.8**0.75 * 0.3**0.25, 0.2**0.75 * 0.7**0.25
    assert by_text(decoder.fuse(looks, [3.0, 1.0])) == pytest.approx({"O7": o / (o + q), "Q7": q / (o + q)}, abs=1e-5)


def test_evidence_of_two_independent_looks_multiplies_them() -> None:
    decoder = Decoder([LETTER_DIGIT], CHARSET)
    looks = [decoder.look(view([{"O": 0.8, "Q": 0.2}, "7"]))] * 2
    assert by_text(decoder.fuse(looks, evidence=2.0))["O7"] == pytest.approx(0.64 / (0.64 + 0.04), abs=1e-4)


def test_plausibility_is_the_score_against_that_of_the_best_text() -> None:
    decoder = Decoder([LETTER_DIGIT], CHARSET)
    look = decoder.look(view([{"O": 0.8, "Q": 0.2}, "7"]))
    assert decoder.plausibility(look, "O7") == pytest.approx(1.0)
    assert decoder.plausibility(look, "Q7") == pytest.approx(0.25)
    assert decoder.plausibility(look, "A1") == 0.0


def test_text_is_tight_when_a_strict_type_of_a_hinted_country_allows_it() -> None:
    formats = [LETTER_DIGIT, country("zz", "{L}{L}", loose=True)]
    free, hinted = Decoder(formats, CHARSET), Decoder(formats, CHARSET, country=["zz"])
    assert free.is_tight("A1", 1)
    assert not free.is_tight("AB", 1)
    assert not free.is_tight("A1", 2)
    assert not hinted.is_tight("A1", 1)


def test_look_at_nothing_is_not_searched_and_reads_nothing() -> None:
    decoder = Decoder([LETTER_DIGIT], CHARSET)
    look = decoder.look(view([{"A": 0.3}, {}]))
    assert [found.ids for found in look.result.found] == [()]
    assert look.result.rest == pytest.approx(0.3, abs=1e-4)
    assert decoder.fuse([look]) == Reading("", 0.0, (), (), None, None, 1)


# --- what the plate looks like


def telling(upper: Sequence[Cell], said: Mapping[str, float]) -> NDArray[np.float32]:
    """A view with a row more: the likelihoods of the countries XX, YY."""
    row = np.full((1, len(CHARSET)), -20, np.float32)
    row[0, :2] = [math.log(said[code]) for code in ("XX", "YY")]
    return np.concatenate([view(upper), row])


TELLING = ("XX", "YY")


def test_look_of_a_country_settles_what_two_formats_allow() -> None:
    decoder = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, origins=TELLING)
    for first, text, code in ((0.99, "O7", "XX"), (0.01, "07", "YY")):
        reading = decoder.decode([telling([ROUND, "7"], {"XX": first, "YY": 1 - first})])
        assert (reading.text, reading.country) == (text, code)
        # The other keeps sqrt(1 / 99) = 0.1 of its prior.
        assert by_text(reading)[text] == pytest.approx(1 / 1.1005, abs=0.002)


def test_look_does_not_outweigh_what_is_plainly_written() -> None:
    decoder = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, origins=TELLING)
    reading = decoder.decode([telling([{"O": 0.02, "0": 0.98}, "7"], {"XX": 1 - 1e-9, "YY": 1e-9})])
    assert (reading.text, reading.country) == ("07", "YY")  # a type keeps a tenth of its prior, whatever the plate looks like


def test_look_names_the_country_of_a_text_that_several_allow() -> None:
    decoder = Decoder([country("xx", "{L}{d}"), country("yy", "{L}{d}")], CHARSET, origins=TELLING)
    for first, code in ((0.9, "XX"), (0.1, "YY")):
        reading = decoder.decode([telling(["A", "7"], {"XX": first, "YY": 1 - first})])
        assert reading.country == code
        assert reading.country_confidence == pytest.approx(0.75)  # sqrt(0.9) : sqrt(0.1) = 3 : 1


def test_country_of_which_the_network_knows_nothing_keeps_its_prior() -> None:
    formats = [LETTER_DIGIT, TWO_DIGITS, country("zz", "{d}{L}")]
    known, other = (Decoder(formats, CHARSET, origins=TELLING).decode([telling(["7", "A"], {"XX": p, "YY": 1 - p})]) for p in (0.5, 0.999))
    assert (known.text, known.country, known.confidence) == (other.text, other.country, other.confidence) == ("7A", "ZZ", known.confidence)


def test_looks_at_one_plate_say_its_country_together() -> None:
    decoder = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, origins=TELLING)
    unsure, sure = telling([ROUND, "7"], {"XX": 0.4, "YY": 0.6}), telling([ROUND, "7"], {"XX": 0.99, "YY": 0.01})
    assert decoder.decode([unsure]).text == "07"
    assert decoder.decode([unsure, sure]).text == "O7"
    assert decoder.plausibility(decoder.look(sure), "07") == pytest.approx(0.1005, abs=0.002)


def test_hint_outweighs_the_look() -> None:
    reading = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, country=["yy"], origins=TELLING).decode(
        [telling([ROUND, "7"], {"XX": 0.999, "YY": 0.001})]
    )
    assert (reading.text, reading.country) == ("07", "YY")


def test_empty_place_has_a_row_of_countries_too() -> None:
    decoder = Decoder([LETTER_DIGIT, TWO_DIGITS], CHARSET, origins=TELLING)
    assert decoder.decode([telling([{}, {}], {"XX": 0.5, "YY": 0.5})]).text == ""


def test_text_of_no_format_is_believed_as_far_as_the_plate_looks_like_no_known_country() -> None:
    decoder = Decoder([LETTER_DIGIT], CHARSET, origins=("XX", "ANY"))
    shares = []
    for first in (0.5, 0.999):
        row = np.full((1, len(CHARSET)), -20, np.float32)
        row[0, :2] = np.log([first, 1 - first])
        reading = decoder.decode([np.concatenate([view(["A", {"B": 0.97, "7": 0.03}]), row])])
        shares.append(by_text(reading)["A7"])
    # 0.03 against 0.97 · NO_FORMAT_PRIOR, and against a tenth of that.
    assert shares == pytest.approx([0.03 / 0.0397, 0.03 / 0.03097], abs=0.005)
