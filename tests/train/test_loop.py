import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from openplate.errors import ConfigError, WeightsError
from openplate.sources import read_image
from openplate.train import loop
from openplate.train.config import LoopConfig, ReaderConfig
from openplate.train.loop import draw_curves, learning_rate, load_weights, train
from tests.train.conftest import TinyTask


def state(path: Path) -> dict[str, Any]:
    return dict(torch.load(path, weights_only=True))


def assert_same(first: Any, second: Any) -> None:
    """Bit for bit."""
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, list):
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert_same(a, b)
    else:
        assert first == second


@pytest.fixture(autouse=True)
def curves(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pictures that would have been drawn: matplotlib takes far longer than these trainings."""
    pictures: list[Path] = []
    monkeypatch.setattr(loop, "draw_curves", lambda _, picture: pictures.append(picture))
    return pictures


def test_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    config = LoopConfig(steps=100, warmup_steps=20, learning_rate=0.4)
    assert [learning_rate(step, config) for step in (0, 9, 19, 20)] == pytest.approx([0.02, 0.2, 0.4, 0.4])
    # A third, a half and two thirds of the way down: (1 + cos 60°) / 2 = 0.75, 0.5 and 0.25.
    assert [learning_rate(20 + round(80 * part), config) for part in (0.25, 0.5, 0.75)] == pytest.approx(
        [0.4 * 0.853553, 0.2, 0.4 * 0.146447], rel=1e-5
    )
    assert learning_rate(100, config) == pytest.approx(0, abs=1e-12)
    assert learning_rate(150, config) == pytest.approx(0, abs=1e-12)


def test_learning_rate_without_warm_up_starts_at_its_peak() -> None:
    assert learning_rate(0, LoopConfig(steps=10, warmup_steps=0, learning_rate=0.1)) == pytest.approx(0.1)


def test_training_leaves_config_log_curves_and_checkpoints(tmp_path: Path, tiny: LoopConfig, curves: list[Path]) -> None:
    best = train(TinyTask(), tiny, ReaderConfig(loop=tiny), tmp_path / "run")
    assert best == tmp_path / "run" / "best.pt"
    assert sorted(p.name for p in best.parent.iterdir()) == ["best.pt", "config.json", "last.pt", "log.csv"]
    assert curves == [best.parent / "curves.png"] * 3
    assert json.loads((best.parent / "config.json").read_text())["loop"]["steps"] == 6
    rows = list(csv.DictReader((best.parent / "log.csv").open()))
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert list(rows[0]) == ["step", "learning_rate", "loss", "twice", "error", "score"]
    # Steps 0 and 1 warm up to 0.05, then a cosine over four steps: half of it is left after two.
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([0.05, 0.025, 0.0], abs=1e-6)
    assert all(float(row["twice"]) == pytest.approx(2 * float(row["loss"]), rel=1e-4) for row in rows)
    assert (state(best)["kind"], state(best)["settings"]) == ("tiny", {"width": 16})


def test_curves_are_a_picture_of_every_column(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss,score,recall,precision\n1,2,0.1,0.5,0.5\n2,1,0.2,0.6,0.7\n")
    draw_curves(tmp_path / "log.csv", tmp_path / "curves.png")
    assert read_image(tmp_path / "curves.png")[0].image.shape == (480, 960, 3)  # two rows of three, 12 × 6 inches at 80 dots


def test_best_checkpoint_is_the_averaged_network_of_the_best_score(tmp_path: Path, tiny: LoopConfig) -> None:
    class Worse(TinyTask):
        def validate(self, network: torch.nn.Module) -> dict[str, float]:
            super().validate(network)
            return {"score": -float(self.checks)}

    best = state(train(Worse(), tiny, tiny, tmp_path / "run"))
    assert (best["step"], state(tmp_path / "run/last.pt")["step"], state(tmp_path / "run/last.pt")["best"]) == (2, 6, -1.0)
    train(Worse(), tiny, tiny, tmp_path / "two", stop_after=2)
    assert_same(best["network"], state(tmp_path / "two/last.pt")["average"])


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_resumed_training_equals_an_unbroken_one_bit_for_bit(tmp_path: Path, tiny: LoopConfig, stop: int) -> None:
    torch.manual_seed(111)
    train(TinyTask(), tiny, tiny, tmp_path / "whole")
    train(TinyTask(), tiny, tiny, tmp_path / "parts", stop_after=stop)
    assert state(tmp_path / "parts/last.pt")["step"] == stop
    torch.manual_seed(222)  # another process would have another state
    train(TinyTask(), tiny, tiny, tmp_path / "parts")
    whole, parts = (state(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert whole["step"] == 6
    assert_same(whole, parts)
    assert_same(state(tmp_path / "whole/best.pt"), state(tmp_path / "parts/best.pt"))
    assert (tmp_path / "whole/log.csv").read_text() == (tmp_path / "parts/log.csv").read_text()


def test_dropout_really_takes_part(tmp_path: Path, tiny: LoopConfig) -> None:
    for seed in (3, 4):
        train(TinyTask(), replace(tiny, seed=seed), tiny, tmp_path / str(seed))
    first, second = (state(tmp_path / name / "last.pt")["network"]["0.weight"] for name in ("3", "4"))
    assert not torch.equal(first, second)


def test_finished_training_does_nothing_more(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path)
    log, task = (tmp_path / "log.csv").read_text(), TinyTask()
    train(task, tiny, tiny, tmp_path)
    assert task.checks == 0
    assert (tmp_path / "log.csv").read_text() == log


def test_log_rows_after_the_checkpoint_are_dropped(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path)
    log = (tmp_path / "log.csv").read_text()
    (tmp_path / "last.pt").unlink()  # killed after logging, before the first checkpoint was whole
    train(TinyTask(), tiny, tiny, tmp_path)
    assert (tmp_path / "log.csv").read_text() == log


@pytest.mark.parametrize(("device", "message"), [("cuda", 'set device = "cpu"'), ("banana", 'expected "cpu" or "cuda", got \'banana\'')])
def test_device_that_is_not_there_gives_error(tmp_path: Path, tiny: LoopConfig, monkeypatch: pytest.MonkeyPatch, device: str, message: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=message):
        train(TinyTask(), replace(tiny, device=device), tiny, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_loss_that_is_no_number_gives_error_with_its_step_and_keeps_the_checkpoint(tmp_path: Path, tiny: LoopConfig) -> None:
    with pytest.raises(ConfigError, match="the loss is nan at step 4; lower learning_rate"):
        train(TinyTask(spoil_at=4), tiny, tiny, tmp_path)
    assert state(tmp_path / "last.pt")["step"] == 4
    assert all(torch.isfinite(v).all() for v in state(tmp_path / "last.pt")["network"].values())


@pytest.mark.parametrize("validate_every", [2, 6])
def test_disk_that_is_full_while_saving_keeps_the_checkpoints_before(
    tmp_path: Path, tiny: LoopConfig, monkeypatch: pytest.MonkeyPatch, validate_every: int
) -> None:
    # After step 4 comes the best checkpoint of a validation, or the last checkpoint, as the time for one is over.
    config = replace(tiny, validate_every=validate_every, checkpoint_minutes=0.0)
    train(TinyTask(), config, config, tmp_path, stop_after=3)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")}

    def half(_: object, path: Path) -> None:
        path.write_bytes(before["last.pt"][: len(before["last.pt"]) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(OSError, match="No space left"):
            train(TinyTask(), config, config, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")} == before
    assert list(tmp_path.glob("*.partial")) == []
    train(TinyTask(), config, config, tmp_path)
    train(TinyTask(), config, config, tmp_path / "whole")
    assert_same(state(tmp_path / "last.pt"), state(tmp_path / "whole/last.pt"))
    assert (tmp_path / "log.csv").read_text() == (tmp_path / "whole/log.csv").read_text()


def test_half_written_file_of_a_killed_run_is_in_nobody_s_way(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path, stop_after=3)
    (tmp_path / "last.partial").write_bytes(b"half")
    train(TinyTask(), tiny, tiny, tmp_path)
    assert state(tmp_path / "last.pt")["step"] == 6


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut"])
def test_last_checkpoint_that_cannot_be_read_gives_error(tmp_path: Path, tiny: LoopConfig, content: bytes) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"last\.pt: expected a checkpoint of openplate train"):
        train(TinyTask(), tiny, tiny, tmp_path)


def test_last_checkpoint_of_another_network_gives_error(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path, stop_after=1)
    task = TinyTask()
    task.network = torch.nn.Linear(4, 1)
    with pytest.raises(ConfigError, match="does not fit this config"):
        train(task, tiny, tiny, tmp_path)


def test_training_starts_from_the_averaged_weights_of_a_checkpoint(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path)
    network = TinyTask().network
    load_weights(network, tmp_path / "last.pt")
    assert_same(dict(network.state_dict()), dict(state(tmp_path / "last.pt")["average"]))
    load_weights(network, tmp_path / "best.pt")
    assert_same(dict(network.state_dict()), dict(state(tmp_path / "best.pt")["network"]))


def test_weights_of_another_shape_keep_their_start_values(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path)
    larger = torch.nn.Sequential(*list(TinyTask().network.children())[:4], torch.nn.Linear(16, 2))
    own = {key: value.clone() for key, value in larger.state_dict().items()}
    load_weights(larger, tmp_path / "best.pt")
    assert torch.equal(larger.state_dict()["4.weight"], own["4.weight"])
    assert torch.equal(larger.state_dict()["0.weight"], state(tmp_path / "best.pt")["network"]["0.weight"])


def test_start_that_is_missing_or_fits_nothing_gives_error(tmp_path: Path, tiny: LoopConfig) -> None:
    with pytest.raises(WeightsError, match=r"none\.pt: expected a checkpoint .* found no such file"):
        train(TinyTask(), replace(tiny, start_from=str(tmp_path / "none.pt")), tiny, tmp_path / "run")
    train(TinyTask(), tiny, tiny, tmp_path)
    with pytest.raises(ConfigError, match="fits this network"):
        load_weights(torch.nn.Linear(3, 3), tmp_path / "best.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(WeightsError, match="damaged or something else"):
        load_weights(TinyTask().network, tmp_path / "text.pt")


def test_resumed_training_needs_its_start_no_more(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path / "base")
    config = replace(tiny, start_from=str(tmp_path / "base/best.pt"))
    train(TinyTask(), config, config, tmp_path / "run", stop_after=2)
    (tmp_path / "base/best.pt").unlink()
    train(TinyTask(), config, config, tmp_path / "run")
    assert state(tmp_path / "run/last.pt")["step"] == 6
