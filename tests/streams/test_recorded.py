import copy
import gc
import io
import math
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from openplate.errors import ConfigError, SourceError
from openplate.streams import StreamSettings, open_stream
from openplate.streams.address import parse_source
from openplate.streams.settings import DEFAULT_SETTINGS
from openplate.streams.video import Video
from openplate.types import Image
from tests.streams.clips import CORNER, HEIGHT, WIDTH, cut, draw, number, spoil, write_clip

KINDS = [
    *(("libx264", suffix) for suffix in ("mp4", "mkv", "avi", "mov", "ts")),
    *(("libx265", suffix) for suffix in ("mp4", "mkv", "mov", "ts")),
    *(("mjpeg", suffix) for suffix in ("mp4", "mkv", "avi", "mov")),
]


def seen(source: Path | str, settings: StreamSettings = DEFAULT_SETTINGS) -> list[tuple[int, int, float]]:
    """The number that each frame shows, its index and its time."""
    with open_stream(str(source), settings) as stream:
        return [(number(frame.image), frame.index, frame.time_s or 0.0) for frame in stream]


def grey(image: Image) -> NDArray[np.int64]:
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.int64)


def spread(brightness: NDArray[np.uint8]) -> NDArray[np.int64]:
    """16 to 235 as 0 to 255."""
    return np.round((brightness.astype(float) - 16) * (255 / 219)).clip(0, 255).astype(np.int64)


def expected(numbers: range, fps: float = 25) -> list[tuple[int, int, float]]:
    return [(i, i, pytest.approx(i / fps, abs=1e-6)) for i in numbers]


@pytest.mark.parametrize(("codec", "suffix"), KINDS)
def test_a_file_gives_every_frame_in_order_with_its_time(tmp_path: Path, codec: str, suffix: str) -> None:
    path = write_clip(tmp_path / f"street.{suffix}", codec)
    with open_stream(str(path)) as stream:
        assert (stream.live, stream.fps, stream.width, stream.height, stream.frames_total) == (False, 25, WIDTH, HEIGHT, 50)
        assert stream.duration_s == pytest.approx(2)
        frames = list(stream)
        assert stream.warnings == ()
    assert [(number(f.image), f.index, f.time_s) for f in frames] == expected(range(50))
    assert {f.source for f in frames} == {str(path)}
    first = frames[0].image
    assert first.shape == (HEIGHT, WIDTH, 3) and first.dtype == np.uint8 and first.flags.c_contiguous and first.flags.writeable


def test_frames_are_rgb(tmp_path: Path) -> None:
    with open_stream(str(write_clip(tmp_path / "street.mp4", options={"crf": "5"}))) as stream:
        corner = next(stream).image[2:6, 4:20].mean(axis=(0, 1))
    assert np.abs(corner - CORNER).max() < 12


@pytest.mark.parametrize(
    ("codec", "suffix", "pixels"), [("libx264", "mp4", "yuv420p"), ("mjpeg", "avi", "yuvj420p"), ("ffv1", "mkv", "gray"), ("libx264", "mp4", "nv12")]
)
def test_the_picture_of_a_frame_is_its_image_in_grey_and_needs_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, suffix: str, pixels: str
) -> None:
    made: list[object] = []
    make = Video.image
    monkeypatch.setattr(Video, "image", lambda video, frame: made.append(frame) or make(video, frame))
    with open_stream(str(write_clip(tmp_path / f"street.{suffix}", codec, pixels=pixels))) as stream:
        frame = [next(stream) for _ in range(8)][-1]
    picture = frame.picture
    assert not made
    assert picture.shape == (HEIGHT, WIDTH) and picture.dtype == np.uint8 and not picture.flags.writeable
    full = picture.astype(int) if pixels in ("gray", "yuvj420p") else spread(picture)
    assert np.abs(full - grey(frame.image)).mean() < 2.5
    assert frame.picture is picture and frame.image is frame.image and len(made) == 1


def test_pictures_of_odd_sizes_have_no_padding(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    shades = np.tile(np.arange(63, dtype=np.uint8) * 3 + 20, (37, 1))
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 63, 37, "gray"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(shades, format="gray")))
        output.mux(stream.encode(None))
    with open_stream(str(path)) as opened:
        assert np.array_equal(next(opened).picture, shades)


def test_frames_may_be_asked_for_their_images_in_any_thread_copied_and_sent(tmp_path: Path) -> None:
    with open_stream(str(write_clip(tmp_path / "street.mp4", pixels="yuv444p"))) as stream:
        frames = list(stream)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda frame: number(frame.image), frames)) == list(range(50))
    for again in (pickle.loads(pickle.dumps(frames[7])), copy.copy(frames[7]), copy.deepcopy(frames[7])):
        assert np.array_equal(again.image, frames[7].image)
        assert (again.source, again.index, again.time_s) == (frames[7].source, 7, frames[7].time_s)


def test_the_picture_of_a_frame_without_brightness_is_its_image(tmp_path: Path) -> None:
    with open_stream(str(write_clip(tmp_path / "street.mkv", "ffv1", pixels="bgr0"))) as stream:
        frame = next(stream)
    assert frame.picture is frame.image and np.array_equal(frame.image, draw(0))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_decoder_threads_gives_the_same_frames(tmp_path: Path, threads: int) -> None:
    path = write_clip(tmp_path / "street.mp4")
    assert seen(path, StreamSettings(decode_threads=threads)) == expected(range(50))


@pytest.mark.parametrize(("given", "threads"), [(None, 2), (1, 1), (3, 3)])
def test_a_file_is_decoded_by_two_threads_unless_another_number_is_given(tmp_path: Path, given: int | None, threads: int) -> None:
    address = parse_source(str(write_clip(tmp_path / "street.mp4")))
    with Video(address, StreamSettings(decode_threads=given)) as video:
        assert video.stream.codec_context.thread_count == threads


def test_frames_at_a_variable_rate_keep_their_true_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.1, 0.5, 0.52, 1.0, 1.2, 1.25]
    for suffix in ("mp4", "mkv", "ts"):
        path = write_clip(tmp_path / f"street.{suffix}", count=8, times_s=times)
        assert [time_s for _, _, time_s in seen(path)] == pytest.approx(times, abs=0.0005)


def test_times_start_at_the_start_of_the_file_not_at_its_first_stamp(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "street.mp4", count=3, times_s=[7.0, 7.5, 8.0], container={"use_editlist": "0"})
    assert [time_s for _, _, time_s in seen(path)] == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize(
    ("turn", "upright"),
    [((90, False), cv2.ROTATE_90_COUNTERCLOCKWISE), ((180, False), cv2.ROTATE_180), ((-90, False), cv2.ROTATE_90_CLOCKWISE), ((0, True), None)],
)
def test_a_rotation_flag_is_applied(tmp_path: Path, suffix: str, turn: tuple[float, bool], upright: int | None) -> None:
    path = write_clip(tmp_path / f"phone.{suffix}", count=2, turn=turn)
    wanted = draw(0)[:, ::-1] if upright is None else cv2.rotate(draw(0), upright)
    with open_stream(str(path)) as stream:
        assert (stream.height, stream.width) == wanted.shape[:2]
        frame = next(stream)
        image = frame.image
    assert image.shape == wanted.shape
    assert np.abs(image.astype(int) - wanted).mean() < 8
    assert frame.picture.shape == wanted.shape[:2]
    assert np.abs(spread(frame.picture) - grey(wanted)).mean() < 8


@pytest.mark.parametrize(("codec", "suffix"), [kind for kind in KINDS if kind[1] != "avi" or kind[0] == "mjpeg"] + [("libx264", "avi")])
@pytest.mark.parametrize("from_s", [0.01, 0.36, 0.4, 0.41, 1.22, 1.96])
def test_from_and_to_are_exact_and_keep_index_and_time(tmp_path: Path, codec: str, suffix: str, from_s: float) -> None:
    path = write_clip(tmp_path / f"street.{suffix}", codec)
    first, end = math.ceil(from_s * 25 - 1e-6), min(50, math.ceil((from_s + 0.2) * 25 - 1e-6))
    assert seen(path, StreamSettings(from_s=from_s, to_s=from_s + 0.2)) == expected(range(first, end))


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_from_is_exact_where_pictures_refer_across_key_pictures(tmp_path: Path, suffix: str) -> None:
    options = {"x264-params": "open-gop=1:bframes=3:keyint=12"}
    path = write_clip(tmp_path / f"street.{suffix}", key_every=12, options=options)
    assert seen(path, StreamSettings(from_s=1.0, to_s=1.12)) == expected(range(25, 28))


def test_from_is_exact_in_a_fragmented_file_without_an_index(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "street.mp4", container={"movflags": "frag_keyframe+empty_moov"})
    assert seen(path, StreamSettings(from_s=1.0, to_s=1.12)) == expected(range(25, 28))


def test_from_beyond_the_end_is_an_error_that_says_how_long_the_file_is(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "street.mp4")
    with pytest.raises(SourceError, match=r"street.mp4: expected frames from 9 s on, got none \(it is 2.00 s long\)"):
        open_stream(str(path), StreamSettings(from_s=9))


def test_stride_takes_every_nth_frame_from_the_first_asked_for(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "street.mp4", count=10)
    assert [index for _, index, _ in seen(path, StreamSettings(stride=4))] == [0, 4, 8]
    settings = StreamSettings(stride=4, from_s=0.04)
    assert [index for _, index, _ in seen(path, settings)] == [1, 5, 9]
    with open_stream(str(path), settings) as stream:
        assert stream.frames_total == 3


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_loop_goes_on_in_index_and_time(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path / f"street.{suffix}", count=10)
    frames = seen(path, StreamSettings(loop=3))
    assert [(shown, index) for shown, index, _ in frames] == [(i % 10, i) for i in range(30)]
    assert [time_s for _, _, time_s in frames] == pytest.approx([i / 25 for i in range(30)], abs=1e-5)


def test_pictures_do_not_wait_for_a_garbage_collection(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "street.mp4", turn=(90, False))
    gc.collect()
    gc.disable()
    try:
        with open_stream(str(path), StreamSettings(loop=2)) as stream:
            sizes = [frame.image.size for frame in stream]
            alive = [one for one in gc.get_objects() if isinstance(one, av.VideoFrame) and one.width > 16]
    finally:
        gc.enable()
    assert len(sizes) == 100
    assert len(alive) <= 3


def test_a_loop_without_end_goes_on_until_closed(tmp_path: Path) -> None:
    with open_stream(str(write_clip(tmp_path / "street.mp4", count=5)), StreamSettings(loop=0)) as stream:
        assert stream.frames_total is None
        assert [next(stream).index for _ in range(23)] == list(range(23))
    assert next(stream, None) is None


@pytest.mark.parametrize(
    ("codec", "suffix", "container"), [("libx264", "mp4", {"movflags": "faststart"}), ("libx264", "mkv", {}), ("mjpeg", "avi", {})]
)
def test_a_cut_file_gives_its_first_part_and_says_where_it_ends(tmp_path: Path, codec: str, suffix: str, container: dict[str, str]) -> None:
    path = cut(write_clip(tmp_path / f"street.{suffix}", codec, container=container), 0.6)
    with open_stream(str(path)) as stream:
        frames = [(number(frame.image), frame.time_s or 0.0) for frame in stream]
        warnings = stream.warnings
    assert 10 < len(frames) < 40
    assert frames[:10] == [(i, pytest.approx(i / 25)) for i in range(10)]
    assert warnings[-1] == f"ends at {frames[-1][1] + 0.04:.2f} s, its header promises 2.00 s: the file is cut or its end is damaged"


def test_a_file_cut_before_its_index_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = cut(write_clip(tmp_path / "street.mp4"), 0.5)
    with pytest.raises(SourceError, match=r"street\.mp4: .*cut before its index"):
        open_stream(str(path))


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", "mp4"), ("libx264", "mkv"), ("libx264", "ts"), ("libx265", "mp4"), ("mjpeg", "mkv"), ("mjpeg", "mp4")]
)
def test_a_file_broken_in_the_middle_gives_what_lies_around_and_names_the_place(tmp_path: Path, codec: str, suffix: str) -> None:
    clusters = {"cluster_time_limit": "400"} if suffix == "mkv" else {}  # short ones: reading goes on at the next whole one
    path = spoil(write_clip(tmp_path / f"street.{suffix}", codec, 100, container=clusters), 20, 36)  # 0.80 s to 1.44 s
    with open_stream(str(path)) as stream:
        frames = [(number(frame.image), frame.time_s or 0.0) for frame in stream]
        warnings = stream.warnings
    assert frames[:17] == [(i, pytest.approx(i / 25, abs=1e-3)) for i in range(17)]
    assert frames[-40:] == [(i, pytest.approx(i / 25, abs=1e-3)) for i in range(60, 100)]
    assert [time_s for _, time_s in frames] == sorted(time_s for _, time_s in frames)
    assert len(frames) < 100 and len(warnings) == 1
    first_s, last_s = (float(place) for place in re.findall(r"(\d\.\d\d) s", warnings[0]))
    assert warnings[0].startswith("damaged from ") and 0.6 < first_s < 0.9 and 1.3 < last_s < 2.4


def test_recordings_that_were_joined_byte_by_byte_go_on_in_time(tmp_path: Path) -> None:
    one = write_clip(tmp_path / "one.ts").read_bytes()
    both = tmp_path / "both.ts"
    both.write_bytes(one + one)
    assert seen(both) == [(i % 50, i, pytest.approx(i / 25, abs=1e-3)) for i in range(100)]
    with open_stream(str(both)) as stream:
        list(stream)
        assert stream.warnings == ()


def test_a_broken_avi_whose_packets_are_lost_says_that_it_ends_early(tmp_path: Path) -> None:
    with open_stream(str(spoil(write_clip(tmp_path / "street.avi", "mjpeg"), 20, 30))) as stream:
        shown = [number(frame.image) for frame in stream]
        assert shown[:20] == list(range(20)) and shown[-15:] == list(range(35, 50))
        assert stream.warnings[-1].startswith("ends at 1.6")


def test_damage_that_is_met_again_in_a_loop_is_told_once(tmp_path: Path) -> None:
    path = spoil(write_clip(tmp_path / "street.mp4"), 20, 30)
    told = []
    for loop in (1, 3):
        with open_stream(str(path), StreamSettings(loop=loop)) as stream:
            list(stream)
            told.append(stream.warnings)
    assert told[0] and told[0] == told[1]


def test_a_file_of_noise_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(20_000))
    with pytest.raises(SourceError, match=r"noise\.mp4: expected a video, got none: it is no video"):
        open_stream(str(path))


def test_a_file_of_sound_alone_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "tone.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=8000, layout="mono")
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), format="fltp", layout="mono")
        tone.sample_rate = 8000
        output.mux(stream.encode(tone))
        output.mux(stream.encode(None))
    with pytest.raises(SourceError, match="expected a video, got a file with audio alone"):
        open_stream(str(path))


def test_a_colon_in_a_file_name_is_no_protocol(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "street.mp4", count=3).rename(tmp_path / "rtsp:street.mp4")
    assert len(seen(path)) == 3


def test_a_file_does_not_reach_out_to_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        path = tmp_path / "street.m3u8"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{server.getsockname()[1]}/a.ts\n#EXT-X-ENDLIST\n")
        with pytest.raises(SourceError):
            open_stream(str(path))
        with pytest.raises(TimeoutError):
            server.accept()


# Pipes


class Piped:
    """Standard input that holds bytes."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("codec", "form"),
    [("libx264", "matroska"), ("libx264", "mpegts"), ("mjpeg", "matroska"), ("mjpeg", "mjpeg"), ("wrapped_avframe", "yuv4mpegpipe")],
)
def test_piped_video_gives_every_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, form: str) -> None:
    path = write_clip(tmp_path / "piped", codec, form=form)
    monkeypatch.setattr(sys, "stdin", Piped(path.read_bytes()))
    with open_stream("-") as stream:
        assert not stream.live
        frames = list(stream)
    assert [(number(f.image), f.index, f.time_s, f.source) for f in frames] == [(i, i, pytest.approx(i / 25, abs=1e-3), "-") for i in range(50)]


def test_piped_pictures_without_times_come_at_the_rate_given(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(cv2.imencode(".jpg", draw(i))[1].tobytes() for i in range(10))
    monkeypatch.setattr(sys, "stdin", Piped(data))
    frames = seen("-", StreamSettings(fps=5, from_s=0.5))
    assert [(shown, time_s) for shown, _, time_s in frames] == [(i, pytest.approx(i / 5)) for i in range(3, 10)]


def test_a_pipe_cannot_be_looped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Piped(b""))
    with pytest.raises(ConfigError, match="loop: a pipe can be read once"):
        open_stream("-", StreamSettings(loop=2))


def test_a_pipe_of_something_else_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Piped(b"no video at all, but long enough to look at\n" * 500))
    with pytest.raises(SourceError, match="what is piped is no video"):
        open_stream("-")


def test_an_interrupt_ends_a_pipe_that_is_silent(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "street.ts").read_bytes()
    code = (
        "import signal\nfrom openplate.streams import open_stream\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "print('begin', flush=True)\nfor frame in open_stream('-'): print(frame.index, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin and child.stdout and child.stderr
        assert child.stdout.readline() == b"begin\n"
        child.stdin.write(data)
        child.stdin.flush()
        time.sleep(0.5)
        os.kill(child.pid, signal.SIGINT)
        assert child.wait(10) == -signal.SIGINT
        assert b"KeyboardInterrupt" in child.stderr.read()
