from collections.abc import Callable
from pathlib import Path

import numpy as np

from openplate.dataset import load_dataset
from openplate.evaluate.false_alarms import combine_false_alarms, count_false_alarms, paint_over
from openplate.geometry import box_to_quad
from tests.conftest import BOX, FakePipeline, label, plate


def test_painted_plate_is_gone_and_the_rest_is_untouched() -> None:
    image = np.full((100, 200, 3), 90, dtype=np.uint8)
    image[40:60, 50:130] = 255
    before = image.copy()
    painted = paint_over(image, [box_to_quad(*BOX)])
    assert np.array_equal(image, before)
    assert np.abs(painted[38:62, 48:132].astype(int) - 90).max() <= 12
    assert np.array_equal(painted[:15], before[:15])
    assert np.array_equal(painted[:, :15], before[:, :15])


def test_plate_over_the_image_edge_is_painted() -> None:
    image = np.full((60, 80, 3), 90, dtype=np.uint8)
    image[40:, 50:] = 255
    painted = paint_over(image, [box_to_quad(50, 40, 95, 70)])
    assert np.abs(painted[40:, 50:].astype(int) - 90).max() <= 12


def test_image_that_is_all_plate_becomes_even() -> None:
    image = np.random.default_rng(1).integers(0, 255, (40, 80, 3), dtype=np.uint8)
    painted = paint_over(image, [box_to_quad(0, 0, 80, 40)])
    assert painted.std() < 10


def test_confident_readings_are_counted_in_painted_photos(make_dataset: Callable[..., Path]) -> None:
    there = box_to_quad(150, 0, 190, 10)
    pipeline = FakePipeline([plate(there, "X1", 0.9), plate(there, "X2", 0.3, readable=False)])
    found = count_false_alarms(pipeline, load_dataset(make_dataset([label("A123BC77")], [label("A1", None)], [])))
    assert (len(found.photos), found.alarms, found.per_100_photos) == (2, 2, 100.0)
    assert (found.photos_with_alarm.right, found.photos_with_alarm.total) == (2, 2)
    assert pipeline.seen[0][50, 90].max() < 110
    assert [f.kind for f in found.failures()] == ["extra", "extra"]
    assert combine_false_alarms([found, found]).alarms == 4


def test_no_photos_give_no_rate(make_dataset: Callable[..., Path]) -> None:
    found = count_false_alarms(FakePipeline(), load_dataset(make_dataset([label("A1", None)])))
    assert (found.per_100_photos, found.photos_with_alarm.share) == (None, None)
