"""Why a plate or a sighting is unreadable, as the service says it, in; the same in the visitor's language out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from openplate.page.texts import Texts

_UNSURE = re.compile(r"confidence (?P<confidence>[\d.]+) is under (?P<least>[\d.]+)")
_SMALL = re.compile(r"the plate is small \((?P<width>\d+) × (?P<height>\d+) px\)")
_NO_TEXT = "no text was found"


def plate_reason(reason: str, texts: Texts) -> str:
    """A plate's reason; a part of it that the page does not know stays as it is."""
    return "; ".join(_part(part, texts) for part in reason.split("; "))


def sighting_reasons(reasons: Sequence[str], texts: Texts) -> str:
    """A sighting's reasons."""
    known = dict(texts.reasons)
    return "; ".join(known.get(one, one) for one in reasons)


def _part(part: str, texts: Texts) -> str:
    if part == _NO_TEXT:
        return texts.reason_no_text
    for pattern, text in ((_UNSURE, texts.reason_unsure), (_SMALL, texts.reason_small)):
        if found := pattern.fullmatch(part):
            return text.format(**found.groupdict())
    return part
