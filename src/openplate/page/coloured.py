"""Characters with confidences in, HTML out in which each has the colour of its confidence; whatever comes in is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from openplate.types import Character

_SURE = 0.99
"""A character this sure is green; one that is as likely wrong as right is red."""


def hue(confidence: float) -> int:
    """The colour's angle: 0 is red, 130 green. Doubt counts by its order of magnitude: 0.5, 0.9 and 0.99 are about equally far apart."""
    doubt = max(1 - confidence, 1 - _SURE)
    return round(130 * min(1.0, max(0.0, math.log(0.5 / doubt) / math.log(0.5 / (1 - _SURE)))))


def coloured(characters: Sequence[Character]) -> str:
    """A plate's text, each character on its colour and with its confidence in per cent under it."""
    cells = "".join(
        f'<span class="op-character" style="background:hsl({hue(c.confidence)},75%,82%)" title="{percent(c.confidence)}">'
        f"{escape(c.text) or '•'}<small>{int(100 * c.confidence + 1e-6)}</small></span>"
        for c in characters
    )
    spoken = escape("".join(c.text for c in characters))
    return f'<div class="op-text" role="img" aria-label="{spoken}">{cells}</div>'


def percent(confidence: float) -> str:
    """A confidence as people read it, cut and never rounded up: 0.9999 is 99.9 %."""
    return f"{math.floor(confidence * 1000 + 1e-6) / 10:.1f} %"


def badge(text: str, kind: str = "") -> str:
    """A word in a coloured frame; `kind` is a list's kind, which decides about the colour."""
    tone = {"allow": "good", "block": "bad", "watch": "warn"}.get(kind, "plain")
    return f'<span class="op-badge op-{tone}">{escape(text)}</span>'
