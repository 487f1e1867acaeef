from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from openplate.errors import OpenPlateError, WeightsError
from openplate.train.checkpoint import load_checkpoint, save_checkpoint, writing

STATE = {"kind": "tiny", "settings": {"width": 16}, "network": {"weight": torch.arange(3.0)}, "step": 7}


def test_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", STATE)
    loaded = load_checkpoint(tmp_path / "last.pt")
    assert torch.equal(loaded.pop("network")["weight"], torch.tensor([0.0, 1.0, 2.0]))
    assert loaded == {"kind": "tiny", "settings": {"width": 16}, "step": 7}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_disk_that_takes_no_more_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", STATE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # the system refuses to write more than this into one file
    try:
        with pytest.raises(OpenPlateError, match=r"last\.pt: cannot be written: File too large; .* MB are free there, 0\.1 MB are needed\. The last"):
            save_checkpoint(tmp_path / "last.pt", {**STATE, "network": {"weight": torch.zeros(20_000)}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 7
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_folder_that_is_gone_is_named_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(OpenPlateError, match=r"none/last\.pt: cannot be written: No such file or directory\. The last checkpoint"):
        save_checkpoint(tmp_path / "none/last.pt", STATE)


def test_other_errors_than_those_of_the_disk_pass() -> None:
    with pytest.raises(ZeroDivisionError), writing(Path("x")):
        _ = 1 / 0


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut"])
def test_file_that_is_no_checkpoint_gives_weights_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\.pt: expected a checkpoint of openplate train, this file is damaged or something else"):
        load_checkpoint(tmp_path / "bad.pt")
