import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from openplate.charset import Charset
from openplate.cli import evaluate_video as command
from openplate.cli import main
from openplate.formats import load_formats, select
from openplate.read.decode import Decoder
from openplate.types import Crop, Detection, Image, Quad


class SeesNothing:
    """A pipeline for which no picture holds a plate."""

    decoder = Decoder(select(load_formats(), ["RU"]), Charset())

    def detect(self, image: Image) -> list[Detection]:
        return []

    def straighten(self, image: Image, quad: Quad) -> Quad:
        return quad

    def log_probabilities(self, crop: Crop) -> np.ndarray:
        raise AssertionError("nothing was found, so nothing is read")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options that each opened pipeline was asked for."""
    options: list[dict[str, Any]] = []

    def opened(given: dict[str, Any]) -> SeesNothing:
        options.append(given)
        return SeesNothing()

    monkeypatch.setattr(command, "open_reader", opened)
    return options


def clips(folder: Path, **labels: dict[str, Any]) -> Path:
    """Clips of two grey pictures each."""
    for name in labels:
        (folder / name).mkdir(parents=True)
        for i in range(2):
            assert cv2.imwrite(str(folder / name / f"{i}.png"), np.full((48, 64, 3), 90, np.uint8))
    (folder / "labels.json").write_text(json.dumps({name: {"parked": []} | label for name, label in labels.items()}), encoding="utf8")
    return folder


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, ["evaluate-video", *[str(argument) for argument in arguments]])


@pytest.mark.usefixtures("asked")
def test_table_has_a_row_a_clip_and_one_for_all(tmp_path: Path) -> None:
    result = run(clips(tmp_path, a={"country": "RU", "plates": ["A123BC77"]}, b={"country": "RU", "plates": []}))
    rows = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [row[:4] for row in rows[1:4]] == [["a", "1", "0", "1"], ["b", "0", "0", "0"], ["all", "1", "0", "1"]]
    assert ["a", "missed", "A123BC77"] in [row[:3] for row in rows if row]


@pytest.mark.usefixtures("asked")
def test_json_is_one_object_with_clips_and_all(tmp_path: Path) -> None:
    data = json.loads(run(clips(tmp_path, a={"country": "RU", "plates": ["A123BC77"]}), "--json").stdout)
    assert data["version"] == 1
    assert [clip["name"] for clip in data["clips"]] == ["a"]
    assert (data["all"]["expected"], data["all"]["missed"], data["all"]["tracking"]) == (1, 1, None)


def test_each_clip_is_read_with_its_label_s_country(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    folder = clips(
        tmp_path,
        a={"country": "RU", "plates": []},
        b={"country": "CN,VN", "plates": []},
        c={"country": "RU", "plates": []},
    )
    run(folder)
    assert asked == [{"country": ("RU",)}, {"country": ("CN", "VN")}]
    asked.clear()
    run(folder, "--country", "kz")
    run(folder, "--no-hint", "--only", "ru")
    assert asked == [{"country": ("kz",)}, {"only": ("ru",)}]


@pytest.mark.usefixtures("asked")
def test_bad_source_is_one_line_and_the_next_is_measured(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere", clips(tmp_path / "good", a={"country": "RU", "plates": []}))
    assert result.exit_code == 1
    assert "nowhere: expected a folder with labels.json" in result.stderr
    assert result.stdout.splitlines()[1].split()[0] == "a"


@pytest.mark.usefixtures("asked")
def test_clip_that_cannot_be_read_is_named_and_the_rest_is_measured(tmp_path: Path) -> None:
    folder = clips(tmp_path, a={"country": "RU", "plates": []}, b={"country": "RU", "plates": []})
    for picture in (folder / "a").iterdir():
        picture.write_bytes(b"no picture")
    result = run(folder)
    assert result.exit_code == 1
    assert "error:" in result.stderr
    assert "b" in [line.split()[0] for line in result.stdout.splitlines() if line]


@pytest.mark.usefixtures("asked")
def test_limit_takes_the_first_clips(tmp_path: Path) -> None:
    folder = clips(tmp_path, a={"country": "RU", "plates": []}, b={"country": "RU", "plates": []})
    assert [clip["name"] for clip in json.loads(run(folder, "--json", "--limit", "1").stdout)["clips"]] == ["a"]
