import random
from datetime import datetime

import numpy as np
import pytest

from openplate.synthesize.overlays import Line, Overlay, choose_overlay

START = datetime(2026, 5, 17, 12, 30, 58)


def line(text: str = "%H:%M:%S", x: float = 0.0, y: float = 0.0, bar: float = 1.0, opacity: float = 1.0) -> Line:
    return Line(text, 16, x, y, None, (255, 255, 255), bar, opacity)


def drawn(overlay: Overlay, time_s: float) -> np.ndarray:
    frame = np.full((90, 320, 3), 128, np.uint8)
    overlay.draw(frame, time_s)
    return frame


def test_clock_goes_on_by_whole_seconds() -> None:
    overlay = Overlay((line(),), START)
    assert np.array_equal(drawn(overlay, 0.0), drawn(overlay, 0.96))
    assert not np.array_equal(drawn(overlay, 0.96), drawn(overlay, 1.0))
    assert np.array_equal(drawn(overlay, 2.0), drawn(Overlay((line("12:31:00"),), START), 0.0))


@pytest.mark.parametrize(("x", "y", "corner"), [(0.0, 0.0, (0, 0)), (1.0, 0.0, (0, 1)), (0.0, 1.0, (1, 0)), (1.0, 1.0, (1, 1))])
def test_line_touches_the_edges_that_it_is_put_to(x: float, y: float, corner: tuple[int, int]) -> None:
    (placed,) = Overlay((line(x=x, y=y),), START).place((320, 90), 0.0)
    x0, y0, x1, y1 = placed.box
    assert (y1 == 90 if corner[0] else y0 == 0) and (x1 == 320 if corner[1] else x0 == 0)


def test_dark_bar_covers_the_whole_box_and_bare_letters_only_themselves() -> None:
    (with_bar,) = Overlay((line(),), START).place((320, 90), 0.0)
    (bare,) = Overlay((line(bar=0.0),), START).place((320, 90), 0.0)
    (faint,) = Overlay((line(bar=0.0, opacity=0.4),), START).place((320, 90), 0.0)
    assert with_bar.coverage.min() == 255
    assert 0.05 < (bare.coverage > 128).mean() < 0.8
    assert faint.coverage.max() == round(255 * 0.4)


def test_words_too_long_for_the_picture_are_cut() -> None:
    overlay = Overlay((line("a line that is much too long " * 4),), START)
    (placed,) = overlay.place((320, 90), 0.0)
    assert placed.box[0] >= 0 and placed.box[2] <= 320
    assert drawn(overlay, 0.0).max() > 200


def test_chosen_overlay_is_the_same_for_a_seed_and_may_hold_a_plate_s_text() -> None:
    assert choose_overlay(720, ["A123BC77"], random.Random(5)) == choose_overlay(720, ["A123BC77"], random.Random(5))
    texts = [one.text for seed in range(40) for one in choose_overlay(720, ["浙A8254S"], random.Random(seed)).lines]
    assert any("A8254S" in text for text in texts) and all("浙" not in text for text in texts)
