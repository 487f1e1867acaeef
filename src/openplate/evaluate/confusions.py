"""Character errors in, their confusion matrix out: as an array, as CSV, and as a picture (PNG). Needs matplotlib (extra `evaluate`)."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from openplate.errors import ConfigError
from openplate.evaluate.characters import BLANK, CharacterErrors

MISSING = "(missing)"
"""Heading of the last column: the label's character was not read."""
INSERTED = "(inserted)"
"""Heading of the last row: a character was read that is not there."""
_CELL_INCH = 0.27
_DPI = 110
_FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Microsoft YaHei",
    "SimHei",
    "Noto Sans",
    "Noto Sans Arabic",
    "Noto Sans Thai",
)


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionMatrix:
    """`counts (K + 1, K + 1) int64`: row i is the label's character i, column j the one that was read; the last row and column are `BLANK`."""

    characters: tuple[str, ...]
    counts: NDArray[np.int64]


def confusion_matrix(errors: CharacterErrors) -> ConfusionMatrix:
    """The matrix over every character that occurs in a label or in a reading, sorted."""
    cells = (*errors.same, *errors.confusions)
    characters = tuple(sorted({character for cell in cells for character in (cell.truth, cell.read)} - {BLANK}))
    place = {character: i for i, character in enumerate((*characters, BLANK))}
    counts = np.zeros((len(place), len(place)), dtype=np.int64)
    for cell in cells:
        counts[place[cell.truth], place[cell.read]] += cell.count
    return ConfusionMatrix(characters, counts)


def confusion_csv(matrix: ConfusionMatrix) -> str:
    """The matrix as CSV: a heading, then a row for each of the labels' characters."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label \\ read", *matrix.characters, MISSING])
    for name, row in zip((*matrix.characters, INSERTED), matrix.counts.tolist(), strict=True):
        writer.writerow([name, *row])
    return text.getvalue()


def confusion_png(matrix: ConfusionMatrix, title: str) -> bytes:
    """The matrix as a PNG: green is read right, red is confused, the darker the larger the share of that character; every count is written in its cell.

    A character that no installed font has is named by its code, such as U+7696.
    """
    families, names = _named((*matrix.characters,))
    size = len(names) + 1
    side_inch = _CELL_INCH * size + 1.3
    figure = Figure(figsize=(max(side_inch, 5.0), max(side_inch, 4.6)), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shares = _shares(matrix.counts)
    diagonal = np.eye(size, dtype=bool)
    for colours, cells in (("Greens", diagonal), ("Reds", ~diagonal)):
        hidden = np.ma.masked_array(shares, ~cells | (matrix.counts == 0))
        axes.imshow(hidden, cmap=_soft(colours), norm=PowerNorm(0.4, 0, 1), aspect="equal")
    for row, column in zip(*np.nonzero(matrix.counts), strict=True):
        number = int(matrix.counts[row, column])
        axes.text(column, row, str(number), ha="center", va="center", fontsize=7 if number < 1000 else 5.5, color="#1d2530")
    axes.set_xticks(range(size), [*names, "missing"], fontfamily=families)
    axes.set_yticks(range(size), [*names, "inserted"], fontfamily=families)
    axes.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False, length=0, labelsize=9)
    axes.tick_params(axis="y", length=0, labelsize=9)
    for label in axes.get_xticklabels():
        label.set_rotation(90 if len(label.get_text()) > 1 else 0)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e6e9ef", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("read")
    axes.set_ylabel("label")
    axes.set_title(title, fontsize=11, fontfamily=families)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def write_confusions(errors: CharacterErrors, folder: Path, title: str) -> tuple[Path, Path]:
    """Write `confusions.csv` and `confusions.png` into a folder, which is made when it is missing.

    Raises:
        ConfigError: the folder cannot be written to.
    """
    matrix = confusion_matrix(errors)
    table, picture = folder / "confusions.csv", folder / "confusions.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        table.write_text(confusion_csv(matrix), encoding="utf8")
        picture.write_bytes(confusion_png(matrix, title))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot write the confusions there: {error}") from None
    return table, picture


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each count as a share of its row's character; an inserted one as a share of all times its character was read."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares[-1] = counts[-1] / np.maximum(counts.sum(axis=0), 1)
    return np.asarray(shares)


def _soft(name: str) -> ListedColormap:
    """The lighter two thirds of a colour map, so that dark numbers stay readable on it."""
    import matplotlib

    return ListedColormap(matplotlib.colormaps[name](np.linspace(0.08, 0.66, 256)))


def _named(characters: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The installed font families to draw with, and each character, or its code where none of them has it."""
    installed = set(font_manager.get_font_names())
    families = [name for name in _FONTS if name in installed]
    fonts = [font_manager.get_font(font_manager.findfont(name)) for name in families]
    drawable = [any(font.get_char_index(ord(character)) for font in fonts) for character in characters]
    return families, [c if ok else f"U+{ord(c):04X}" for c, ok in zip(characters, drawable, strict=True)]
