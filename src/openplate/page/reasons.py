"""Why a plate or a sighting is unreadable or a row was not imported, as the service says it, in; the same in the visitor's language out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from openplate.page.texts import Texts

_UNSURE = re.compile(r"confidence (?P<confidence>[\d.]+) is under (?P<least>[\d.]+)")
_SMALL = re.compile(r"the plate is small \((?P<width>\d+) × (?P<height>\d+) px\)")
_NO_TEXT = "no text was found"
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


def plate_reason(reason: str, texts: Texts) -> str:
    """A plate's reason; a part of it that the page does not know stays as it is."""
    return "; ".join(_part(part, texts) for part in reason.split("; "))


def sighting_reasons(reasons: Sequence[str], texts: Texts) -> str:
    """A sighting's reasons."""
    known = dict(texts.reasons)
    return "; ".join(known.get(one, one) for one in reasons)


def row_reason(reason: str, texts: Texts) -> str:
    """Why a row was not imported; what the page does not know stays as it is."""
    known = dict(texts.row_faults)
    for name, pattern in _ROW_FAULTS.items():
        if found := pattern.fullmatch(reason):
            return known[name].format(**found.groupdict())
    return reason


def _part(part: str, texts: Texts) -> str:
    if part == _NO_TEXT:
        return texts.reason_no_text
    for pattern, text in ((_UNSURE, texts.reason_unsure), (_SMALL, texts.reason_small)):
        if found := pattern.fullmatch(part):
            return text.format(**found.groupdict())
    return part
