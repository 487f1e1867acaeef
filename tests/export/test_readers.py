"""Every reader network as a file: the same numbers on both engines, and a training that starts from the file begins with its function."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from openplate.charset import CHARACTERS
from openplate.engine import open_network
from openplate.export import export_checkpoint
from openplate.export.onnx import TOLERANCE
from openplate.train.networks.readers import READERS, build_reader
from openplate.train.networks.stn import Transformed
from openplate.train.start import load_exported


@pytest.mark.parametrize(("name", "transformer"), [*((name, False) for name in READERS), ("residual", True)])
def test_reader_computes_the_same_in_a_file_and_after_starting_from_it(tmp_path: Path, name: str, transformer: bool) -> None:
    settings = {"characters": CHARACTERS, "network": name, "transformer": transformer, "width": 0.25, "hidden": 8}
    torch.manual_seed(0)
    network = build_reader(settings)
    if isinstance(network, Transformed):
        nn.init.normal_(network.transformer.move.weight, std=0.1)
    # Grey slopes with some noise: on pure noise the last digit of a place decides the value of a pixel.
    rng = np.random.default_rng(0)
    crops = np.clip(np.linspace(0, 200, 192) * rng.random((16, 1, 1)) + rng.integers(0, 30, (16, 48, 192)), 0, 255).astype(np.uint8)
    sample = torch.from_numpy(crops)[:, None].float()
    with torch.no_grad():
        for _ in range(20):
            network.train()(sample)  # batch normalisation learns what crops are like
    torch.save({"kind": "reader", "settings": settings, "network": network.state_dict(), "step": 7}, tmp_path / "best.pt")
    differences = export_checkpoint(tmp_path / "best.pt", tmp_path / "reader.onnx")
    assert set(differences) == {"onnxruntime", "openvino"} and max(differences.values()) < TOLERANCE
    file = open_network(tmp_path / "reader.onnx", engine="onnxruntime")
    assert file.metadata["openplate.rows"] == "2"
    (expected,) = file(crops)
    assert expected.shape == (16, 96, 78)
    torch.manual_seed(1)
    begun = build_reader(settings)
    load_exported(begun, tmp_path / "reader.onnx", sample, CHARACTERS)
    with torch.inference_mode():
        got = begun.eval()(sample).numpy()
    assert np.abs(got - expected).max() < 5 * TOLERANCE * np.abs(expected).max()
    assert np.abs(got - expected).mean() < TOLERANCE
    assert (got.argmax(axis=-1) == expected.argmax(axis=-1)).mean() > 0.99
