"""Grey frames in, whether anything moves out: what decides how often the detector runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openplate.track.follow import Grey

_STEP = 8
_CELL = 10
_CHANGE = 24
_SHARE = 0.1
_MEMORY_S = 2.0
_LEAST_CELLS = 2


class Stir:
    """Compares every eighth pixel of successive frames in cells of 80×80 px."""

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None
        self._active_s = np.zeros((0, 0))
        self.something = True
        """Whether anything moved since `clear`."""
        self.something_new = False
        """Whether anything appeared since `clear` where, and beside where, nothing had moved for a while."""

    def add(self, grey: Grey, time_s: float) -> None:
        """Compare the next frame with the one before."""
        small = grey[::_STEP, ::_STEP]
        rows, columns = -(-small.shape[0] // _CELL), -(-small.shape[1] // _CELL)
        if self._before is None or self._before.shape != small.shape:
            self._before = small.copy()
            self._active_s = np.full((rows, columns), -_MEMORY_S)
            self.something = True
            return
        changed = np.zeros((rows * _CELL, columns * _CELL), bool)
        changed[: small.shape[0], : small.shape[1]] = np.abs(small.astype(np.int16) - self._before) > _CHANGE
        self._before = small.copy()
        active = changed.reshape(rows, _CELL, columns, _CELL).mean(axis=(1, 3)) >= _SHARE
        if not active.any():
            return
        self.something = True
        lately = np.pad(time_s - self._active_s < _MEMORY_S, 1)
        near = np.zeros_like(active)
        for dy in range(3):
            for dx in range(3):
                near |= lately[dy : dy + rows, dx : dx + columns]
        if int((active & ~near).sum()) >= _LEAST_CELLS:
            self.something_new = True
        self._active_s[active] = time_s

    def clear(self) -> None:
        """The detector has seen what there is."""
        self.something = self.something_new = False
