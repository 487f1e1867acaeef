"""Raw confidences and whether their readings were right in; the mapping that makes them probabilities out.

The mapping is Platt's (1999) on the logit: `sigmoid(a * logit(raw) + b)` with a > 0, so the order of readings never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openplate.evaluate.metrics import calibration_error

Floats = NDArray[np.float64]
_EDGE = 1e-6
_SMALLEST_A = 0.05
_PRIOR = np.array([0.1, 0.1])


@dataclass(frozen=True, slots=True)
class Mapping:
    """`sigmoid(a * logit(raw) + b)`, and the expected calibration error of the readings it was fitted on, before and after."""

    a: float
    b: float
    readings: int
    error_before: float
    error_after: float

    def __call__(self, raw: ArrayLike) -> Floats:
        """Probabilities of raw confidences; raw values are clipped to 1e-6 … 1 - 1e-6 first."""
        return calibrated(raw, self.a, self.b)


def calibrated(raw: ArrayLike, a: float, b: float) -> Floats:
    """`sigmoid(a * logit(raw) + b)`; raw values are clipped to 1e-6 … 1 - 1e-6 first."""
    return _sigmoid(a * _logit(raw) + b)


def fit_calibration(readings: Sequence[tuple[float, bool]]) -> Mapping:
    """The mapping of largest posterior for (raw confidence, right) pairs, by Newton's method.

    A weak normal prior around the identity (a = 1, b = 0, variance 10) keeps it finite when all readings are right.

    Raises:
        ValueError: there are no readings, or a confidence lies outside 0..1.

    """
    raw = np.array([confidence for confidence, _ in readings], dtype=np.float64)
    right = np.array([flag for _, flag in readings], dtype=bool)
    if len(raw) == 0 or not ((raw >= 0) & (raw <= 1)).all():
        raise ValueError("expected at least one reading, with confidences from 0 to 1")
    inputs = np.stack([_logit(raw), np.ones(len(raw))], axis=1)
    weights = _newton(inputs, right, np.array([1.0, 0.0]), free=np.array([True, True]))
    if weights[0] < _SMALLEST_A:
        weights = _newton(inputs, right, np.array([_SMALLEST_A, 0.0]), free=np.array([False, True]))
    a, b = float(weights[0]), float(weights[1])
    before, after = (calibration_error(values, right) or 0.0 for values in (raw, calibrated(raw, a, b)))
    return Mapping(a, b, len(raw), before, after)


def _newton(inputs: Floats, right: NDArray[np.bool_], start: Floats, free: NDArray[np.bool_]) -> Floats:
    """Minimise the loss over the `free` weights; the loss is convex, and a step is halved while it makes the loss worse."""
    weights, loss = start, _loss(inputs, right, start)
    for _ in range(100):
        probability = _sigmoid(inputs @ weights)
        gradient = inputs.T @ (probability - right) + _PRIOR * (weights - [1.0, 0.0])
        curvature = (inputs.T * (probability * (1 - probability))) @ inputs + np.diag(_PRIOR)
        step = np.zeros(2)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        scale = 1.0
        while scale > 1e-9 and _loss(inputs, right, weights - scale * step) > loss:
            scale /= 2
        weights = weights - scale * step
        previous, loss = loss, _loss(inputs, right, weights)
        if previous - loss < 1e-10 * (1 + abs(loss)):
            break
    return weights


def _loss(inputs: Floats, right: NDArray[np.bool_], weights: Floats) -> float:
    scores = inputs @ weights
    prior = 0.5 * float((_PRIOR * (weights - [1.0, 0.0]) ** 2).sum())
    return float(np.logaddexp(0, np.where(right, -scores, scores)).sum()) + prior


def _logit(raw: ArrayLike) -> Floats:
    clipped = np.clip(np.asarray(raw, dtype=np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _sigmoid(scores: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(scores / 2)))
