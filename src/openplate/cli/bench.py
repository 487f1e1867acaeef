"""`openplate bench`: how long the whole flow takes on photos, or a network alone, for the engines, precisions, threads and batch sizes asked for."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from openplate.errors import OpenPlateError
from openplate.evaluate.bench import JSON_VERSION, Case, Setup, pipeline_table, setups, side_by_side
from openplate.evaluate.bench import bench as measure
from openplate.evaluate.bench_network import NetworkSetup, bench_networks, network_setups, network_table
from openplate.sources import write_image
from openplate.types import MODELS

S = TypeVar("S", Setup, NetworkSetup)

_SCENE_PX = (1920, 1080)
_PHOTO_NOTE = "milliseconds a photo: median (95th percentile); imdecode is OpenCV decoding the same bytes, ratio is total / imdecode"
_NETWORK_NOTE = "milliseconds an image, the network alone; memory is the largest resident size of a process with Python, the engine and this network"


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[MODEL.onnx...|PHOTO...]")
@click.option("--runs", default=50, show_default=True, type=click.IntRange(min=1), help="How often each photo, or a batch, is measured.")
@click.option("--warm-up", default=5, show_default=True, type=click.IntRange(min=0), help="How often it is read before.")
@click.option("--engine", "engines", multiple=True, metavar="NAME", help="Repeatable. Default: auto for photos, every installed one for a MODEL.")
@click.option("--precision", "precisions", multiple=True, metavar="NAME", help="Repeatable. Default: auto; for a MODEL also fp32.")
@click.option("--threads", multiple=True, default=[1], show_default=True, type=click.IntRange(min=1), help="Repeatable.")
@click.option("--batch", "batches", multiple=True, default=[1], show_default=True, type=click.IntRange(min=1), help="Images at once. Repeatable.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda, gpu, ...")
@click.option("--size", metavar="WxH", help="A MODEL that takes any size: that of the photo. Default: a prepared photo of 1920x1080.")
@click.option("--detector", type=click.Path(path_type=Path), help="Photos: another detector (.onnx) instead of the shipped one.")
@click.option("--reader", type=click.Path(path_type=Path), help="Photos: another reader (.onnx) instead of the shipped one.")
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS), help="Photos: how they are read. Repeatable.  [default: two-stage]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--store", type=click.Path(dir_okay=False, path_type=Path), help="A MODEL: add its times to this file (JSON) of results.")
@click.option("--name", default="", help="With --store: what tables call the MODEL. Default: the file's name.")
@click.option("--note", default="", help="With --store: what tables say of it.")
@click.pass_context
def bench(
    ctx: click.Context,
    paths: tuple[Path, ...],
    runs: int,
    warm_up: int,
    engines: tuple[str, ...],
    precisions: tuple[str, ...],
    threads: tuple[int, ...],
    batches: tuple[int, ...],
    device: str,
    size: str | None,
    detector: Path | None,
    reader: Path | None,
    models: tuple[str, ...],
    as_json: bool,
    store: Path | None,
    name: str,
    note: str,
) -> None:
    """Measure milliseconds: of a network file alone (MODEL.onnx), or of the whole flow on PHOTOs, by stage.

    Without either, two drawn streets of 1920×1080 are read: one with exactly one plate, and one with several.

    Example: openplate bench reader.onnx --batch 1 --batch 8 --runs 100 --threads 1
    """
    for path in paths:
        if path.suffix.lower() == ".pt":
            raise click.UsageError(f"{path}: expected a network (.onnx) or photos, got a checkpoint; export it with openplate export")
    networks = [path for path in paths if path.suffix.lower() == ".onnx"]
    if networks and len(networks) < len(paths):
        raise click.UsageError("expected networks (.onnx) or photos, got both")
    if store and len(networks) != 1:
        raise click.UsageError("--store keeps the results of one network: expected one MODEL.onnx")
    facts = None
    if store:
        from openplate.evaluate.model_results import results_of, store_results
        from openplate.export.size import network_facts

        facts = network_facts(networks[0], name, note)
        results_of(store, facts)
    if networks and models:
        raise click.UsageError("--model says how photos are read: leave it out, or leave out the MODEL.onnx")
    if networks:
        wanted = network_setups(networks, engines, precisions, threads, batches, device=device, size=_size(size))
        found = bench_networks(_told([(Path(setup.network).name, setup) for setup in wanted]), runs=runs, warm_up=warm_up)
        _print([o.as_json() for o in found], network_table(found), _NETWORK_NOTE, as_json)
        failed = any(o.error for o in found)
        if store and facts:
            store_results(store, facts, speeds=found)
            click.echo(f"stored: {store}", err=True)
    else:
        if size:
            raise click.UsageError("--size belongs to a MODEL.onnx")
        given: dict[str, Any] = {"device": device, "detector": detector, "reader": reader, "models": models or MODELS[:1]}
        chosen = setups(engines or ["auto"], precisions or ["auto"], threads, batches, **given)
        with tempfile.TemporaryDirectory() as folder:
            if not paths:
                click.echo("drawing two streets", err=True)
            cases = [_case(paths)] if paths else draw_cases(Path(folder))
            rows = [(case, setup) for case in cases for setup in chosen]
            told = _told([(case.name, setup) for case, setup in rows])
            outcomes = [
                outcome for (case, _), setup in zip(rows, told, strict=True) for outcome in measure([setup], [case], runs=runs, warm_up=warm_up)
            ]
        _print([o.as_json() for o in outcomes], pipeline_table(outcomes), _PHOTO_NOTE, as_json)
        failed = any(o.error for o in outcomes)
    if failed:
        ctx.exit(1)


def draw_cases(folder: Path) -> list[Case]:
    """Two drawn streets as JPEG files in the folder, with Russian plates of the common type: the first has exactly one, the second three.

    Raises:
        OpenPlateError: what draws scenes is not installed.
    """
    try:
        from openplate.formats import load_formats, select
        from openplate.synthesize.scenes import draw_scene
    except ImportError as error:
        raise OpenPlateError(f"scenes cannot be drawn here ({error}); name a photo, or pip install 'openplate[synthesize]'") from None
    common = [replace(f, types=(max(f.types, key=lambda t: t.weight),)) for f in select(load_formats(), ["RU"])]
    cases = []
    for vehicles in (1, 3):
        # A seed whose plate would reach out of the picture leaves it out.
        drawn = (draw_scene(seed, *_SCENE_PX, common, vehicles=vehicles) for seed in range(1, 100))
        image, plates = next((image, plates) for image, plates in drawn if len(plates) == vehicles)
        path = folder / f"{len(plates)}.jpg"
        write_image(path, image)
        cases.append(Case(f"drawn street, {len(plates)} plate{'s' * (len(plates) > 1)}", (path,)))
    return cases


def _told(rows: Sequence[tuple[str, S]]) -> Iterator[S]:
    """Each setup when it is its turn, after a line on stderr that says so; each comes with the name of what is measured."""
    for number, (name, setup) in enumerate(rows, 1):
        threads = f"{setup.threads} thread{'s' * (setup.threads > 1)}"
        model = f"{setup.model}, " if isinstance(setup, Setup) and setup.model != MODELS[0] else ""
        click.echo(f"measuring {number} of {len(rows)}: {name}, {model}{setup.engine}, {setup.precision}, {threads}, batch {setup.batch}", err=True)
        yield setup


def _case(photos: Sequence[Path]) -> Case:
    return Case(photos[0].name if len(photos) == 1 else f"{len(photos)} photos", tuple(photos))


def _print(setups: list[dict[str, object]], table: Sequence[Sequence[str]], note: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"version": JSON_VERSION, "setups": setups}, ensure_ascii=False, indent=2))
    else:
        click.echo(side_by_side(table))
        click.echo(note, err=True)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, separator, height = text.lower().partition("x")
    if not (separator and width.isdigit() and height.isdigit() and int(width) >= 8 and int(height) >= 8):
        raise click.BadParameter(f"expected WIDTHxHEIGHT of at least 8x8, got {text!r}", param_hint="--size")
    return int(width), int(height)
