"""Characters in, those that are taken for them out: the classes by which texts are folded, and what a wrongly read character may really be."""

from __future__ import annotations

from functools import lru_cache

from openplate.charset import CHINESE_SPECIAL, DIGITS, LATIN, PROVINCES, UMLAUTS

CLASSES = ("0ODQÖ", "1IL", "2Z", "5S", "6G", "8B", "AÄ", "UVÜ")
"""Characters of one class are easily taken for each other; the first one stands for all in a folded text."""
LOOK_ALIKE_SHARE = 0.5
"""A wrongly read character is a look-alike this often (where there are any), otherwise any of its kind: digit, letter or Chinese character."""

_FOLD = str.maketrans({character: group[0] for group in CLASSES for character in group})
_KINDS = (DIGITS, LATIN + UMLAUTS, PROVINCES + CHINESE_SPECIAL)


def fold(text: str) -> str:
    """The text with every character replaced by the one that stands for its class: texts that look alike become equal."""
    return text.translate(_FOLD)


@lru_cache(maxsize=1024)
def wrong_shares(character: str) -> dict[str, float]:
    """What a character may really be when it was read wrongly, with probabilities that sum to 1; a character outside the charset counts as a letter."""
    alike = [c for group in CLASSES if character in group for c in group if c != character]
    kind = next((k for k in _KINDS if character in k), LATIN)
    same = [c for c in kind if c != character]
    share = LOOK_ALIKE_SHARE if alike else 0.0
    shares = dict.fromkeys(same, (1 - share) / len(same))
    for other in alike:
        shares[other] = shares.get(other, 0.0) + share / len(alike)
    return shares
