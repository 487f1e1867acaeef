"""A real service, the real page before it, and a real browser that looks at the page."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from openplate.page.settings import PageSettings
from openplate.serve.settings import ServeSettings
from tests.page.filled import fill
from tests.serve.running import Running, running

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
START_S = 60


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with things to look at; tests leave behind what others do not look for."""
    with running(ServeSettings(port=0, data=tmp_path_factory.mktemp("page-data"), workers=1)) as one:
        fill(one.service.store)
        yield one


@pytest.fixture(scope="session")
def open_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Starts `openplate page` with options and gives its address; all are stopped at the end."""
    pytest.importorskip("streamlit", reason="Streamlit is not installed (pip install 'openplate[page]')")
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> str:
        port = _free_port()
        log = (tmp_path_factory.mktemp("page") / "log").open("wb")
        environment = {name: value for name, value in os.environ.items() if name not in PageSettings().as_environment()}
        command = [sys.executable, "-m", "openplate", "page", "--port", str(port), *options]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        started.append(process)
        url = f"http://127.0.0.1:{port}"
        for _ in range(START_S * 10):
            assert process.poll() is None, Path(log.name).read_text()
            try:
                if httpx.get(f"{url}/_stcore/health").is_success:
                    return url
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError(f"the page did not start: {Path(log.name).read_text()}")

    yield start
    for process in started:
        process.terminate()
    for process in started:
        process.wait(20)


@pytest.fixture(scope="session")
def page_url(service: Running, open_page: Callable[..., str]) -> str:
    """The address of the page of `service`."""
    return open_page("--server", service.url)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium with its driver, in UTC and English. Set OPENPLATE_NEEDS_BROWSER=1 where its absence is a fault."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed (pip install selenium)")
    binary = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        assert not os.environ.get("OPENPLATE_NEEDS_BROWSER"), "no browser"
        pytest.skip("no Chromium with its driver is installed (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars", "--lang=en-GB"):
        options.add_argument(argument)
    # A camera that shows a moving pattern, and no question about it.
    for argument in ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    browser.set_page_load_timeout(60)
    yield browser
    browser.quit()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
