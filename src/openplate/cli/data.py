"""`openplate data convert|inspect|split|merge|prelabel|fetch`: data sets of many origins in, data sets in the form of docs/datasets.md out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openplate.cli.codes import country_codes

if TYPE_CHECKING:
    from openplate.data.fetch import Progress, PublicSet, RemoteFile
    from openplate.data.inspect import Inspection, Spread
    from openplate.data.split import Leakage
    from openplate.dataset import Dataset, Fault

KINDS = ("openplate", "ay000554-ocr", "ay000554-detection", "autoria-ocr", "autoria-detection", "ccpd", "yolo", "yolo-pose", "voc", "coco", "csv")
SHOWN = 20
"""Faults and leaks that are listed; the others are counted."""
_folder = click.Path(path_type=Path, file_okay=False)
_faults_option = click.option("--faults", type=click.Path(path_type=Path, dir_okay=False), help="Write every fault to this file, one a line.")
_link_option = click.option("--link", is_flag=True, help="Make hard links to the pictures instead of copies.")
_characters_option = click.option("--characters", default="", metavar="CHARS", help="Characters that texts may hold beside the built-in charset.")


@click.group()
def data() -> None:
    """Convert, inspect, split, merge, complete and fetch data sets.

    Example: openplate data convert Car_plate_OCR_dataset --from ay000554-ocr --to plates
    """


@data.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--from", "kind", required=True, type=click.Choice(KINDS), help="Kind of the source; docs/data.md describes their layouts.")
@click.option("--to", "target", required=True, type=_folder, help="Folder to write; it must not hold anything yet.")
@click.option("--country", default="", metavar="CODE", help="Country of plates whose source says none, such as RU; XX otherwise.")
@click.option("--class", "classes", multiple=True, metavar="NAME", help="Class that is a plate, when the source has several. Repeatable.")
@_characters_option
@_link_option
@_faults_option
@click.pass_context
def convert(
    ctx: click.Context,
    source: Path,
    kind: str,
    target: Path,
    country: str,
    classes: tuple[str, ...],
    characters: str,
    link: bool,
    faults: Path | None,
) -> None:
    """Write SOURCE as data sets with labels.jsonl: one, or one for each of its train, val and test.

    A picture with a fault (missing, damaged, labelled twice, a text outside the charset, a quad outside the picture) is left out and listed.

    Example: openplate data convert CCPD2019 --from ccpd --to ccpd
    """
    from openplate.data.check import UNKNOWN_COUNTRY, charset_with
    from openplate.data.convert import NothingSoundError, Settings
    from openplate.data.convert import convert as convert_source
    from openplate.data.kinds import KINDS as READERS

    settings = Settings(country.strip().upper() or UNKNOWN_COUNTRY, classes, charset_with(characters), link)
    try:
        with _bar("converting") as step:
            result = convert_source(source, READERS[kind], target, settings, step)
    except NothingSoundError as error:
        _list(error.faults, "found", faults)
        raise
    for one in result.written:
        click.echo(one.folder)
        click.echo(f"{one.folder}: {one.images:,} images, {one.plates:,} plates, {one.texts:,} of them with a text", err=True)
    unknown = sum(one.unknown_country for one in result.written)
    if unknown:
        click.echo(f"plates without a country: {unknown:,}, labelled {UNKNOWN_COUNTRY}; --country gives them one", err=True)
    _finish(ctx, result.faults, "skipped", faults)


@data.command()
@click.argument("datasets", nargs=-1, required=True, type=_folder, metavar="DATASET...")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option("--sheet", type=click.Path(path_type=Path, dir_okay=False), help="Picture of samples to write; default: NAME-sheet.png in this folder.")
@click.option("--no-sheet", is_flag=True, help="Write no picture of samples.")
@click.option("--samples", default=48, show_default=True, type=click.IntRange(1, 1000), help="Plates on the picture of samples.")
@click.option("--seed", default=0, show_default=True, help="The same seed draws the same samples.")
@click.option("--labels-only", is_flag=True, help="Check the labels alone; open no picture.")
@_characters_option
@_faults_option
@click.pass_context
def inspect(
    ctx: click.Context,
    datasets: tuple[Path, ...],
    as_json: bool,
    sheet: Path | None,
    no_sheet: bool,
    samples: int,
    seed: int,
    labels_only: bool,
    characters: str,
    faults: Path | None,
) -> None:
    """Count what DATASETs hold, check them, and draw a sheet of samples. Of a folder of data sets (train, val, test) each is inspected.

    Example: openplate data inspect plates --sheet plates.png
    """
    from openplate.data.check import charset_with
    from openplate.data.inspect import inspect_dataset, write_sheet

    loaded, found = _load(datasets)
    charset = charset_with(characters)
    inspections: list[Inspection] = []
    if sheet is not None and len(loaded) > 1:
        raise click.UsageError(f"--sheet names one picture, and there are {len(loaded)} data sets; leave it out to write one for each")
    for dataset, own in loaded:
        with _bar(f"inspecting {dataset.name}") as step:
            total = len(dataset.images)
            inspections.append(inspect_dataset(dataset, own, charset, open_images=not labels_only, progress=_of(step, total)))
        if not no_sheet:
            path = sheet or Path(f"{dataset.name.replace('/', '-')}-sheet.png")
            shown = write_sheet(dataset, path, samples, seed)
            click.echo(f"{path}: {shown} samples" if shown else f"{dataset.folder}: no picture can be shown", err=True)
    if as_json:
        click.echo(json.dumps({"version": 1, "sets": [one.as_json() for one in inspections]}, ensure_ascii=False, indent=2))
    else:
        for i, one in enumerate(inspections):
            click.echo("\n" * (i > 0) + "\n".join(_inspection_lines(one)))
    _finish(ctx, (*found, *(fault for one in inspections for fault in one.faults)), "found", faults)


@data.command()
@click.argument("datasets", nargs=-1, required=True, type=_folder, metavar="DATASET...")
@click.option("--to", "target", type=_folder, help="Folder to write the parts to; it must not hold anything yet.")
@click.option("--parts", default="train=80,val=10,test=10", show_default=True, help="Names and shares of the parts.")
@click.option("--seed", default=0, show_default=True, help="The same seed makes the same parts.")
@click.option("--check", is_flag=True, help="Make no parts: report what the DATASETs, as the sides of a split, share.")
@click.option("--texts-only", is_flag=True, help="Compare texts alone; open no picture to look for nearly the same ones.")
@click.option("--json", "as_json", is_flag=True, help="With --check: print everything as one JSON object.")
@_link_option
@_faults_option
@click.pass_context
def split(
    ctx: click.Context,
    datasets: tuple[Path, ...],
    target: Path | None,
    parts: str,
    seed: int,
    check: bool,
    texts_only: bool,
    as_json: bool,
    link: bool,
    faults: Path | None,
) -> None:
    """Divide a DATASET so that no plate lies in two parts, or report (--check) what the sides of a split share.

    Images that share a plate's text, or that show nearly the same, stay together. With --check the exit code is 1 when anything is shared.

    \b
    Example: openplate data split plates --to split --parts train=90,test=10
    Example: openplate data split --check split/train split/test
    """
    from openplate.data.split import find_leaks, likeness, write_split
    from openplate.data.split import split as divide

    if check == (target is not None):
        raise click.UsageError("expected either --to DIR, to write parts, or --check, to report what sides share")
    loaded, found = _load(datasets)
    if not check and len(loaded) != 1:
        raise click.UsageError(f"expected one data set to divide, got {len(loaded)}; `openplate data merge` makes one of several")
    if check and len(loaded) < 2:
        raise click.UsageError("; ".join(["expected at least two sides to compare", *map(str, found)]))
    images = [image for dataset, _ in loaded for image in dataset.images]
    found = [*found, *(fault for _, own in loaded for fault in own)]
    alike = None
    if not texts_only:
        with _bar("comparing") as step:
            alike = likeness(images, _of(step, len(images)))
        found += alike.faults
    if check:
        leaks = find_leaks({dataset.name: dataset.images for dataset, _ in loaded}, alike)
        _print_leaks(leaks, as_json)
        _finish(ctx, found, "found", faults)
        if leaks.plates or leaks.images:
            ctx.exit(1)
        return
    assert target is not None
    unreadable = alike.unreadable if alike else frozenset()
    divided = divide(images, _shares(parts), seed, alike.pairs if alike else ())
    chosen = {part: [index for index in indices if index not in unreadable] for part, indices in divided.items()}
    with _bar("writing") as step:
        folders = write_split(loaded[0][0], chosen, target, link=link, progress=_of(step, len(images)))
    for folder in folders:
        click.echo(folder)
        click.echo(f"{folder}: {len(chosen[folder.name]):,} images, {len(chosen[folder.name]) / len(images):.1%}", err=True)
    empty = [part for part, indices in chosen.items() if not indices]
    if empty:
        click.echo(f"no image is left for {', '.join(empty)}: too few images, or too many of one plate", err=True)
    _finish(ctx, found, "skipped", faults)


@data.command()
@click.argument("datasets", nargs=-1, required=True, type=_folder, metavar="DATASET...")
@click.option("--to", "target", required=True, type=_folder, help="Folder to write; it must not hold anything yet.")
@_link_option
@_faults_option
@click.pass_context
def merge(ctx: click.Context, datasets: tuple[Path, ...], target: Path, link: bool, faults: Path | None) -> None:
    """Make one data set of several. A picture that is in two of them is taken once and listed.

    Example: openplate data merge street dashcam --to all
    """
    from openplate.data.merge import merge as merge_all

    loaded, found = _load(datasets)
    total = sum(len(dataset.images) for dataset, _ in loaded)
    with _bar("merging") as step:
        result = merge_all([dataset for dataset, _ in loaded], target, link=link, progress=_of(step, total))
    click.echo(target)
    click.echo(f"{target}: {result.images:,} images, {result.plates:,} plates", err=True)
    _finish(ctx, (*found, *(fault for _, own in loaded for fault in own), *result.faults), "skipped", faults)


@data.command()
@click.argument("dataset", type=_folder)
@click.option("--to", "target", required=True, type=_folder, help="Folder to write; it must not hold anything yet.")
@click.option("--least", type=click.FloatRange(0, 1), default=0.6, show_default=True, help="Detection confidence from which a plate is added.")
@click.option("--least-text", type=click.FloatRange(0, 1), default=0.99, show_default=True, help="Confidence from which its text is added too.")
@click.option("--country", callback=country_codes, metavar="CODES", help="Countries to expect, e.g. ru,kz.")
@click.option("--detector", type=click.Path(path_type=Path), help="Another detector (.onnx) instead of the shipped one.")
@click.option("--reader", type=click.Path(path_type=Path), help="Another reader (.onnx) instead of the shipped one.")
@_link_option
@_faults_option
@click.pass_context
def prelabel(
    ctx: click.Context,
    dataset: Path,
    target: Path,
    least: float,
    least_text: float,
    country: tuple[str, ...] | None,
    detector: Path | None,
    reader: Path | None,
    link: bool,
    faults: Path | None,
) -> None:
    """Add labels for the plates in DATASET's photos that nobody labelled: what the detector finds, and texts that are sure. Look at them before use.

    Example: openplate data prelabel street --to street-more
    """
    from openplate.data.prelabel import prelabel as prelabel_all
    from openplate.dataset import load_dataset_with_faults
    from openplate.pipeline import Options, Pipeline

    loaded, own = load_dataset_with_faults(dataset)
    pipeline = Pipeline(Options(country=country or (), detector=detector, reader=reader, all_detections=True))
    with _bar("looking for plates") as step:
        result = prelabel_all(loaded, target, pipeline, least, least_text, link=link, progress=_of(step, len(loaded.images)))
    click.echo(target)
    click.echo(
        f"{target}: {result.images:,} images, {result.labelled:,} labelled plates and {result.added:,} more, {result.read:,} of them with a text",
        err=True,
    )
    _finish(ctx, (*own, *result.faults), "skipped", faults)


@data.command()
@click.argument("name", required=False)
@click.option("--to", "target", type=_folder, help="Folder to download and unpack to; default: NAME.")
@click.option("--accept-licence", "--accept-license", is_flag=True, help="You have read the licence and accept it.")
@click.option("--keep-archives", is_flag=True, help="Keep the downloaded archives after unpacking.")
@click.option(
    "--table", "tables", multiple=True, type=click.Path(path_type=Path, dir_okay=False), help="Further table of data sets (TOML). Repeatable."
)
@click.pass_context
def fetch(ctx: click.Context, name: str | None, target: Path | None, accept_licence: bool, keep_archives: bool, tables: tuple[Path, ...]) -> None:
    """Download the public data set NAME from its documented address, verify and unpack it; without NAME, list what there is.

    A download that was broken off is gone on with.

    Example: openplate data fetch autoria-ocr-kz --accept-licence
    """
    from openplate.data.fetch import OfflineError, public_sets
    from openplate.data.fetch import fetch as fetch_set

    known = public_sets(*tables)
    if name is None:
        width = max(map(len, known))
        for one in known.values():
            click.echo(f"{one.name:<{width}}  {one.licence:<9}  {one.title}")
        return
    if name not in known:
        raise click.ClickException(f"data set {name!r} is not known; known are {', '.join(known)}")
    chosen = known[name]
    folder = target or Path(name)
    for line in _set_lines(chosen):
        click.echo(line, err=True)
    if chosen.by_hand is not None:
        click.echo(f"its address needs a person: {chosen.by_hand}", err=True)
        ctx.exit(1)
    if not accept_licence:
        raise click.ClickException("the licence has to be accepted: read it, then run the command again with --accept-licence")
    try:
        fetched = fetch_set(chosen, folder, keep_archives=keep_archives, progress=_download_lines(), say=lambda line: click.echo(line, err=True))
    except OfflineError as error:
        click.echo(f"error: {error}", err=True)
        for file in chosen.files:
            if (folder / file.name).exists():
                continue
            size = "size not known" if file.size is None else f"{file.size:,} bytes"
            click.echo(f"would have fetched {file.url} ({size}) to {folder / file.name}", err=True)
        ctx.exit(1)
    click.echo(folder)
    click.echo(f"{folder}: {'fetched and unpacked' if fetched else 'is there already'}", err=True)
    click.echo(f"next: openplate data convert {folder} --from {chosen.kind} --to {folder}-plates", err=True)


def _load(folders: Sequence[Path]) -> tuple[list[tuple[Dataset, tuple[Fault, ...]]], list[Fault]]:
    """The data sets that paths stand for, each with the faults of its labels; and the faults of those that cannot be loaded at all."""
    from openplate.data.kinds.labels import data_sets
    from openplate.dataset import distinct_names, load_dataset_with_faults
    from openplate.errors import DatasetError

    loaded: list[tuple[Dataset, tuple[Fault, ...]]] = []
    lost: list[Fault] = []
    for path in folders:
        try:
            found = data_sets(path)
        except DatasetError as error:
            lost.append(_fault_of(error))
            continue
        for _, folder in found:
            try:
                loaded.append(load_dataset_with_faults(folder))
            except DatasetError as error:
                lost.append(_fault_of(error))
    if not loaded:
        raise DatasetError(str(lost[0]))
    names = distinct_names([dataset.folder for dataset, _ in loaded])
    return [(replace(dataset, name=name), own) for name, (dataset, own) in zip(names, loaded, strict=True)], lost


def _fault_of(error: Exception) -> Fault:
    from openplate.dataset import Fault

    where, _, what = str(error).partition(": ")
    return Fault(where, what)


def _shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for piece in text.replace(" ", "").split(","):
        name, separator, number = piece.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = 0.0
        if not (name and separator and 0 < share < float("inf")) or name in shares:
            raise click.BadParameter(f"expected NAME=SHARE,… with different names and shares above 0, got {text!r}", param_hint="--parts")
        shares[name] = share
    return shares


def _finish(ctx: click.Context, faults: Sequence[Fault], verb: str, path: Path | None) -> None:
    """List the faults, and end with exit code 1 when there are any."""
    _list(faults, verb, path)
    if faults:
        ctx.exit(1)


def _list(faults: Sequence[Fault], verb: str, path: Path | None) -> None:
    """List the faults on stderr, and all of them in a file where one is asked for."""
    for fault in faults[:SHOWN]:
        click.echo(f"error: {_one_line(fault)}", err=True)
    if len(faults) > SHOWN:
        click.echo(f"and {len(faults) - SHOWN:,} more{'' if path else '; --faults FILE writes them all'}", err=True)
    if path is not None:
        try:
            path.write_text("".join(f"{_one_line(fault)}\n" for fault in faults), encoding="utf8")
        except OSError as error:
            raise click.ClickException(f"{path}: cannot be written: {error.strerror or error}") from None
    if faults:
        click.echo(f"{len(faults):,} {'fault' if len(faults) == 1 else 'faults'} {verb}", err=True)


def _one_line(fault: Fault) -> str:
    """A fault as a line without control characters: names in a data set are written by others."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(fault))


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr whose length is known when the first step is done."""
    bar = click.progressbar(length=0, label=label, file=sys.stderr)

    def step(done: int, total: int) -> None:
        bar.length = total
        bar.update(done - bar.pos)

    with bar:
        yield step


def _of(step: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    return lambda done: step(done, total)


def _download_lines() -> Callable[[RemoteFile], Progress]:
    """A progress line on stderr for each file: every tenth of its size, or every 100 MB where that is not known."""

    def of(file: RemoteFile) -> Progress:
        said = -1

        def say(done: int, total: int | None) -> None:
            nonlocal said
            step = done * 10 // total if total else done // 100_000_000
            if step != said:
                said = step
                size = f" of {total:,} bytes ({done / total:.0%})" if total else " bytes"
                click.echo(f"{file.name}: {done:,}{size}", err=True)

        return say

    return of


def _set_lines(chosen: PublicSet) -> list[str]:
    sizes = [file.size for file in chosen.files]
    known = sum(size for size in sizes if size is not None)
    size = f"{known:,} bytes" if sizes and None not in sizes else "not known"
    return [
        f"{chosen.name}: {chosen.title}",
        f"licence: {chosen.licence}, {chosen.licence_url}",
        f"credit:  {chosen.credit}",
        f"page:    {chosen.page}",
        *(f"file:    {file.url}" for file in chosen.files),
        *([f"size:    {size}"] if chosen.files else []),
    ]


def _inspection_lines(one: Inspection) -> list[str]:
    lines = [
        f"data set          {one.name}",
        f"images            {one.images:,}, {one.images_without_plates:,} of them without a plate",
        f"plates            {one.plates:,}, {one.texts:,} with a text, {one.different_texts:,} different texts",
        f"country           {_counts(one.by_country)}",
        f"quads             {_counts(one.by_quad)}",
        f"text length       {_counts(one.by_length)}",
        f"characters        {_counts(one.characters)}",
    ]
    if one.outside_charset:
        lines.append(f"not in charset    {_counts(one.outside_charset)}")
    if one.most_seen:
        lines.append(f"seen most         {', '.join(f'{text} in {count} images' for text, count in one.most_seen)}")
    lines += [
        f"image width, px   {_spread(one.image_width_px)}",
        f"image height, px  {_spread(one.image_height_px)}",
        f"plate width, px   {_spread(one.plate_width_px)}",
        f"plate height, px  {_spread(one.plate_height_px)}",
    ]
    lines.append(f"faults            {len(one.faults):,}{'' if one.opened else ' (pictures were not opened)'}")
    return lines


def _counts(counts: object) -> str:
    assert hasattr(counts, "items")
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "-"


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{spread.least:g} to {spread.greatest:g}, median {spread.median:g}, 80 % between {spread.p10:g} and {spread.p90:g}"


def _print_leaks(leaks: Leakage, as_json: bool) -> None:
    same = sum(shared.same for shared in leaks.images)
    if as_json:
        plates = [{"text": plate.text, "images": dict(plate.images)} for plate in leaks.plates]
        images = [{"first": str(shared.first), "second": str(shared.second), "same": shared.same} for shared in leaks.images]
        click.echo(json.dumps({"version": 1, "plates": plates, "images": images}, ensure_ascii=False, indent=2))
        return
    click.echo(f"plates on several sides        {len(leaks.plates):,}")
    click.echo(f"same pictures on two sides     {same:,}")
    click.echo(f"nearly the same pictures       {len(leaks.images) - same:,}")
    for plate in leaks.plates[:SHOWN]:
        click.echo(f"{plate.text}  {', '.join(f'{side} {count}' for side, count in plate.images.items())}")
    for shared in leaks.images[:SHOWN]:
        click.echo(f"{'same' if shared.same else 'near'}  {shared.first}  {shared.second}")
    hidden = max(0, len(leaks.plates) - SHOWN) + max(0, len(leaks.images) - SHOWN)
    if hidden:
        click.echo(f"and {hidden:,} more; --json prints them all", err=True)
