"""A clip in, played again and again; how the memory of watching grows out. Exits with 1 when it grows by more than it may.

Example: python bench/soak.py gate.mp4 --country ru --frames 100000
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click

from openplate.pipeline import Pipeline
from openplate.streams import StreamSettings, open_stream
from openplate.watch import Watcher

SETTLED_FRAMES = 5_000
ALLOWED_MB = 20.0


@click.command()
@click.argument("clip", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--frames", default=100_000, show_default=True, type=click.IntRange(1), help="Frames to watch.")
@click.option("--country", default="", metavar="CODES", help="Countries to expect, e.g. ru,kz.")
@click.option("--every", default=5_000, show_default=True, type=click.IntRange(1), help="Frames between two lines.")
def soak(clip: Path | None, frames: int, country: str, every: int) -> None:
    """Watch CLIP in a loop (without one, a drawn clip of 20 seconds) and print the memory in use."""
    with tempfile.TemporaryDirectory() as folder:
        path = clip or draw_clip(Path(folder))
        watcher = Watcher(Pipeline(country=country) if country else Pipeline())
        settled_mb: float | None = None
        seen = closed = 0
        began = time.perf_counter()
        click.echo("frames  memory MB  grown MB  frames/s  sightings closed")
        with open_stream(str(path), StreamSettings(loop=0)) as stream:
            for frame in stream:
                closed += sum(event.state == "closed" for event in watcher.feed(frame))
                seen += 1
                if seen == SETTLED_FRAMES:
                    settled_mb = memory_mb()
                if seen % every == 0 or seen == frames:
                    grown = "-" if settled_mb is None else f"{memory_mb() - settled_mb:.1f}"
                    click.echo(f"{seen:6d}  {memory_mb():9.1f}  {grown:>8}  {seen / (time.perf_counter() - began):8.1f}  {closed:16d}")
                if seen == frames:
                    break
        watcher.close()
    if settled_mb is not None and memory_mb() - settled_mb > ALLOWED_MB:
        click.echo(f"memory grew by more than {ALLOWED_MB:.0f} MB after frame {SETTLED_FRAMES}", err=True)
        sys.exit(1)


def memory_mb() -> float:
    """Memory that this process holds now (resident set), in 10⁶ bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise click.ClickException("the kernel does not tell how much memory is in use; run this on Linux")


def draw_clip(folder: Path) -> Path:
    """A drawn clip with traffic, parked vehicles and texts."""
    from openplate.formats import load_formats, select
    from openplate.synthesize.sequences import SequenceSettings, write_sequences

    settings = SequenceSettings(seconds=20, situations=("approach", "recede", "parked", "texts"))
    write_sequences(folder, select(load_formats(), ["ru"]), 1, 0, (), settings, False, lambda _: None)
    return folder / "000.mp4"


if __name__ == "__main__":
    soak()
