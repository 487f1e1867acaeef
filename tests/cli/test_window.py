"""The window on a screen that exists only for the test; each in a process of its own, which Xlib ends together with its screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from openplate.cli.window import Window
from openplate.errors import EngineError

pytest.importorskip("tkinter")
START = "import numpy as np; from openplate.cli.window import Window; window = Window('street'); "


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """The name of a screen of 400×300 px."""
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb (Debian: xvfb)")
    server = subprocess.Popen(["Xvfb", "-displayfd", "1", "-screen", "0", "400x300x24"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdout is not None
    yield f":{server.stdout.readline().decode().strip()}"
    server.terminate()
    server.wait()


def run(screen: str, program: str) -> str:
    """What a program that starts with an open window prints."""
    environment = {**os.environ, "DISPLAY": screen, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", START + program], capture_output=True, text=True, env=environment, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_image_larger_than_the_screen_is_made_smaller(screen: str) -> None:
    """To 0.9 of 400 px, and 720 / 1280 of that."""
    said = run(
        screen, "print(window.show(np.full((720, 1280, 3), 90, np.uint8)), window._photo.width(), window._photo.height(), window._photo.get(5, 5))"
    )
    assert said == "True 360 202 (90, 90, 90)"


@pytest.mark.parametrize("key", ["q", "<Escape>"])
def test_key_ends_it(screen: str, key: str) -> None:
    program = f"""
image = np.zeros((60, 80, 3), np.uint8)
first = window.show(image)
window._root.focus_force()
window._root.update()
window._root.event_generate({key!r})
print(first, window.show(image))
window.close()
"""
    assert run(screen, program) == "True False"


def test_no_screen_is_one_line_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(EngineError, match="a window needs a screen: .*; leave --show out"):
        Window("street")
