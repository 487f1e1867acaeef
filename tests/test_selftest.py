from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from openplate.errors import WeightsError
from openplate.selftest import selftest, tolerance, write_reference
from openplate.types import EngineReport

INPUT = np.array([[10, 20, 40]], np.uint8)


class FakeNetwork:
    input_shape = (None, 3)

    def __init__(self, answer: Callable[[NDArray[Any]], NDArray[Any]], precision: str = "fp32") -> None:
        self.metadata: dict[str, str] = {}
        self.answer = answer
        self.report = EngineReport("fake", "1", "cpu", precision, 1)

    def __call__(self, batch: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        return (self.answer(batch).astype(np.float32),)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "reference.npz"
    write_reference({"reader": INPUT}, {"reader": FakeNetwork(lambda x: x / 10)}, path)
    return path


def test_same_network_passes_without_error(reference: Path) -> None:
    (row,) = selftest({"reader": FakeNetwork(lambda x: x / 10)}, reference)
    assert (row.network, row.error, row.agreement, row.passed) == ("reader", 0.0, 1.0, True)


def test_error_is_a_share_of_the_largest_output(reference: Path) -> None:
    # stored 1, 2, 4; given 1, 2, 3.9: off by 0.1 of 4
    (row,) = selftest({"reader": FakeNetwork(lambda x: np.minimum(x / 10, 3.9))}, reference)
    assert row.error == pytest.approx(0.025)
    assert row.agreement == 1.0
    assert not row.passed


def test_bf16_may_be_farther_off_than_fp32(reference: Path) -> None:
    (row,) = selftest({"reader": FakeNetwork(lambda x: np.minimum(x / 10, 3.9), "bf16")}, reference)
    assert row.passed


def test_other_largest_place_is_counted_as_disagreement(reference: Path) -> None:
    (row,) = selftest({"reader": FakeNetwork(lambda x: x[:, ::-1] / 10)}, reference)
    assert (row.agreement, row.passed) == (0.0, False)


def test_other_output_shape_is_an_error(reference: Path) -> None:
    with pytest.raises(WeightsError, match="reader should give"):
        selftest({"reader": FakeNetwork(lambda x: x[:, :2])}, reference)


def test_network_without_reference_is_an_error(reference: Path) -> None:
    with pytest.raises(WeightsError, match="holds no reference for detector"):
        selftest({"detector": FakeNetwork(lambda x: x)}, reference)


def test_damaged_reference_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "reference.npz").write_bytes(b"PK not an archive")
    with pytest.raises(WeightsError, match="expected the self-test's reference"):
        selftest({}, tmp_path / "reference.npz")


def test_reference_of_one_network_leaves_the_others_as_they_are(reference: Path) -> None:
    write_reference({"detector": INPUT}, {"detector": FakeNetwork(lambda x: x / 5)}, reference)
    write_reference({"detector": INPUT[:1]}, {"detector": FakeNetwork(lambda x: x / 7)}, reference)
    rows = selftest({"reader": FakeNetwork(lambda x: x / 10), "detector": FakeNetwork(lambda x: x / 7)}, reference)
    assert [(row.network, row.error) for row in rows] == [("reader", 0.0), ("detector", 0.0)]


def test_reference_is_written_in_fp32_only(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="runs in bf16"):
        write_reference({"reader": INPUT}, {"reader": FakeNetwork(lambda x: x, "bf16")}, tmp_path / "reference.npz")


@pytest.mark.parametrize("precision", ["int8", "fp32+int8"])
def test_reference_of_an_int8_network_is_its_own_output(tmp_path: Path, precision: str) -> None:
    write_reference({"reader": INPUT}, {"reader": FakeNetwork(lambda x: x / 10, precision)}, tmp_path / "reference.npz")
    # Stored 1, 2, 4; given 1, 2, 3.2: off by a fifth of the largest, which INT8 may be and fp32 may not.
    answers = [FakeNetwork(lambda x: np.minimum(x / 10, 3.2), name) for name in (precision, "fp32")]
    assert [selftest({"reader": network}, tmp_path / "reference.npz")[0].passed for network in answers] == [True, False]


def test_mixed_precision_has_the_wider_tolerance() -> None:
    assert tolerance("bf16+int8") == tolerance("int8") > tolerance("bf16") > tolerance("fp32")
