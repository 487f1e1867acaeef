"""Reports in, one self-contained HTML page out: tables, charts of the confidence, and a picture of every failure."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

import cv2
import numpy as np

from openplate.dataset import LabelledImage
from openplate.errors import OpenPlateError
from openplate.evaluate.false_alarms import FalseAlarms, paint_labelled
from openplate.evaluate.metrics import Calibration, Rate, same_text
from openplate.evaluate.run import open_labelled
from openplate.evaluate.summary import FAILURE_KINDS, Failure, FailureKind, Group, Report, Summary
from openplate.geometry import quad_size, quad_to_box
from openplate.sources import encode_image
from openplate.types import EngineReport, Frame, Image

_PICTURE_PX = (420, 150)
_FOLDED: tuple[FailureKind, ...] = ("detection missed", "detection unmatched")


@dataclass(frozen=True, slots=True)
class _Section:
    """One data set's part of a page."""

    name: str
    body: str


def evaluation_page(reports: Sequence[Report], whole: Report, settings: str) -> str:
    """The page of an evaluation: the numbers of `whole` (all sets together) and of each report, and every failure. `settings` says how it was run."""
    summaries = [(report.name, report.summary()) for report in (*reports, *([whole] if len(reports) > 1 else []))]
    sections = [_Section("Overview", summary_table(summaries) + _notes())]
    for report in (whole, *reports) if len(reports) > 1 else reports:
        sections.append(_Section(report.name, _numbers(report.summary(), report.problems)))
    for report in reports:
        images = {outcome.image.path: outcome.image for outcome in report.images}
        sections.append(_Section(f"{report.name}: failures", _failures(report.failures(), images, open_labelled)))
    return _page("OpenPlate: evaluation", sections, whole.engine, settings)


def false_alarm_page(counts: Sequence[FalseAlarms], whole: FalseAlarms, settings: str) -> str:
    """The page of a count of false alarms: one row a set, and every confident reading in its painted photo."""
    rows = [
        [
            one.name,
            str(len(one.photos)),
            str(one.alarms),
            "-" if one.per_100_photos is None else f"{one.per_100_photos:.1f}",
            rate_text(one.photos_with_alarm),
        ]
        for one in (*counts, *([whole] if len(counts) > 1 else []))
    ]
    note = "<p>The labelled plates were painted over. A reading below is a false alarm, unless the picture shows a plate that has no label.</p>"
    table = _table(["set", "photos", "confident readings", "in 100 photos", "photos with one, %"], rows)
    sections = [_Section("Overview", table + note + _problems(whole.problems))]
    for one in counts:
        images = {photo.image.path: photo.image for photo in one.photos}
        sections.append(_Section(f"{one.name}: readings", _failures(one.failures(), images, paint_labelled)))
    return _page("OpenPlate: false alarms", sections, whole.engine, settings)


def rate_text(rate: Rate) -> str:
    """A rate as "97.3 [94.1 98.8]" in %, "-" when nothing was counted."""
    if rate.share is None or rate.low is None or rate.high is None:
        return "-"
    return f"{100 * rate.share:.1f} [{100 * rate.low:.1f} {100 * rate.high:.1f}]"


SUMMARY_HEADINGS = (
    "set",
    "images",
    "plates",
    "end to end %",
    "wrong",
    "unreadable",
    "not found",
    "extra",
    "recall %",
    "matched %",
    "mAP50-95",
    "corners",
    "reader %",
    "CER %",
    "sure, right %",
)


def summary_row(name: str, summary: Summary) -> list[str]:
    """The numbers of one set as the cells under `SUMMARY_HEADINGS`; "-" for what was not measured."""
    detection, reading, whole = summary.detection, summary.reading, summary.end_to_end
    sure = whole.calibration.sure if whole else reading.calibration.sure if reading else None
    return [
        name,
        str(summary.images),
        str(summary.plates),
        *([rate_text(whole.exact), str(whole.wrong), str(whole.unreadable), str(whole.not_found), str(whole.extra)] if whole else ["-"] * 5),
        *([rate_text(detection.recall), rate_text(detection.matched), _number(detection.map50_95, 3)] if detection else ["-"] * 3),
        _number(detection.corners.median_fraction if detection and detection.corners else None, 3),
        *([rate_text(reading.exact), _number(None if reading.cer is None else 100 * reading.cer, 2)] if reading else ["-"] * 2),
        f"{rate_text(sure)} of {sure.total}" if sure and sure.total else "-",
    ]


def summary_table(summaries: Sequence[tuple[str, Summary]]) -> str:
    """The overview as an HTML table."""
    return _table(list(SUMMARY_HEADINGS), [summary_row(name, summary) for name, summary in summaries])


def _page(title: str, sections: Sequence[_Section], engine: EngineReport, settings: str) -> str:
    links = "".join(f'<a href="#s{i}">{escape(section.name)}</a>' for i, section in enumerate(sections))
    body = "".join(f'<section id="s{i}"><h2>{escape(section.name)}</h2>{section.body}</section>' for i, section in enumerate(sections))
    engine_text = f"{engine.name} {engine.version} on {engine.device}, {engine.precision}, {engine.threads} thread{'s' * (engine.threads != 1)}"
    template = Template(resources.files(__package__).joinpath("page.html").read_text(encoding="utf8"))
    return template.substitute(title=escape(title), engine=escape(engine_text), settings=escape(settings), links=links, body=body)


def _notes() -> str:
    return (
        "<p class=note>Square brackets: 95 % interval (Wilson). <b>end to end</b>: labelled plates with exactly their text in some reading "
        "at IoU ≥ 0.3. <b>recall</b>: labels that a detection finds at IoU ≥ 0.5. <b>matched</b>: detections that find a label; photos hold "
        "plates without a label, so this is a lower bound of precision. <b>corners</b>: median distance as a fraction of the plate's height, "
        "over true quads. <b>reader</b>: exact texts on labelled quads. <b>sure</b>: right among readings with confidence ≥ 0.99.</p>"
    )


def _numbers(summary: Summary, problems: Sequence[str]) -> str:
    parts = [_problems(problems)]
    parts += [_group_table("country", summary.by_country), _group_table("height, px", [g for g in summary.by_height_px if g.plates])]
    if summary.detection and summary.detection.corners:
        corners = summary.detection.corners
        rows = [
            [
                str(corners.plates),
                f"{corners.median_px:.1f}",
                f"{corners.p90_px:.1f}",
                f"{corners.median_fraction:.3f}",
                f"{corners.p90_fraction:.3f}",
            ]
        ]
        parts.append("<h3>Corner error</h3>" + _table(["plates", "median px", "p90 px", "median, of the height", "p90, of the height"], rows))
    if summary.end_to_end:
        parts.append(_calibration("Confidence, end to end", summary.end_to_end.calibration))
    if summary.reading:
        parts.append(_calibration("Confidence of the reader on labelled quads", summary.reading.calibration))
    return "".join(parts)


def _problems(problems: Sequence[str]) -> str:
    return "<h3>Not measured</h3><ul class=problems>" + "".join(f"<li>{escape(p)}</li>" for p in problems) + "</ul>" if problems else ""


def _group_table(heading: str, groups: Sequence[Group]) -> str:
    rows = [[g.name, str(g.plates), rate_text(g.exact), rate_text(g.found), rate_text(g.reading_exact)] for g in groups]
    return f"<h3>By {heading}</h3>" + _table([heading, "plates", "end to end %", "recall %", "reader %"], rows)


def _calibration(title: str, calibration: Calibration) -> str:
    rows = [
        [f"{b.low:g} to {b.high:g}", str(b.kept.total), "-" if b.promised is None else f"{100 * b.promised:.1f}", rate_text(b.kept)]
        for b in calibration.bins
    ]
    sure = calibration.sure
    said = f"Of {sure.total} readings with confidence ≥ 0.99, {sure.right} are right: {rate_text(sure)} %."
    error = f"Expected calibration error: {_number(calibration.error, 4)}."
    table = _table(["confidence", "readings", "promised %", "kept %"], rows)
    charts = _reliability_chart(calibration) + _coverage_chart(calibration)
    return f"<h3>{escape(title)}</h3><p>{said} {error}</p><div class=charts>{table}{charts}</div>"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(h)}</th>" for h in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _chart(title: str, marks: str, x_title: str, y_title: str, y_most: float) -> str:
    """An SVG of 260×240 with axes from 0 to 1 (x) and 0 to `y_most` (y); marks are drawn in px, see `_place`."""
    ticks = "".join(
        f'<text x="{_place(t, 0, 1)[0]:.1f}" y="212" text-anchor="middle">{t:g}</text>'
        f'<text x="52" y="{_place(0, t * y_most, y_most)[1] + 4:.1f}" text-anchor="end">{t * y_most:.2g}</text>'
        for t in (0.0, 0.5, 1.0)
    )
    return (
        f'<figure><svg viewBox="0 0 260 240" width="260" height="240" role="img" aria-label="{escape(title)}">'
        f'<rect x="58" y="14" width="190" height="184" class="area"/>{marks}{ticks}'
        f'<text x="153" y="230" text-anchor="middle">{escape(x_title)}</text>'
        f'<text transform="translate(11 106) rotate(-90)" text-anchor="middle">{escape(y_title)}</text></svg>'
        f"<figcaption>{escape(title)}</figcaption></figure>"
    )


def _place(x: float, y: float, y_most: float) -> tuple[float, float]:
    return 58 + 190 * x, 198 - 184 * y / y_most


def _reliability_chart(calibration: Calibration) -> str:
    (x0, y0), (x1, y1) = _place(0, 0, 1), _place(1, 1, 1)
    marks = f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" class="ideal"/>'
    for b in calibration.bins:
        if b.promised is None or b.kept.share is None or b.kept.low is None or b.kept.high is None:
            continue
        x, y = _place(b.promised, b.kept.share, 1)
        low, high = _place(0, b.kept.low, 1)[1], _place(0, b.kept.high, 1)[1]
        marks += f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" class="bar"/><circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="dot"/>'
    return _chart("Promised and kept; bars: 95 % interval", marks, "confidence promised", "share right", 1)


def _coverage_chart(calibration: Calibration) -> str:
    points = calibration.risk_coverage
    most = max([0.05, *(point.risk for point in points)])
    path = " ".join("{:.1f},{:.1f}".format(*_place(point.coverage, point.risk, most)) for point in points)
    marks = f'<polyline points="{path}" class="curve"/>'
    return _chart("Risk over coverage: the surest readings first", marks, "share of readings taken", "share wrong", most)


def _failures(failures: Sequence[Failure], images: dict[Path, LabelledImage], opened: Callable[[LabelledImage], Frame]) -> str:
    if not failures:
        return "<p>None.</p>"
    pictures = _pictures(failures, images, opened)
    parts = []
    for kind, meaning in FAILURE_KINDS.items():
        cards = [_card(f, picture) for f, picture in zip(failures, pictures, strict=True) if f.kind == kind]
        if cards:
            head = f"<details{'' if kind in _FOLDED else ' open'}><summary>{escape(kind)} ({len(cards)})</summary><p>{escape(meaning)}</p>"
            parts.append(f"{head}<div class=cards>{''.join(cards)}</div></details>")
    return "".join(parts)


def _card(failure: Failure, picture: str) -> str:
    reading = failure.reading
    lines = [("truth", failure.truth), ("read", reading.text if reading else None)]
    lines.append(("confidence", None if failure.confidence is None else f"{failure.confidence:.3f}"))
    lines.append(
        ("candidates", ", ".join(f"{c.text} {c.confidence:.2f} {c.format or ''}".strip() for c in reading.candidates[:4]) if reading else None)
    )
    lines.append(("reason", failure.reason))
    told = "".join(f"<dt>{name}</dt><dd class={name}>{escape(value)}</dd>" for name, value in lines if value)
    held_back = " right" if reading and failure.truth and same_text(reading.text, failure.truth) else ""
    return f'<article class="card{held_back}">{picture}<dl>{told}</dl><footer>{escape(failure.image.name)}</footer></article>'


def _pictures(failures: Sequence[Failure], images: dict[Path, LabelledImage], opened: Callable[[LabelledImage], Frame]) -> list[str]:
    """An `<img>` for each failure, "" when its file is no longer readable; each file is opened once."""
    pictures = [""] * len(failures)
    for path in dict.fromkeys(failure.image for failure in failures):
        try:
            image = opened(images[path]).image
        except OpenPlateError:
            continue
        for i, failure in enumerate(failures):
            if failure.image == path:
                pictures[i] = _img(failure_picture(image, failure))
    return pictures


def failure_picture(image: Image, failure: Failure) -> Image:
    """The failure's place in the `(H, W, 3) uint8 RGB` image with some surroundings, the quad drawn, enlarged or reduced to a readable size."""
    height, width = image.shape[:2]
    if failure.quad is None:
        x0, y0, x1, y1 = 0, 0, width, height
    else:
        left, top, right, bottom = quad_to_box(failure.quad)
        margin_px = max(0.6 * quad_size(failure.quad)[1], 6.0)
        x0, y0 = max(int(left - 1.5 * margin_px), 0), max(int(top - margin_px), 0)
        x1, y1 = min(int(right + 1.5 * margin_px) + 1, width), min(int(bottom + margin_px) + 1, height)
        if x1 <= x0 or y1 <= y0:
            x0, y0, x1, y1 = 0, 0, width, height
    view = image[y0:y1, x0:x1]
    scale = min(_PICTURE_PX[0] / view.shape[1], _PICTURE_PX[1] / view.shape[0])
    size = max(round(view.shape[1] * scale), 1), max(round(view.shape[0] * scale), 1)
    picture = np.ascontiguousarray(cv2.resize(view, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA), dtype=np.uint8)
    if failure.quad is not None:
        corners = np.round((failure.quad - [x0, y0]) * scale).astype(np.int32)
        cv2.polylines(picture, [corners], isClosed=True, color=(255, 140, 0), thickness=1, lineType=cv2.LINE_AA)
    return picture


def _img(picture: Image) -> str:
    data = base64.b64encode(encode_image(picture, ".jpg", quality=85)).decode("ascii")
    height, width = picture.shape[:2]
    return f'<img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" alt="">'
