from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openplate.errors import WeightsError
from openplate.geometry import as_quad, box_to_quad
from openplate.rectify import rectify
from openplate.straighten import HEIGHT, MARGIN, WIDTH, Straightener, apply_offsets, find_offsets, look
from openplate.types import Quad
from tests.networks import constant_network

BOX = box_to_quad(100, 50, 200, 70)
TILTED = as_quad([[100, 50], [205, 62], [200, 88], [98, 72]])
COARSE = as_quad([[97, 53], [208, 60], [203, 85], [99, 76]])


def test_no_offsets_leave_the_quad_as_it_is() -> None:
    assert apply_offsets(TILTED, np.zeros(8, np.float32)) == pytest.approx(TILTED, abs=1e-3)


def test_offsets_are_in_widths_and_heights_of_the_plate() -> None:
    # 100 × 20 px: TL by 0.1 widths and 0.5 heights, BR back by 0.2 widths
    offsets = np.array([0.1, 0.5, 0, 0, -0.2, 0, 0, 0], np.float32)
    assert apply_offsets(BOX, offsets) == pytest.approx(np.array([[110, 60], [200, 50], [180, 70], [100, 70]]), abs=1e-3)


def test_offsets_follow_a_plate_on_its_side() -> None:
    on_its_side = as_quad([[20, 0], [20, 100], [0, 100], [0, 0]])  # text runs down, its top is at the right
    moved = apply_offsets(on_its_side, np.array([0.1, 0.5, 0, 0, 0, 0, 0, 0], np.float32))
    assert moved[0] == pytest.approx([10, 10], abs=1e-3)


def test_offsets_to_be_learnt_by_hand() -> None:
    exact = as_quad([[110, 60], [200, 50], [180, 70], [100, 70]])
    assert find_offsets(BOX, exact) == pytest.approx([0.1, 0.5, 0, 0, -0.2, 0, 0, 0], abs=1e-5)


def test_offsets_found_between_two_quads_lead_from_one_to_the_other() -> None:
    assert apply_offsets(COARSE, find_offsets(COARSE, TILTED)) == pytest.approx(TILTED, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-0.25, 0.25, width=32), min_size=8, max_size=8))
def test_offsets_that_were_applied_are_found_again(values: list[float]) -> None:
    offsets = np.array(values, np.float32)
    assert find_offsets(COARSE, apply_offsets(COARSE, offsets)) == pytest.approx(offsets, abs=1e-3)


@pytest.mark.parametrize("quad", [BOX, TILTED])
def test_network_sees_the_plate_with_its_margin(quad: Quad) -> None:
    image = np.random.default_rng(0).integers(0, 256, (120, 260, 3), dtype=np.uint8)
    seen = look(image, quad)
    assert seen.shape == (48, 128) == (HEIGHT, WIDTH)
    assert np.array_equal(seen, rectify(image, quad, 48, 128, (0.20, 0.45)))
    assert MARGIN == (0.20, 0.45)


def test_straightener_moves_the_corners_as_its_network_says(tmp_path: Path) -> None:
    path = constant_network(tmp_path / "s.onnx", ("n", 48, 128), [0.1, 0.5, 0, 0, -0.2, 0, 0, 0], {"openplate.kind": "straightener"})
    straightener = Straightener(path, precision="fp32")
    moved = straightener(np.zeros((120, 260, 3), np.uint8), BOX)
    assert moved == pytest.approx(np.array([[110, 60], [200, 50], [180, 70], [100, 70]]), abs=1e-3)
    assert moved.dtype == np.float32
    assert straightener.report.device == "cpu"


@pytest.mark.parametrize("metadata", [{}, {"openplate.kind": "reader"}], ids=["says nothing", "reader"])
def test_network_of_another_kind_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = constant_network(tmp_path / "other.onnx", ("n", 48, 128), np.zeros(8), metadata)
    with pytest.raises(WeightsError, match=r"other\.onnx: expected a straightener"):
        Straightener(path)
