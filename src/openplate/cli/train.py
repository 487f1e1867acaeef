"""`openplate train NETWORK CONFIG.toml`: train a network, or go on with a training that was interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import click

from openplate.cli import INTERRUPTED


@click.command()
@click.argument("network", type=click.Choice(["reader", "detector", "straightener", "end-to-end"]))
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run; default: runs/NAME-OF-CONFIG. A run that is there goes on."
)
@click.option(
    "--from",
    "weights",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="WEIGHTS",
    help="Start from a checkpoint (.pt) or an exported network (.onnx), also onto a larger charset.",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a key of CONFIG for this run, e.g. loop.steps=2000. Repeatable.")
@click.pass_context
def train(ctx: click.Context, network: str, config: Path, out: Path | None, weights: Path | None, changes: tuple[str, ...]) -> None:
    """Train NETWORK as CONFIG says; the folder gets config.json, log.csv, curves.png, last.pt and best.pt.

    Interrupt it at any time: the same command goes on from the last checkpoint, as if it had never stopped (to the last bit on the CPU).

    \b
    Example: openplate train reader configs/reader.toml
    Example: openplate train reader my-country.toml --from reader.onnx --set loop.steps=2000
    Example: torchrun --nproc-per-node 4 -m openplate train reader configs/reader.toml --set loop.device=cuda
    """
    from openplate.train.config import DetectorConfig, EndToEndConfig, ReaderConfig, StraightenerConfig, check_sources, load_config
    from openplate.train.detector import DetectorTask
    from openplate.train.end_to_end import EndToEndTask
    from openplate.train.loop import Task
    from openplate.train.loop import train as run
    from openplate.train.processes import find_place, take_share
    from openplate.train.reader import ReaderTask
    from openplate.train.straightener import StraightenerTask

    folder = out or Path("runs") / config.stem
    place = find_place()
    if weights is not None:
        changes = (*changes, f"loop.start_from={json.dumps(str(weights), ensure_ascii=False)}")
        if (folder / "last.pt").exists() and place.first:
            click.echo(f"goes on from {folder / 'last.pt'}; {weights} is not read again", err=True)
    settings: ReaderConfig | DetectorConfig | StraightenerConfig | EndToEndConfig
    task: Task
    if network == "reader":
        settings = load_config(config, ReaderConfig, changes)
        check_sources(settings)
        task = ReaderTask(take_share(settings, place))
    elif network == "detector":
        settings = load_config(config, DetectorConfig, changes)
        check_sources(settings)
        task = DetectorTask(take_share(settings, place))
    elif network == "end-to-end":
        settings = load_config(config, EndToEndConfig, changes)
        check_sources(settings)
        task = EndToEndTask(take_share(settings, place))
    else:
        settings = load_config(config, StraightenerConfig, changes)
        check_sources(settings)
        task = StraightenerTask(take_share(settings, place))
    try:
        best = run(task, take_share(settings, place).loop, settings, folder, place=place)
    except KeyboardInterrupt:
        there = (folder / "last.pt").exists()
        said = f"goes on from {folder / 'last.pt'}" if there else "starts anew; there was no checkpoint yet"
        click.echo(f"interrupted; the same command {said}", err=True)
        ctx.exit(INTERRUPTED)
    if place.first:
        click.echo(best)
