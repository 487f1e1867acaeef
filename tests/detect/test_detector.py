from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from openplate.detect.detector import GREY, Detector, detection_scale, prepare
from openplate.errors import WeightsError
from openplate.types import EngineReport
from tests.networks import constant_network

METADATA = {"openplate.kind": "detector", "openplate.side": "960", "openplate.threshold": "0.4"}


@pytest.mark.parametrize(
    ("width", "height", "scale"),
    [
        (960, 540, 1.0),
        (1280, 720, 0.75),
        (1920, 1080, 0.5),
        (1080, 1920, 0.5),  # the longer side counts
        (3000, 2000, 0.5),  # never under a half …
        (3840, 2160, 0.5),
        (7680, 4320, 0.25),  # … as long as twice the side is enough: 1920 px
        (640, 480, 1.5),
        (480, 480, 2.0),
        (320, 240, 2.0),  # enlarged at most twice
        (1, 1, 2.0),
    ],
)
def test_scale_brings_the_longer_side_to_the_networks(width: int, height: int, scale: float) -> None:
    assert detection_scale(width, height, 960) == pytest.approx(scale)


def test_image_is_padded_on_the_right_and_below_to_whole_strides() -> None:
    image = np.full((60, 100, 3), 7, np.uint8)
    prepared = prepare(image, 1.0)
    assert prepared.shape == (64, 128, 3)
    assert prepared.dtype == np.uint8
    assert np.unique(prepared[:60, :100]).tolist() == [7]
    assert np.unique(prepared[60:]).tolist() == np.unique(prepared[:, 100:]).tolist() == [GREY]


def test_image_of_whole_strides_is_not_padded_nor_changed() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    assert np.array_equal(prepare(image, 1.0), image)


def test_half_size_is_the_mean_of_four_pixels() -> None:
    image = np.zeros((128, 256, 3), np.uint8)
    image[::2, ::2] = 200  # one of four
    assert np.unique(prepare(image, 0.5)).tolist() == [50]


@pytest.mark.parametrize(("shape", "scale"), [((720, 1280), 0.2625), ((540, 960), 0.35), ((721, 1281), 0.2625), ((720, 1280), 0.1)])
def test_every_pixel_counts_where_an_image_becomes_much_smaller(shape: tuple[int, int], scale: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    size = round(shape[1] * scale), round(shape[0] * scale)
    small = prepare(noise, scale)[: size[1], : size[0]]
    assert small.std() < 1.6 * cv2.resize(noise, size, interpolation=cv2.INTER_AREA).std()
    assert small.std() < 0.6 * cv2.resize(noise, size, interpolation=cv2.INTER_LINEAR).std()
    ramp = np.broadcast_to(np.linspace(0, 255, shape[1]).round().astype(np.uint8)[None, :, None], (*shape, 3)).copy()
    exact = cv2.resize(ramp, size, interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(prepare(ramp, scale)[: size[1], : size[0]] - exact).max() <= 1


def test_colours_keep_their_order() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[...] = (10, 20, 30)
    assert prepare(image, 0.75)[5, 5].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("shape", "scale", "prepared"),
    [
        ((65, 64), 1.0, (128, 64)),
        ((1080, 1920), 0.5, (576, 960)),
        ((1, 1), 2.0, (64, 64)),
        ((4, 4000), 0.1, (64, 448)),
        ((100, 100), 1.5, (192, 192)),
    ],
)
def test_prepared_size_by_hand(shape: tuple[int, int], scale: float, prepared: tuple[int, int]) -> None:
    assert prepare(np.zeros((*shape, 3), np.uint8), scale).shape == (*prepared, 3)


def test_quads_are_given_in_the_images_pixels(tmp_path: Path) -> None:
    answers = [[0, 0, 0, 10, 0, 10, 10, 0, 10], [3, 100, 50, 200, 60, 200, 90, 100, 80], [-3, 300, 50, 400, 50, 400, 90, 300, 90]]
    detector = Detector(constant_network(tmp_path / "d.onnx", ("n", "h", "w", 3), answers, METADATA), precision="fp32")
    detections = detector(np.zeros((1080, 1920, 3), np.uint8))  # seen at half size
    assert [d.quad.tolist() for d in detections] == [
        [[200, 100], [400, 120], [400, 180], [200, 160]],
        [[0, 0], [20, 0], [20, 20], [0, 20]],
    ]
    assert [d.confidence for d in detections] == pytest.approx([0.9526, 0.5], abs=1e-4)
    assert all(d.quad.dtype == np.float32 for d in detections)
    assert detector.report.device == "cpu"


def test_corners_of_a_file_that_names_its_strides_are_placed(tmp_path: Path) -> None:
    # A photo of 128 × 64 px is seen at twice its size: 16·32 cells of 8 px, of which the second is at (12, 4); a unit is four strides.
    answers = np.full((16 * 32, 9), -9, np.float32)
    answers[1] = [3, 0.25, 0.5, 1, 0.5, 1, 1, 0.25, 1]
    metadata = METADATA | {"openplate.strides": "8", "openplate.reach": "4"}
    detector = Detector(constant_network(tmp_path / "d.onnx", ("n", "h", "w", 3), answers, metadata), precision="fp32")
    (detection,) = detector(np.zeros((64, 128, 3), np.uint8))
    assert detection.quad.tolist() == [[10, 10], [22, 10], [22, 18], [10, 18]]


def test_image_without_plates_gives_an_empty_list(tmp_path: Path) -> None:
    answers = [[-3, 0, 0, 10, 0, 10, 10, 0, 10]]
    detector = Detector(constant_network(tmp_path / "d.onnx", ("n", "h", "w", 3), answers, METADATA), precision="fp32")
    assert detector(np.zeros((50, 80, 3), np.uint8)) == []


class TwoLooks:
    """A network that answers a 960 px wide input with one detection, and every smaller input with others; it counts its runs."""

    def __init__(self, near: float, far: list[list[float]]) -> None:
        self.near, self.far, self.runs = near, far, 0
        self.report = EngineReport("fake", "0", "cpu", "fp32", 1)
        self.metadata = METADATA
        self.shape: tuple[int, ...] = ()
        self.input_shape = (None, None, None, 3)

    def __call__(self, batch: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        self.runs += 1
        self.shape = batch.shape
        rows = [[self.near, 100, 50, 200, 50, 200, 80, 100, 80]] if batch.shape[2] == 960 else self.far
        return (np.array([rows], np.float32),)


PHOTO = np.zeros((540, 960, 3), np.uint8)


def test_sure_detection_needs_no_second_look() -> None:
    network = TwoLooks(1.2, [[5, 100, 50, 300, 50, 300, 120, 100, 120]])  # confidence 0.77
    assert [d.confidence for d in Detector(Path("x.onnx"), network=network)(PHOTO)] == pytest.approx([0.7685], abs=1e-4)
    assert network.runs == 1


def test_plate_too_large_for_the_first_look_is_found_by_the_second() -> None:
    wide, narrow = [2.0, 7, 70, 287, 70, 287, 140, 7, 140], [3.0, 300, 0, 330, 0, 330, 10, 300, 10]  # at a scale of 0.35: 800 px and 85.7 px wide
    network = TwoLooks(1.0, [wide, narrow])  # confidence 0.73
    detections = Detector(Path("x.onnx"), network=network)(PHOTO)
    assert network.runs == 2
    assert [d.confidence for d in detections] == pytest.approx([0.8808, 0.7311], abs=1e-4)
    assert detections[0].quad == pytest.approx(np.array([[20, 200], [820, 200], [820, 400], [20, 400]]), abs=1e-3)


def test_part_of_a_large_plate_gives_way_to_the_whole_one() -> None:
    network = TwoLooks(0.0, [[2, 21, 14, 105, 14, 105, 35, 21, 35]])  # x 60-300, y 40-100: the first look's 100-200, 50-80 lies within
    assert [d.confidence for d in Detector(Path("x.onnx"), network=network)(PHOTO)] == pytest.approx([0.8808], abs=1e-4)


@pytest.mark.parametrize("metadata", [{}, {"openplate.kind": "reader"}], ids=["says nothing", "reader"])
def test_network_of_another_kind_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = constant_network(tmp_path / "other.onnx", ("n", "h", "w", 3), np.zeros((1, 9)), metadata)
    with pytest.raises(WeightsError, match=r"other\.onnx: expected a detector"):
        Detector(path)


def test_network_of_one_scale_looks_once_with_its_longer_side_at_that_scale() -> None:
    network = TwoLooks(9.0, [[0.5, 100, 50, 200, 50, 200, 80, 100, 80]])  # unsure, 0.62
    network.metadata = METADATA | {"openplate.side": "300", "openplate.scaling": "side"}
    (found,) = Detector(Path("x.onnx"), network=network).see(np.zeros((540, 960, 3), np.uint8)).candidates
    assert (network.runs, network.shape) == (1, (1, 192, 320, 3))
    # 960 × 540 px become 300 × 169 (168.75): each side is scaled back by itself.
    assert found.quad == pytest.approx(np.array([[100, 50], [200, 50], [200, 80], [100, 80]]) * [960 / 300, 540 / 169], abs=1e-3)


def test_candidates_are_the_detections_and_fainter_ones(tmp_path: Path) -> None:
    answers = [
        [3, 0, 0, 100, 0, 100, 30, 0, 30],
        [-0.5, 200, 0, 300, 0, 300, 30, 200, 30],
        [-3, 400, 0, 500, 0, 500, 30, 400, 30],
    ]  # 0.95, 0.38, 0.05
    metadata = METADATA | {"openplate.threshold": "0.45", "openplate.faint": "0.25"}
    image = np.zeros((540, 960, 3), np.uint8)
    detector = Detector(constant_network(tmp_path / "d.onnx", ("n", "h", "w", 3), answers, metadata), precision="fp32")
    assert [d.confidence for d in detector.see(image).candidates] == pytest.approx([0.9526, 0.3775], abs=1e-4)
    assert [d.confidence for d in detector(image)] == pytest.approx([0.9526], abs=1e-4)
    without = Detector(constant_network(tmp_path / "e.onnx", ("n", "h", "w", 3), answers, metadata | {"openplate.faint": "0.45"}), precision="fp32")
    assert len(without.see(image).candidates) == 1
