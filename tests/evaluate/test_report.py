import base64
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from openplate.dataset import load_dataset
from openplate.evaluate.false_alarms import combine_false_alarms, count_false_alarms
from openplate.evaluate.metrics import rate
from openplate.evaluate.page import place_picture, rate_text
from openplate.evaluate.report import evaluation_page, false_alarm_page
from openplate.evaluate.run import evaluate
from openplate.evaluate.summary import combine
from openplate.geometry import box_to_quad
from tests.conftest import BOX, FakePipeline, label, plate, reading

HERE = box_to_quad(*BOX)
THERE = box_to_quad(150, 0, 190, 10)


class _Tags(HTMLParser):
    """Counts that every tag that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_pictures_every_failure_and_stands_alone(make_dataset: Callable[..., Path]) -> None:
    pipeline = FakePipeline([plate(HERE, "A123BC78<&", 0.9), plate(THERE, "X1", 0.95)], [reading("A123BC77", 0.99)])
    report = evaluate(pipeline, load_dataset(make_dataset([label("A123BC77")])))
    page = evaluation_page([report], combine([report]), "part all")
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert all(source.startswith(("data:", "#")) for source in tags.sources)
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert len(pictures) == len(report.failures()) == 2  # the reader alone was right: no confusion has a picture
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(pictures[0]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert 100 <= decoded.shape[0] <= 150
    assert "A123BC7<mark>8</mark><mark>&lt;</mark><mark>&amp;</mark>" in page
    assert "wrong (1)" in page
    assert "extra (1)" in page
    assert "fake 1 on cpu, fp32, 1 thread<" in page


def test_page_of_several_sets_has_a_section_for_all(make_dataset: Callable[..., Path]) -> None:
    pipeline = FakePipeline([plate(HERE, "A123BC77", 0.9)], [reading("A123BC77", 0.9)])
    reports = [evaluate(pipeline, load_dataset(make_dataset([label("A123BC77")], name=name))) for name in ("one", "two")]
    page = evaluation_page(reports, combine(reports), "")
    names = ["all", "all: characters", "one", "one: characters", "two", "two: characters", "one: failures", "two: failures"]
    assert re.findall("<h2>(.*?)</h2>", page) == ["Overview", *names]


def test_confusions_are_pictured_with_the_matrix_and_a_table_to_save(make_dataset: Callable[..., Path]) -> None:
    pipeline = FakePipeline([plate(HERE, "AB23BC77", 0.9)], [reading("AB23BC77", 0.9)])
    report = evaluate(pipeline, load_dataset(make_dataset([label("A823BC77")], [label("A823BC77")])), part="reader")
    page = evaluation_page([report], combine([report]), "part reader")
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert "<b>8 → B<small>2 times, 100.0 % of all 8</small></b>" in page
    assert page.count("A<mark>B</mark>23BC77 <s>A823BC77</s>") == 2
    (table,) = [base64.b64decode(source.partition(",")[2]).decode() for source in tags.sources if source.startswith("data:text/csv")]
    assert "8,0,0,0,0,0,2,0,0" in table.splitlines()  # columns 2 3 7 8 A B C (missing)
    (matrix,) = [base64.b64decode(source.partition(",")[2]) for source in tags.sources if source.startswith("data:image/png")]
    assert matrix.startswith(b"\x89PNG")
    assert "Characters read as they are: 14 of 16" in page


def test_unread_plates_have_no_confusion_and_are_counted(make_dataset: Callable[..., Path]) -> None:
    pipeline = FakePipeline([], [reading("", 0.0)])
    report = evaluate(pipeline, load_dataset(make_dataset([label("A823BC77")])), part="reader")
    page = evaluation_page([report], combine([report]), "")
    assert "Plates of which nothing was read: 1;" in page
    assert "<h3>Most frequent confusions</h3><p>None.</p>" in page


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("openplate.evaluate.characters", "Comparing characters needs a package"),
        ("openplate.evaluate.confusions", "picture of the matrix needs a package"),
    ],
)
def test_page_without_the_extra_says_what_is_missing(
    make_dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, missing: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    report = evaluate(FakePipeline([], [reading("AB", 0.9)]), load_dataset(make_dataset([label("A8")])), part="reader")
    page = evaluation_page([report], combine([report]), "")
    assert said in page
    assert "pip install &#x27;openplate[evaluate]&#x27;" in page or "pip install 'openplate[evaluate]'" in page
    assert report.summary().reading is not None


def test_false_alarm_page_pictures_each_reading(make_dataset: Callable[..., Path]) -> None:
    found = count_false_alarms(FakePipeline([plate(THERE, "X1", 0.95)]), load_dataset(make_dataset([label("A1")], [])))
    page = false_alarm_page([found], combine_false_alarms([found]), "")
    assert page.count("data:image/jpeg") == 2
    assert "<td>100.0</td>" in page


def test_first_failures_of_a_kind_are_pictured_and_the_others_counted(make_dataset: Callable[..., Path]) -> None:
    extra = [
        plate(box_to_quad(x, y, x + 5, y + 2), f"X{20 * i + j}", 0.9) for i, y in enumerate(range(0, 33, 3)) for j, x in enumerate(range(0, 200, 10))
    ]
    assert len(extra) == 220
    pipeline = FakePipeline([plate(HERE, "A2", 0.9), *extra], [reading("A1", 0.9)])
    report = evaluate(pipeline, load_dataset(make_dataset([label("A1")])), part="all")
    page = evaluation_page([report], combine([report]), "")
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    shown = page[page.index("street: failures</h2>") :]
    assert shown.count("data:image/jpeg") == shown.count("<article") == 201
    assert "wrong (1)" in shown and "extra (220)" in shown
    assert "The first 200 are shown, 20 more are not: <code>--json</code> lists all." in shown
    assert shown.count("more are not") == 1
    assert ">X199<" in shown and ">X200<" not in shown
    assert len(report.as_json()["failures"]) == 221


def test_as_many_failures_as_are_pictured_leave_none_to_count(make_dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openplate.evaluate.page.MOST_PICTURED", 2)
    found = count_false_alarms(FakePipeline([plate(HERE, "X1", 0.9), plate(THERE, "X2", 0.9)]), load_dataset(make_dataset([label("A1")])))
    page = false_alarm_page([found], combine_false_alarms([found]), "")
    assert page.count("data:image/jpeg") == 2 and "more are not" not in page


def test_picture_of_a_small_plate_is_enlarged_around_it() -> None:
    image = np.zeros((1000, 2000, 3), dtype=np.uint8)
    picture = place_picture(image, box_to_quad(1000, 500, 1040, 510))
    assert picture.shape[:2] == (150, 385)
    assert picture[..., 0].max() > 120
    assert picture[..., 2].max() == 0


def test_picture_of_a_crop_is_the_whole_image() -> None:
    image = np.full((24, 94, 3), 7, dtype=np.uint8)
    picture = place_picture(image, None)
    assert picture.shape == (107, 420, 3)
    assert (picture == 7).all()


def test_rate_text_has_share_and_interval_in_percent() -> None:
    assert rate_text(rate(95, 100)) == "95.0 [88.8 97.8]"
    assert rate_text(rate(0, 0)) == "-"
