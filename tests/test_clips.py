import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openplate.clips import Clip, SeenPlate, TrueTrack, Truth, load_clips, load_truth, write_clips, write_truth
from openplate.errors import DatasetError
from openplate.geometry import box_to_quad

TRACK = TrueTrack(3, "A123BC77", "RU", "RU/1", 1, 0, 1, True, "still")


def folder_with(tmp_path: Path, labels: Any, *names: str) -> Path:
    for name in names:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "labels.json").write_text(labels if isinstance(labels, str) else json.dumps(labels), encoding="utf8")
    return tmp_path


def test_labels_that_are_written_are_read_again(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "a.truth.json"):
        (tmp_path / name).write_bytes(b"")
    clips = (
        Clip(tmp_path / "a.mp4", "RU", ("A123BC77", "B1"), ("B1",), ("C2",), "a note", tmp_path / "a.truth.json"),
        Clip(tmp_path / "b.mp4", "CN,VN", ("浙A8254S",)),
    )
    write_clips(tmp_path, clips)
    assert load_clips(tmp_path) == clips


def test_one_clip_is_read_from_the_labels_beside_it(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {n: {"country": "RU", "plates": [n], "parked": []} for n in ("a.mp4", "b.mp4")}, "a.mp4", "b.mp4")
    assert [clip.plates for clip in load_clips(folder / "b.mp4")] == [("b.mp4",)]


def test_folder_of_pictures_is_a_clip_beside_its_labels(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    folder_with(tmp_path, {"frames": {"country": "RU", "plates": [], "parked": []}})
    assert load_clips(tmp_path / "frames")[0].path == tmp_path / "frames"


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ("[", "expected a JSON object"),
        ({}, "expected an object with a clip's name"),
        ({"b.mp4": {"country": "RU", "plates": [], "parked": []}}, "b.mp4 is not there"),
        ({"a.mp4": {"country": "RU", "plates": []}}, "key 'parked' is missing"),
        ({"a.mp4": {"country": "RU", "plates": [], "parked": [], "plate": 1}}, "unknown key 'plate'"),
        ({"a.mp4": {"country": "RU", "plates": "A1", "parked": []}}, "plates: expected a list of texts, got 'A1'"),
        ({"a.mp4": {"country": 7, "plates": [], "parked": []}}, "country: expected a code"),
        ({"a.mp4": {"country": "RU", "plates": [], "parked": ["A1"]}}, "parked: expected texts that are in plates or may, got 'A1'"),
        ({"a.mp4": {"country": "RU", "plates": [], "parked": [], "truth": "t.json"}}, "truth 't.json' is not there"),
        ({"../a.mp4": {"country": "RU", "plates": [], "parked": []}}, "expected a path inside the folder"),
    ],
)
def test_faulty_labels_name_the_fault(tmp_path: Path, labels: Any, fault: str) -> None:
    with pytest.raises(DatasetError, match="labels.json") as error:
        load_clips(folder_with(tmp_path, labels, "a.mp4"))
    assert fault in str(error.value)


def test_clip_without_labels_and_clip_that_labels_do_not_name_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected a folder with labels.json, or a clip beside one"):
        load_clips(tmp_path / "a.mp4")
    folder = folder_with(tmp_path, {"a.mp4": {"country": "RU", "plates": [], "parked": []}}, "a.mp4", "b.mp4")
    with pytest.raises(DatasetError, match=r"it names a\.mp4"):
        load_clips(folder / "b.mp4")


def test_clip_outside_the_folder_cannot_be_labelled(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected a clip inside"):
        write_clips(tmp_path / "clips", [Clip(tmp_path / "a.mp4", "RU", ())])


def test_truth_that_is_written_is_read_again_to_a_tenth_of_a_pixel(tmp_path: Path) -> None:
    plate = SeenPlate(3, box_to_quad(10.04, 20, 70, 33.96), 0.987, 1.26)
    kept = SeenPlate(3, box_to_quad(1, 1, 9, 4), 1.0, 0.0, 0.837)
    truth = Truth(1280, 720, 25.0, ("parked",), (TRACK,), ((plate, kept), ()))
    write_truth(tmp_path / "t.json", truth)
    again = load_truth(tmp_path / "t.json")
    assert (again.width, again.height, again.fps, again.situations, again.tracks) == (1280, 720, 25.0, ("parked",), (TRACK,))
    assert [len(plates) for plates in again.frames] == [2, 0]
    assert [plate.clarity for plate in again.frames[0]] == [None, 0.84]
    seen = again.frames[0][0]
    assert (seen.track, seen.visible, seen.blur_px) == (3, 0.99, 1.3)
    assert np.allclose(seen.quad, box_to_quad(10.0, 20, 70, 34.0), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"version": 2}, "version: expected 1, got 2"),
        ({"tracks": []}, "frame 0: expected one of the tracks"),
        ({"tracks": [{"track": 3}]}, "key 'text' is missing"),
        ({"frames": [[{"track": 3, "quad": [[0, 0]], "visible": 1, "blur_px": 0}]]}, "expected four finite"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_faulty_truth_names_the_fault(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    path = tmp_path / "t.json"
    write_truth(path, Truth(64, 48, 25.0, (), (TRACK,), ((SeenPlate(3, box_to_quad(1, 1, 9, 4), 1.0, 0.0),),)))
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf8")) | change), encoding="utf8")
    with pytest.raises(DatasetError, match=r"t\.json") as error:
        load_truth(path)
    assert fault in str(error.value)


def test_missing_truth_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected the truth of a drawn clip"):
        load_truth(tmp_path / "none.json")
