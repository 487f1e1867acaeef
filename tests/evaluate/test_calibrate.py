import numpy as np
import pytest

from openplate.evaluate.calibrate import calibrated, fit_calibration


def drawn(a: float, b: float, count: int = 20000) -> list[tuple[float, bool]]:
    rng = np.random.default_rng(3)
    raw = rng.uniform(0.02, 0.999, count)
    right = rng.uniform(size=count) < calibrated(raw, a, b)
    return list(zip(raw.tolist(), right.tolist(), strict=True))


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (0.5, -1.0), (2.0, 0.7)])
def test_fit_recovers_the_parameters_readings_were_drawn_with(a: float, b: float) -> None:
    mapping = fit_calibration(drawn(a, b))
    assert (mapping.a, mapping.b) == pytest.approx((a, b), rel=0.08, abs=0.08)
    assert mapping.error_after < 0.015


def test_overconfident_readings_are_lowered() -> None:
    mapping = fit_calibration(drawn(0.5, -1.0))
    assert mapping.error_before > 0.15 > 10 * mapping.error_after
    assert float(mapping(0.9)) < 0.6


@pytest.mark.parametrize(
    ("raw", "a", "b", "expected"),
    [
        (0.5, 2.0, 0.0, 0.5),
        (0.9, 1.0, 0.0, 0.9),
        (0.9, 0.5, 0.0, 0.75),
        (0.5, 1.0, float(np.log(4)), 0.8),
        (1.0, 1.0, 0.0, 1 - 1e-6),
        (0.0, 1.0, 0.0, 1e-6),
    ],
)
def test_mapping_worked_out_by_hand(raw: float, a: float, b: float, expected: float) -> None:
    # logit(0.9) = log 9; half of it is log 3, and 3 / (1 + 3) = 0.75
    assert float(calibrated(raw, a, b)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("right", [True, False])
def test_readings_all_alike_give_finite_mapping(right: bool) -> None:
    mapping = fit_calibration([(0.9, right), (0.95, right), (1.0, right)] * 20)
    assert np.isfinite([mapping.a, mapping.b]).all()
    assert mapping.a > 0
    assert (float(mapping(0.95)) > 0.95) is right


def test_order_is_kept_even_when_high_confidences_are_wrong() -> None:
    mapping = fit_calibration([(0.9, False), (0.1, True)] * 200)
    assert mapping.a > 0
    assert float(mapping(0.9)) > float(mapping(0.1))


@pytest.mark.parametrize("readings", [[], [(1.2, True)], [(-0.1, False)]])
def test_no_readings_or_no_confidences_give_error(readings: list[tuple[float, bool]]) -> None:
    with pytest.raises(ValueError, match="expected at least one reading"):
        fit_calibration(readings)
