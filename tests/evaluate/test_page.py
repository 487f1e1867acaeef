import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openplate.dataset import load_dataset
from openplate.evaluate.page import table
from openplate.evaluate.report import evaluation_page
from openplate.evaluate.run import evaluate
from openplate.evaluate.summary import combine
from openplate.geometry import box_to_quad
from tests.conftest import BOX, FakePipeline, label, plate, reading

WIDTHS = """return {
    page: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    tables: [...document.querySelectorAll('table')].filter((one) => !one.closest('.wide')).length,
    overview: document.querySelector('.wide').scrollWidth - document.querySelector('.wide').clientWidth,
}"""
"""By how many px the page and the overview are wider than the room they have, and how many tables have no box to scroll in."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium with its driver. Set OPENPLATE_NEEDS_BROWSER=1 where its absence is a fault."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed (pip install selenium)")
    binary = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        assert not os.environ.get("OPENPLATE_NEEDS_BROWSER"), "no browser"
        pytest.skip("no Chromium with its driver is installed (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


def test_interval_word_with_a_hyphen_and_percent_sign_stay_on_one_line() -> None:
    made = table(["mAP50-95", "end to end %"], [["97.3 [94.1 98.8]", "45.5 [21.3 72.0] of 11"]])
    assert "<th><span>mAP50-95</span></th><th>end to <span>end %</span></th>" in made
    assert "<td>97.3 <span>[94.1 98.8]</span></td><td>45.5 <span>[21.3 72.0] of 11</span></td>" in made


def test_cells_are_text_and_no_html() -> None:
    assert "<td>&lt;b&gt; <span>[&amp;]</span></td>" in table(["x"], [["<b> [&]"]])


def test_report_fits_a_desk_and_a_phone(make_dataset: Callable[..., Path], tmp_path: Path, chromium: Any) -> None:
    pipeline = FakePipeline([plate(box_to_quad(*BOX), "AB23BC77", 0.995)], [reading("AB23BC77", 0.995)])
    reports = [evaluate(pipeline, load_dataset(make_dataset([label(text)], name=name))) for name, text in (("street", "AB23BC77"), ("yard", "A8"))]
    file = tmp_path / "report.html"
    file.write_text(evaluation_page(reports, combine(reports), "part all"), encoding="utf8")
    found = {}
    for width_px in (1280, 390):
        size = {"width": width_px, "height": 900, "deviceScaleFactor": 1, "mobile": width_px < 500}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chromium.get(file.as_uri())
        found[width_px] = chromium.execute_script(WIDTHS)
    assert found[1280] == {"page": 0, "tables": 0, "overview": 0}
    assert (found[390]["page"], found[390]["tables"]) == (0, 0)
    assert found[390]["overview"] > 0, "on a phone the overview scrolls in its own box"
