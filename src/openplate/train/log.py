"""A run's figures in; `log.csv`, `curves.png` and, where wanted, TensorBoard's events out."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

from openplate.errors import ConfigError
from openplate.train.checkpoint import writing
from openplate.train.files import replace_text


class RunLog:
    """The log of a run in `folder` that goes on after `step`: later rows are dropped, so that a resumed run's log equals an unbroken one's.

    Args:
        folder: of the run.
        step: the last that counts.
        tensorboard: write events for TensorBoard into the folder `tensorboard` too.

    Raises:
        ConfigError: events are wanted and the package tensorboard is not installed.
        OpenPlateError: the disk is full.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool = False) -> None:
        self.path = folder / "log.csv"
        self._curves = folder / "curves.png"
        self._events: Any = None
        if tensorboard:
            with writing(folder / "tensorboard"):
                self._events = _event_writer(folder / "tensorboard", step + 1)
        with writing(self.path):
            truncate_log(self.path, step)

    def write(self, row: dict[str, float]) -> None:
        """Adds a row of figures; "step" is one of them.

        Raises:
            OpenPlateError: the disk is full.
        """
        with writing(self.path):
            is_first = not self.path.exists() or self.path.stat().st_size == 0
            with self.path.open("a", newline="") as file:
                writer = csv.DictWriter(file, list(row), lineterminator="\n")
                if is_first:
                    writer.writeheader()
                writer.writerow({k: f"{v:.6g}" for k, v in row.items()})
            draw_curves(self.path, self._curves)
            if self._events is not None:
                for name, value in row.items():
                    if name != "step":
                        self._events.add_scalar(name, value, int(row["step"]))
                self._events.flush()

    def close(self) -> None:
        """Ends the events; a log that is not closed is whole all the same."""
        if self._events is not None:
            self._events.close()


def _event_writer(folder: Path, first_step: int) -> Any:
    """TensorBoard's writer; what an interrupted run wrote from `first_step` on is marked as void."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"tensorboard = true needs the package {error.name}: pip install tensorboard, or leave the key out; log.csv is written anyway"
        ) from None
    return SummaryWriter(str(folder), purge_step=first_step)


def truncate_log(path: Path, step: int) -> None:
    """Drops the rows of a log after `step`, and those that a full disk cut. A log without such rows is not written anew.

    Raises:
        OSError: it cannot be written; the log stays as it was.
    """
    text = path.read_text() if path.exists() else ""
    if text:
        heading, *rows = text.splitlines()
        kept = [row for row in rows if row.count(",") == heading.count(",") and float(row.split(",")[0]) <= step]
        is_whole = rows or text.endswith("\n")  # a heading that was cut would stay without its last columns
        replace_text(path, "".join(f"{line}\n" for line in [heading, *kept]) if is_whole else "")


def draw_curves(log: Path, picture: Path) -> None:
    """One small plot for each column of the log over the steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with log.open() as file:
        rows = list(csv.DictReader(file))
    names = [n for n in rows[0] if n != "step"]
    figure, axes = pyplot.subplots(math.ceil(len(names) / 3), 3, figsize=(12, 3 * math.ceil(len(names) / 3)), squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        axis.plot([float(r["step"]) for r in rows], [float(r[name]) for r in rows], marker=".")
        axis.set_title(name)
        axis.grid(alpha=0.3)
    for axis in list(axes.flat)[len(names) :]:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(picture, dpi=80)
    pyplot.close(figure)
