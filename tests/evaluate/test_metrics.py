from dataclasses import astuple

import numpy as np
import pytest

from openplate.evaluate import metrics
from openplate.geometry import box_to_quad

LABEL = box_to_quad(0, 0, 100, 20)
TILTED = np.array([[0, 0], [100, 10], [100, 30], [0, 20]], dtype=np.float32)


@pytest.mark.parametrize(
    ("right", "total", "share", "low", "high"),
    [
        (95, 100, 0.95, 0.8882, 0.9785),
        (10, 10, 1.0, 0.7225, 1.0),
        (0, 10, 0.0, 0.0, 0.2775),
        (1, 2, 0.5, 0.0945, 0.9055),
    ],
)
def test_rate_has_wilson_interval(right: int, total: int, share: float, low: float, high: float) -> None:
    rate = metrics.rate(right, total)
    assert (rate.share, rate.low, rate.high) == pytest.approx((share, low, high), abs=1e-4)


def test_nothing_to_count_gives_no_share() -> None:
    assert metrics.count([]) == metrics.Rate(0, 0, None, None, None)


@pytest.mark.parametrize(
    ("situation", "found", "labelled", "expected"),
    [
        ("same box", LABEL, LABEL, 1.0),
        ("half beside it", box_to_quad(50, 0, 150, 20), LABEL, 50 / 150),
        ("elsewhere", box_to_quad(200, 0, 300, 20), LABEL, 0.0),
        ("upright label: the box around the tilted quad (100×30) counts", TILTED, LABEL, 2000 / 3000),
        ("true quad label: the same quad", TILTED, TILTED, 1.0),
        ("true quad label: 1500 shared of 2000 + 2000", LABEL, TILTED, 1500 / 2500),
    ],
)
def test_overlap(situation: str, found: np.ndarray, labelled: np.ndarray, expected: float) -> None:
    assert metrics.overlap(found, labelled) == pytest.approx(expected, abs=1e-4), situation


@pytest.mark.parametrize(
    ("situation", "table", "expected"),
    [
        ("one on one", [[0.8]], [0]),
        ("too little overlap", [[0.49]], [None]),
        ("exactly 0.5 is enough", [[0.5]], [0]),
        ("two on one label: the surer one takes it", [[0.6], [0.9]], [0, None]),
        ("the second takes the label that is left", [[0.9, 0.6], [0.8, 0.7]], [0, 1]),
        ("no labels", [[], []], [None, None]),
        ("no detections", np.zeros((0, 2)).tolist(), []),
    ],
)
def test_match_at_half(situation: str, table: list[list[float]], expected: list[int | None]) -> None:
    rows = np.array(table, dtype=float).reshape(len(table), -1) if table else np.zeros((0, 2))
    assert metrics.match(rows, 0.5) == expected, situation


@pytest.mark.parametrize(
    ("situation", "images", "expected"),
    [
        ("all found, nothing else", [([0.9], [[0.8]]), ([0.8], [[0.7]])], 1.0),
        ("nothing found", [([], np.zeros((0, 1)).tolist())], 0.0),
        ("nothing found, something else reported", [([0.9], [[0.1]])], 0.0),
        # recall 1/2 at precision 1: the points 0.00 … 0.50 are 51 of 101
        ("one of two found", [([0.9], [[0.8, 0.0]])], 51 / 101),
        # a surer false alarm halves the precision everywhere
        ("false alarm first", [([0.9, 0.5], [[0.0], [0.8]])], 0.5),
        ("false alarm last costs nothing", [([0.9, 0.5], [[0.8], [0.0]])], 1.0),
        # right 0.9, wrong 0.8, right 0.7: 51 points at 1, 50 points at 2/3
        ("between the two", [([0.9, 0.7], [[0.8, 0.0], [0.0, 0.8]]), ([0.8], [[]])], (51 + 50 * 2 / 3) / 101),
    ],
)
def test_average_precision(situation: str, images: list[tuple[list[float], list[list[float]]]], expected: float) -> None:
    tables = []
    for scores, rows in images:
        table = np.array(rows, dtype=float) if rows else np.zeros((0, 1))
        tables.append((scores, table.reshape(len(rows), -1) if rows else table))
    assert metrics.average_precision(tables, 0.5) == pytest.approx(expected), situation


def test_average_precision_without_labels_is_none() -> None:
    assert metrics.average_precision([([0.9], np.zeros((1, 0)))], 0.5) is None


@pytest.mark.parametrize(("overlap", "expected"), [(1.0, 1.0), (0.72, 0.5), (0.5, 0.1), (0.3, 0.0)])
def test_map_counts_thresholds_reached(overlap: float, expected: float) -> None:
    assert metrics.mean_average_precision([([0.9], np.array([[overlap]]))]) == pytest.approx(expected)


def test_corner_distance_is_mean_of_four_in_px_and_of_the_height() -> None:
    found = LABEL + np.array([[3, 4], [3, 4], [0, 0], [0, 0]], dtype=np.float32)
    assert metrics.corner_distance(found, LABEL) == pytest.approx((2.5, 2.5 / 20))


def test_corner_error_has_median_and_p90() -> None:
    error = metrics.corner_error([(float(px), px / 10) for px in range(11)])
    assert error is not None
    assert astuple(error) == pytest.approx((11, 5.0, 9.0, 0.5, 0.9))
    assert metrics.corner_error([]) is None


@pytest.mark.parametrize(
    ("situation", "first", "second", "alike", "expected"),
    [
        ("same", "A123BC77", "A123BC77", (), True),
        ("spaces, case and Cyrillic do not matter", "а 123 вс-77", "A123BC77", (), True),
        ("O is not 0", "O123", "0123", (), False),
        ("O is 0 when asked", "O123", "0123", ("O0",), True),
        ("other letters stay different", "Q123", "0123", ("O0",), False),
        ("one missing", "A123BC7", "A123BC77", (), False),
        ("groups of three", "I1", "1L", ("1IL",), True),
    ],
)
def test_same_text(situation: str, first: str, second: str, alike: tuple[str, ...], expected: bool) -> None:
    assert metrics.same_text(first, second, alike) is expected, situation


@pytest.mark.parametrize(
    ("only_first", "only_second", "expected"),
    [
        (0, 0, 1.0),
        (3, 3, 1.0),
        (0, 5, 2 / 32),
        (5, 0, 2 / 32),
        (2, 12, 2 * (1 + 14 + 91) / 2**14),
        (0, 2000, 2.0**-1999),
    ],
)
def test_mcnemar_is_the_two_sided_binomial_tail(only_first: int, only_second: int, expected: float) -> None:
    assert metrics.mcnemar(only_first, only_second) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("table", "value", "low", "high"),
    [
        # Newcombe 1998, paired data, method 10: 36 both, 12 and 2 one alone, 0 neither.
        ((36, 2, 12, 0), 0.2, 0.0569, 0.3404),
        # Altman et al. 2000, table 6.2.
        ((14, 5, 0, 22), -5 / 41, -0.2265, -0.0115),
        # Bentur et al. 2009 in Fagerland, Lydersen and Laake 2014.
        ((1, 7, 1, 12), -6 / 21, -0.507, -0.026),
    ],
)
def test_paired_difference_has_the_published_interval(table: tuple[int, int, int, int], value: float, low: float, high: float) -> None:
    found = metrics.paired_difference(*table)
    assert astuple(found) == pytest.approx((value, low, high), abs=6e-4)


def test_paired_difference_of_equal_models_is_nothing_with_an_interval_around_it() -> None:
    found = metrics.paired_difference(90, 0, 0, 10)
    assert found.value == 0
    assert found.low is not None and found.high is not None
    assert -0.05 < found.low < 0 < found.high < 0.05
    assert metrics.paired_difference(0, 0, 0, 0) == metrics.Difference(None, None, None)


def test_resampled_difference_is_over_all_characters_and_the_same_each_time() -> None:
    first, second, sizes = [2, 0, 0, 1], [0, 0, 0, 1], [8, 8, 8, 6]
    found = metrics.resampled_difference(first, second, sizes)
    assert found.value == pytest.approx(-2 / 30)
    assert found.low is not None and found.high is not None
    assert found.low < -2 / 30 < found.high == 0  # a round without the first plate has no difference
    assert metrics.resampled_difference(first, second, sizes) == found
    assert metrics.resampled_difference([], [], []) == metrics.Difference(None, None, None)


@pytest.mark.parametrize(("height_px", "name"), [(3, "<16"), (15.9, "<16"), (16, "16-24"), (31.9, "24-32"), (32, "32-48"), (48, "48+"), (500, "48+")])
def test_height_group(height_px: float, name: str) -> None:
    assert metrics.height_group(height_px) == name
    assert metrics.height_groups() == ["<16", "16-24", "24-32", "32-48", "48+"]


def test_calibration_sorts_readings_into_bins() -> None:
    found = metrics.calibration([0.3, 0.85, 0.89, 0.99, 1.0], [False, True, False, True, True])
    kept = [(b.low, b.high, b.promised, b.kept.right, b.kept.total) for b in found.bins if b.kept.total]
    assert np.array(kept) == pytest.approx(np.array([(0.0, 0.5, 0.3, 0, 1), (0.8, 0.9, 0.87, 1, 2), (0.99, 1.0, 0.995, 2, 2)]))
    assert (found.sure.right, found.sure.total) == (2, 2)


def test_calibration_error_is_weighted_gap() -> None:
    # bins of 1/15: 0.9 and 0.92 share one with 1 of 2 right, gap |0.91 - 0.5|; 0.3 lies alone, gap 0.3
    assert metrics.calibration_error(np.array([0.9, 0.92, 0.3]), np.array([True, False, False])) == pytest.approx((2 * 0.41 + 0.3) / 3)
    assert metrics.calibration_error(np.array([]), np.array([], dtype=bool)) is None


def test_risk_coverage_has_a_point_for_each_confidence() -> None:
    points = metrics.risk_coverage(np.array([0.5, 0.9, 0.9, 0.7]), np.array([False, True, True, False]))
    assert np.array([astuple(point) for point in points]) == pytest.approx(np.array([(0.9, 0.5, 0.0), (0.7, 0.75, 1 / 3), (0.5, 1.0, 0.5)]))
