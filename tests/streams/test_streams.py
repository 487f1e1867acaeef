import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from openplate.errors import SourceError
from openplate.streams import GivenFrames, Stream, StreamSettings, open_stream
from openplate.types import Frame
from tests.streams.clips import write_clip


def test_given_frames_are_a_stream() -> None:
    frames = [Frame(np.zeros((20, 30, 3), np.uint8), "made", i, i / 5) for i in range(3)]
    stream: Stream = GivenFrames(frames, fps=5)
    with stream:
        assert (stream.name, stream.width, stream.height, stream.frames_total, stream.duration_s) == ("made", 30, 20, 3, 0.6)
        assert [frame.index for frame in stream] == [0, 1, 2]
    with pytest.raises(SourceError):
        GivenFrames([])


def test_a_closed_stream_gives_nothing_more(tmp_path: Path) -> None:
    stream = open_stream(str(write_clip(tmp_path / "street.mp4")))
    next(stream)
    stream.close()
    assert next(stream, None) is None
    stream.close()


def test_a_folder_of_frames_needs_no_av(tmp_path: Path) -> None:
    from openplate.sources import write_image

    write_image(tmp_path / "0.png", np.zeros((20, 30, 3), np.uint8))
    code = (
        "import sys\nsys.modules['av'] = None\nfrom openplate.streams import open_stream\n"
        f"print(len(list(open_stream({str(tmp_path)!r}))))\n"
        "try:\n    open_stream('0')\nexcept ModuleNotFoundError as error:\n    print(str(error.name).split('.')[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "av"]


def test_the_examples_of_the_document_work(tmp_path: Path) -> None:
    document = Path(__file__).parents[2] / "docs" / "video-sources.md"
    reading, writing = re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf8"), re.DOTALL)
    write_clip(tmp_path / "street.mp4", count=20, sound=True)
    done = subprocess.run([sys.executable, "-c", reading], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "160 96 25.0 False",
        *(f"{i} {i / 25} (96, 160, 3)" for i in (13, 15, 17, 19)),
        "0 0 ()",
    ]
    subprocess.run([sys.executable, "-c", writing], cwd=tmp_path, check=True)
    with open_stream(str(tmp_path / "out.mp4")) as stream:
        assert len(list(stream)) == 20


def test_every_setting_is_in_the_document_with_its_default() -> None:
    document = (Path(__file__).parents[2] / "docs" / "video-sources.md").read_text(encoding="utf8")
    rows = dict(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|", document.split("## In Python")[1], re.MULTILINE))
    told = {name.strip("`"): value for names, values in rows.items() for name, value in zip(names.split(", "), values.split(", "), strict=True)}
    real = {
        one.name: "none" if one.default is None else f"{one.default:g}" if isinstance(one.default, float) else str(one.default)
        for one in fields(StreamSettings)
    }
    assert told == real


def test_a_webcam_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(SourceError, match=r"^97: expected a video, got none"):
        open_stream("97", StreamSettings(open_timeout_s=2))


def test_a_webcam_is_read_live_with_the_size_and_rate_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    # libav's drawn source stands for the device; it is asked in the same way.
    monkeypatch.setattr("openplate.streams.video.webcam_input", lambda _: ("testsrc=size=64x48:rate=25,realtime", "lavfi"))
    with open_stream("0", StreamSettings(fps=25, to_s=0.5)) as stream:
        assert stream.live and (stream.width, stream.height) == (64, 48)
        times = [frame.time_s or 0.0 for frame in stream]
    assert len(times) > 3 and times == sorted(times) and times[-1] < 0.5
