"""Judging clips: each situation has its sightings written down by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from openplate.charset import Charset
from openplate.clips import Clip, SeenPlate, TrueTrack, Truth, write_truth
from openplate.errors import DatasetError
from openplate.evaluate.tracks import TrackScore
from openplate.evaluate.video import (
    NOTHING_SAID,
    ClipRun,
    Fused,
    Said,
    SingleLook,
    VideoReport,
    _as_ended,
    combine_reports,
    evaluate_clip,
    judge,
    video_row,
    watch_clip,
)
from openplate.formats import load_formats, select
from openplate.geometry import box_to_quad
from openplate.read.decode import Decoder
from openplate.types import Candidate, Crop, Detection, Image, Quad, Reading, Sighting, SightingEvent, WatchCounts

HERE, THERE, NOWHERE = box_to_quad(100, 100, 180, 120), box_to_quad(300, 100, 380, 120), box_to_quad(500, 300, 580, 320)
COUNTS = WatchCounts(
    frames=50, detector_runs=20, straightener_runs=6, reader_runs=8, read=0, unreadable=0, crossed_in=0, crossed_out=0, rejected=(("glimpse", 2),)
)


def sighting(name: str, text: str | None, first_s: float = 0.0, quad: Quad = HERE, frame: int = 10, known: str = "", looks: int = 4) -> Sighting:
    best = text or known
    reading = Reading(best, 0.97 if text else 0.4, (), (Candidate(best, 0.97 if text else 0.4, None),), "RU", None, 1)
    status = "read" if text else "unreadable"
    reasons = () if text else ("unsure",)
    return Sighting(
        name,
        status,
        text,
        reading,
        first_s,
        first_s + 1,
        looks,
        looks,
        0.9,
        frame,
        frame / 25,
        quad,
        None,
        None,
        "approaching",
        None,
        False,
        None,
        reasons,
    )


def run_of(
    *sightings: Sighting,
    told: tuple[SightingEvent, ...] = (),
    looks: tuple[SingleLook, ...] = (),
    tracks: dict[int, tuple[tuple[str, Quad], ...]] | None = None,
) -> ClipRun:
    events = (*told, *(SightingEvent("closed", 2.0, s) for s in sightings))
    return ClipRun(events, tracks or {}, looks, COUNTS, plays_s=2.0, watch_s=0.5, watch_cpu_s=0.5, decode_s=0.1, decode_cpu_s=0.1)


def clip_of(*plates: str, may: tuple[str, ...] = ()) -> Clip:
    return Clip(Path("gate.mp4"), "RU", plates, (), may)


def truth_of(**tracks: tuple[str, Quad]) -> Truth:
    """50 frames in which each track stands still: `t0=("A1", HERE)`."""
    named = {int(name[1:]): value for name, value in tracks.items()}
    true = tuple(TrueTrack(i, text, "RU", "RU/1", 1, 0, 49, False, "approaching") for i, (text, _) in named.items())
    plates = tuple(SeenPlate(i, quad, 1.0, 0.0) for i, (_, quad) in named.items())
    return Truth(640, 360, 25.0, (), true, tuple(plates for _ in range(50)))


@pytest.mark.parametrize(
    ("situation", "clip", "texts", "right", "missed", "wrong", "doubled", "allowed"),
    [
        ("each plate once", clip_of("A1", "B2"), ["B2", "A1"], 2, 0, 0, 0, 0),
        ("one not seen", clip_of("A1", "B2"), ["A1"], 1, 1, 0, 0, 0),
        ("one character wrong: wrong and missed", clip_of("A1"), ["A7"], 0, 1, 1, 0, 0),
        ("seen twice: right and doubled", clip_of("A1"), ["A1", "A1"], 1, 0, 0, 1, 0),
        ("a plate that may be missing is missing", clip_of("A1", may=("B2",)), ["A1"], 1, 0, 0, 0, 0),
        ("it is seen", clip_of("A1", may=("B2",)), ["A1", "B2"], 1, 0, 0, 0, 1),
        ("it is seen twice", clip_of("A1", may=("B2",)), ["A1", "B2", "B2"], 1, 0, 0, 1, 1),
        ("a caption is read", clip_of(), ["NEWS24"], 0, 0, 1, 0, 0),
        ("two vehicles with the same text", clip_of("A1", "A1"), ["A1", "A1"], 2, 0, 0, 0, 0),
        ("spaces and look-alikes of another alphabet do not matter", clip_of("A123BC77"), ["а 123 вс 77"], 1, 0, 0, 0, 0),
        ("nothing to see, nothing seen", clip_of(), [], 0, 0, 0, 0, 0),
    ],
)
def test_sightings_against_labels(
    situation: str, clip: Clip, texts: list[str], right: int, missed: int, wrong: int, doubled: int, allowed: int
) -> None:
    report = judge(clip, run_of(*(sighting(str(i), text, first_s=i) for i, text in enumerate(texts))))
    found = (report.right.right, report.count("missed"), report.count("wrong"), report.count("doubled"), report.allowed)
    assert found == (right, missed, wrong, doubled, allowed), situation
    assert report.accepted == len(texts) and report.count("extra") == 0


def test_unreadable_sighting_is_no_wrong_text_and_explains_what_was_missed() -> None:
    report = judge(clip_of("A1"), run_of(sighting("1", None, known="A1")))
    assert (report.accepted, report.unreadable, report.count("missed"), report.count("wrong")) == (0, 1, 1, 0)
    assert [(one.outcome, one.truth, one.text, one.reason) for one in report.judged] == [("missed", "A1", "A1", "unreadable: unsure")]


def test_groups_of_equal_characters_count_as_one() -> None:
    assert judge(clip_of("A0"), run_of(sighting("1", "AO"))).right.right == 0
    assert judge(clip_of("A0"), run_of(sighting("1", "AO")), alike=("O0",)).right.right == 1


def test_text_where_full_truth_has_no_plate_is_extra() -> None:
    report = judge(
        clip_of("A1"), run_of(sighting("1", "A1"), sighting("2", "A7", quad=HERE), sighting("3", "NEWS", quad=NOWHERE)), truth_of(t0=("A1", HERE))
    )
    assert [(one.outcome, one.truth, one.text) for one in report.judged] == [("right", "A1", "A1"), ("wrong", "A1", "A7"), ("extra", None, "NEWS")]
    assert report.wrong.right == 2 and report.wrong.total == 3


def test_time_to_the_first_right_text_counts_from_when_the_plate_came_in_sight() -> None:
    told = (
        SightingEvent("open", 0.9, sighting("1", "A7")),
        SightingEvent("update", 1.4, sighting("1", "A1")),
    )
    run = run_of(sighting("1", "A1", first_s=0.6), told=told)
    assert judge(clip_of("A1"), run).judged[0].late_s == pytest.approx(1.4 - 0.6)
    far = SeenPlate(0, box_to_quad(100, 100, 140, 110), 1.0, 0.0)  # 40 px wide: not in sight yet
    whole = truth_of(t0=("A1", HERE))
    truth = Truth(640, 360, 25.0, (), whole.tracks, tuple((far,) if i < 10 else plates for i, plates in enumerate(whole.frames)))
    report = judge(clip_of("A1"), run, truth)
    assert report.judged[0].late_s == pytest.approx(1.4 - 10 / 25)
    assert report.late_s == pytest.approx((1.0, 1.0))
    assert report.revised == 1


def test_tracks_count_where_plates_are_in_sight_and_only_when_they_became_sightings() -> None:
    """50 frames: `1` follows A1 in 40 of them, `2` stands where no plate is in 10, `3` never became a sighting."""
    tracks = {i: (("1", HERE),) if i < 40 else (("2", NOWHERE), ("3", HERE)) for i in range(50)}
    report = judge(clip_of("A1"), run_of(sighting("1", "A1"), sighting("2", None, quad=NOWHERE), tracks=tracks), truth_of(t0=("A1", HERE)))
    assert report.tracking == TrackScore(matched=40, wrong=10, missed=10, switches=0, fragments=0, tracks=1)
    assert report.tracking_plates == TrackScore(matched=40, wrong=0, missed=10, switches=0, fragments=0, tracks=1)


def test_parts_of_one_sighting_count_under_its_id_and_once_a_frame() -> None:
    joined = {"3": "2", "2": "1"}
    assert {name: quad is HERE for name, quad in _as_ended([("3", HERE), ("4", THERE)], joined)} == {"1": True, "4": False}
    assert [(name, quad is THERE) for name, quad in _as_ended([("2", HERE), ("1", THERE)], joined)] == [("1", True)]


def test_fusing_is_compared_with_the_first_the_clearest_and_the_surest_look() -> None:
    looks = (
        SingleLook(3, HERE, "A7", 0.5),
        SingleLook(5, HERE, "A4", 0.8),
        SingleLook(9, HERE, "A1", 0.7),
        SingleLook(3, THERE, "B2", 0.9),
        SingleLook(5, THERE, "B7", 0.4),
        SingleLook(5, NOWHERE, "C3", 0.9),
    )
    still = truth_of(t0=("A1", HERE), t1=("B2", THERE))
    clear = {(9, 0): 0.8, (5, 0): 0.7, (5, 1): 0.9, (3, 1): 0.6}
    frames = tuple(tuple(replace(plate, clarity=clear.get((i, plate.track), 0.5)) for plate in plates) for i, plates in enumerate(still.frames))
    run = run_of(sighting("1", "A1"), sighting("2", "B2", quad=THERE), looks=looks)
    report = judge(clip_of("A1", may=("B2",)), run, replace(still, frames=frames))
    assert report.fused == (
        Fused(80.0, True, 3, first=Said(False, 0.5), clearest=Said(True, 0.7), surest=Said(False, 0.8), fused=Said(True, 0.97), given=True),
        Fused(80.0, False, 2, first=Said(True, 0.9), clearest=Said(False, 0.4), surest=Said(True, 0.9), fused=Said(True, 0.97), given=True),
    )
    for needed, counts in ((True, (1, 3, 1, 0, 1, 0)), (False, (2, 5, 1, 1, 1, 0))):
        groups = [
            (g.name, g.plates, g.looks, g.first_wrong, g.clearest_wrong, g.best_wrong, g.fused_wrong) for g in report.fused_groups(needed=needed)
        ]
        assert groups == [("60-90", *counts), ("all", *counts)]
    unmeasured = judge(clip_of("A1", may=("B2",)), run, still)
    assert [f.clearest for f in unmeasured.fused] == [None, None]
    assert [(group.clearest_wrong, group.given_clearest_wrong) for group in unmeasured.fused_groups()] == [(None, None), (None, None)]


def test_texts_given_out_are_compared_with_as_many_of_the_surest_single_looks() -> None:
    """Four plates, of which fusing gives three texts out, one of them wrong: of the three surest single looks the same, of the three clearest ones two are."""
    quads = [box_to_quad(100.0 * i, 100, 100.0 * i + 80, 120) for i in range(4)]
    said = (  # plate, what its sighting says, its clearest look, its surest look
        ("A1", "A1", ("A7", 0.90), ("A1", 0.97)),
        ("B2", "B2", ("B2", 0.80), ("B2", 0.91)),
        ("C3", "C8", ("C8", 0.85), ("C8", 0.96)),
        ("D4", None, ("D9", 0.30), ("D9", 0.60)),
    )
    looks = tuple(SingleLook(frame, quads[i], *look) for i, (_, _, *two) in enumerate(said) for frame, look in enumerate(two))
    sightings = [sighting(str(i), text, quad=quads[i]) for i, (_, text, *_) in enumerate(said)]
    still = truth_of(**{f"t{i}": (true, quads[i]) for i, (true, *_) in enumerate(said)})
    frames = tuple(tuple(replace(plate, clarity=0.9 if i == 0 else 0.5) for plate in plates) for i, plates in enumerate(still.frames))
    group = judge(clip_of("A1", "B2", "C3", "D4"), run_of(*sightings, looks=looks), replace(still, frames=frames)).fused_groups()[-1]
    assert (group.plates, group.clearest_wrong, group.best_wrong, group.fused_wrong) == (4, 3, 2, 2)
    assert (group.given, group.given_clearest_wrong, group.given_best_wrong, group.given_wrong) == (3, 2, 1, 1)


def test_of_two_sightings_of_a_plate_the_one_with_a_text_is_compared() -> None:
    looks = (SingleLook(3, HERE, "A1", 0.9), SingleLook(4, HERE, "", 0.0))
    run = run_of(sighting("1", "A1", looks=2), sighting("2", None, looks=5), looks=looks)
    (fused,) = judge(clip_of("A1"), run, truth_of(t0=("A1", HERE))).fused
    assert fused.fused.right and fused.given


def test_plates_with_one_look_and_those_too_narrow_are_not_compared() -> None:
    narrow = box_to_quad(300, 100, 349, 112)
    looks = (SingleLook(3, HERE, "A1", 0.5), SingleLook(3, narrow, "B2", 0.5), SingleLook(4, narrow, "B2", 0.5))
    report = judge(clip_of("A1", may=("B2",)), run_of(looks=looks), truth_of(t0=("A1", HERE), t1=("B2", narrow)))
    assert report.fused == ()


def test_plates_that_may_be_missing_are_compared() -> None:
    looks = (SingleLook(3, THERE, "B2", 0.5), SingleLook(4, THERE, "B7", 0.9))
    report = judge(clip_of(may=("B2",)), run_of(looks=looks), truth_of(t1=("B2", THERE)))
    assert [(f.first.right, f.surest.right, f.fused, f.given) for f in report.fused] == [(True, False, NOTHING_SAID, False)]


def test_costs_by_hand() -> None:
    report = judge(clip_of("A1"), run_of(sighting("1", "A1"), sighting("2", None, quad=NOWHERE)))
    assert report.runs_a_sighting() == (10.0, 3.0, 4.0)
    assert report.cost.times_real_time == pytest.approx(4.0)
    assert report.cost.times_decoding == pytest.approx(5.0)
    assert video_row(report)[-3:] == ["10 3 4", "4.0", "5.0"]


def test_several_clips_are_one() -> None:
    first = judge(clip_of("A1"), run_of(sighting("1", "A1")), truth_of(t0=("A1", HERE)))
    second = judge(clip_of("B2"), run_of(sighting("1", "C3")))
    whole = combine_reports([first, second])
    assert (whole.clips, whole.expected, whole.accepted, whole.right.right, whole.wrong.right) == (2, 2, 2, 1, 1)
    assert whole.tracking == first.tracking and whole.cost.plays_s == 4.0 and whole.cost.frames == 100
    assert whole.rejected == (("glimpse", 4),)
    data = whole.as_json()
    assert data["right"]["share"] == 0.5 and [f["reason"] for f in data["failures"]] == ["gate.mp4", "gate.mp4: no sighting"]


def test_report_without_sightings_has_no_shares() -> None:
    report = judge(clip_of(), run_of())
    assert (report.right.share, report.wrong.share, report.late_s, report.runs_a_sighting()) == (None, None, None, None)
    assert video_row(report)[8:14] == ["-"] * 6


class _OnePlate:
    """Finds a white plate of 80×20 px where one is drawn, and reads A123BC77 from every look."""

    def __init__(self) -> None:
        self.decoder = Decoder(select(load_formats(), ["RU"]), Charset())

    def detect(self, image: Image) -> list[Detection]:
        ys, xs = np.nonzero(image[..., 0] > 200)
        return [Detection(box_to_quad(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), 0.9)] if len(xs) else []

    def straighten(self, image: Image, quad: Quad) -> Quad:
        return quad

    def log_probabilities(self, crop: Crop) -> np.ndarray:
        charset = Charset()
        said = np.full((96, len(charset)), -12.0, np.float32)
        said[:, 0] = 0.0
        for i, character in enumerate("A123BC77"):
            said[2 + 5 * i, 0], said[2 + 5 * i, charset.encode(character)[0]] = -12.0, 0.0
        return said


def picture_clip(folder: Path, count: int) -> Path:
    """Pictures of 320×180 px on which a plate with texture moves right by 4 px a frame."""
    (folder / "clip").mkdir()
    texture = np.random.default_rng(3).integers(205, 255, (20, 80, 1), np.uint8)
    texture[4:16, 10:70:8] = 40
    for i in range(count):
        image = np.full((180, 320, 3), 90, np.uint8)
        image[80:100, 20 + 4 * i : 100 + 4 * i] = texture
        assert cv2.imwrite(str(folder / "clip" / f"{i:03d}.png"), image)
    return folder / "clip"


def test_clip_is_watched_and_measured(tmp_path: Path) -> None:
    path = picture_clip(tmp_path, 30)
    quads = [box_to_quad(20 + 4 * i, 80, 100 + 4 * i, 100) for i in range(30)]
    truth = Truth(
        320, 180, 25.0, (), (TrueTrack(0, "A123BC77", "RU", "RU/1", 1, 0, 29, False, "across"),), tuple((SeenPlate(0, q, 1.0, 0.0),) for q in quads)
    )
    write_truth(tmp_path / "clip.truth.json", truth)
    report = evaluate_clip(_OnePlate(), Clip(path, "RU", ("A123BC77",), truth=tmp_path / "clip.truth.json"))
    assert isinstance(report, VideoReport)
    assert (report.right.right, report.accepted, report.count("wrong", "extra", "doubled", "missed")) == (1, 1, 0)
    assert report.tracking is not None and report.tracking.missed <= 3 and report.tracking.switches == 0
    assert report.cost.frames == 30 and report.cost.plays_s == pytest.approx(1.2)
    assert report.cost.watch_s > 0 and report.cost.decode_s > 0


def test_every_look_is_heard_with_its_frame(tmp_path: Path) -> None:
    run = watch_clip(_OnePlate(), picture_clip(tmp_path, 12), fps=25.0)
    assert len(run.looks) == run.counts.reader_runs > 0
    for look in run.looks:
        assert look.text == "A123BC77"
        assert look.quad[0, 0] == pytest.approx(20 + 4 * look.frame, abs=3)


def test_truth_with_other_frames_than_the_clip_is_an_error(tmp_path: Path) -> None:
    path = picture_clip(tmp_path, 3)
    write_truth(tmp_path / "t.json", Truth(320, 180, 25.0, (), (), ((), ())))
    with pytest.raises(DatasetError, match="the truth has 2 frames, the clip 3"):
        evaluate_clip(_OnePlate(), Clip(path, "RU", (), truth=tmp_path / "t.json"))
