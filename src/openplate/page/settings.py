"""The environment that `openplate page` made in, the page's settings out: Streamlit runs the page as a script, which takes no arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

_SERVER, _KEY, _SIGN_IN = "OPENPLATE_SERVER", "OPENPLATE_KEY", "OPENPLATE_SIGN_IN"
DEFAULT_SERVER = "http://127.0.0.1:8080"
MAX_MEGABYTES = 32
"""Of an upload: what the service takes, unless it was set up otherwise."""


@dataclass(frozen=True, slots=True)
class PageSettings:
    """`server` is the service's address and `key` the key that the page uses for everybody. With `sign_in` every visitor needs a key of their own."""

    server: str = DEFAULT_SERVER
    key: str | None = None
    sign_in: bool = False

    def as_environment(self) -> dict[str, str]:
        """The variables from which `from_environment` makes equal settings."""
        return {_SERVER: self.server, _KEY: self.key or "", _SIGN_IN: "1" if self.sign_in else ""}


def from_environment(environment: Mapping[str, str] = os.environ) -> PageSettings:
    """The settings that the environment says; what it does not say has its default."""
    return PageSettings(environment.get(_SERVER) or DEFAULT_SERVER, environment.get(_KEY) or None, bool(environment.get(_SIGN_IN)))
