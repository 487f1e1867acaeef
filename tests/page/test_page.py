"""The page as people use it: a real Chromium before the real page before a real service. OPENPLATE_SCREENSHOTS=DIR keeps what it looked like."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="Selenium is not installed (pip install selenium)")

from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from openplate.page.texts import ENGLISH, RUSSIAN
from openplate.serve.settings import ServeSettings
from tests.page.filled import fill_hashed, scene, write_clip
from tests.serve.running import Running, photo, plate_text, running

DESKTOP, PHONE = (1200, 900), (390, 844)
PATIENCE_S = 120
FORM = '[data-testid="stForm"]'
PARTS = ("", "cameras", "search", "lists", "register", "charts")


class Page:
    """The page in a browser window of some size."""

    def __init__(self, browser: Any, url: str) -> None:
        self.browser, self.url = browser, url

    def resize(self, size: tuple[int, int]) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, path: str = "") -> Page:
        self.browser.get(f"{self.url}/{path}")
        self.all("h1, h3")
        return self

    def wait(self, what: str, look: Callable[[], Any]) -> Any:
        """What `look` gives as soon as it gives something; the page draws itself anew meanwhile."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                found = look()
            except (StaleElementReferenceException, WebDriverException):
                found = None
            if found:
                return found
            time.sleep(0.1)
        if "OPENPLATE_SCREENSHOTS" in os.environ:
            self.browser.save_screenshot(str(Path(os.environ["OPENPLATE_SCREENSHOTS"]) / "missing.png"))
        raise AssertionError(f"{what} did not appear; the page says: {self.text()[:2000]}")

    def all(self, css: str) -> list[Any]:
        found: list[Any] = self.wait(css, lambda: [one for one in self.browser.find_elements(By.CSS_SELECTOR, css) if one.is_displayed()])
        return found

    def one(self, css: str) -> Any:
        return self.all(css)[0]

    def says(self, text: str) -> bool:
        return bool(self.wait(repr(text), lambda: text in self.text()))

    def text(self) -> str:
        return str(self.browser.find_element(By.TAG_NAME, "body").text)

    def plates(self) -> list[str]:
        """The texts whose characters are shown in colours."""
        return [one.get_attribute("aria-label") for one in self.all(".op-text")]

    def shows_plate(self, text: str) -> Any:
        return self.one(f'.op-text[aria-label="{text}"]')

    def click(self, label: str, inside: str = "") -> None:
        """Click a button, an expander or a switch by its words."""

        def find() -> Any:
            found = self.browser.find_elements(By.CSS_SELECTOR, f"{inside} button, {inside} summary, {inside} a, {inside} label")
            return next((one for one in found if one.is_displayed() and label in one.text.split("\n")), None)

        for _ in range(5):  # the page may be drawn anew between finding and clicking
            try:
                target = self.wait(f"button {label!r}", find)
                self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", target)
                target.click()
                return
            except WebDriverException:
                time.sleep(0.3)
        raise AssertionError(f"{label!r} cannot be clicked")

    def type(self, label: str, text: str, end: str = "") -> None:
        field = self.one(f'input[aria-label="{label}"]')
        field.send_keys(text + end)

    def choose(self, css: str, option: str) -> None:
        """Choose from a list that opens."""
        self.one(f"{css} input").click()
        self.wait(f"option {option!r}", lambda: next((one for one in self.all('[role="option"]') if option in one.text), None)).click()

    def upload(self, path: Path) -> None:
        field = self.wait("the uploader", lambda: self.browser.find_element(By.CSS_SELECTOR, '[data-testid="stFileUploader"] input[type=file]'))
        field.send_keys(str(path))

    def word_after(self, element: Any) -> str:
        """What the style sheet writes in place of an element's own word."""
        return str(self.browser.execute_script("return getComputedStyle(arguments[0], '::after').content", element)).strip('"')

    def too_wide(self) -> list[str]:
        """What reaches over the window's right side, tables that scroll by themselves left out."""
        found: list[str] = self.browser.execute_script(
            """
            const wide = [];
            for (const one of document.querySelectorAll('[data-testid="stMain"] *, [data-testid="stHeader"] *')) {
              const box = one.getBoundingClientRect();
              if (box.width && box.right > window.innerWidth + 1 && !one.closest('[data-testid="stDataFrame"], [data-testid="stTable"]'))
                wide.push(`${one.tagName}.${one.className} ${Math.round(box.right)}`);
            }
            if (document.documentElement.scrollWidth > window.innerWidth) wide.push('the page itself scrolls sideways');
            return wide;
            """
        )
        return found

    def keep(self, name: str) -> None:
        """Keep a picture of the whole page where OPENPLATE_SCREENSHOTS says."""
        folder = os.environ.get("OPENPLATE_SCREENSHOTS")
        if folder is None:
            return
        width = self.browser.execute_script("return window.innerWidth")
        height = self.browser.execute_script("return document.querySelector('[data-testid=stMain]').scrollHeight + 20")
        self.resize((width, min(3000, max(600, height))))
        time.sleep(1.5)
        self.browser.save_screenshot(str(Path(folder) / f"{name}.png"))


@pytest.fixture
def page(chromium: Any, page_url: str) -> Iterator[Page]:
    """The page at the width of a desk."""
    one = Page(chromium, page_url)
    one.resize(DESKTOP)
    yield one
    chromium.get("about:blank")  # ends what the page draws by itself


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "street.jpg"
    path.write_bytes(photo())
    return path


def test_an_uploaded_picture_shows_its_plate_in_colours_with_candidates_and_register_entry(page: Page, picture: Path) -> None:
    page.open().upload(picture)
    text = page.shows_plate(plate_text())
    colours = [one.value_of_css_property("background-color") for one in text.find_elements(By.CSS_SELECTOR, ".op-character")]
    assert len(colours) == len(plate_text())
    assert all(colour.startswith("rgb") for colour in colours)
    assert page.says("In the register: Volvo XC60, blue, visitor")
    assert page.says("permit is over, it was valid until 2020-01-31")
    page.click(ENGLISH.candidates)
    page.wait("the candidates", lambda: plate_text() in page.one(".st-key-plate-0 table").text)
    crop = page.one(".st-key-plate-0 img")
    assert crop.size["width"] > crop.size["height"]
    page.wait("the whole picture", lambda: page.one('[data-testid="stImage"] img').get_property("naturalWidth") == 960)
    page.keep("picture")


def test_a_pasted_picture_is_read_like_an_uploaded_one(page: Page) -> None:
    page.open()
    page.wait("the place for pasting", lambda: page.browser.find_elements(By.CSS_SELECTOR, '[data-testid="stBidiComponentRegular"], .st-key-paste'))
    page.one('[data-testid="stFileUploader"]')
    paste = """
    const bytes = Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], 'image.png', { type: 'image/png' }));
    return !document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
    """
    data = base64.b64encode(photo(".png")).decode()
    assert page.wait("somebody who takes what is pasted", lambda: page.browser.execute_script(paste, data))
    page.shows_plate(plate_text())


def test_a_photograph_is_taken_with_the_browsers_camera_and_read(page: Page) -> None:
    page.open().click(ENGLISH.take)
    page.one('[data-testid="stCameraInput"] video')
    page.wait("the camera's button", lambda: page.one('[data-testid="stCameraInputButton"]').is_enabled())
    button = page.one('[data-testid="stCameraInputButton"]')
    assert page.word_after(button) == ENGLISH.take_now
    button.click()
    assert page.says(ENGLISH.no_plates)  # the browser's camera shows a pattern
    button = page.one('[data-testid="stCameraInputButton"]')
    page.wait("another word on it", lambda: page.word_after(button) == ENGLISH.take_again)


def test_what_is_no_picture_is_told_and_the_next_picture_is_read(page: Page, picture: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photo()[:2000])
    page.open().upload(broken)
    assert page.says("The service refused")
    assert page.says("broken.jpg: the JPEG picture is cut, its end is missing; copy it again")
    page.upload(picture)
    page.shows_plate(plate_text())


def test_search_finds_a_part_of_a_plate_and_shows_pictures_lists_and_evidence(page: Page) -> None:
    known = scene(21)[0]
    page.open("search")
    page.shows_plate(known)
    page.type(ENGLISH.plate, known[1:5])
    page.click(ENGLISH.find, inside=FORM)
    assert page.says("8 found")  # every fourth of 36 sightings shows this plate, and one of these nine is unreadable
    page.wait("only this plate", lambda: page.plates() == [known] * 8)
    first = page.one('[class*="st-key-found-"]')
    assert "residents 97.0 %" in first.text
    assert "Lada Vesta, white, flat 12" in first.text
    assert first.find_element(By.CSS_SELECTOR, "img").size["width"] > 50
    page.keep("search")
    page.click(ENGLISH.evidence)
    page.wait("the frame", lambda: 640 in [one.get_property("naturalWidth") for one in page.all('[data-testid="stPopoverBody"] img')])
    page.keep("evidence")


def test_a_fuzzy_search_tells_how_likely_each_match_is(page: Page) -> None:
    known = scene(22)[0]
    page.open("search").type(ENGLISH.plate, known[:-1] + ("3" if known[-1] == "8" else "8"))
    page.choose(".st-key-search-how", ENGLISH.how_fuzzy)
    page.click(ENGLISH.find, inside=FORM)
    assert page.says(f"{ENGLISH.match} ")
    page.shows_plate(known)


def test_on_a_phone_the_ends_of_the_searched_period_stay_together(page: Page) -> None:
    page.resize(PHONE)
    page.open("search?lang=ru").click(RUSSIAN.filters)
    page.one(".st-key-search-status")
    tops = {name: page.one(f".st-key-search-{name}").location["y"] for name in ("since", "until", "cameras", "lists", "country", "status", "order")}
    assert sorted(tops, key=lambda name: tops[name]) == list(tops)

    def parts() -> list[str]:
        return [page.word_after(one) for one in page.all(".st-key-search-since [data-placeholder]")[:3]]

    assert page.wait("the parts of a date, drawn and in Russian", lambda: parts() == ["дд", "мм", "гггг"])
    page.keep("phone-filters")


def test_where_plates_are_hashed_the_search_offers_whole_plates_and_unreadable_ones_say_so(
    chromium: Any, open_page: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(ServeSettings(port=0, data=tmp_path_factory.mktemp("hashed"), workers=1, privacy="hash")) as one:
        fill_hashed(one.service.store)
        page = Page(chromium, open_page("--server", one.url))
        page.resize(DESKTOP)
        page.open("search")
        page.wait("two cards", lambda: len(page.all('[class*="st-key-found-"]')) >= 2)
        half_read, read = (page.one(f".st-key-found-{seq}").text for seq in (2, 1))
        assert ENGLISH.unreadable in half_read
        assert ENGLISH.unreadable not in read
        assert ENGLISH.hashed in half_read and ENGLISH.hashed in read
        page.one(".st-key-search-how input").click()
        assert [option.text for option in page.all('[role="option"]')] == [ENGLISH.how_exact]
        page.one(".st-key-search-how input").send_keys(Keys.ESCAPE)
        page.type(ENGLISH.plate, "A123BC77")
        page.click(ENGLISH.find, inside=FORM)
        assert page.says("1 found")
        page.keep("hashed")
        chromium.get("about:blank")


def test_a_pattern_among_plates_is_told_and_what_is_below_stays(page: Page, service: Running) -> None:
    lists = service.service.store.lists
    lists.create("refused", "watch")
    page.open("lists")
    page.choose('[data-testid="stSelectbox"]', "refused")
    _type_into(page, page.wait("the empty table", lambda: _grid(page, rows=1)), 0, "A*77")
    page.click(ENGLISH.save)
    assert page.says("'A*77' has wildcards, a plate has none; choose the kind pattern for it")
    for stays in (ENGLISH.list_settings, ENGLISH.delete_list, ENGLISH.new_list):
        assert page.says(stays)
    assert lists.entries("refused") == []
    page.keep("refused")
    lists.remove("refused")


def test_kinds_of_lists_are_words_of_the_visitors_language(page: Page) -> None:
    page.open("lists?lang=ru")
    assert page.wait("the list", lambda: page.one('[data-testid="stSelectbox"] input').get_attribute("value") == "residents (пропуск)")


def test_a_list_is_edited_in_place(page: Page, service: Running) -> None:
    lists = service.service.store.lists
    lists.create("edited", "watch")
    page.open("lists")
    page.choose('[data-testid="stSelectbox"]', "edited")
    grid = page.wait("the empty table", lambda: _grid(page, rows=1))
    _type_into(page, grid, 0, "b777bb99")
    page.click(ENGLISH.save)
    assert page.says(ENGLISH.saved)
    assert [entry.pattern for entry in lists.entries("edited")] == ["B777BB99"]

    grid = page.wait("the kept row", lambda: _grid(page, rows=2))
    _type_into(page, grid, 0, "b778bb99")
    page.click(ENGLISH.save)
    page.wait("the changed entry", lambda: [entry.pattern for entry in lists.entries("edited")] == ["B778BB99"])
    page.keep("list")
    lists.remove("edited")


def test_a_list_is_made_on_the_page(page: Page, service: Running) -> None:
    page.open("lists").click(ENGLISH.new_list)
    page.type(ENGLISH.name, "suppliers")
    page.click(ENGLISH.create)
    page.wait("the new list", lambda: page.one('[data-testid="stSelectbox"] input').get_attribute("value") == "suppliers (allow)")
    assert service.service.store.lists.get("suppliers").kind == "allow"
    service.service.store.lists.remove("suppliers")


def test_the_register_is_edited_in_place_and_imported(page: Page, service: Running, tmp_path: Path) -> None:
    register = service.service.store.register
    page.open("register")
    grid = page.wait("the register", lambda: _grid(page, rows=3))
    _type_into(page, grid, 2, "c555cc77")
    page.click(ENGLISH.save)
    assert page.says(ENGLISH.saved)
    assert register.get("C555CC77") is not None

    table = tmp_path / "vehicles.csv"
    table.write_text("plate,make\nC555CC77,Lada\n,Volvo\n", encoding="utf8")
    page.click(ENGLISH.import_csv, inside='[data-testid="stExpander"]')
    page.upload(table)
    page.says("vehicles.csv")
    page.click(ENGLISH.import_csv, inside=FORM)
    assert page.says("0 added, 1 updated, 0 as they were.")
    assert page.says(dict(ENGLISH.row_faults)["empty"])
    changed = register.get("C555CC77")
    assert changed is not None
    assert changed.make == "Lada"
    page.wait("the table with what was imported", lambda: _cell(page, "Lada", row=2))
    page.keep("register")
    register.remove("C555CC77")


def test_a_camera_is_added_and_its_picture_state_and_sightings_appear_by_themselves(page: Page, service: Running, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    page.open("cameras")
    assert page.says(ENGLISH.no_cameras)
    page.type(ENGLISH.name, "entry")
    page.type(ENGLISH.source, str(clip))
    page.click(ENGLISH.add_camera, inside=FORM)
    page.one(".st-key-camera-entry")
    page.one(f'.st-key-camera-entry .op-text[aria-label="{plate_text()}"]')
    page.wait("the clip's end", lambda: dict(ENGLISH.states)["ended"] in page.one(".st-key-camera-entry").text)
    page.keep("cameras")
    page.click(ENGLISH.manage)
    page.click(ENGLISH.remove_sure.format(name="entry"))
    assert page.says(ENGLISH.no_cameras)
    assert service.service.cameras.names() == []


def test_charts_count_by_time_hour_camera_and_list(page: Page) -> None:
    page.open("charts")
    page.wait("four charts", lambda: len(page.all('[data-testid="stVegaLiteChart"] canvas, [data-testid="stVegaLiteChart"] svg')) >= 4)
    for title in (ENGLISH.by_hour, ENGLISH.by_hour_of_day, ENGLISH.by_camera, ENGLISH.by_list):
        assert page.says(title)
    page.keep("charts")
    fetched: list[str] = page.browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert len(fetched) > 10
    assert [one for one in fetched if not one.startswith((page.url, "data:", "blob:"))] == []  # nothing comes from the internet


def test_the_page_speaks_russian_and_the_choice_holds_on_other_parts(page: Page) -> None:
    page.open("?lang=ru")
    assert page.one("h1").text == RUSSIAN.photo
    chooser = page.one('[data-testid="stFileUploaderDropzone"] button p')
    assert page.word_after(chooser) == RUSSIAN.choose
    page.click(RUSSIAN.lists)
    page.wait("the lists", lambda: page.one("h1").text == RUSSIAN.lists)
    page.click("EN")
    page.wait("English", lambda: page.one("h1").text == ENGLISH.lists)


@pytest.mark.parametrize("part", PARTS)
def test_on_a_phone_nothing_reaches_over_the_side(page: Page, part: str) -> None:
    page.resize(PHONE)
    page.open(f"{part}?lang=ru")
    page.wait("the end of drawing", lambda: not page.browser.find_elements(By.CSS_SELECTOR, '[data-testid="stStatusWidget"]'))
    time.sleep(1)  # charts grow to their width
    assert page.too_wide() == []
    page.keep(f"phone-{part or 'picture'}")


def test_on_a_phone_a_picture_is_read_and_the_menu_leads_on(page: Page, picture: Path) -> None:
    page.resize(PHONE)
    page.open().upload(picture)
    page.shows_plate(plate_text())
    assert page.too_wide() == []
    crop, text = page.one(".st-key-plate-0 img"), page.shows_plate(plate_text())
    assert crop.location["y"] + crop.size["height"] <= text.location["y"]  # under one another
    page.keep("phone-plate")
    page.resize(PHONE)
    page.one('[data-testid="stExpandSidebarButton"]').click()
    page.click(ENGLISH.search)
    page.wait("the search", lambda: page.one("h1").text == ENGLISH.search)


def test_where_keys_are_needed_visitors_sign_in_with_theirs(
    chromium: Any, open_page: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(ServeSettings(port=0, data=tmp_path_factory.mktemp("keys"), workers=1, require_keys=True)) as one:
        secret = one.service.store.keys.create("visitor", "read").secret
        page = Page(chromium, open_page("--server", one.url))
        page.resize(DESKTOP)
        page.open("lists")
        assert page.says(ENGLISH.sign_in_why)
        page.type(ENGLISH.key, "wrong", Keys.ENTER)
        assert page.says(ENGLISH.key_unknown)
        page.keep("sign-in")
        page.one(f'input[aria-label="{ENGLISH.key}"]').send_keys(Keys.CONTROL + "a")
        page.type(ENGLISH.key, secret, Keys.ENTER)
        assert page.says(ENGLISH.no_lists)
        page.type(ENGLISH.name, "mine")
        page.click(ENGLISH.create)
        assert page.says("Your key may not do this")
        assert one.service.store.lists.all() == []
        page.click(ENGLISH.sign_out)
        assert page.says(ENGLISH.sign_in_why)
        chromium.get("about:blank")


def test_without_a_service_the_page_says_so(chromium: Any, open_page: Callable[..., str]) -> None:
    page = Page(chromium, open_page("--server", "http://127.0.0.1:9"))
    page.browser.get(page.url)
    assert page.says("The service at http://127.0.0.1:9 does not answer.")
    assert "Traceback" not in page.text()


def _grid(page: Page, rows: int) -> Any:
    """The table's canvas as soon as it has that many rows, the empty one at its end too: rows and head are 35 px high."""
    found = page.browser.find_elements(By.CSS_SELECTOR, '[data-testid="stDataFrame"] canvas')
    return found[0] if found and round(found[0].size["height"] / 35) == rows + 1 else None


def _cell(page: Page, text: str, row: int) -> bool:
    """Whether a cell of a row says a text: the canvas holds a table for those who cannot see it."""
    cells = page.browser.find_elements(
        By.CSS_SELECTOR, f'[data-testid="stDataFrame"] canvas [role="row"][aria-rowindex="{row + 1}"] [role="gridcell"]'
    )
    return any(cell.get_attribute("textContent") == text for cell in cells)


def _type_into(page: Page, grid: Any, row: int, text: str) -> None:
    """Type into a row's first column: the table is drawn on a canvas."""
    x, y = 100 - grid.size["width"] / 2, 35 * (row + 1) + 17 - grid.size["height"] / 2
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", grid)
    ActionChains(page.browser).move_to_element_with_offset(grid, x, y).click().pause(0.5).send_keys(text).pause(0.3).send_keys(Keys.ENTER).pause(
        0.7
    ).perform()
