import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openplate.detect.decode import decode_detections, place_corners
from openplate.geometry import box_iou, box_to_quad, quad_to_box

EVEN, LIKELY, SURE = 0.0, 1.0986123, 2.1972246
"""Logits of 0.5, 0.75 and 0.9."""


def row(logit: float, x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.concatenate([[logit], box_to_quad(x0, y0, x1, y1).reshape(8)]).astype(np.float32)


def boxes(output: list[np.ndarray], threshold: float = 0.3, most: int = 200) -> list[tuple[float, float, float, float]]:
    return [quad_to_box(d.quad) for d in decode_detections(np.array(output, np.float32).reshape(-1, 9), threshold, most=most)]


def test_logits_become_confidences_and_the_surest_comes_first() -> None:
    output = np.stack([row(EVEN, 0, 0, 10, 10), row(SURE, 20, 0, 30, 10), row(LIKELY, 40, 0, 50, 10)])
    detections = decode_detections(output, 0.3)
    assert [d.confidence for d in detections] == pytest.approx([0.9, 0.75, 0.5])
    assert [d.quad[0, 0] for d in detections] == [20, 40, 0]


def test_corners_come_out_in_the_order_of_the_network() -> None:
    output = np.array([[SURE, 9, 1, 30, 4, 29, 12, 8, 10]], np.float32)
    (detection,) = decode_detections(output, 0.5)
    assert detection.quad.tolist() == [[9, 1], [30, 4], [29, 12], [8, 10]]
    assert detection.quad.dtype == np.float32


def test_quad_does_not_change_with_the_networks_output() -> None:
    output = np.array([row(SURE, 0, 0, 10, 10)])
    (detection,) = decode_detections(output, 0.5)
    output[:] = 0
    assert quad_to_box(detection.quad) == (0, 0, 10, 10)


def test_corners_are_placed_from_the_centre_of_their_cell_in_units_of_its_level() -> None:
    # 64 × 128 px: 8·16 cells of 8 px, 4·8 of 16 px, 2·4 of 32 px, 1·2 of 64 px.
    output = np.full((128 + 32 + 8 + 2, 9), -9, np.float32)
    output[17] = [LIKELY, 0.25, 0.5, 1, 0.5, 1, 1, 0.25, 1]  # the second cell of the second line: (12, 12), units of 32 px
    output[20] = [EVEN, *[0] * 8]
    output[169] = [SURE, -0.125, 0.0625, 0, 0.0625, 0, 0.125, -0.125, 0.125]  # the last one: (96, 32), units of 256 px
    placed = place_corners(output, (64, 128), (8, 16, 32, 64), 4.0, 0.6)
    assert placed[:, 1:].tolist() == [[20, 28, 44, 28, 44, 44, 20, 44], [64, 48, 96, 48, 96, 64, 64, 64]]
    assert placed[:, 0].tolist() == pytest.approx([LIKELY, SURE])
    assert placed.dtype == np.float32


def test_nothing_to_place_gives_no_rows() -> None:
    assert place_corners(np.full((170, 9), -9, np.float32), (64, 128), (8, 16, 32, 64), 4.0, 0.6).shape == (0, 9)


@pytest.mark.parametrize(("threshold", "count"), [(0.1, 3), (0.6, 2), (0.8, 1), (0.95, 0)])
def test_detections_under_the_threshold_are_left_out(threshold: float, count: int) -> None:
    output = [row(EVEN, 0, 0, 10, 10), row(LIKELY, 20, 0, 30, 10), row(SURE, 40, 0, 50, 10)]
    assert len(boxes(output, threshold)) == count


def test_no_anchors_give_no_detections() -> None:
    assert boxes([]) == []


def test_of_two_that_overlap_the_surer_one_stays() -> None:
    # 80 px² in common of 120: IoU 0.67
    assert boxes([row(EVEN, 0, 0, 10, 10), row(SURE, 2, 0, 12, 10)]) == [(2, 0, 12, 10)]


def test_two_plates_side_by_side_both_stay() -> None:
    # 20 px² in common of 180, a fifth of each
    assert len(boxes([row(EVEN, 0, 0, 10, 10), row(SURE, 8, 0, 18, 10)])) == 2


@pytest.mark.parametrize(("inner", "outer"), [(EVEN, SURE), (SURE, EVEN)], ids=["outer surer", "inner surer"])
def test_of_one_within_another_the_surer_one_stays(inner: float, outer: float) -> None:
    # IoU is only 0.09, but the small one lies within the large one
    output = [row(inner, 10, 10, 20, 20), row(outer, 5, 5, 38, 38)]
    assert boxes(output) == [(5, 5, 38, 38) if outer > inner else (10, 10, 20, 20)]


def test_suppressed_detection_suppresses_nothing() -> None:
    # A chain: the middle one goes for the first one's sake; the third touches only the middle one and stays.
    output = [row(SURE, 0, 0, 10, 10), row(LIKELY, 3, 0, 13, 10), row(EVEN, 7, 0, 17, 10)]
    assert boxes(output) == [(0, 0, 10, 10), (7, 0, 17, 10)]


def test_no_more_than_asked_for_are_kept() -> None:
    output = [row(0.1 * i, 20 * i, 0, 20 * i + 10, 10) for i in range(6)]
    assert boxes(output, most=2) == [(100, 0, 110, 10), (80, 0, 90, 10)]


def test_equally_sure_detections_keep_the_networks_order() -> None:
    output = [row(SURE, 20 * i, 0, 20 * i + 10, 10) for i in (3, 1, 2)]
    assert [b[0] for b in boxes(output)] == [60, 20, 40]


def test_extreme_logits_stay_probabilities() -> None:
    with np.errstate(over="raise"):
        detections = decode_detections(np.array([row(200, 0, 0, 10, 10), row(-200, 50, 0, 60, 10)]), 0.3)
    assert [d.confidence for d in detections] == [1.0]


CORNERS = st.tuples(st.floats(-5, 5), st.integers(0, 60), st.integers(0, 60), st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=50, deadline=None)
@given(st.lists(CORNERS, max_size=12))
def test_what_is_kept_is_sorted_and_does_not_overlap(values: list[tuple[float, int, int, int, int]]) -> None:
    output = np.array([row(logit, x, y, x + w, y + h) for logit, x, y, w, h in values], np.float32).reshape(-1, 9)
    detections = decode_detections(output, 0.2)
    confidences = [d.confidence for d in detections]
    assert confidences == sorted(confidences, reverse=True)
    assert all(c >= 0.2 for c in confidences)
    found = np.array([quad_to_box(d.quad) for d in detections], np.float32).reshape(-1, 4)
    overlaps = box_iou(found, found) - np.eye(len(found))
    assert (overlaps <= 0.45 + 1e-6).all()
