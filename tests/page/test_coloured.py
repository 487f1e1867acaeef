from __future__ import annotations

import pytest

from openplate.page.coloured import badge, coloured, hue, percent
from openplate.types import Character


@pytest.mark.parametrize(("confidence", "angle"), [(0.0, 0), (0.5, 0), (0.99, 130), (1.0, 130), (0.9, 53), (0.95, 77)])
def test_a_confidence_has_a_colour_between_red_and_green(confidence: float, angle: int) -> None:
    # 130 · ln(0.5 / doubt) / ln(0.5 / 0.01): for 0.9 130 · 1.609 / 3.912, for 0.95 130 · 2.303 / 3.912
    assert hue(confidence) == angle


def test_each_character_has_its_own_colour_and_figure() -> None:
    html = coloured((Character("A", 0.995), Character("8", 0.5)))
    assert html.count('class="op-character"') == 2
    assert "hsl(130,75%,82%)" in html
    assert "hsl(0,75%,82%)" in html
    assert ">A<small>99</small>" in html
    assert ">8<small>50</small>" in html
    assert 'aria-label="A8"' in html


def test_what_a_reader_or_a_user_wrote_is_never_markup() -> None:
    assert "<b>" not in coloured((Character("<b>", 0.9),))
    assert "<script>" not in badge("<script>alert(1)</script>", "allow")
    assert 'class="op-badge op-good"' in badge("residents", "allow")
    assert 'class="op-badge op-plain"' in badge("x", '" onclick="alert(1)')


@pytest.mark.parametrize(("confidence", "shown"), [(0.9999, "99.9 %"), (1.0, "100.0 %"), (0.29, "29.0 %"), (0.0, "0.0 %")])
def test_a_confidence_is_cut_and_never_rounded_up(confidence: float, shown: str) -> None:
    assert percent(confidence) == shown
