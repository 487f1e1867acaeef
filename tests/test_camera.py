from pathlib import Path

import pytest

from openplate.camera import Camera, load_camera, parse_camera
from openplate.errors import ConfigError
from openplate.streams.settings import StreamSettings
from openplate.track.settings import WatchSettings


def write(folder: Path, text: str) -> Path:
    path = folder / "gate.toml"
    path.write_text(text, encoding="utf8")
    return path


def test_empty_file_keeps_every_default(tmp_path: Path) -> None:
    assert load_camera(write(tmp_path, "")) == Camera()


def test_every_kind_of_value_is_taken(tmp_path: Path) -> None:
    camera = load_camera(
        write(
            tmp_path,
            """
            name = "gate"
            source = "rtsp://10.0.0.5/1"
            country = ["ru", "kz"]
            [watch]
            min_confidence = 1
            looks = 4
            masks = [[[0, 0], [1, 0], [1, 0.1]]]
            line = [[0.1, 0.5], [0.9, 0.5]]
            [stream]
            transport = "udp"
            size = [1280, 720]
            wait_at_start = true
            """,
        )
    )
    assert camera == Camera(
        name="gate",
        source="rtsp://10.0.0.5/1",
        country=("ru", "kz"),
        watch=WatchSettings(min_confidence=1.0, looks=4, masks=(((0.0, 0.0), (1.0, 0.0), (1.0, 0.1)),), line=((0.1, 0.5), (0.9, 0.5))),
        stream=StreamSettings(transport="udp", size=(1280, 720), wait_at_start=True),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", "colour: not a known key; known are name, source"),
        ("[watch]\nmin_confidnce = 0.5", "watch.min_confidnce: not a known key"),
        ("[watch]\nmin_confidence = 2", "watch.min_confidence: expected 0 to 1, got 2"),
        ("[watch]\nlooks = 2.5", "watch.looks: expected a whole number, got 2.5"),
        ("[watch]\nlooks = true", "watch.looks: expected a whole number, got True"),
        ("[watch]\nmasks = [[[0, 0], [1, 0], [1]]]", r"watch.masks\[0\]\[2\]: expected a list of 2, got \[1\]"),
        ("[watch]\nline = [[0, 0], ['a', 1]]", r"watch.line\[1\]\[0\]: expected a number, got 'a'"),
        ("[stream]\ntransport = 'tpc'", "stream.transport: expected one of tcp, udp, http, got 'tpc'"),
        ("country = 'ru'", "country: expected a list, got 'ru'"),
        ("watch = 3", "watch: expected a table, got 3"),
        ("name = 'a/b'", "name: expected letters, digits, spaces, .*, got 'a/b'"),
        ("name = '../gate'", "name: expected letters, digits, spaces, .*, got '../gate'"),
        ("name = 'a\\\\b'", "name: expected letters"),
        ("name = [", "expected a TOML file"),
    ],
)
def test_fault_names_the_file_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_camera(path)
    assert str(caught.value).startswith(str(path))


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a camera's TOML file: no such file"):
        load_camera(tmp_path / "none.toml")


def test_table_gives_what_its_file_would(tmp_path: Path) -> None:
    table = {"name": "gate", "source": "0", "watch": {"looks": 4}}
    assert parse_camera(table) == load_camera(write(tmp_path, 'name = "gate"\nsource = "0"\n[watch]\nlooks = 4\n'))
    with pytest.raises(ConfigError, match=r"^watch\.colour: not a known key"):
        parse_camera({"watch": {"colour": 1}})
