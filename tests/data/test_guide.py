"""The commands that docs/data.md tells the reader to try, run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from openplate.cli import main
from openplate.data.kinds import KINDS

GUIDE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf8")


def test_commands_of_try_it_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = re.search(r"## Try it\n+```sh\n(.*?)```", GUIDE, re.DOTALL)
    assert block is not None
    lines = block[1].splitlines()
    assert len(lines) == 5
    for line in lines:
        program, *arguments = shlex.split(line)
        result = CliRunner().invoke(main, arguments)
        assert (program, result.exit_code) == ("openplate", 0), f"{line}\n{result.stderr}"
    assert {path.name for path in tmp_path.iterdir()} == {"drawn", "drawn.png", "parts", "whole"}


def test_every_kind_is_described() -> None:
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", GUIDE, re.MULTILINE) == list(KINDS)
