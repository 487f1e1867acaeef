"""The table of bench/video_speed.py; the whole is run by hand."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from openplate.evaluate.video import ClipRun
from openplate.types import WatchCounts

SCRIPT = Path(__file__).parents[2] / "bench" / "video_speed.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("video_speed", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_row_gives_times_a_frame_and_multiples_of_real_time_and_of_decoding(script: ModuleType) -> None:
    """100 frames of 4 s, watched in 0.8 s on the clock and 0.5 s of the processor, decoded in 0.2 s: 8 and 5 ms a frame, 5 times real time."""
    counts = WatchCounts(
        frames=100, detector_runs=16, straightener_runs=8, reader_runs=10, read=1, unreadable=0, crossed_in=0, crossed_out=0, rejected=()
    )
    run = ClipRun((), {}, (), counts, plays_s=4.0, watch_s=0.8, watch_cpu_s=0.5, decode_s=0.2, decode_cpu_s=0.2)
    assert script.row("gate.mp4", run).split() == ["gate.mp4", "100", "8.00", "5.00", "5.0", "5.0", "4.0", "4.0", "2.0", "2.5"]


def test_numbers_stand_under_their_headings(script: ModuleType) -> None:
    counts = WatchCounts(
        frames=1, detector_runs=0, straightener_runs=0, reader_runs=0, read=0, unreadable=0, crossed_in=0, crossed_out=0, rejected=()
    )
    line = script.row("a clip of a long name.mp4", ClipRun((), {}, (), counts, 1.0, 1.0, 1.0, 1.0, 1.0))
    for words, number in (("frames", "1"), ("ms a frame", "1000.00"), ("processor ms", "1000.00"), ("× decoding", "1.0")):
        end = script.HEADING.index(words) + len(words)
        assert line[:end].endswith(number)
