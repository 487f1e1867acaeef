import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

from openplate.formats import load_formats, select
from openplate.synthesize.camera import Lean
from openplate.synthesize.dataset import write_crops
from openplate.weights import reader_path

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def leaning() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_leaning", ROOT / "bench" / "leaning.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_corners_straighten_what_the_upright_box_leaves_leaning(leaning: ModuleType, tmp_path: Path) -> None:
    write_crops(tmp_path / "drawn", select(load_formats(), ["RU"]), 24, 5, 0.2, lambda _: None, lean=Lean(10.0, 30.0))
    for _, (straight, upright) in leaning.load_plates(tmp_path / "drawn"):
        assert straight.shape == upright.shape == (48, 192)
        assert not np.array_equal(straight, upright)
    result = CliRunner().invoke(leaning.main, [str(tmp_path / "drawn"), str(reader_path())])
    assert result.exit_code == 0, result.output
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.output.splitlines()[2:]]
    assert [row[:2] for row in rows] == [["reader", "four corners"], ["reader", "upright box"]]
    exact = [float(row[2].split()[0]) for row in rows]
    assert exact[0] >= 70 and exact[0] > exact[1] + 10


def test_set_without_corners_and_texts_is_refused(leaning: ModuleType, make_dataset: Callable[..., Path]) -> None:
    result = CliRunner().invoke(leaning.main, [str(make_dataset([])), str(reader_path())])
    assert result.exit_code == 1
    assert "expected plates with four corners and a text, found none" in result.output
