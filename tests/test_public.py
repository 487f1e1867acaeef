"""What `import openplate` promises: its names, that they are documented and frozen, and what it does not import."""

import ast
import inspect
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, is_dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import openplate
from openplate import types
from openplate.geometry import box_to_quad

HEAVY = ("openvino", "onnxruntime", "torch", "onnx", "onnxscript", "PIL", "matplotlib", "click")
VALUES = [value for _, value in inspect.getmembers(types, is_dataclass)]


def run_python(program: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", openplate.__all__)
def test_public_name_is_there(name: str) -> None:
    assert getattr(openplate, name) is not None


def test_star_import_brings_every_public_name() -> None:
    names: dict[str, object] = {}
    exec("from openplate import *", names)  # noqa: S102
    assert set(openplate.__all__) <= set(names)


def test_public_names_are_sorted_and_none_is_twice() -> None:
    assert openplate.__all__ == sorted(set(openplate.__all__))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'openplate' has no attribute 'Plates'"):
        openplate.Plates  # noqa: B018


@pytest.mark.parametrize(
    "name", [n for n in openplate.__all__ if inspect.isclass(getattr(openplate, n)) or inspect.isfunction(getattr(openplate, n))]
)
def test_public_class_or_function_has_its_own_docstring(name: str) -> None:
    found = getattr(openplate, name)
    assert len(found.__doc__ or "") > 20
    assert not (found.__doc__ or "").startswith(f"{name}("), "dataclasses write such a docstring themselves"


def test_array_types_say_shape_and_order() -> None:
    body = ast.parse(Path(types.__file__).read_text(encoding="utf8")).body
    said = {}
    for statement, after in pairwise(body):
        if isinstance(statement, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            said[ast.unparse(statement.targets[0])] = after.value.value
    assert said["Image"] == "`(H, W, 3) uint8 RGB`."
    assert said["Quad"] == "`(4, 2) float32 px, (x, y), TL TR BR BL`."
    assert "Crop" in said


def test_every_error_is_an_openplate_error() -> None:
    errors = [getattr(openplate, name) for name in openplate.__all__ if name.endswith("Error")]
    assert len(errors) == 7
    assert all(issubclass(error, openplate.OpenPlateError) for error in errors)


@pytest.mark.parametrize("value", VALUES, ids=lambda v: v.__name__)
def test_values_are_frozen_and_take_no_other_attributes(value: type) -> None:
    made = object.__new__(value)
    for name in [f.name for f in fields(value)]:
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, None)
    assert not hasattr(made, "__dict__")


def test_values_that_cross_folders_are_all_checked() -> None:
    assert {v.__name__ for v in VALUES} >= {
        "Frame",
        "Detection",
        "Character",
        "Candidate",
        "Reading",
        "Plate",
        "EngineReport",
        "Milliseconds",
        "PhotoResult",
    }


def test_values_with_arrays_compare_by_identity() -> None:
    # Comparing arrays field by field would raise.
    quad = box_to_quad(0, 0, 4, 2)
    first, second = openplate.Detection(quad, 0.5), openplate.Detection(quad, 0.5)
    assert first != second
    assert [first, second].index(second) == 1
    assert len({first, second, first}) == 2


def test_engine_report_as_json_names_every_field() -> None:
    report = openplate.EngineReport("openvino", "2026.4", "cpu", "bf16", 2)
    assert report.as_json() == {"name": "openvino", "version": "2026.4", "device": "cpu", "precision": "bf16", "threads": 2}


def test_import_brings_no_engine_and_nothing_of_training() -> None:
    assert run_python(f"import sys, openplate; print([m for m in {HEAVY} if m in sys.modules])") == "[]"


def test_pipeline_brings_no_engine_before_a_network_is_opened() -> None:
    program = f"import sys, openplate; openplate.Pipeline, openplate.Options(); print([m for m in {HEAVY} if m in sys.modules])"
    assert run_python(program) == "[]"


@pytest.mark.parametrize(
    "imports",
    [
        "import openplate, openplate.pipeline, openplate.read.reader",
        "from openplate.read.decode import Decoder; import openplate",
        "import openplate.read.ctc; import openplate",
        "from openplate import Pipeline; import openplate",
    ],
)
def test_read_stays_the_function_whatever_is_imported(imports: str) -> None:
    assert run_python(f"{imports}; import types; print(isinstance(openplate.read, types.FunctionType))") == "True"


def test_read_keeps_the_networks_of_the_same_options(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[openplate.Options] = []

    class Counting:
        def __init__(self, options: openplate.Options) -> None:
            opened.append(options)

        def read(self, source: object) -> list[openplate.Plate]:
            return []

    openplate._pipeline.cache_clear()
    monkeypatch.setattr("openplate.pipeline.Pipeline", Counting)
    try:
        image = np.zeros((4, 4, 3), np.uint8)
        assert openplate.read(image) == openplate.read("photo.jpg") == openplate.read(image, openplate.Options()) == []
        assert openplate.read(image, openplate.Options(country=("ru",))) == []
    finally:
        openplate._pipeline.cache_clear()
    assert opened == [openplate.Options(), openplate.Options(country=("ru",))]
