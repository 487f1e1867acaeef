from pathlib import Path

import pytest

from openplate.errors import SourceError
from openplate.sources import write_image
from openplate.streams import StreamSettings, open_stream
from tests.streams.clips import HEIGHT, WIDTH, draw, number


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures, frame0 to frame11."""
    for i in range(12):
        write_image(tmp_path / "street" / f"frame{i}.png", draw(i))
    (tmp_path / "street" / "notes.txt").write_text("no picture")
    return tmp_path / "street"


def test_pictures_come_in_the_order_of_their_numbers_at_25_a_second(folder: Path) -> None:
    with open_stream(str(folder)) as stream:
        assert (stream.live, stream.fps, stream.width, stream.height) == (False, 25, WIDTH, HEIGHT)
        assert (stream.frames_total, stream.duration_s) == (12, pytest.approx(0.48))
        assert [(number(f.image), f.index, f.time_s, f.source) for f in stream] == [(i, i, i / 25, str(folder)) for i in range(12)]
        assert stream.warnings == ()


def test_from_to_stride_and_rate_choose_pictures(folder: Path) -> None:
    with open_stream(str(folder), StreamSettings(fps=2, from_s=1.0, to_s=5.0, stride=3)) as stream:
        assert stream.frames_total == 3
        assert [(number(f.image), f.index, f.time_s) for f in stream] == [(2, 2, 1.0), (5, 5, 2.5), (8, 8, 4.0)]


def test_a_loop_goes_on_in_index_and_time(folder: Path) -> None:
    with open_stream(str(folder), StreamSettings(fps=10, loop=2)) as stream:
        frames = [(number(f.image), f.index, f.time_s) for f in stream]
    assert frames == [(i % 12, i, i / 10) for i in range(24)]


def test_a_picture_that_cannot_be_read_is_named_and_leaves_a_gap(folder: Path) -> None:
    (folder / "frame3.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    with open_stream(str(folder), StreamSettings(loop=2)) as stream:
        assert [f.index for f in stream][:5] == [0, 1, 2, 4, 5]
        (warning,) = stream.warnings
    assert "frame3.png" in warning and "cut or damaged" in warning


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected a folder with pictures"):
        open_stream(str(tmp_path))


def test_a_folder_where_no_picture_can_be_read_is_an_error_with_the_first_reason(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"got none that can be read; the first: .*a\.jpg"):
        open_stream(str(tmp_path))


def test_from_beyond_the_last_picture_is_an_error(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"expected frames from 3 s on, got none \(it is 0.48 s long\)"):
        open_stream(str(folder), StreamSettings(from_s=3))
