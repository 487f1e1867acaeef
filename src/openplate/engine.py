"""An `.onnx` file in, a callable network out; the only module that imports an inference engine, and only inside functions.

Both engines keep one compiled network for all input shapes. Measured with OpenVINO, bf16, one thread, a 1×544×960×3 detector: dynamic
shapes 7.7 ms against 6.9 ms for a network compiled for that one shape, but 20-50 ms against 90-150 ms for the first photo of each new size;
and the one compiled network gives bit for bit the same output in every batch, while networks compiled per shape differ in the fourth digit.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from numbers import Integral
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from openplate.errors import ConfigError, EngineError, WeightsError
from openplate.types import EngineReport

ENGINES = ("openvino", "onnxruntime")
PRECISIONS = ("auto", "fp32", "bf16")

_SHORT_PRECISION = {"f32": "fp32", "f16": "fp16", "u8": "int8", "i8": "int8"}
_HEAVY_LAYERS = ("Convolution", "Deconvolution", "FullyConnected", "MatMul", "RNNSeq", "RNNCell")
_ORT_INT8_LAYERS = ("QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeLSTM")
_ORT_FLOAT_LAYERS = ("Conv", "FusedConv", "ConvTranspose", "MatMul", "FusedMatMul", "Gemm", "FusedGemm", "LSTM", "GRU", "RNN")
_ORT_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ORT_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}

_ONNX_VERSION, _ONNX_GRAPH = 0x08, 0x3A
"""Tags of an ONNX file's first field and of its graph (ModelProto)."""
_NUMBER, _BLOCK = 0, 2
"""Kinds of fields, a tag's lowest three bits: a number, and a block that begins with its length."""


class Network(Protocol):
    """A compiled network with one input. Calls are safe from several threads; they run one after the other."""

    @property
    def report(self) -> EngineReport:
        """Which engine, device and precision really run, as the engine tells after compiling."""

    @property
    def metadata(self) -> dict[str, str]:
        """What the `.onnx` file says of itself."""

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Lengths of the input's axes, None where any length is taken."""

    def __call__(self, batch: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        """The outputs for a batch of `input_shape`, uint8 or float32 as the network was exported; the arrays are the caller's to keep.

        Raises:
            ValueError: the batch has another shape or element type than the network takes.
        """


class JointNetwork(Protocol):
    """A compiled network with several inputs; otherwise as `Network`."""

    @property
    def report(self) -> EngineReport:
        """Which engine, device and precision really run, as the engine tells after compiling."""

    @property
    def metadata(self) -> dict[str, str]:
        """What the `.onnx` file says of itself."""

    def __call__(self, batch: NDArray[Any], *others: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        """The outputs for the inputs in the file's order.

        Raises:
            ValueError: an input has another shape or element type than the network takes.
        """


def open_network(path: Path, *, engine: str = "auto", device: str = "cpu", precision: str = "auto", threads: int = 1) -> Network:
    """Compile a network. "auto" engine: OpenVINO on x86, otherwise ONNX Runtime; "auto" precision: bf16 where the processor computes in it.

    What a file holds as INT8 runs in INT8 with every precision; `precision` is that of all other layers.

    Raises:
        EngineError: the engine, device or precision is not available here; nothing else is taken in its place.
        ConfigError: an option is out of range.
        WeightsError: the file is missing or is no network.
    """
    return _open(path, engine, device, precision, threads, 1)


def open_joint_network(
    path: Path, inputs: int | None, *, engine: str = "auto", device: str = "cpu", precision: str = "auto", threads: int = 1
) -> JointNetwork:
    """Compile a network with `inputs` inputs (None: any number); otherwise as `open_network`."""
    return _open(path, engine, device, precision, threads, inputs)


def _open(path: Path, engine: str, device: str, precision: str, threads: int, inputs: int | None) -> OpenVinoNetwork | OnnxRuntimeNetwork:
    check_threads(threads)
    if precision not in PRECISIONS:
        raise ConfigError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    if not path.is_file():
        raise WeightsError(f"{path}: expected a network (.onnx), found no such file")
    _check_onnx(path)
    name = _choose_engine(engine, device)
    if name == "openvino":
        return OpenVinoNetwork(path, device, precision, threads, inputs)
    return OnnxRuntimeNetwork(path, device, precision, threads, inputs)


def check_threads(threads: object) -> None:
    """Whether a number of threads is one.

    Raises:
        ConfigError: it is no whole number, or under 1.
    """
    if isinstance(threads, bool) or not isinstance(threads, Integral):
        raise ConfigError(f"threads: expected a whole number, 1 or more, got {threads!r}")
    if threads < 1:
        raise ConfigError(f"threads: expected 1 or more, got {threads}")


def installed_engines() -> tuple[str, ...]:
    """Names of the engines that can be imported here, without importing them."""
    return tuple(name for name in ENGINES if importlib.util.find_spec(name) is not None)


def engine_version(name: str) -> str:
    """Version of an installed engine; imports it.

    Raises:
        EngineError: the engine is not installed.
    """
    return _version(_openvino() if _choose_engine(name, "cpu") == "openvino" else _onnxruntime())


def engine_devices(name: str) -> tuple[str, ...]:
    """The devices that an installed engine can use, as `device` takes them; imports the engine.

    Raises:
        EngineError: the engine is not installed.
    """
    if _choose_engine(name, "cpu") == "openvino":
        return tuple(str(d).lower() for d in _core().available_devices)
    providers = _onnxruntime().get_available_providers()
    return tuple(device for device, provider in _ORT_PROVIDERS.items() if provider in providers)


@cache
def _core() -> Any:
    """OpenVINO's core, one for the whole process and as long as it lasts.

    Its CPU plugin gives the thread a stack for signal handlers and puts the one before back when it goes. Of two cores the one may go first that came
    first; the other then puts a stack back that is no more, and the next Ctrl-C is a segmentation fault.
    """
    return _openvino().Core()


class OpenVinoNetwork:
    """A network in OpenVINO. Arguments and errors: see `open_network`."""

    def __init__(self, path: Path, device: str, precision: str, threads: int, inputs: int | None = 1) -> None:
        openvino, core = _openvino(), _core()
        name = device.upper()
        _check_device("OpenVINO", device, [str(d).lower() for d in core.available_devices])
        native_bf16 = "BF16" in core.get_property(name, "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not native_bf16:
            raise EngineError(f"precision bf16: this {device} does not compute in bf16; available: fp32")
        hint = "bf16" if native_bf16 and precision != "fp32" else "f32"
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        if device == "cpu":
            # A pinned process takes the first core, and so does the next one: two processes on two cores took 17 ms a call instead of 8-11.
            options |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        try:
            model = core.read_model(path)
            compiled = core.compile_model(model, name, options)
        except RuntimeError as error:
            raise WeightsError(f"{path}: OpenVINO cannot load this network: {_last_line(error)}") from None
        self.metadata = _openvino_metadata(model)
        taken = _expect(path, compiled.inputs, inputs, self.metadata)
        self._shapes = [tuple(None if d.is_dynamic else d.get_length() for d in i.get_partial_shape()) for i in taken]
        self.input_shape = self._shapes[0]
        self.report = EngineReport(
            name="openvino",
            version=_version(openvino),
            device=",".join(compiled.get_property("EXECUTION_DEVICES")).lower(),
            precision=_openvino_precision(compiled),
            threads=int(compiled.get_property("INFERENCE_NUM_THREADS")) if device == "cpu" else 1,
        )
        self._dtypes = [np.dtype(i.get_element_type().to_dtype()) for i in taken]
        self._tensor = openvino.Tensor
        self._request = compiled.create_infer_request()
        self._outputs = range(len(compiled.outputs))
        self._lock = threading.Lock()

    def __call__(self, batch: NDArray[Any], *others: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        """See `Network` and `JointNetwork`."""
        _check_inputs((batch, *others), self._shapes, self._dtypes)
        inputs = [np.ascontiguousarray(values) for values in (batch, *others)]  # a shared tensor does not keep its array alive
        with self._lock:
            for i, values in enumerate(inputs):
                self._request.set_input_tensor(i, self._tensor(values, shared_memory=True))
            self._request.infer()
            return tuple(np.array(self._request.get_output_tensor(i).data, dtype=np.float32) for i in self._outputs)


class OnnxRuntimeNetwork:
    """A network in ONNX Runtime. Arguments and errors: see `open_network`."""

    def __init__(self, path: Path, device: str, precision: str, threads: int, inputs: int | None = 1) -> None:
        runtime = _onnxruntime()
        _check_device("ONNX Runtime", device, engine_devices("onnxruntime"))
        if precision == "bf16":
            raise EngineError("precision bf16: ONNX Runtime runs these networks in fp32; available: fp32, or bf16 with OpenVINO")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # TF32 would be fewer digits than the fp32 that is reported.
        providers: list[Any] = [("CUDAExecutionProvider", {"use_tf32": "0"})] if device == "cuda" else []
        try:
            self._session, precision = _open_session(runtime, path, options, [*providers, "CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001  the runtime's own errors have no other common root
            raise WeightsError(f"{path}: ONNX Runtime cannot load this network: {_last_line(error)}") from None
        self._session.disable_fallback()
        first = self._session.get_providers()[0]
        if first != _ORT_PROVIDERS[device]:
            raise EngineError(f"device {device}: ONNX Runtime could not start it and would run on {first}; check the driver and the CUDA libraries")
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        taken = _expect(path, self._session.get_inputs(), inputs, self.metadata)
        self._shapes = [tuple(d if isinstance(d, int) else None for d in i.shape) for i in taken]
        self.input_shape = self._shapes[0]
        self.report = EngineReport(
            name="onnxruntime",
            version=_version(runtime),
            device=next(d for d, provider in _ORT_PROVIDERS.items() if provider == first),
            precision=precision,
            threads=int(self._session.get_session_options().intra_op_num_threads),
        )
        self._inputs = [i.name for i in taken]
        self._dtypes = [np.dtype(_ORT_DTYPES.get(i.type, "float32")) for i in taken]
        # Session.run takes concurrent calls; the lock keeps the number of busy threads at what was asked for.
        self._lock = threading.Lock()

    def __call__(self, batch: NDArray[Any], *others: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        """See `Network` and `JointNetwork`."""
        _check_inputs((batch, *others), self._shapes, self._dtypes)
        with self._lock:
            outputs = self._session.run(None, {name: np.ascontiguousarray(v) for name, v in zip(self._inputs, (batch, *others), strict=True)})
        return tuple(np.asarray(output, dtype=np.float32) for output in outputs)


def _check_onnx(path: Path) -> None:
    """Raises a `WeightsError` for what is no whole ONNX file: OpenVINO would try it as every kind of network that it knows, and each would complain."""
    try:
        with path.open("rb") as file:
            has_graph, whole = _walk_fields(file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise WeightsError(f"{path}: expected an .onnx file that can be read: {reason}; check its permissions") from None
    if not has_graph:
        raise WeightsError(f"{path}: expected an .onnx file, got something else; export the checkpoint with openplate export")
    if not whole:
        raise WeightsError(f"{path}: expected a whole .onnx file, got a cut or damaged one; copy it again")


def _walk_fields(file: IO[bytes]) -> tuple[bool, bool]:
    """Whether a file begins as a ModelProto and holds a graph, and whether its outermost fields end where the file does.

    What the graph holds is the engine's to judge.
    """
    size = file.seek(0, 2)
    file.seek(0)
    has_graph = False
    while (start := file.tell()) < size:
        tag = _varint(file)
        if (start == 0 and tag != _ONNX_VERSION) or tag & 7 not in (_NUMBER, _BLOCK):
            return has_graph, False
        number = _varint(file)
        if tag & 7 == _BLOCK:
            file.seek(min(number, size + 1), 1)
        has_graph = has_graph or tag == _ONNX_GRAPH
    return has_graph, file.tell() == size


def _varint(file: IO[bytes]) -> int:
    """A protocol buffer's number: seven bits a byte, the lowest first; 0 after the file's end."""
    value = 0
    for shift in range(0, 63, 7):
        byte = file.read(1) or b"\0"
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            break
    return value


def _choose_engine(engine: str, device: str) -> str:
    installed = installed_engines()
    if engine == "auto":
        x86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")
        wanted = ENGINES if x86 and device != "cuda" else tuple(reversed(ENGINES))
        for name in wanted:
            if name in installed:
                return name
        raise EngineError("no inference engine is installed; install openvino or onnxruntime")
    if engine not in ENGINES:
        raise EngineError(f"engine {engine!r} is not known; available: {', '.join(installed) or 'none'}")
    if engine not in installed:
        package = "openplate[onnxruntime]" if engine == "onnxruntime" else engine
        raise EngineError(f"engine {engine} is not installed: pip install '{package}'; available: {', '.join(installed) or 'none'}")
    return engine


def _check_device(engine: str, device: str, available: list[str] | tuple[str, ...]) -> None:
    if device not in available:
        raise EngineError(f"device {device!r}: {engine} has no such device here; available: {', '.join(available) or 'none'}")


def _check_batch(batch: NDArray[Any], shape: tuple[int | None, ...], dtype: np.dtype[Any]) -> None:
    fits = batch.ndim == len(shape) and all(want is None or want == got for want, got in zip(shape, batch.shape, strict=True))
    if not fits or batch.dtype != dtype or batch.size == 0:
        wanted = "×".join("any" if d is None else str(d) for d in shape)
        raise ValueError(f"the network takes {wanted} {dtype}, got {'×'.join(map(str, batch.shape))} {batch.dtype}")


def _check_inputs(batches: tuple[NDArray[Any], ...], shapes: list[tuple[int | None, ...]], dtypes: list[np.dtype[Any]]) -> None:
    if len(batches) != len(shapes):
        raise ValueError(f"the network takes {len(shapes)} inputs, got {len(batches)}")
    for batch, shape, dtype in zip(batches, shapes, dtypes, strict=True):
        _check_batch(batch, shape, dtype)


def _expect(path: Path, inputs: list[Any], count: int | None, metadata: dict[str, str]) -> list[Any]:
    if count is not None and len(inputs) != count:
        wanted = "one input" if count == 1 else f"{count} inputs"
        kind = metadata.get("openplate.kind")
        said = f"; it is of kind {kind!r}" if kind else ""
        advice = ": name the first file of that network, with --model end-to-end" if kind == "end-to-end-reader" else ""
        raise WeightsError(f"{path}: expected a network with {wanted}, this one has {len(inputs)}{said}{advice}")
    return list(inputs)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _openvino_metadata(model: Any) -> dict[str, str]:
    # OpenVINO keeps an ONNX file's metadata_props under this key, and has no key at all when there are none.
    if not model.has_rt_info("framework"):
        return {}
    return {str(key): str(value) for key, value in model.get_rt_info("framework").value.items()}


def _openvino_precision(compiled: Any) -> str:
    """Element types in which the heavy layers run, joined by "+" (an INT8 network: "bf16+int8")."""
    found: set[str] = set()
    for layer in compiled.get_runtime_model().get_ops():
        info = layer.get_rt_info()
        if "layerType" in info and "runtimePrecision" in info and info["layerType"].value in _HEAVY_LAYERS:
            kind = str(info["runtimePrecision"].value).lower()
            found.add(_SHORT_PRECISION.get(kind, kind))
    if found:
        return "+".join(sorted(found))
    hint = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
    return _SHORT_PRECISION.get(hint, hint)


def _open_session(runtime: Any, path: Path, options: Any, providers: list[Any]) -> tuple[Any, str]:
    """A session, and the precision in which it computes.

    Whether the runtime really runs quantised layers in INT8 stands only in the graph that it made of the file, so that it is asked to write that down.
    """
    if b"QuantizeLinear" not in path.read_bytes():
        return runtime.InferenceSession(path, options, providers=providers), "fp32"
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(graph)
        session = runtime.InferenceSession(path, options, providers=providers)
        return session, _onnxruntime_precision(graph.read_bytes())


def _onnxruntime_precision(graph: bytes) -> str:
    """Element types in which the heavy layers of a serialised graph run, joined by "+" (an INT8 network: "fp32+int8")."""

    def holds(kinds: tuple[str, ...]) -> bool:
        # In a NodeProto the kind of node is field 4: the tag 0x22, the length, the name.
        return any(bytes([0x22, len(kind)]) + kind.encode() in graph for kind in kinds)

    found = {name for name, kinds in (("fp32", _ORT_FLOAT_LAYERS), ("int8", _ORT_INT8_LAYERS)) if holds(kinds)}
    return "+".join(sorted(found)) or "fp32"


def _version(module: Any) -> str:
    """`2026.4.1` of `2026.4.1-22982-e213a147257`."""
    return str(module.__version__).partition("-")[0]


_import_lock = threading.Lock()


def _openvino() -> Any:
    with _import_lock, no_telemetry():
        import openvino
    return openvino


def _onnxruntime() -> Any:
    import onnxruntime

    return onnxruntime


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Hide openvino_telemetry: where it can be imported, importing openvino sends a usage event over the network and writes to ~/intel."""
    known = sys.modules.get("openvino_telemetry")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if known is None:
            del sys.modules["openvino_telemetry"]
        else:
            sys.modules["openvino_telemetry"] = known
