"""Find, straighten and read the number plates of photos: `openplate.read("photo.jpg")`.

Importing this package imports no inference engine; a network is compiled when the first `Pipeline` is made.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openplate.read as _read_stage  # noqa: F401
from openplate.errors import ConfigError, DatasetError, EngineError, FormatError, OpenPlateError, SourceError, WeightsError
from openplate.types import (
    Candidate,
    Character,
    Detection,
    EngineReport,
    Frame,
    Image,
    Milliseconds,
    PhotoResult,
    Plate,
    Quad,
    Reading,
    Sighting,
    SightingEvent,
    Track,
)

if TYPE_CHECKING:
    from openplate.pipeline import Options, Pipeline
    from openplate.track import WatchSettings
    from openplate.watch import Watcher

# The sub-package `read` is imported above because its first import binds its name here: the function of that name below takes it after that.

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "Character",
    "ConfigError",
    "DatasetError",
    "Detection",
    "EngineError",
    "EngineReport",
    "FormatError",
    "Frame",
    "Image",
    "Milliseconds",
    "OpenPlateError",
    "Options",
    "PhotoResult",
    "Pipeline",
    "Plate",
    "Quad",
    "Reading",
    "Sighting",
    "SightingEvent",
    "SourceError",
    "Track",
    "WatchSettings",
    "Watcher",
    "WeightsError",
    "__version__",
    "read",
]


def read(source: Image | Path | str | bytes, options: Options | None = None) -> list[Plate]:
    """The plates in an image `(H, W, 3) uint8 RGB` or in the first frame of a file or of its content (bytes), [] when there is none.

    The networks are compiled at the first call with an `options` and kept for the next.

    Raises:
        SourceError: the file cannot be read as an image.
        OpenPlateError: an option is wrong, or what it asks for is not available.
    """
    from openplate.pipeline import Options

    return _pipeline(options or Options()).read(source)


@lru_cache(maxsize=4)
def _pipeline(options: Options) -> Pipeline:
    from openplate.pipeline import Pipeline

    return Pipeline(options)


def __getattr__(name: str) -> Any:
    if name in ("Options", "Pipeline"):
        from openplate import pipeline

        return getattr(pipeline, name)
    if name == "WatchSettings":
        from openplate.track import WatchSettings

        return WatchSettings
    if name == "Watcher":
        from openplate.watch import Watcher

        return Watcher
    raise AttributeError(f"module 'openplate' has no attribute {name!r}")
