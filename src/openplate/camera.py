"""A camera's TOML file in, its checked settings out; every fault names the key. docs/video.md describes the file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from openplate.errors import ConfigError
from openplate.streams.settings import DEFAULT_SETTINGS as STREAM_DEFAULTS
from openplate.streams.settings import StreamSettings
from openplate.track.settings import DEFAULT_SETTINGS as WATCH_DEFAULTS
from openplate.track.settings import WatchSettings

Settings = TypeVar("Settings")

_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera: its `name` (begins the ids of its sightings), where its pictures come from, which countries to expect (`country`) or allow (`only`),
    and how to watch it. Keys that a file leaves out keep the defaults here.

    Raises:
        ConfigError: the name cannot begin the name of a file.
    """

    name: str = ""
    source: str = ""
    country: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    watch: WatchSettings = WATCH_DEFAULTS
    stream: StreamSettings = STREAM_DEFAULTS

    def __post_init__(self) -> None:
        if not all(c.isalnum() or c in "-_. " for c in self.name) or not (self.name[:1] or "a").isalnum():
            raise ConfigError(
                f"name: expected letters, digits, spaces, '-', '_' and '.', a letter or digit first (files are named by it), got {self.name!r}"
            )


def load_camera(path: Path) -> Camera:
    """The camera that a TOML file describes.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, or a value is wrong; names file and key.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf8"))
    except OSError as error:
        raise ConfigError(f"{path}: expected a camera's TOML file: {(error.strerror or str(error)).lower()}; check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a TOML file: {error}") from None
    try:
        return parse_camera(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_camera(data: Mapping[str, Any]) -> Camera:
    """The camera that a table describes, such as a TOML file's or a JSON object.

    Raises:
        ConfigError: a key is unknown, or a value is wrong; names the key.
    """
    return _settings(Camera, data, "")


def _settings(kind: type[Settings], data: Any, where: str) -> Settings:
    """A frozen dataclass of a TOML table; `where` is the table's name with a dot, or ""."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where.rstrip('.')}: expected a table, got {data!r}")
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for key in data:
        if key not in known:
            raise ConfigError(f"{where}{key}: not a known key; known are {', '.join(known)}")
    for key, field in known.items():
        if key not in data and field.default is MISSING:
            raise ConfigError(f"{where}{key}: is missing")
    values = {key: _value(hints[key], value, f"{where}{key}") for key, value in data.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from None


def _value(kind: Any, value: Any, where: str) -> Any:
    """A TOML value as the type that the dataclass wants."""
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _settings(kind, value, f"{where}.")  # type: ignore[arg-type]
    if origin in (Union, UnionType):
        return _value(next(part for part in parts if part is not type(None)), value, where)
    if origin is Literal:
        if value not in parts:
            raise ConfigError(f"{where}: expected one of {', '.join(map(str, parts))}, got {value!r}")
        return value
    if origin is tuple:
        repeated = parts[-1] is Ellipsis
        if not isinstance(value, list) or not (repeated or len(value) == len(parts)):
            raise ConfigError(f"{where}: expected a list{'' if repeated else f' of {len(parts)}'}, got {value!r}")
        kinds = [parts[0]] * len(value) if repeated else parts
        return tuple(_value(part, entry, f"{where}[{number}]") for number, (part, entry) in enumerate(zip(kinds, value, strict=True)))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{where}: expected {_WORDS[kind]}, got {value!r}")
    return value
