"""`openplate watch`: a video, camera or stream in; a line for each news of a sighting on stdout, pictures where asked for, a summary on stderr."""

from __future__ import annotations

import csv
import io
import json
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import click

from openplate.cli import INTERRUPTED
from openplate.cli.codes import country_codes
from openplate.errors import ConfigError, FormatError, OpenPlateError, SourceError
from openplate.types import Frame, Image, Plate, SightingEvent, WatchCounts

if TYPE_CHECKING:
    from openplate.camera import Camera
    from openplate.pipeline import Options
    from openplate.streams import Stream

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


class Sink(Protocol):
    """Takes each frame with what was found in it, and what is new."""

    def add(self, frame: Frame, plates: list[Plate], events: list[SightingEvent]) -> None:
        """Take a frame in."""

    def finish(self, events: list[SightingEvent]) -> None:
        """Take the last sightings in and write everything out."""


@click.command()
@click.argument("source", required=False)
@click.option("--camera", "camera_file", type=_FILE, metavar="FILE", help="A camera's settings (TOML); options given here come first.")
@click.option("--jsonl", "form", flag_value="jsonl", multiple=True, help="Print a line of JSON for each news of a sighting (default).")
@click.option("--csv", "form", flag_value="csv", multiple=True, help="Print CSV rows instead.")
@click.option("--final", is_flag=True, help="Print closed sightings alone.")
@click.option("--annotate", type=_FILE, metavar="FILE", help="Write a video (.mp4, .mov, .mkv) with the plates marked; sound is kept.")
@click.option("--evidence", type=_FOLDER, metavar="DIR", help="Save frame, crop and JSON of each sighting.")
@click.option("--show", is_flag=True, help="Show a live window; q stops.")
@click.option("--country", callback=country_codes, metavar="CODES", help="Countries to expect, e.g. ru,kz; others stay possible.")
@click.option("--only", callback=country_codes, metavar="CODES", help="Countries to allow, e.g. ru; no others are read.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="Below it a sighting is unreadable.  [default: 0.95]")
@click.option("--stride", type=click.IntRange(min=1), help="Take every N-th frame alone (files).")
@click.option("--from", "from_s", type=click.FloatRange(min=0), metavar="SECONDS", help="Start there (files).")
@click.option("--to", "to_s", type=click.FloatRange(min=0), metavar="SECONDS", help="End there.")
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Rate of a folder's or a pipe's pictures, or asked of a webcam.")
@click.option("--loop", type=click.IntRange(min=0), metavar="TIMES", help="Play a file so often; 0 is without end.")
@click.option("--engine", metavar="NAME", help="auto, openvino or onnxruntime.  [default: auto]")
@click.option("--device", metavar="NAME", help="cpu, cuda, gpu, ...  [default: cpu]")
@click.option("--precision", metavar="NAME", help="auto, fp32 or bf16.  [default: auto]")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the engine.  [default: 1]")
@click.option("--detector", type=click.Path(path_type=Path), help="Another detector (.onnx) instead of the shipped one.")
@click.option("--reader", type=click.Path(path_type=Path), help="Another reader (.onnx) instead of the shipped one.")
@click.option("--formats", multiple=True, type=click.Path(), help="A folder with further format files. Repeatable.")
@click.pass_context
def watch(
    ctx: click.Context,
    source: str | None,
    camera_file: Path | None,
    form: tuple[str, ...],
    final: bool,
    annotate: Path | None,
    evidence: Path | None,
    show: bool,
    country: tuple[str, ...] | None,
    only: tuple[str, ...] | None,
    min_confidence: float | None,
    stride: int | None,
    from_s: float | None,
    to_s: float | None,
    fps: float | None,
    loop: int | None,
    engine: str | None,
    device: str | None,
    precision: str | None,
    threads: int | None,
    detector: Path | None,
    reader: Path | None,
    formats: tuple[str, ...],
) -> None:
    """List the vehicles that a video, webcam or stream shows: one sighting for each visit.

    SOURCE is a video file, a folder of frames, a webcam's number, an address (rtsp://, http://, ...) or - for piped frames.

    Example: openplate watch street.mp4 --country ru --final --evidence seen
    """
    from openplate.camera import Camera, load_camera
    from openplate.pipeline import Options

    if len(set(form)) > 1:
        raise click.UsageError("--jsonl and --csv exclude each other; give one of them")
    if from_s is not None and to_s is not None and to_s <= from_s:
        raise click.UsageError(f"--to: expected more than --from ({from_s:g}), got {to_s:g}")
    camera = load_camera(camera_file) if camera_file else Camera()
    source = source or camera.source
    if not source:
        raise click.UsageError("expected a SOURCE: a video file, a folder, a webcam's number, an address, or a camera file that names one")
    for option, path in (("--annotate", annotate), ("--evidence", evidence)):
        if path is not None and _is_same(path, source):
            raise click.UsageError(f"{option}: {path} is the source, which would be written over; give another place")
    if camera_file:
        _check_codes(camera_file, camera, formats, {"country": country, "only": only})
    changes = {"country": country, "only": only}
    seen = {"min_confidence": min_confidence, "keep_frames": True if evidence else None}
    taken = {"stride": stride, "from_s": from_s, "to_s": to_s, "fps": fps, "loop": loop}
    camera = replace(
        camera,
        source=source,
        watch=replace(camera.watch, **_given(seen)),
        stream=replace(camera.stream, **_given(taken)),
        **_given(changes),
    )
    given = {"engine": engine, "device": device, "precision": precision, "threads": threads, "detector": detector, "reader": reader}
    options = Options(country=camera.country, only=camera.only, formats=formats, **_given(given))
    ctx.exit(watch_source(camera, options, Outputs(form[0] if form else "jsonl", final, annotate, evidence, show)))


class Outputs:
    """What was asked for."""

    def __init__(self, form: str, final: bool, annotate: Path | None, evidence: Path | None, show: bool) -> None:
        self.form, self.final, self.annotate, self.evidence, self.show = form, final, annotate, evidence, show

    def open(self, stream: Stream, source: str, stop: Stop, stack: ExitStack) -> list[Sink]:
        """The sinks, in the order in which they are served; what needs closing goes on the stack."""
        sinks: list[Sink] = [_Csv(stream.name, self.final) if self.form == "csv" else _JsonLines(stream.name, self.final)]
        if self.evidence:
            sinks.append(_Evidence(self.evidence, stream.name))
        if self.annotate:
            sinks.append(stack.enter_context(_Video(self.annotate, stream, source)))
        if self.show:
            from openplate.cli.window import Window

            sinks.append(stack.enter_context(_Shown(Window(stream.name), stop)))
        return sinks


def watch_source(camera: Camera, options: Options, outputs: Outputs) -> int:
    """Watch a source to its end, or until Ctrl-C; the exit code."""
    from openplate.pipeline import Pipeline
    from openplate.sources import silence_codecs
    from openplate.streams import open_stream
    from openplate.watch import Watcher

    silence_codecs()
    pipeline = Pipeline(options)
    code = 0
    with ExitStack() as stack:
        stream = stack.enter_context(open_stream(camera.source, camera.stream))
        stop = stack.enter_context(stop_on_signals())
        watcher = Watcher(pipeline, camera.watch, id_prefix(camera, stream))
        sinks = outputs.open(stream, camera.source, stop, stack)
        started, last_s = time.perf_counter(), 0.0
        first_s: float | None = None
        try:
            for frame in stop.frames(stream):
                events = watcher.feed(frame)
                last_s = frame.time_s or 0.0
                first_s = last_s if first_s is None else first_s
                for sink in sinks:
                    sink.add(frame, watcher.plates, events)
        except OpenPlateError as fault:
            code = _tell(fault)
        events = watcher.close()
        for sink in sinks:
            sink.finish(events)
        for line in summary(watcher.counts, last_s - (first_s or 0.0), time.perf_counter() - started, stream):
            click.echo(line, err=True)
        for warning in stream.warnings:
            click.echo(f"warning: {warning}", err=True)
            code = code if stream.live else 1
    return INTERRUPTED if stop.asked and not stop.by_window else code


def summary(counts: WatchCounts, video_s: float, took_s: float, stream: Stream) -> list[str]:
    """What watching gave and cost, in a few lines."""
    took_s = max(took_s, 1e-6)
    speed = f"{counts.frames / took_s:.1f} frames/s"
    if not stream.live and video_s > 0:
        speed += f", {video_s / took_s:.1f} × real time"
    lines = [f"{counts.read} read, {counts.unreadable} unreadable; {counts.frames} frames ({video_s:.1f} s) in {took_s:.1f} s: {speed}"]
    if stream.live:
        lines.append(f"dropped frames: {stream.dropped}; reconnected: {stream.reconnects}")
    sightings = counts.read + counts.unreadable
    looks = f" ({counts.reader_runs / sightings:.1f} a sighting)" if sightings else ""
    runs = f"detector {counts.detector_runs}, straightener {counts.straightener_runs}, reader {counts.reader_runs}{looks}"
    lines.append(f"network runs: {runs}")
    if counts.rejected:
        lines.append("rejected: " + ", ".join(f"{reason} {number}" for reason, number in counts.rejected))
    if counts.crossed_in or counts.crossed_out:
        lines.append(f"crossed the line: {counts.crossed_in} in, {counts.crossed_out} out")
    return lines


def id_prefix(camera: Camera, stream: Stream) -> str:
    """What ids of sightings begin with: the camera's name, or the file's; of a live source the time it was opened as well, so that no id comes twice."""
    name = camera.name or "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(stream.name).stem).strip("-") or "stream"
    return f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(stream.started_at))}" if stream.live else name


class Stop:
    """Whether to stop. A signal that comes while a frame is worked on waits for its end; one that comes while a frame is waited for ends the waiting."""

    def __init__(self) -> None:
        self.asked = False
        self.by_window = False
        self._waiting = False

    def ask(self, *_: object) -> None:
        """Stop soon; the second time, at once."""
        twice, self.asked = self.asked, True
        if self._waiting or twice:
            raise KeyboardInterrupt

    def frames(self, stream: Stream) -> Iterator[Frame]:
        """The frames until stopping is asked for."""
        while not self.asked and not self.by_window:
            try:
                self._waiting = True
                frame = next(stream, None)
                self._waiting = False
            except KeyboardInterrupt:
                self.asked = True
                return
            finally:
                self._waiting = False
            if frame is None:
                return
            yield frame


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Take Ctrl-C and a service's SIGTERM as a wish to stop."""
    stop = Stop()
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            before[number] = signal.signal(number, stop.ask)
        except ValueError:  # not in the main thread: who started the thread stops it
            break
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Printed:
    """Prints news; `line` makes what is printed of one."""

    def __init__(self, line: Callable[[SightingEvent], str], final: bool, header: str | None = None) -> None:
        self._line, self._final = line, final
        if header is not None:
            click.echo(header)

    def add(self, frame: Frame, plates: list[Plate], events: list[SightingEvent]) -> None:
        self.finish(events)

    def finish(self, events: list[SightingEvent]) -> None:
        for event in events:
            if event.state == "closed" or not self._final:
                click.echo(self._line(event))
        sys.stdout.flush()


class _JsonLines(_Printed):
    def __init__(self, source: str, final: bool) -> None:
        from openplate.sightings_json import event_as_json

        super().__init__(lambda event: json.dumps(event_as_json(event, source), ensure_ascii=False), final)


class _Csv(_Printed):
    def __init__(self, source: str, final: bool) -> None:
        from openplate.sightings_json import SIGHTING_CSV_HEADER, event_as_csv

        super().__init__(lambda event: _csv_line(event_as_csv(event, source)), final, _csv_line(SIGHTING_CSV_HEADER))


class _Evidence:
    """Saves `ID.frame.jpg`, `ID.crop.png` and `ID.json` of each sighting, anew when it improves."""

    def __init__(self, folder: Path, source: str) -> None:
        self._folder, self._source = folder, source
        self._frames: dict[str, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(f"{folder}: the folder cannot be made: {(error.strerror or str(error)).lower()}") from None

    def add(self, frame: Frame, plates: list[Plate], events: list[SightingEvent]) -> None:
        self.finish(events)

    def finish(self, events: list[SightingEvent]) -> None:
        from openplate.sightings_json import event_as_json
        from openplate.sources import encode_image

        for event in events:
            sighting = event.sighting
            if self._frames.get(sighting.id) != sighting.frame:
                if sighting.picture is not None:
                    self._write(f"{sighting.id}.frame.jpg", sighting.picture)
                if sighting.crop is not None:
                    self._write(f"{sighting.id}.crop.png", encode_image(sighting.crop, ".png"))
            data = json.dumps(event_as_json(event, self._source), ensure_ascii=False, indent=1)
            self._write(f"{sighting.id}.json", data.encode("utf8"))
            self._frames[sighting.id] = sighting.frame
            if event.state == "closed":
                del self._frames[sighting.id]

    def _write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        part = path.with_name(f".{name}.{secrets.token_hex(4)}.part")
        try:
            part.write_bytes(data)
            part.replace(path)
        except OSError as error:
            raise SourceError(f"{path}: cannot be written: {(error.strerror or str(error)).lower()}") from None


class _Video:
    """Writes the annotated video."""

    def __init__(self, path: Path, stream: Stream, source: str) -> None:
        from openplate.streams.writer import VideoWriter

        sound = source if not stream.live and Path(source).is_file() else None
        self._writer = VideoWriter(path, stream.fps or 25.0, (stream.width, stream.height), sound)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        for warning in self._writer.warnings:
            click.echo(f"warning: {warning}", err=True)

    def add(self, frame: Frame, plates: list[Plate], events: list[SightingEvent]) -> None:
        self._writer.write(_marked(frame.image, plates), frame.time_s)

    def finish(self, events: list[SightingEvent]) -> None:
        pass


class _Shown:
    """Shows the annotated frames; `q` in the window stops."""

    def __init__(self, window: Any, stop: Stop) -> None:
        self._window, self._stop = window, stop

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._window.close()

    def add(self, frame: Frame, plates: list[Plate], events: list[SightingEvent]) -> None:
        if not self._window.show(_marked(frame.image, plates)):
            self._stop.by_window = True

    def finish(self, events: list[SightingEvent]) -> None:
        pass


def _marked(image: Image, plates: list[Plate]) -> Image:
    from openplate.annotate import annotate

    return annotate(image, plates)


def _is_same(path: Path, source: str) -> bool:
    """Whether a file or folder to write is the source."""
    try:
        return path.samefile(source)
    except (OSError, ValueError):  # one of them is not there, or the source is no path
        return False


def _check_codes(file: Path, camera: Camera, formats: tuple[str, ...], given: dict[str, tuple[str, ...] | None]) -> None:
    """Find country codes of a camera's file that are not known, but for those that an option takes the place of.

    Raises:
        ConfigError: one is not known; names file and key.
    """
    from openplate.formats import load_formats, select

    for key, option in given.items():
        try:
            select(load_formats(*formats), getattr(camera, key) if option is None else ())
        except FormatError as error:
            raise ConfigError(f"{file}: {key}: {error}") from None


def _tell(fault: OpenPlateError) -> int:
    click.echo(f"error: {' '.join(str(fault).split())}", err=True)
    return 1


def _csv_line(cells: list[str] | tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """What was given; the rest keeps its default."""
    return {name: value for name, value in values.items() if value is not None}
