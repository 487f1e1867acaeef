"""Stored inputs through the networks in, rows of how far their outputs lie from the stored fp32 outputs out.

The reference is an `.npz` with the keys `<network>/input` and `<network>/output0`, `<network>/output1` ...
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openplate import weights
from openplate.detect.detector import Seen
from openplate.end_to_end import GRIDS, joined_report, part_beside, sample_features
from openplate.engine import Network, open_joint_network, open_network
from openplate.errors import WeightsError
from openplate.geometry import box_to_quad
from openplate.rectify import rectify
from openplate.straighten import look

TOLERANCES = {"fp32": 1e-3, "bf16": 6e-2, "int8": 2.5e-1}
"""Largest error allowed, as a share of the output's largest absolute value; bf16 keeps 8 bits of the mantissa, over some twenty layers.

Seen of a detector, whose outputs are logits up to 9 and offsets up to 1: 0.033 in bf16 and 0.126 in int8; of a reader 0.003 and 0.013."""


class AllFiles:
    """The end-to-end network as the self-test sees it: an image `(1, H, W, 3) uint8` to its detections, and for one place in it a correction and a text.

    Raises:
        WeightsError, EngineError: see `openplate.end_to_end.open_end_to_end`.
    """

    def __init__(self, path: Path, *, engine: str = "auto", device: str = "cpu", precision: str = "auto", threads: int = 1) -> None:
        run: dict[str, Any] = {"engine": engine, "device": device, "precision": precision, "threads": threads}
        self._look = open_network(path, **run)
        self._straighten = open_network(part_beside(path, "straightener"), **run)
        self._read = open_joint_network(part_beside(path, "reader"), 1 + len(GRIDS), **run)
        self.metadata, self.input_shape = self._look.metadata, self._look.input_shape
        self.report = joined_report((self._straighten.report, self._read.report, self._look.report))

    def __call__(self, batch: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        detections, *maps = self._look(batch)
        height, width = batch.shape[1:3]
        seen = Seen([], tuple(features[0] for features in maps), (width, height))
        place = box_to_quad(0.3 * width, 0.4 * height, 0.7 * width, 0.6 * height)
        views = (view[None] for view in sample_features(seen, place))
        return detections, *self._straighten(look(batch[0], place)[None]), *self._read(rectify(batch[0], place)[None], *views)


def open_tested(name: str, *, engine: str = "auto", device: str = "cpu", precision: str = "auto", threads: int = 1) -> Network:
    """One of the shipped `NETWORKS` as the self-test sees it.

    Raises:
        WeightsError: its file is missing or damaged.
        EngineError: the engine, device or precision is not available.
    """
    run = {"engine": engine, "device": device, "precision": precision}
    path = weights.network_path(name)
    return AllFiles(path, threads=threads, **run) if name == "end-to-end" else open_network(path, threads=threads, **run)


@dataclass(frozen=True, slots=True)
class SelfTest:
    """One network against its reference.

    `error` is the largest absolute difference over all outputs as a share of the output's largest absolute value, `tolerance` the most
    that is allowed; `agreement` the share of places along the last axis where the largest value is at the same index (what is read).
    """

    network: str
    error: float
    tolerance: float
    agreement: float

    @property
    def passed(self) -> bool:
        """Whether the network computes what it computed when it was shipped."""
        return self.error <= self.tolerance


def selftest(networks: Mapping[str, Network], reference: Path | None = None) -> list[SelfTest]:
    """Run each network on its stored input and compare; `reference` is the shipped one by default.

    Raises:
        WeightsError: the reference is missing or damaged, or does not hold a network, or the network has other outputs than stored.
    """
    path = reference or weights.reference_path()
    stored = _read(path)
    return [_compare(name, network, stored, path) for name, network in networks.items()]


def write_reference(inputs: Mapping[str, NDArray[Any]], networks: Mapping[str, Network] | None = None, path: Path | None = None) -> None:
    """Store an input for each network and its outputs in fp32; by default of the shipped networks and in the shipped reference's place.

    What the file holds of other networks stays as it is.

    What a file holds as INT8 has no outputs in fp32: its own are stored.

    Raises:
        WeightsError: a network is missing or does not run in fp32, or the file that is there is damaged.
    """
    opened = networks or {name: open_tested(name, precision="fp32") for name in inputs}
    path = path or weights.reference_path()
    kept = _read(path) if path.exists() else {}
    arrays = {key: array for key, array in kept.items() if key.partition("/")[0] not in opened}
    for name, network in opened.items():
        if not {"fp32", "int8"}.issuperset(network.report.precision.split("+")):
            raise WeightsError(f"{name}: a reference is written in fp32, this network runs in {network.report.precision}; open it in fp32")
        arrays[f"{name}/input"] = inputs[name]
        arrays |= {f"{name}/output{i}": output for i, output in enumerate(network(inputs[name]))}
    with path.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def tolerance(precision: str) -> float:
    """The tolerance of a precision as `EngineReport` names it; of a mixed one ("bf16+int8"), the widest of its parts."""
    return max(TOLERANCES.get(part, TOLERANCES["bf16"]) for part in precision.split("+"))


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        raise WeightsError(f"{path}: expected the self-test's reference, found none that can be read; reinstall openplate") from None


def _compare(name: str, network: Network, stored: Mapping[str, NDArray[Any]], path: Path) -> SelfTest:
    if f"{name}/input" not in stored:
        raise WeightsError(f"{path}: holds no reference for {name}")
    outputs = network(stored[f"{name}/input"])
    expected = [stored[key] for key in sorted(k for k in stored if k.startswith(f"{name}/output"))]
    if [o.shape for o in outputs] != [e.shape for e in expected]:
        raise WeightsError(f"{path}: {name} should give {[e.shape for e in expected]}, it gives {[o.shape for o in outputs]}")
    errors = [float(np.abs(o - e).max() / max(float(np.abs(e).max()), 1e-9)) for o, e in zip(outputs, expected, strict=True)]
    agreements = [float((o.argmax(axis=-1) == e.argmax(axis=-1)).mean()) for o, e in zip(outputs, expected, strict=True)]
    return SelfTest(name, max(errors), tolerance(network.report.precision), min(agreements))
