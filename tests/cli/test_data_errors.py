"""What `openplate data` says, and what it leaves behind, where nothing can be fetched or converted."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openplate.cli import main
from tests.data.conftest import written
from tests.data.test_fetch import TABLE, refusing_proxy, zipped

__all__ = ["refusing_proxy"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_fetch_behind_a_proxy_that_refuses_lists_what_is_not_there_yet(tmp_path: Path, refusing_proxy: str) -> None:
    other = refusing_proxy.replace("set.zip", "first.zip")
    written(tmp_path / "more.toml", TABLE.replace('{ url = "http://example.org/a.zip" }', f'{{ url = "{other}" }}, {{ url = "{refusing_proxy}" }}'))
    written(tmp_path / "tiny/set.zip.part", "PK")
    (tmp_path / "tiny/first.zip").write_bytes(zipped(a="a"))
    result = run("fetch", "tiny", "--accept-licence", "--table", "more.toml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"error: {refusing_proxy}: the server cannot be reached: Tunnel connection failed: 403" in result.stderr
    assert "2 bytes stay in set.zip.part, run the command again to go on" in result.stderr
    assert [line for line in result.stderr.splitlines() if line.startswith("would have")] == [
        f"would have fetched {refusing_proxy} (size not known) to tiny/set.zip"
    ]
    assert "first.zip: no checksum is known; SHA-256 found: " in result.stderr
    assert sorted(path.name for path in (tmp_path / "tiny").iterdir()) == ["first.zip", "set.zip.part"]


def test_convert_of_a_source_without_a_sound_row_counts_the_faults_and_writes_them(tmp_path: Path) -> None:
    written(tmp_path / "src/labels.csv", "".join(f"lost{i}.png,A1\n" for i in range(25)))
    result = run("convert", "src", "--from", "csv", "--to", "out", "--faults", "faults.txt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "25 faults found" in result.stderr
    assert result.stderr.splitlines()[-1] == (
        "Error: src: expected at least one labelled picture without a fault, found none; 25 faults, the first: "
        "labels.csv, line 1: picture lost0.png is not there"
    )
    lines = (tmp_path / "faults.txt").read_text(encoding="utf8").splitlines()
    assert (len(lines), lines[24]) == (25, "labels.csv, line 25: picture lost24.png is not there")
    assert not (tmp_path / "out").exists()
