import sys
from pathlib import Path
from typing import Any

import pytest

from openplate.errors import ConfigError, OpenPlateError
from openplate.sources import read_image
from openplate.train import log
from openplate.train.log import RunLog, draw_curves, truncate_log

ROWS = "step,loss,score\n2,1.5,0.1\n4,1.25,0.2\n6,1,0.3\n"


def test_curves_are_a_picture_of_every_column(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss,score,recall,precision\n1,2,0.1,0.5,0.5\n2,1,0.2,0.6,0.7\n")
    draw_curves(tmp_path / "log.csv", tmp_path / "curves.png")
    assert read_image(tmp_path / "curves.png")[0].image.shape == (480, 960, 3)  # two rows of three, 12 × 6 inches at 80 dots


@pytest.mark.usefixtures("curves")
def test_rows_are_written_with_one_heading(tmp_path: Path) -> None:
    first = RunLog(tmp_path, 0)
    first.write({"step": 2, "loss": 1.5, "score": 0.1})
    first.close()
    RunLog(tmp_path, 2).write({"step": 4, "loss": 1.25, "score": 0.2})
    assert (tmp_path / "log.csv").read_text() == "step,loss,score\n2,1.5,0.1\n4,1.25,0.2\n"


@pytest.mark.usefixtures("curves")
def test_lines_end_alike_in_an_unbroken_and_a_resumed_log(tmp_path: Path) -> None:
    RunLog(tmp_path, 0).write({"step": 2, "loss": 1.5})
    assert (tmp_path / "log.csv").read_bytes() == b"step,loss\n2,1.5\n"
    RunLog(tmp_path, 2).write({"step": 4, "loss": 1.25})
    assert (tmp_path / "log.csv").read_bytes() == b"step,loss\n2,1.5\n4,1.25\n"
    (tmp_path / "log.csv").write_bytes(b"step,loss\r\n2,1.5\r\n")
    RunLog(tmp_path, 2)
    assert (tmp_path / "log.csv").read_bytes() == b"step,loss\n2,1.5\n"


@pytest.mark.parametrize(("step", "kept"), [(6, 4), (5, 3), (4, 3), (1, 1), (0, 1)])
def test_rows_after_the_step_are_dropped(tmp_path: Path, step: int, kept: int) -> None:
    (tmp_path / "log.csv").write_text(ROWS)
    truncate_log(tmp_path / "log.csv", step)
    assert (tmp_path / "log.csv").read_text().splitlines() == ROWS.splitlines()[:kept]


@pytest.mark.parametrize("cut", ["6", "6,1", "6,", ""])
def test_row_that_a_full_disk_cut_is_dropped(tmp_path: Path, cut: str) -> None:
    (tmp_path / "log.csv").write_text(ROWS.removesuffix("6,1,0.3\n") + cut)
    truncate_log(tmp_path / "log.csv", 6)
    assert (tmp_path / "log.csv").read_text().splitlines() == ROWS.splitlines()[:3]


def test_heading_that_a_full_disk_cut_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,lo")
    truncate_log(tmp_path / "log.csv", 6)
    assert (tmp_path / "log.csv").read_bytes() == b""


def test_log_is_written_beside_and_replaced_and_only_when_rows_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened = tmp_path / "log.csv", Path.open
    path.write_text(ROWS)

    def full(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        file = opened(path, mode, *arguments, **named)
        if "w" in mode:
            file.close()  # it is empty now
            raise OSError(28, "No space left on device")
        return file

    monkeypatch.setattr(Path, "open", full)
    RunLog(tmp_path, 6)
    with pytest.raises(OpenPlateError, match=r"log\.csv: cannot be written: No space left on device"):
        RunLog(tmp_path, 4)
    assert path.read_text() == ROWS
    assert [file.name for file in tmp_path.iterdir()] == ["log.csv"]


def test_disk_that_is_full_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log, "draw_curves", full)
    with pytest.raises(OpenPlateError, match=r"log\.csv: cannot be written: No space left on device") as caught:
        RunLog(tmp_path, 0).write({"step": 2, "loss": 1.5})
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("curves")
def test_tensorboard_gets_every_figure_and_a_resumed_run_voids_what_came_after_its_step(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = RunLog(tmp_path, 0, tensorboard=True)
    for step, loss in ((2, 1.5), (4, 1.25), (6, 7.0)):
        first.write({"step": step, "loss": loss, "score": loss / 10})
    first.close()
    resumed = RunLog(tmp_path, 4, tensorboard=True)
    resumed.write({"step": 6, "loss": 1.0, "score": 0.3})
    resumed.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["loss", "score"]
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(2, 1.5), (4, 1.25), (6, 1.0)]
    assert (tmp_path / "log.csv").read_text() == "step,loss,score\n2,1.5,0.15\n4,1.25,0.125\n6,1,0.3\n"


def test_tensorboard_that_is_not_installed_is_named_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith(("torch.utils.tensorboard", "tensorboard"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match="tensorboard = true needs the package tensorboard: pip install tensorboard"):
        RunLog(tmp_path, 0, tensorboard=True)
    assert not (tmp_path / "tensorboard").exists()
