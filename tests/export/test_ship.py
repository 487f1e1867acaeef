import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openplate import pipeline, weights
from openplate.engine import open_network
from openplate.errors import WeightsError
from openplate.export import ship
from openplate.export.onnx import write_metadata
from openplate.export.ship import calibrate_reader, reference_inputs, ship_network
from openplate.formats import load_formats, select
from openplate.read.reader import Reader
from openplate.selftest import selftest
from tests.conftest import label
from tests.export.conftest import Exported

RUSSIAN = select(load_formats(), ["RU"])


@pytest.fixture
def few_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Russian plates are drawn and read: a decoder of one country is built faster."""
    monkeypatch.setattr(ship, "load_formats", lambda: RUSSIAN)
    monkeypatch.setattr(pipeline, "load_formats", lambda: RUSSIAN)


@pytest.mark.usefixtures("few_formats")
def test_calibration_is_stored_in_the_file_and_used(exported: dict[str, Exported], tmp_path: Path) -> None:
    path = tmp_path / "reader.onnx"
    shutil.copyfile(exported["reader"].target, path)
    mapping = calibrate_reader(path, crops=3)
    metadata = open_network(path).metadata
    assert mapping.readings == 3
    assert metadata["openplate.slope"] == f"{mapping.a:.6f}" and metadata["openplate.offset"] == f"{mapping.b:.6f}"
    # An untrained reader is never right: what it says is lowered.
    crop = np.zeros((48, 192), np.uint8)
    before, after = (Reader(p, RUSSIAN)([crop]).confidence for p in (exported["reader"].target, path))
    assert after < before or before < 1e-6
    # A second calibration starts from the raw confidences again.
    assert calibrate_reader(path, crops=3) == mapping


@pytest.mark.usefixtures("few_formats")
def test_calibration_uses_the_held_out_fifth_of_photos(exported: dict[str, Exported], tmp_path: Path, make_dataset: Callable[..., Path]) -> None:
    path = tmp_path / "reader.onnx"
    shutil.copyfile(exported["reader"].target, path)
    folder = make_dataset(*[[label(f"A{i}", None)] for i in range(6)])
    assert calibrate_reader(path, [folder], crops=3).readings == 3 + 2


def test_calibrating_what_is_no_reader_gives_error_and_leaves_the_file(exported: dict[str, Exported], tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    shutil.copyfile(exported["straightener"].target, path)
    with pytest.raises(WeightsError, match="expected a reader of openplate, got kind 'straightener'"):
        calibrate_reader(path, crops=1)
    assert path.read_bytes() == exported["straightener"].target.read_bytes()
    with pytest.raises(WeightsError, match="found no such file"):
        calibrate_reader(tmp_path / "none.onnx", crops=1)


def test_shipped_networks_get_checksums_and_reference_outputs(exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    assert ship_network(exported["detector"].target) == tmp_path / "detector.onnx"
    assert sorted(weights.checksums()) == ["detector.onnx"]  # the others are not there yet, so there is no reference
    for kind in ("reader", "straightener"):
        ship_network(exported[kind].target)
    assert weights.verify() == []
    networks = {name: open_network(weights.network_path(name), precision="fp32") for name in weights.NETWORKS}
    assert [(row.network, row.passed, row.agreement) for row in selftest(networks)] == [(name, True, 1.0) for name in weights.NETWORKS]


def test_file_of_another_kind_is_not_shipped(exported: dict[str, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "weights")
    path = tmp_path / "net.onnx"
    shutil.copyfile(exported["straightener"].target, path)
    write_metadata(path, {"kind": "tracker"})
    with pytest.raises(WeightsError, match="expected a network of kind detector, straightener, reader, got 'tracker'"):
        ship_network(path)
    assert not (tmp_path / "weights").exists()


def test_reference_inputs_are_the_same_each_time() -> None:
    first, again = reference_inputs(), reference_inputs()
    assert {name: value.shape for name, value in first.items()} == {
        "detector": (1, 256, 384, 3),
        "straightener": (1, 48, 128),
        "reader": (1, 48, 192),
    }
    assert all(np.array_equal(first[name], again[name]) for name in first)
