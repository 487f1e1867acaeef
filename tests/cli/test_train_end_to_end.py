from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import torch
from click.testing import CliRunner

from openplate.cli import main
from openplate.end_to_end import open_end_to_end, sample_features
from openplate.formats import load_formats

CONFIG = """
countries = ["ru"]
width = 0.25
hidden = 8
window = 128
shard = 8
keep_share = 1.0
validation_windows = 2

[loop]
steps = 2
batch = 4
warmup_steps = 1
validate_every = 2
mixed_precision = false
"""
NAME = "025-95_113-154&383_386&473-386&473_177&454_154&383_363&402-0_0_22_27_27_33_16-37-{}"


def write_ccpd(folder: Path, count: int) -> Path:
    """Pictures of noise with the name of a CCPD picture, whose plate is light."""
    (folder / "ccpd_base").mkdir(parents=True)
    for i in range(count):
        image = np.random.default_rng(i).integers(0, 90, (520, 440, 3), np.uint8)
        cv2.fillConvexPoly(image, np.array([[154, 383], [363, 402], [386, 473], [177, 454]]), (200, 180, 160))
        cv2.imwrite(str(folder / "ccpd_base" / f"{NAME.format(i)}.jpg"), image)
    return folder


def test_folder_of_ccpd_is_converted_trained_on_and_exported(tmp_path: Path) -> None:
    runner = CliRunner()
    converted = runner.invoke(main, ["data", "convert", str(write_ccpd(tmp_path / "source", 6)), "--from", "ccpd", "--to", str(tmp_path / "ccpd")])
    assert (converted.exit_code, converted.stdout) == (0, f"{tmp_path / 'ccpd'}\n")
    config = tmp_path / "plates.toml"
    config.write_text(f'photos = ["{tmp_path / "ccpd"}"]\n{CONFIG}')
    trained = runner.invoke(main, ["train", "end-to-end", str(config), "--out", str(tmp_path / "run")])
    best = tmp_path / "run" / "best.pt"
    assert (trained.exit_code, trained.stdout) == (0, f"{best}\n")
    (row,) = csv.DictReader((tmp_path / "run" / "log.csv").open())
    assert {"score_loss", "box_loss", "corner_loss", "text_loss", "recall", "exact", "exact_true", "length_errors"} <= set(row)
    assert float(row["text_loss"]) > 0
    assert "photos: 4 of 4 plates with a text are trained on; every fifth image is held out" in trained.stderr
    state = torch.load(best, weights_only=True)
    assert (state["kind"], state["step"], state["settings"]["backbone"]) == ("end-to-end", 2, "light")
    # The best one has batch statistics of eight windows after two steps: channels that hardly vary would enlarge the engines' differences.
    last = tmp_path / "run" / "last.pt"
    exported = runner.invoke(main, ["export", str(last), "--out", str(tmp_path / "plates.onnx")])
    assert (exported.exit_code, exported.stdout) == (0, f"{tmp_path / 'plates.onnx'}\n")
    network = open_end_to_end(tmp_path / "plates.onnx", load_formats())
    seen = network.detector.see(np.zeros((100, 150, 3), np.uint8))
    views = sample_features(seen, np.array([[10, 10], [90, 12], [90, 30], [10, 28]], np.float32))
    assert network.reader.log_probabilities(np.zeros((48, 192), np.uint8), *views).shape[0] == 96


def test_unknown_backbone_is_named(tmp_path: Path) -> None:
    config = tmp_path / "plates.toml"
    config.write_text(CONFIG)
    result = CliRunner().invoke(main, ["train", "end-to-end", str(config), "--out", str(tmp_path / "run"), "--set", "backbone=resnet"])
    assert result.exit_code == 1
    assert "expected one of light, vgg16, got 'resnet'" in result.stderr
