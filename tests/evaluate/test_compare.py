import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from openplate.dataset import load_dataset
from openplate.evaluate.compare import PairedReport, combine_pairs, pair_reports
from openplate.evaluate.compare_page import comparison_page, comparison_row, difference_text
from openplate.evaluate.metrics import Difference
from openplate.evaluate.run import evaluate
from openplate.evaluate.summary import Part, Report
from openplate.geometry import box_to_quad
from openplate.types import Image, Quad, Reading
from tests.conftest import BOX, FakePipeline, label, plate, reading

HERE = box_to_quad(*BOX)
MakeDataset = Callable[..., Path]
TEXTS = ("A123BC77", "A123BC78", "A128BC77", "B1")
"""The labels of four photos: a reader that says A123BC77 to all has the first right, one that says A123BC78 the second."""


class SamePipeline(FakePipeline):
    """Reads the same on every quad, however many there are."""

    def read_quads(self, image: Image, quads: Sequence[Quad]) -> list[Reading]:
        return self.on_quads * len(quads)


def report(folder: Path, text: str, *, found: bool = True, part: Part = "all") -> Report:
    """What a pipeline that gives the same text everywhere makes of a data set."""
    plates = [plate(HERE, text, 0.9)] if found else []
    return evaluate(SamePipeline(plates, [reading(text, 0.9)]), load_dataset(folder), part=part)


@pytest.fixture
def paired(make_dataset: MakeDataset) -> PairedReport:
    folder = make_dataset(*([label(text)] for text in TEXTS))
    return pair_reports(report(folder, "A123BC77"), report(folder, "A123BC78"))


def test_each_task_counts_what_b_fixes_and_breaks(paired: PairedReport) -> None:
    whole, read, found = paired.comparisons()
    assert [c.task for c in (whole, read, found)] == ["end to end", "reader", "detector"]
    for one in (whole, read):
        assert (one.plates, one.a.right, one.b.right, one.both, one.fixed, one.broken, one.neither) == (4, 1, 1, 0, 1, 1, 2)
        assert (one.difference.value, one.p_value) == (0.0, 1.0)
        assert one.same_text is not None and one.same_text.right == 0
    assert (found.both, found.fixed, found.broken, found.same_text, found.cer_a) == (4, 0, 0, None, None)


def test_character_error_rates_are_of_the_reader(paired: PairedReport) -> None:
    """26 characters; A needs 0 + 1 + 1 + 7 edits (B1 from A123BC77), B 1 + 0 + 2 + 7."""
    _, read, _ = paired.comparisons()
    assert read.cer_a == pytest.approx(9 / 26)
    assert read.cer_b == pytest.approx(10 / 26)
    assert read.cer_difference is not None
    assert read.cer_difference.value == pytest.approx(1 / 26)


def test_changes_are_by_plate(paired: PairedReport) -> None:
    assert [pair.change for pair in paired.pairs["reader"]] == ["broken", "fixed", "changed", "changed"]
    assert {pair.change for pair in paired.pairs["detector"]} == {"same"}
    changes = paired.as_json()["changes"]
    assert [(one["change"], one["truth"], one["a"]["text"], one["b"]["text"]) for one in changes["reader"]] == [
        ("broken", "A123BC77", "A123BC77", "A123BC78"),
        ("fixed", "A123BC78", "A123BC77", "A123BC78"),
        ("changed", "A128BC77", "A123BC77", "A123BC78"),
        ("changed", "B1", "A123BC77", "A123BC78"),
    ]
    assert changes["detector"] == []


def test_better_model_has_an_interval_above_nothing(make_dataset: MakeDataset) -> None:
    folder = make_dataset(*([label("A1")] for _ in range(12)))
    (one,) = pair_reports(report(folder, "B1", part="reader"), report(folder, "A1", part="reader")).comparisons()
    assert (one.fixed, one.broken, one.p_value) == (12, 0, 2 / 2**12)
    assert one.difference.value == 1
    assert one.difference.low is not None and one.difference.low > 0.5


def test_detector_that_misses_breaks_plates(make_dataset: MakeDataset) -> None:
    folder = make_dataset([label(None)], [label("A1")])
    (one,) = pair_reports(report(folder, "A1", part="detector"), report(folder, "A1", found=False, part="detector")).comparisons()
    assert (one.task, one.plates, one.broken) == ("detector", 2, 2)


def test_what_is_given_beside_the_labels_is_counted(make_dataset: MakeDataset) -> None:
    folders = [make_dataset([label("A1")], [], name=name) for name in ("one", "two")]
    paired = [pair_reports(report(f, "A1", found=False), report(f, "A1")) for f in folders]
    whole, read, found = combine_pairs(paired).comparisons()
    assert [(one.beside_a, one.beside_b) for one in (whole, read, found)] == [(0, 2), (None, None), (0, 2)]


def test_image_that_one_model_was_not_measured_on_is_left_out_and_named(make_dataset: MakeDataset) -> None:
    folder = make_dataset([label("A1")], [label("B1")])
    first = report(folder, "A1", part="reader")
    second = replace(first, images=first.images[:1])
    paired = pair_reports(first, second)
    assert [len(pairs) for pairs in paired.pairs.values()] == [1]
    (problem,) = paired.problems
    assert problem.endswith("1.png: only one of the two models was measured on it; left out")


def test_several_sets_together_count_each_plate_once(make_dataset: MakeDataset) -> None:
    folders = [make_dataset([label("A1")], [label("B1")], name=name) for name in ("one", "two")]
    whole = combine_pairs([pair_reports(report(f, "A1", part="reader"), report(f, "B1", part="reader")) for f in folders])
    (one,) = whole.comparisons()
    assert (whole.name, one.plates, one.fixed, one.broken) == ("all", 4, 2, 2)


def test_without_rapidfuzz_only_the_character_rates_are_missing(paired: PairedReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openplate.evaluate.characters", None)
    _, read, _ = paired.comparisons()
    assert (read.fixed, read.cer_a, read.cer_difference) == (1, None, None)
    assert comparison_row("street", read)[-3:] == ["-", "-", "-"]


def test_row_is_in_percent_and_points(paired: PairedReport) -> None:
    _, read, _ = paired.comparisons()
    row = comparison_row("street", read)
    assert row[:3] == ["street", "reader", "4"]
    assert row[3].startswith("25.0 [")
    assert row[6:11] == ["1", "1", "1", "-", "0.0"]
    assert difference_text(Difference(0.018, -0.004, 0.046)) == "+1.8 [-0.4 +4.6]"
    assert difference_text(None) == "-"


def test_page_pictures_every_change_and_stands_alone(paired: PairedReport) -> None:
    page = comparison_page([paired], paired, "a<b.onnx", "b.onnx", "part all")
    assert re.findall("<h2>(.*?)</h2>", page) == ["Overview", "street: end to end", "street: reader", "street: detector"]
    assert page.count("data:image/jpeg") == 8
    assert all(source.startswith(("data:", "#")) for source in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert "a&lt;b.onnx" in page
    assert "fixed (1)" in page and "broken (1)" in page and "changed (2)" in page
    assert "<p>No plate changed.</p>" in page
    assert 'class="text bad">A123BC7<mark>7</mark> <small>0.90</small>' in page


def test_page_pictures_the_first_changes_of_a_kind_and_counts_the_others(paired: PairedReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openplate.evaluate.page.MOST_PICTURED", 1)
    page = comparison_page([paired], paired, "a", "b", "part all")
    assert "changed (2)" in page
    assert page.count("The first 1 are shown, 1 more are not") == 2
    assert page.count("data:image/jpeg") == 6
