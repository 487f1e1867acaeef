"""Labelled clips: a folder with `labels.json` in, what each clip shows out, and back; and the full truth of a drawn clip. docs/video-data.md has the form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from openplate.errors import DatasetError
from openplate.geometry import as_quad
from openplate.types import Quad

LABELS = "labels.json"
TRUTH_VERSION = 1
WHOLE = 0.95
"""A plate of which at least this share is seen is seen whole."""
Direction = Literal["approaching", "receding", "across", "still"]
_CLIP_KEYS = ("country", "plates", "parked", "may", "note", "truth")
_TRUTH_KEYS = ("version", "width", "height", "fps", "situations", "tracks", "frames")
_TRACK_KEYS = ("track", "text", "country", "format", "lines", "first", "last", "parked", "direction")
_SEEN_KEYS = ("track", "quad", "visible", "blur_px")


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip and the sightings it should give: each text in `plates` once, each in `may` once or not at all, and nothing else.

    `path` is a video file or a folder of pictures; `country` is a code, or codes with commas between them; those of `plates` that stand still all
    the time are in `parked`; `truth` is the file with the full truth, where there is one.
    """

    path: Path
    country: str
    plates: tuple[str, ...]
    parked: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    note: str = ""
    truth: Path | None = None


@dataclass(frozen=True, slots=True)
class TrueTrack:
    """A plate through a clip: `first` and `last` are the frames between which at least half of it is seen; `lines` are the rows of its text."""

    track: int
    text: str
    country: str
    format: str
    lines: int
    first: int
    last: int
    parked: bool
    direction: Direction


@dataclass(frozen=True, slots=True, eq=False)
class SeenPlate:
    """A plate in one frame: its quad, the share of its area that lies in the frame and is not covered, its way in px while the shutter was open, and how
    much of its writing the recording kept, 0 to 1 (None: not measured, as for plates that are not seen whole)."""

    track: int
    quad: Quad
    visible: float
    blur_px: float
    clarity: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Everything that is known of a drawn clip: its tracks, and for each frame the plates in it."""

    width: int
    height: int
    fps: float
    situations: tuple[str, ...]
    tracks: tuple[TrueTrack, ...]
    frames: tuple[tuple[SeenPlate, ...], ...]


def load_clips(source: Path) -> tuple[Clip, ...]:
    """The labelled clips of a folder with `labels.json`, or the one clip that is named, from the labels beside it.

    Raises:
        DatasetError: there are no labels, they do not have the form, or a clip is not there; names the file and the clip.
    """
    source = Path(source)
    named = None if source.is_dir() and (source / LABELS).exists() else source.name
    folder = source if named is None else source.parent
    labels = folder / LABELS
    try:
        data = json.loads(labels.read_text(encoding="utf8"))
    except FileNotFoundError:
        raise DatasetError(
            f"{source}: expected a folder with {LABELS}, or a clip beside one, found none; docs/video-data.md describes the form"
        ) from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{labels}: expected a JSON object: {error}") from None
    if not isinstance(data, dict) or not data:
        raise DatasetError(f"{labels}: expected an object with a clip's name as each key, got {type(data).__name__}")
    if named is not None and named not in data:
        raise DatasetError(f"{source}: expected a clip that {labels} names, it names {', '.join(data)}")
    names = list(data) if named is None else [named]
    try:
        return tuple(_parse_clip(folder, name, data[name]) for name in names)
    except DatasetError as error:
        raise DatasetError(f"{labels}: {error}") from None


def write_clips(folder: Path, clips: Sequence[Clip]) -> None:
    """Writes `labels.json` of clips that lie in `folder`.

    Raises:
        DatasetError: a clip lies outside the folder, or the file cannot be written.
    """
    data: dict[str, Any] = {}
    for clip in clips:
        try:
            name = clip.path.relative_to(folder).as_posix()
            truth = None if clip.truth is None else clip.truth.relative_to(folder).as_posix()
        except ValueError:
            raise DatasetError(f"{clip.path}: expected a clip inside {folder}") from None
        entry: dict[str, Any] = {"country": clip.country, "plates": list(clip.plates), "parked": list(clip.parked)}
        entry |= {key: value for key, value in (("may", list(clip.may)), ("note", clip.note), ("truth", truth)) if value}
        data[name] = entry
    lines = (f" {json.dumps(name, ensure_ascii=False)}: {json.dumps(entry, ensure_ascii=False)}" for name, entry in data.items())
    part = folder / (LABELS + ".part")
    try:
        part.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf8")
        part.replace(folder / LABELS)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot write {LABELS} there: {error}") from None


def load_truth(path: Path) -> Truth:
    """The full truth of a drawn clip.

    Raises:
        DatasetError: the file cannot be read or does not have the form; names what is wrong.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf8"))
        _check(data, _TRUTH_KEYS, (), "the truth")
        if data["version"] != TRUTH_VERSION:
            raise DatasetError(f"version: expected {TRUTH_VERSION}, got {data['version']!r}; draw the clip again")
        tracks = []
        for entry in data["tracks"]:
            _check(entry, _TRACK_KEYS, (), "a track")
            tracks.append(TrueTrack(**entry))
        known = {track.track for track in tracks}
        frames = []
        for number, plates in enumerate(data["frames"]):
            for plate in plates:
                _check(plate, _SEEN_KEYS, ("clarity",), f"frame {number}")
                if plate["track"] not in known:
                    raise DatasetError(f"frame {number}: expected one of the tracks {sorted(known)}, got {plate['track']!r}")
            frames.append(tuple(_parse_seen(plate) for plate in plates))
        return Truth(int(data["width"]), int(data["height"]), float(data["fps"]), tuple(data["situations"]), tuple(tracks), tuple(frames))
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(f"{path}: expected the truth of a drawn clip: {error}") from None


def write_truth(path: Path, truth: Truth) -> None:
    """Writes the full truth of a clip, one frame a line; coordinates are rounded to 0.1 px, shares to 0.01.

    Raises:
        DatasetError: the file cannot be written.
    """
    head = {"version": TRUTH_VERSION, "width": truth.width, "height": truth.height, "fps": truth.fps, "situations": list(truth.situations)}
    tracks = [{key: getattr(track, key) for key in _TRACK_KEYS} for track in truth.tracks]
    lines = [json.dumps(head, ensure_ascii=False)[:-1] + ', "tracks": [']
    lines.append(",\n".join(f"  {json.dumps(track, ensure_ascii=False)}" for track in tracks))
    lines.append('], "frames": [')
    lines.append(",\n".join(f"  {json.dumps([_seen_as_json(plate) for plate in plates])}" for plates in truth.frames))
    lines.append("]}")
    try:
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf8")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error}") from None


def _seen_as_json(plate: SeenPlate) -> dict[str, Any]:
    quad = [[round(float(x), 1), round(float(y), 1)] for x, y in np.asarray(plate.quad)]
    entry = {"track": plate.track, "quad": quad, "visible": round(plate.visible, 2), "blur_px": round(plate.blur_px, 1)}
    return entry if plate.clarity is None else entry | {"clarity": round(plate.clarity, 2)}


def _parse_seen(entry: dict[str, Any]) -> SeenPlate:
    kept = entry.get("clarity")
    return SeenPlate(entry["track"], as_quad(entry["quad"]), float(entry["visible"]), float(entry["blur_px"]), None if kept is None else float(kept))


def _parse_clip(folder: Path, name: str, entry: Any) -> Clip:
    _check(entry, ("country", "plates", "parked"), ("may", "note", "truth"), name)
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DatasetError(f"{name}: expected a path inside the folder")
    path = folder / name
    if not path.exists():
        raise DatasetError(f"{name} is not there")
    if not isinstance(entry["country"], str):
        raise DatasetError(f"{name}: country: expected a code such as RU, or codes with commas between them, got {entry['country']!r}")
    texts = {}
    for key in ("plates", "parked", "may"):
        value = entry.get(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            raise DatasetError(f"{name}: {key}: expected a list of texts, got {value!r}")
        texts[key] = tuple(value)
    stray = [text for text in texts["parked"] if text not in texts["plates"] + texts["may"]]
    if stray:
        raise DatasetError(f"{name}: parked: expected texts that are in plates or may, got {stray[0]!r}")
    truth = folder / entry["truth"] if entry.get("truth") else None
    if truth is not None and not truth.is_file():
        raise DatasetError(f"{name}: truth {entry['truth']!r} is not there")
    return Clip(path, entry["country"], texts["plates"], texts["parked"], texts["may"], entry.get("note", ""), truth)


def _check(data: Any, needed: Sequence[str], allowed: Sequence[str], where: str) -> None:
    if not isinstance(data, dict):
        raise DatasetError(f"{where}: expected an object, got {data!r}")
    missing, unknown = [k for k in needed if k not in data], sorted(set(data) - set(needed) - set(allowed))
    if missing or unknown:
        fault = f"key {missing[0]!r} is missing" if missing else f"unknown key {unknown[0]!r}"
        raise DatasetError(f"{where}: {fault}; expected {', '.join((*needed, *allowed))}")
