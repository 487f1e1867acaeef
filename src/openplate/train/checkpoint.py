"""A training's state in, a checkpoint file out, and back; a file is written whole or not at all."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from openplate.errors import OpenPlateError, WeightsError


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes beside and renames: a full disk or a kill leaves the checkpoint before it.

    Raises:
        OpenPlateError: the file cannot be written.
    """
    partial = path.with_suffix(".partial")
    content = io.BytesIO()  # in memory first: on a full disk torch itself raises a RuntimeError without the reason
    torch.save(state, content)
    with writing(path, len(content.getbuffer())):
        try:
            partial.write_bytes(content.getbuffer())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What training saved in `last.pt` or `best.pt`: kind, settings, network, step and more. Only tensors and plain values are read, no code.

    Raises:
        WeightsError: the file is missing, damaged or something else.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: expected a checkpoint of openplate train, found no such file")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception:  # noqa: BLE001  what torch raises for a damaged file has no other common root
        state = None
    if not isinstance(state, dict) or not {"kind", "settings", "network", "step"} <= set(state):
        raise WeightsError(f"{path}: expected a checkpoint of openplate train, this file is damaged or something else; take another or train again")
    return state


@contextmanager
def writing(path: Path, size: int = 0) -> Iterator[None]:
    """While it holds, a fault of the disk becomes one line that says what is left and how to go on; `size` is that of the file in bytes, if known.

    Raises:
        OpenPlateError: something could not be written.
    """
    try:
        yield
    except OSError as error:
        room = ""
        with suppress(OSError):
            room = f"; {shutil.disk_usage(path.parent).free / 1e6:.1f} MB are free there"
        if room and size:
            room += f", {size / 1e6:.1f} MB are needed"
        raise OpenPlateError(
            f"{path}: cannot be written: {error.strerror or error}{room}. The last checkpoint is whole: make room, and the same command goes on"
        ) from None
