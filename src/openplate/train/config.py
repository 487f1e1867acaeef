"""TOML in, frozen training configs out. A file holds only what differs from the defaults here; unknown keys are errors."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from openplate.dataset import LABELS
from openplate.errors import ConfigError
from openplate.formats import load_formats, select
from openplate.synthesize.crops import UPRIGHT_SHARE
from openplate.train.files import replace_text

Config = TypeVar("Config")

_FITS: dict[str, Callable[[float], bool]] = {
    "1 or more": lambda value: value >= 1,
    "0 or more": lambda value: value >= 0,
    "a number above 0": lambda value: value > 0,
    "a number above 0.125": lambda value: value > 0.125,
    "a number from 0 to 1": lambda value: 0 <= value <= 1,
    "a multiple of 64": lambda value: value >= 64 and value % 64 == 0,
}
_EXPECTED = {
    **dict.fromkeys(("steps", "batch", "threads", "drawers", "validate_every", "hidden", "longest_px"), "1 or more"),
    **dict.fromkeys(("shard", "passes", "views", "validation_crops", "validation_windows"), "1 or more"),
    **dict.fromkeys(("weight_decay", "warmup_steps", "seed", "checkpoint_minutes", "patience", "easy_steps"), "0 or more"),
    **dict.fromkeys(("least_height_px", "jitter", "own_from_step", "text_weight"), "0 or more"),
    **dict.fromkeys(("learning_rate", "clip_norm"), "a number above 0"),
    **dict.fromkeys(("ema", "real_share", "empty_share", "keep_share", "own_share", "start_difficulty", "difficulty"), "a number from 0 to 1"),
    **dict.fromkeys(("upright_share", "lean_share", "filmed_share", "rare_share", "even_types"), "a number from 0 to 1"),
    "width": "a number above 0.125",  # the narrowest layers have no channels at an eighth
    "window": "a multiple of 64",  # the widest stride of the detectors
}
"""What a number must be, by its key, in every config that has the key."""


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """What every training has.

    `steps` of `batch` samples; the learning rate warms up linearly to `learning_rate` and falls to zero along a cosine; gradients are clipped to
    `clip_norm`; `ema` is the decay of the averaged weights that are validated and exported; `device` is "cpu" or "cuda"; `mixed_precision` uses
    bfloat16 autocast; `threads` compute and `drawers` processes draw; training ends early after `patience` validations without a better score (0:
    never); `start_from` is a checkpoint (`.pt`) or an exported network (`.onnx`); `tensorboard` writes events beside `log.csv`.
    """

    steps: int = 8000
    batch: int = 64
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warmup_steps: int = 800
    clip_norm: float = 5.0
    ema: float = 0.999
    seed: int = 1
    device: str = "cpu"
    mixed_precision: bool = True
    threads: int = 1
    drawers: int = 1
    validate_every: int = 1000
    checkpoint_minutes: float = 3.0
    patience: int = 0
    start_from: str = ""
    tensorboard: bool = False


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """Training of a reader: `countries` empty means all formats, those of `often` are drawn twice as often as their weights say; `photos` are data
    sets mixed in, of which every fifth image is held out to validate on; `validation` are data sets to validate on instead, and then all images of
    `photos` are trained on. Of the crops `real_share` are plates of `photos` (0.08; with many photos 0.3 or more) and `empty_share` places without one;
    the others are drawn, `views` photographs of each plate, `shard` crops at a time that are used `passes` times. How hard they are to read grows from
    `start_difficulty` to `difficulty` (0 clean, 1 the worst) over the first `easy_steps`. `validation_crops` drawn and as many real crops are validated on.

    `network` is one of `READERS` in `networks/readers.py`, `width` multiplies its channels, `hidden` is for recurrent ones; `transformer` puts a
    spatial transformer in front; `tell_countries` lets the network also say of which country a plate looks ("crnn" alone can). `formats` are folders
    of further format files; characters that these declare are added to the charset. Of the drawn crops `upright_share` are cut out by the upright box
    around the plate instead of by its corners, `lean_share` lean by up to 50° and 33° (tilted away, turned in the picture), each angle as often, and
    `filmed_share` are frames of films as recorders keep them; of the drawn plates `rare_share` have a character beyond A-Z and 0-9 if some of their type do.
    `teacher` names the exported file of a reader of the same charset ("package": the package's own), whose output for each crop is learned beside the text.
    """

    loop: LoopConfig = LoopConfig()
    countries: tuple[str, ...] = ()
    often: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    network: str = "crnn"
    transformer: bool = False
    tell_countries: bool = False
    teacher: str = ""
    width: float = 1.0
    hidden: int = 128
    shard: int = 12_800
    passes: int = 2
    views: int = 3
    real_share: float = 0.08
    empty_share: float = 0.03
    upright_share: float = UPRIGHT_SHARE
    lean_share: float = 0.0
    filmed_share: float = 0.0
    rare_share: float = 0.0
    easy_steps: int = 3000
    start_difficulty: float = 0.25
    difficulty: float = 0.85
    validation_crops: int = 1500

    def __post_init__(self) -> None:
        if self.real_share + self.empty_share > 1 + 1e-9:  # 1e-9: what sums such as 0.1 + 0.2 are off by
            raise ConfigError(f"real_share and empty_share: expected at most 1 together, got {self.real_share:g} + {self.empty_share:g}")


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Training of a detector on windows of `window` px, cut from scenes; `photos` are data sets whose plates are replaced or kept.

    With `frames`, some windows are cut from frames of drawn video. A share of `even_types` of the drawn plates shows all types of a country equally often,
    and one of `lean_share` leans far, as in a reader's config.

    `channels` are those of `networks.detector.Detector`; `start_from` may name a wider detector, of which the most useful channels are kept.
    """

    loop: LoopConfig = LoopConfig(batch=16, learning_rate=2e-3, steps=6000, warmup_steps=500, weight_decay=0.03)
    countries: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()
    window: int = 384
    channels: tuple[int, ...] = (16, 32, 96, 128, 48)
    shard: int = 1600
    passes: int = 2
    keep_share: float = 0.3
    frames: bool = True
    even_types: float = 0.35
    lean_share: float = 0.1
    validation_windows: int = 160

    def __post_init__(self) -> None:
        _check_channels(self.channels)


@dataclass(frozen=True, slots=True)
class StraightenerConfig:
    """Training of the straightener, which corrects the detector's corners in a second look."""

    loop: LoopConfig = LoopConfig(batch=128, learning_rate=2e-3, steps=4000, warmup_steps=300)
    countries: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()
    shard: int = 25_600
    passes: int = 2
    validation_crops: int = 1500


@dataclass(frozen=True, slots=True)
class EndToEndConfig:
    """Training of the network that detects and reads, on windows of `window` px as the detector's, with the texts of their plates.

    `backbone` is "light", the detector with its `channels`, or "vgg16"; `width` multiplies the channels of the reading branch and of VGG16.
    `detector` (for "light"), `straightener` and `reader` are checkpoints or exported files whose weights these parts start from; "package" names the networks of this
    package. The reading branch learns plates at least `least_height_px` high through quads that are off by `jitter` of the plate's height; from
    `own_from_step` on, a share that grows to `own_share` is seen through the network's own detections. The text's loss counts `text_weight` times. Of
    the drawn plates `lean_share` lean as those of a reader's config do. `longest_px` is the longer side to which images are scaled when the network
    is used. The other keys are the detector's and the reader's.
    """

    loop: LoopConfig = LoopConfig(batch=16, learning_rate=1.5e-3, steps=16_000, warmup_steps=800, weight_decay=0.03)
    countries: tuple[str, ...] = ()
    often: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()
    tell_countries: bool = False
    backbone: str = "light"
    channels: tuple[int, ...] = (16, 32, 96, 128, 48)
    detector: str = ""
    straightener: str = ""
    reader: str = ""
    window: int = 384
    longest_px: int = 960
    width: float = 1.0
    hidden: int = 128
    shard: int = 1600
    passes: int = 2
    keep_share: float = 0.3
    least_height_px: float = 9.0
    jitter: float = 0.05
    own_from_step: int = 6000
    own_share: float = 0.5
    text_weight: float = 1.0
    lean_share: float = 0.0
    validation_windows: int = 160

    def __post_init__(self) -> None:
        _check_channels(self.channels)


def _check_channels(channels: Sequence[int]) -> None:
    if len(channels) != 5 or any(count < 8 or count % 8 for count in channels):
        raise ConfigError(f"channels: expected five multiples of 8, got {list(channels)}")


def load_config(path: Path, kind: type[Config], changes: Sequence[str] = ()) -> Config:
    """A config from a TOML file, with changes such as `loop.steps=2000` made to it: a key, dotted within a table, and a TOML value (or a plain word).

    Raises:
        ConfigError: the file is missing or not TOML, a change has another form, or a key is unknown, of the wrong type or out of range.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf8"))
    except OSError as error:
        raise ConfigError(f"{path}: expected a TOML config, {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected a TOML config in UTF-8, byte {error.start} is none; save it as UTF-8") from None
    changed = copy.deepcopy(data)
    for change in changes:
        _set(changed, change)
    try:
        return build(kind, changed, str(path))
    except ConfigError:
        build(kind, data, str(path))  # whose fault it is: the file's own, or that of a change
        return build(kind, changed, "--set")


def check_sources(config: ReaderConfig | DetectorConfig | StraightenerConfig | EndToEndConfig) -> None:
    """Makes sure that what a config names is there, before anything is drawn: its data sets and its countries.

    Raises:
        ConfigError: a data set is missing, or one of them is both trained on and validated on.
        FormatError: a country is not known, or a format file is wrong.
    """
    validation = config.validation if isinstance(config, ReaderConfig) else ()
    for key, folders, without in (("photos", config.photos, "train on drawings alone"), ("validation", validation, "hold out every fifth photo")):
        missing = [folder for folder in folders if not (Path(folder) / LABELS).is_file()]
        if missing:
            inside = [str(path.parent) for folder in missing for path in sorted(Path(folder).glob(f"*/{LABELS}"))]
            raise ConfigError(
                f"{key}: expected data sets, found no {LABELS} in {', '.join(missing)}; "
                + (f"name one of {', '.join(inside)}; or " if inside else "")
                + "fetch or convert them (docs/data.md), "
                f"name others with --set '{key}=[\"FOLDER\"]', or {without} with --set '{key}=[]'"
            )
    trained = {Path(folder).resolve() for folder in config.photos}
    twice = [folder for folder in validation if Path(folder).resolve() in trained]
    if twice:
        raise ConfigError(f"validation: expected other data sets than those of photos, got {', '.join(twice)} in both; leave each out of one of them")
    select(load_formats(*(() if isinstance(config, (DetectorConfig, StraightenerConfig)) else config.formats)), config.countries)


def _set(data: dict[str, Any], change: str) -> None:
    """Makes one change in `data`, in place."""
    keys, equals, text = change.partition("=")
    *tables, key = keys.strip().split(".")
    if not key or not equals:
        raise ConfigError(f"{change!r}: expected KEY=VALUE, for example loop.steps=2000")
    for name in tables:
        data = data.setdefault(name, {})
        if not isinstance(data, dict):
            raise ConfigError(f"{change!r}: {name} is no table")
    try:
        data[key] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        data[key] = text.strip()


def build(kind: type[Config], data: dict[str, Any], where: str) -> Config:
    """A config from plain values.

    Raises:
        ConfigError: a key is unknown, of the wrong type or out of range.
    """
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    defaults = kind()
    for key, value in data.items():
        if key not in hints:
            raise ConfigError(f"{where}: unknown key {key!r}; known are {', '.join(sorted(hints))}")
        wanted = hints[key]
        if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: {key}: expected a table, got {value!r}")
            merged = {**dataclasses.asdict(getattr(defaults, key)), **value}
            values[key] = build(wanted, merged, f"{where}: {key}")
        elif wanted is float and isinstance(value, int) and not isinstance(value, bool):
            values[key] = float(value)
        elif wanted in (int, float, str, bool):
            if type(value) is not wanted:
                raise ConfigError(f"{where}: {key}: expected {wanted.__name__}, got {value!r}")
            values[key] = value
        else:
            entry = int if wanted == tuple[int, ...] else str
            if not isinstance(value, (list, tuple)) or not all(type(v) is entry for v in value):
                raise ConfigError(f"{where}: {key}: expected a list of {'whole numbers' if entry is int else 'strings'}, got {value!r}")
            values[key] = tuple(value)
        expected = _EXPECTED.get(key)
        if expected and not (math.isfinite(value) and _FITS[expected](value)):
            raise ConfigError(f"{where}: {key}: expected {expected}, got {value!r}")
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def save_resolved(config: object, path: Path) -> None:
    """The whole config, defaults included, as JSON beside the run.

    Raises:
        OSError: it cannot be written; the file before it is whole.
    """
    replace_text(path, json.dumps(dataclasses.asdict(config), indent=1, ensure_ascii=False) + "\n")  # type: ignore[call-overload]
