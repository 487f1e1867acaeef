"""The shipped countries: real texts against the type they must match, and the layout's arithmetic."""

from __future__ import annotations

import random

import pytest

from openplate.charset import LATIN
from openplate.formats import Automaton, Format, PlateType, Row, load_formats, select
from openplate.formats.model import Field

COUNTRIES = """
AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK
ANY AE BR BY CN GB IN KZ RU TR UA US VN
"""
WITH_TWO_LINES = """
RU CN BR VN IN KZ UA BY TR AE DE SK CZ PL FR GB IT ES NL BE AT PT RO HU ANY
"""
GLYPHS = {"gost", "ga36", "din", "fe", "uk", "us", "mercosur", "plain"}

MATCHES = """
ru A123BC77 1 | X777XX199 1 | M001MM97 1A | AB12377 1B | AA123477 2 | 1234AB77 4 | 1234AB15 military | A123477 police | AB123C77 transit
ru A123BC702 1 | A123BC754 1 | A123BC158 1 | A123BC323 1 | A123BC778 1 | A123BC224 1 | A123BC20 1 | AB1234702 2 | AB12320 1B
ru A123BC601 1-unlisted | A123BC901 1A-unlisted
cn 京A12345 blue | 粤B1234A yellow | 苏E1234挂 trailer | 京A1234警 police | 沪AD12345 green-small | 粤B12345D green-large
cn 粤Z1234港 border | 皖A1234学 training
at W12345A vienna | W4567CX one | G123AB one | GU123AB two | ME639A two | PDXN1 custom-one | ZE248KJ two-line
be 1ABC123 car | 2XYZ987 two-line | ABC123 old | 123ABC old-digits-first
bg CA1234AB car | B9876PX car | EA1234AB electric | PB4321KT two-line
cy KAB123 car | MNP456 two-line | AB1234 old
cz 1A23456 car | 4AB1234 car | 5SL0007 car-2001 | 1A2345 motorcycle | EL123AB electric | PHA1234 old
de BAB1234 1-letters | BA1234 1-letter | MAE2821 1-letters | MYRS9999 2-letters | TÖLBA218 3-letters
de FÜAB12E 2-suffix | OFPS309E 2-suffix | WÜX1 2-short | Y123456 army
dk AB12345 car | XY98765 commercial | CD12345 two-line
ee 123ABC car | 987XYZ two-line | 12AB motorcycle | 123AB trailer
es 1234BCD car | 9876LMN taxi | R1234BCD trailer | M1234AB old | GC0001A old
fi ABC123 car | ÄÖ1 car-short | XYZ987 car-1972 | AB12 motorcycle
fr AA123AA car | FG456HJ motorcycle | 1234AB75 old | 123ABC2A old-3
gb AB12CDE car | LA71XYZ car-band | A123BCD prefix | ABC123D suffix | AEZ1234 northern-ireland | ABC1 short
gr ABE1234 car | ZYX9876 car-1983 | TAB1234 taxi | XEA123 motorcycle
hr ZG1234AB car | ST123A car | OS123AB two-line
hu ABC123 car | PXX001 car-1990 | AABC123 car-2022 | AAEV987 electric-2022
ie 131D12345 car | 222WX1 car-short | 06D12345 car-1987 | 99C123456 car-1987-long
it AB123CD car | FX456GH car-front | GA987ZZ two-line | DX12345 motorcycle
lt ABC123 car | EA1234 electric | T12345 taxi | 123AB motorcycle
lu AB1234 car | 12345 digits | 1234 digits
lv AB1234 car | LV12 car | EX123 electric | TX12 taxi | K123 trailer | KA1 car-1993
mt ABC123 car | JKL987 two-line
nl BD12FG sidecode-4 | BDFG12 sidecode-5 | 12BDFG sidecode-6 | 12BDF3 sidecode-7 | 1BDF23 sidecode-8
nl BD123F sidecode-9 | B123DF sidecode-10 | MBDF12 motorcycle | AE1234 sidecode-1
pl WA12345 city | KR1AC23 city | WPI1234 district | WPI12345 district-5 | DWR123AC district-5 | WAA1234 old | W0BIBI custom | KR1AC23 electric
pt AA12BB car | 12AB34 car-2005 | 1234AB car-1992 | AB1234 car-1937
ro CJ12ABC county | B123ABC bucharest | B99XYZ bucharest | TM01ABC two-line | CJ012345 temporary
se ABC123 car | ABC12D car | WXY987 car-1973
si LJAB123 car | MB12345 car | GOA123 car | LJ123AB two-line
sk BA123AB car | TN987XY car-1997 | NR001AA car-2004 | KE001ZZ electric | ZA999XY two-line | AA123BB new
ua AA1234BB car | KA9876IX car-2004 | BC1234YZ electric | 12345AB car-1995
by 1234AB7 car | AB12345 truck | A1234B7 trailer | E123AB7 electric | 7TAX1234 taxi | 9876KM5 car-two-line
kz 123ABC02 car | 777AB01 company | 001XYZ20 two-line | A123BCD old | Z123AB old
tr 34ABC12 3-2 | 06ABC123 3-3 | 35AB123 2-3 | 34AB1234 2-4 | 01A1234 1-4 | 34A12345 1-5 | 34TAB12 taxi
br ABC1234 old | ABC1234 old-motorcycle | BRA2E19 mercosur | RIO2A18 mercosur-motorcycle
in MH12AB1234 car | DL3CAB1234 delhi | KA01A1234 car-1 | 22BH1234AB bh | TN09BC9876 two-line
vn 51F12345 long | 30A1234 long-4 | 29LD12345 long-2-letters | 59X112345 motorcycle | 29AA12345 motorcycle-2-letters | 80B1234 square-4
ae A12345 dubai | AA12345 dubai-two-letters | 1112345 abu-dhabi | 312345 sharjah | X999 dubai-two-line | B123 northern
us ABC1234 LLLdddd | 7ABC123 dLLLddd | AB1C2D LLdLdL | ABC123 LLLddd | 123ABC dddLLL | AB12345 LLddddd | HELLO vanity | 12AB3C free
any AB12CD one-line | 1234 short | 123456789 one-line-gap | X1Y2Z3 two-line
"""

REFUSED = """
ru A123BC00 Q123BC77 A123BD77 A123BC7 А123ВС77 D123AB77 A123BC100 A123BC077 A123BC1777 A1234601
cn 京I12345 京A1234I 京A1O345 A12345 京A123456 京D12345挂
cz 0A23456 1G23456 1AO1234 1A2345X
de XYZQAB123 BAB12345 QAB1 BAB01E2 ÖAB123 BÄB123
es 1234ABC 1234BCQ 123BCD
fr AI123AA AA123OA AA12AA
gb AB12CDI QA12ABC AZ12CDE AB1CDE
it AI123CD AB12CD QA123BC
sk XX1234A Q123AB BA12AB
pl AA12345 QA12345 WAI KR1AB23
ro XX12ABC CJ123ABC B1ABC
ua AD1234BB AA123BB
by 1234AB8 1234DB7 1234AB
kz 123ABC21 123ABC00 12ABC01
tr 82ABC12 34Q123 00A1234
nl CD12FG AA12BB 12AE34B
br AB1234 ABC123 ABC1D2E
in XX12AB1234 MH12IO1234
vn 51I12345 13A12345 51F123
se IBC123 ABC12O
si XX12345 LJO123
us A ABCDEFGH 12345678
any AB1 ABCDE12345 AB-12
be 0ABC123
bg CA1234AD
gr ABC1234
lv QA1234
"""


def rows_of(table: str) -> list[list[str]]:
    return [line.split(maxsplit=1) for line in table.strip().splitlines()]


MATCH_CASES = [(code, *case.split()) for code, cases in rows_of(MATCHES) for case in cases.split("|")]
REFUSED_CASES = [(code, text) for code, texts in rows_of(REFUSED) for text in texts.split()]
TYPES = [t for f in load_formats() for t in f.types]


def country(code: str) -> Format:
    (found,) = select(load_formats(), [code])
    return found


def test_every_promised_country_is_there() -> None:
    assert [f.code for f in load_formats()] == sorted(COUNTRIES.split())
    assert {code for code, *_ in MATCH_CASES} == {f.code.lower() for f in load_formats()}


@pytest.mark.parametrize(("code", "text", "type_id"), MATCH_CASES)
def test_real_text_matches_its_type(code: str, text: str, type_id: str) -> None:
    assert type_id in [t.id for t in Automaton(country(code).types).matches(text)]


@pytest.mark.parametrize(("code", "text"), REFUSED_CASES)
def test_text_that_the_country_does_not_give_out_matches_nothing(code: str, text: str) -> None:
    assert Automaton(country(code).types).matches(text) == ()


def test_chinese_serials_are_drawn_with_at_most_two_letters_and_read_with_any() -> None:
    rng = random.Random(4)
    types = {t.id: t for t in country("cn").types}
    counts = [sum(c in LATIN for c in "".join(types["blue"].sample(rng))[2:]) for _ in range(1000)]
    assert set(counts) == {0, 1, 2}
    assert 400 < counts.count(0) < 500 and 400 < counts.count(1) < 500 and 70 < counts.count(2) < 130  # 45, 45 and 10 %
    for name in ("yellow", "training", "yellow-two-line", "trailer", "police", "armed-police", "border"):
        drawn = ("".join(types[name].sample(rng))[3 if name == "armed-police" else 2 :] for _ in range(100))
        assert max(sum(c in LATIN for c in serial) for serial in drawn) == 2
    assert "blue" in [t.id for t in Automaton(country("cn").types).matches("京AABCDE")]


@pytest.mark.parametrize("plate_type", TYPES, ids=lambda t: t.name)
def test_type_is_within_the_limits_of_reader_and_drawing(plate_type: PlateType) -> None:
    assert plate_type.longest <= 12
    assert plate_type.lines in (1, 2)
    assert plate_type.glyphs in GLYPHS
    assert plate_type.weight > 0
    left, right = plate_type.area_mm
    assert 0 <= left < right <= plate_type.size_mm[0]
    for row in plate_type.rows:
        for field in row.fields:
            assert field.width_mm <= field.pitch_mm or most(field) == 1
            assert 0 <= row.baseline_mm - field.raise_mm - field.height_mm < row.baseline_mm <= plate_type.size_mm[1]
    for mark in plate_type.marks:
        x0, y0, x1, y1 = mark.box_mm
        assert 0 <= x0 < x1 <= plate_type.size_mm[0]
        assert 0 <= y0 < y1 <= plate_type.size_mm[1]
        assert 0 < mark.chance <= 1


@pytest.mark.parametrize("plate_type", TYPES, ids=lambda t: t.name)
def test_longest_text_fits_its_area_and_fields_do_not_overlap(plate_type: PlateType) -> None:
    left, right = plate_type.area_mm
    for row in plate_type.rows:
        if all(field.x_mm is None for field in row.fields):
            assert flowing_width(row) <= right - left + 0.01
        else:
            assert fixed_end(row, left) <= right + 0.01


def most(field: Field) -> int:
    """Glyphs in the longest text of the field."""
    return len(field.mark) + sum(piece.most * max(map(len, piece.choices)) for piece in field.pieces)


def flowing_width(row: Row) -> float:
    return sum(field.gap_mm + most(field) * field.pitch_mm for field in row.fields)


def fixed_end(row: Row, left: float) -> float:
    """Right edge of a row's last glyph; fails when a fixed field starts before the one before it has ended."""
    cursor = end = left
    for field in row.fields:
        start = cursor + field.gap_mm if field.x_mm is None else field.x_mm
        assert start >= end - 0.01
        end = start + (most(field) - 1) * field.pitch_mm + field.width_mm
        cursor = start + most(field) * field.pitch_mm
    return end


def test_main_countries_weigh_more_than_all_others() -> None:
    weights = {f.code: f.weight for f in load_formats()}
    main = {"RU", "CN", "US", "BR", "ANY"}
    assert min(weights[code] for code in main) > max(weight for code, weight in weights.items() if code not in main)
    assert min(weights.values()) > 0


def test_only_the_formats_without_a_grammar_are_loose() -> None:
    assert {t.country for t in TYPES if t.loose} == {"US", "ANY"}
    assert all(t.loose for t in TYPES if t.country in ("US", "ANY"))


def test_region_that_is_not_listed_is_never_taken_for_a_listed_one() -> None:
    automaton = Automaton(country("ru").types)
    assert [t.id for t in automaton.matches("A123BC601")] == ["1-unlisted", "1A-unlisted"]
    listed = next(t for t in country("ru").types if t.id == "1").pieces[-1].choices
    assert len(listed) == 167 + 10
    assert all("1" in [t.id for t in automaton.matches("A123BC" + code)] for code in listed)


def test_regions_that_are_only_read_are_never_drawn() -> None:
    rng = random.Random(0)
    drawn = {"".join(country("ru").types[0].sample(rng))[6:] for _ in range(4000)}
    assert len(drawn) == 167
    assert not drawn & {"20", "158", "323", "702", "754", "778"}


def test_two_line_types_exist_for_the_countries_that_have_them() -> None:
    two_line = {t.country for t in TYPES if t.lines == 2}
    assert set(WITH_TWO_LINES.split()) <= two_line
