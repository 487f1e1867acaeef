"""What docs/store.md shows, works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openplate.store import look_alikes, outbox, search

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "store.md").read_text(encoding="utf8")


def test_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    exec(compile(example, "docs/store.md", "exec"), {})  # noqa: S102
    printed = capsys.readouterr().out.split()
    assert printed[0] == "A123BC77"
    assert 0 < float(printed[-1]) < 0.01
    assert (tmp_path / "data" / "openplate.sqlite").exists()


def test_classes_waits_and_limits_are_those_of_the_code() -> None:
    assert " ".join(f"`{group}`" for group in look_alikes.CLASSES) in TEXT
    assert outbox.BACK_OFF_S == (2, 5, 15, 60, 300, 900, 1800, 3600)
    assert "after 2, 5, 15 s, 1, 5, 15, 30 min and then every hour" in TEXT
    assert search.LEAST_FUZZY == {0: 1, 1: 4, 2: 7}
    assert "at least 4 characters, with 2 edits at least 7" in TEXT
