"""The command on a folder of painted frames, with a pipeline that says what a test tells it to."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import openplate.pipeline
from openplate.camera import Camera
from openplate.cli import main
from openplate.cli.watch import Stop, id_prefix, stop_on_signals, summary
from openplate.pipeline import Options
from openplate.sightings_json import SIGHTING_CSV_HEADER
from openplate.sources import read_image, write_image
from openplate.streams import GivenFrames
from openplate.types import Frame, WatchCounts
from tests.track.scenes import Film, Shown

TEXT = "A123BC77"
FRAMES = 24


def film() -> Film:
    return Film(lambda n: [Shown("a", TEXT, 100 + 6 * n, 150)])


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames") / "street"
    painter = film()
    for n in range(FRAMES):
        write_image(folder / f"{n:03}.png", painter.frame(n).image)
    return folder


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """The options of the pipelines that were made."""
    options: list[Options] = []

    def make(given: Options) -> Film:
        options.append(given)
        return film()

    monkeypatch.setattr(openplate.pipeline, "Pipeline", make)
    return options


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["watch", *map(str, arguments)])


def events(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_each_news_is_a_line_of_json(street: Path) -> None:
    result = run(street)
    assert result.exit_code == 0, result.stderr
    told = events(result)
    assert [(e["event"], e["state"], e["id"], e["text"]) for e in told] == [
        ("sighting", "open", "street-1", TEXT),
        ("sighting", "closed", "street-1", TEXT),
    ]
    assert told[-1]["last_s"] == round((FRAMES - 1) / 25, 3)


def test_final_prints_closed_sightings_alone(street: Path) -> None:
    assert [e["state"] for e in events(run(street, "--final"))] == ["closed"]


def test_csv_prints_a_header_and_rows(street: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run(street, "--csv", "--final").stdout)))
    assert [(row["state"], row["text"]) for row in rows] == [("closed", TEXT)]
    assert tuple(rows[0]) == SIGHTING_CSV_HEADER


def test_summary_tells_sightings_speed_and_runs(street: Path) -> None:
    first, second = run(street).stderr.splitlines()[:2]
    assert first.startswith(f"1 read, 0 unreadable; {FRAMES} frames (0.9 s) in ")
    assert first.endswith("× real time")
    assert second.startswith("network runs: detector ")


def test_evidence_is_frame_crop_and_json_of_one_frame(street: Path, tmp_path: Path) -> None:
    result = run(street, "--evidence", tmp_path / "seen")
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["street-1.crop.png", "street-1.frame.jpg", "street-1.json"]
    data = json.loads((tmp_path / "seen/street-1.json").read_text(encoding="utf8"))
    assert data == events(result)[-1]
    saved = read_image(tmp_path / "seen/street-1.frame.jpg")[0].image.astype(int)
    painter = film()
    off = [abs(saved - painter.frame(n).image).mean() for n in range(FRAMES)]
    assert off.index(min(off)) == data["frame"]


def test_marked_video_has_every_frame(street: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    assert run(street, "--annotate", tmp_path / "out.mp4").exit_code == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_options_come_before_the_cameras_file(street: Path, tmp_path: Path, made: list[Options]) -> None:
    camera = tmp_path / "gate.toml"
    camera.write_text(f'name = "gate"\nsource = "{street.as_posix()}"\ncountry = ["kz"]\n[watch]\nmin_confidence = 1.0\n', encoding="utf8")
    told = events(run("--camera", camera))
    assert [(e["id"], e["status"]) for e in told] == [("gate-1", "unreadable")]
    told = events(run("--camera", camera, "--country", "ru", "--min-confidence", "0.5", "--final"))
    assert [(e["id"], e["status"]) for e in told] == [("gate-1", "read")]
    assert [options.country for options in made] == [("kz",), ("ru",)]


def test_part_of_the_frames_is_watched_when_asked(street: Path) -> None:
    assert "12 frames" in run(street, "--stride", "2").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "expected a SOURCE"),
        (["nowhere.mp4"], 1, "nowhere.mp4"),
        (["--camera", "nowhere.toml"], 1, "expected a camera's TOML file"),
        (["x", "--min-confidence", "2"], 2, "--min-confidence"),
        (["x", "--jsonl", "--csv"], 2, "--jsonl and --csv exclude each other"),
        (["x", "--from", "3", "--to", "2"], 2, "--to: expected more than --from (3), got 2"),
    ],
)
def test_mistake_is_one_line_without_a_traceback(arguments: list[str], code: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_source_is_never_written_over(street: Path, tmp_path: Path) -> None:
    clip = tmp_path / "gate.mp4"
    clip.write_bytes(b"a video")
    (tmp_path / "link.mp4").symlink_to(clip)
    (tmp_path / "o").mkdir()
    for source, *output in (
        (clip, "--annotate", clip),
        (clip, "--annotate", tmp_path / "o/../gate.mp4"),
        (clip, "--annotate", tmp_path / "link.mp4"),
        (street, "--evidence", street),
    ):
        result = run(source, *output)
        assert result.exit_code == 2 and "which would be written over" in result.stderr, output
    assert clip.read_bytes() == b"a video" and len(list(street.iterdir())) == FRAMES


def test_evidence_folder_that_cannot_be_made_is_one_line(street: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = run(street, "--evidence", tmp_path / "taken/seen")
    assert result.exit_code == 1
    assert result.stderr.strip().endswith(f"{tmp_path / 'taken/seen'}: the folder cannot be made: not a directory")


def test_unknown_country_of_a_camera_s_file_is_named_with_file_and_key(street: Path, tmp_path: Path) -> None:
    camera = tmp_path / "gate.toml"
    camera.write_text(f'source = "{street.as_posix()}"\nonly = ["xx"]\n', encoding="utf8")
    result = run("--camera", camera)
    assert result.exit_code == 1 and f"{camera}: only: country 'xx' is not known" in result.stderr
    assert run("--camera", camera, "--only", "ru").exit_code == 0


def test_ctrl_c_while_the_networks_are_loaded_ends_with_130(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(options: Options) -> Film:
        raise KeyboardInterrupt

    monkeypatch.setattr(openplate.pipeline, "Pipeline", load)
    result = run(street)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_closes_every_sighting(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Film.detect

    def detect(self: Film, image: object) -> object:
        if len(self.detected) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, image)  # type: ignore[arg-type]

    monkeypatch.setattr(Film, "detect", detect)
    result = run(street, "--evidence", street.parent / "seen")
    assert result.exit_code == 130
    assert events(result)[-1]["state"] == "closed"
    assert (street.parent / "seen/street-1.json").exists()
    assert "read" in result.stderr.splitlines()[0]


def test_signal_while_waiting_ends_the_waiting_and_the_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)

    class Waiting(GivenFrames):
        def __next__(self) -> Frame:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().__next__()

    with stop_on_signals() as stop:
        assert list(stop.frames(Waiting([film().frame(0)]))) == []
        assert stop.asked
    assert signal.getsignal(signal.SIGINT) == before


def test_window_that_is_closed_stops_without_an_error() -> None:
    stop = Stop()
    frames = stop.frames(GivenFrames([film().frame(n) for n in range(3)]))
    next(frames)
    stop.by_window = True
    assert list(frames) == []
    assert not stop.asked


def test_summary_of_a_live_source_tells_drops_and_returns() -> None:
    stream = GivenFrames([film().frame(0)])
    stream.live, stream.dropped, stream.reconnects = True, 7, 2
    counts = WatchCounts(50, 9, 8, 8, 2, 1, 3, 1, (("masked", 4), ("unsure", 1)))
    assert summary(counts, 2.0, 4.0, stream) == [
        "2 read, 1 unreadable; 50 frames (2.0 s) in 4.0 s: 12.5 frames/s",
        "dropped frames: 7; reconnected: 2",
        "network runs: detector 9, straightener 8, reader 8 (2.7 a sighting)",
        "rejected: masked 4, unsure 1",
        "crossed the line: 3 in, 1 out",
    ]


def test_ids_of_a_live_source_never_come_twice() -> None:
    stream = GivenFrames([Frame(film().frame(0).image, "my street/cam 1.mp4")])
    assert id_prefix(Camera(), stream) == "cam-1"
    assert id_prefix(Camera(name="gate"), stream) == "gate"
    stream.live, stream.started_at = True, 1_700_000_000.0
    assert id_prefix(Camera(name="gate"), stream) == "gate-20231114T221320Z"
