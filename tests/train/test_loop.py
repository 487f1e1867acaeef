import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from openplate.errors import ConfigError, DatasetError, OpenPlateError, WeightsError
from openplate.train.config import LoopConfig, ReaderConfig
from openplate.train.loop import Batch, learning_rate, settle, train
from openplate.train.reader import ReaderTask
from tests.conftest import label
from tests.train.conftest import TinyTask

pytestmark = pytest.mark.usefixtures("curves")


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


def test_best_checkpoint_is_the_averaged_network_of_the_best_score(tmp_path: Path, tiny: LoopConfig) -> None:
    class Worse(TinyTask):
        def validate(self, network: torch.nn.Module) -> dict[str, float]:
            super().validate(network)
            return {"score": -float(self.checks)}

    best = state(train(Worse(), tiny, tiny, tmp_path / "run"))
    assert (best["step"], state(tmp_path / "run/last.pt")["step"], state(tmp_path / "run/last.pt")["best"]) == (2, 6, -1.0)
    train(Worse(), tiny, tiny, tmp_path / "two", stop_after=2)
    average = state(tmp_path / "two/last.pt")["average"]
    assert list(best["network"]) == list(average)
    statistics = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert_same(*({key: value for key, value in one.items() if key not in statistics} for one in (best["network"], average)))


def test_best_checkpoint_has_the_batch_statistics_of_its_own_weights(tmp_path: Path, tiny: LoopConfig) -> None:
    best = state(train(TinyTask(), tiny, tiny, tmp_path))["network"]
    # Four batches settle it: batches are equal, so that the mean of their statistics is what the first layer makes of them all.
    made = [nn.functional.linear(batch["inputs"], best["0.weight"], best["0.bias"]) for batch in TinyTask().settling()]
    assert torch.allclose(best["1.running_mean"], torch.cat(made).mean(dim=0), atol=1e-5)
    assert torch.allclose(best["1.running_var"], torch.stack([one.var(dim=0) for one in made]).mean(dim=0), atol=1e-5)
    assert int(best["1.num_batches_tracked"]) == 4
    average = state(tmp_path / "last.pt")["average"]
    assert not torch.allclose(average["1.running_mean"], best["1.running_mean"], atol=1e-3), "training goes on from its own"


def test_network_without_batch_statistics_needs_no_batches_to_settle(tiny: LoopConfig) -> None:
    class Unsettled(TinyTask):
        def settling(self) -> Iterator[Batch]:
            pytest.fail("nobody needs them")
            yield {}

    network = nn.Linear(4, 1)
    settled = settle(Unsettled(), network, tiny.mixed_precision)
    assert_same(settled.state_dict(), network.state_dict())
    assert settled is not network and not settled.training


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


@pytest.mark.usefixtures("draw_in_thread")
@pytest.mark.parametrize("stops", [(3,), (1, 5)])
def test_reader_that_is_resumed_in_the_midst_of_a_shard_equals_an_unbroken_one_bit_for_bit(
    tmp_path: Path, make_dataset: Callable[..., Path], stops: tuple[int, ...]
) -> None:
    photos = make_dataset(*[[label(f"A{i}", None)] for i in range(6)])
    # A shard of four crops lasts two batches, twice: the first one four steps: two a pass.
    loop = LoopConfig(steps=6, batch=2, validate_every=3, warmup_steps=2, seed=3)
    config = ReaderConfig(
        loop=loop, countries=("ru",), photos=(str(photos),), width=0.25, hidden=8, shard=4, real_share=0.4, easy_steps=4, validation_crops=3
    )
    train(ReaderTask(config), loop, config, tmp_path / "whole")
    for stop in (*stops, None):
        train(ReaderTask(config), loop, config, tmp_path / "parts", stop_after=stop)
    assert state(tmp_path / "parts/last.pt")["step"] == 6
    for name in ("last.pt", "best.pt"):
        assert_same(state(tmp_path / "whole" / name), state(tmp_path / "parts" / name))
    assert (tmp_path / "whole/log.csv").read_text() == (tmp_path / "parts/log.csv").read_text()


@pytest.fixture
def of_a_run(tmp_path: Path, tiny: LoopConfig) -> ReaderConfig:
    """The config of a run in `tmp_path` that was interrupted after its first step."""
    config = ReaderConfig(loop=tiny, countries=("RU",), photos=("a",))
    train(TinyTask(), tiny, config, tmp_path, stop_after=1)
    return config


def test_what_differs_from_the_run_so_far_is_said_when_it_goes_on(
    tmp_path: Path, tiny: LoopConfig, of_a_run: ReaderConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = replace(tiny, seed=4, batch=16, drawers=5, checkpoint_minutes=9.0, start_from="base.pt")
    other = replace(of_a_run, loop=loop, shard=640, passes=1, photos=("a", "b"), countries=())
    train(TinyTask(), loop, other, tmp_path, stop_after=2)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "goes on" in line]
    assert line == (
        f"goes on from {tmp_path / 'last.pt'}, and not as an unbroken run would: loop.batch was 8, now it is 16; loop.seed was 3, now it is 4; "
        "countries was ['RU'], now it is []; photos was ['a'], now it is ['a', 'b']; shard was 12800, now it is 640; passes was 2, now it is 1"
    )
    train(TinyTask(), loop, other, tmp_path, stop_after=3)
    assert "goes on" not in capsys.readouterr().err, "it is the run so far by now"


def test_nothing_is_said_where_a_run_goes_on_as_it_began_or_has_ended(
    tmp_path: Path, tiny: LoopConfig, of_a_run: ReaderConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = replace(tiny, drawers=2, tensorboard=False)
    train(TinyTask(), loop, replace(of_a_run, loop=loop), tmp_path)
    train(TinyTask(), replace(tiny, seed=9), replace(of_a_run, loop=replace(tiny, seed=9)), tmp_path)
    assert "goes on" not in capsys.readouterr().err


def test_older_checkpoint_without_its_config_goes_on_and_nothing_is_said(
    tmp_path: Path, tiny: LoopConfig, of_a_run: ReaderConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    older = state(tmp_path / "last.pt")
    del older["config"]
    torch.save(older, tmp_path / "last.pt")
    train(TinyTask(), replace(tiny, seed=9), replace(of_a_run, loop=replace(tiny, seed=9)), tmp_path)
    assert "goes on" not in capsys.readouterr().err
    assert state(tmp_path / "last.pt")["step"] == 6


def test_config_of_the_run_stays_out_of_the_best_checkpoint(tmp_path: Path, tiny: LoopConfig) -> None:
    best = train(TinyTask(), tiny, ReaderConfig(loop=tiny, photos=("/secret/place/streets",)), tmp_path)
    assert state(tmp_path / "last.pt")["config"]["photos"] == ["/secret/place/streets"]
    assert b"secret" not in best.read_bytes()


def test_task_says_of_its_data_before_anything_is_written(tmp_path: Path, tiny: LoopConfig, capsys: pytest.CaptureFixture[str]) -> None:
    class Describes(TinyTask):
        def __init__(self, said: str | DatasetError) -> None:
            super().__init__()
            self.said = said

        def describe_data(self) -> str:
            if isinstance(self.said, DatasetError):
                raise self.said
            return self.said

    with pytest.raises(DatasetError, match="none of 3"):
        train(Describes(DatasetError("none of 3")), tiny, tiny, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    train(Describes("2 of 3 are used"), tiny, tiny, tmp_path / "run", stop_after=1)
    train(Describes(""), tiny, tiny, tmp_path / "run", stop_after=2)
    assert capsys.readouterr().err.splitlines().count("2 of 3 are used") == 1


def test_dropout_really_takes_part(tmp_path: Path, tiny: LoopConfig) -> None:
    for seed in (3, 4):
        train(TinyTask(), replace(tiny, seed=seed), tiny, tmp_path / str(seed))
    first, second = (state(tmp_path / name / "last.pt")["network"]["0.weight"] for name in ("3", "4"))
    assert not torch.equal(first, second)


def test_finished_training_does_nothing_more_and_says_so(tmp_path: Path, tiny: LoopConfig, capsys: pytest.CaptureFixture[str]) -> None:
    train(TinyTask(), tiny, tiny, tmp_path)
    log, task = (tmp_path / "log.csv").read_text(), TinyTask()
    assert "ended already" not in capsys.readouterr().err
    train(task, tiny, tiny, tmp_path)
    assert task.checks == 0
    assert f"ended already at step {tiny.steps}; for more: --set loop.steps={2 * tiny.steps}" in capsys.readouterr().err
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

    def half(path: Path, content: memoryview) -> int:
        path.write_text("half a checkpoint")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half)
        with pytest.raises(OpenPlateError, match=r"\.pt: cannot be written: No space left on device; .* The last checkpoint is whole"):
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


@pytest.mark.parametrize(("before", "after"), [({"origins": ["RU", "KZ"]}, {}), ({}, {"origins": ["RU", "KZ"]})])
def test_run_that_begins_or_ends_to_tell_countries_is_said_to_differ_in_it(
    tmp_path: Path, tiny: LoopConfig, before: dict[str, object], after: dict[str, object]
) -> None:
    first, second = TinyTask(), TinyTask()
    first.settings |= before
    second.settings |= after
    second.network = torch.nn.Linear(4, 1)
    train(first, tiny, tiny, tmp_path, stop_after=1)
    said = "tell_countries was set, now it is not" if before else "tell_countries is set, it was not"
    with pytest.raises(ConfigError, match=f"does not fit this config: {said}; go on with the config it began with"):
        train(second, tiny, tiny, tmp_path)


def test_settings_that_an_older_file_lacks_are_no_fault_where_its_network_fits(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path, stop_after=1)
    task = TinyTask()
    task.settings |= {"network": "crnn"}
    train(task, tiny, tiny, tmp_path)
    assert state(tmp_path / "last.pt")["step"] == 6


def test_start_that_is_missing_gives_error(tmp_path: Path, tiny: LoopConfig) -> None:
    with pytest.raises(WeightsError, match=r"none\.pt: expected a checkpoint .* found no such file"):
        train(TinyTask(), replace(tiny, start_from=str(tmp_path / "none.pt")), tiny, tmp_path / "run")


def test_resumed_training_needs_its_start_no_more(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path / "base")
    config = replace(tiny, start_from=str(tmp_path / "base/best.pt"))
    train(TinyTask(), config, config, tmp_path / "run", stop_after=2)
    (tmp_path / "base/best.pt").unlink()
    train(TinyTask(), config, config, tmp_path / "run")
    assert state(tmp_path / "run/last.pt")["step"] == 6


class Scores(TinyTask):
    """Validations give these scores, one after another."""

    def __init__(self, *scores: float) -> None:
        super().__init__()
        self.scores = list(scores)

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        super().validate(network)
        return {"score": self.scores[self.checks - 1]}


def test_training_ends_when_the_score_gets_no_better_for_as_long_as_patience_says(
    tmp_path: Path, tiny: LoopConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(tiny, steps=20, patience=2)
    task = Scores(0.5, 0.7, 0.7, 0.6, 0.9)  # after steps 2, 4, 6, 8: the second is the best, the fourth the second without a better one
    best = state(train(task, config, config, tmp_path))
    assert (task.checks, best["step"], state(tmp_path / "last.pt")["step"]) == (4, 4, 8)
    again = Scores(0.9)
    train(again, config, config, tmp_path)
    assert again.checks == 0
    assert "ended already at step 8; for more: --set loop.patience=0" in capsys.readouterr().err
    train(Scores(0.9, 0.8, 0.8, 0.8, 0.8), replace(config, patience=4), config, tmp_path)  # more patience: it goes on
    assert (state(tmp_path / "best.pt")["step"], state(tmp_path / "last.pt")["step"]) == (10, 18)


@pytest.mark.parametrize("stop", [3, 6, 7])
def test_patience_is_kept_over_an_interruption(tmp_path: Path, tiny: LoopConfig, stop: int) -> None:
    config = replace(tiny, steps=20, patience=2)
    scores = (0.5, 0.7, 0.7, 0.6, 0.9)
    train(Scores(*scores), config, config, tmp_path / "whole")
    train(Scores(*scores), config, config, tmp_path / "parts", stop_after=stop)
    train(Scores(*scores[stop // 2 :]), config, config, tmp_path / "parts")
    assert_same(state(tmp_path / "whole/last.pt"), state(tmp_path / "parts/last.pt"))
    assert (tmp_path / "whole/log.csv").read_text() == (tmp_path / "parts/log.csv").read_text()


def test_gradients_are_clipped_to_the_norm(tmp_path: Path, tiny: LoopConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []

    class Watched(torch.optim.AdamW):
        def step(self, closure: Any = None) -> None:
            gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"]]
            norms.append(float(torch.cat(gradients).norm()))
            super().step()

    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    train(TinyTask(), replace(tiny, clip_norm=0.01), tiny, tmp_path)
    assert len(norms) == 6 and max(norms) == pytest.approx(0.01, rel=1e-3)


def test_average_follows_the_network_with_its_decay(tmp_path: Path, tiny: LoopConfig) -> None:
    train(TinyTask(), tiny, tiny, tmp_path / "one", stop_after=1)
    train(TinyTask(), tiny, tiny, tmp_path / "two", stop_after=2)
    one, two = (state(tmp_path / name / "last.pt") for name in ("one", "two"))
    # The decay of the second step is (1 + 2) / (10 + 2), as 0.9 would keep too much of the start.
    expected = 0.25 * one["average"]["0.weight"] + 0.75 * two["network"]["0.weight"]
    assert torch.allclose(two["average"]["0.weight"], expected, atol=1e-6)


@pytest.mark.parametrize(("key", "value"), [("width", 8), ("network", "lprnet")])
def test_run_of_other_settings_is_not_gone_on_with(tmp_path: Path, tiny: LoopConfig, key: str, value: object) -> None:
    first = TinyTask()
    first.settings = {"width": 16, "network": "crnn"}
    train(first, tiny, tiny, tmp_path, stop_after=1)
    task = TinyTask()
    task.settings = {**first.settings, key: value}
    with pytest.raises(ConfigError, match=f"does not fit this config: {key} was .*, now it is {value!r}; go on with the config it began with"):
        train(task, tiny, tiny, tmp_path)


def test_memory_that_is_full_gives_error_with_what_to_lower(tmp_path: Path, tiny: LoopConfig) -> None:
    class Large(TinyTask):
        def loss(self, network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    with pytest.raises(ConfigError, match="the memory of cpu is full at batch = 8; lower it"):
        train(Large(), tiny, tiny, tmp_path)
