from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto

from openplate.cli import main
from openplate.detect.detector import Detector
from openplate.detect.open import open_detector
from openplate.detect.yolo import Layout, Letterbox, YoloDetector, decode_yolo, letterbox
from openplate.errors import WeightsError
from openplate.geometry import quad_to_box
from openplate.pipeline import Options, Pipeline
from openplate.sources import write_image
from openplate.synthesize.scenes import draw_scene
from openplate.types import Detection, Image
from tests.detect.yolo_graphs import ANCHORS, DETECT, DYNAMIC, POSE, constant_graph, mean_graph, yolo_network
from tests.networks import constant_network

WIDE = np.full((640, 1280, 3), 90, np.uint8)  # fills a 640 × 640 input at half size, with 160 px of grey above and below


def detect(path: Path, image: Image = WIDE) -> list[Detection]:
    return open_detector(path, precision="fp32")(image)


def boxes(found: list[Detection]) -> list[list[float]]:
    return [[round(v, 3) for v in quad_to_box(d.quad)] for d in found]


def test_box_is_given_in_the_images_pixels(tmp_path: Path) -> None:
    (found,) = detect(yolo_network(tmp_path / "best.onnx", [[320, 320, 100, 40, 0.9]], DETECT))
    # x: 270 and 370 in the input, twice that in the image; y: 300 and 340, 160 of them grey.
    assert found.quad.tolist() == [[540, 280], [740, 280], [740, 360], [540, 360]]
    assert found.quad.dtype == np.float32
    assert found.confidence == pytest.approx(0.9)


def test_scores_under_a_quarter_are_dropped_and_the_surest_comes_first(tmp_path: Path) -> None:
    columns = [[100, 200, 80, 20, 0.3], [300, 300, 80, 20, 0.24], [500, 400, 80, 20, 0.7]]
    found = detect(yolo_network(tmp_path / "best.onnx", columns, DETECT))
    assert [d.confidence for d in found] == pytest.approx([0.7, 0.3])
    assert boxes(found) == [[920, 460, 1080, 500], [120, 60, 280, 100]]


def test_boxes_are_suppressed_whatever_their_class(tmp_path: Path) -> None:
    # The second covers 90 of the 100 columns of the first: IoU 90 / 110. The third stands apart.
    columns = [[200, 320, 100, 40, 0.1, 0.8], [210, 320, 100, 40, 0.6, 0.2], [500, 320, 100, 40, 0.5, 0.0]]
    found = detect(yolo_network(tmp_path / "best.onnx", columns, DETECT | {"names": "{0: 'blue', 1: 'green'}"}))
    assert [d.confidence for d in found] == pytest.approx([0.8, 0.5])


def test_of_several_classes_those_named_plate_count(tmp_path: Path) -> None:
    columns = [[200, 320, 100, 40, 0.9, 0.3], [500, 320, 100, 40, 0.8, 0.1]]
    found = detect(yolo_network(tmp_path / "best.onnx", columns, DETECT | {"names": "{0: 'car', 1: 'Number Plate'}"}))
    assert [d.confidence for d in found] == pytest.approx([0.3])


def test_nothing_found_is_an_empty_list(tmp_path: Path) -> None:
    assert detect(yolo_network(tmp_path / "best.onnx", [[0, 0, 0, 0, 0]], DETECT)) == []


def test_network_sees_rgb_from_0_to_1_with_grey_around(tmp_path: Path) -> None:
    image = np.zeros((320, 640, 3), np.uint8)
    image[...] = (255, 130, 140)
    (found,) = detect(mean_graph(tmp_path / "best.onnx"), image)
    # Half of the input is the image's red (1), half is grey (114 / 255); green and blue lie above the grey, so that grey is the least value.
    assert found.confidence == pytest.approx((1 + 114 / 255) / 2, abs=1e-4)
    width = found.quad[1, 0] - found.quad[0, 0]
    assert width == pytest.approx(1000 * 114 / 255, abs=0.1)


def test_any_size_takes_the_images_proportions_in_whole_strides(tmp_path: Path) -> None:
    # 1280 × 720 becomes 640 × 360 and is padded to 640 × 384: 12 px above.
    path = yolo_network(tmp_path / "best.onnx", [[100, 112, 40, 20, 0.9]], DETECT, DYNAMIC)
    assert boxes(detect(path, np.zeros((720, 1280, 3), np.uint8))) == [[160, 180, 240, 220]]


def test_image_size_of_the_metadata_is_used_where_the_graph_takes_any(tmp_path: Path) -> None:
    # 640 × 320 at imgsz 1280 is doubled, and whole strides already.
    path = yolo_network(tmp_path / "best.onnx", [[100, 112, 40, 20, 0.9]], DETECT | {"imgsz": "[1280, 1280]"}, DYNAMIC)
    assert boxes(detect(path, np.zeros((320, 640, 3), np.uint8))) == [[40, 51, 60, 61]]


def test_input_that_is_not_square_is_filled(tmp_path: Path) -> None:
    # 960 × 540 into 960 × 544: nothing is scaled, 2 px above.
    path = yolo_network(tmp_path / "best.onnx", [[100, 112, 40, 20, 0.9]], DETECT, (1, 3, 544, 960), anchors=10710)
    assert boxes(detect(path, np.zeros((540, 960, 3), np.uint8))) == [[80, 100, 120, 120]]


def test_corners_of_a_box_are_found_in_the_picture(tmp_path: Path) -> None:
    corners = np.array([[560, 300], [720, 280], [724, 322], [562, 344]], np.float32)
    image = np.full((640, 1280, 3), 60, np.uint8)
    cv2.fillConvexPoly(image, np.round(corners * 16).astype(np.int32), (230, 230, 225), cv2.LINE_AA, 4)
    x0, y0, x1, y1 = quad_to_box(corners)
    box = [(x0 + x1) / 4, (y0 + y1) / 4 + 160, (x1 - x0) / 2, (y1 - y0) / 2, 0.9]
    (found,) = detect(yolo_network(tmp_path / "best.onnx", [box], DETECT), image)
    assert np.abs(found.quad - corners).max() < 2


def test_key_points_are_the_corners_in_whatever_order(tmp_path: Path) -> None:
    points = [270, 310, 0.9, 370, 320, 0.8, 268, 330, 0.7, 372, 340, 0.9]  # TL TR BL BR
    (found,) = detect(yolo_network(tmp_path / "best.onnx", [[320, 325, 104, 30, 0.9, *points]], POSE))
    assert found.quad.tolist() == [[540, 300], [740, 320], [744, 360], [536, 340]]
    assert found.confidence == pytest.approx(0.9)


def test_key_points_without_visibility_and_several_classes(tmp_path: Path) -> None:
    points = [270, 310, 370, 320, 372, 340, 268, 330]
    metadata = POSE | {"kpt_shape": "[4, 2]", "names": "{0: 'one line', 1: 'two lines'}"}
    (found,) = detect(yolo_network(tmp_path / "best.onnx", [[320, 325, 104, 30, 0.1, 0.6, *points]], metadata))
    assert found.quad.tolist() == [[540, 300], [740, 320], [744, 360], [536, 340]]
    assert found.confidence == pytest.approx(0.6)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([270, 310, 0.9, 370, 320, 0.9, 372, 340, 0.2, 268, 330, 0.9], id="one corner is not seen"),
        pytest.param([320, 325, 0.9, 320, 325, 0.9, 320, 325, 0.9, 320, 325, 0.9], id="all on one spot"),
        pytest.param([270, 310, 0.9, 370, 320, 0.9, 300, 318, 0.9, 268, 330, 0.9], id="not convex"),
        pytest.param([0, 0, 0.9, 640, 0, 0.9, 640, 640, 0.9, 0, 640, 0.9], id="far larger than the box"),
    ],
)
def test_key_points_that_are_no_corners_leave_the_box(tmp_path: Path, points: list[float]) -> None:
    found = detect(yolo_network(tmp_path / "best.onnx", [[320, 325, 100, 30, 0.9, *points]], POSE))
    assert boxes(found) == [[540, 300, 740, 360]]


def test_file_that_says_nothing_is_told_by_its_rows(tmp_path: Path) -> None:
    assert boxes(detect(yolo_network(tmp_path / "d.onnx", [[320, 320, 100, 40, 0.9]], {}))) == [[540, 280, 740, 360]]
    points = [270, 310, 0.9, 370, 320, 0.9, 372, 340, 0.9, 268, 330, 0.9]
    (found,) = detect(yolo_network(tmp_path / "p.onnx", [[320, 325, 104, 30, 0.9, *points]], {}))
    assert found.quad.tolist() == [[540, 300], [740, 320], [744, 360], [536, 340]]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_report_is_that_of_the_engine(tmp_path: Path, engine: str) -> None:
    detector = open_detector(yolo_network(tmp_path / "best.onnx", [[320, 320, 100, 40, 0.9]], DETECT), engine=engine)
    assert isinstance(detector, YoloDetector)
    assert (detector.report.name, detector.report.device) == (engine, "cpu")


def test_network_of_this_project_is_told_by_its_metadata(tmp_path: Path) -> None:
    metadata = {"openplate.kind": "detector", "openplate.side": "960", "openplate.threshold": "0.4"}
    path = constant_network(tmp_path / "d.onnx", ("n", "h", "w", 3), [[3, 0, 0, 10, 0, 10, 10, 0, 10]], metadata)
    assert isinstance(open_detector(path), Detector)
    reader = constant_network(tmp_path / "r.onnx", ("n", 48, 192), np.zeros((96, 78)), {"openplate.kind": "reader"})
    with pytest.raises(WeightsError, match=r"r\.onnx: expected a detector of openplate, got kind 'reader'"):
        open_detector(reader)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("answers", "metadata", "fault"),
    [
        pytest.param([zeros(1, 5, ANCHORS)], DETECT | {"task": "segment"}, "its task is 'segment'", id="another task"),
        pytest.param([zeros(1, 37, ANCHORS), zeros(1, 32, 160, 160)], {}, "its outputs are 1×37×8400, 1×32×160×160", id="masks"),
        pytest.param([zeros(1, 1000)], {}, "its outputs are 1×1000", id="classifier"),
        pytest.param([zeros(1, 300, 6)], DETECT, r"its output is 1×300×6; export it without NMS", id="NMS inside"),
        pytest.param([zeros(1, 300, 6)], {}, r"its output is 1×300×6; export it without NMS", id="NMS inside, says nothing"),
        pytest.param([zeros(1, 300, 18)], POSE, r"its output is 1×300×18; export it without NMS", id="pose, NMS inside"),
        pytest.param([zeros(1, 25200, 6)], DETECT, r"one output 1×5×anchors; its output is 1×25200×6", id="YOLOv5"),
        pytest.param([zeros(1, ANCHORS, 5)], DETECT, "with the anchors last", id="anchors first"),
        pytest.param([zeros(1, 84, ANCHORS)], DETECT, "one output 1×5×anchors; its output is 1×84×8400", id="other classes than named"),
        pytest.param(
            [zeros(1, 56, ANCHORS)], POSE | {"kpt_shape": "[17, 3]"}, "four key points, the corners of a plate; this one has 17", id="people"
        ),
        pytest.param([zeros(1, 17, ANCHORS)], POSE | {"kpt_shape": "four"}, "kpt_shape: expected a list or a table", id="kpt_shape is a word"),
        pytest.param([zeros(1, 17, ANCHORS)], POSE | {"kpt_shape": "[4, 5]"}, r"kpt_shape: expected \[points, 2 or 3\]", id="kpt_shape is odd"),
        pytest.param([zeros(1, 5, ANCHORS)], DETECT | {"names": "plate"}, "names: expected a list or a table", id="names is a word"),
    ],
)
def test_other_networks_are_refused_with_what_they_have(tmp_path: Path, answers: list[np.ndarray], metadata: dict[str, str], fault: str) -> None:
    path = constant_graph(tmp_path / "best.onnx", answers, metadata)
    with pytest.raises(WeightsError, match=rf"best\.onnx: .*{fault}"):
        open_detector(path)


@pytest.mark.parametrize(
    ("shape", "kind", "fault"),
    [
        ((4, 3, 640, 640), TensorProto.FLOAT, "with an input 1×3×H×W; its input is 4×3×640×640"),
        ((1, 640, 640, 3), TensorProto.FLOAT, "with an input 1×3×H×W; its input is 1×640×640×3"),
        ((1, 3, 640, 640), TensorProto.UINT8, "it does not run on an image of its size: the network takes 1×3×640×640 uint8"),
    ],
)
def test_input_that_does_not_fit_is_refused(tmp_path: Path, shape: tuple[int, ...], kind: int, fault: str) -> None:
    path = constant_graph(tmp_path / "best.onnx", [zeros(1, 5, ANCHORS)], DETECT, shape, kind)
    with pytest.raises(WeightsError, match=fault):
        open_detector(path)


def test_letterbox_by_hand() -> None:
    image = np.full((100, 50, 3), 7, np.uint8)
    padded, place = letterbox(image, 200, 200)
    assert place == Letterbox(2.0, 50, 0)
    assert padded.shape == (200, 200, 3)
    assert np.unique(padded[:, 50:150]).tolist() == [7]
    assert np.unique(padded[:, :50]).tolist() == np.unique(padded[:, 150:]).tolist() == [114]


def test_at_most_two_hundred_are_given() -> None:
    columns = zeros(5, 900)
    columns[0], columns[1] = np.arange(900) % 30 * 20, np.arange(900) // 30 * 20
    columns[2:4], columns[4] = 10, 0.5
    assert len(decode_yolo(columns, Layout(1, (0,), 0), 0.25)) == 200


def test_drawn_street_is_read_with_a_users_detector(tmp_path: Path) -> None:
    image, plates = draw_scene(7, 1280, 640)
    (plate,) = [p for p in plates if not p.ignore][:1]
    x0, y0, x1, y1 = quad_to_box(plate.quad)
    box = [(x0 + x1) / 4, (y0 + y1) / 4 + 160, (x1 - x0) / 2, (y1 - y0) / 2, 0.9]
    path = yolo_network(tmp_path / "best.onnx", [box], DETECT)
    (read,) = Pipeline(Options(detector=path)).read(image)
    assert read.detection.confidence == pytest.approx(0.9)
    assert np.linalg.norm(read.detection.quad - plate.quad, axis=1).mean() < 0.25 * (y1 - y0)


def test_wrong_file_is_one_line_on_stderr(tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", WIDE)
    path = constant_graph(tmp_path / "people.onnx", [zeros(1, 56, ANCHORS)], POSE | {"kpt_shape": "[17, 3]"})
    result = CliRunner().invoke(main, ["read", str(tmp_path / "photo.png"), "--detector", str(path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "people.onnx: expected a pose network with four key points" in result.stderr
    assert len(result.stderr.splitlines()) == 1
