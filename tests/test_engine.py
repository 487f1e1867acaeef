"""Networks of one convolution, small enough to compute their outputs by hand."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from openplate import engine
from openplate.engine import open_network
from openplate.errors import ConfigError, EngineError, WeightsError

ENGINES = ["openvino", "onnxruntime"]


@pytest.fixture(scope="module")
def sum_of_four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`(N, 1, H, W) uint8` → sums over 2×2 pixels, and a second output twice as large; self-describing."""
    kernel = numpy_helper.from_array(np.ones((1, 1, 2, 2), np.float32), "kernel")
    two = numpy_helper.from_array(np.array(2, np.float32), "two")
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "kernel"], ["sums"], strides=[2, 2]),
        helper.make_node("Mul", ["sums", "two"], ["doubled"]),
    ]
    taken = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 1, "h", "w"])
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1, "a", "b"]) for name in ("sums", "doubled")]
    model = helper.make_model(helper.make_graph(nodes, "sums", [taken], given, [kernel, two]), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    helper.set_model_props(model, {"charset": '0AЖ京 "quoted"\nline', "version": "1"})
    path = tmp_path_factory.mktemp("networks") / "sums.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def nothing_said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`(2, 3) float32` → the same; without metadata."""
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [taken], [given]))
    model.opset_import[0].version = 17
    model.ir_version = 9
    path = tmp_path_factory.mktemp("networks") / "relu.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("name", ENGINES)
def test_two_by_two_pixels_are_summed(sum_of_four: Path, name: str) -> None:
    network = open_network(sum_of_four, engine=name, precision="fp32")
    sums, doubled = network(np.array([[[[1, 2, 3, 4], [5, 6, 7, 8]]]], np.uint8))
    assert sums.dtype == np.float32
    assert sums.tolist() == [[[[14.0, 22.0]]]]
    assert doubled.tolist() == [[[[28.0, 44.0]]]]


@pytest.mark.parametrize("name", ENGINES)
def test_every_call_may_have_another_size(sum_of_four: Path, name: str) -> None:
    network = open_network(sum_of_four, engine=name, precision="fp32")
    shapes = [(1, 1, 2, 2), (3, 1, 8, 4), (1, 1, 6, 10), (3, 1, 8, 4)]
    assert [network(np.ones(shape, np.uint8))[0].shape for shape in shapes] == [(1, 1, 1, 1), (3, 1, 4, 2), (1, 1, 3, 5), (3, 1, 4, 2)]


@pytest.mark.parametrize("name", ENGINES)
def test_output_kept_by_the_caller_does_not_change_with_the_next_call(sum_of_four: Path, name: str) -> None:
    network = open_network(sum_of_four, engine=name, precision="fp32")
    kept = network(np.full((1, 1, 2, 2), 1, np.uint8))[0]
    network(np.full((1, 1, 2, 2), 9, np.uint8))
    assert kept.tolist() == [[[[4.0]]]]


@pytest.mark.parametrize("name", ENGINES)
def test_strided_input_is_read_by_its_own_order(sum_of_four: Path, name: str) -> None:
    network = open_network(sum_of_four, engine=name, precision="fp32")
    wide = np.arange(16, dtype=np.uint8).reshape(1, 1, 2, 8)
    assert network(wide[..., ::-2])[0].tolist() == [[[[7 + 5 + 15 + 13, 3 + 1 + 11 + 9]]]]


@pytest.mark.parametrize("name", ENGINES)
def test_photo_in_a_batch_gives_what_it_gives_alone(sum_of_four: Path, name: str) -> None:
    network = open_network(sum_of_four, engine=name)
    batch = np.random.default_rng(0).integers(0, 256, (5, 1, 16, 16), dtype=np.uint8)
    together = network(batch)[0]
    assert all(np.array_equal(network(batch[i : i + 1])[0], together[i : i + 1]) for i in range(5))


@pytest.mark.parametrize("name", ENGINES)
def test_calls_from_many_threads_do_not_mix(sum_of_four: Path, name: str) -> None:
    network = open_network(sum_of_four, engine=name, precision="fp32")
    with ThreadPoolExecutor(4) as pool:
        sums = list(pool.map(lambda i: network(np.full((1, 1, 2, 2 * (1 + i % 3)), i, np.uint8))[0].tolist(), range(60)))
    assert sums == [[[[[4.0 * i] * (1 + i % 3)]]] for i in range(60)]


@pytest.mark.parametrize("name", ENGINES)
def test_metadata_comes_back_letter_by_letter(sum_of_four: Path, name: str) -> None:
    assert open_network(sum_of_four, engine=name).metadata == {"charset": '0AЖ京 "quoted"\nline', "version": "1"}


@pytest.mark.parametrize("name", ENGINES)
def test_file_without_metadata_has_none(nothing_said: Path, name: str) -> None:
    assert open_network(nothing_said, engine=name).metadata == {}


@pytest.mark.parametrize("name", ENGINES)
def test_input_shape_names_free_axes_none(sum_of_four: Path, nothing_said: Path, name: str) -> None:
    assert open_network(sum_of_four, engine=name).input_shape == (None, 1, None, None)
    assert open_network(nothing_said, engine=name).input_shape == (2, 3)


@pytest.mark.parametrize("name", ENGINES)
def test_report_tells_what_runs(sum_of_four: Path, name: str) -> None:
    report = open_network(sum_of_four, engine=name, precision="fp32", threads=1).report
    assert (report.name, report.device, report.precision, report.threads) == (name, "cpu", "fp32", 1)
    assert report.version[0].isdigit()


def test_bf16_where_the_processor_has_it_is_reported_as_such(sum_of_four: Path) -> None:
    openvino = pytest.importorskip("openvino")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert open_network(sum_of_four, engine="openvino").report.precision == "bf16"
    else:
        with pytest.raises(EngineError, match="available: fp32"):
            open_network(sum_of_four, engine="openvino", precision="bf16")


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    "batch",
    [np.ones((1, 1, 2, 2), np.float32), np.ones((1, 2, 2, 2), np.uint8), np.ones((1, 2, 2), np.uint8), np.ones((0, 1, 2, 2), np.uint8)],
    ids=["element type", "channels", "axes", "empty"],
)
def test_batch_that_does_not_fit_is_refused(sum_of_four: Path, name: str, batch: np.ndarray) -> None:
    with pytest.raises(ValueError, match="the network takes any×1×any×any uint8"):
        open_network(sum_of_four, engine=name)(batch)


def test_unknown_engine_names_those_available(sum_of_four: Path) -> None:
    with pytest.raises(EngineError, match=r"'tensorrt' is not known; available: openvino, onnxruntime"):
        open_network(sum_of_four, engine="tensorrt")


def test_engine_that_is_not_installed_is_refused(sum_of_four: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "installed_engines", lambda: ("openvino",))
    with pytest.raises(EngineError, match=r"onnxruntime is not installed: pip install 'openplate\[onnxruntime\]'; available: openvino"):
        open_network(sum_of_four, engine="onnxruntime")
    monkeypatch.setattr(engine, "installed_engines", lambda: ("onnxruntime",))
    with pytest.raises(EngineError, match="openvino is not installed: pip install 'openvino'; available: onnxruntime"):
        open_network(sum_of_four, engine="openvino")


def test_no_engine_at_all_is_an_error(sum_of_four: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "installed_engines", lambda: ())
    with pytest.raises(EngineError, match="install openvino or onnxruntime"):
        open_network(sum_of_four)


@pytest.mark.parametrize(
    ("machine", "expected"), [("x86_64", "openvino"), ("AMD64", "openvino"), ("aarch64", "onnxruntime"), ("arm64", "onnxruntime")]
)
def test_auto_engine_follows_the_processor(sum_of_four: Path, monkeypatch: pytest.MonkeyPatch, machine: str, expected: str) -> None:
    monkeypatch.setattr(engine.platform, "machine", lambda: machine)
    assert open_network(sum_of_four).report.name == expected


def test_auto_engine_takes_the_one_that_is_installed(sum_of_four: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "installed_engines", lambda: ("onnxruntime",))
    assert open_network(sum_of_four).report.name == "onnxruntime"


@pytest.mark.parametrize("name", ENGINES)
def test_device_that_is_not_there_is_an_error_and_no_fall_back(sum_of_four: Path, name: str) -> None:
    with pytest.raises(EngineError, match=r"'tpu'.*available: .*cpu"):
        open_network(sum_of_four, engine=name, device="tpu")


def test_bf16_in_onnx_runtime_is_refused(sum_of_four: Path) -> None:
    with pytest.raises(EngineError, match="available: fp32"):
        open_network(sum_of_four, engine="onnxruntime", precision="bf16")


def test_options_out_of_range_are_refused(sum_of_four: Path) -> None:
    with pytest.raises(ConfigError, match="threads: expected 1 or more, got 0"):
        open_network(sum_of_four, threads=0)
    with pytest.raises(ConfigError, match="threads: expected a whole number, 1 or more, got '2'"):
        open_network(sum_of_four, threads="2")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="precision: expected one of auto, fp32, bf16, got 'int4'"):
        open_network(sum_of_four, precision="int4")


@pytest.mark.parametrize("name", ENGINES)
def test_missing_and_damaged_files_give_weights_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        open_network(tmp_path / "none.onnx", engine=name)
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x09\x3a\x0cnot a graph.")
    with pytest.raises(WeightsError, match=r"broken\.onnx.*cannot load"):
        open_network(tmp_path / "broken.onnx", engine=name)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff\xe0 JFIF",
        b"PK\x03\x04 archive/data.pkl",
        b"Dear Sir",
        b"BM" + bytes(77) + b"\x3a",
        b"",
        b"\x08\x09\x12\x07pytorch",
        b"\x08" + b"\xff" * 40,
    ],
    ids=[
        "a picture",
        "a checkpoint",
        "a text",
        "a picture whose bytes look like fields",
        "nothing",
        "a beginning without a graph",
        "a number without an end",
    ],
)
@pytest.mark.parametrize("name", ENGINES)
def test_file_that_is_no_onnx_file_is_named_before_an_engine_sees_it(
    tmp_path: Path, name: str, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "best.pt").write_bytes(content)
    with pytest.raises(WeightsError) as told:
        open_network(tmp_path / "best.pt", engine=name)
    assert str(told.value) == f"{tmp_path}/best.pt: expected an .onnx file, got something else; export the checkpoint with openplate export"
    assert capfd.readouterr() == ("", "")


def test_network_that_may_not_be_read_is_told(sum_of_four: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(WeightsError, match=r"sums\.onnx: expected an \.onnx file that can be read: permission denied; check its permissions"):
        open_network(sum_of_four)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_damaged_network_is_one_line(sum_of_four: Path, tmp_path: Path, name: str, part: float, capfd: pytest.CaptureFixture[str]) -> None:
    whole = sum_of_four.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(WeightsError, match=r"cut\.onnx: expected a whole \.onnx file, got a cut or damaged one; copy it again"):
        open_network(tmp_path / "cut.onnx", engine=name)
    (tmp_path / "spoilt.onnx").write_bytes(whole[:20] + b"\xff" * 20 + whole[40:])
    with pytest.raises(WeightsError, match=r"spoilt\.onnx: .* cannot load this network: ") as told:
        open_network(tmp_path / "spoilt.onnx", engine=name)
    assert "\n" not in str(told.value)
    assert capfd.readouterr() == ("", "")


def test_opening_a_network_sends_nothing_and_writes_nothing_at_home(sum_of_four: Path, tmp_path: Path) -> None:
    program = (
        "import socket, sys; from pathlib import Path\n"
        "def refuse(*arguments): print('network access', arguments)\n"
        "socket.getaddrinfo = socket.socket.connect = refuse\n"
        "import openplate.engine\n"
        "assert not {'openvino', 'onnxruntime'} & set(sys.modules), 'an engine was imported early'\n"
        "openplate.engine.open_network(Path(sys.argv[1]), engine='openvino')\n"
        "print([m for m in sys.modules if 'telemetry' in m and m.startswith('openvino_')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, sum_of_four],
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        check=True,
    )
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def quantised_sum(path: Path, activations: bool) -> Path:
    """A 2×2 sum of `(1, 1, 4, 4) uint8` whose weights are stored as INT8 and, where asked for, whose input and output are quantised too."""
    one, zero_u8, zero_i8 = np.float32(1), np.uint8(0), np.int8(0)
    constants = {"kernel": np.ones((1, 1, 2, 2), np.int8), "one": one, "zero_u8": zero_u8, "zero_i8": zero_i8}
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("DequantizeLinear", ["kernel", "one", "zero_i8"], ["w"]),
    ]
    if activations:
        nodes += [
            helper.make_node("QuantizeLinear", ["x", "one", "zero_u8"], ["xq"]),
            helper.make_node("DequantizeLinear", ["xq", "one", "zero_u8"], ["xd"]),
            helper.make_node("Conv", ["xd", "w"], ["sums"]),
            helper.make_node("QuantizeLinear", ["sums", "one", "zero_u8"], ["yq"]),
            helper.make_node("DequantizeLinear", ["yq", "one", "zero_u8"], ["y"]),
        ]
    else:
        nodes.append(helper.make_node("Conv", ["x", "w"], ["y"]))
    taken = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 1, 4, 4])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = helper.make_model(helper.make_graph(nodes, "sum", [taken], [given], stored), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(("activations", "precision"), [(True, "int8"), (False, "fp32")])
def test_onnx_runtime_tells_whether_it_really_computes_in_int8(tmp_path: Path, activations: bool, precision: str) -> None:
    network = open_network(quantised_sum(tmp_path / "q.onnx", activations), engine="onnxruntime")
    assert network.report.precision == precision
    assert network(np.full((1, 1, 4, 4), 7, np.uint8))[0].tolist() == [[[[28.0] * 3] * 3]]  # four sevens
    assert [p.name for p in tmp_path.iterdir()] == ["q.onnx"]


def test_signal_is_taken_after_networks_have_gone_in_any_order() -> None:
    code = """
import os, signal
from openplate.engine import open_network
from openplate.weights import detector_path, reader_path
first = open_network(detector_path(), engine="openvino")
second = open_network(reader_path(), engine="openvino")
del first
del second
taken = []
signal.signal(signal.SIGINT, lambda number, frame: taken.append(number))
os.kill(os.getpid(), signal.SIGINT)
print(*taken)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
