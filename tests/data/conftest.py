"""Pictures on disk, and what a reader of a kind makes of a folder."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from openplate.data.kinds import KINDS
from openplate.data.rows import Hints, Row
from openplate.dataset import Fault

WIDTH, HEIGHT = 200, 100
ReadKind = Callable[..., tuple[list[Row], list[Fault]]]


def picture(path: Path, width: int = WIDTH, height: int = HEIGHT, like: str = "") -> Path:
    """A picture file of coarse noise; the same for the same `like`, which is the file's path when not given."""
    rng = np.random.default_rng(zlib.crc32((like or str(path)).encode()))
    image = cv2.resize(rng.integers(0, 256, (12, 24, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, image)
    assert done
    path.write_bytes(data.tobytes())
    return path


def written(path: Path, text: str) -> Path:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf8")
    return path


@pytest.fixture
def read_kind() -> ReadKind:
    """The rows and the faults that the reader of a kind finds in a source."""

    def read(kind: str, source: Path, *classes: str) -> tuple[list[Row], list[Fault]]:
        entries = list(KINDS[kind](source, Hints(classes)))
        return [e for e in entries if isinstance(e, Row)], [e for e in entries if isinstance(e, Fault)]

    return read
