"""Names, numbers and pictures in, the parts of one self-contained HTML page out: nothing in it is fetched from elsewhere."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import TypeVar

import cv2
import numpy as np

from openplate.charset import normalise
from openplate.dataset import LabelledImage
from openplate.errors import OpenPlateError
from openplate.evaluate.metrics import Rate, canonical
from openplate.geometry import quad_size, quad_to_box
from openplate.sources import encode_image
from openplate.types import EngineReport, Frame, Image, Quad

T = TypeVar("T")
PICTURE_PX = (420, 150)
"""Largest width and height of a picture of a plate."""
MOST_PICTURED = 200
"""Of one kind that a set's part of a page pictures at most: a picture is about 10 kB of the page."""
_WHOLE = re.compile(r"\[[^]]*\](?: of \d+)?|\w+-\w+|\w+ %")
"""What stays on one line of a cell: an interval, a word with a hyphen, a word and its %."""


@dataclass(frozen=True, slots=True)
class Section:
    """One data set's part of a page."""

    name: str
    body: str


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """What to picture: a quad in a labelled image; `quad` None is the whole image."""

    image: LabelledImage
    quad: Quad | None


def page(title: str, sections: Sequence[Section], engines: Sequence[EngineReport], settings: str) -> str:
    """The whole page: a heading that says how it was measured, links, and the sections (trusted HTML)."""
    links = "".join(f'<a href="#s{i}">{escape(section.name)}</a>' for i, section in enumerate(sections))
    body = "".join(f'<section id="s{i}"><h2>{escape(section.name)}</h2>{section.body}</section>' for i, section in enumerate(sections))
    engine_text = "; ".join(dict.fromkeys(engine_said(engine) for engine in engines))
    template = Template(resources.files(__package__).joinpath("page.html").read_text(encoding="utf8"))
    return template.substitute(title=escape(title), engine=escape(engine_text), settings=escape(settings), links=links, body=body)


def engine_said(engine: EngineReport) -> str:
    """An engine for people: "openvino 2026.4.1 on cpu, bf16, 1 thread"."""
    return f"{engine.name} {engine.version} on {engine.device}, {engine.precision}, {engine.threads} thread{'s' * (engine.threads != 1)}"


def problem_list(problems: Sequence[str]) -> str:
    """What could not be measured, "" when everything was."""
    return "<h3>Not measured</h3><ul class=problems>" + "".join(f"<li>{escape(p)}</li>" for p in problems) + "</ul>" if problems else ""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; all cells are text, the first of a row flush left. Where room is short, a cell takes several lines, see `_WHOLE`."""
    head = "".join(f"<th>{_cell(h)}</th>" for h in headings)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(text: str) -> str:
    return _WHOLE.sub(r"<span>\g<0></span>", escape(text))


def number_text(value: float | None, digits: int) -> str:
    """A number with so many digits after the point, "-" for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def chart(title: str, marks: str, x_title: str, y_title: str, y_most: float) -> str:
    """An SVG of 260×240 with axes from 0 to 1 (x) and 0 to `y_most` (y); marks are drawn in px, see `chart_point`."""
    ticks = "".join(
        f'<text x="{chart_point(t, 0, 1)[0]:.1f}" y="212" text-anchor="middle">{t:g}</text>'
        f'<text x="52" y="{chart_point(0, t * y_most, y_most)[1] + 4:.1f}" text-anchor="end">{t * y_most:.2g}</text>'
        for t in (0.0, 0.5, 1.0)
    )
    return (
        f'<figure><svg viewBox="0 0 260 240" width="260" height="240" role="img" aria-label="{escape(title)}">'
        f'<rect x="58" y="14" width="190" height="184" class="area"/>{marks}{ticks}'
        f'<text x="153" y="230" text-anchor="middle">{escape(x_title)}</text>'
        f'<text transform="translate(11 106) rotate(-90)" text-anchor="middle">{escape(y_title)}</text></svg>'
        f"<figcaption>{escape(title)}</figcaption></figure>"
    )


def chart_point(x: float, y: float, y_most: float) -> tuple[float, float]:
    """Where a value lies in a `chart`, in its px."""
    return 58 + 190 * x, 198 - 184 * y / y_most


def rate_text(rate: Rate) -> str:
    """A rate as "97.3 [94.1 98.8]" in %, "-" when nothing was counted."""
    if rate.share is None or rate.low is None or rate.high is None:
        return "-"
    return f"{100 * rate.share:.1f} [{100 * rate.low:.1f} {100 * rate.high:.1f}]"


def pictures(places: Sequence[Place], opened: Callable[[LabelledImage], Frame], largest_px: tuple[int, int] = PICTURE_PX) -> list[str]:
    """An `<img>` for each place, "" when its file is no longer readable; each file is opened once."""
    made = [""] * len(places)
    by_path: dict[Path, list[int]] = {}
    for i, place in enumerate(places):
        by_path.setdefault(place.image.path, []).append(i)
    for chosen in by_path.values():
        try:
            image = opened(places[chosen[0]].image).image
        except OpenPlateError:
            continue
        for i in chosen:
            made[i] = jpeg_img(place_picture(image, places[i].quad, largest_px))
    return made


def pictured(found: Sequence[T]) -> Sequence[T]:
    """Those of one kind that a set's part of a page pictures."""
    return found[:MOST_PICTURED]


def not_pictured(count: int) -> str:
    """Says, of `count` of one kind, how many have no picture; nothing when all have one."""
    more = count - MOST_PICTURED
    return f"<p>The first {MOST_PICTURED} are shown, {more:,} more are not: <code>--json</code> lists all.</p>" if more > 0 else ""


def place_picture(image: Image, quad: Quad | None, largest_px: tuple[int, int] = PICTURE_PX) -> Image:
    """A quad of the `(H, W, 3) uint8 RGB` image with some surroundings and its outline, or the whole image, enlarged or reduced to a readable size."""
    height, width = image.shape[:2]
    if quad is None:
        x0, y0, x1, y1 = 0, 0, width, height
    else:
        left, top, right, bottom = quad_to_box(quad)
        margin_px = max(0.6 * quad_size(quad)[1], 6.0)
        x0, y0 = max(int(left - 1.5 * margin_px), 0), max(int(top - margin_px), 0)
        x1, y1 = min(int(right + 1.5 * margin_px) + 1, width), min(int(bottom + margin_px) + 1, height)
        if x1 <= x0 or y1 <= y0:
            x0, y0, x1, y1 = 0, 0, width, height
    view = image[y0:y1, x0:x1]
    scale = min(largest_px[0] / view.shape[1], largest_px[1] / view.shape[0])
    size = max(round(view.shape[1] * scale), 1), max(round(view.shape[0] * scale), 1)
    picture = np.ascontiguousarray(cv2.resize(view, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA), dtype=np.uint8)
    if quad is not None:
        corners = np.round((quad - [x0, y0]) * scale).astype(np.int32)
        cv2.polylines(picture, [corners], isClosed=True, color=(255, 140, 0), thickness=1, lineType=cv2.LINE_AA)
    return picture


def jpeg_img(picture: Image) -> str:
    """An `(H, W, 3) uint8 RGB` image as an `<img>` that carries its own bytes."""
    height, width = picture.shape[:2]
    return f'<img src="{data_address("image/jpeg", encode_image(picture, ".jpg", quality=85))}" width="{width}" height="{height}" alt="">'


def data_address(kind: str, content: bytes) -> str:
    """Bytes of a media type as an address that needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def marked(truth: str, read: str, alike: Sequence[str] = ()) -> str:
    """The read text as HTML: characters that are not the label's are marked, and a dot stands for each that is missing."""
    try:
        from openplate.evaluate.characters import BLANK, align
    except ModuleNotFoundError:  # rapidfuzz: the text is then shown without marks
        return escape(read)
    shown = iter(normalise(read))
    parts = []
    for step in align(canonical(truth, alike), canonical(read, alike)):
        character = escape(next(shown)) if step.read != BLANK else "·"
        parts.append(character if step.right else f"<mark>{character}</mark>")
    return "".join(parts)
