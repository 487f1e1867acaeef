from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openplate.dataset import load_dataset
from openplate.evaluate.run import evaluate
from openplate.evaluate.summary import combine
from openplate.geometry import box_to_quad
from openplate.types import Plate
from tests.conftest import BOX, FakePipeline, label, plate, reading

HERE = box_to_quad(*BOX)
THERE = box_to_quad(150, 0, 190, 10)
LOOSE = box_to_quad(50, 40, 82, 60)  # 32 of 80 px wide: IoU 0.4

MakeDataset = Callable[..., Path]


@pytest.mark.parametrize(
    ("situation", "plates", "kind", "found", "extra", "failures"),
    [
        ("read right", [plate(HERE, "A123BC77", 0.99)], "exact", True, 0, []),
        ("read right, spelled in Cyrillic", [plate(HERE, "А123ВС77", 0.99)], "exact", True, 0, []),
        ("read wrong", [plate(HERE, "A123BC78", 0.9)], "wrong", True, 0, ["wrong"]),
        ("held back though right", [plate(HERE, "A123BC77", 0.5, readable=False)], "unreadable", True, 0, ["unreadable"]),
        ("nothing there", [], "not found", False, 0, ["not found"]),
        ("loose quad, right text", [plate(LOOSE, "A123BC77", 0.9)], "exact", False, 0, ["detection missed"]),
        ("elsewhere, given", [plate(THERE, "X1", 0.9)], "not found", False, 1, ["not found", "extra"]),
        ("elsewhere, held back", [plate(THERE, "X1", 0.4, readable=False)], "not found", False, 0, ["not found", "detection unmatched"]),
        ("two readings, one right", [plate(HERE, "A123BC77", 0.8), plate(LOOSE, "B2", 0.9)], "exact", True, 0, ["wrong"]),
    ],
)
def test_one_labelled_plate(
    make_dataset: MakeDataset, situation: str, plates: list[Plate], kind: str, found: bool, extra: int, failures: list[str]
) -> None:
    pipeline = FakePipeline(plates, [reading("A123BC77", 0.99)])
    report = evaluate(pipeline, load_dataset(make_dataset([label("A123BC77")])))
    outcome = report.images[0].plates[0]
    assert (outcome.kind, outcome.found, len(report.images[0].extra)) == (kind, found, extra), situation
    assert sorted(f.kind for f in report.failures()) == sorted(failures), situation


def test_numbers_of_a_small_set(make_dataset: MakeDataset) -> None:
    """Four photos, the same found in each: right, wrong, without text, and nothing labelled."""
    pipeline = FakePipeline([plate(HERE, "A123BC77", 0.995)], [reading("A123BC77", 0.995)])
    folder = make_dataset([label("A123BC77")], [label("A123BC78", country="KZ")], [label(None)], [])
    summary = evaluate(pipeline, load_dataset(folder)).summary()
    assert (summary.images, summary.plates) == (4, 3)
    assert summary.detection
    assert summary.reading
    assert summary.end_to_end
    assert (summary.detection.recall.right, summary.detection.recall.total) == (3, 3)
    assert (summary.detection.matched.right, summary.detection.matched.total) == (3, 4)
    assert summary.detection.corners is None
    assert (summary.reading.exact.right, summary.reading.exact.total) == (1, 2)
    assert summary.reading.cer == pytest.approx(1 / 16)
    whole = summary.end_to_end
    assert (whole.exact.right, whole.exact.total, whole.wrong, whole.unreadable, whole.not_found, whole.extra) == (1, 2, 1, 0, 0, 1)
    assert (whole.wrong_readings.right, whole.wrong_readings.total) == (1, 2)
    assert (whole.calibration.sure.right, whole.calibration.sure.total) == (1, 2)
    assert [(g.name, g.plates, g.exact.right, g.exact.total) for g in summary.by_country] == [("KZ", 1, 0, 1), ("RU", 2, 1, 1)]
    assert [(g.name, g.plates) for g in summary.by_height_px if g.plates] == [("16-24", 3)]


def test_country_is_counted_where_the_text_is_right_and_the_label_names_a_known_one(make_dataset: MakeDataset) -> None:
    pipeline = FakePipeline([plate(HERE, "A123BC77", 0.9)], [reading("A123BC77", 0.9)])  # says RU
    folder = make_dataset(*([label("A123BC77", country=code)] for code in ("RU", "ru", "KZ", "EU")), [label("A1")])
    summary = evaluate(pipeline, load_dataset(folder), part="reader").summary()
    assert summary.reading
    assert summary.reading.country
    assert (summary.reading.country.right, summary.reading.country.total) == (2, 3)
    alone = evaluate(pipeline, load_dataset(make_dataset([label("A123BC77", country="EU")], name="other")), part="reader").summary()
    assert alone.reading
    assert alone.reading.country is None


def test_corner_error_counts_true_quads_only(make_dataset: MakeDataset) -> None:
    tilted: dict[str, Any] = {"text": None, "country": "CN", "quad": (HERE + np.array([[0, 0], [0, 4], [0, 4], [0, 0]])).tolist()}
    pipeline = FakePipeline([plate(HERE, "A1", 0.9)])
    summary = evaluate(pipeline, load_dataset(make_dataset([tilted], [label(None)])), part="detector").summary()
    assert summary.detection
    assert summary.detection.corners
    assert (summary.detection.corners.plates, summary.detection.corners.median_px) == pytest.approx((1, 2.0))
    assert summary.detection.corners.median_fraction == pytest.approx(0.1)


def test_crop_is_read_as_a_plate_and_not_detected(make_dataset: MakeDataset) -> None:
    whole = box_to_quad(0, 0, 200, 100)
    pipeline = FakePipeline([plate(whole, "京A12345", 0.7, readable=False)])
    report = evaluate(pipeline, load_dataset(make_dataset([label("京A12345", None, "CN")])))
    summary = report.summary()
    assert summary.detection is None
    assert summary.reading
    assert summary.end_to_end
    assert (summary.reading.exact.right, summary.end_to_end.exact.right, summary.end_to_end.unreadable) == (1, 0, 1)
    assert [(f.kind, f.quad, f.reason) for f in report.failures()] == [("unreadable", None, "confidence is low")]
    assert [(g.name, g.plates) for g in summary.by_height_px if g.plates] == [("48+", 1)]


def test_part_measures_that_part_alone(make_dataset: MakeDataset) -> None:
    dataset = load_dataset(make_dataset([label("A123BC77")], [label("A1", None)]))
    pipeline = FakePipeline([plate(HERE, "A1", 0.9)], [reading("A123BC78", 0.9)])
    detector = evaluate(pipeline, dataset, part="detector").summary()
    assert detector.detection
    assert detector.reading is None
    assert detector.end_to_end is None
    assert detector.images == 1
    reader = evaluate(pipeline, dataset, part="reader")
    summary = reader.summary()
    assert summary.detection is None
    assert summary.end_to_end is None
    assert summary.reading
    assert (summary.reading.exact.right, summary.reading.exact.total) == (1, 2)
    assert [(f.kind, f.truth) for f in reader.failures()] == [("misread label", "A123BC77")]


def test_equal_characters_count_as_one_when_asked(make_dataset: MakeDataset) -> None:
    dataset = load_dataset(make_dataset([label("YO9X", country="US")]))
    pipeline = FakePipeline([plate(HERE, "Y09X", 0.9)], [reading("Y09X", 0.9)])
    strict, loose = evaluate(pipeline, dataset).summary(), evaluate(pipeline, dataset, alike=("O0",)).summary()
    assert strict.end_to_end
    assert loose.end_to_end
    assert strict.reading
    assert loose.reading
    assert (strict.end_to_end.exact.right, loose.end_to_end.exact.right) == (0, 1)
    assert (strict.reading.cer, loose.reading.cer) == pytest.approx((0.25, 0.0))


def test_unreadable_image_and_wrong_size_are_problems_and_the_rest_goes_on(make_dataset: MakeDataset) -> None:
    folder = make_dataset([label("A123BC77")], [], [])
    (folder / "images/1.png").write_bytes(b"not an image")
    text = (folder / "labels.jsonl").read_text(encoding="utf8").splitlines()
    text[2] = text[2].replace('"width": 200', '"width": 100')
    (folder / "labels.jsonl").write_text("\n".join(text), encoding="utf8")
    report = evaluate(FakePipeline([plate(HERE, "A123BC77", 0.9)], [reading("A123BC77", 0.9)]), load_dataset(folder))
    assert len(report.images) == 1
    assert len(report.problems) == 2
    assert "1.png" in report.problems[0]
    assert report.problems[1].endswith("the label says 100×100 px, the image has 200×100; correct the label")


def test_combined_report_counts_each_plate_once(make_dataset: MakeDataset) -> None:
    pipeline = FakePipeline([plate(HERE, "A123BC77", 0.9)], [reading("A123BC77", 0.9)])
    first = evaluate(pipeline, load_dataset(make_dataset([label("A123BC77")], [label("A123BC77")], name="one")))
    second = evaluate(pipeline, load_dataset(make_dataset([label("B1")], name="two")))
    summary = combine([first, second]).summary()
    assert summary.end_to_end
    assert (summary.end_to_end.exact.right, summary.end_to_end.exact.total) == (2, 3)


@pytest.mark.parametrize(("text", "wrong_length"), [("A123BC77", 0), ("A123BC78", 0), ("A123BC7", 1), ("A-123 BC 77", 0), ("A123BC777", 1)])
def test_texts_with_too_few_or_too_many_characters_are_counted(make_dataset: Callable[..., Path], text: str, wrong_length: int) -> None:
    dataset = load_dataset(make_dataset([label("A123BC77")]))
    whole = evaluate(FakePipeline([plate(HERE, text, 0.9)], [reading(text, 0.9)]), dataset).summary().end_to_end
    assert whole is not None
    assert (whole.wrong_length.right, whole.wrong_length.total) == (wrong_length, 1)
