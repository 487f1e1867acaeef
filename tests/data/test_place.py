import errno
import os
from pathlib import Path, PurePosixPath

import pytest

from openplate.data.place import FreeNames, place_picture, whole_folder
from openplate.errors import DatasetError


def test_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "a" / "made") as building:
        (building / "file").write_text("x")
        assert not (tmp_path / "a" / "made").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["made"]
    assert (tmp_path / "a" / "made" / "file").read_text() == "x"


def test_interruption_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "made") as building:
        (building / "file").touch()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"made: cannot be written: No space left on device; nothing was left"), whole_folder(tmp_path / "made"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_empty_folder_is_taken_and_a_full_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with whole_folder(tmp_path / "empty") as building:
        (building / "file").touch()
    assert (tmp_path / "empty" / "file").exists()
    with pytest.raises(DatasetError, match="holds something already"), whole_folder(tmp_path / "empty"):
        pass
    with pytest.raises(DatasetError, match="holds something already"), whole_folder(tmp_path / "empty" / "file"):
        pass


def test_names_are_kept_where_they_are_safe_and_made_safe_where_not() -> None:
    names = FreeNames()
    taken = [
        names.take(PurePosixPath(path))
        for path in ("images/a.png", "b/a.png", "b/A.PNG", "c/images/a.png", "x/皖A 1;rm -rf.jpg", ".hidden.png", "a.b.jpeg", "no-suffix", "a.e$c")
    ]
    assert taken == ["a.png", "b_a.png", "A-2.png", "a-3.png", "皖A_1_rm_-rf.jpg", "hidden.png", "a.b.jpeg", "no-suffix", "a"]


def test_name_is_never_a_path_and_never_too_long() -> None:
    names = FreeNames()
    assert names.take(PurePosixPath("..")) == "picture"
    assert names.take(PurePosixPath("a/..\\..\\b.png")) == "_.._b.png"
    long = [names.take(PurePosixPath("界" * 200 + end + ".png")) for end in "xy"]
    assert long[0] != long[1]
    assert all(len(name.encode()) < 255 for name in long)


def test_copy_is_another_file_and_link_is_the_same(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(b"x")
    (tmp_path / "symbolic.png").symlink_to(source)
    place_picture(source, tmp_path / "copy.png", link=False)
    place_picture(tmp_path / "symbolic.png", tmp_path / "link.png", link=True)
    assert not (tmp_path / "copy.png").samefile(source)
    assert (tmp_path / "link.png").samefile(source)
    assert not (tmp_path / "link.png").is_symlink()


def test_where_no_link_can_be_made_the_picture_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a.png").write_bytes(b"x")
    place_picture(tmp_path / "a.png", tmp_path / "b.png", link=True)
    assert (tmp_path / "b.png").read_bytes() == b"x"
