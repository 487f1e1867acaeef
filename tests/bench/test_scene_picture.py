"""The script that makes the picture of README.md: it writes nothing but a street that is read in full."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from openplate.errors import OpenPlateError
from openplate.geometry import box_to_quad
from openplate.sources import read_image
from openplate.synthesize.scenes import ScenePlate
from openplate.types import Detection, Plate, Reading

SCRIPT = Path(__file__).parents[2] / "bench" / "scene_picture.py"
QUADS = [box_to_quad(100 * i, 100, 100 * i + 60, 120) for i in range(3)]
TEXTS = ("A123BC77", "B456OP99", "KMC965")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_scene_picture", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def drawn(texts: tuple[str, ...] = TEXTS) -> list[ScenePlate]:
    return [ScenePlate(quad, text, code, None) for quad, text, code in zip(QUADS, texts, ("RU", "RU", "DE"), strict=False)]


def plate(text: str | None, confidence: float = 0.99) -> Plate:
    return Plate("read" if text else "unreadable", text, None, Detection(QUADS[0], 0.9), Reading(text or "", confidence, (), (), None, None, 1))


@pytest.mark.parametrize(
    ("street", "read", "said"),
    [
        (drawn(), [plate(t) for t in TEXTS], []),
        (drawn(TEXTS[:2]), [plate(t) for t in TEXTS[:2]], ["2 plates are drawn, not 3"]),
        (drawn(), [plate(t) for t in TEXTS[:2]], ["KMC965 was not read"]),
        (drawn(), [*(plate(t) for t in TEXTS), plate(None)], ["an unreadable plate was found and not drawn"]),
        (drawn(), [plate(TEXTS[0], 0.85), plate(TEXTS[1]), plate(TEXTS[2])], ["A123BC77 was read with 0.85, below 0.9"]),
        (
            drawn(),
            [plate("A123BC71"), plate(TEXTS[1]), plate(TEXTS[2])],
            ["A123BC77 was not read", "A123BC71 was found and not drawn"],
        ),
    ],
    ids=["all read", "one hidden", "one missed", "one too many", "one faint", "one wrong"],
)
def test_street_is_shown_only_when_all_is_read_as_drawn(script: ModuleType, street: list[ScenePlate], read: list[Plate], said: list[str]) -> None:
    assert script.faults(street, read) == said


class OneGoodStreet:
    """A street of which all is read with seed 6 alone, and of three countries with seeds 6 and 7 alone."""

    def draw(self, seed: int, width: int, height: int, formats: object, vehicles: int) -> tuple[NDArray[np.uint8], list[ScenePlate]]:
        plates = [ScenePlate(q, t, c, None) for q, t, c in zip(QUADS, TEXTS, ("RU", "CN" if seed in (6, 7) else "RU", "DE"), strict=True)]
        return np.full((height, width, 3), seed, np.uint8), plates

    def read(self, image: NDArray[np.uint8]) -> list[Plate]:
        return [plate(t) for t in TEXTS[: 3 if image[0, 0, 0] == 6 else 2]]


@pytest.fixture
def street(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    one = OneGoodStreet()
    monkeypatch.setattr(script, "draw_scene", one.draw)
    monkeypatch.setattr(script, "Pipeline", lambda: one)


@pytest.mark.usefixtures("street")
def test_search_takes_the_first_street_that_is_read_and_names_its_seed(script: ModuleType, tmp_path: Path) -> None:
    result = CliRunner().invoke(script.main, [str(tmp_path / "scene.png"), "--seed", "3", "--search"])
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'scene.png'}: seed 6, A123BC77 0.990, B456OP99 0.990, KMC965 0.990\n"
    assert read_image(tmp_path / "scene.png")[0].image.shape == (720, 1280, 3)


@pytest.mark.usefixtures("street")
def test_street_that_is_not_read_is_not_written(script: ModuleType, tmp_path: Path) -> None:
    result = CliRunner().invoke(script.main, [str(tmp_path / "scene.png"), "--seed", "7"])
    assert result.exit_code == 1
    assert "seed 7: KMC965 was not read" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_street_of_the_script_has_three_plates_of_three_countries(script: ModuleType) -> None:
    try:
        _, plates = script.draw_scene(script.SEED, *script.SIZE, script.formats(), vehicles=script.PLATES)
    except OpenPlateError:
        pytest.skip("no font with Chinese characters is installed")
    assert len({p.country for p in plates}) == 3
