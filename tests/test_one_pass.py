from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from openplate.cli import main
from openplate.detect.detector import Detector
from openplate.end_to_end import sample_features
from openplate.errors import ConfigError, WeightsError
from openplate.evaluate.bench import setups
from openplate.export.end_to_end import export_end_to_end
from openplate.geometry import box_to_quad
from openplate.pipeline import Options, Pipeline
from openplate.read.reader import Reader
from openplate.rectify import rectify
from openplate.sources import write_image
from openplate.types import MODELS, Frame
from tests.conftest import label
from tests.export.test_end_to_end import IMAGE, QUADS, write_checkpoint


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one-pass")
    export_end_to_end(write_checkpoint(folder, "light"), folder / "plates.onnx")
    return folder / "plates.onnx"


def options(weights: Path, **given: Any) -> Options:
    return Options(model="end-to-end", detector=weights, precision="fp32", **given)


def test_pipeline_finds_and_reads_with_one_network(weights: Path) -> None:
    pipeline = Pipeline(options(weights, only=("ru",)))
    result = pipeline.read_frame(Frame(IMAGE, "noise"))
    detections = pipeline.detect(IMAGE)
    assert (result.width, result.height) == (200, 120)
    # An untrained network reads nothing surely, so that only its sure detections are plates.
    assert detections
    assert [p.detection.confidence for p in result.plates] == [d.confidence for d in detections]
    assert {p.status for p in result.plates} == {"unreadable"}
    assert np.array_equal(result.plates[0].detection.quad, pipeline.straighten(IMAGE, detections[0].quad))
    assert result.engine == pipeline.engine and pipeline.engine.precision == "fp32"


def test_features_of_the_same_quad_go_into_the_reader_with_each_crop(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[Any, ...]] = []
    says = Reader.log_probabilities

    def note(reader: Reader, *views: Any) -> Any:
        taken.append(views)
        return says(reader, *views)

    monkeypatch.setattr(Reader, "log_probabilities", note)
    pipeline = Pipeline(options(weights))
    monkeypatch.setattr(pipeline, "straighten", lambda image, quad: quad + 2)
    pipeline.read_quads(IMAGE, QUADS[:1])
    seen = Detector(weights, precision="fp32", kind="end-to-end").see(IMAGE)
    expected = (rectify(IMAGE, QUADS[0] + 2), *sample_features(seen, QUADS[0] + 2))
    assert len(taken[0]) == 4 and all(np.array_equal(view, wanted) for view, wanted in zip(taken[0], expected, strict=True))


def test_quads_and_whole_pictures_are_read_in_the_network_s_features(weights: Path) -> None:
    pipeline = Pipeline(options(weights, min_confidence=0.0))
    readings = pipeline.read_quads(IMAGE, QUADS)
    assert [pipeline.read_quads(IMAGE, [quad])[0] for quad in QUADS] == readings
    assert pipeline.read_quads(IMAGE, []) == []
    (plate,) = pipeline.read_cropped(Frame(IMAGE, "noise")).plates
    corners = pipeline.read_quads(IMAGE, [box_to_quad(0, 0, 200, 120)])[0]
    assert plate.reading.confidence >= corners.confidence
    assert plate.detection.quad.tolist() == [[0, 0], [200, 0], [200, 120], [0, 120]]


def test_hints_change_what_is_read_and_share_the_network(weights: Path) -> None:
    pipeline = Pipeline(options(weights))
    strict = pipeline.hinting(only=["ru"])
    says = np.full((97, len(strict.decoder.charset)), np.log(1e-5), np.float32)
    says[:96, 0] = np.log(0.999)
    says[2:26:3] = np.log(1e-5)
    says[range(2, 26, 3), strict.decoder.charset.encode("AB123CD7")] = np.log(0.999)  # no Russian plate
    found = [[c.format or "" for c in p.decoder.decode([says]).candidates] for p in (pipeline, strict)]
    assert found[0] and not found[0][0].startswith("RU/")
    assert all(name.startswith("RU/") for name in found[1])
    assert strict.decoder is not pipeline.decoder


def test_corners_are_corrected_and_crops_not_read_by_one_network(weights: Path) -> None:
    pipeline = Pipeline(options(weights))
    with pytest.raises(ConfigError, match="follows no plates through video"):
        pipeline.log_probabilities(np.zeros((48, 192), np.uint8))
    corrected = pipeline.straighten(IMAGE, QUADS[1])
    assert 0 < np.abs(corrected - QUADS[1]).max() < 10


def test_other_files_must_lie_beside_the_first(weights: Path, tmp_path: Path) -> None:
    shutil.copyfile(weights, tmp_path / "plates.onnx")
    with pytest.raises(WeightsError, match=r"plates-straightener\.onnx: expected a network"):
        Pipeline(options(tmp_path / "plates.onnx"))


def test_reader_beside_one_network_is_refused(weights: Path) -> None:
    with pytest.raises(ConfigError, match="one network for all reads by itself"):
        Pipeline(options(weights, reader=Path("reader.onnx")))


def test_one_network_as_detector_says_how_to_use_it(weights: Path) -> None:
    with pytest.raises(WeightsError, match="got kind 'end-to-end'; read with --model end-to-end"):
        Pipeline(Options(detector=weights))


def test_unknown_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="two-stage, end-to-end, got 'three-stage'"):
        Pipeline(model="three-stage")


def test_command_reads_with_one_network(weights: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "noise.png", IMAGE)
    result = CliRunner().invoke(main, ["read", str(tmp_path / "noise.png"), "--model", "end-to-end", "--detector", str(weights), "--json"])
    assert result.exit_code == 0
    assert '"plates"' in result.stdout


def test_one_network_is_measured_on_labelled_photos(weights: Path, make_dataset: Callable[..., Path]) -> None:
    given = ["--model", "end-to-end", "--detector", str(weights)]
    result = CliRunner().invoke(main, ["evaluate", str(make_dataset([label("A123BC77")])), *given, "--json"])
    assert result.exit_code == 0
    (one,) = json.loads(result.stdout)["sets"]
    assert (one["end_to_end"]["exact"]["total"], one["reading"]["exact"]["total"]) == (1, 1)
    refused = CliRunner().invoke(main, ["evaluate", str(make_dataset([label("A1")], name="two")), *given, "--store", "results.json"])
    assert refused.exit_code == 2 and "leave out --model end-to-end" in refused.stderr


def test_both_ways_of_reading_are_timed_side_by_side(weights: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "noise.png", IMAGE)
    given = ["--model", "end-to-end", "--detector", str(weights), "--runs", "1", "--warm-up", "0", "--json"]
    result = CliRunner().invoke(main, ["bench", str(tmp_path / "noise.png"), *given])
    assert result.exit_code == 0, result.stderr
    assert "noise.png, end-to-end, auto" in result.stderr
    (row,) = json.loads(result.stdout)["setups"]
    assert row["setup"]["model"] == "end-to-end" and row["measurement"]["stages"]["rectify"]["median"] > 0
    assert [s.model for s in setups(["auto"], ["auto"], [1], [1], models=MODELS)] == list(MODELS)
    refused = CliRunner().invoke(main, ["bench", str(weights), "--model", "end-to-end"])
    assert refused.exit_code == 2 and "--model says how photos are read" in refused.stderr
