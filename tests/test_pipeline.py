"""The flow with stages that say what a test tells them to, and once with tiny networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from openplate import pipeline, weights
from openplate.detect.detector import Seen
from openplate.errors import ConfigError, SourceError, WeightsError
from openplate.geometry import as_quad, box_to_quad, grow_quad
from openplate.pipeline import Options, Pipeline
from openplate.rectify import rectify
from openplate.types import Crop, Detection, EngineReport, Frame, Image, PhotoResult, Quad, Reading
from tests.conftest import reading
from tests.networks import constant_network, grey_reader, paint

LEFT, RIGHT = box_to_quad(20, 30, 120, 60), box_to_quad(150, 30, 250, 60)
NOTHING = Reading("", 0.0, (), (), None, None, 1)


@dataclass
class Stages:
    """What the three stages answer, and what they were asked.

    `first` is the reading of one look at a plate and `further` that of several together; `correct` moves the detector's quad.
    """

    detections: list[Detection] = field(default_factory=list)
    correct: Callable[[Quad], Quad] = lambda quad: quad
    first: Callable[[NDArray[np.float32]], Reading] = lambda look: reading("A123BC77", 0.99)
    further: Reading = field(default_factory=lambda: reading("B456MM99", 0.9))
    built: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    detected: list[Image] = field(default_factory=list)
    crops: list[Crop] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)
    tight: tuple[tuple[str, int], ...] = (("A123BC77", 1),)

    def detector(self, *arguments: Any) -> "Stages":
        self.built["detector"] = arguments
        return self

    threshold = 0.45

    def see(self, image: Image) -> Seen:
        self.detected.append(image)
        return Seen(self.detections)

    def __call__(self, image: Image) -> list[Detection]:
        return [d for d in self.see(image).candidates if d.confidence >= self.threshold]

    def straightener(self, *arguments: Any) -> Callable[[Image, Quad], Quad]:
        self.built["straightener"] = arguments
        return lambda image, quad: self.correct(quad)

    def reader(self, *arguments: Any) -> Any:
        def log_probabilities(crop: Crop) -> NDArray[np.float32]:
            self.crops.append(crop)
            return np.array([[crop.mean()]], np.float32)

        def decode(views: Sequence[NDArray[np.float32]]) -> Reading:
            self.looks.append(len(views))
            return self.first(views[0]) if len(views) == 1 else self.further

        self.built["reader"] = arguments
        report = EngineReport("fake", "1", "cpu", "fp32", 1)
        return SimpleNamespace(
            report=report,
            log_probabilities=log_probabilities,
            decoder=SimpleNamespace(decode=decode, is_tight=lambda text, lines: (text, lines) in self.tight),
        )


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    stages = Stages([Detection(LEFT, 0.9)])
    monkeypatch.setattr(pipeline, "open_detector", stages.detector)
    monkeypatch.setattr(pipeline, "Straightener", stages.straightener)
    monkeypatch.setattr(pipeline, "Reader", stages.reader)
    return stages


@pytest.fixture
def photo() -> Image:
    return np.random.default_rng(0).integers(0, 256, (100, 300, 3), dtype=np.uint8)


def facts(result: PhotoResult) -> tuple[Any, ...]:
    """Everything of a result but its times."""
    plates = [(p.status, p.text, p.reason, p.detection.quad.tolist(), p.detection.confidence, p.reading) for p in result.plates]
    return result.source, result.width, result.height, plates, result.engine


# --- status and reason


def test_sure_reading_is_read(stages: Stages, photo: Image) -> None:
    (plate,) = Pipeline().read(photo)
    assert (plate.status, plate.text, plate.reason) == ("read", "A123BC77", None)
    assert plate.reading == reading("A123BC77", 0.99)
    assert plate.detection.confidence == 0.9
    assert np.array_equal(plate.detection.quad, LEFT)


def test_reading_under_the_threshold_is_unreadable_with_its_candidates(stages: Stages, photo: Image) -> None:
    stages.further = reading("A123BC77", 0.49)
    stages.first = lambda look: reading("A123BC77", 0.4)
    (plate,) = Pipeline().read(photo)
    assert (plate.status, plate.text) == ("unreadable", None)
    assert plate.reason == "confidence 0.49 is under 0.50"
    assert [c.text for c in plate.reading.candidates] == ["A123BC77"]
    assert np.array_equal(plate.detection.quad, LEFT)


@pytest.mark.parametrize(
    ("confidence", "threshold", "status"),
    [(0.8, 0.8, "read"), (0.799, 0.8, "unreadable"), (0.001, 0.0, "read"), (0.999, 1.0, "unreadable"), (1.0, 1.0, "read")],
)
def test_confidence_is_held_against_the_threshold(stages: Stages, photo: Image, confidence: float, threshold: float, status: str) -> None:
    stages.further = reading("A123BC77", confidence)
    stages.first = lambda look: stages.further
    (plate,) = Pipeline(Options(min_confidence=threshold)).read(photo)
    assert plate.status == status


@pytest.mark.parametrize(
    ("confidence", "threshold", "reason"),
    [
        (0.8476, 0.848, "confidence 0.847 is under 0.848"),
        (0.8479999, 0.848, "confidence 0.847 is under 0.848"),
        (0.499, 0.5, "confidence 0.49 is under 0.50"),
        (0.29, 0.3, "confidence 0.29 is under 0.30"),
        (0.99999, 1, "confidence 0.99 is under 1.00"),
        (0.000004, 0.00001, "confidence 0.00000 is under 0.00001"),
    ],
)
def test_reason_names_two_numbers_that_differ_and_are_not_rounded_up(
    stages: Stages, photo: Image, confidence: float, threshold: float, reason: str
) -> None:
    stages.further = reading("A123BC77", confidence)
    stages.first = lambda look: stages.further
    (plate,) = Pipeline(Options(min_confidence=threshold)).read(photo)
    assert plate.reason == reason


@pytest.mark.parametrize(("height", "told"), [(11, True), (12, False)])
def test_small_plate_is_named_as_the_reason(stages: Stages, photo: Image, height: int, told: bool) -> None:
    stages.detections = [Detection(box_to_quad(10, 10, 60, 10 + height), 0.9)]
    stages.further = reading("A123BC77", 0.4)
    stages.first = lambda look: stages.further
    (plate,) = Pipeline().read(photo)
    small = f"; the plate is small (50 × {height} px)" if told else ""
    assert plate.reason == "confidence 0.40 is under 0.50" + small


@pytest.mark.parametrize("threshold", [0.0, 0.8])
def test_plate_without_text_is_unreadable_at_every_threshold(stages: Stages, photo: Image, threshold: float) -> None:
    stages.first, stages.further = lambda look: NOTHING, NOTHING
    (plate,) = Pipeline(Options(min_confidence=threshold)).read(photo)
    assert (plate.status, plate.text, plate.reason) == ("unreadable", None, "no text was found")


@pytest.mark.parametrize(
    ("only", "reason"),
    [
        ((), "no text was found"),
        (("RU",), "no text that only ru allows was found"),
        (("ru", "kz"), "no text that only ru,kz allows was found"),
    ],
)
def test_plate_without_an_allowed_text_tells_the_strict_choice(stages: Stages, photo: Image, only: tuple[str, ...], reason: str) -> None:
    stages.first, stages.further = lambda look: NOTHING, NOTHING
    (plate,) = Pipeline(Options(only=only)).read(photo)
    assert (plate.status, plate.reason) == ("unreadable", reason)


def test_image_without_plates_gives_an_empty_list(stages: Stages, photo: Image) -> None:
    stages.detections = []
    assert Pipeline().read(photo) == []
    assert stages.looks == []


# --- looks


def test_sure_plate_is_looked_at_once(stages: Stages, photo: Image) -> None:
    Pipeline().read(photo)
    assert stages.looks == [1]
    assert np.array_equal(stages.crops[0], rectify(photo, LEFT))


def test_unsure_plate_is_looked_at_again_and_all_looks_are_decoded_together(stages: Stages, photo: Image) -> None:
    stages.first = lambda look: reading("A123BC77", 0.97)
    stages.correct = lambda quad: LEFT + np.float32(1)
    (plate,) = Pipeline().read(photo)
    assert (plate.text, plate.reading.confidence) == ("B456MM99", 0.9)
    assert stages.looks == [1, 4]
    # the first crop is not read twice; the last look is at the detector's own quad
    expected = [LEFT + 1, grow_quad(LEFT + 1, 0.03, 0.08), grow_quad(LEFT + 1, -0.02, -0.06), grow_quad(LEFT, 0, 0)]
    assert len(stages.crops) == 4
    assert all(np.array_equal(crop, rectify(photo, quad)) for crop, quad in zip(stages.crops, expected, strict=True))


# --- straightening


def test_corrected_corners_are_reported_and_read(stages: Stages, photo: Image) -> None:
    exact = as_quad([[22, 31], [118, 34], [117, 62], [21, 59]])
    stages.correct = lambda quad: exact
    (plate,) = Pipeline().read(photo)
    assert np.array_equal(plate.detection.quad, exact)
    assert np.array_equal(stages.crops[0], rectify(photo, exact))


@pytest.mark.parametrize(
    "wrong",
    [
        as_quad([[20, 30], [120, 60], [120, 30], [20, 60]]),
        box_to_quad(20, 30, 50, 60),
        box_to_quad(0, 0, 200, 60),
        np.full((4, 2), np.nan, np.float32),
        np.zeros((4, 2), np.float32),
    ],
    ids=["crossed", "a third of the size", "four times the size", "nan", "one point"],
)
def test_correction_that_is_no_plate_is_not_taken(stages: Stages, photo: Image, wrong: Quad) -> None:
    stages.correct = lambda quad: wrong
    (plate,) = Pipeline().read(photo)
    assert np.array_equal(plate.detection.quad, LEFT)


def test_given_quads_are_straightened_and_read(stages: Stages, photo: Image) -> None:
    exact = {20.0: LEFT + 2, 150.0: RIGHT + 3}
    stages.correct = lambda quad: exact.get(float(quad[0, 0]), quad)  # the second look finds nothing to correct
    readings = Pipeline().read_quads(photo, [RIGHT, LEFT])
    assert readings == [reading("A123BC77", 0.99)] * 2
    assert stages.detected == []
    assert np.array_equal(stages.crops[0], rectify(photo, RIGHT + 3))
    assert np.array_equal(stages.crops[1], rectify(photo, LEFT + 2))


def test_no_quads_give_no_readings(stages: Stages, photo: Image) -> None:
    assert Pipeline().read_quads(photo, []) == []


# --- frames


def test_plates_come_in_the_detectors_order_each_with_its_own_reading(stages: Stages, photo: Image) -> None:
    photo[:, :140], photo[:, 140:] = 50, 200
    stages.detections = [Detection(RIGHT, 0.9), Detection(LEFT, 0.6)]
    stages.first = lambda look: reading(f"M{round(float(look[0, 0]))}", 0.99)
    plates = Pipeline().read(photo)
    assert [(p.text, p.detection.confidence, p.detection.quad[0, 0]) for p in plates] == [("M200", 0.9, 150), ("M50", 0.6, 20)]


def test_frames_together_give_what_each_gives_alone(stages: Stages) -> None:
    images = [np.full((100 + i, 300, 3), 40 * i, np.uint8) for i in range(4)]
    frames = [Frame(image, f"{i}.jpg", i) for i, image in enumerate(images)]
    stages.first = lambda look: reading(f"M{round(float(look[0, 0]))}", 0.99)
    reads = Pipeline()
    together = [facts(result) for result in reads.read_frames(frames)]
    assert together == [facts(reads.read_frame(frame)) for frame in frames]
    assert together == [facts(result) for result in reads.read_frames(frames[::-1])][::-1]
    assert [plates[0][1] for _, _, _, plates, _ in together] == ["M0", "M40", "M80", "M120"]
    assert reads.read_frames([]) == []


def test_result_names_its_source_size_engine_and_times(stages: Stages, photo: Image) -> None:
    result = Pipeline().read_frame(Frame(photo, "street.jpg"), decode_ms=12.5)
    assert (result.source, result.width, result.height) == ("street.jpg", 300, 100)
    assert result.engine == EngineReport("fake", "1", "cpu", "fp32", 1)
    assert result.milliseconds.decode == 12.5
    assert min(result.milliseconds.detect, result.milliseconds.rectify, result.milliseconds.read) >= 0


def test_image_is_not_changed(stages: Stages, photo: Image) -> None:
    before = photo.copy()
    Pipeline().read(photo)
    assert np.array_equal(photo, before)


def test_file_is_read_as_its_image(stages: Stages, photo: Image, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    assert cv2.imwrite(str(path), photo[..., ::-1])
    for source in (path, str(path), path.read_bytes()):
        Pipeline().read(source)
    assert [np.array_equal(image, photo) for image in stages.detected] == [True, True, True]


def test_missing_file_is_a_source_error(stages: Stages, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="none.jpg"):
        Pipeline().read(tmp_path / "none.jpg")


# --- pictures that are plates


def test_cropped_picture_is_one_plate_whose_quad_is_its_corners(stages: Stages, photo: Image) -> None:
    inner = grow_quad(box_to_quad(0, 0, 300, 100), -0.05, -0.1)
    stages.correct = lambda quad: inner
    result = Pipeline().read_cropped(Frame(photo, "crop.png"), decode_ms=3)
    (plate,) = result.plates
    assert (plate.status, plate.text, plate.detection.confidence) == ("read", "A123BC77", 1.0)
    assert plate.detection.quad.tolist() == [[0, 0], [300, 0], [300, 100], [0, 100]]
    assert [np.array_equal(crop, rectify(photo, quad)) for crop, quad in zip(stages.crops, (box_to_quad(0, 0, 300, 100), inner), strict=True)] == [
        True,
        True,
    ]
    assert stages.detected == []
    assert (result.width, result.height, result.milliseconds.decode, result.milliseconds.detect) == (300, 100, 3, 0)


def test_cropped_picture_that_cannot_be_straightened_is_read_whole(stages: Stages, photo: Image) -> None:
    stages.correct = lambda quad: np.zeros((4, 2), np.float32)
    Pipeline().read_cropped(Frame(photo, "crop.png"))
    assert np.array_equal(stages.crops[0], rectify(photo, box_to_quad(0, 0, 300, 100)))


def test_cropped_picture_without_text_is_unreadable_and_not_dropped(stages: Stages) -> None:
    stages.first, stages.further = lambda look: NOTHING, NOTHING
    (plate,) = Pipeline().read_cropped(Frame(np.zeros((1, 1, 3), np.uint8), "dot.png")).plates
    assert (plate.status, plate.reason) == ("unreadable", "no text was found")


# --- options


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_threshold_out_of_range_is_an_error_before_any_network_is_opened(stages: Stages, value: float) -> None:
    with pytest.raises(ConfigError, match="min_confidence: expected 0 to 1"):
        Pipeline(Options(min_confidence=value))
    assert stages.built == {}


def test_options_reach_every_network(stages: Stages) -> None:
    options = Options(("ru",), ("ru", "kz"), 0.5, "onnxruntime", "cuda", "fp32", 3, Path("my-detector.onnx"), Path("my-reader.onnx"))
    reads = Pipeline(options)
    run = ("onnxruntime", "cuda", "fp32", 3)
    assert stages.built["detector"] == (Path("my-detector.onnx"), *run)
    assert stages.built["straightener"][1:] == run
    path, formats, *rest = stages.built["reader"]
    assert path == Path("my-reader.onnx")
    assert {"RU", "CN"} <= {f.code for f in formats}
    assert tuple(rest) == (("ru",), ("ru", "kz"), *run)
    assert reads.options == options


def test_shipped_weights_are_the_default(stages: Stages) -> None:
    Pipeline()
    names = {stage: Path(arguments[0]).name for stage, arguments in stages.built.items()}
    assert names == {"detector": "detector.onnx", "straightener": "straightener.onnx", "reader": "reader.onnx"}


def test_format_folder_adds_a_country(stages: Stages, tmp_path: Path) -> None:
    rows = '[{ baseline_mm = 90, fields = [{ text = "{d*9}", height_mm = 75 }] }]'
    (tmp_path / "qq.toml").write_text(f'country = "qq"\nname = "Q"\n[[types]]\nid = "car"\nsize_mm = [520, 110]\nrows = {rows}\n', encoding="utf8")
    Pipeline(Options(formats=(str(tmp_path),)))
    assert "QQ" in {f.code for f in stages.built["reader"][1]}


def test_codes_and_folders_as_one_text_are_taken_apart() -> None:
    options = Options(country="ru, kz", only=["ru", "kz"], formats="my,formats")
    assert (options.country, options.only, options.formats) == (("ru", "kz"), ("ru", "kz"), ("my,formats",))
    assert Options(country="") == Options()


def test_codes_as_one_text_reach_the_reader(stages: Stages) -> None:
    Pipeline(Options(country="ru,kz", only="ru"))
    assert stages.built["reader"][2:4] == (("ru", "kz"), ("ru",))
    Pipeline(country="ru,kz", only="ru")
    assert stages.built["reader"][2:4] == (("ru", "kz"), ("ru",))


def test_path_of_weights_may_be_a_text() -> None:
    assert Options(detector="d.onnx", reader="r.onnx") == Options(detector=Path("d.onnx"), reader=Path("r.onnx"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"country": 7}, "country: expected codes such as ru,kz, got 7"),
        ({"only": [7]}, r"only: expected codes such as ru,kz, got \[7\]"),
        ({"formats": 7}, "formats: expected folders, got 7"),
        ({"detector": 7}, "detector: expected the path of an .onnx file, got 7"),
        ({"threads": "x"}, "threads: expected a whole number, 1 or more, got 'x'"),
        ({"threads": 1.5}, "threads: expected a whole number, 1 or more, got 1.5"),
        ({"threads": True}, "threads: expected a whole number, 1 or more, got True"),
        ({"threads": None}, "threads: expected a whole number, 1 or more, got None"),
        ({"threads": 0}, "threads: expected 1 or more, got 0"),
        ({"min_confidence": "a"}, "min_confidence: expected 0 to 1, got 'a'"),
        ({"min_confidence": True}, "min_confidence: expected 0 to 1, got True"),
        ({"min_confidence": float("nan")}, "min_confidence: expected 0 to 1, got nan"),
        ({"min_confidence": None}, "min_confidence: expected 0 to 1, got None"),
    ],
)
def test_option_of_another_kind_is_a_config_error(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Options(**wrong)


def test_numbers_of_arrays_are_taken() -> None:
    options = Options(threads=np.int64(2), min_confidence=np.float32(0.25))  # type: ignore[arg-type]
    assert (options.threads, options.min_confidence) == (2, 0.25)


@pytest.mark.parametrize("source", [["a.jpg", "b.jpg"], None, 7])
def test_source_that_is_no_picture_is_a_source_error(stages: Stages, source: Any) -> None:
    with pytest.raises(SourceError, match=f"expected a path or an image .*, got {type(source).__name__}; read several pictures one by one"):
        Pipeline().read(source)


def test_damaged_file_of_the_package_is_not_run(stages: Stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in weights.NETWORKS:
        (tmp_path / f"{name}.onnx").write_bytes(b"abc")
    weights.write_checksums(tmp_path)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    Pipeline()
    assert list(stages.built) == ["detector", "straightener", "reader"]
    stages.built.clear()
    (tmp_path / "straightener.onnx").write_bytes(b"abd")
    with pytest.raises(WeightsError, match="straightener.onnx: the file is damaged"):
        Pipeline()
    assert list(stages.built) == ["detector"]


def test_equal_options_are_one_key() -> None:
    assert {Options(country=("ru",)), Options(country=("ru",)), replace(Options(), threads=2)} == {Options(country=("ru",)), Options(threads=2)}


# --- with networks


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    """A detector that sees one plate at (107.1, 203.3), 177.8 × 40 px, a straightener that leaves it there, and a reader of painted plates."""
    logit = np.array([3.0])
    quad = box_to_quad(100 + 0.04 * 192 / 1.08, 200 + 4, 292 - 0.04 * 192 / 1.08, 248 - 4)
    detects = {"openplate.kind": "detector", "openplate.side": "960", "openplate.threshold": "0.5"}
    detector = constant_network(tmp_path / "d.onnx", ("n", "h", "w", 3), [np.concatenate([logit, quad.reshape(8)])], detects)
    straightener = constant_network(tmp_path / "s.onnx", ("n", 48, 128), np.zeros(8), {"openplate.kind": "straightener"})
    monkeypatch.setattr(pipeline, "straightener_path", lambda: straightener)
    return Options(detector=detector, reader=grey_reader(tmp_path / "r.onnx"), precision="fp32")


def street(upper: str, lower: str = "") -> Image:
    """A photo of 960×540 px with a painted plate where the tiny detector sees one."""
    image = np.full((540, 960, 3), 90, np.uint8)
    image[200:248, 100:292] = paint(upper, lower)[..., None]
    return image


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_photo_is_read_from_pixels_to_text(tiny: Options, engine: str) -> None:
    reads = Pipeline(replace(tiny, engine=engine))
    (plate,) = reads.read(street("A123BC77"))
    assert (plate.status, plate.text, plate.reading.format, plate.reading.lines) == ("read", "A123BC77", "RU/1", 1)
    assert plate.detection.confidence == pytest.approx(0.9526, abs=1e-3)
    assert plate.detection.quad == pytest.approx(box_to_quad(107.11, 204, 284.89, 244), abs=0.01)
    assert reads.engine.name == engine


def test_photos_in_a_batch_read_as_alone(tiny: Options) -> None:
    reads = Pipeline(tiny)
    frames = [Frame(street(*text), "") for text in (("A123BC77", ""), ("京A88888", ""), ("A777", "BC777"), ("", ""))]
    together = reads.read_frames(frames)
    assert [r.plates[0].text for r in together] == ["A123BC77", "京A88888", "A777BC777", None]
    assert [facts(r) for r in together] == [facts(reads.read_frame(f)) for f in frames]


def test_strict_choice_leaves_other_plates_unreadable(tiny: Options) -> None:
    (plate,) = Pipeline(replace(tiny, only=("ru",))).read(street("京A88888"))
    assert (plate.status, plate.text) == ("unreadable", None)


def test_detection_that_is_not_read_is_reported_as_unreadable(stages: Stages, photo: Image) -> None:
    stages.detections = [Detection(box_to_quad(10, 10, 60, 30), 0.46)]
    stages.further = reading("A123BC77", 0.4)
    stages.first = lambda look: stages.further
    (plate,) = Pipeline().read(photo)
    assert (plate.status, plate.reading.text) == ("unreadable", "A123BC77")


@pytest.mark.parametrize(
    ("confidence", "quad", "text", "all_detections", "reported"),
    [
        (0.50, box_to_quad(10, 10, 99, 40), "", False, True),
        (0.49, box_to_quad(10, 10, 99, 40), "", False, False),  # faint, and nothing to read in it
        (0.49, box_to_quad(10, 10, 99, 40), "", True, True),
        (0.49, box_to_quad(10, 10, 99, 40), "A123BC77", False, True),
        (0.84, box_to_quad(10, 10, 101, 40), "", False, False),  # 91 px of a picture of 300 px: on such a plate there would be something to read
        (0.85, box_to_quad(10, 10, 101, 40), "", False, True),
        (0.84, box_to_quad(10, 10, 290, 90), "A123BC77", False, True),
    ],
)
def test_detection_without_text_is_reported_when_it_is_sure(
    stages: Stages, confidence: float, quad: Quad, text: str, all_detections: bool, reported: bool
) -> None:
    stages.detections = [Detection(quad, confidence)]
    stages.first = lambda look: reading(text, 0.99) if text else NOTHING
    plates = Pipeline(Options(all_detections=all_detections)).read(np.zeros((200, 300, 3), np.uint8))
    assert [p.reading.text for p in plates] == ([text] if reported else [])


# --- faint detections


def faint(stages: Stages, text: str = "A123BC77", confidence: float = 0.97, quad: Quad = RIGHT) -> list[str]:
    """The texts reported when a faint detection, beside a clear one, is read so."""
    stages.detections = [Detection(LEFT, 0.9), Detection(quad, 0.3)]
    stages.first = lambda look: reading(text, confidence)
    stages.further = reading(text, confidence)
    plates = Pipeline(min_confidence=0).read(np.zeros((100, 300, 3), np.uint8))
    assert plates[0].detection.confidence == 0.9
    return [plate.text or "" for plate in plates[1:]]


def test_faint_detection_counts_when_it_is_surely_read_in_a_tight_format(stages: Stages) -> None:
    assert faint(stages) == ["A123BC77"]
    assert faint(stages, confidence=0.94) == []
    assert faint(stages, "SCHMITZ") == []
    stages.tight = (("A123BC77", 2), ("8002003113", 1))
    assert faint(stages) == []
    assert faint(stages, "8002003113") == []  # telephone numbers are digits alone


def test_faint_detection_on_a_clear_one_is_not_read(stages: Stages) -> None:
    assert faint(stages, confidence=0.99, quad=box_to_quad(60, 40, 160, 70)) == []
    assert len(stages.crops) == 1


def test_detections_alone_are_the_clear_ones(stages: Stages, photo: Image) -> None:
    stages.detections = [Detection(LEFT, 0.9), Detection(RIGHT, 0.3)]
    assert [d.confidence for d in Pipeline().detect(photo)] == [0.9]
