"""A reader, detector or end-to-end network (.onnx) in; its INT8 file out, if that is nearly as right and much faster. Otherwise an error that says why, and no file.

Calibration and measuring use drawn plates of seeds that neither training nor each other use.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from openplate.charset import CHARACTERS
from openplate.dataset import Dataset, load_dataset
from openplate.detect.detector import Detector
from openplate.end_to_end import PARTS, open_end_to_end, part_beside
from openplate.engine import engine_version, open_joint_network, open_network
from openplate.errors import ConfigError, SourceError, WeightsError
from openplate.export.agreement import (
    DATA_SETS,
    Agreement,
    Kind,
    Speed,
    compare_detections,
    compare_on_data,
    compare_readings,
    compare_speed,
    compare_whole,
)
from openplate.export.material import CALIBRATION_SEED, DIFFICULTY, MEASURING_SEED, draw_inputs, draw_scenes, draw_views, noise_views, samples
from openplate.export.onnx import training_formats, write_metadata
from openplate.export.quantise import is_quantised, quantise, quantised_layers
from openplate.export.simplify import Inputs, simplify
from openplate.formats import Format, load_formats
from openplate.rectify import CROP_HEIGHT, CROP_WIDTH
from openplate.synthesize.crops import Material, mix_crops
from openplate.weights import sha256

ENGINES = ("onnxruntime", "openvino")
"""Both are needed: the file has to hold on either."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an INT8 file may lose, and how much faster it has to be.

    At most `points` percentage points of the drawn plates, and at most `plates` of all data sets together, where at most `unmatched` detections more may
    find no plate; at `batch` images on one thread at least
    `onnxruntime` and `openvino` times as fast as the floating point file, which runs in `precision` there. `drawn` crops or scenes measure the loss.
    """

    points: float
    plates: int
    batch: int
    precision: str
    onnxruntime: float
    openvino: float
    drawn: int
    unmatched: int = 0


LIMITS: dict[Kind, Limits] = {
    "reader": Limits(points=0.05, plates=2, batch=8, precision="fp32", onnxruntime=2.0, openvino=4.0, drawn=20_000),
    "detector": Limits(points=0.5, plates=2, batch=1, precision="auto", onnxruntime=1.5, openvino=1.2, drawn=400, unmatched=5),
    "end-to-end": Limits(points=0.5, plates=2, batch=1, precision="auto", onnxruntime=1.2, openvino=1.2, drawn=400, unmatched=5),
}
"""A reader is measured against fp32. The others have no such rule: an INT8 file has to be worth having beside bf16, where the processor has that."""


SPEED_SHAPES: dict[Kind, tuple[int, ...]] = {
    "reader": (1, CROP_HEIGHT, CROP_WIDTH),
    "detector": (1, 576, 960, 3),
    "end-to-end": (1, 576, 960, 3),
}
"""What speed is measured on: one crop, one photo."""
KEEP: dict[Kind, tuple[int, ...]] = {"reader": (1, 2, 3), "detector": (0, 1, 2, 3), "end-to-end": (0, 2)}
"""How many of the first convolutions stay floating point, in turn; of an end-to-end network for looking, and for reading. A detector's first convolution is
a tenth of its work, and sees bytes, which 8 bits hold exactly. A reader's is small, and sees standardised crops."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to make and measure an INT8 file.

    `keep` are numbers of convolutions at the beginning that stay floating point: each is tried, the first that holds is taken (None: as in `KEEP`; of an
    end-to-end network only the first counts).
    `calibration` inputs set the scales, `drawn` crops or scenes measure (None: 20,000 crops, 400 scenes; fewer are remarked on); `photos` are data sets
    whose training part the calibration uses too, `data` are other labelled sets to measure on (none are remarked on); `formats` are folders with further
    format files. With `any_speed` a file that is too slow here is written all the same: for export on another processor than the one it will run on. With
    `any_accuracy` one that reads worse than allowed is, with most convolutions in floating point: to measure it.
    """

    keep: tuple[int, ...] | None = None
    calibration: int = 300
    drawn: int | None = None
    photos: tuple[Path, ...] = ()
    data: tuple[Dataset, ...] = ()
    formats: tuple[Path, ...] = ()
    any_speed: bool = False
    any_accuracy: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What an INT8 file was measured to be: `layers` convolutions are INT8, the first `kept` are not; sizes in bytes; `remarks` say what was not held to its limit."""

    kept: int
    layers: int
    before_bytes: int
    after_bytes: int
    speeds: tuple[Speed, ...]
    agreements: tuple[Agreement, ...]
    remarks: tuple[str, ...] = ()

    def as_text(self) -> str:
        """Lines for people."""
        size = f"{self.before_bytes / 1e6:.2f} → {self.after_bytes / 1e6:.2f} MB"
        first = f"INT8: {self.layers} layers, {self.kept} of the first convolutions in floating point; {size}"
        return "\n".join([first, *(speed.as_text() for speed in self.speeds), *(agreement.as_text() for agreement in self.agreements), *self.remarks])


def export_int8(source: Path, target: Path, settings: Settings = Settings(), say: Callable[[str], None] = lambda _: None) -> Report:
    """Writes `target` (atomically) from the floating point file `source`, which keeps its metadata and gets `precision` and `int8`.

    Of an end-to-end network `source` and `target` are the first files. A file of it that would gain too little stays in floating point, as its straightener
    always does; where looking loses too much, reading alone becomes INT8.

    `say` is told each figure as soon as it is known, and each remark at the end; bars on stderr show how far long steps are.

    Raises:
        ConfigError: a data set is to calibrate and to measure, see `check_apart`.
        WeightsError: `source` is no reader, detector or end-to-end network of this project in floating point; or no INT8 file holds the limits: nothing is written then.
        EngineError: one of the two engines is not installed.
        FormatError: the file was trained on countries that are not known; name the folder of their formats.
    """
    for engine in ENGINES:
        engine_version(engine)
    check_apart(settings.photos, settings.data)
    kind = read_kind(source)
    known = load_formats(*(str(folder) for folder in settings.formats))
    if kind == "end-to-end" and open_end_to_end(source, known).detector.looks_once:
        raise WeightsError(f"{source}: INT8 is for end-to-end networks of the light backbone, this one has VGG16")
    if any(is_quantised(onnx.load(str(file))) for file in files_of(kind, source)):
        raise WeightsError(f"{source}: expected a floating point network, this one is quantised already; name the file it was made from")
    drawn = training_formats(source, known)
    attempts = _attempt_whole(source, drawn, settings, say) if kind == "end-to-end" else _attempt(kind, source, drawn, settings, say)
    faults = []
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        chosen: tuple[Path, Report] | None = None
        for number, attempt in enumerate(attempts):
            unfinished = Path(folder) / str(number) / target.name
            unfinished.parent.mkdir()
            layers, speeds, found = attempt.write(unfinished)
            if not found:
                agreements, found = disagreeing(kind, source, unfinished, known, drawn, settings, say)
                remarks = (*(f"less accurate than allowed: {fault}" for fault in found), *unmeasured(kind, settings, agreements))
                before, after = (sum(file.stat().st_size for file in files_of(kind, path)) for path in (source, unfinished))
                if not found or settings.any_accuracy:
                    chosen = unfinished, Report(attempt.kept, layers, before, after, tuple(speeds), tuple(agreements), remarks)
                if not found:
                    break
            faults.append(f"{attempt.name} {' and '.join(found)}")
        if chosen is None:
            raise WeightsError(f"{target.name}: not written, an INT8 file does not hold its limits: {'; '.join(faults)}")
        unfinished, report = chosen
        for remark in report.remarks:
            say(remark)
        write_metadata(unfinished, ({} if kind == "end-to-end" else {"precision": "int8"}) | {"int8": summary(report, settings)})
        for file, wanted in reversed(list(zip(files_of(kind, unfinished), files_of(kind, target), strict=True))):
            file.replace(wanted)
        return report


def check_apart(photos: Sequence[Path], data: Sequence[Dataset]) -> None:
    """Makes sure that the data sets which calibrate share nothing with those that measure.

    All images of a data set count, those that training holds out too: they fit the confidence.

    Raises:
        ConfigError: a folder is in both, or an image of one is in the other, byte for byte.
        DatasetError: a folder of `photos` is not a data set.
        SourceError: an image cannot be read.
    """
    for folder in photos:
        if any(dataset.folder.resolve() == folder.resolve() for dataset in data):
            raise ConfigError(f"{folder}: expected other data sets to measure on than to calibrate with, this one is in both --photos and --data")
    measuring: dict[int, list[Path]] = {}
    try:
        for dataset in data:
            for image in dataset.images:
                measuring.setdefault(image.path.stat().st_size, []).append(image.path)
        # Only files of the same length can be the same, so that few are read.
        calibrating = [image.path for folder in photos for image in load_dataset(folder).images if image.path.stat().st_size in measuring]
        contents = {sha256(path): path for length in {path.stat().st_size for path in calibrating} for path in measuring[length]}
        same = [(path, contents[digest]) for path in calibrating if (digest := sha256(path)) in contents]
    except OSError as error:
        raise SourceError(f"{error.filename}: expected an image that can be read, {(error.strerror or str(error)).lower()}") from None
    if same:
        raise ConfigError(
            f"{same[0][0]}: expected images of --photos that are not in --data, this one is the same file as {same[0][1]} "
            f"({len(same)} in all): what calibrates must not measure; take them out of one of the two"
        )


def unmeasured(kind: Kind, settings: Settings, agreements: Sequence[Agreement]) -> tuple[str, ...]:
    """What of the accuracy was not held to its limit, or to less than the limit is meant for: a sentence each."""
    limits = LIMITS[kind]
    remarks = []
    on_data = [a for a in agreements if a.on == DATA_SETS]
    if not any(a.total for a in on_data):
        why = (
            "name them with --data" if not settings.data else "they have no plate that counts" if on_data else "the drawn plates ruled it out before"
        )
        remarks.append(f"not measured on data sets, where at most {limits.plates} plates may be lost: {why}")
    if settings.drawn is not None and settings.drawn < limits.drawn:
        what = "crops" if kind == "reader" else "scenes"
        remarks.append(f"{settings.drawn:,} drawn {what}; the gate's own number is {limits.drawn:,}")
    return tuple(remarks)


def read_kind(source: Path) -> Kind:
    """Whether a file is a reader, a detector, or the first one of an end-to-end network.

    Raises:
        WeightsError: it is none of these.
    """
    kind = open_joint_network(source, None, engine="onnxruntime").metadata.get("openplate.kind")
    if kind not in ("reader", "detector", "end-to-end"):
        raise WeightsError(
            f"{source}: INT8 is for readers, detectors and end-to-end networks (their first file) of openplate, this file's kind is {kind!r}"
        )
    return cast(Kind, kind)


def files_of(kind: Kind, path: Path) -> list[Path]:
    """All files of a network, its first one first."""
    return [path, *(part_beside(path, part) for part in PARTS)] if kind == "end-to-end" else [path]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to make INT8 of a network, in words, with so many first convolutions `kept`; `write` makes its files, and tells their INT8 layers, how fast
    they are, and where that is less than it has to be."""

    name: str
    kept: int
    write: Callable[[Path], tuple[int, list[Speed], list[str]]]


def _attempt(kind: Kind, source: Path, drawn: Sequence[Format], settings: Settings, say: Callable[[str], None]) -> Iterator[Attempt]:
    """More and more of the first convolutions of a network of one file in floating point."""
    simple = simplify(onnx.load(str(source)), samples(kind))
    characters = open_network(source, engine="onnxruntime").metadata.get("openplate.characters", CHARACTERS)
    inputs = draw_inputs(kind, drawn, settings.calibration, settings.photos, characters)
    for keep in KEEP[kind] if settings.keep is None else settings.keep:

        def write(target: Path, keep: int = keep) -> tuple[int, list[Speed], list[str]]:
            say(f"quantising; {keep} of the first convolutions stay{'s' if keep == 1 else ''} floating point")
            layers = _write_quantised(simple, inputs, keep, target, fast=kind == "detector")
            say(f"INT8 with {layers} layers")
            speeds, faults = slow(kind, source, target, settings, say)
            return layers, speeds, faults

        yield Attempt(f"with {keep} convolution{'' if keep == 1 else 's'} in floating point", keep, write)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A file of an end-to-end network that may become INT8: what it is for, simplified, with the inputs that calibrate it and the one that times it."""

    name: str
    before: Path
    simple: ModelProto
    inputs: Sequence[Inputs]
    timed: tuple[NDArray[Any], ...]
    keep: int


def _say_of(name: str, say: Callable[[str], None], line: str) -> None:
    say(f"{name}: {line}")


def _attempt_whole(source: Path, drawn: Sequence[Format], settings: Settings, say: Callable[[str], None]) -> Iterator[Attempt]:
    """Those files of an end-to-end network that gain enough: both that may become INT8, then its reader alone, which can lose no plate before it is read."""
    reader = part_beside(source, "reader")
    models = [onnx.load(str(path)) for path in (source, reader)]
    shapes = [[d.dim_value for d in taken.type.tensor_type.shape.dim][1:] for taken in models[1].graph.input][1:]
    pictures = draw_inputs("end-to-end", drawn, settings.calibration, settings.photos)
    views = draw_views(Detector(source, kind="end-to-end"), drawn, settings.calibration, settings.photos)
    noise = np.random.default_rng(0).integers(0, 256, SPEED_SHAPES["end-to-end"], np.uint8)
    keeps = KEEP["end-to-end"] if settings.keep is None else settings.keep[:1] * 2
    parts = [
        _Part("looking", source, simplify(models[0], samples("end-to-end")), pictures, (noise,), keeps[0]),
        _Part("reading", reader, simplify(models[1], [noise_views(n, shapes) for n in (2, 3)]), views, noise_views(1, shapes), keeps[1]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        gains: dict[str, tuple[int, list[Speed]]] = {}
        faults: list[str] = []
        for part in parts:
            say(f"quantising what is for {part.name}")
            path = Path(folder) / part.name
            layers = _write_quantised(part.simple, part.inputs, part.keep, path, fast=part.name == "looking")
            speeds, found = slow("end-to-end", part.before, path, settings, partial(_say_of, part.name, say), part.timed)
            if found:
                say(f"{part.name} stays in floating point: {' and '.join(found)}")
                faults += [f"{part.name}: {fault}" for fault in found]
            else:
                gains[part.name] = layers, speeds
        for chosen in [list(gains), ["reading"]] if len(gains) > 1 else [list(gains)]:

            def write(target: Path, chosen: Sequence[str] = chosen) -> tuple[int, list[Speed], list[str]]:
                shutil.copyfile(part_beside(source, "straightener"), part_beside(target, "straightener"))
                for part, after in zip(parts, (target, part_beside(target, "reader")), strict=True):
                    shutil.copyfile(Path(folder) / part.name if part.name in chosen else part.before, after)
                    if part.name in chosen:
                        write_metadata(after, {"precision": "int8"})
                layers, speeds = sum(gains[name][0] for name in chosen), [speed for name in chosen for speed in gains[name][1]]
                return layers, speeds, [] if chosen else faults

            kept = max((part.keep for part in parts if part.name in chosen), default=0)
            yield Attempt(f"with {' and '.join(chosen) or 'nothing'} in INT8", kept, write)


def _write_quantised(simple: ModelProto, inputs: Sequence[Inputs], keep: int, path: Path, *, fast: bool) -> int:
    """Writes the INT8 file of a simplified model; how many layers are INT8."""
    quantised = halve_exact_weights(quantise(simple, inputs, keep, fast=fast))
    onnx.save(quantised, str(path))
    return quantised_layers(quantised)


def slow(
    kind: Kind, source: Path, made: Path, settings: Settings, say: Callable[[str], None], inputs: tuple[NDArray[Any], ...] = ()
) -> tuple[list[Speed], list[str]]:
    """How fast the INT8 file is on each engine, and where that is less than it has to be; on noise of the shape that the kind is measured on, or on `inputs`."""
    limits = LIMITS[kind]
    inputs = inputs or (np.random.default_rng(0).integers(0, 256, (limits.batch, *SPEED_SHAPES[kind][1:]), np.uint8),)
    speeds, faults = [], []
    for engine, least in (("onnxruntime", limits.onnxruntime), ("openvino", limits.openvino)):
        speed = compare_speed(source, made, engine, *inputs, precision=limits.precision)
        say(speed.as_text())
        speeds.append(speed)
        if "int8" not in speed.after.precision.split("+"):
            faults.append(f"{engine} computes it in {speed.after.precision}, expected int8")
        elif speed.ratio < least and not settings.any_speed:
            faults.append(
                f"{engine} is {speed.ratio:.2f} times as fast ({speed.before.precision} → {speed.after.precision}), expected {least:g} times"
            )
    return speeds, faults


def disagreeing(
    kind: Kind, source: Path, made: Path, known: Sequence[Format], drawn: Sequence[Format], settings: Settings, say: Callable[[str], None]
) -> tuple[list[Agreement], list[str]]:
    """What both files make of the same plates, and where the INT8 file loses more than it may."""
    limits = LIMITS[kind]
    # The floating point file in bf16 shows what of a loss is not INT8's; it has no limits.
    plain = open_network(source, engine="openvino").report.precision
    runs = [(made, engine) for engine in ENGINES] + ([(source, "openvino")] if plain != "fp32" else [])
    wanted = settings.drawn or limits.drawn
    with click.progressbar(
        length=wanted, label="comparing " + ("networks" if kind == "end-to-end" else f"{kind}s"), file=sys.stderr, show_pos=True
    ) as bar:
        if kind == "reader":
            crops = mix_crops(drawn, Material(), MEASURING_SEED, DIFFICULTY, views=1, empty_share=0.0)
            agreements = compare_readings(source, runs, islice(crops, wanted), known, bar.update)
        elif kind == "detector":
            scenes = ((image, [plate.quad for plate in plates]) for image, plates in draw_scenes(drawn, wanted))
            agreements = compare_detections(source, runs, scenes, bar.update)
        else:
            agreements = compare_whole(source, runs, draw_scenes(drawn, wanted), bar.update, settings.formats)
    for agreement in agreements:
        say(agreement.as_text())
    faults = [
        f"{a.engine.name} reads {a.lost_points:.2f} points fewer of the drawn plates, allowed are {limits.points:g}"
        for a in agreements[: len(ENGINES)]
        if a.lost_points > limits.points
    ]
    if settings.data and not faults:
        on_data = compare_on_data(kind, source, made, ENGINES, settings.data, settings.formats)
        for agreement in on_data:
            say(agreement.as_text())
        agreements += on_data
        faults = [f"{a.engine.name} loses {a.lost} plates of the data sets, allowed are {limits.plates}" for a in on_data if a.lost > limits.plates]
        faults += [
            f"{a.engine.name} gives {a.more_unmatched} detections more that find no plate of the data sets, allowed are {limits.unmatched}"
            for a in on_data
            if a.more_unmatched > limits.unmatched
        ]
    return agreements, faults


def halve_exact_weights(model: ModelProto) -> ModelProto:
    """A copy whose large floating point weights are stored as float16 where that loses nothing: the weights of this project's files were rounded to it."""
    smaller = ModelProto()
    smaller.CopyFrom(model)
    graph = smaller.graph
    scales = {name for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear") for name in node.input}
    casts = []
    for tensor in list(graph.initializer):
        array = numpy_helper.to_array(tensor)
        if tensor.name in scales or array.dtype != np.float32 or array.size < 1024 or not np.array_equal(array.astype(np.float16), array):
            continue
        half = numpy_helper.from_array(array.astype(np.float16), f"{tensor.name}_half")
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], name=f"{tensor.name}_cast", to=TensorProto.FLOAT))
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
    nodes = [*casts, *graph.node]
    graph.ClearField("node")
    graph.node.extend(nodes)
    return smaller


def summary(report: Report, settings: Settings) -> str:
    """What the file says of how it was made and measured, on one line of JSON."""
    said: dict[str, Any] = {
        "layers": report.layers,
        "first_convolutions_floating": report.kept,
        "tool": f"nncf {version('nncf')}",
        "calibration": {"inputs": settings.calibration, "seed": CALIBRATION_SEED, "photos": [folder.name for folder in settings.photos]},
        "data": [dataset.name for dataset in settings.data],
        "remarks": list(report.remarks),
        "speeds": [speed.as_json() for speed in report.speeds],
        "agreements": [agreement.as_json() for agreement in report.agreements],
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))
