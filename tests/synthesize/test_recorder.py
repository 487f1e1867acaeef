import random
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from av.codec.codec import UnknownCodecError

from openplate.errors import OpenPlateError
from openplate.synthesize import recorder
from openplate.synthesize.recorder import film

PHOTO = np.full((40, 120), 215, np.uint8)
cv2.putText(PHOTO, "MU 827", (8, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 20, 2, cv2.LINE_AA)


@pytest.fixture
def no_recorders() -> Iterator[None]:
    recorder._recorder.cache_clear()
    yield
    recorder._recorder.cache_clear()


def kept(seen: np.ndarray) -> float:
    """Correlation of a film's picture with the photo."""
    return float(np.corrcoef(seen.ravel().astype(float), PHOTO.ravel().astype(float))[0, 1])


def test_same_choices_give_the_same_picture_whatever_was_filmed_before(no_recorders: None) -> None:
    first = film(PHOTO, random.Random(3))
    for seed in range(20):
        film(PHOTO[::-1].copy(), random.Random(seed))
    again = film(PHOTO, random.Random(3))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, film(PHOTO, random.Random(4)))


def test_picture_shows_the_photo_where_it_was_with_less_in_it() -> None:
    pictures = [film(PHOTO, random.Random(seed)) for seed in range(30)]
    assert all(p.shape == PHOTO.shape and p.dtype == np.uint8 for p in pictures)
    assert min(kept(p) for p in pictures) > 0.55, "the plate is where it was"
    assert float(np.median([kept(p) for p in pictures])) > 0.85
    assert all(not np.array_equal(p, PHOTO) for p in pictures)


def test_coarser_quantisers_keep_less() -> None:
    def mean(quantiser: int) -> float:
        frames = [np.roll(np.full((96, 160), 215, np.uint8), n, 1) for n in range(3)]
        for n, frame in enumerate(frames):
            frame[20:60, 10 + n : 130 + n] = PHOTO
        return kept(recorder._Recorder((160, 96), quantiser).last_of(frames)[20:60, 12:132])

    assert mean(22) > mean(38) > 0.3
    assert mean(22) > 0.95


@pytest.mark.parametrize("size", [(9, 30), (90, 200), (300, 500)])
def test_photos_of_any_size_keep_it(size: tuple[int, int]) -> None:
    photo = cv2.resize(PHOTO, size[::-1], interpolation=cv2.INTER_AREA)
    seen = film(photo, random.Random(1))
    assert seen.shape == size
    assert np.corrcoef(seen.ravel().astype(float), photo.ravel().astype(float))[0, 1] > 0.5


def test_without_an_encoder_the_key_is_named_that_asks_for_one(monkeypatch: pytest.MonkeyPatch, no_recorders: None) -> None:
    def missing(name: str, mode: str) -> None:
        raise UnknownCodecError(name)

    monkeypatch.setattr(recorder, "Codec", missing)
    with pytest.raises(OpenPlateError, match=r"filmed_share.*libx264"):
        film(PHOTO, random.Random(1))
