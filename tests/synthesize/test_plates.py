import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from openplate.errors import OpenPlateError
from openplate.formats import Automaton, load_formats, select
from openplate.geometry import quad_size, quad_to_box
from openplate.synthesize import plates
from openplate.synthesize.plates import DrawnPlate, draw_plate, drawable
from tests.synthesize.conftest import drawable_types

RU = select(load_formats(), ["RU"])[0].types[0]


def test_same_seed_gives_same_plate_and_another_seed_another() -> None:
    first, again, other = (draw_plate(RU, random.Random(seed)) for seed in (7, 7, 8))
    assert np.array_equal(first.image, again.image)
    assert first.text == again.text
    assert first.text != other.text


@cache
def clean_plates() -> tuple[DrawnPlate, ...]:
    """One plate of every type, 160 px wide."""
    return tuple(draw_plate(t, random.Random(t.name), width_px=160, margin=0.2, wear=0) for t in drawable_types())


def test_plates_of_every_type_have_a_text_of_their_grammar() -> None:
    for drawn in clean_plates():
        assert Automaton([drawn.type]).matches(drawn.text) == (drawn.type,), (drawn.type.name, drawn.text)


def test_quad_is_the_plate_in_the_middle_of_the_canvas() -> None:
    for drawn in clean_plates():
        height, width = drawn.image.shape[:2]
        x0, y0, x1, y1 = quad_to_box(drawn.quad)
        assert (x0, x1, width) == (32, 192, 224), drawn.type.name
        assert y0 > 0 and y0 == height - y1, drawn.type.name
        assert quad_size(drawn.quad)[1] == round(drawn.type.size_mm[1] * (160 / drawn.type.size_mm[0])), drawn.type.name


def test_ink_is_visible_on_clean_plates_of_every_type() -> None:
    for drawn in clean_plates():
        x0, y0, x1, y1 = (round(v) for v in quad_to_box(drawn.quad))
        plate = drawn.image[y0:y1, x0:x1]
        scale = 160 / drawn.type.size_mm[0]
        left, right = (round(v * scale) for v in drawn.type.area_mm)
        for row in drawn.type.rows:
            tallest = max(field.height_mm + field.raise_mm for field in row.fields if field.pieces)
            top, bottom = max(0, round((row.baseline_mm - tallest) * scale)), round(row.baseline_mm * scale)
            line = plate[top:bottom, left:right]
            spread = np.percentile(line, 96, axis=(0, 1)) - np.percentile(line, 4, axis=(0, 1))
            assert spread.max() > 60, (drawn.type.name, drawn.text)


def test_wear_changes_plates_and_not_their_texts() -> None:
    pairs = [[draw_plate(RU, random.Random(seed), width_px=80, wear=wear) for wear in (0.0, 1.0)] for seed in range(8)]
    assert all(clean.text == worn.text for clean, worn in pairs)
    assert sum(not np.array_equal(clean.image, worn.image) for clean, worn in pairs) >= 4


def _extent(text: str, proportional: float, folder: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """How wide a text is on clean plates of 520 mm, in mm: a median of several plates."""
    folder = folder / text
    folder.mkdir(exist_ok=True)
    (folder / "xx.toml").write_text(
        'country = "XX"\nname = "Nowhere"\nweight = 1.0\n[[types]]\nid = "a"\ntitle = "a"\nsize_mm = [520, 110]\nglyphs = "din"\nborder_mm = 0\narea_mm = [10, 510]\n'
        f'rows = [{{ baseline_mm = 92, fields = [{{ text = "{text}", height_mm = 75, width_mm = 45, pitch_mm = 51 }}] }}]\n',
        encoding="utf8",
    )
    monkeypatch.setattr(plates, "sample_proportional", lambda *_: proportional)
    monkeypatch.setattr(plates, "latin_fonts", tuple)
    monkeypatch.setattr(plates, "_draw_screws", lambda *_: None)
    nowhere = select(load_formats(folder), ["XX"])[0].types[0]
    extents = []
    for seed in range(9):
        drawn = draw_plate(nowhere, random.Random(seed), width_px=520, wear=0)
        x0, y0, x1, _ = (round(v) for v in quad_to_box(drawn.quad))
        line = drawn.image[y0 + 45 : y0 + 65, x0 + 20 : x1 - 20].astype(int).sum(axis=2).mean(axis=0)  # across the middle of the glyphs
        ink = np.flatnonzero(line < (line.min() + line.max()) / 2)
        extents.append(ink[-1] - ink[0])
    return float(np.median(extents))


def test_narrow_glyphs_stand_close_together_where_a_face_is_proportional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def extent(text: str, proportional: float) -> float:
        return _extent(text, proportional, tmp_path, monkeypatch)

    stroke = extent("I", 0.0)
    assert extent("IIII", 0.0) == pytest.approx(3 * 51 + stroke, rel=0.06)  # a cell of 51 mm each
    assert extent("IIII", 1.0) == pytest.approx(3 * (6 + stroke) + stroke, rel=0.15)  # 6 mm between strokes
    assert extent("HHHH", 1.0) == pytest.approx(extent("HHHH", 0.0), rel=0.05)


def test_lamps_make_plates_bright_above_and_dim_elsewhere() -> None:
    for seed in range(20):
        canvas = np.full((120, 300, 3), 120, np.uint8)
        plates._light(canvas, (40, 40, 220, 48), random.Random(seed))
        assert canvas.max() > 150 and canvas[-1, 0].max() < 120, seed
        assert canvas[:60].mean() > canvas[60:].mean() + 2, seed


def test_chinese_plate_without_fonts_gives_error(no_fonts: None) -> None:
    with pytest.raises(OpenPlateError, match="font with Chinese characters"):
        draw_plate(select(load_formats(), ["CN"])[0].types[0], random.Random(0))


def test_without_fonts_all_formats_but_the_chinese_can_be_drawn(no_fonts: None) -> None:
    assert [f.code for f in load_formats() if f not in drawable(load_formats())] == ["CN"]


def test_russian_plate_needs_no_fonts(no_fonts: None) -> None:
    texts = {draw_plate(RU, random.Random(seed), width_px=80).text for seed in range(5)}
    assert len(texts) == 5
