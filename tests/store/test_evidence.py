"""Files of evidence: whole, found by their hash, and swept without loss."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from openplate.errors import StoreError
from openplate.store.evidence import Evidence
from openplate.store.model import NewPicture, Picture

HOUR_S = 3600.0


def stored(data: bytes, media_type: str = "image/jpeg") -> Picture:
    return Picture(1, "crop", hashlib.sha256(data).hexdigest(), media_type, len(data))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def nothing_used(_: Iterable[str]) -> set[str]:
    return set()


def test_picture_comes_back_and_lies_under_its_hash(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    name = evidence.put(NewPicture("crop", b"abc"))
    assert name == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of "abc", FIPS 180-2
    assert files(tmp_path) == [f"ba/{name}.jpg"]
    assert evidence.read(stored(b"abc")) == b"abc"


def test_equal_pictures_share_a_file(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    assert evidence.put(NewPicture("crop", b"abc")) == evidence.put(NewPicture("frame", b"abc"))
    assert len(files(tmp_path)) == 1


def test_changed_file_is_an_error(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    name = evidence.put(NewPicture("crop", b"abc", "image/png"))
    (tmp_path / name[:2] / f"{name}.png").write_bytes(b"abd")
    with pytest.raises(StoreError, match="changed or damaged"):
        evidence.read(stored(b"abc", "image/png"))


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the evidence is missing"):
        Evidence(tmp_path).read(stored(b"abc"))


@pytest.mark.parametrize("name", ["../../etc/passwd", "A" * 64, "", "0" * 63])
def test_name_that_is_no_hash_never_becomes_a_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="64 hexadecimal digits"):
        Evidence(tmp_path).read(Picture(1, "crop", name, "image/jpeg", 3))


def test_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="evidence cannot be written"):
        Evidence(tmp_path / "file").put(NewPicture("crop", b"abc"))


def test_sweep_deletes_what_no_row_names_after_two_hours(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    used, orphan = evidence.put(NewPicture("crop", b"used")), evidence.put(NewPicture("crop", b"orphan"))
    now = time.time()

    def named(hashes: Iterable[str]) -> set[str]:
        return {used} & set(hashes)

    assert evidence.sweep(named, HOUR_S, now) == 0
    assert len(files(tmp_path)) == 2, "younger than the grace"
    assert evidence.sweep(named, HOUR_S, now + 2 * HOUR_S) == 0
    assert files(tmp_path) == sorted([f"aside/{orphan}.jpg", f"{used[:2]}/{used}.jpg"])
    assert evidence.sweep(named, HOUR_S, now + 4 * HOUR_S) == 1
    assert files(tmp_path) == [f"{used[:2]}/{used}.jpg"]


def test_file_whose_row_comes_late_is_readable_and_put_back(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    name = evidence.put(NewPicture("crop", b"late"))
    now = time.time()
    evidence.sweep(nothing_used, HOUR_S, now + 2 * HOUR_S)
    assert files(tmp_path) == [f"aside/{name}.jpg"]
    assert evidence.read(stored(b"late")) == b"late"
    assert evidence.sweep(set, HOUR_S, now + 4 * HOUR_S) == 0  # `set` says that all are used
    assert files(tmp_path) == [f"{name[:2]}/{name}.jpg"]


def test_file_stored_again_while_it_lies_aside_survives(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    name = evidence.put(NewPicture("crop", b"again"))
    now = time.time()
    evidence.sweep(nothing_used, HOUR_S, now + 2 * HOUR_S)
    evidence.put(NewPicture("crop", b"again"))
    assert evidence.sweep(set, HOUR_S, now + 4 * HOUR_S) == 0
    assert files(tmp_path) == [f"{name[:2]}/{name}.jpg"]


def test_storing_an_old_file_again_starts_its_grace_anew(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    name = evidence.put(NewPicture("crop", b"old"))
    path = tmp_path / name[:2] / f"{name}.jpg"
    os.utime(path, (0, 0))
    evidence.put(NewPicture("crop", b"old"))
    evidence.sweep(nothing_used, HOUR_S, time.time())
    assert path.exists()


def test_partial_file_of_a_killed_process_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    partial = tmp_path / "ab" / ".abcd.1.2"
    partial.write_bytes(b"half")
    evidence = Evidence(tmp_path)
    evidence.sweep(nothing_used, HOUR_S, time.time())
    assert partial.exists(), "it may still be written"
    evidence.sweep(nothing_used, HOUR_S, time.time() + 2 * HOUR_S)
    assert not partial.exists()
