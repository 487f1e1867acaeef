from pathlib import Path

import pytest

from openplate.train.files import replace_text


def test_text_takes_the_place_of_the_one_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ("long before\n", "é\n"):
        replace_text(path, text)
    assert path.read_bytes() == b"\xc3\xa9\n"
    assert list(tmp_path.iterdir()) == [path]


def test_file_that_holds_the_text_already_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"same\n")
    monkeypatch.setattr(Path, "replace", lambda *_: pytest.fail("it was written anew"))
    replace_text(path, "same\n")
    assert path.read_bytes() == b"same\n"


def test_file_that_cannot_be_written_stays_as_it_was_and_nothing_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"before\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left on device"):
        replace_text(path, "after\n")
    assert path.read_bytes() == b"before\n"
    assert list(tmp_path.iterdir()) == [path]
