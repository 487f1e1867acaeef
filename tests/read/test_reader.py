"""The reader with a network that reads painted grey values (see `tests.networks`)."""

from pathlib import Path

import numpy as np
import pytest

from openplate.charset import CHARACTERS, Charset
from openplate.errors import FormatError, WeightsError
from openplate.formats import load_formats
from openplate.read.reader import Reader
from tests.networks import constant_network, grey_reader, paint

FORMATS = load_formats()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grey_reader(tmp_path_factory.mktemp("reader") / "reader.onnx")


@pytest.fixture(scope="module")
def reader(path: Path) -> Reader:
    return Reader(path, FORMATS, precision="fp32")


@pytest.mark.parametrize(
    ("upper", "lower", "format_name", "lines"),
    [
        ("A123BC77", "", "RU/1", 1),
        ("A777", "BC777", "RU/1A", 2),
        ("京A88888", "", "CN/blue", 1),
    ],
)
def test_painted_plate_is_read(reader: Reader, upper: str, lower: str, format_name: str, lines: int) -> None:
    reading = reader([paint(upper, lower)])
    assert (reading.text, reading.format, reading.lines) == (upper + lower, format_name, lines)
    assert reading.confidence > 0.99


def test_log_probabilities_have_a_row_for_each_step_and_sum_to_one(reader: Reader) -> None:
    found = reader.log_probabilities(paint("A1", "7"))
    assert found.shape == (32, len(CHARACTERS) + 1)
    assert np.exp(found).sum(axis=1) == pytest.approx(np.ones(32), abs=1e-4)
    ids = found.argmax(axis=1).tolist()
    a, one, seven = Charset().encode("A17")
    assert ids == [a, 0, one] + [0] * 13 + [seven] + [0] * 15


def test_crop_reads_the_same_whatever_was_read_before(reader: Reader) -> None:
    crop = paint("A123BC77")
    alone = reader.log_probabilities(crop)
    reader.log_probabilities(paint("京A88888"))
    assert np.array_equal(reader.log_probabilities(crop), alone)


def test_looks_at_one_plate_are_decoded_together(reader: Reader) -> None:
    looks = [paint("A123BC77"), paint("A123BC71")]
    together = reader(looks)
    assert together == reader.decoder.decode([reader.log_probabilities(crop) for crop in looks])
    assert {c.text for c in together.candidates[:2]} == {"A123BC77", "A123BC71"}
    assert together.confidence < 0.9


def test_blank_crop_reads_nothing(reader: Reader) -> None:
    assert reader([np.zeros((48, 192), np.uint8)]).text == ""


def test_hints_reach_the_decoder(path: Path) -> None:
    with pytest.raises(FormatError, match="'qq' is not known"):
        Reader(path, FORMATS, country=["qq"], precision="fp32")
    assert Reader(path, FORMATS, only=["ru"], precision="fp32")([paint("京A88888")]).country != "CN"


def test_calibration_and_rows_come_from_the_networks_file(tmp_path: Path) -> None:
    metadata = {
        "openplate.kind": "reader",
        "openplate.characters": CHARACTERS,
        "openplate.rows": "1",
        "openplate.slope": "0",
        "openplate.offset": "0",
    }
    reading = Reader(grey_reader(tmp_path / "reader.onnx", metadata), FORMATS, precision="fp32")([paint("A777", "BC777")])
    assert (reading.text, reading.lines) == ("A777BC777", 1)
    assert reading.confidence == 0.5


def test_charset_comes_from_the_networks_file(tmp_path: Path) -> None:
    charset = Charset("7A1")
    metadata = {"openplate.kind": "reader", "openplate.characters": "7A1"}
    reader = Reader(grey_reader(tmp_path / "reader.onnx", metadata, charset), FORMATS, precision="fp32")
    assert reader([paint("A171", charset=charset)]).text == "A171"


def test_report_is_the_networks(reader: Reader) -> None:
    assert (reader.report.device, reader.report.precision, reader.report.threads) == ("cpu", "fp32", 1)


@pytest.mark.parametrize("metadata", [{}, {"openplate.kind": "detector"}], ids=["says nothing", "detector"])
def test_network_of_another_kind_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = constant_network(tmp_path / "other.onnx", ("n", 48, 192), np.zeros((2, 3)), metadata)
    with pytest.raises(WeightsError, match=r"other\.onnx: expected a reader"):
        Reader(path, FORMATS)
