"""The one charset of all readers: characters ↔ class ids; class 0 is the CTC blank."""

from __future__ import annotations

from collections.abc import Iterable

DIGITS = "0123456789"
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
UMLAUTS = "ÄÖÜ"
PROVINCES = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"
CHINESE_SPECIAL = "警学挂港澳使领"
CHARACTERS = DIGITS + LATIN + UMLAUTS + PROVINCES + CHINESE_SPECIAL
BLANK = 0

_LOOK_ALIKES = str.maketrans("АВЕКМНОРСТУХавекмнорстух", "ABEKMHOPCTYXABEKMHOPCTYX")


class Charset:
    """Characters ↔ class ids. Id 0 is the blank, character i of `characters` has id i + 1.

    Raises:
        ValueError: `characters` is empty or holds a character twice.
    """

    def __init__(self, characters: str = CHARACTERS) -> None:
        if not characters or len(set(characters)) != len(characters):
            raise ValueError("a charset needs at least one character and none twice")
        self.characters = characters
        self._ids = {character: i + 1 for i, character in enumerate(characters)}

    def __len__(self) -> int:
        """Number of classes, the blank included."""
        return len(self.characters) + 1

    def encode(self, text: str) -> list[int]:
        """Class ids of a text.

        Raises:
            ValueError: a character is not in the charset.
        """
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            raise ValueError(f"character {error.args[0]!r} of {text!r} is not in the charset") from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of class ids; blanks are skipped, repeats are kept."""
        return "".join(self.characters[i - 1] for i in ids if i != BLANK)

    def covers(self, text: str) -> bool:
        """Whether every character of the text has a class."""
        return all(character in self._ids for character in text)


def normalise(text: str) -> str:
    """A typed plate text in the project's spelling: upper case, Cyrillic look-alikes as Latin letters, spaces and separators removed."""
    kept = (c for c in text.strip().upper().translate(_LOOK_ALIKES) if not c.isspace() and c not in "-·.•_:|")
    return "".join(kept)
