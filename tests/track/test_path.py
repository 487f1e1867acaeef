"""A plate's way through frames: what is followed and what is not, how clearly and how large it was detected."""

from __future__ import annotations

import numpy as np
import pytest

from openplate.track.follow import Followed
from openplate.track.path import Path
from openplate.track.settings import WatchSettings
from openplate.types import Detection, Image
from tests.track.scenes import HEIGHT, Film, Shown


def film(y: float) -> Film:
    """A plate that goes down by 6 px a frame, from `y` on."""
    return Film(lambda n: [Shown("a", "", 300, y + 6 * n, found=0.5 + 0.1 * (n % 4))])


def along(shown: Film, frames: int) -> tuple[Path, Image]:
    """Its path, detected in every frame."""
    path = None
    for n in range(frames):
        image = shown.frame(n).image
        (detection,) = shown.detect(image)
        if path is None:
            path = Path(detection, 0.0, image, WatchSettings())
        else:
            path.follow(image, n / 25)
            path.detect(detection, n / 25, image)
    assert path is not None
    return path, shown.frame(frames).image


@pytest.mark.parametrize(
    ("last_y", "step", "seen"),
    [(HEIGHT - 12.0, 0.0, False), (HEIGHT - 12.0, 4.0, True), (HEIGHT - 100.0, 0.0, True)],
    ids=["ground at the edge", "brakes at the edge", "stops in the picture"],
)
def test_what_leaves_the_picture_does_not_stay_at_its_edge(monkeypatch: pytest.MonkeyPatch, last_y: float, step: float, seen: bool) -> None:
    """It goes down by 6 px a frame; a plate is 24 px high."""
    path, following = along(film(last_y - 6 * 9), 10)
    quad = path.quad + np.float32([0, step])
    monkeypatch.setattr("openplate.track.path.follow", lambda *_: Followed(quad, np.array([0, step], np.float32), path._patch))
    path.follow(following, 10 / 25)
    assert path.seen == seen


def test_clearest_are_three_detections_in_a_row() -> None:
    assert along(film(100), 2)[0].best_in_a_row == 0.0
    path, _ = along(film(100), 6)  # 0.5, 0.6, 0.7, 0.8, 0.5, 0.6
    assert path.best_in_a_row == pytest.approx(0.7)
    assert path.detection_confidence == pytest.approx(3.7 / 6)


def test_how_clear_it_was_goes_on_with_the_plate_and_not_with_another_in_its_place() -> None:
    path, _ = along(film(100), 6)
    earlier, _ = along(film(100), 3)  # 0.5, 0.6, 0.7
    earlier.go_on(path)
    assert earlier.best_in_a_row == pytest.approx(0.7)
    earlier.restart(1.0)
    assert earlier.best_in_a_row == 0.0
    image = film(100).frame(0).image
    for n in range(3):
        assert earlier.best_in_a_row == 0.0
        earlier.detect(Detection(earlier.quad, 0.9), 1.0 + n, image)
    assert earlier.best_in_a_row == pytest.approx(0.9)
