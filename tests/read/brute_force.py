"""CTC by its definition: every path of a tiny output, collapsed."""

import math
from collections import defaultdict
from itertools import groupby, product

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

Text = tuple[int, ...]


def logs(probabilities: ArrayLike) -> NDArray[np.float32]:
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(probabilities, np.float32))


def all_texts(probabilities: NDArray[np.float64]) -> dict[Text, float]:
    """Probability of every text, summed over all paths."""
    length, classes = probabilities.shape
    texts: dict[Text, float] = defaultdict(float)
    for path in product(range(classes), repeat=length):
        text = tuple(k for k, _ in groupby(path) if k != 0)
        texts[text] += math.prod(probabilities[t, k] for t, k in enumerate(path))
    return texts


@st.composite
def outputs(draw: st.DrawFn, longest: int = 5, most_classes: int = 4) -> NDArray[np.float64]:
    """`(T, K)` probabilities; some of them zero."""
    length, classes = draw(st.integers(1, longest)), draw(st.integers(2, most_classes))
    row = st.lists(st.integers(0, 20), min_size=classes, max_size=classes).filter(any)
    weights = np.array([draw(row) for _ in range(length)], np.float64)
    return weights / weights.sum(axis=1, keepdims=True)
