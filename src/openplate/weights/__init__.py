"""The networks that travel in the package: their paths, and whether the files are the ones that were shipped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from openplate.errors import WeightsError

FOLDER = Path(__file__).parent
NETWORKS = ("detector", "straightener", "reader", "end-to-end")
"""Names of the shipped networks: the three that a photo meets one after another, and the one that does it all."""
FILES = (*NETWORKS, "end-to-end-straightener", "end-to-end-reader")
"""Names of all files of networks; the last two belong to the one before them."""

_CHECKSUMS = "checksums.json"
_REFERENCE = "reference.npz"


def detector_path() -> Path:
    """The detector: image → quads."""
    return FOLDER / "detector.onnx"


def straightener_path() -> Path:
    """The straightener: a crop that was cut roughly → its plate's corners."""
    return FOLDER / "straightener.onnx"


def reader_path() -> Path:
    """The reader: crops → characters."""
    return FOLDER / "reader.onnx"


def network_path(name: str) -> Path:
    """The file of one of `FILES`."""
    return FOLDER / f"{name}.onnx"


def reference_path() -> Path:
    """Stored inputs and outputs for the self-test."""
    return FOLDER / _REFERENCE


def checksums(folder: Path | None = None) -> dict[str, str]:
    """SHA-256 of every shipped file, by file name, as recorded when it was shipped; `folder` is the package's own by default.

    Raises:
        WeightsError: the record is missing or damaged.
    """
    path = (folder or FOLDER) / _CHECKSUMS
    try:
        return {str(name): str(digest) for name, digest in json.loads(path.read_text(encoding="utf8")).items()}
    except (OSError, ValueError, AttributeError):
        raise WeightsError(f"{path}: expected the checksums of the weights, found none that can be read; reinstall openplate") from None


def write_checksums(folder: Path | None = None) -> dict[str, str]:
    """Record the checksums of the networks and the reference that lie in the folder, and return them."""
    folder = folder or FOLDER
    found = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.suffix in (".onnx", ".npz")}
    (folder / _CHECKSUMS).write_text(json.dumps(found, indent=2) + "\n", encoding="utf8")
    return found


def verify(folder: Path | None = None) -> list[WeightsError]:
    """What is wrong with the files, [] when they are all as shipped: one error for each file that is missing, damaged or has no checksum."""
    folder = folder or FOLDER
    try:
        recorded = checksums(folder)
    except WeightsError as error:
        return [error]
    faults = []
    for name in (*(f"{network}.onnx" for network in FILES), _REFERENCE):
        if name not in recorded:
            faults.append(WeightsError(f"{folder / name}: has no checksum in {_CHECKSUMS}; reinstall openplate"))
    found = (_fault(folder / name, digest) for name, digest in recorded.items())
    return faults + [fault for fault in found if fault is not None]


def as_shipped(path: Path) -> Path:
    """The path itself, once its file is known to be as shipped; a file that is not of the package is taken as it is.

    Raises:
        WeightsError: the file is missing or damaged, or has no checksum.
    """
    if path.parent == FOLDER:
        digest = checksums().get(path.name)
        fault = WeightsError(f"{path}: has no checksum in {_CHECKSUMS}; reinstall openplate") if digest is None else _fault(path, digest)
        if fault is not None:
            raise fault
    return path


def _fault(path: Path, digest: str) -> WeightsError | None:
    if not path.is_file():
        return WeightsError(f"{path}: the file is missing; reinstall openplate")
    if sha256(path) != digest:
        return WeightsError(f"{path}: the file is damaged (its SHA-256 does not begin with {digest[:12]}); reinstall openplate")
    return None


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
