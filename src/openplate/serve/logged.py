"""Addresses of calls in, what may be logged of them out: no plates that somebody looked for."""

from __future__ import annotations

import logging
import re

_VEHICLE = re.compile(r"(?<=^/v1/register/)(?!import$).+")


def without_plate(path: str) -> str:
    """A path as it may be logged: without its query, and without the plate of a vehicle."""
    path, mark, _ = path.partition("?")
    return _VEHICLE.sub("…", path) + ("?…" if mark else "")


class NoPlates(logging.Filter):
    """Takes plates that somebody looked for out of the lines about calls."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the line; it is always logged."""
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, version, status = record.args
            record.args = (client, method, without_plate(str(path)), version, status)
        return True
