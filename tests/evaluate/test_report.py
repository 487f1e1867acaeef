import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np

from openplate.dataset import load_dataset
from openplate.evaluate.false_alarms import combine_false_alarms, count_false_alarms
from openplate.evaluate.metrics import rate
from openplate.evaluate.report import evaluation_page, failure_picture, false_alarm_page, rate_text
from openplate.evaluate.run import evaluate
from openplate.evaluate.summary import Failure, combine
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
    assert len(pictures) == len(report.failures()) == 2
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(pictures[0]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert 100 <= decoded.shape[0] <= 150
    assert "A123BC78&lt;&amp;" in page
    assert "wrong (1)" in page
    assert "extra (1)" in page
    assert "fake 1 on cpu, fp32, 1 thread<" in page


def test_page_of_several_sets_has_a_section_for_all(make_dataset: Callable[..., Path]) -> None:
    pipeline = FakePipeline([plate(HERE, "A123BC77", 0.9)], [reading("A123BC77", 0.9)])
    reports = [evaluate(pipeline, load_dataset(make_dataset([label("A123BC77")], name=name))) for name in ("one", "two")]
    page = evaluation_page(reports, combine(reports), "")
    assert re.findall("<h2>(.*?)</h2>", page) == ["Overview", "all", "one", "two", "one: failures", "two: failures"]


def test_false_alarm_page_pictures_each_reading(make_dataset: Callable[..., Path]) -> None:
    found = count_false_alarms(FakePipeline([plate(THERE, "X1", 0.95)]), load_dataset(make_dataset([label("A1")], [])))
    page = false_alarm_page([found], combine_false_alarms([found]), "")
    assert page.count("data:image/jpeg") == 2
    assert "<td>100.0</td>" in page


def test_picture_of_a_small_plate_is_enlarged_around_it() -> None:
    image = np.zeros((1000, 2000, 3), dtype=np.uint8)
    failure = Failure("not found", Path("a.png"), box_to_quad(1000, 500, 1040, 510), "A1")
    picture = failure_picture(image, failure)
    assert picture.shape[:2] == (150, 385)
    assert picture[..., 0].max() > 120
    assert picture[..., 2].max() == 0


def test_picture_of_a_crop_is_the_whole_image() -> None:
    image = np.full((24, 94, 3), 7, dtype=np.uint8)
    picture = failure_picture(image, Failure("wrong", Path("a.png"), None, "A1"))
    assert picture.shape == (107, 420, 3)
    assert (picture == 7).all()


def test_rate_text_has_share_and_interval_in_percent() -> None:
    assert rate_text(rate(95, 100)) == "95.0 [88.8 97.8]"
    assert rate_text(rate(0, 0)) == "-"
