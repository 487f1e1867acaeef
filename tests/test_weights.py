from pathlib import Path

import pytest

from openplate import weights
from openplate.errors import WeightsError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""SHA-256 of "abc", from FIPS 180-2, appendix B.1."""
NAMES = (
    "detector.onnx",
    "straightener.onnx",
    "reader.onnx",
    "end-to-end.onnx",
    "end-to-end-straightener.onnx",
    "end-to-end-reader.onnx",
    "reference.npz",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).write_bytes(b"abc")
    weights.write_checksums(tmp_path)
    return tmp_path


def test_checksums_are_sha256_by_file_name(folder: Path) -> None:
    assert weights.checksums(folder) == dict.fromkeys(NAMES, ABC)


def test_files_as_shipped_give_no_fault(folder: Path) -> None:
    assert weights.verify(folder) == []


def test_damaged_file_is_named_alone(folder: Path) -> None:
    (folder / "reader.onnx").write_bytes(b"abd")
    faults = [str(fault) for fault in weights.verify(folder)]
    assert len(faults) == 1
    assert "reader.onnx: the file is damaged" in faults[0]


def test_missing_file_is_named(folder: Path) -> None:
    (folder / "detector.onnx").unlink()
    assert ["detector.onnx: the file is missing" in str(fault) for fault in weights.verify(folder)] == [True]


def test_file_that_was_never_recorded_is_named(folder: Path) -> None:
    (folder / "reference.npz").unlink()
    weights.write_checksums(folder)
    assert ["reference.npz: has no checksum" in str(fault) for fault in weights.verify(folder)] == [True]


@pytest.mark.parametrize("text", [None, "{", "[1]"], ids=["missing", "cut off", "no object"])
def test_checksums_that_cannot_be_read_are_one_fault(folder: Path, text: str | None) -> None:
    if text is None:
        (folder / "checksums.json").unlink()
    else:
        (folder / "checksums.json").write_text(text)
    assert [type(fault) for fault in weights.verify(folder)] == [WeightsError]


def test_paths_lie_in_the_package() -> None:
    assert [p.name for p in (weights.detector_path(), weights.straightener_path(), weights.reader_path())] == list(NAMES[:3])
    assert tuple(weights.network_path(name).name for name in weights.FILES) == NAMES[:-1]
    assert weights.detector_path().parent == Path(weights.__file__).parent


def test_file_as_shipped_is_given_back_and_a_damaged_or_missing_one_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "FOLDER", folder)
    assert weights.as_shipped(folder / "reader.onnx") == folder / "reader.onnx"
    (folder / "reader.onnx").write_bytes(b"abd")
    with pytest.raises(WeightsError, match=r"reader.onnx: the file is damaged \(its SHA-256 does not begin with ba7816bf8f01\); reinstall"):
        weights.as_shipped(folder / "reader.onnx")
    (folder / "reader.onnx").unlink()
    with pytest.raises(WeightsError, match="reader.onnx: the file is missing"):
        weights.as_shipped(folder / "reader.onnx")
    with pytest.raises(WeightsError, match="other.onnx: has no checksum"):
        weights.as_shipped(folder / "other.onnx")


def test_file_outside_the_package_is_not_checked(folder: Path) -> None:
    assert weights.as_shipped(folder / "reader.onnx") == folder / "reader.onnx"
