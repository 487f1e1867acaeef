import subprocess
import sys
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

import openplate
from openplate import cli


def test_version_is_the_package_s() -> None:
    result = CliRunner().invoke(cli.main, ["--version"])
    assert result.stdout.split()[-1] == openplate.__version__


def test_unknown_verb_is_refused() -> None:
    result = CliRunner().invoke(cli.main, ["fly"])
    assert result.exit_code == 2
    assert "No such command 'fly'" in result.stderr


def test_verb_loads_no_other_verb_and_no_torch() -> None:
    program = (
        "import sys; from openplate.cli import main\n"
        "main(['formats', '--country', 'ru'], standalone_mode=False)\n"
        "print(sorted(m for m in sys.modules if m.startswith('openplate.cli.') or m.partition('.')[0] in ('torch', 'openvino', 'onnxruntime')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}, check=True)
    assert done.stdout.splitlines()[-1] == "['openplate.cli.formats']"


def test_missing_package_names_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def train() -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    module = ModuleType("openplate.cli.train")
    module.train = train  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openplate.cli.train", module)
    result = CliRunner().invoke(cli.main, ["train"])
    assert result.exit_code == 1
    assert "pip install 'openplate[train]'" in result.stderr
