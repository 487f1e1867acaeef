"""Paired reports in, one self-contained HTML page out: the table of differences, and a picture of every plate that changed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from openplate.evaluate.compare import CHANGES, Change, Comparison, Pair, PairedReport, Side, Task
from openplate.evaluate.metrics import Difference
from openplate.evaluate.page import Place, Section, marked, not_pictured, number_text, page, pictured, pictures, problem_list, rate_text, table
from openplate.evaluate.run import open_labelled

_FOLDED: tuple[Change, ...] = ("changed",)
COMPARISON_HEADINGS = (
    "set",
    "task",
    "plates",
    "A %",
    "B %",
    "B - A, points",
    "p",
    "fixed",
    "broken",
    "beside labels",
    "same text %",
    "CER A %",
    "CER B %",
    "B - A, points",
)


def comparison_row(name: str, comparison: Comparison) -> list[str]:
    """The numbers of one set and task as the cells under `COMPARISON_HEADINGS`; "-" for what was not measured."""
    same = comparison.same_text
    return [
        name,
        comparison.task,
        str(comparison.plates),
        rate_text(comparison.a),
        rate_text(comparison.b),
        difference_text(comparison.difference),
        f"{comparison.p_value:.2g}",
        str(comparison.fixed),
        str(comparison.broken),
        "-" if comparison.beside_a is None or comparison.beside_b is None else f"{comparison.beside_a} / {comparison.beside_b}",
        "-" if same is None or same.share is None else f"{100 * same.share:.1f}",
        *(number_text(None if cer is None else 100 * cer, 2) for cer in (comparison.cer_a, comparison.cer_b)),
        difference_text(comparison.cer_difference, 2),
    ]


def difference_text(difference: Difference | None, digits: int = 1) -> str:
    """A difference as "+1.8 [-0.4 +4.6]" in percentage points, "-" when nothing was counted."""
    if difference is None or difference.value is None or difference.low is None or difference.high is None:
        return "-"
    value, low, high = (f"{100 * number:+.{digits}f}" for number in (difference.value, difference.low, difference.high))
    return f"{value} [{low} {high}]"


def comparison_page(reports: Sequence[PairedReport], whole: PairedReport, name_a: str, name_b: str, settings: str) -> str:
    """The page of a comparison: a row for each set and task and for all sets together (`whole`), and every plate that changed."""
    shown = [*reports, *([whole] if len(reports) > 1 else [])]
    rows = [comparison_row(report.name, comparison) for report in shown for comparison in report.comparisons()]
    named = f"<p><b>A</b>: {escape(name_a)}<br><b>B</b>: {escape(name_b)}</p>"
    sections = [Section("Overview", named + table(COMPARISON_HEADINGS, rows) + _notes() + problem_list(whole.problems))]
    for report in reports:
        for task, pairs in report.pairs.items():
            sections.append(Section(f"{report.name}: {task}", _changes(task, pairs, report.alike)))
    return page("OpenPlate: A and B compared", sections, [whole.engine_a, whole.engine_b], settings)


def _notes() -> str:
    return (
        "<p class=note>Both models are measured on the same plates. <b>fixed</b>: B is right and A is not; <b>broken</b>: the reverse. "
        "<b>B - A</b>: percentage points, with a 95 % interval (shares: Newcombe, paired; CER: bootstrap over plates); an interval that holds 0 shows "
        "no difference. <b>p</b>: exact McNemar test: how often chance alone would split fixed and broken so unevenly. "
        "<b>beside labels</b>: detections (end to end: texts) of A / B where no label is: false alarms, or plates without a label. "
        "<b>same text</b>: both give the same text, right or wrong.</p>"
    )


def _changes(task: Task, pairs: Sequence[Pair], alike: Sequence[str]) -> str:
    changed = [pair for pair in pairs if pair.change != "same"]
    if not changed:
        return "<p>No plate changed.</p>"
    by_kind = {kind: [pair for pair in changed if pair.change == kind] for kind in CHANGES}
    shown = [pair for found in by_kind.values() for pair in pictured(found)]
    made = iter(pictures([Place(pair.image, pair.label.quad) for pair in shown], open_labelled))  # together: an image is opened once
    parts = []
    for kind, meaning in CHANGES.items():
        found = by_kind[kind]
        if found:
            cards = "".join(_card(task, pair, next(made), alike) for pair in pictured(found))
            head = f"<details{'' if kind in _FOLDED else ' open'}><summary>{kind} ({len(found)})</summary><p>{escape(meaning)}</p>"
            parts.append(f"{head}<div class=cards>{cards}</div>{not_pictured(len(found))}</details>")
    return "".join(parts)


def _card(task: Task, pair: Pair, picture: str, alike: Sequence[str]) -> str:
    lines = [f"<dt>truth</dt><dd class=truth>{escape(pair.label.text)}</dd>" if pair.label.text else ""]
    for name, side in (("A", pair.a), ("B", pair.b)):
        lines.append(f'<dt>{name}</dt><dd class="text {"good" if side.right else "bad"}">{_said(task, side, pair.label.text or "", alike)}</dd>')
    return f"<article class=card>{picture}<dl>{''.join(lines)}</dl><footer>{escape(pair.image.path.name)}</footer></article>"


def _said(task: Task, side: Side, truth: str, alike: Sequence[str]) -> str:
    if task == "detector" or side.text is None:
        return escape(side.said)
    confidence = "" if side.confidence is None else f" <small>{side.confidence:.2f}</small>"
    return (marked(truth, side.text, alike) if side.text else "nothing") + confidence
