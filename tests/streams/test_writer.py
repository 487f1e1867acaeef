import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from openplate.errors import SourceError
from openplate.streams import StreamSettings, open_stream
from openplate.streams.writer import VideoWriter
from tests.streams.clips import CORNER, HEIGHT, WIDTH, draw, number, write_clip

TIMES = [0.0, 0.04, 0.1, 0.5, 0.52, 1.0, 1.2, 1.25]


def sounds(path: Path) -> list[tuple[float, bytes]]:
    """Time and bytes of each packet of sound."""
    with av.open(str(path)) as container:
        start_s = (container.start_time or 0) / 1e6
        return [(float((packet.pts or 0) * packet.time_base) - start_s, bytes(packet)) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_images_come_back_with_their_times(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"out.{suffix}"
    with VideoWriter(path, 25, (WIDTH, HEIGHT)) as writer:
        for i, time_s in enumerate(TIMES):
            writer.write(draw(i), 3 + time_s)
        assert writer.frames == 8
    with open_stream(str(path)) as stream:
        frames = list(stream)
        assert stream.warnings == () or "missing" in stream.warnings[0]
    assert [number(f.image) for f in frames] == list(range(8))
    assert [f.time_s for f in frames] == pytest.approx(TIMES, abs=0.0006)
    assert np.abs(frames[0].image[2:6, 4:20].mean(axis=(0, 1)) - CORNER).max() < 20


def test_images_without_times_follow_each_other_at_the_rate(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 10, (WIDTH, HEIGHT)) as writer:
        for i in range(4):
            writer.write(draw(i))
    with open_stream(str(tmp_path / "out.mp4")) as stream:
        assert [f.time_s for f in stream] == pytest.approx([0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize(("source", "target"), [("mp4", "mp4"), ("mkv", "mp4"), ("ts", "mp4"), ("ts", "mkv"), ("mp4", "mov")])
def test_the_sound_of_the_source_is_copied_byte_by_byte_in_time_with_the_pictures(tmp_path: Path, source: str, target: str) -> None:
    clip = write_clip(tmp_path / f"street.{source}", sound=True)
    path = tmp_path / f"out.{target}"
    with open_stream(str(clip)) as stream, VideoWriter(path, 25, (stream.width, stream.height), audio_from=str(clip)) as writer:
        for frame in stream:
            writer.write(frame.image, frame.time_s)
        assert writer.warnings == ()
    before, after = sounds(clip), sounds(path)
    assert len(after) > 12
    if source != "ts":  # a transport stream wraps every packet once more
        assert {data for _, data in after} <= {data for _, data in before}
    ends_s = after[-1][0] - before[-1][0]
    assert abs(ends_s) < 0.14, "less than one packet of sound"


def test_the_sound_starts_with_the_first_image(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "street.mp4", sound=True)
    path = tmp_path / "out.mp4"
    with (
        open_stream(str(clip), StreamSettings(from_s=1.0, stride=2)) as stream,
        VideoWriter(path, 12.5, (stream.width, stream.height), audio_from=str(clip)) as writer,
    ):
        for frame in stream:
            writer.write(frame.image, frame.time_s)
    before, after = sounds(clip), sounds(path)
    where = {data: time_s for time_s, data in before}
    moved = [where[data] - time_s for time_s, data in after[1:] if data in where]
    assert len(moved) > 3 and moved == pytest.approx([1.0] * len(moved), abs=0.03)
    with open_stream(str(path)) as stream:
        assert [f.time_s for f in stream] == pytest.approx([0.08 * i for i in range(13)], abs=0.001)


def test_a_source_without_sound_gives_a_silent_file_and_no_warning(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "street.mp4", count=3)
    with VideoWriter(tmp_path / "out.mp4", 25, (WIDTH, HEIGHT), audio_from=str(clip)) as writer:
        writer.write(draw(0))
    assert writer.warnings == ()
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_sound_that_cannot_be_had_is_left_out_with_a_warning(tmp_path: Path) -> None:
    for source, reason in (("rtsp://camera/street", "only that of a file can be copied"), (str(tmp_path / "gone.mp4"), "got nothing")):
        with VideoWriter(tmp_path / "out.mp4", 25, (WIDTH, HEIGHT), audio_from=source) as writer:
            writer.write(draw(0))
        (warning,) = writer.warnings
        assert warning.startswith("the sound is left out: ") and reason in warning


def test_odd_and_changing_sizes_are_scaled(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 25, (WIDTH + 1, HEIGHT + 1)) as writer:
        writer.write(draw(5))
        writer.write(np.repeat(np.repeat(draw(6), 2, axis=0), 2, axis=1))
    with open_stream(str(tmp_path / "out.mp4")) as stream:
        assert (stream.width, stream.height) == (WIDTH, HEIGHT)
        assert [number(f.image) for f in stream] == [5, 6]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_what_was_written_before_a_crash_can_be_read(tmp_path: Path, suffix: str) -> None:
    with VideoWriter(tmp_path / f"out.{suffix}", 25, (WIDTH, HEIGHT)) as writer:
        for i in range(160):
            writer.write(draw(i))
        shutil.copy(tmp_path / f"out.{suffix}", tmp_path / f"left.{suffix}")
    with open_stream(str(tmp_path / f"left.{suffix}")) as stream:
        shown = [number(f.image) for f in stream]
    assert len(shown) >= 50 and shown == list(range(len(shown)))


def test_a_time_that_goes_back_is_an_error(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 25, (WIDTH, HEIGHT)) as writer:
        writer.write(draw(0), 1.0)
        writer.write(draw(1), 1.5)
        with pytest.raises(SourceError, match=r"out\.mp4: expected an image later than 1.5 s, got one at 1.2 s"):
            writer.write(draw(2), 1.2)


def test_two_images_at_the_same_time_are_both_kept(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 25, (WIDTH, HEIGHT)) as writer:
        for i, time_s in enumerate((0.0, 0.5, 0.5, 1.0)):
            writer.write(draw(i), time_s)
    with open_stream(str(tmp_path / "out.mp4")) as stream:
        assert [number(f.image) for f in stream] == [0, 1, 2, 3]


def test_an_unknown_suffix_or_an_unwritable_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected a name that ends in one of \.mp4 \.mov \.mkv, got '\.avi'"):
        VideoWriter(tmp_path / "out.avi", 25, (WIDTH, HEIGHT))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SourceError, match="cannot be written"):
        VideoWriter(tmp_path / "file" / "out.mp4", 25, (WIDTH, HEIGHT))


def test_a_writer_without_images_leaves_no_file(tmp_path: Path) -> None:
    VideoWriter(tmp_path / "out.mp4", 25, (WIDTH, HEIGHT)).close()
    assert not (tmp_path / "out.mp4").exists()
