from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from openplate.cli import main
from openplate.errors import ConfigError, WeightsError
from openplate.export.end_to_end import export_end_to_end
from openplate.pipeline import Options, Pipeline
from openplate.sources import write_image
from openplate.types import Frame
from tests.export.test_end_to_end import IMAGE, write_checkpoint


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one-pass")
    export_end_to_end(write_checkpoint(folder, "light"), folder / "plates.onnx")
    return folder / "plates.onnx"


def test_pipeline_finds_and_reads_with_one_network(weights: Path) -> None:
    pipeline = Pipeline(Options(model="end-to-end", detector=weights, precision="fp32", only=("ru",)))
    result = pipeline.read_frame(Frame(IMAGE, "noise"))
    detections = pipeline.detect(IMAGE)
    assert (result.width, result.height) == (200, 120)
    # An untrained network reads nothing surely, so that only its sure detections are plates.
    sure = detections
    assert sure
    assert [p.detection.confidence for p in result.plates] == [d.confidence for d in sure]
    assert {p.status for p in result.plates} == {"unreadable"}
    assert result.milliseconds.rectify == 0
    assert np.array_equal(result.plates[0].detection.quad, sure[0].quad)


def test_model_without_weights_says_what_to_do() -> None:
    with pytest.raises(WeightsError, match=r"not in the package; train and export them \(docs/end-to-end.md\)"):
        Pipeline(model="end-to-end")


def test_unknown_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="two-stage, end-to-end, got 'three-stage'"):
        Pipeline(model="three-stage")


def test_command_reads_with_one_network(weights: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "noise.png", IMAGE)
    result = CliRunner().invoke(main, ["read", str(tmp_path / "noise.png"), "--model", "end-to-end", "--detector", str(weights), "--json"])
    assert result.exit_code == 0
    assert '"plates"' in result.stdout
