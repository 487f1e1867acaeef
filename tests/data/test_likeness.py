import cv2
import numpy as np

from openplate.data.likeness import NEAR_BITS, fingerprint, near_pairs


def scene(seed: int) -> np.ndarray:  # type: ignore[type-arg]
    """A picture of soft patches, `(120, 240, 3) uint8 RGB`."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (240, 120), interpolation=cv2.INTER_CUBIC), np.uint8)


def distance(first: np.ndarray, second: np.ndarray) -> int:  # type: ignore[type-arg]
    return int(np.bitwise_count(fingerprint(first) ^ fingerprint(second)).sum())


def test_fingerprint_of_a_ramp_is_all_ones_and_of_its_mirror_all_zeros() -> None:
    ramp = np.repeat(np.arange(0, 255, 15, dtype=np.uint8)[None, :, None], 17, axis=0).repeat(3, axis=2)  # 17 columns, each brighter
    assert fingerprint(ramp).tolist() == [255] * 32
    assert fingerprint(ramp[:, ::-1]).tolist() == [0] * 32


def test_smaller_darker_coarser_copy_is_near_and_another_picture_is_not() -> None:
    image = scene(1)
    smaller = cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", cv2.convertScaleAbs(smaller, alpha=0.8), [cv2.IMWRITE_JPEG_QUALITY, 40])
    assert distance(image, np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)) <= NEAR_BITS
    assert distance(image, scene(2)) > 3 * NEAR_BITS


def test_pairs_within_the_bits_are_found_across_blocks() -> None:
    rng = np.random.default_rng(0)
    prints = rng.integers(0, 256, (1100, 32), dtype=np.uint8)
    prints[1050] = prints[3]
    prints[1050, 0] ^= 0b11  # 2 bits away
    prints[600] = prints[599]
    prints[600, 31] ^= 0b111  # 3 bits away
    assert list(near_pairs(prints, bits=3)) == [(3, 1050), (599, 600)]
    assert list(near_pairs(prints, bits=2)) == [(3, 1050)]
    assert list(near_pairs(prints[:1], bits=256)) == []
