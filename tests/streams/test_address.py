from pathlib import Path

import pytest

from openplate.errors import SourceError
from openplate.streams.address import Address, hide_secrets, parse_source, webcam_input


@pytest.mark.parametrize(
    ("source", "kind", "location"),
    [
        ("-", "pipe", "-"),
        ("0", "webcam", "0"),
        ("07", "webcam", "7"),
        ("rtsp://10.0.0.5/street", "camera", "rtsp://10.0.0.5/street"),
        ("rtsp://10.0.0.5/snapshot.jpg", "camera", "rtsp://10.0.0.5/snapshot.jpg"),
        ("RTSP://10.0.0.5/a.png", "camera", "RTSP://10.0.0.5/a.png"),
        ("udp://@:1234", "camera", "udp://@:1234"),
        ("https://example.org/video.jpg", "web", "https://example.org/video.jpg"),
    ],
)
def test_what_is_no_path_is_told_by_its_form_alone(source: str, kind: str, location: str) -> None:
    address = parse_source(source)
    assert (address.kind, address.location) == (kind, location)


def test_a_camera_is_no_file_even_where_a_file_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rtsp:/camera").mkdir(parents=True)
    Path("rtsp:/camera/street.jpg").write_bytes(b"")
    assert parse_source("rtsp://camera/street.jpg").kind == "camera"
    Path("0").write_bytes(b"x")
    assert parse_source("0").kind == "webcam"
    assert parse_source("./0") == Address("file", "./0", f"file:{tmp_path}/0")


def test_files_and_folders_are_told_by_looking(tmp_path: Path) -> None:
    video = tmp_path / "a b.mp4"
    video.write_bytes(b"x")
    assert parse_source(str(video)) == Address("file", str(video), f"file:{video}")
    assert parse_source(video.as_uri()) == Address("file", str(video), f"file:{video}")
    assert parse_source(str(tmp_path)) == Address("folder", str(tmp_path), str(tmp_path))


def test_nothing_there_is_an_error_that_says_what_could_be_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone.mp4: expected a video file, a folder, a webcam's number or an address .* no such file"):
        parse_source(str(tmp_path / "gone.mp4"))


def test_a_picture_is_an_error_that_names_the_command_for_it(tmp_path: Path) -> None:
    (tmp_path / "car.JPG").write_bytes(b"x")
    with pytest.raises(SourceError, match="expected a video, got a picture; use openplate read"):
        parse_source(str(tmp_path / "car.JPG"))


def test_an_unknown_scheme_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(SourceError, match=r"expected an address that starts with one of rtsp://, .*; got ftp://"):
        parse_source("ftp://me:secret@host/video.mp4")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://10.0.0.5:554/street", "rtsp://10.0.0.5:554/street"),
        ("rtsp://admin:secret@10.0.0.5:554/street", "rtsp://10.0.0.5:554/street"),
        ("rtsp://admin:se@cret@10.0.0.5/street", "rtsp://10.0.0.5/street"),
        ("rtsp://admin:se/cret@10.0.0.5/street", "rtsp://10.0.0.5/street"),
        ("rtsp://10.0.0.5:554/user@street", "rtsp://10.0.0.5:554/user@street"),
        ("http://h/video?channel=1&Password=secret&x=2", "http://h/video?channel=1&Password=…&x=2"),
        ("http://h/video?access_token=secret", "http://h/video?access_token=…"),
    ],
)
def test_names_show_no_secrets(url: str, shown: str) -> None:
    assert hide_secrets(url) == shown
    assert parse_source(url).name == shown


@pytest.mark.parametrize(
    ("location", "platform", "wanted"),
    [
        ("0", "linux", ("/dev/video0", "v4l2")),
        ("/dev/video2", "linux", ("/dev/video2", "v4l2")),
        ("1", "darwin", ("1", "avfoundation")),
        ("1", "win32", ("1", "dshow")),
    ],
)
def test_a_webcam_is_the_device_of_the_system(location: str, platform: str, wanted: tuple[str, str]) -> None:
    assert webcam_input(location, platform) == wanted
