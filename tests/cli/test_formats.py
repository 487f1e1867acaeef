import json
from pathlib import Path

from click.testing import CliRunner

from openplate.cli import main
from openplate.formats import load_formats

ONE_TYPE = """
country = "ZZ"
name = "Nowhere"
standard = "N 1"
[[types]]
id = "car"
title = "cars"
size_mm = [300, 100]
rows = [
  { baseline_mm = 45, fields = [{ text = "AB", height_mm = 40 }] },
  { baseline_mm = 95, fields = [{ text = "C", height_mm = 40 }] },
]
"""


def test_every_country_is_listed() -> None:
    result = CliRunner().invoke(main, ["formats"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines() if not line.startswith(" ")] == [f.code.lower() for f in load_formats()]


def test_country_added_in_a_folder_is_listed_with_its_example(tmp_path: Path) -> None:
    (tmp_path / "zz.toml").write_text(ONE_TYPE)
    result = CliRunner().invoke(main, ["formats", "--formats", str(tmp_path), "--country", "zz"])
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["zz", "Nowhere", "(N", "1)"],
        ["car", "ABC", "2", "lines", "300×100", "mm", "cars"],
    ]


def test_long_names_and_wide_characters_leave_the_columns_in_line(tmp_path: Path) -> None:
    long = ONE_TYPE.replace('"car"', '"very-long-name-of-a-type"').replace('"AB"', '"京京京京京678901"')
    (tmp_path / "zz.toml").write_text(long)
    result = CliRunner().invoke(main, ["formats", "--formats", str(tmp_path), "--country", "zz"])
    assert result.stdout.splitlines()[1] == "       very-long-name-of-a-type  京京京京京678901C  2 lines  300×100 mm   cars"
    chinese = CliRunner().invoke(main, ["formats", "--formats", str(tmp_path), "--country", "zz,cn"]).stdout.splitlines()
    # a province's character takes two places: its line is as much shorter
    assert {line.index(" line") + sum(c >= "一" for c in line[: line.index(" line")]) for line in chinese if " line" in line} == {53}


def test_wrong_file_gives_one_line_that_names_file_and_key(tmp_path: Path) -> None:
    (tmp_path / "zz.toml").write_text(ONE_TYPE.replace("[300, 100]", "5"))
    result = CliRunner().invoke(main, ["formats", "--formats", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {tmp_path / 'zz.toml'}: type car: size_mm: expected a list of numbers, [width, height], got 5\n"


def test_json_holds_code_types_and_sizes(tmp_path: Path) -> None:
    (tmp_path / "zz.toml").write_text(ONE_TYPE)
    result = CliRunner().invoke(main, ["formats", "--formats", str(tmp_path), "--country", "ZZ", "--json"])
    assert json.loads(result.stdout) == {
        "version": 1,
        "formats": [
            {
                "code": "ZZ",
                "name": "Nowhere",
                "standard": "N 1",
                "types": [{"id": "car", "title": "cars", "example": "ABC", "lines": 2, "size_mm": [300.0, 100.0], "loose": False}],
            }
        ],
    }


def test_unknown_country_is_one_line_on_stderr_and_exit_code_1() -> None:
    result = CliRunner().invoke(main, ["formats", "--country", "xx"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "country 'xx' is not known" in result.stderr
    assert len(result.stderr.splitlines()) == 1
