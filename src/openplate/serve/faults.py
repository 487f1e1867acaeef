"""Pydantic's errors in, sentences out that say what was expected, what came and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from openplate.serve.schemas import Fault
from openplate.serve.spelling import IN_WORDS

Where = tuple[str | int, ...]
"""Where a wrong value stands: "query", "path", "header" or "body", then names and places in lists."""

_LONGEST_SHOWN = 60
_NOT_SHOWN = {"source", "url", "secret", "password", "username"}
"""Values of these keys may hold passwords, which errors must not spread."""
_TIME = "expected a time with a zone, such as 2026-11-21T00:00:00Z or 2026-11-21T00:00:00+03:00"
_IN_ADDRESSES = " (in an address, + is written %2B)"
_NUMBER, _WHOLE, _BOOL, _OBJECT, _LIST, _TEXT = (
    "expected a number",
    "expected a whole number",
    "expected true or false",
    "expected an object",
    "expected a list",
    "expected text",
)
_EXPECTED = {
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": _NUMBER,
    "bool_parsing": _BOOL,
    "bool_type": _BOOL,
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "list_type": _LIST,
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "greater_than_equal": "expected at least {ge}",
    "greater_than": "expected more than {gt}",
    "less_than_equal": "expected at most {le}",
    "less_than": "expected less than {lt}",
    "timezone_aware": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_type": _TIME,
    "datetime_object_invalid": _TIME,
}
_LENGTHS = {"string_too_short": "character", "string_too_long": "character", "too_short": "value", "too_long": "value"}


def faults_of(errors: Iterable[Mapping[str, Any]], known: Callable[[Where], Collection[str]]) -> tuple[Fault, ...]:
    """The faults that pydantic's errors tell of.

    Args:
        errors: as `ValidationError.errors()` gives them.
        known: the names that there are beside one that there is not.
    """
    return tuple(Fault(where=".".join(str(part) for part in one["loc"]), message=_sentence(one, known)) for one in errors)


def unknown_name(name: str, known: Collection[str], what: str) -> str:
    """What is said of a name that there is not; `what` says what it would name, such as "parameter"."""
    sentence = f"there is no such {what}"
    if known:
        sentence += f"; expected some of {', '.join(sorted(known))}"
    close = difflib.get_close_matches(name.lower(), known, 1)
    return f"{sentence}; did you mean {close[0]}?" if close else sentence


def names_beside(call: Mapping[str, Any], schemas: Mapping[str, Any], where: Where) -> set[str]:
    """The names that a call has where one stands that it has not; empty when any is right.

    Args:
        call: its OpenAPI description.
        schemas: those of the description's components.
        where: where the unknown name stands, itself at the end.
    """
    if where[0] != "body":
        return {one["name"] for one in call.get("parameters", ()) if one["in"] == where[0]}
    found = [call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})]
    for step in where[1:-1]:
        found = [below for schema in found for one in _choices(schema, schemas) if (below := _below(one, step))]
    return {name for schema in found for one in _choices(schema, schemas) for name in one.get("properties", ())}


def _choices(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a schema may be, references followed."""
    if "$ref" in schema:
        yield from _choices(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for one in schema.get("anyOf", ()):
        yield from _choices(one, schemas)
    yield schema


def _below(schema: Mapping[str, Any], step: str | int) -> dict[str, Any]:
    below: dict[str, Any] = schema.get("items", {}) if isinstance(step, int) else schema.get("properties", {}).get(step, {})
    return below


def _sentence(error: Mapping[str, Any], known: Callable[[Where], Collection[str]]) -> str:
    kind, where, value = str(error["type"]), tuple(error["loc"]), error.get("input")
    facts = {name: _number(fact) for name, fact in error.get("ctx", {}).items()}
    if kind == "extra_forbidden":
        return unknown_name(str(where[-1]), known(where), "key" if where[0] == "body" else "parameter")
    if kind == "missing":
        return "expected JSON as the body, got none" if where == ("body",) else "expected a value, got none"
    if kind == "json_invalid":
        return f"expected JSON, got something else: {facts.get('error', 'it cannot be parsed')}"
    if kind == "value_error":
        return str(facts.get("error", error["msg"]))  # the service's own words
    if kind in _LENGTHS:
        return _length(facts, _LENGTHS[kind], value)
    expected = _expected(kind, where, facts)
    if expected is None:
        return str(error["msg"])
    if where == ("body",) and isinstance(value, str | bytes):
        return f"{expected} in JSON, got other data; send it with the header 'Content-Type: application/json'"
    return expected if _NOT_SHOWN.intersection(where) else f"{expected}, got {_shown(value)}"


def _expected(kind: str, where: Where, facts: Mapping[str, Any]) -> str | None:
    """What would have been right; None for errors that are not known here."""
    if kind in ("literal_error", "enum"):
        return "expected " + str(facts["expected"]).replace("'", "")
    if kind == "string_pattern_mismatch":
        pattern = str(facts["pattern"])
        return "expected " + IN_WORDS.get(pattern, f"text of the form {pattern}")
    sentence = _EXPECTED.get(kind)
    if sentence is None:
        return None
    return sentence.format(**facts) + (_IN_ADDRESSES if sentence == _TIME and where[0] == "query" else "")


def _length(facts: Mapping[str, Any], what: str, value: object) -> str:
    limit = facts.get("max_length", facts.get("min_length"))
    expected = f"expected at {'most' if 'max_length' in facts else 'least'} {limit} {what}{'' if limit == 1 else 's'}"
    got = len(value) if isinstance(value, str | Sequence | Mapping) else facts.get("actual_length", "another number")
    return f"{expected}, got {got or 'none'}"


def _number(fact: object) -> object:
    return int(fact) if isinstance(fact, float) and fact.is_integer() else fact


def _shown(value: object) -> str:
    """A value as errors show it: texts in quotes, long ones cut."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]!r}…"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return str(value)[:_LONGEST_SHOWN]
    return "an object" if isinstance(value, Mapping) else "a list" if isinstance(value, Sequence) else "something else"
