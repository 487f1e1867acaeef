"""An engine's options in, a diagnosis of this installation out: versions, what really runs, whether the weights are whole and compute right."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import cv2
import numpy as np

from openplate import __version__, weights
from openplate.engine import ENGINES, Network, engine_devices, engine_version, installed_engines
from openplate.errors import OpenPlateError
from openplate.selftest import SelfTest, open_tested, selftest
from openplate.types import EngineReport

JSON_VERSION = 1


@dataclass(frozen=True, slots=True)
class InstalledEngine:
    """An engine that can be imported here."""

    name: str
    version: str
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file of the package's weights as it lies there; `sha256` in hexadecimal digits."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found. `packages` are versions by name; `networks` is by the network's name; `faults` is empty when everything works."""

    packages: dict[str, str]
    weights: tuple[WeightsFile, ...]
    engines: tuple[InstalledEngine, ...]
    networks: dict[str, EngineReport]
    tests: tuple[SelfTest, ...]
    faults: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The diagnosis as a JSON object."""
        return {
            "version": JSON_VERSION,
            "packages": self.packages,
            "weights": {w.name: {"bytes": w.size_bytes, "sha256": w.sha256} for w in self.weights},
            "engines": {e.name: {"version": e.version, "devices": list(e.devices)} for e in self.engines},
            "networks": {name: report.as_json() for name, report in self.networks.items()},
            "selftest": [
                {"network": t.network, "error": t.error, "tolerance": t.tolerance, "agreement": t.agreement, "passed": t.passed} for t in self.tests
            ],
            "faults": list(self.faults),
        }


def diagnose(*, engine: str = "auto", device: str = "cpu", precision: str = "auto", threads: int = 1) -> Diagnosis:
    """Look at everything that reading a photo needs; what is wrong becomes a fault, not an exception."""
    faults = [str(error) for error in weights.verify()]
    networks: dict[str, Network] = {}
    for name in weights.NETWORKS:
        if not weights.network_path(name).is_file():
            continue  # verify() has named it
        try:
            networks[name] = open_tested(name, engine=engine, device=device, precision=precision, threads=threads)
        except OpenPlateError as error:
            faults.append(f"{name}: {error}")
    tests: list[SelfTest] = []
    if networks and weights.reference_path().is_file():
        try:
            tests = selftest(networks)
        except OpenPlateError as error:
            faults.append(f"self-test: {error}")
    faults += [f"self-test: {t.network} is off by {t.error:.2g}, at most {t.tolerance:.2g} is right" for t in tests if not t.passed]
    engines = tuple(InstalledEngine(name, engine_version(name), engine_devices(name)) for name in installed_engines())
    reports = {name: network.report for name, network in networks.items()}
    return Diagnosis(_versions(), _weights_files(), engines, reports, tuple(tests), tuple(dict.fromkeys(faults)))


def as_text(diagnosis: Diagnosis) -> str:
    """The diagnosis as a table for people."""
    lines = [f"{name:<14}{version}" for name, version in diagnosis.packages.items()]
    found = {e.name: e for e in diagnosis.engines}
    for name in ENGINES:
        lines.append(f"{name:<14}" + (f"{found[name].version}; devices: {', '.join(found[name].devices)}" if name in found else "not installed"))
    for name, report in diagnosis.networks.items():
        threads = f"{report.threads} thread" + ("s" if report.threads != 1 else "")
        lines.append(f"{name:<14}runs in {report.name}, {report.device}, {report.precision}, {threads}")
    for test in diagnosis.tests:
        verdict = "passed" if test.passed else "FAILED"
        lines.append(f"{'self-test':<14}{test.network} {verdict}: error {test.error:.1e} of at most {test.tolerance:.0e}, {test.agreement:.1%} agree")
    lines += [f"{'weights':<14}{w.name:<29}{w.size_bytes:>10,} bytes  SHA-256 {w.sha256[:12]}" for w in diagnosis.weights]
    lines += [f"{'WRONG':<14}{fault}" for fault in diagnosis.faults] or [f"{'weights':<14}all files are as shipped"]
    return "\n".join(lines)


def _weights_files() -> tuple[WeightsFile, ...]:
    paths = (*(weights.network_path(name) for name in weights.FILES), weights.reference_path())
    return tuple(WeightsFile(path.name, path.stat().st_size, weights.sha256(path)) for path in paths if path.is_file())


def _versions() -> dict[str, str]:
    found = {"openplate": __version__, "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    return found | {"numpy": np.__version__, "opencv": str(cv2.__version__), "click": metadata.version("click")}
