from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from openplate.cli import main
from openplate.weights import network_path

LOOP = "[loop]\nsteps = 2\nbatch = 4\nwarmup_steps = 1\nvalidate_every = 2\nmixed_precision = false\n"
CONFIGS = {
    "reader": 'countries = ["ru"]\nwidth = 0.25\nhidden = 8\nshard = 8\nvalidation_crops = 4\n' + LOOP,
    "detector": 'countries = ["ru"]\nchannels = [8, 16, 32, 40, 16]\nwindow = 128\nshard = 8\nvalidation_windows = 2\nframes = false\n' + LOOP,
    "straightener": 'countries = ["ru"]\nshard = 8\nvalidation_crops = 4\n' + LOOP,
}


def write(folder: Path, network: str) -> Path:
    path = folder / f"{network}.toml"
    path.write_text(CONFIGS[network])
    return path


def check(folder: Path, network: str) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["best.pt", "config.json", "curves.png", "last.pt", "log.csv"]
    assert len((folder / "log.csv").read_text().splitlines()) == 2
    state = torch.load(folder / "best.pt", weights_only=True)
    assert (state["kind"], state["step"]) == (network, 2)


def test_reader_is_trained_with_a_drawing_process_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    arguments = ["train", "reader", str(write(tmp_path, "reader")), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'run' / 'best.pt'}\n")
    assert "reader step 2: loss" in result.stderr
    check(tmp_path / "run", "reader")
    log = (tmp_path / "run/log.csv").read_text()
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert (tmp_path / "run/log.csv").read_text() == log


@pytest.mark.usefixtures("draw_in_thread")
@pytest.mark.parametrize("network", ["detector", "straightener"])
def test_other_networks_are_trained_into_a_folder_named_after_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["train", network, str(write(tmp_path, network))])
    assert (result.exit_code, result.stdout) == (0, f"runs/{network}/best.pt\n")
    check(tmp_path / "runs" / network, network)


def test_interruption_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr("openplate.train.loop.train", interrupted)
    arguments = ["train", "reader", str(write(tmp_path, "reader")), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "interrupted; the same command starts anew; there was no checkpoint yet\n"
    (tmp_path / "run").mkdir()
    (tmp_path / "run/last.pt").touch()
    assert CliRunner().invoke(main, arguments).stderr == f"interrupted; the same command goes on from {tmp_path / 'run' / 'last.pt'}\n"


@pytest.mark.parametrize("network", ["reader", "detector", "straightener", "end-to-end"])
@pytest.mark.parametrize(
    ("key", "message"),
    [
        ('photos = ["there", "nowhere", "empty"]', "found no labels.jsonl in nowhere, empty; fetch or convert them"),
        ('countries = ["xx"]', "country 'xx' is not known"),
    ],
    ids=["data set", "country"],
)
def test_what_a_config_names_and_is_missing_is_told_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str, key: str, message: str
) -> None:
    def started(*_: object, **__: object) -> Path:
        raise AssertionError("training began")

    monkeypatch.setattr("openplate.train.loop.train", started)
    monkeypatch.chdir(tmp_path)
    for name in ("there", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "there/labels.jsonl").touch()
    (tmp_path / "run.toml").write_text(key)
    result = CliRunner().invoke(main, ["train", network, "run.toml"])
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert message in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 3", "unknown key 'colour'"),
        ('countries = ["xx"]', "country 'xx' is not known"),
        ('[loop]\ndevice = "tpu-9"', 'expected "cpu" or "cuda", got \'tpu-9\''),
        ("shard = 3\n[loop]\nbatch = 4", "got batch = 4, shard = 3"),
    ],
)
@pytest.mark.usefixtures("draw_in_thread")
def test_wrong_config_is_one_line_on_stderr(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    result = CliRunner().invoke(main, ["train", "reader", str(tmp_path / "run.toml"), "--out", str(tmp_path / "run")])
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_missing_config_and_unknown_network_are_refused(tmp_path: Path) -> None:
    missing = CliRunner().invoke(main, ["train", "reader", str(tmp_path / "none.toml")])
    unknown = CliRunner().invoke(main, ["train", "tracker", str(tmp_path / "none.toml")])
    assert missing.exit_code == 1 and "expected a TOML config" in missing.stderr
    assert unknown.exit_code == 2 and "'tracker'" in unknown.stderr


@pytest.mark.usefixtures("draw_in_thread")
def test_reader_starts_from_a_checkpoint_and_from_an_exported_file_with_changed_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openplate.train.log.draw_curves", lambda _, picture: picture.write_text("curves"))
    config = str(write(tmp_path, "reader"))
    base = ["train", "reader", config, "--out", str(tmp_path / "base"), "--set", "network=residual", "--set", "loop.steps=1"]
    assert CliRunner().invoke(main, base).exit_code == 0
    state = torch.load(tmp_path / "base/best.pt", weights_only=True)
    assert (state["step"], state["settings"]["network"]) == (1, "residual")
    exported = CliRunner().invoke(main, ["export", str(tmp_path / "base/best.pt"), "--out", str(tmp_path / "base.onnx")])
    assert exported.exit_code == 0, exported.output
    for name, weights in (("a", "base/best.pt"), ("b", "base.onnx")):
        arguments = ["train", "reader", config, "--out", str(tmp_path / name), "--set", "network=residual", "--from", str(tmp_path / weights)]
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, result.stdout) == (0, f"{tmp_path / name / 'best.pt'}\n"), result.output
        assert f"started from {tmp_path / weights}: " in result.stderr
        check(tmp_path / name, "reader")
        again = CliRunner().invoke(main, arguments)
        assert f"goes on from {tmp_path / name / 'last.pt'}; {tmp_path / weights} is not read again" in again.stderr


@pytest.mark.usefixtures("draw_in_thread")
def test_start_from_another_network_or_no_network_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cat.onnx").write_text("cat")
    for weights, message in (
        (network_path("straightener"), "expected 13 layers for this network, the file runs"),
        (tmp_path / "cat.onnx", "damaged"),
    ):
        arguments = ["train", "reader", str(write(tmp_path, "reader")), "--out", str(tmp_path / "run"), "--from", str(weights)]
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert message in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.stderr


def test_gpu_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = ["train", "reader", str(write(tmp_path, "reader")), "--out", str(tmp_path / "run"), "--set", "loop.device=cuda"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.stderr == 'Error: device = "cuda": no CUDA device is there; set device = "cpu"\n'


def test_help_shows_how_to_start_from_weights() -> None:
    text = CliRunner().invoke(main, ["train", "--help"]).stdout
    assert "Example: openplate train reader my-country.toml --from reader.onnx --set loop.steps=2000\n" in text
