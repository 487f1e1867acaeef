"""What was measured of one network in, one JSON file that keeps it out; tables of models are generated from such files.

`{"version": 1, "network": {...}, "sets": {NAME: {...}}, "speeds": [...]}`. What is measured again replaces what was measured before;
a file speaks of one network, known by its SHA-256, and never of two.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openplate.errors import ConfigError
from openplate.evaluate.bench_network import NetworkOutcome
from openplate.evaluate.summary import Report

RESULTS_VERSION = 1


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """A network as the tables name it: its size for one input of `shape` (batch 1), `weights` "float" or "int8", and a `note` ("" for none)."""

    name: str
    kind: str
    file: str
    sha256: str
    bytes: int
    parameters: int
    macs: int
    shape: tuple[int, ...]
    weights: str
    note: str = ""


def load_results(path: Path) -> dict[str, Any]:
    """The results that a file keeps.

    Raises:
        ConfigError: the file cannot be read, or is no such file.
    """
    try:
        found = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected results of a network as --store writes them: {error}") from None
    if not isinstance(found, dict) or found.get("version") != RESULTS_VERSION or not {"network", "sets", "speeds"} <= found.keys():
        raise ConfigError(f"{path}: expected results of a network of version {RESULTS_VERSION} as --store writes them; delete it and measure again")
    return dict(found)


def results_of(path: Path, facts: NetworkFacts) -> dict[str, Any]:
    """The results that a file keeps of a network; nothing yet when there is no file.

    Raises:
        ConfigError: the file keeps results of another network, or cannot be read.
    """
    fresh: dict[str, Any] = {"version": RESULTS_VERSION, "network": asdict(facts), "sets": {}, "speeds": []}
    results = load_results(path) if path.exists() else fresh
    if results["network"]["sha256"] != facts.sha256:
        raise ConfigError(f"{path}: keeps results of another network ({results['network']['file']}); name another file, or delete this one")
    return results


def store_results(
    path: Path, facts: NetworkFacts, *, reports: Sequence[Report] = (), settings: str = "", speeds: Sequence[NetworkOutcome] = ()
) -> None:
    """Add what was measured to a network's file, which is made when it is missing.

    A name other than the file's, or a note, replaces the older one.

    Raises:
        ConfigError: the file keeps results of another network, or cannot be read or written.
    """
    results = results_of(path, facts)
    named = facts.name != Path(facts.file).stem
    older = results["network"]
    results["network"] = asdict(facts) | {"name": facts.name if named else older["name"], "note": facts.note or older["note"]}
    for report in reports:
        results["sets"][report.name] = results["sets"].get(report.name, {}) | _set_results(report, settings)
    for outcome in speeds:
        speed = _speed_results(outcome)
        if speed is not None:
            results["speeds"] = [old for old in results["speeds"] if _speed_key(old) != _speed_key(speed)] + [speed]
    results["speeds"].sort(key=lambda speed: [str(part).zfill(6) for part in _speed_key(speed)])
    text = json.dumps(results, ensure_ascii=False, indent=1) + "\n"
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf8")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _set_results(report: Report, settings: str) -> dict[str, Any]:
    """The numbers of one set; every part that was measured says with which engine and settings."""
    summary = report.summary()
    how = {"engine": report.engine.as_json(), "settings": settings}
    found: dict[str, Any] = {"images": summary.images, "plates": summary.plates, "not_measured": len(report.problems)}
    if summary.reading:
        characters = summary.reading.characters
        right = asdict(characters.right) if characters else None
        found["reading"] = {"exact": asdict(summary.reading.exact), "characters": right, "cer": summary.reading.cer, **how}
    if summary.detection:
        detection = asdict(summary.detection)
        found["detection"] = {**detection, **how}
    if summary.end_to_end:
        whole = asdict(summary.end_to_end)
        found["end_to_end"] = {key: whole[key] for key in ("exact", "wrong", "unreadable", "not_found", "extra")} | how
    return found


def _speed_results(outcome: NetworkOutcome) -> dict[str, Any] | None:
    if outcome.measurement is None:
        return None
    return {"batch": outcome.setup.batch, **asdict(outcome.measurement)}


def _speed_key(speed: dict[str, Any]) -> tuple[Any, ...]:
    """What makes two measurements of speed the same one."""
    engine = speed["engine"]
    return (engine["name"], engine["device"], engine["precision"], engine["threads"], speed["batch"], *speed["shape"])
