import errno
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import numpy as np
import pytest
from click.testing import CliRunner

import openplate
from openplate import cli
from openplate.pipeline import Options
from openplate.sources import encode_image
from openplate.track.settings import DEFAULT_SETTINGS

FULL = Path("/dev/full")
NO_ROOM = "Error: the output cannot be written: no space left on device; make room, or write it elsewhere\n"


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
    assert done.stdout.splitlines()[-1] == "['openplate.cli.codes', 'openplate.cli.formats']"


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


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, a device that is always full")
@pytest.mark.parametrize(
    "arguments", [("read", "good.png"), ("read", "good.png", "--json"), ("formats",), ("formats", "--json"), ("--help",), ("read", "--help")]
)
def test_full_disk_is_one_line_and_exit_code_1(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "good.png").write_bytes(encode_image(np.full((64, 64, 3), 90, np.uint8), ".png"))
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "openplate", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False
        )
    assert (done.returncode, done.stderr) == (1, NO_ROOM)


def test_closed_pipe_is_quiet() -> None:
    with subprocess.Popen([sys.executable, "-m", "openplate", "formats"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        said = running.stderr.read()
    assert (running.returncode, said) == (1, b"")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), NO_ROOM),
        (OSError(errno.EIO, "Input/output error"), "Error: the output cannot be written: input/output error; make room, or write it elsewhere\n"),
    ],
)
def test_fault_of_writing_is_told_by_every_verb(monkeypatch: pytest.MonkeyPatch, fault: OSError, told: str) -> None:
    stub(monkeypatch, fault)
    result = CliRunner().invoke(cli.main, ["train"])
    assert (result.exit_code, result.stderr) == (1, told)


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device", "a.jpg"), OSError(errno.ECONNREFUSED, "Connection refused")])
def test_fault_of_something_else_is_not_taken_for_one_of_the_output(monkeypatch: pytest.MonkeyPatch, fault: OSError) -> None:
    stub(monkeypatch, fault)
    assert CliRunner().invoke(cli.main, ["train"]).exception is fault


def stub(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    """`openplate train` raises a fault."""

    @click.command()
    def train() -> None:
        raise fault

    module = ModuleType("openplate.cli.train")
    module.train = train  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openplate.cli.train", module)


@pytest.mark.parametrize("verb", [verb for verb in cli._MODULES if verb not in ("synthesize", "data")])  # of these, each command has its own
def test_help_of_every_verb_has_an_example(verb: str) -> None:
    assert "Example: " in CliRunner().invoke(cli.main, [verb, "--help"]).stdout


@pytest.mark.parametrize(
    ("verb", "least"), [("read", Options().min_confidence), ("evaluate", Options().min_confidence), ("watch", DEFAULT_SETTINGS.min_confidence)]
)
def test_help_tells_the_defaults(verb: str, least: float) -> None:
    command = cli.main.get_command(click.Context(cli.main), verb)
    assert command is not None
    told = {option.opts[0]: option.help or "" for option in command.params if isinstance(option, click.Option)}
    options = Options()
    expected = {"--min-confidence": least} | {f"--{name}": getattr(options, name) for name in ("engine", "device", "precision", "threads")}
    assert {name: told[name].partition("  [default: ")[2] for name in expected} == {name: f"{value}]" for name, value in expected.items()}
