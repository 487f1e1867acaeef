"""Weights to start from: what is taken, what keeps its start values, and how files that do not fit are named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from openplate.engine import open_network
from openplate.errors import ConfigError, WeightsError
from openplate.export import export_checkpoint
from openplate.train.config import LoopConfig
from openplate.train.loop import train
from openplate.train.networks.readers import build_reader
from openplate.train.networks.stn import Transformed
from openplate.train.start import class_rows, fill_network, load_exported, load_weights, read_exported, start_from
from tests.train.conftest import TinyTask
from tests.train.test_loop import assert_same, state
from tests.train.test_networks import inputs

pytestmark = pytest.mark.usefixtures("curves")

OLD, NEW = "0123456789AB", "9B0あ8"
"""The charset of a file, and one that has some of its characters, in another order, and one that the file does not know."""


def reader(characters: str, **settings: Any) -> nn.Module:
    torch.manual_seed(len(characters))
    return build_reader({"characters": characters, "width": 0.25, "hidden": 8, **settings})


def checkpoint(folder: Path, old: nn.Module, characters: str = OLD, **settings: Any) -> Path:
    known = {"characters": characters, "width": 0.25, "hidden": 8, **settings}
    torch.save({"kind": "reader", "settings": known, "network": old.state_dict(), "step": 7}, folder / "best.pt")
    return folder / "best.pt"


def never() -> Tensor:
    raise AssertionError("a checkpoint needs no sample")


def test_classes_are_matched_by_character_and_the_blank_by_itself() -> None:
    # Rows: the blank, then a character each. 9 is class 10 of the file, B class 12, 0 class 1, 8 class 9; あ is nowhere in it.
    assert class_rows(NEW, OLD) == ([0, 1, 2, 3, 5], [0, 10, 12, 1, 9])
    assert class_rows("ABC", "ABC") == ([0, 1, 2, 3], [0, 1, 2, 3])


def test_training_starts_from_the_averaged_weights_of_a_checkpoint(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path)
    network = TinyTask().network
    load_weights(network, tmp_path / "last.pt")
    assert_same(dict(network.state_dict()), dict(state(tmp_path / "last.pt")["average"]))
    load_weights(network, tmp_path / "best.pt")
    assert_same(dict(network.state_dict()), dict(state(tmp_path / "best.pt")["network"]))


def test_weights_of_another_shape_keep_their_start_values(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path)
    larger = nn.Sequential(*list(TinyTask().network.children())[:4], nn.Linear(16, 2))
    own = {key: value.clone() for key, value in larger.state_dict().items()}
    # Nine tensors: weight and bias of both layers, five of the normalisation; those of the last layer have another shape.
    assert load_weights(larger, tmp_path / "best.pt") == f"started from {tmp_path / 'best.pt'}: 7 of 9 tensors"
    assert torch.equal(larger.state_dict()["4.weight"], own["4.weight"])
    assert torch.equal(larger.state_dict()["0.weight"], state(tmp_path / "best.pt")["network"]["0.weight"])


def check_classes(network: nn.Module, before: dict[str, Tensor], old: nn.Module) -> None:
    for key in ("classify.weight", "classify.bias"):
        got, start, source = network.state_dict()[key], before[key], old.state_dict()[key]
        for own, there in ((0, 0), (1, 10), (2, 12), (3, 1), (5, 9)):
            assert torch.allclose(got[own], source[there], atol=1e-3)  # a file holds float16
        assert torch.equal(got[4], start[4])


@pytest.mark.parametrize("name", ["crnn", "residual"])
def test_checkpoint_of_another_charset_keeps_what_both_know(tmp_path: Path, name: str) -> None:
    old, network = reader(OLD, network=name), reader(NEW, network=name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    said = start_from(network, checkpoint(tmp_path, old, network=name), NEW, never)
    assert said.endswith("tensors; it does not know あ")
    check_classes(network, before, old)
    assert torch.equal(network.state_dict()["trunk.0.0.weight"], old.state_dict()["trunk.0.0.weight"])


@pytest.mark.parametrize("name", ["crnn", "residual"])
def test_exported_file_of_another_charset_keeps_what_both_know(tmp_path: Path, name: str) -> None:
    old, network = reader(OLD, network=name), reader(NEW, network=name)
    export_checkpoint(checkpoint(tmp_path, old, network=name), tmp_path / "old.onnx")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    sample = inputs(16, 1, 48, 192)
    assert start_from(network, tmp_path / "old.onnx", NEW, lambda: sample).endswith("layers; it does not know あ")
    check_classes(network, before, old)
    (expected,) = open_network(tmp_path / "old.onnx", engine="onnxruntime")(sample[:, 0].numpy().astype(np.uint8))
    with torch.inference_mode():
        got = network.eval()(sample).numpy()
    # Between two classes that both know, the log-probabilities differ by the same in both.
    assert np.abs((got[..., 1] - got[..., 0]) - (expected[..., 10] - expected[..., 0])).max() < 0.02


def test_batch_normalisation_after_the_start_is_that_of_the_sample(tmp_path: Path) -> None:
    old, network = reader(OLD), reader(OLD)
    export_checkpoint(checkpoint(tmp_path, old), tmp_path / "old.onnx")
    sample = inputs(16, 1, 48, 192)
    load_exported(network, tmp_path / "old.onnx", sample, OLD)
    with torch.inference_mode():
        still = network.eval()(sample)
        training = network.train()(sample)  # normalises by this batch, which is the sample: but for dropout the same
    assert float((still - training).abs().mean()) < 0.05


@pytest.mark.parametrize("kind", ["best.pt", "old.onnx"])
def test_reader_without_a_transformer_starts_one_that_has_it(tmp_path: Path, kind: str) -> None:
    old, network = reader(OLD, network="residual"), reader(OLD, network="residual", transformer=True)
    export_checkpoint(checkpoint(tmp_path, old, network="residual"), tmp_path / "old.onnx")
    sample = inputs(16, 1, 48, 192)
    start_from(network, tmp_path / kind, OLD, lambda: sample)
    assert isinstance(network, Transformed)
    with torch.inference_mode():
        assert torch.allclose(network.eval()(sample), old.eval()(sample), atol=0.05)


def test_recurrent_layers_of_two_levels_are_filled_in_order(tmp_path: Path) -> None:
    old, network = reader(OLD, network="crnn_deep"), reader(OLD + "C", network="crnn_deep")
    export_checkpoint(checkpoint(tmp_path, old, network="crnn_deep"), tmp_path / "old.onnx")
    load_exported(network, tmp_path / "old.onnx", inputs(2, 1, 48, 192), OLD + "C")
    for key, value in old.state_dict().items():
        if key.startswith("recurrent"):
            assert torch.allclose(network.state_dict()[key], value, atol=1e-3), key


def test_file_of_another_network_gives_error(tmp_path: Path) -> None:
    export_checkpoint(checkpoint(tmp_path, reader(OLD)), tmp_path / "old.onnx")
    sample = inputs(2, 1, 48, 192)
    # The trunk's eleven convolutions, the LSTM and the last layer; the residual reader has four convolutions in the place of the LSTM.
    with pytest.raises(ConfigError, match=r"old\.onnx: expected 16 layers for this network, the file runs 13"):
        load_exported(reader(OLD, network="residual"), tmp_path / "old.onnx", sample, OLD)
    with pytest.raises(ConfigError, match=r"layer trunk\.0\.0: expected weights of shape \(16, 1, 5, 5\), got \(8, 1, 5, 5\)"):
        load_exported(reader(OLD, width=0.5), tmp_path / "old.onnx", sample, OLD)
    with pytest.raises(ConfigError, match=r"layer recurrent: expected weights of shape \(2, 64, 64\), got \(2, 32, 64\)"):
        load_exported(reader(OLD, hidden=16), tmp_path / "old.onnx", sample, OLD)
    with pytest.raises(ConfigError, match="start_from: nothing in .* fits this network"):
        load_weights(nn.Linear(3, 3), tmp_path / "best.pt")


def test_layers_of_another_kind_give_error(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.zeros((4, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [weight],
    )
    onnx.save(helper.make_model(graph), str(tmp_path / "tiny.onnx"))
    network = nn.Sequential(nn.Conv2d(1, 3, 3))
    with pytest.raises(ConfigError, match="layer 0: expected a Conv2d, the file has a MatMul"):
        fill_network(network, read_exported(tmp_path / "tiny.onnx"), torch.zeros(2, 1, 4, 4))


def test_int8_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    constants = {"q": np.zeros((3, 1, 3, 3), np.int8), "scale": np.float32(0.1), "zero": np.int8(0)}
    graph = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["w"]), helper.make_node("Conv", ["x", "w"], ["y"], name="first")],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph), str(tmp_path / "int8.onnx"))
    with pytest.raises(WeightsError, match="weights of Conv first are not stored as numbers; start from the fp32 file"):
        read_exported(tmp_path / "int8.onnx")


@pytest.mark.parametrize(("name", "kind"), [("none.onnx", ".onnx file of openplate export"), ("none.pt", "checkpoint of openplate train")])
def test_missing_or_damaged_file_gives_error_before_anything_is_drawn(tmp_path: Path, name: str, kind: str) -> None:
    with pytest.raises(WeightsError, match=f"expected an? {kind}, found no such file"):
        start_from(reader(OLD), tmp_path / name, OLD, never)
    (tmp_path / name).write_text("hello")
    with pytest.raises(WeightsError, match="damaged or something else"):
        start_from(reader(OLD), tmp_path / name, OLD, never)


def test_training_that_starts_from_a_file_uses_every_batch_once(tmp_path: Path, tiny: LoopConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Task(TinyTask):
        def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
            if torch.is_grad_enabled():
                seen.append(int(batch["step"]))
            return super().loss(network, batch)

    def sampled(network: nn.Module, path: Path, characters: str, sample: Any) -> str:
        assert sample().shape == (8, 4)
        return "started"

    monkeypatch.setattr("openplate.train.loop.start_from", sampled)
    config = replace(tiny, start_from="x.onnx")
    train(Task(), config, config, tmp_path)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_layers_that_tell_countries_are_taken_where_both_sides_have_them(tmp_path: Path) -> None:
    telling, other, silent = reader(OLD, origins=["RU", "CN"]), reader(OLD, origins=["RU", "CN", "US"]), reader(OLD)
    export_checkpoint(checkpoint(tmp_path, telling, origins=["RU", "CN"]), tmp_path / "old.onnx")
    sample = inputs(16, 1, 48, 192)
    with torch.inference_mode():
        expected = telling.eval()(sample)
    for network in (reader(OLD, origins=["RU", "CN"]), other, silent):
        load_exported(network, tmp_path / "old.onnx", sample, OLD)
        with torch.inference_mode():
            assert torch.allclose(network.eval()(sample)[:, :96], expected[:, :96], atol=0.05)
    with torch.inference_mode():
        again = reader(OLD, origins=["RU", "CN"])
        load_exported(again, tmp_path / "old.onnx", sample, OLD)
        assert torch.allclose(again.eval()(sample)[:, 96], expected[:, 96], atol=0.05)
    # Of other countries' layers the first is taken, the second learns anew.
    assert torch.allclose(other.state_dict()["origin.hidden.weight"], telling.state_dict()["origin.hidden.weight"], atol=1e-3)


def test_file_that_tells_no_countries_starts_a_network_that_does(tmp_path: Path) -> None:
    silent, telling = reader(OLD), reader(OLD, origins=["RU", "CN"])
    export_checkpoint(checkpoint(tmp_path, silent), tmp_path / "old.onnx")
    sample = inputs(16, 1, 48, 192)
    start_from(telling, tmp_path / "old.onnx", OLD, lambda: sample)
    with torch.inference_mode():
        assert torch.allclose(telling.eval()(sample)[:, :96], silent.eval()(sample), atol=0.05)
