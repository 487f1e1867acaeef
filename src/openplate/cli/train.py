"""`openplate train NETWORK CONFIG.toml`: train a network, or go on with a training that was interrupted."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("network", type=click.Choice(["reader", "detector", "straightener"]))
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run; default: runs/NAME-OF-CONFIG. A run that is there goes on."
)
def train(network: str, config: Path, out: Path | None) -> None:
    """Train NETWORK as CONFIG says; the folder gets config.json, log.csv, curves.png, last.pt and best.pt.

    Interrupt it at any time: the same command goes on from the last checkpoint, as if it had never stopped.

    Example: openplate train reader configs/reader.toml
    """
    from openplate.train.config import DetectorConfig, ReaderConfig, StraightenerConfig, load_config
    from openplate.train.detector import DetectorTask
    from openplate.train.loop import Task
    from openplate.train.loop import train as run
    from openplate.train.reader import ReaderTask
    from openplate.train.straightener import StraightenerTask

    folder = out or Path("runs") / config.stem
    settings: ReaderConfig | DetectorConfig | StraightenerConfig
    task: Task
    if network == "reader":
        settings = load_config(config, ReaderConfig)
        task = ReaderTask(settings)
    elif network == "detector":
        settings = load_config(config, DetectorConfig)
        task = DetectorTask(settings)
    else:
        settings = load_config(config, StraightenerConfig)
        task = StraightenerTask(settings)
    try:
        best = run(task, settings.loop, settings, folder)
    except KeyboardInterrupt:
        raise click.ClickException(f"interrupted; the same command goes on from {folder / 'last.pt'}") from None
    click.echo(best)
