"""Clips in; how long the way from the file to the sightings takes out, against real time and against decoding alone. One thread for the networks.

Example: python bench/video_speed.py gate.mp4 --country ru
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import cv2

from openplate.evaluate.video import ClipRun, watch_clip
from openplate.pipeline import Pipeline

HEADING = (
    "clip              frames  ms a frame  processor ms  × real time  at 25 fps  × decoding  detector, straightener, reader runs a second of video"
)


@click.command()
@click.argument("clips", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--country", default="", metavar="CODES", help="Countries to expect, e.g. ru,kz.")
@click.option(
    "--runs",
    default=3,
    show_default=True,
    type=click.IntRange(1),
    help="How often each clip is watched; the run that took the processor least counts.",
)
@click.option("--engine", default="auto", show_default=True, metavar="NAME")
@click.option("--precision", default="auto", show_default=True, metavar="NAME")
def speed(clips: tuple[Path, ...], country: str, runs: int, engine: str, precision: str) -> None:
    """Watch CLIPs (without any, two drawn ones) and print what it takes."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(country=country or None, engine=engine, precision=precision, threads=1)
        click.echo(HEADING)
        for path in clips or draw_clips(Path(folder)):
            fastest = min((watch_clip(pipeline, path) for _ in range(runs)), key=lambda run: run.watch_cpu_s)
            click.echo(row(path.name, fastest))
        click.echo(f"engine: {pipeline.engine}", err=True)


def row(name: str, run: ClipRun) -> str:
    """One line of the table. The processor's time hardly depends on what else the machine does; all else is by the clock."""
    counts, plays_s = run.counts, run.plays_s
    per_s = " ".join(f"{value / plays_s:.1f}" for value in (counts.detector_runs, counts.straightener_runs, counts.reader_runs))
    frame_ms, processor_ms = (1000 * value / counts.frames for value in (run.watch_s, run.watch_cpu_s))
    speeds = f"{plays_s / run.watch_s:11.1f}  {40 / frame_ms:9.1f}  {run.watch_s / run.decode_s:10.1f}"
    return f"{name:16.16}  {counts.frames:6d}  {frame_ms:10.2f}  {processor_ms:12.2f}  {speeds}  {per_s}"


def draw_clips(folder: Path) -> list[Path]:
    """Drawn clips of 1280×720: traffic before a still camera, and before a shaken one."""
    from openplate.formats import load_formats, select
    from openplate.synthesize.sequences import SequenceSettings, write_sequences

    paths = []
    for name, situations in (("still", ("approach", "recede", "parked", "texts")), ("shaken", ("approach", "stop", "shake", "texts"))):
        settings = SequenceSettings(seconds=12, situations=situations)
        write_sequences(folder / name, select(load_formats(), ["ru"]), 1, 0, (), settings, False, lambda _: None)
        paths.append((folder / name / "000.mp4").rename(folder / f"{name}.mp4"))
    return paths


if __name__ == "__main__":
    speed()
