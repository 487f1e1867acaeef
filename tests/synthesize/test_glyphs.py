import random

import numpy as np
import pytest

from openplate.charset import DIGITS, LATIN, UMLAUTS
from openplate.errors import OpenPlateError
from openplate.synthesize import glyphs
from openplate.synthesize.glyphs import (
    STYLE_NAMES,
    GlyphStyle,
    font_glyph,
    glyph_width,
    latin_fonts,
    outline_glyph,
    sample_proportional,
    sample_style,
)

PLAIN = GlyphStyle(stroke=0.14, rounding=0.9, flat_ends=True, equal_widths=False, variants=())


@pytest.mark.parametrize("style_name", STYLE_NAMES)
def test_every_letter_and_digit_fills_its_box(style_name: str) -> None:
    for seed in range(3):
        style = sample_style(style_name, random.Random(seed))
        for character in DIGITS + LATIN:
            mask = outline_glyph(character, style, 48, 80)
            assert mask.shape == (80, 48)
            assert mask.max() > 250, character
            rows, columns = np.flatnonzero(mask.max(axis=1) > 100), np.flatnonzero(mask.max(axis=0) > 100)
            assert rows[0] <= 3 and rows[-1] >= 76, character
            if character not in "1I":
                assert columns[0] <= 6 and columns[-1] >= 41, character


def test_different_characters_give_different_glyphs_save_zero_and_o() -> None:
    pictures: dict[bytes, str] = {}
    same = [(pictures[data], c) for c in DIGITS + LATIN if pictures.setdefault(data := outline_glyph(c, PLAIN, 30, 50).tobytes(), c) != c]
    assert same == [("0", "O")]


@pytest.mark.parametrize(("umlaut", "base"), [("Ä", "A"), ("Ö", "O"), ("Ü", "U")])
def test_umlaut_is_its_letter_at_four_fifths_under_two_dots(umlaut: str, base: str) -> None:
    mask = outline_glyph(umlaut, PLAIN, 40, 70)
    assert umlaut in UMLAUTS
    assert np.array_equal(mask[20:], outline_glyph(base, PLAIN, 40, 56)[6:])
    dots = mask[2:8].max(axis=0)
    assert dots[12] == dots[28] == 255
    assert dots[20] == 0


def test_small_glyph_is_the_large_one_shrunk() -> None:
    for character in "B1MX8":
        large, small = (outline_glyph(character, PLAIN, *size).astype(float) for size in ((60, 100), (30, 50)))
        shrunk = large.reshape(50, 2, 30, 2).mean(axis=(1, 3))
        assert np.abs(small - shrunk).mean() < 7, character  # of 255; half a pixel to the side gives 8 to 13
        assert abs(small.sum() / shrunk.sum() - 1) < 0.05, character


def test_character_without_outline_gives_key_error() -> None:
    with pytest.raises(KeyError):
        outline_glyph("京", PLAIN, 40, 70)


def test_thicker_stroke_gives_more_ink() -> None:
    thin, thick = (outline_glyph("H", GlyphStyle(stroke, 0.9, True, False, ()), 40, 80).mean() for stroke in (0.08, 0.16))
    assert thick > 1.6 * thin


def test_style_takes_the_variants_of_its_standard() -> None:
    gost = {"1": 0, "2": 0, "3": 0, "4": 0, "5": 0, "6": 1, "7": 0, "9": 1, "Y": 1, "K": 0, "M": 0}
    styles = [dict(sample_style("gost", random.Random(seed)).variants) for seed in range(40)]
    share = sum(all(style[c] == v for c, v in gost.items()) for style in styles) / len(styles)
    assert share > 0.6
    assert sample_style("no such standard", random.Random(5)) == sample_style("plain", random.Random(5))


def test_narrow_characters_are_narrow_unless_widths_are_equal() -> None:
    equal = GlyphStyle(0.14, 0.9, True, True, ())
    assert [glyph_width(c, PLAIN) for c in "A1IW"] == [1.0, 0.62, 0.4, 1.18]
    assert [glyph_width(c, equal) for c in "A1IW"] == [1.0, 0.62, 0.4, 1.0]


def test_cells_are_proportional_in_no_standard_that_gives_every_character_the_same_one() -> None:
    drawn = {name: [sample_proportional(name, random.Random(seed)) for seed in range(300)] for name in STYLE_NAMES}
    assert {name for name, amounts in drawn.items() if not any(amounts)} == {"gost", "ga36"}
    assert sum(amount > 0 for amount in drawn["uk"]) > sum(amount > 0 for amount in drawn["us"]) > 30
    assert all(0 <= amount <= 1 for amounts in drawn.values() for amount in amounts)


def test_system_font_glyph_reaches_top_and_bottom_and_keeps_its_own_width() -> None:
    fonts = latin_fonts()
    if not fonts:
        pytest.skip("no system font of the list is installed")
    narrow, wide = font_glyph("I", fonts[0], 40, 60, False), font_glyph("I", fonts[0], 40, 60, True)
    assert narrow.shape == wide.shape == (60, 40)
    assert narrow[0].max() > 100 and narrow[-1].max() > 100
    assert (narrow.max(axis=0) > 0).sum() < (wide.max(axis=0) > 0).sum() == 40


def test_machine_without_fonts_has_no_chinese_and_says_what_to_install(no_fonts: None) -> None:
    assert latin_fonts() == ()
    with pytest.raises(OpenPlateError, match="fonts-noto-cjk"):
        glyphs.chinese_fonts()
