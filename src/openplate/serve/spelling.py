"""How names and texts that clients send are spelled, as patterns for the calls and in words for people."""

from __future__ import annotations

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
LIST_NAME = r"^\w[\w .,()+-]*$"
KIND = r"^\w[\w -]*$"
WITHOUT_NUL = r"^[^\x00]*$"
LINE = r"^[^\x00-\x1f]*$"
SOME_LINE = r"^[^\x00-\x1f]+$"
HOST = r"^[A-Za-z0-9._:-]+$"
TOPIC = r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$"

IN_WORDS = {
    NAME: "letters a-z, digits, - and _, beginning with a letter or a digit",
    LIST_NAME: "letters, digits, blanks and _ . , ( ) + -, beginning with a letter or a digit",
    KIND: "letters, digits, blanks, _ and -, beginning with a letter or a digit",
    WITHOUT_NUL: "text without NUL",
    LINE: "one line without control characters",
    SOME_LINE: "one line without control characters",
    HOST: "a host's name or address, such as 10.0.0.2",
    TOPIC: "letters a-z, digits, - and _, with / between levels",
}
