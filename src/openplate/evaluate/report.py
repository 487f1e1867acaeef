"""Reports in, one self-contained HTML page out: tables, charts of the confidence, the confused characters, and pictures of the failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from openplate.dataset import LabelledImage
from openplate.evaluate.character_report import character_section
from openplate.evaluate.false_alarms import FalseAlarms, paint_labelled
from openplate.evaluate.metrics import Calibration, same_text
from openplate.evaluate.page import (
    Place,
    Section,
    chart,
    chart_point,
    marked,
    not_pictured,
    number_text,
    page,
    pictured,
    pictures,
    problem_list,
    rate_text,
    table,
)
from openplate.evaluate.run import open_labelled
from openplate.evaluate.summary import FAILURE_KINDS, EndToEndSummary, Failure, FailureKind, Group, Report, Summary
from openplate.types import Frame

_FOLDED: tuple[FailureKind, ...] = ("detection missed", "detection unmatched")


def evaluation_page(reports: Sequence[Report], whole: Report, settings: str) -> str:
    """The page of an evaluation: the numbers of `whole` (all sets together) and of each report, and the failures with
    pictures of the first 200 of each kind in each report. `settings` says how it was run."""
    summaries = [(report.name, report.summary()) for report in (*reports, *([whole] if len(reports) > 1 else []))]
    sections = [Section("Overview", summary_table(summaries) + _notes())]
    for report in (whole, *reports) if len(reports) > 1 else reports:
        first = report is (whole if len(reports) > 1 else reports[0])
        sections.append(Section(report.name, _numbers(report.summary(), report.problems)))
        sections.append(Section(f"{report.name}: characters", character_section(report, pictured=first)))
    for report in reports:
        images = {outcome.image.path: outcome.image for outcome in report.images}
        sections.append(Section(f"{report.name}: failures", _failures(report.failures(), images, open_labelled, report.alike)))
    return page("OpenPlate: evaluation", sections, [whole.engine], settings)


def false_alarm_page(counts: Sequence[FalseAlarms], whole: FalseAlarms, settings: str) -> str:
    """The page of a count of false alarms: one row a set, and confident readings, at most 200 of a set, in their painted photos."""
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
    overview = table(["set", "photos", "confident readings", "in 100 photos", "photos with one, %"], rows)
    sections = [Section("Overview", overview + note + problem_list(whole.problems))]
    for one in counts:
        images = {photo.image.path: photo.image for photo in one.photos}
        sections.append(Section(f"{one.name}: readings", _failures(one.failures(), images, paint_labelled)))
    return page("OpenPlate: false alarms", sections, [whole.engine], settings)


SUMMARY_HEADINGS = (
    "set",
    "images",
    "plates",
    "end to end %",
    "wrong (length)",
    "unreadable",
    "not found",
    "extra",
    "recall %",
    "matched %",
    "mAP50-95",
    "corners",
    "reader %",
    "CER %",
    "country %",
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
        *(_whole_cells(whole) if whole else ["-"] * 5),
        *([rate_text(detection.recall), rate_text(detection.matched), number_text(detection.map50_95, 3)] if detection else ["-"] * 3),
        number_text(detection.corners.median_fraction if detection and detection.corners else None, 3),
        *([rate_text(reading.exact), number_text(None if reading.cer is None else 100 * reading.cer, 2)] if reading else ["-"] * 2),
        rate_text(reading.country) if reading and reading.country else "-",
        f"{rate_text(sure)} of {sure.total}" if sure and sure.total else "-",
    ]


def _whole_cells(whole: EndToEndSummary) -> list[str]:
    wrong = f"{whole.wrong} ({whole.wrong_length.right})"
    return [rate_text(whole.exact), wrong, *map(str, (whole.unreadable, whole.not_found, whole.extra))]


def summary_table(summaries: Sequence[tuple[str, Summary]]) -> str:
    """The overview as an HTML table."""
    return table(list(SUMMARY_HEADINGS), [summary_row(name, summary) for name, summary in summaries])


def _notes() -> str:
    return (
        "<p class=note>Square brackets: 95 % interval (Wilson). <b>end to end</b>: labelled plates with exactly their text in some reading "
        "at IoU ≥ 0.3. In brackets behind <b>wrong</b>: texts given with too few or too many characters. <b>recall</b>: labels that a detection finds at IoU ≥ 0.5. <b>matched</b>: detections that find a label; photos hold "
        "plates without a label, so this is a lower bound of precision. <b>corners</b>: median distance as a fraction of the plate's height, "
        "over true quads. <b>reader</b>: exact texts on labelled quads. <b>country</b>: right texts "
        "of which the right country is named, where the label names one with a format. <b>sure</b>: right among readings with confidence ≥ 0.99.</p>"
    )


def _numbers(summary: Summary, problems: Sequence[str]) -> str:
    parts = [problem_list(problems)]
    groups = (("country", summary.by_country), ("height, px", [g for g in summary.by_height_px if g.plates]))
    parts.append("<div class=columns>" + "".join(f"<div>{_group_table(*group)}</div>" for group in groups) + "</div>")
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
        parts.append("<h3>Corner error</h3>" + table(["plates", "median px", "p90 px", "median, of the height", "p90, of the height"], rows))
    if summary.end_to_end:
        parts.append(_calibration("Confidence, end to end", summary.end_to_end.calibration))
    if summary.reading:
        parts.append(_calibration("Confidence of the reader on labelled quads", summary.reading.calibration))
    return "".join(parts)


def _group_table(heading: str, groups: Sequence[Group]) -> str:
    rows = [[g.name, str(g.plates), rate_text(g.exact), rate_text(g.found), rate_text(g.reading_exact), rate_text(g.country)] for g in groups]
    return f"<h3>By {heading}</h3>" + table([heading, "plates", "end to end %", "recall %", "reader %", "country %"], rows)


def _calibration(title: str, calibration: Calibration) -> str:
    rows = [
        [f"{b.low:g} to {b.high:g}", str(b.kept.total), "-" if b.promised is None else f"{100 * b.promised:.1f}", rate_text(b.kept)]
        for b in calibration.bins
    ]
    sure = calibration.sure
    said = f"Of {sure.total} readings with confidence ≥ 0.99, {sure.right} are right: {rate_text(sure)} %."
    error = f"Expected calibration error: {number_text(calibration.error, 4)}."
    bins = table(["confidence", "readings", "promised %", "kept %"], rows)
    charts = _reliability_chart(calibration) + _coverage_chart(calibration)
    return f"<h3>{escape(title)}</h3><p>{said} {error}</p><div class=charts>{bins}{charts}</div>"


def _reliability_chart(calibration: Calibration) -> str:
    (x0, y0), (x1, y1) = chart_point(0, 0, 1), chart_point(1, 1, 1)
    marks = f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" class="ideal"/>'
    for b in calibration.bins:
        if b.promised is None or b.kept.share is None or b.kept.low is None or b.kept.high is None:
            continue
        x, y = chart_point(b.promised, b.kept.share, 1)
        low, high = chart_point(0, b.kept.low, 1)[1], chart_point(0, b.kept.high, 1)[1]
        marks += f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" class="bar"/><circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="dot"/>'
    return chart("Promised and kept; bars: 95 % interval", marks, "confidence promised", "share right", 1)


def _coverage_chart(calibration: Calibration) -> str:
    points = calibration.risk_coverage
    most = max([0.05, *(point.risk for point in points)])
    path = " ".join("{:.1f},{:.1f}".format(*chart_point(point.coverage, point.risk, most)) for point in points)
    marks = f'<polyline points="{path}" class="curve"/>'
    return chart("Risk over coverage: the surest readings first", marks, "share of readings taken", "share wrong", most)


def _failures(
    failures: Sequence[Failure], images: dict[Path, LabelledImage], opened: Callable[[LabelledImage], Frame], alike: Sequence[str] = ()
) -> str:
    if not failures:
        return "<p>None.</p>"
    by_kind = {kind: [failure for failure in failures if failure.kind == kind] for kind in FAILURE_KINDS}
    shown = [failure for found in by_kind.values() for failure in pictured(found)]
    made = iter(pictures([Place(images[failure.image], failure.quad) for failure in shown], opened))  # together: an image is opened once
    parts = []
    for kind, found in by_kind.items():
        if not found:
            continue
        cards = "".join(_card(failure, next(made), alike) for failure in pictured(found))
        head = f"<details{'' if kind in _FOLDED else ' open'}><summary>{escape(kind)} ({len(found)})</summary><p>{escape(FAILURE_KINDS[kind])}</p>"
        parts.append(f"{head}<div class=cards>{cards}</div>{not_pictured(len(found))}</details>")
    return "".join(parts)


def _card(failure: Failure, picture: str, alike: Sequence[str]) -> str:
    reading, truth = failure.reading, failure.truth
    candidates = ", ".join(f"{c.text} {c.confidence:.2f} {c.format or ''}".strip() for c in reading.candidates[:4]) if reading else ""
    lines = [
        ("truth", escape(truth or "")),
        ("read", (marked(truth, reading.text, alike) if truth else escape(reading.text)) if reading and reading.text else ""),
        ("confidence", "" if failure.confidence is None else f"{failure.confidence:.3f}"),
        ("candidates", escape(candidates)),
        ("reason", escape(failure.reason or "")),
    ]
    told = "".join(f"<dt>{name}</dt><dd class={name}>{value}</dd>" for name, value in lines if value)
    held_back = " right" if reading and truth and same_text(reading.text, truth, alike) else ""
    return f'<article class="card{held_back}">{picture}<dl>{told}</dl><footer>{escape(failure.image.name)}</footer></article>'
