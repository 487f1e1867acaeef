import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from openplate.clips import WHOLE, Clip, SeenPlate, TrueTrack, Truth, load_clips, load_truth
from openplate.errors import ConfigError, DatasetError
from openplate.formats import Automaton, load_formats, select
from openplate.geometry import box_to_quad, quad_iou, quad_size
from openplate.synthesize.photos import Photo
from openplate.synthesize.sequences import (
    READABLE_CLARITY,
    DrawnSequence,
    SequenceSettings,
    draw_frames,
    is_readable,
    is_usable,
    label_clip,
    write_sequences,
)
from openplate.types import Image

RU = select(load_formats(), ["RU"])[0]
Frames = list[tuple[Image, tuple[SeenPlate, ...]]]


def settings(*situations: str, seconds: float = 2.0, fps: float = 10.0, plate_px: tuple[float, float] = (30, 40)) -> SequenceSettings:
    return SequenceSettings(seconds, fps, 320, 180, plate_px, situations)


def draw(
    *situations: str, seed: int = 1, seconds: float = 2.0, plate_px: tuple[float, float] = (30, 40), photo: Photo | None = None
) -> tuple[Frames, Truth]:
    sequence = DrawnSequence(RU, settings(*situations, seconds=seconds, plate_px=plate_px), seed, photo)
    frames = list(sequence)
    return frames, sequence.truth([seen for _, seen in frames])


def widths(truth: Truth, track: int) -> list[float]:
    return [quad_size(p.quad)[0] for plates in truth.frames for p in plates if p.track == track]


def test_same_seed_draws_the_same_frames_and_so_does_looking_again() -> None:
    sequence = DrawnSequence(RU, settings("approach", "shake", seconds=0.5), 3)
    again, other = DrawnSequence(RU, settings("approach", "shake", seconds=0.5), 3), DrawnSequence(RU, settings("approach", "shake", seconds=0.5), 4)
    first = [image for image, _ in sequence]
    assert all(np.array_equal(a, b) for a, (b, _) in zip(first, sequence, strict=True))
    assert all(np.array_equal(a, b) for a, (b, _) in zip(first, again, strict=True))
    assert not np.array_equal(first[0], next(iter(other))[0])


def test_picture_is_that_frame_with_its_plates_and_those_hidden_are_covered() -> None:
    sequence = DrawnSequence(RU, settings("occluded", "stop", "parked", seconds=6.0), 11)
    covered = set()
    for number, (frame, seen) in enumerate(sequence):
        picture = sequence.picture(number)
        assert np.abs(picture.image.astype(int) - frame).mean() < 6, "grain alone differs"
        assert all(np.array_equal(quad, plate.quad) for quad, plate in zip(picture.quads, seen, strict=True))
        assert picture.covered == tuple(plate.visible < 0.5 for plate in seen)
        assert len(picture.texts) == len(picture.upright) == len(seen) and not any(picture.upright)
        covered |= set(picture.covered)
    assert covered == {False, True}


def test_signs_of_a_picture_are_in_it_and_move_with_the_camera() -> None:
    shaken = next(one for one in (DrawnSequence(RU, settings("approach", "shake"), seed) for seed in range(40)) if one.picture(0).signs)
    pictures = [shaken.picture(number) for number in (0, 9)]
    for picture in pictures:
        assert all(sign.max() > 0 and (sign.min(axis=0) < (320, 180)).all() for sign in picture.signs)
    places = [np.array([sign.mean(axis=0) for sign in picture.signs]) for picture in pictures]
    assert 0 < np.abs(places[0][0] - places[1][0]).max() < 60


def test_drawn_frames_are_the_same_for_a_seed_and_of_several_sequences() -> None:
    first, again = (draw_frames([RU], (), 8, random.Random(5)) for _ in range(2))
    assert len(first) == 8 and {photo.image.shape for photo in first} == {(720, 1280, 3)}
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, again, strict=True))
    texts = [text for photo in first for text in photo.texts]
    assert texts and all(text and Automaton(RU.types).matches(text) for text in texts)
    assert not np.array_equal(first[0].image, first[-1].image)


def test_frames_have_the_size_and_number_asked_for_and_texts_fit_the_country() -> None:
    frames, truth = draw("parked")
    assert len(frames) == len(truth.frames) == 20
    assert {image.shape for image, _ in frames} == {(180, 320, 3)} and frames[0][0].dtype == np.uint8
    automaton = Automaton(RU.types)
    assert truth.tracks
    for track in truth.tracks:
        assert track.country == "RU" and track.format in [t.name for t in automaton.matches(track.text)]


def test_parked_vehicle_stands_where_it_is() -> None:
    _, truth = draw("parked")
    for track in truth.tracks:
        quads = [p.quad for plates in truth.frames for p in plates if p.track == track.track]
        assert (track.parked, track.direction, track.first, track.last) == (True, "still", 0, 19)
        assert all(np.array_equal(quad, quads[0]) for quad in quads)


@pytest.mark.parametrize(("situation", "direction"), [("approach", "approaching"), ("recede", "receding")])
def test_vehicles_come_nearer_or_drive_away(situation: str, direction: str) -> None:
    _, truth = draw(situation, seed=2, seconds=5.0)
    assert {track.direction for track in truth.tracks if track.last - track.first > 5} == {direction}
    sign = 1 if situation == "approach" else -1
    assert truth.tracks and all((np.diff(widths(truth, t.track)) * sign > -0.3).all() for t in truth.tracks)


def test_plates_become_as_wide_as_asked_for() -> None:
    _, truth = draw("stop", seed=3, seconds=6.0, plate_px=(60, 70))
    assert 50 < max(widths(truth, truth.tracks[0].track)) < 95


def test_crossing_vehicles_change_sides() -> None:
    _, truth = draw("cross", seed=0, seconds=7.0)
    first, second = (t.track for t in truth.tracks[:2])
    sides = []
    for plates in truth.frames:
        places = {p.track: float(p.quad[:, 0].mean()) for p in plates}
        if first in places and second in places:
            sides.append(places[first] > places[second])
    assert len(set(sides)) == 2


def test_plate_behind_something_is_seen_less_and_then_again() -> None:
    _, truth = draw("stop", "occluded", seed=4, seconds=5.0)
    shares = [p.visible for plates in truth.frames for p in plates if p.track == truth.tracks[0].track]
    darkest = int(np.argmin(shares))
    assert shares[darkest] < 0.3
    assert max(shares[:darkest]) > 0.95 and max(shares[darkest:]) > 0.95


def test_quads_lie_on_the_plates() -> None:
    """Inside a plate's quad there are letters, so its contrast is higher than that of the street in front of it."""
    frames, _ = draw("stop", seed=3, seconds=5.0, plate_px=(70, 80))
    image, seen = frames[30]
    plate = max(seen, key=lambda p: quad_size(p.quad)[0])
    crop = cv2.warpPerspective(image, cv2.getPerspectiveTransform(plate.quad, box_to_quad(0, 0, 100, 24)), (100, 24))
    middle = crop[4:20, 5:95].mean(axis=2)
    assert np.percentile(middle, 90) - np.percentile(middle, 5) > 60
    assert np.abs(np.diff(middle, axis=1)).mean() > 8


def test_night_is_darker_than_day() -> None:
    day, night = (draw(*names, seed=5, seconds=0.3)[0][0][0].mean() for names in (("parked",), ("parked", "night")))
    assert night < 0.8 * day


def test_shaking_camera_moves_parked_plates_a_little() -> None:
    _, truth = draw("parked", "shake", seed=2, seconds=4.0)
    track = next(t for t in truth.tracks if t.last - t.first > 20)
    centres = np.array([p.quad.mean(axis=0) for plates in truth.frames for p in plates if p.track == track.track])
    assert 0.3 < centres.std(axis=0).max() < 30
    assert track.parked


def test_overlay_hides_what_lies_under_it_and_leaves_the_rest() -> None:
    plain, with_texts = (draw(*names, seed=9, seconds=0.2)[0][0][0].astype(int) for names in (("parked",), ("parked", "texts")))
    changed = (np.abs(plain - with_texts).max(axis=2) > 60).mean(axis=1)
    assert changed.max() > 0.01  # some rows
    assert (changed == 0).mean() > 0.5  # most rows are untouched


def test_photo_with_an_open_road_gets_vehicles_and_one_with_a_near_plate_gets_another_plate() -> None:
    image = np.random.default_rng(1).integers(90, 110, (180, 320, 3), np.uint8)
    quad = box_to_quad(140, 100, 180, 110)
    road = Photo(image, (), (), ())
    near = Photo(image, (quad,), (True,), (None,))
    _, on_road = draw("approach", seed=2, seconds=4.0, photo=road)
    assert "approach" in on_road.situations and on_road.tracks
    _, repainted = draw("approach", "texts", seed=2, plate_px=(40, 80), photo=near)
    assert (repainted.situations, len(repainted.tracks)) == (("texts",), 1)
    first = repainted.frames[0][0]
    assert quad_iou(first.quad, quad) > 0.1 and first.visible > 0.9
    assert Automaton(RU.types).matches(repainted.tracks[0].text)
    sequence = DrawnSequence(RU, settings("texts", plate_px=(40, 80)), 2, near)
    recorded, (plate,) = next(iter(sequence))
    assert sequence.clarity(recorded, plate) > 0.4
    assert sequence.clarity(recorded[:, ::-1], plate) < 0.3, "elsewhere"


def test_photos_with_plates_larger_than_asked_for_are_not_used() -> None:
    image = np.zeros((180, 320, 3), np.uint8)
    near = Photo(image, (box_to_quad(100, 100, 180, 120),), (True,), (None,))  # 80 px, at 640 px 160 px
    wide = SequenceSettings(width=640, height=360, plate_px=(60, 170))
    assert is_usable(near, wide)
    assert not is_usable(near, SequenceSettings(width=640, height=360, plate_px=(60, 160)))


@pytest.mark.parametrize(
    ("situation", "plate", "lines", "expected"),
    [
        ("60×14 px, whole, sharp", SeenPlate(0, box_to_quad(0, 0, 60, 14), 1.0, 0.5), 1, True),
        ("cut by 6 %", SeenPlate(0, box_to_quad(0, 0, 60, 14), 0.94, 0.5), 1, False),
        ("11 px high", SeenPlate(0, box_to_quad(0, 0, 60, 11), 1.0, 0.5), 1, False),
        ("59 px wide", SeenPlate(0, box_to_quad(0, 0, 59, 13), 1.0, 0.5), 1, False),
        ("two rows in 23 px", SeenPlate(0, box_to_quad(0, 0, 60, 23), 1.0, 0.5), 2, False),
        ("two rows in 24 px", SeenPlate(0, box_to_quad(0, 0, 60, 24), 1.0, 0.5), 2, True),
        ("moves by 3 px of 14", SeenPlate(0, box_to_quad(0, 0, 60, 14), 1.0, 3.0), 1, False),
        ("kept by the recording", SeenPlate(0, box_to_quad(0, 0, 60, 14), 1.0, 0.5, READABLE_CLARITY), 1, True),
        ("smeared by the recording", SeenPlate(0, box_to_quad(0, 0, 60, 14), 1.0, 0.5, READABLE_CLARITY - 0.01), 1, False),
    ],
)
def test_what_has_to_be_read(situation: str, plate: SeenPlate, lines: int, expected: bool) -> None:
    assert is_readable(plate, lines) == expected, situation


def test_plates_that_are_readable_in_five_frames_must_be_seen_and_others_may_be() -> None:
    tracks = tuple(TrueTrack(i, text, "RU", "RU/1", 1, 0, 7, i == 1, "still") for i, text in enumerate(("A1", "B2", "C3")))
    large, small = box_to_quad(0, 0, 80, 18), box_to_quad(0, 40, 40, 49)
    frames = tuple((SeenPlate(0, large, 1.0, 0.0), SeenPlate(1, large, 1.0, 0.0 if i < 4 else 9.0), SeenPlate(2, small, 1.0, 0.0)) for i in range(5))
    clip = label_clip(Path("x.mp4"), Truth(320, 180, 25.0, ("parked",), tracks, frames), "RU")
    assert (clip.plates, clip.may, clip.parked, clip.note) == (("A1",), ("B2", "C3"), ("B2",), "parked")
    faint = label_clip(Path("x.mp4"), Truth(320, 180, 25.0, (), tracks, frames), "RU", faint=[0])
    assert faint.plates == ()


@pytest.mark.parametrize(("pictures", "name"), [(False, "000.mp4"), (True, "000")])
def test_written_sequence_is_a_labelled_clip_with_its_truth(tmp_path: Path, pictures: bool, name: str) -> None:
    if not pictures:
        pytest.importorskip("av")
    done: list[int] = []
    write_sequences(tmp_path, [RU], 1, 7, (), settings("parked", seconds=0.6), pictures, done.append)
    (clip,) = load_clips(tmp_path)
    assert isinstance(clip, Clip) and clip.truth is not None
    assert (clip.path, clip.country, clip.note) == (tmp_path / name, "RU", "parked")
    assert set(clip.plates + clip.may) == {track.text for track in load_truth(clip.truth).tracks}
    assert len(load_truth(clip.truth).frames) == sum(done) == 6
    seen = [plate for frame in load_truth(clip.truth).frames for plate in frame]
    assert all((plate.clarity is not None) == (plate.visible >= WHOLE) for plate in seen if abs(plate.visible - WHOLE) > 0.005)
    assert 0.05 < max(plate.clarity or 0.0 for plate in seen) < 1
    if pictures:
        assert len(list((tmp_path / name).iterdir())) == 6
    else:
        assert (tmp_path / name).stat().st_size > 1000


def test_pictures_of_an_earlier_run_are_not_mixed_with_new_ones(tmp_path: Path) -> None:
    (tmp_path / "000").mkdir()
    (tmp_path / "000" / "000099.jpg").write_bytes(b"old")
    with pytest.raises(DatasetError, match="000: holds pictures of an earlier run"):
        write_sequences(tmp_path, [RU], 1, 7, (), settings("parked", seconds=0.2), True, lambda _: None)


def test_folder_that_holds_clips_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text("{}", encoding="utf8")
    with pytest.raises(DatasetError, match="holds labelled clips already"):
        write_sequences(tmp_path, [RU], 1, 7, (), settings("parked"), True, lambda _: None)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"seconds": 0}, "expected up to 3600 seconds"),
        ({"fps": 0}, "1 to 120 frames a second"),
        ({"width": 321}, "an even size"),
        ({"height": 100}, "at least 160x120"),
        ({"plate_px": (90, 60)}, "the smaller first"),
        ({"plate_px": (60, 700)}, "half the picture's width"),
        ({"situations": ("fog",)}, "situation 'fog' is not known; expected approach"),
    ],
)
def test_settings_out_of_range_are_named(values: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError) as error:
        SequenceSettings(**values)  # type: ignore[arg-type]
    assert fault in str(error.value)


def test_every_mix_by_chance_has_a_vehicle() -> None:
    wanted = {"approach", "recede", "stop", "cross", "parked"}
    from openplate.synthesize import sequences

    for seed in range(60):
        assert wanted & set(sequences._choose_situations((), random.Random(seed)))
