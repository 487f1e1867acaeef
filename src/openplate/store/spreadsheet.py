"""A value in, a CSV cell that no spreadsheet runs as a formula out, and back again: reading what was written gives the same value."""

from __future__ import annotations

import re

# An apostrophe makes text of a cell that begins like a formula. A value with an apostrophe there of its own gets one more, so that one can be taken off again.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def guarded(value: str) -> str:
    """A value as it is written into a cell."""
    return "'" + value if _FORMULA.match(value) else value


def unguarded(cell: str) -> str:
    """The value that a cell holds."""
    return cell[1:] if _GUARDED.match(cell) else cell
