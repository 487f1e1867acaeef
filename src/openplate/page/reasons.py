"""Why a plate or a sighting is unreadable, a row was not imported or a call was refused, as the service says it, in; the same in the visitor's language out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from openplate.page.texts import Texts

_UNSURE = re.compile(r"confidence (?P<confidence>[\d.]+) is under (?P<least>[\d.]+)")
_SMALL = re.compile(r"the plate is small \((?P<width>\d+) × (?P<height>\d+) px\)")
_NO_TEXT = "no text was found"
_NONE_ALLOWED = re.compile("no text that only (?P<only>.+) allows was found")
_ROW_FAULTS = {
    "cells": re.compile(r"expected (?P<expected>\d+) cells as in the first line, got (?P<got>\d+)"),
    "empty": re.compile("the plate is empty"),
    "twice": re.compile(r"plate (?P<plate>\S+) is in line (?P<line>\d+) already"),
    "character": re.compile(r"a plate has letters and digits, a pattern also .*; got (?P<character>.+?) in (?P<plate>.+)"),
    "length": re.compile(r"expected 1 to (?P<most>\d+) characters that are part of a plate, got (?P<plate>.+)"),
    "wildcard": re.compile("expected a plate without wildcards, got (?P<plate>.+)"),
    "date": re.compile("permit_until: expected a date as .*, got (?P<typed>.+?)"),
    "zone": re.compile("permit_until: expected a time zone, as in (?P<example>.+), got (?P<typed>.+?)"),
    "long": re.compile(r"(?P<column>\w+): expected at most (?P<most>\d+) characters without NUL, got (?P<got>\d+)"),
}

_REFUSALS = {
    "cut": re.compile(r"expected a whole (?P<kind>\w+) picture, got one without its end: .*"),
    "damaged": re.compile(r"expected a whole (?P<kind>\w+) picture, got .*"),
    "empty": re.compile("expected a picture, got an empty file; .*"),
    "no_picture": re.compile(r"expected a (?P<kinds>JPEG, .+) or (?P<last>\w+) picture, got a file that starts with .*"),
    "small": re.compile(r"expected at least (?P<least>\d+) px on each side, got (?P<width>\d+)×(?P<height>\d+); .*"),
    "large": re.compile(r"expected at most (?P<most>[\d,]+) pixels over all frames, got (?P<width>\d+)×(?P<height>\d+).*"),
    "frames": re.compile(r"expected at most (?P<most>\d+) frames, got more; .*"),
    "bytes": re.compile(r"expected (?:a body of )?at most (?P<most>[\d,]+) bytes, got .*"),
    "waiting": re.compile("too many (?:pictures wait|uploads at once).*"),
    "country": re.compile("country (?P<code>.+) is not known; .*"),
    "short": re.compile(r"a fuzzy search with \d edits needs at least (?P<least>\d+) characters, got (?P<plate>.+); search for .*"),
    "character": re.compile(r"a plate has letters and digits, a pattern also .*; got (?P<character>.+?) in (?P<plate>.+)"),
    "length": re.compile(r"expected 1 to (?P<most>\d+) characters that are part of a plate, got (?P<plate>.+)"),
    "long": re.compile(r"query\.plate: expected at most (?P<most>\d+) characters, got (?P<got>\d+)"),
    "entry_wildcard": re.compile("entry (?P<plate>.+): expected a plate without wildcards; .*"),
    "wildcard": re.compile("expected a plate without wildcards, got (?P<plate>.+)"),
    "hashed": re.compile("plates are hashed in this store: only whole plates can be searched for .*"),
    "entry_hashed": re.compile(r"plates are hashed in this store: an entry has to be a whole plate, got the \w+ (?P<plate>.+)"),
    "regex": re.compile("the regular expression (?P<pattern>.+) cannot be used: (?P<reason>.+)"),
    "validity": re.compile("entry (?P<plate>.+): expected valid_from before valid_until"),
    "list_exists": re.compile("there is a list (?P<name>.+) already; .*"),
    "list_word": re.compile(r"body\.(?:name|kind): expected letters, digits, blanks.*, got (?P<word>.+)"),
    "camera_name": re.compile(r"body\.name: expected letters a-z, digits, - and _, .*, got (?P<name>.+)"),
    "name_long": re.compile(r"body\.name: expected at most (?P<most>\d+) characters, got (?P<got>\d+)"),
    "role": re.compile(r"this needs a key with the role (?P<needed>\w+), the key .+ has the role (?P<has>\w+)"),
    "columns": re.compile(r"expected a first line with the columns .*, got: (?P<got>.+)"),
    "utf8": re.compile("expected a CSV file in UTF-8, .*"),
}


def plate_reason(reason: str, texts: Texts) -> str:
    """A plate's reason; a part of it that the page does not know stays as it is."""
    return "; ".join(_part(part, texts) for part in reason.split("; "))


def sighting_reasons(reasons: Sequence[str], texts: Texts) -> str:
    """A sighting's reasons."""
    known = dict(texts.reasons)
    return "; ".join(known.get(one, one) for one in reasons)


def row_reason(reason: str, texts: Texts) -> str:
    """Why a row was not imported; what the page does not know stays as it is."""
    return _said(reason, _ROW_FAULTS, dict(texts.row_faults))


def refusal_reason(words: str, texts: Texts) -> str:
    """The words of a refusal; what the page does not know stays as it is."""
    return _said(words, _REFUSALS, dict(texts.refusal_words))


def _said(words: str, patterns: Mapping[str, re.Pattern[str]], sentences: Mapping[str, str]) -> str:
    for name, pattern in patterns.items():
        if found := pattern.fullmatch(words):
            return sentences[name].format(**found.groupdict())
    return words


def _part(part: str, texts: Texts) -> str:
    if part == _NO_TEXT:
        return texts.reason_no_text
    for pattern, text in ((_NONE_ALLOWED, texts.reason_none_allowed), (_UNSURE, texts.reason_unsure), (_SMALL, texts.reason_small)):
        if found := pattern.fullmatch(part):
            return text.format(**found.groupdict())
    return part
