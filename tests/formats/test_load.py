"""Format files: what is refused and how it is named, and a country added from a folder."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path

import pytest

from openplate.errors import FormatError
from openplate.formats import Automaton, load_formats, select
from openplate.formats.load import parse_colour, parse_format, parse_pattern
from openplate.formats.model import GLYPH_STYLES, Piece
from openplate.synthesize.glyphs import STYLE_NAMES

CLASSES = {"d": tuple("0123456789"), "L": ("A", "B"), "town": ("X", "YZ")}

ATLANTIS = """
country = "aq"
name = "Atlantis"
weight = 0.5

[classes]
town = ["PO", "TRI"]

[[types]]
id = "car"
title = "cars"
size_mm = [520, 110]
rows = [{ baseline_mm = 92, fields = [
  { text = "{town}", height_mm = 75, width_mm = 44, pitch_mm = 50 },
  { mark = "-", height_mm = 75, width_mm = 20, pitch_mm = 24 },
  { text = "{d:2-3}", height_mm = 75, width_mm = 44, pitch_mm = 50 },
] }]
"""


def changed(old: str, new: str) -> str:
    assert old in ATLANTIS
    return ATLANTIS.replace(old, new)


def test_new_country_from_a_folder_is_found_selected_and_its_text_matched(tmp_path: Path) -> None:
    (tmp_path / "atlantis.toml").write_text(ATLANTIS, encoding="utf8")
    formats = load_formats(str(tmp_path))
    (atlantis,) = select(formats, ["AQ"])
    assert atlantis.name == "Atlantis"
    names = [t.name for t in Automaton(atlantis.types).matches("TRI45")]
    assert names == ["AQ/car"]
    assert [t.name for f in formats for t in Automaton(f.types).matches("TRI45") if f.code == "AQ"] == ["AQ/car"]
    assert Automaton(atlantis.types).matches("TRI4567") == ()
    assert "AQ" not in [f.code for f in load_formats()]


def test_folder_with_a_shipped_code_replaces_that_country(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(changed('"aq"', '"sk"'), encoding="utf8")
    (slovakia,) = select(load_formats(str(tmp_path)), ["sk"])
    assert slovakia.name == "Atlantis"


def test_folder_without_format_files_gives_format_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="found none") as caught:
        load_formats(str(tmp_path / "empty"))
    assert "empty" in str(caught.value)


def test_select_keeps_the_order_asked_for_and_any_case() -> None:
    assert [f.code for f in select(load_formats(), ["sk", "CZ", "any"])] == ["SK", "CZ", "ANY"]


def test_unknown_code_gives_error_that_lists_the_known() -> None:
    with pytest.raises(FormatError, match=r"'xx' is not known; known are: .*\bru\b"):
        select(load_formats(), ["xx"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "Atlantis"', 'name = "Atlantis"\ncolor = "red"', r"the file: unknown key 'color'"),
        ('title = "cars"', 'title = "cars"\nwidth_mm = 1', r"atlantis.toml: type car: unknown key 'width_mm'"),
        ("baseline_mm = 92,", "baseline_mm = 92, base = 1,", r"row: unknown key 'base'"),
        ('mark = "-",', 'mark = "-", colour = "#000000",', r"field: unknown key 'colour'"),
        ('mark = "-",', 'mark = "-", text = "A",', r"either 'text' \(read\) or 'mark'"),
        ('name = "Atlantis"\n', "", r"key 'name' is missing"),
        ("size_mm = [520, 110]\n", "", r"key 'size_mm' is missing"),
        ("{town}", "{village}", r"class 'village' is not defined; defined are L, d, town"),
        ("{d:2-3}", "{d:3-2}", r"is not a range"),
        ("{d:2-3}", "{d", r"cannot be read from '\{d'"),
        ("{d:2-3}", "{d:2-3}ß", r"character 'ß' is not in the charset"),
        ('"TRI"', '"TRI", "PO"', r"classes.town: .*none twice"),
        ('"TRI"', '"tri"', r"classes.town: character 't' is not in the charset"),
        ("[classes]", "[classes", r"not a TOML file"),
        ("size_mm = [520, 110]", "size_mm = [520]", r"type car: size_mm: expected a list of numbers, \[width, height\], got \[520\]"),
        ("size_mm = [520, 110]", "size_mm = 5", r"type car: size_mm: expected a list of numbers, \[width, height\], got 5"),
        ("size_mm = [520, 110]", 'size_mm = ["520", 110]', r"size_mm: expected a list of numbers, \[width, height\], got \['520', 110\]"),
        ("size_mm = [520, 110]", "size_mm = [-520, 110]", r"type car: size_mm: expected a width and a height above 0, got \[-520, 110\]"),
        ("size_mm = [520, 110]", "size_mm = [520, 110]\nborder_mm = true", r"type car: border_mm: expected a number, got True"),
        ("size_mm = [520, 110]", f"size_mm = [520, {10**400}]", r"too large"),
        ("size_mm = [520, 110]", "size_mm = [520, 110]\narea_mm = 8", r"area_mm: expected a list of numbers, \[left, right\], got 8"),
        ("size_mm = [520, 110]", "size_mm = [520, 110]\ncolours = 3", r"type car: colours: expected a list of \[background, ink\], got 3"),
        ("size_mm = [520, 110]", 'size_mm = [520, 110]\nloose = "no"', r"type car: loose: expected true or false, got 'no'"),
        ("size_mm = [520, 110]", 'size_mm = [520, 110]\nglyphs = "arial"', r"glyphs: expected one of gost, ga36, .*, plain, got 'arial'"),
        ("size_mm = [520, 110]", 'size_mm = [520, 110]\nmarks = ["-"]', r"marks: expected a list of tables, got \['-'\]"),
        ("baseline_mm = 92", 'baseline_mm = "low"', r"type car: baseline_mm: expected a number, got 'low'"),
        ('mark = "-", height_mm = 75', 'mark = "-", height_mm = -75', r"type car: height_mm: expected a number above 0, got -75"),
        ('mark = "-"', 'mark = ""', r"type car: mark: expected characters to draw, got ''"),
        ("{town}", "", r"type car: text: expected a pattern, such as \{d\*3\}, got ''"),
        ("{d:2-3}", "{d*30}", r"type car: rows: expected texts of 1 to 12 characters, the longest that the patterns allow has 33"),
        ("{d:2-3}", "{d:0-100000}", r"type car: rows: .* has 100003"),
        ("{d:2-3}", "{d:9-10}", r"type car: rows: .* has 13"),
        ('country = "aq"', 'country = ""', r"country: expected a code of Latin letters and digits, such as XY, got ''"),
        ('country = "aq"', 'country = "X,Y"', r"country: expected a code .*, got 'X,Y'"),
        ('country = "aq"', "country = 3", r"country: expected a string, got 3"),
        ('name = "Atlantis"', "name = 3", r"name: expected a string, got 3"),
        ("weight = 0.5", 'weight = "0.5"', r"weight: expected a number, got '0.5'"),
        ("weight = 0.5", "also_read = 3", r"also_read: expected a table, \[also_read\], got 3"),
        ("weight = 0.5", "drawn_letters = 3", r"drawn_letters: expected a table, \[drawn_letters\], got 3"),
        ('[classes]\ntown = ["PO", "TRI"]', "classes = 3", r"classes: expected a table, \[classes\], got 3"),
        ('[classes]\ntown = ["PO", "TRI"]', 'classes = "abc"', r"classes: expected a table, \[classes\], got 'abc'"),
        ('["PO", "TRI"]', "3", r"classes.town: expected characters, or a list of strings, got 3"),
        ("size_mm = [520, 110]", 'size_mm = [520, 110]\ncolours = [["white", "#000000"]]', r"colour 'white': expected #rrggbb"),
        (
            "size_mm = [520, 110]",
            'size_mm = [520, 110]\nmarks = [{ kind = "star", box_mm = [0, 0, 9, 9] }]',
            r"kind 'star' is not one of band, rect",
        ),
    ],
)
def test_wrong_file_gives_format_error_with_file_and_reason(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "atlantis.toml"
    file.write_text(changed(old, new), encoding="utf8")
    with pytest.raises(FormatError, match=said) as caught:
        load_formats(str(tmp_path))
    assert str(caught.value).startswith(str(file))


ALSO = '[also_read]\ntown = ["OLD", "NEW"]\n\n[[types]]'


WITHOUT_TYPES = ATLANTIS[: ATLANTIS.index("[classes]")]


@pytest.mark.parametrize(("types", "got"), [("3", "3"), ('["a"]', r"\['a'\]"), ("{ id = 3 }", r"\{'id': 3\}")])
def test_types_that_are_no_list_of_tables_give_format_error(types: str, got: str) -> None:
    with pytest.raises(FormatError, match=f"aq.toml: types: expected a list of tables, got {got}"):
        parse_format(f"{WITHOUT_TYPES}\ntypes = {types}", "aq.toml")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("[]", "rows: expected one or two rows, got 0"),
        ("[{}, {}, {}]".replace("{}", '{ baseline_mm = 92, fields = [{ text = "{d}", height_mm = 20 }] }'), "rows: expected one or two rows, got 3"),
        ("3", "rows: expected a list of tables, got 3"),
        ("[{ baseline_mm = 92, fields = [] }]", r"fields: expected at least one field in a row, got \[\]"),
        ("[{ baseline_mm = 92, fields = 3 }]", "fields: expected a list of tables, got 3"),
        ('[{ baseline_mm = 92, fields = [{ mark = "-", height_mm = 20 }] }]', "rows: expected texts of 1 to 12 characters, the longest .* has 0"),
    ],
)
def test_rows_that_are_not_one_or_two_with_text_give_format_error(rows: str, said: str) -> None:
    with pytest.raises(FormatError, match=f"aq.toml: type car: {said}"):
        parse_format(f'{WITHOUT_TYPES}\n[[types]]\nid = "car"\nsize_mm = [520, 110]\nrows = {rows}', "aq.toml")


def test_text_of_twelve_characters_is_allowed() -> None:
    (plate_type,) = parse_format(changed("{d:2-3}", "{d:2-9}"), "aq.toml").types
    assert plate_type.longest == 12


def test_glyphs_that_a_file_may_name_are_those_that_can_be_drawn() -> None:
    assert set(GLYPH_STYLES) == set(STYLE_NAMES)


@pytest.mark.parametrize("kind", ["latin1", "link", "folder"])
def test_file_that_cannot_be_read_gives_format_error_naming_it(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "xy.toml"
    if kind == "latin1":
        file.write_bytes(changed("Atlantis", "Åtlantis").encode("latin1"))
    elif kind == "link":
        file.symlink_to(tmp_path / "gone.toml")
    else:
        file.mkdir()
    said = {"latin1": "in UTF-8, byte 24 is none; save it as UTF-8", "link": "No such file or directory", "folder": "Is a directory"}[kind]
    with pytest.raises(FormatError) as caught:
        load_formats(str(tmp_path))
    assert str(caught.value).startswith(f"{file}: expected a format file") and str(caught.value).endswith(said)


def test_full_example_of_the_documentation_matches_the_texts_that_it_names() -> None:
    page = (Path(__file__).parents[2] / "docs/formats.md").read_text(encoding="utf8")
    example = page[page.index("## A full example") :].split("```toml\n")[1].split("```")[0]
    automaton = Automaton(parse_format(example, "xy.toml").types)
    texts = re.findall(r'matches\("(\w+)"\)', page) + list(re.findall(r"`XY/car` allows `(\w+)`, `(\w+)`", page)[0])
    assert [(text, [t.name for t in automaton.matches(text)][:1]) for text in texts] == [
        (text, ["XY/car"]) for text in ("A123B", "A123B", "XYZ007KM")
    ]


def test_what_is_also_read_is_matched_and_counted_and_never_drawn() -> None:
    (before,) = parse_format(ATLANTIS, "aq.toml").types
    (after,) = parse_format(changed("[[types]]", ALSO), "aq.toml").types
    assert [t.id for t in Automaton([after]).matches("NEW45")] == ["car"]
    assert after.log_size == pytest.approx(math.log(4 * 1100))  # four towns, 100 + 1000 numbers
    first, second = random.Random(3), random.Random(3)
    assert [after.sample(first) for _ in range(200)] == [before.sample(second) for _ in range(200)]  # to the last bit what was drawn before


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('village = ["OLD"]', r"also_read.village: expected the name of a class, one of L, d, town"),
        ('town = ["TRI"]', r"also_read.town: .*none that the class has already"),
        ('town = ["OLD", "OLD"]', r"also_read.town: .*none twice"),
        ("town = []", r"also_read.town: expected characters, or a list of strings"),
        ('town = ["old"]', r"also_read.town: character 'o' is not in the charset"),
    ],
)
def test_wrong_table_of_what_is_also_read_gives_format_error(table: str, said: str) -> None:
    with pytest.raises(FormatError, match=rf"aq.toml: {said}"):
        parse_format(changed("[[types]]", f"[also_read]\n{table}\n\n[[types]]"), "aq.toml")


SERIALS = """
country = "aq"
name = "Serials"
[classes]
s = "0123456789XYZ"
[drawn_letters]
s = [0, 3, 1]
[[types]]
id = "car"
size_mm = [440, 140]
rows = [{ baseline_mm = 115, fields = [{ text = "{s*5}", height_mm = 90 }, { text = "{s}", height_mm = 90 }, { text = "A{d:0-1}", height_mm = 90 }] }]
"""


def test_runs_are_drawn_with_as_many_letters_as_is_said_anywhere_in_them_and_read_with_any() -> None:
    (plate_type,) = parse_format(SERIALS, "aq.toml").types
    rng = random.Random(2)
    texts = [plate_type.sample(rng) for _ in range(400)]
    counts = [sum(c.isalpha() for c in serial) for serial, _, _ in texts]
    assert set(counts) == {1, 2} and 260 < counts.count(1) < 340  # three quarters of 400 are 300
    assert {i for serial, _, _ in texts for i, c in enumerate(serial) if c.isalpha()} == {0, 1, 2, 3, 4}
    assert {c for _, single, _ in texts for c in single} == set("XYZ")  # one place: never no letter, and no room for two
    assert {last for _, _, last in texts} == {"A", *(f"A{digit}" for digit in range(10))}
    assert [t.id for t in Automaton([plate_type]).matches("XYZXYZA")] == ["car"]
    assert plate_type.log_size == pytest.approx(math.log(13**6 * 11))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("x = [1, 1]", r"drawn_letters.x: expected the name of a class of digits and letters"),
        ("d = [1, 1]", r"drawn_letters.d: expected the name of a class of digits and letters"),
        ("L = [1, 1]", r"drawn_letters.L: expected the name of a class of digits and letters"),
        ("s = []", r"drawn_letters.s: expected how often 0, 1, 2 ... letters are drawn, such as \[45, 45, 10\], got \[\]"),
        ("s = [0, 0]", r"drawn_letters.s: expected how often"),
        ("s = [2, -1]", r"drawn_letters.s: expected how often"),
    ],
)
def test_wrong_table_of_drawn_letters_gives_format_error(table: str, said: str) -> None:
    with pytest.raises(FormatError, match=rf"aq.toml: {said}"):
        parse_format(SERIALS.replace("s = [0, 3, 1]", table), "aq.toml")


def test_country_of_which_nothing_is_drawn_gives_format_error() -> None:
    with pytest.raises(FormatError, match=r"aq.toml: types: expected at least one \[\[types\]\] table without drawn = false"):
        parse_format(changed('title = "cars"', "drawn = false"), "aq.toml")


def test_two_types_of_one_id_give_format_error() -> None:
    twice = ATLANTIS + ATLANTIS[ATLANTIS.index("[[types]]") :]
    with pytest.raises(FormatError, match=r"aq.toml: types: each id once, got \['car', 'car'\]"):
        parse_format(twice, "aq.toml")


def test_pattern_gives_one_piece_per_token() -> None:
    assert parse_pattern("{town}7{d*3}{L:1-2}", CLASSES) == (
        Piece(("X", "YZ"), 1, 1),
        Piece(("7",), 1, 1),
        Piece(tuple("0123456789"), 3, 3),
        Piece(("A", "B"), 1, 2),
    )


def test_pattern_with_none_to_two_is_allowed_and_none_to_none_is_not() -> None:
    assert parse_pattern("{d:0-2}", CLASSES)[0].least == 0
    with pytest.raises(FormatError, match="is not a range"):
        parse_pattern("{d:0-0}", CLASSES)


def test_colour_is_red_green_blue() -> None:
    assert parse_colour("#102aFF") == (16, 42, 255)


def test_defaults_are_those_of_the_documentation() -> None:
    (plate_type,) = parse_format(ATLANTIS, "aq.toml").types
    assert plate_type.weight == 1.0
    assert plate_type.glyphs == "plain"
    assert plate_type.border_mm == 3.0
    assert plate_type.area_mm == (8.0, 512.0)
    assert plate_type.colours == (("#f4f4f0", "#141414"),)
    assert not plate_type.loose
    assert plate_type.drawn == 1
    assert plate_type.lines == 1
    assert plate_type.longest == 6


@pytest.mark.parametrize(("value", "drawn"), [("false", 0), ("true", 1), ("2.5", 2.5)])
def test_type_says_how_often_it_is_drawn(value: str, drawn: float) -> None:
    second = ATLANTIS[ATLANTIS.index("[[types]]") :].replace('id = "', 'id = "other-').replace("[[types]]", f"[[types]]\ndrawn = {value}", 1)
    assert parse_format(ATLANTIS + second, "aq.toml").types[1].drawn == drawn


@pytest.mark.parametrize("value", ["-1", "inf", '"often"'])
def test_how_often_a_type_is_drawn_is_a_number_from_0_on(value: str) -> None:
    with pytest.raises(FormatError, match="drawn: expected false, or how many times"):
        parse_format(ATLANTIS.replace("[[types]]", f"[[types]]\ndrawn = {value}", 1), "aq.toml")


def test_characters_that_the_charset_lacks_can_be_declared() -> None:
    text = changed("weight = 0.5", 'weight = 0.5\ncharacters = "あΣ"').replace('["PO", "TRI"]', '["あ", "PΣ"]')
    format_ = parse_format(text, "aq.toml")
    assert format_.characters == "あΣ"
    assert [t.name for t in Automaton(format_.types).matches("PΣ45")] == ["AQ/car"]
    with pytest.raises(FormatError, match="character 'い' is not in the charset; `characters` declares further ones"):
        parse_format(text.replace('["あ", "PΣ"]', '["い"]'), "aq.toml")


@pytest.mark.parametrize(("characters", "named"), [("あA", "A"), ("ああ", "あ"), ("σ", "σ"), ("А", "А"), ("あ ", " ")])
def test_declared_characters_are_new_capital_and_each_once(characters: str, named: str) -> None:
    # "А" is the Cyrillic letter, which is written as the Latin one.
    text = changed("weight = 0.5", f'weight = 0.5\ncharacters = "{characters}"')
    with pytest.raises(FormatError, match=f"aq.toml: characters: expected characters that the charset lacks, capital and each once, got '{named}'"):
        parse_format(text, "aq.toml")
