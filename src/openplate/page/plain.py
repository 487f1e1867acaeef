"""A text in, the same text as Markdown that shows it letter by letter out."""

from __future__ import annotations


def plain(text: str) -> str:
    """Nothing in it is taken for markup: names, notes and errors hold what users typed."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-.!|~$:" else c for c in text)
