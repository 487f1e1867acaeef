import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from openplate.errors import ConfigError
from openplate.train.config import (
    DetectorConfig,
    EndToEndConfig,
    LoopConfig,
    ReaderConfig,
    StraightenerConfig,
    build,
    check_sources,
    load_config,
    save_resolved,
)
from openplate.train.networks.readers import READERS


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf8")
    return path


@pytest.mark.parametrize("kind", [ReaderConfig, DetectorConfig, StraightenerConfig])
def test_empty_file_gives_the_defaults(tmp_path: Path, kind: type[ReaderConfig]) -> None:
    assert load_config(write(tmp_path, ""), kind) == kind()


def test_file_holds_only_what_differs(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, 'countries = ["ru", "cn"]\nhidden = 64\nwidth = 2\n'), ReaderConfig)
    assert config == ReaderConfig(countries=("ru", "cn"), hidden=64, width=2.0)
    assert isinstance(config.width, float)


def test_loop_table_keeps_the_defaults_of_its_network(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "[loop]\nsteps = 10\nmixed_precision = false\n"), DetectorConfig)
    assert config.loop == LoopConfig(steps=10, mixed_precision=False, batch=16, learning_rate=2e-3, warmup_steps=500, weight_decay=0.03)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 3", "unknown key 'colour'; known are countries, "),
        ("[loop]\nstep = 3", "loop: unknown key 'step'; known are batch, "),
        ("loop = 3", "loop: expected a table, got 3"),
        ('hidden = "64"', "hidden: expected int, got '64'"),
        ("hidden = 64.0", "hidden: expected int, got 64.0"),
        ("hidden = true", "hidden: expected int, got True"),
        ("width = true", "width: expected float, got True"),
        ("[loop]\nmixed_precision = 1", "loop: mixed_precision: expected bool, got 1"),
        ("[loop]\ndevice = 0", "loop: device: expected str, got 0"),
        ('countries = "ru"', "countries: expected a list of strings, got 'ru'"),
        ("countries = [1]", "countries: expected a list of strings, got [1]"),
        ("steps = = 3", "not a TOML file"),
    ],
)
def test_wrong_file_gives_error_that_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, ReaderConfig)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        *((ReaderConfig, f"loop.{key}={value}", f"loop: {key}: expected 1 or more, got {value}") for key in ("steps", "batch") for value in (0, -3)),
        *((ReaderConfig, f"loop.{key}=0", f"{key}: expected 1 or more, got 0") for key in ("threads", "drawers", "validate_every")),
        *((ReaderConfig, f"{key}=0", f"{key}: expected 1 or more, got 0") for key in ("views", "shard", "passes", "hidden", "validation_crops")),
        *((ReaderConfig, f"loop.{key}=-1", f"{key}: expected 0 or more, got -1") for key in ("warmup_steps", "patience", "seed")),
        *((ReaderConfig, f"{key}=7", f"{key}: expected a number from 0 to 1, got 7") for key in ("difficulty", "start_difficulty", "real_share")),
        (ReaderConfig, "empty_share=1.5", "empty_share: expected a number from 0 to 1, got 1.5"),
        (ReaderConfig, "real_share=0.98", "real_share and empty_share: expected at most 1 together, got 0.98 + 0.03"),
        (ReaderConfig, "easy_steps=-1", "easy_steps: expected 0 or more, got -1"),
        (ReaderConfig, "width=0", "width: expected a number above 0.125, got 0"),
        (ReaderConfig, "width=nan", "width: expected a number above 0.125, got nan"),
        (ReaderConfig, "loop.ema=1.01", "loop: ema: expected a number from 0 to 1, got 1.01"),
        (ReaderConfig, "loop.learning_rate=0", "loop: learning_rate: expected a number above 0, got 0"),
        (ReaderConfig, "loop.learning_rate=inf", "loop: learning_rate: expected a number above 0, got inf"),
        (DetectorConfig, "keep_share=-0.1", "keep_share: expected a number from 0 to 1, got -0.1"),
        (DetectorConfig, "validation_windows=0", "validation_windows: expected 1 or more, got 0"),
        *((kind, f"window={px}", f"window: expected a multiple of 64, got {px}") for kind in (DetectorConfig, EndToEndConfig) for px in (0, 100)),
        (DetectorConfig, "channels=[8]", "channels: expected five multiples of 8, got [8]"),
        (StraightenerConfig, "passes=0", "passes: expected 1 or more, got 0"),
        (EndToEndConfig, "own_share=2", "own_share: expected a number from 0 to 1, got 2"),
    ],
)
def test_number_out_of_range_gives_error_that_names_file_or_set_and_key(tmp_path: Path, kind: type[ReaderConfig], change: str, message: str) -> None:
    path = write(tmp_path, "")
    with pytest.raises(ConfigError) as caught:
        load_config(path, kind, [change])
    assert str(caught.value).startswith("--set: ")
    assert str(caught.value).endswith(message)
    path = write(tmp_path, change)
    with pytest.raises(ConfigError) as caught:
        load_config(path, kind, ["loop.tensorboard=false"])
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize("kind", [ReaderConfig, DetectorConfig, StraightenerConfig, EndToEndConfig, LoopConfig])
def test_every_number_of_a_config_has_a_range(tmp_path: Path, kind: type[ReaderConfig]) -> None:
    for field in dataclasses.fields(kind):
        if field.type in ("int", "float"):
            with pytest.raises(ConfigError, match=f"{field.name}: expected"):
                load_config(write(tmp_path, f"{field.name} = -1000000"), kind)


def test_documentation_lists_every_number_s_range() -> None:
    document = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf8")
    table = document.split("| a number must be | keys |\n|---|---|\n")[1].split("\n\n")[0]
    listed = {
        key: expected for expected, keys in (row.strip("| ").split(" | ") for row in table.splitlines()) for key in keys.strip("`").split("`, `")
    }
    known = {
        (f"loop.{field.name}" if kind is LoopConfig else field.name): field.name
        for kind in (LoopConfig, ReaderConfig, DetectorConfig, StraightenerConfig, EndToEndConfig)
        for field in dataclasses.fields(kind)
        if field.type in ("int", "float")
    }
    assert set(listed) == set(known)
    for key, name in known.items():
        kind = next(k for k in (LoopConfig, ReaderConfig, DetectorConfig, EndToEndConfig) if name in {field.name for field in dataclasses.fields(k)})
        with pytest.raises(ConfigError, match=f"{name}: expected (a number )?{listed[key]}, got"):
            build(kind, {name: -1000001}, "here")


def test_shares_at_their_ends_are_allowed(tmp_path: Path) -> None:
    text = "real_share = 0.9\nempty_share = 0.1\ndifficulty = 1\nstart_difficulty = 0\neasy_steps = 0"
    config = load_config(write(tmp_path, text), ReaderConfig)
    assert (config.real_share, config.empty_share, config.difficulty, config.start_difficulty) == (0.9, 0.1, 1.0, 0.0)


def test_file_that_is_not_utf8_gives_error(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes('network = "é"'.encode("latin1"))
    with pytest.raises(ConfigError) as caught:
        load_config(path, ReaderConfig)
    assert str(caught.value) == f"{path}: expected a TOML config in UTF-8, byte 11 is none; save it as UTF-8"


def test_missing_file_gives_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.toml", ReaderConfig)


def test_resolved_config_holds_the_defaults_too(tmp_path: Path) -> None:
    save_resolved(ReaderConfig(hidden=64, countries=("ru",)), tmp_path / "config.json")
    saved = json.loads((tmp_path / "config.json").read_text())
    assert (saved["hidden"], saved["countries"], saved["width"], saved["loop"]["steps"]) == (64, ["ru"], 1.0, 8000)


def test_resolved_config_of_before_is_whole_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.json"
    save_resolved(ReaderConfig(hidden=64), path)
    before, opened = path.read_bytes(), Path.open

    def full(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        file = opened(path, mode, *arguments, **named)
        if "w" in mode:
            file.write(b"{" if "b" in mode else "{")
            file.close()
            raise OSError(28, "No space left on device")
        return file

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left on device"):
        save_resolved(ReaderConfig(hidden=32), path)
    assert path.read_bytes() == before
    save_resolved(ReaderConfig(hidden=64), path)  # nothing has to be written
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_changes_are_made_after_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "hidden = 64\n[loop]\nsteps = 10\n")
    changes = ["hidden=32", 'countries=["ru", "kz"]', "loop.learning_rate = 1e-4", "loop.device=cuda", "network=residual", "transformer=true"]
    config = load_config(path, ReaderConfig, changes)
    loop = LoopConfig(steps=10, learning_rate=1e-4, device="cuda")
    assert config == ReaderConfig(loop=loop, hidden=32, countries=("ru", "kz"), network="residual", transformer=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("hidden", "'hidden': expected KEY=VALUE, for example loop.steps=2000"),
        ("=3", "expected KEY=VALUE"),
        ("hidden=many", "hidden: expected int, got 'many'"),
        ("loop.step=3", "loop: unknown key 'step'"),
        ("hidden.units=3", "'hidden.units=3': hidden is no table"),
    ],
)
def test_wrong_change_gives_error_that_names_it(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, "hidden = 64"), ReaderConfig, [change])
    assert message in str(caught.value)


CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


def write_uncommented(file: Path, folder: Path) -> Path:
    return write(folder, file.read_text(encoding="utf8").replace("# photos =", "photos ="))


@pytest.mark.parametrize("file", CONFIGS, ids=[file.stem for file in CONFIGS])
def test_configs_of_the_repository_are_valid_and_need_no_data_set(file: Path, tmp_path: Path) -> None:
    kinds = {"reader": ReaderConfig, "detector": DetectorConfig, "straightener": StraightenerConfig, "end": EndToEndConfig}
    kind = kinds.get(file.stem.partition("-")[0])
    if kind is not None:
        config = load_config(file, kind)
        assert config != kind()
        assert config.photos == ()
        assert load_config(write_uncommented(file, tmp_path), kind).photos, "the data sets that the shipped weights had are named in a comment"


@pytest.mark.parametrize(
    ("photos", "validation", "message"),
    [
        ("there", "nowhere", "validation: expected data sets, found no labels.jsonl in nowhere; fetch or convert them"),
        ("there", "there/../there", "validation: expected other data sets than those of photos, got there/../there in both"),
        ("nowhere", "there", "photos: expected data sets, found no labels.jsonl in nowhere"),
    ],
)
def test_data_sets_to_validate_on_are_checked_as_photos_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: str, validation: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("there", "there/val"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "labels.jsonl").touch()
    with pytest.raises(ConfigError) as caught:
        check_sources(ReaderConfig(photos=(photos,), validation=(validation,)))
    assert str(caught.value).startswith(message)
    check_sources(load_config(write(tmp_path, 'photos = ["there"]\nvalidation = ["there/val"]'), ReaderConfig))
    check_sources(DetectorConfig(photos=("there",)))


def test_every_reader_network_has_a_config() -> None:
    configs = [load_config(file, ReaderConfig) for file in CONFIGS if file.stem.startswith("reader")]
    assert {config.network for config in configs} == set(READERS)
    assert any(config.transformer for config in configs)


def test_channels_of_a_detector_are_whole_numbers(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "channels = [8, 16, 32, 40, 16]\n"), DetectorConfig).channels == (8, 16, 32, 40, 16)
    for wrong in ("[8, 16.5]", "[true]", '["8"]'):
        with pytest.raises(ConfigError, match="channels: expected a list of whole numbers"):
            load_config(write(tmp_path, f"channels = {wrong}\n"), DetectorConfig)
    for wrong in ("[8, 16, 32, 40]", "[8, 16, 32, 40, 12]", "[8, 16, 32, 40, 0]"):
        with pytest.raises(ConfigError, match="channels: expected five multiples of 8"):
            load_config(write(tmp_path, f"channels = {wrong}\n"), DetectorConfig)


def test_folder_that_holds_data_sets_is_answered_with_their_names(tmp_path: Path) -> None:
    for side in ("val", "train"):
        (tmp_path / "ccpd" / side).mkdir(parents=True)
        (tmp_path / "ccpd" / side / "labels.jsonl").touch()
    with pytest.raises(ConfigError) as caught:
        check_sources(ReaderConfig(photos=(str(tmp_path / "ccpd"),)))
    assert f"in {tmp_path / 'ccpd'}; name one of {tmp_path / 'ccpd/train'}, {tmp_path / 'ccpd/val'}; or fetch or convert them" in str(caught.value)
