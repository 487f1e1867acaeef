"""A report in, its part of the page about single characters out: errors by length, position and country, the confusion matrix, and pictured confusions."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from openplate.evaluate.metrics import canonical
from openplate.evaluate.page import Place, data_address, marked, number_text, pictures, rate_text, table
from openplate.evaluate.run import open_labelled
from openplate.evaluate.summary import PlateOutcome, Report
from openplate.types import Reading

if TYPE_CHECKING:
    from openplate.evaluate.characters import Cell, CharacterErrors

SHOWN_CONFUSIONS = 16
"""Confusions with pictures; all of them are in the matrix and in the JSON."""
EXAMPLES = 5
"""Pictures of a confusion."""
_EXAMPLE_PX = (260, 80)
_NEEDS_EXTRA = "<p class=note>{} needs a package that is not installed: pip install 'openplate[evaluate]'.</p>"


def character_section(report: Report, *, pictured: bool) -> str:
    """HTML about the reader's characters on labelled quads; `pictured` adds pictures of the most frequent confusions."""
    reading = report.summary().reading
    if reading is None:
        return "<p>The reader was not measured by itself.</p>"
    if reading.characters is None:
        return _NEEDS_EXTRA.format("Comparing characters")
    errors = reading.characters
    parts = [_said(errors), "<div class=columns>", _lengths(errors), _countries(errors), _positions(errors), "</div>"]
    parts += [_top(errors, report, pictured), _matrix(errors, report.name)]
    return "".join(parts)


def _said(errors: CharacterErrors) -> str:
    cer = number_text(None if errors.cer is None else 100 * errors.cer, 2)
    return (
        f"<p>The reader alone, on {errors.texts} labelled plates. Characters read as they are: {errors.right.right} of {errors.right.total}, "
        f"{rate_text(errors.right)} %. Character error rate: {cer} %: {errors.replaced} replaced, {errors.missing} missing, "
        f"{errors.inserted} inserted. Plates of which nothing was read: {errors.unread}; they count in these numbers, by length and by country, "
        "and are left out below by position and among the confusions.</p>"
    )


def _lengths(errors: CharacterErrors) -> str:
    rows = [[f"{one.difference:+d}" if one.difference else "0", str(one.texts), f"{100 * one.texts / errors.texts:.1f}"] for one in errors.lengths]
    return "<div><h3>Length</h3>" + table(["read less label", "texts", "%"], rows) + "</div>"


def _countries(errors: CharacterErrors) -> str:
    rows = [
        [
            one.country,
            str(one.exact.total),
            rate_text(one.exact),
            rate_text(one.characters),
            number_text(None if one.cer is None else 100 * one.cer, 2),
        ]
        for one in errors.by_country
    ]
    return "<div><h3>By country</h3>" + table(["country", "texts", "exact %", "characters right %", "CER %"], rows) + "</div>"


def _positions(errors: CharacterErrors) -> str:
    """A table with a bar for the share that is wrong at each position."""
    wrong = [1 - one.right.share if one.right.share is not None else 0.0 for one in errors.by_position]
    most = max(wrong, default=0.0) or 1.0
    rows = []
    for one, share in zip(errors.by_position, wrong, strict=True):
        cells = "".join(f"<td>{value}</td>" for value in (one.position, one.right.total, one.replaced, one.missing, one.inserted))
        said = f"{100 * share:.1f}" if one.right.total else "-"
        rows.append(f'<tr>{cells}<td class=share style="--share:{100 * share / most:.0f}%"><span>{said}</span></td></tr>')
    head = "".join(f"<th>{name}</th>" for name in ("position", "characters", "replaced", "missing", "inserted before", "not right %"))
    return f"<div><h3>By position</h3><div class=wide><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></div>"


def _top(errors: CharacterErrors, report: Report, pictured: bool) -> str:
    head = "<h3>Most frequent confusions</h3>"
    shown = errors.confusions[:SHOWN_CONFUSIONS]
    if not shown:
        return head + "<p>None.</p>"
    if not pictured:
        rows = [[_named(cell), str(cell.count), _share(cell, errors)] for cell in shown]
        return head + table(["label → read", "times", "% of that character"], rows)
    examples = [_examples(cell, report) for cell in shown]
    places = [place for one in examples for place, _ in one]
    made = iter(pictures(places, open_labelled, _EXAMPLE_PX))
    parts = []
    for cell, one in zip(shown, examples, strict=True):
        figures = "".join(f"<figure>{next(made)}<figcaption>{caption}</figcaption></figure>" for _, caption in one)
        share = _share(cell, errors)
        said = ("once" if cell.count == 1 else f"{cell.count} times") + (f", {share} % of all {cell.truth}" if cell.truth else "")
        parts.append(f"<div class=confusion><b>{escape(_named(cell))}<small>{escape(said)}</small></b>{figures}</div>")
    return head + f"<div class=confusions>{''.join(parts)}</div>"


def _named(cell: Cell) -> str:
    return f"{cell.truth or 'nothing'} → {cell.read or 'nothing'}"


def _share(cell: Cell, errors: CharacterErrors) -> str:
    total = sum(other.count for other in (*errors.same, *errors.confusions) if other.truth == cell.truth)
    return f"{100 * cell.count / total:.1f}" if cell.truth else "-"


def _examples(cell: Cell, report: Report) -> list[tuple[Place, str]]:
    """The first plates with a confusion: where they are, and what was read there."""
    from openplate.evaluate.characters import align

    found: list[tuple[Place, str]] = []
    for image, plate, reading in _read_plates(report):
        truth = plate.label.text or ""
        steps = align(canonical(truth, report.alike), canonical(reading.text, report.alike))
        if any((step.truth, step.read) == (cell.truth, cell.read) for step in steps):
            found.append((image, f"{marked(truth, reading.text, report.alike)} <s>{escape(truth)}</s>"))
        if len(found) == EXAMPLES:
            break
    return found


def _read_plates(report: Report) -> Iterator[tuple[Place, PlateOutcome, Reading]]:
    for outcome in report.images:
        for plate in outcome.plates:
            if plate.reading is not None and plate.reading.text and plate.reading_right is False:
                yield Place(outcome.image, plate.label.quad), plate, plate.reading


def _matrix(errors: CharacterErrors, name: str) -> str:
    head = "<h3>Confusion matrix</h3>"
    try:
        from openplate.evaluate.confusions import confusion_csv, confusion_matrix, confusion_png
    except ModuleNotFoundError:  # matplotlib
        return head + _NEEDS_EXTRA.format("The picture of the matrix")
    matrix = confusion_matrix(errors)
    link = data_address("text/csv", confusion_csv(matrix).encode("utf8"))
    picture = data_address("image/png", confusion_png(matrix, f"{name}: label and read"))
    return (
        f"{head}<p class=note>Rows: the label's character; columns: what was read. The last column counts characters that are missing in the reading, "
        f'the last row characters that are read and not there. <a download="confusions.csv" href="{link}">confusions.csv</a></p>'
        f'<img class=matrix src="{picture}" alt="confusion matrix">'
    )
