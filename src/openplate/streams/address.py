"""A source as the user writes it in; what kind it is, what is opened for it and how it may be shown out."""

from __future__ import annotations

import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from openplate.errors import SourceError
from openplate.sources import SUFFIXES

Kind = Literal["file", "folder", "pipe", "webcam", "camera", "web"]
"""`camera` is always live; `web` (HTTP) is a file or live, as it turns out."""

_CAMERAS = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET = re.compile(r"([?&][^=&#]*(?:pass|pwd|token|secret|key|auth)[^=&#]*=)[^&#]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """`location` is what is opened, `name` what may be shown: without user name and password."""

    kind: Kind
    name: str
    location: str


def parse_source(source: str) -> Address:
    """What a source is: `-`, a webcam's number, an address with `://`, a folder or a file.

    An address is never taken for a file, whatever it ends in; a file whose name is a number is written as `./0`.

    Raises:
        SourceError: nothing is there, the scheme is unknown, or it is a picture.
    """
    if source == "-":
        return Address("pipe", "-", "-")
    if source.isascii() and source.isdigit():
        return Address("webcam", source, str(int(source)))
    scheme = _SCHEME.match(source)
    if scheme:
        return _from_url(scheme[1].lower(), source)
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise SourceError(
            f"{source}: expected a video file, a folder, a webcam's number or an address such as rtsp://…, got nothing: {reason}"
        ) from None
    if stat.S_ISDIR(mode):
        return Address("folder", source, source)
    if stat.S_ISCHR(mode) and path.name.startswith("video"):
        return Address("webcam", source, source)
    if path.suffix.lower() in SUFFIXES and path.suffix.lower() != ".gif":
        raise SourceError(f"{source}: expected a video, got a picture; use openplate read, or name the folder with all frames")
    # Without "file:" a colon in the name would be taken for a protocol.
    return Address("file", source, f"file:{path.absolute()}")


def hide_secrets(url: str) -> str:
    """An address without user name and password, and without the values of parameters that sound like secrets."""
    scheme, _, rest = url.partition("://")
    place, mark, query = rest.partition("?")
    host = place.partition("/")[0]
    if "@" in host:
        place = host.rpartition("@")[2] + place[len(host) :]
    elif "@" in place and ":" in host and not host.rpartition(":")[2].isdigit():
        place = place.rpartition("@")[2]  # the password holds a "/"
    return f"{scheme}://{place}" + _SECRET.sub(r"\1…", mark + query)


def webcam_input(location: str, platform: str = sys.platform) -> tuple[str, str]:
    """The device and the input format of a webcam, given by its number or, on Linux, its device file."""
    if platform == "darwin":
        return location, "avfoundation"
    if platform == "win32":
        return location, "dshow"
    return (f"/dev/video{location}" if location.isdigit() else location), "v4l2"


def _from_url(scheme: str, source: str) -> Address:
    if scheme == "file":
        return parse_source(url2pathname(urlsplit(source).path))
    if scheme in _CAMERAS:
        return Address("camera", hide_secrets(source), source)
    if scheme in ("http", "https"):
        return Address("web", hide_secrets(source), source)
    known = ", ".join(f"{one}://" for one in (*_CAMERAS, "http", "https", "file"))
    raise SourceError(f"{hide_secrets(source)}: expected an address that starts with one of {known}; got {scheme}://")
