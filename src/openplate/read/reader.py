"""Crops in, readings out, with a network of this project."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openplate.engine import open_joint_network
from openplate.errors import WeightsError
from openplate.formats import Format
from openplate.read.decode import Decoder
from openplate.types import Crop, EngineReport, Reading


class Reader:
    """The reader network with its decoder.

    Each crop runs by itself: what a crop reads never depends on the crops beside it. With `features` the file is the reader of an end-to-end network,
    which takes that many maps beside each crop.

    Raises:
        WeightsError: the file is not a reader of this project.
        EngineError: the engine, device or precision is not available.
        FormatError: a country code is not known.
    """

    def __init__(
        self,
        path: Path,
        formats: Sequence[Format],
        country: Sequence[str] = (),
        only: Sequence[str] = (),
        engine: str = "auto",
        device: str = "cpu",
        precision: str = "auto",
        threads: int = 1,
        features: int = 0,
    ) -> None:
        self._network = open_joint_network(path, 1 + features, engine=engine, device=device, precision=precision, threads=threads)
        self.metadata = self._network.metadata
        kind = self.metadata.get("openplate.kind")
        if kind != ("end-to-end-reader" if features else "reader"):
            raise WeightsError(f"{path}: expected a reader of {'an end-to-end network' if features else 'openplate'}, got kind {kind!r}")
        self.report: EngineReport = self._network.report
        self.decoder = Decoder.of_network(self.metadata, formats, country, only)

    def hinting(self, formats: Sequence[Format], country: Sequence[str], only: Sequence[str]) -> Reader:
        """A reader with other hints, which shares this one's network.

        Raises:
            FormatError: a country code is not known.
        """
        other = copy.copy(self)
        other.decoder = self.decoder.hinting(formats, country, only)
        return other

    def log_probabilities(self, crop: Crop, *features: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(T, K)` log-probabilities of one crop `(48, 192) uint8` grey, and of the features in the same quad (`openplate.end_to_end.sample_features`)."""
        log_probabilities: NDArray[np.float32] = self._network(crop[None], *(view[None] for view in features))[0][0]
        return log_probabilities

    def __call__(self, views: Sequence[Crop]) -> Reading:
        """The reading of one plate from one or several crops of it."""
        return self.decoder.decode([self.log_probabilities(crop) for crop in views])
