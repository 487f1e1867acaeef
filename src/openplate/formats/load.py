"""Format files (TOML) in, `Format` values out; every fault names the file and the key."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from openplate.charset import CHARACTERS, DIGITS, LATIN, normalise
from openplate.errors import FormatError
from openplate.formats.model import GLYPH_STYLES, LONGEST_TEXT, Field, Format, Mark, Piece, PlateType, Row

_TOKEN = re.compile(r"\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:\*(?P<times>\d+)|:(?P<least>\d+)-(?P<most>\d+))?\}|(?P<literal>[^{}])")
_MARK_KINDS = ("band", "rect", "frame", "circle", "text", "flag")
_FILE_KEYS = {"country", "name", "standard", "weight", "characters", "classes", "also_read", "drawn_letters", "types"}
_TYPE_KEYS = {"id", "title", "weight", "loose", "drawn", "size_mm", "colours", "glyphs", "border_mm", "area_mm", "rows", "marks"}
_ROW_KEYS = {"baseline_mm", "fields"}
_FIELD_KEYS = {"text", "mark", "height_mm", "width_mm", "pitch_mm", "gap_mm", "x_mm", "raise_mm", "ink"}
_MARK_KEYS = {"kind", "box_mm", "colour", "text", "stripes", "line_mm", "chance"}


@lru_cache(maxsize=8)
def load_formats(*extra_folders: str) -> tuple[Format, ...]:
    """The formats of the package and of further folders, sorted by code; a later folder's file replaces a country of the same code.

    Raises:
        FormatError: a file cannot be read or parsed, or a key is unknown, missing or wrong.
    """
    found: dict[str, Format] = {}
    for entry in resources.files(__package__).iterdir():
        if entry.name.endswith(".toml"):
            _add(found, parse_format(entry.read_text(encoding="utf8"), entry.name))
    for folder in extra_folders:
        files = sorted(Path(folder).glob("*.toml"))
        if not files:
            raise FormatError(f"{folder}: expected a folder with format files (*.toml), found none")
        for file in files:
            _add(found, parse_format(_read(file), str(file)))
    return tuple(found[code] for code in sorted(found))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf8")
    except OSError as error:
        raise FormatError(f"{file}: expected a format file (*.toml), {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FormatError(f"{file}: expected a format file in UTF-8, byte {error.start} is none; save it as UTF-8") from None


def select(formats: Iterable[Format], codes: Iterable[str]) -> tuple[Format, ...]:
    """The formats whose code is in `codes` (any case), in the order of `codes`.

    Raises:
        FormatError: a code is not known.
    """
    by_code = {f.code: f for f in formats}
    chosen = []
    for code in codes:
        if code.upper() not in by_code:
            raise FormatError(f"country {code!r} is not known; known are: {' '.join(sorted(by_code)).lower()}")
        chosen.append(by_code[code.upper()])
    return tuple(chosen)


def parse_format(text: str, source: str) -> Format:
    """One country from the text of its file; `source` is named in errors.

    Raises:
        FormatError: the text is not TOML, or a key is unknown, missing or wrong.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"{source}: not a TOML file: {error}") from None
    try:
        _check_keys(data, _FILE_KEYS, "the file")
        added = _parse_added(_string(data, "characters", ""))
        classes = _parse_classes(_table(data, "classes"), CHARACTERS + added)
        also_read = _parse_also_read(_table(data, "also_read"), classes, CHARACTERS + added)
        read = {name: choices + also_read.get(name, ()) for name, choices in classes.items()}
        letters = _parse_drawn_letters(_table(data, "drawn_letters"), classes)
        drawn = {name: classes[name] for name in also_read}
        pieces_of = partial(parse_pattern, classes=read, characters=CHARACTERS + added, drawn=drawn, drawn_letters=letters)
        code = _string(data, "country").upper()
        if not re.fullmatch(r"[A-Z0-9_-]+", code):
            raise FormatError(f"country: expected a code of Latin letters and digits, such as XY, got {data['country']!r}")
        types = tuple(_parse_type(code, entry, pieces_of) for entry in _tables(data, "types"))
        if not any(t.drawn for t in types):
            raise FormatError("types: expected at least one [[types]] table" + (" without drawn = false" if types else ""))
        weight = _number(data, "weight", 1.0)
        if weight <= 0 or any(t.weight <= 0 for t in types):
            raise FormatError("weight: expected a number above 0, for the country and for each type")
        ids = [t.id for t in types]
        if len(set(ids)) != len(ids):
            raise FormatError(f"types: each id once, got {ids}")
        return Format(code, _string(data, "name"), _string(data, "standard", ""), weight, types, added)
    except FormatError as error:
        raise FormatError(f"{source}: {error}") from None
    except KeyError as error:
        raise FormatError(f"{source}: key {error.args[0]!r} is missing") from None
    except (ValueError, OverflowError) as error:  # a number that is too long for Python
        raise FormatError(f"{source}: {error}") from None


def _number(table: Mapping[str, Any], key: str, default: float | None = None, above: float = -math.inf) -> float:
    value = table[key] if default is None else table.get(key, default)
    if not _is_number(value) or value <= above:
        raise FormatError(f"{key}: expected a number{'' if above == -math.inf else f' above {above:g}'}, got {value!r}")
    return float(value)


def _numbers(table: Mapping[str, Any], key: str, names: str, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
    """A list of as many numbers as there are `names`, which are parted by a comma."""
    value = table[key] if default is None else table.get(key, default)
    if not isinstance(value, (list, tuple)) or len(value) != names.count(",") + 1 or not all(_is_number(v) for v in value):
        raise FormatError(f"{key}: expected a list of numbers, [{names}], got {value!r}")
    return tuple(float(v) for v in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _string(table: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = table[key] if default is None else table.get(key, default)
    if not isinstance(value, str):
        raise FormatError(f"{key}: expected a string, got {value!r}")
    return value


def _strings(value: Any, where: str) -> tuple[str, ...]:
    """The strings of a list, or the characters of a string."""
    if not isinstance(value, (str, list)) or not all(isinstance(v, str) for v in value):
        raise FormatError(f"{where}: expected characters, or a list of strings, got {value!r}")
    return tuple(value)


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise FormatError(f"{key}: expected a table, [{key}], got {value!r}")
    return value


def _tables(table: Mapping[str, Any], key: str, default: list[Any] | None = None) -> list[Mapping[str, Any]]:
    value = table[key] if default is None else table.get(key, default)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise FormatError(f"{key}: expected a list of tables, got {value!r}")
    return value


def _add(found: dict[str, Format], entry: Format) -> None:
    found[entry.code] = entry


def _check_keys(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = set(table) - known
    if unknown:
        raise FormatError(f"{where}: unknown key {min(unknown)!r}; known are {', '.join(sorted(known))}")


def _parse_added(added: str) -> str:
    for character in added:
        if character in CHARACTERS or added.count(character) > 1 or normalise(character) != character:
            raise FormatError(f"characters: expected characters that the charset lacks, capital and each once, got {character!r}")
    return added


def _parse_classes(table: Mapping[str, Any], characters: str) -> dict[str, tuple[str, ...]]:
    classes: dict[str, tuple[str, ...]] = {"d": tuple(DIGITS), "L": tuple(LATIN)}
    for name, value in table.items():
        choices = _strings(value, f"classes.{name}")
        if not choices or any(not c for c in choices) or len(set(choices)) != len(choices):
            raise FormatError(f"classes.{name}: expected characters, or a list of strings, none empty and none twice")
        for choice in choices:
            _check_characters(choice, f"classes.{name}", characters)
        classes[name] = choices
    return classes


def _check_characters(text: str, where: str, characters: str) -> None:
    for character in text:
        if character not in characters:
            raise FormatError(
                f"{where}: character {character!r} is not in the charset; `characters` declares further ones, for a reader trained on them"
            )


def _parse_also_read(table: Mapping[str, Any], classes: Mapping[str, tuple[str, ...]], characters: str) -> dict[str, tuple[str, ...]]:
    added: dict[str, tuple[str, ...]] = {}
    for name, value in table.items():
        if name not in classes:
            raise FormatError(f"also_read.{name}: expected the name of a class, one of {', '.join(sorted(classes))}")
        choices = _strings(value, f"also_read.{name}")
        if not choices or any(not c for c in choices) or len(set(choices + classes[name])) != len(choices) + len(classes[name]):
            raise FormatError(
                f"also_read.{name}: expected characters, or a list of strings, none empty, none twice and none that the class has already"
            )
        for choice in choices:
            _check_characters(choice, f"also_read.{name}", characters)
        added[name] = choices
    return added


def _parse_drawn_letters(table: Mapping[str, Any], classes: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[float, ...]]:
    weights: dict[str, tuple[float, ...]] = {}
    for name, value in table.items():
        digits = [choice.isdigit() for choice in classes.get(name, ())]
        if not any(digits) or all(digits):
            raise FormatError(f"drawn_letters.{name}: expected the name of a class of digits and letters, one of `classes`")
        weights[name] = tuple(float(v) for v in value) if isinstance(value, list) and all(_is_number(v) for v in value) else ()
        if min(weights[name], default=0.0) < 0 or sum(weights[name]) <= 0:
            raise FormatError(f"drawn_letters.{name}: expected how often 0, 1, 2 ... letters are drawn, such as [45, 45, 10], got {value!r}")
    return weights


def parse_pattern(
    pattern: str,
    classes: Mapping[str, tuple[str, ...]],
    characters: str = CHARACTERS,
    drawn: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    drawn_letters: Mapping[str, tuple[float, ...]] = MappingProxyType({}),
) -> tuple[Piece, ...]:
    """A pattern such as `{l}{d*3}{L:1-3}X` as pieces: `{name}`, `{name*3}` (three), `{name:1-3}` (one to three), other characters stand for themselves.

    `drawn` holds, for the classes of which drawing takes only a part, that part; `drawn_letters`, for classes of digits and letters, how often
    drawing puts 0, 1, 2 … letters into a run of them.

    Raises:
        FormatError: a class is not defined, or a character is not in the charset.
    """
    pieces: list[Piece] = []
    position = 0
    while position < len(pattern):
        match = _TOKEN.match(pattern, position)
        if match is None:
            raise FormatError(f"pattern {pattern!r}: cannot be read from {pattern[position:]!r}")
        position = match.end()
        if match["literal"]:
            _check_characters(match["literal"], f"pattern {pattern!r}", characters)
            pieces.append(Piece((match["literal"],)))
            continue
        if match["name"] not in classes:
            raise FormatError(f"pattern {pattern!r}: class {match['name']!r} is not defined; defined are {', '.join(sorted(classes))}")
        times = int(match["times"] or 1)
        least, most = (int(match["least"]), int(match["most"])) if match["least"] else (times, times)
        if not 0 <= least <= most or most == 0:
            raise FormatError(f"pattern {pattern!r}: {{{match['name']}:{least}-{most}}} is not a range")
        name = match["name"]
        pieces.append(Piece(classes[name], least, most, drawn.get(name, ()), drawn_letters.get(name, ())))
    return tuple(pieces)


def _parse_type(country: str, table: Mapping[str, Any], pieces_of: Callable[[str], tuple[Piece, ...]]) -> PlateType:
    where = f"type {table.get('id', '?')}"
    _check_keys(table, _TYPE_KEYS, where)
    try:
        width_mm, height_mm = _numbers(table, "size_mm", "width, height")
        if width_mm <= 0 or height_mm <= 0:
            raise FormatError(f"size_mm: expected a width and a height above 0, got {table['size_mm']!r}")
        left_mm, right_mm = _numbers(table, "area_mm", "left, right", (8.0, width_mm - 8.0))
        glyphs = _string(table, "glyphs", "plain")
        if glyphs not in GLYPH_STYLES:
            raise FormatError(f"glyphs: expected one of {', '.join(GLYPH_STYLES)}, got {glyphs!r}")
        rows = tuple(_parse_row(row, pieces_of) for row in _tables(table, "rows"))
        if not 1 <= len(rows) <= 2:
            raise FormatError(f"rows: expected one or two rows, got {len(rows)}")
        found = PlateType(
            country=country,
            id=_string(table, "id"),
            title=_string(table, "title", ""),
            weight=_number(table, "weight", 1.0),
            loose=_parse_loose(table.get("loose", False)),
            size_mm=(width_mm, height_mm),
            colours=_parse_colours(table.get("colours", [["#f4f4f0", "#141414"]])),
            glyphs=glyphs,
            border_mm=_number(table, "border_mm", 3.0),
            area_mm=(left_mm, right_mm),
            rows=rows,
            marks=tuple(_parse_mark(mark) for mark in _tables(table, "marks", [])),
            drawn=_parse_share(table.get("drawn", True)),
        )
        if not 1 <= found.longest <= LONGEST_TEXT:
            raise FormatError(f"rows: expected texts of 1 to {LONGEST_TEXT} characters, the longest that the patterns allow has {found.longest}")
        return found
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None


def _parse_loose(value: Any) -> bool:
    if not isinstance(value, bool):
        raise FormatError(f"loose: expected true or false, got {value!r}")
    return value


def _parse_colours(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not value or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise FormatError(f"colours: expected a list of [background, ink], got {value!r}")
    for pair in value:
        for colour in pair:
            parse_colour(str(colour))
    return tuple((background, ink) for background, ink in value)


def _parse_share(value: Any) -> float:
    share = float(value) if isinstance(value, bool) or _is_number(value) else math.nan
    if not 0 <= share < math.inf:
        raise FormatError(f"drawn: expected false, or how many times as often as its weight says the type is drawn, got {value!r}")
    return share


def _parse_row(table: Mapping[str, Any], pieces_of: Callable[[str], tuple[Piece, ...]]) -> Row:
    _check_keys(table, _ROW_KEYS, "row")
    fields = tuple(_parse_field(field, pieces_of) for field in _tables(table, "fields"))
    if not fields:
        raise FormatError("fields: expected at least one field in a row, got []")
    return Row(_number(table, "baseline_mm"), fields)


def _parse_field(table: Mapping[str, Any], pieces_of: Callable[[str], tuple[Piece, ...]]) -> Field:
    _check_keys(table, _FIELD_KEYS, "field")
    if ("text" in table) == ("mark" in table):
        raise FormatError("field: expected either 'text' (read) or 'mark' (drawn, not read)")
    (kind,) = {"text", "mark"} & set(table)
    if not _string(table, kind):
        raise FormatError(f"{kind}: expected {'a pattern, such as {d*3}' if kind == 'text' else 'characters to draw'}, got ''")
    height = _number(table, "height_mm", above=0)
    width = _number(table, "width_mm", height * 0.6, above=0)
    if table.get("ink"):
        parse_colour(str(table["ink"]))
    return Field(
        pieces=pieces_of(table["text"]) if kind == "text" else (),
        mark=table.get("mark", ""),
        height_mm=height,
        width_mm=width,
        pitch_mm=_number(table, "pitch_mm", width * 1.16, above=0),
        gap_mm=_number(table, "gap_mm", 0.0),
        x_mm=_number(table, "x_mm") if "x_mm" in table else None,
        raise_mm=_number(table, "raise_mm", 0.0),
        ink=str(table["ink"]) if table.get("ink") else None,
    )


def _parse_mark(table: Mapping[str, Any]) -> Mark:
    _check_keys(table, _MARK_KEYS, "mark")
    if table["kind"] not in _MARK_KINDS:
        raise FormatError(f"mark: kind {table['kind']!r} is not one of {', '.join(_MARK_KINDS)}")
    x0, y0, x1, y1 = _numbers(table, "box_mm", "x0, y0, x1, y1")
    text = table.get("text", [])
    colour = _string(table, "colour", "#141414")
    stripes = _strings(table.get("stripes", []), "stripes")
    for value in (colour, *stripes):
        parse_colour(value)
    texts = (text,) if isinstance(text, str) else _strings(text, "text")
    return Mark(table["kind"], (x0, y0, x1, y1), colour, texts, stripes, _number(table, "line_mm", 2.0), _number(table, "chance", 1.0))


@lru_cache(maxsize=1_000)
def parse_colour(text: str) -> tuple[int, int, int]:
    """`#rrggbb` as (red, green, blue).

    Raises:
        FormatError: the text is not of that form.
    """
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise FormatError(f"colour {text!r}: expected #rrggbb")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
