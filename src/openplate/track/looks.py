"""Looks at one plate in, what they say together out.

Looks are weighed by sharpness and size. How much they say together depends on how much they differ: two looks at a plate that stands still are nearly one
look. With correlation r between two looks, `n` equal ones are worth `n / (1 + (n - 1) r)` independent ones (the effective size of a correlated sample).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.geometry import quad_size
from openplate.read.decode import NOTHING, Decoder, Look
from openplate.types import Crop, Image, Quad, Reading

ALIKE = 0.85
"""Correlation of what two looks at the same plate get wrong however different they are: the same dirt, light, camera and network."""
_CHANGE = 1.0
"""Two looks whose places differ by this many plate heights (or whose sizes by this part) share little more than that."""
AGREES = 0.1
"""A look agrees with a text that is at least this plausible to it, against its own best."""

_TRUST, _OWN = 3.0, 0.02
"""When looks are fused each counts by this power of its weight, times how sure it is of its own text (and `_OWN`): a clear look must not drown in poor
ones, nor in those that could as well say something else (of 862 plates in drawn sequences 492 are accepted rightly and 1 wrongly; without the
second factor, and with a correlation of 0.7, 491 and 3)."""
_SHARPNESS, _SIZE, _OFFSET = 1.35, 1.2, 2.0
"""Logistic regression of whether one look's text is right on the logarithms of sharpness and height (2,400 looks at drawn plates)."""


@dataclass(frozen=True, slots=True, eq=False)
class PlateLook:
    """One look at a plate: everything of one frame. `weight` is 0-1; `reading` is what this look says alone."""

    frame: int
    time_s: float
    quad: Quad
    detection_confidence: float
    width_px: float
    height_px: float
    sharpness: float
    weight: float
    texts: Look
    reading: Reading
    crop: Image | None
    picture: bytes | None


def sharpness(crop: Crop) -> float:
    """How sharp a crop `(48, 192) uint8` is: its mean squared step from column to column over its variance. Small plates, enlarged, are not sharp."""
    smooth = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), 0.8)
    steps = smooth[:, 1:] - smooth[:, :-1]
    return float((steps * steps).mean() / (smooth.var() + 20))


def look_weight(quad: Quad, crop_sharpness: float) -> float:
    """How telling a look at a plate is, 0-1, before it is read: about the chance that its text alone is right."""
    _, height = quad_size(quad)
    odds = _SHARPNESS * math.log(max(1e-4, crop_sharpness)) + _SIZE * math.log(max(1.0, height)) + _OFFSET
    return 1 / (1 + math.exp(-odds))


def correlations(looks: Sequence[PlateLook]) -> NDArray[np.float64]:
    """How much each two looks repeat each other, `(n, n)`, `ALIKE` to 1."""
    places = np.array([[*look.quad.mean(axis=0)] for look in looks], np.float64)
    heights = np.array([max(1.0, look.height_px) for look in looks])
    apart = np.linalg.norm(places[:, None] - places, axis=2) / np.minimum(heights[:, None], heights)
    grown = np.abs(np.log(heights[:, None] / heights)) * 2
    return np.asarray(ALIKE + (1 - ALIKE) * np.exp(-((apart + grown) / _CHANGE)), np.float64)


def trust(look: PlateLook) -> float:
    """How much a look counts beside others of the same plate."""
    return float(look.weight**_TRUST * (look.reading.confidence + _OWN))


def evidence(looks: Sequence[PlateLook]) -> float:
    """As how many independent looks these count, at least 1."""
    weights = np.array([trust(look) for look in looks])
    return max(1.0, float(weights.sum() ** 2 / (weights @ correlations(looks) @ weights)))


def fuse(decoder: Decoder, looks: Sequence[PlateLook]) -> Reading:
    """What looks say together; those in which nothing is written are left out where others have text."""
    telling = sorted((look for look in looks if look.reading.text), key=lambda look: (-look.weight, look.frame))
    if not telling:
        return NOTHING
    return decoder.fuse([look.texts for look in telling], [trust(look) for look in telling], evidence(telling))


def agreeing(decoder: Decoder, looks: Sequence[PlateLook], text: str) -> list[PlateLook]:
    """The looks to which a text is plausible."""
    return [look for look in looks if look.reading.text == text or (look.reading.text and decoder.plausibility(look.texts, text) >= AGREES)]


def keep(looks: Sequence[PlateLook], most: int) -> list[PlateLook]:
    """The `most` looks that say most: of each, its weight counts as far as no weightier look repeats it."""
    if len(looks) <= most:
        return list(looks)
    weights = np.array([look.weight for look in looks])
    alike = correlations(looks)
    weightier = (weights[None] > weights[:, None]) | (
        (weights[None] == weights[:, None]) & (np.arange(len(looks))[None] < np.arange(len(looks))[:, None])
    )
    news = weights * (1 - np.where(weightier, (alike - ALIKE) / (1 - ALIKE), 0.0).max(axis=1) * 0.9)
    kept = np.sort(np.argsort(-news, kind="stable")[:most])
    return [looks[i] for i in kept]
