"""Frames in, whether anything moves out: what decides how often the detector runs."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.track.follow import Picture

_STEP = 8
_CELL = 10
_CHANGE = 24
_SHARE = 10
"""Changed pixels, of 100 that are compared in a cell."""
_MEMORY_S = 2.0
_LEAST_CELLS = 2
_BESIDE = np.ones((3, 3), np.uint8)


class Stir:
    """Compares every eighth pixel of successive frames in cells of 80×80 px."""

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None
        self._active_s = np.zeros((0, 0))
        self.something = True
        """Whether anything moved since `clear`."""
        self.something_new = False
        """Whether anything appeared since `clear` where, and beside where, nothing had moved for a while."""

    def add(self, frame: Picture, time_s: float) -> None:
        """Compare the next frame with the one before."""
        small = np.ascontiguousarray(frame[::_STEP, ::_STEP])
        if small.ndim == 3:
            small = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        rows, columns = -(-small.shape[0] // _CELL), -(-small.shape[1] // _CELL)
        before, self._before = self._before, small
        if before is None or before.shape != small.shape:
            self._active_s = np.full((rows, columns), -_MEMORY_S)
            self.something = True
            return
        # A cell's mean is its number of changed pixels: of its 100 pixels, each changed one counts 100.
        changed = cv2.threshold(cv2.absdiff(small, before), _CHANGE, _CELL * _CELL, cv2.THRESH_BINARY)[1]
        whole = cv2.copyMakeBorder(changed, 0, rows * _CELL - small.shape[0], 0, columns * _CELL - small.shape[1], cv2.BORDER_CONSTANT, value=0)
        active = np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)) >= _SHARE
        if not active.any():
            return
        self.something = True
        near = np.asarray(cv2.dilate((time_s - self._active_s < _MEMORY_S).astype(np.uint8), _BESIDE)) > 0
        if int((active & ~near).sum()) >= _LEAST_CELLS:
            self.something_new = True
        self._active_s[active] = time_s

    def clear(self) -> None:
        """The detector has seen what there is."""
        self.something = self.something_new = False
