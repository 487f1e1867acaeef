import random

import numpy as np
import pytest

from openplate.evaluate.tracks import FrameMatch, TrackScore, combine_scores, match_frame, score_tracks
from openplate.geometry import box_to_quad


def frame(true: str, found: str, **pairs: float) -> FrameMatch:
    """A frame with true plates such as "01", followed ones such as "ab", and overlaps such as p0a=0.8 (others are 0)."""
    table = [[pairs.get(f"p{t}{f}", 0.0) for f in found] for t in true]
    return FrameMatch(tuple(int(t) for t in true), tuple(found), np.array(table, dtype=float).reshape(len(true), len(found)))


SEEN, GONE, OTHER = frame("0", "a", p0a=0.9), frame("0", ""), frame("0", "b", p0b=0.9)
BOTH = frame("01", "ab", p0a=0.9, p0b=0.6, p1a=0.6)
SWAPPED = [frame("01", "ab", p0a=0.8, p1b=0.8)] * 3 + [frame("01", "ab", p0b=0.8, p1a=0.8)] * 3


@pytest.mark.parametrize(
    ("situation", "frames", "matched", "wrong", "missed", "switches", "fragments"),
    [
        ("followed all the time", [SEEN] * 4, 4, 0, 0, 0, 0),
        ("never followed", [GONE] * 4, 0, 0, 4, 0, 0),
        ("only something else followed", [frame("", "a")] * 4, 0, 4, 0, 0, 0),
        ("nothing at all", [frame("", "")] * 4, 0, 0, 0, 0, 0),
        ("beside it by more than half", [frame("0", "a", p0a=0.49)] * 4, 0, 4, 4, 0, 0),
        ("exactly half is enough", [frame("0", "a", p0a=0.5)] * 4, 4, 0, 0, 0, 0),
        ("lost for a while, found by the same track: a fragment", [SEEN, SEEN, GONE, SEEN], 3, 0, 1, 0, 1),
        ("lost at the end: no fragment", [SEEN, SEEN, GONE, GONE], 2, 0, 2, 0, 0),
        ("found late: no fragment", [GONE, GONE, SEEN, SEEN], 2, 0, 2, 0, 0),
        ("hidden for a while: not counted, no fragment", [SEEN, frame("", ""), SEEN], 2, 0, 0, 0, 0),
        ("found again by another track: switch and fragment; 3 frames of one track are best", [SEEN, SEEN, SEEN, GONE, OTHER, OTHER], 3, 2, 3, 1, 1),
        ("taken over by another track at once: a switch", [SEEN, SEEN, OTHER], 2, 1, 1, 1, 0),
        ("and given back: two switches", [SEEN, OTHER, SEEN], 2, 1, 1, 2, 0),
        ("two plates swap their tracks half way: half of all is matched", SWAPPED, 6, 6, 6, 2, 0),
        ("two tracks on one plate: one of them is wrong", [frame("0", "ab", p0a=0.9, p0b=0.8)] * 3, 3, 3, 0, 0, 0),
        ("a closer track does not take over while the old one still overlaps", [SEEN, frame("0", "ab", p0a=0.6, p0b=0.9)], 2, 1, 0, 0, 0),
        ("two plates, two tracks, one pair only: both are matched", [BOTH], 2, 0, 0, 0, 0),
    ],
)
def test_scores_of_small_situations(
    situation: str, frames: list[FrameMatch], matched: int, wrong: int, missed: int, switches: int, fragments: int
) -> None:
    score = score_tracks(frames)
    assert (score.matched, score.wrong, score.missed, score.switches, score.fragments) == (matched, wrong, missed, switches, fragments), situation


def test_idf1_by_hand() -> None:
    assert TrackScore(3, 2, 3, 1, 1, 1).idf1 == pytest.approx(6 / 11)
    assert TrackScore(0, 0, 0, 0, 0, 0).idf1 is None


def test_frame_takes_as_many_pairs_as_possible_before_the_closest_ones() -> None:
    """0 with a alone would be the closest pair; 0 with b and 1 with a are two. Both were matched, so both are fragments when they come back."""
    assert score_tracks([BOTH, frame("01", ""), BOTH]).fragments == 2


def test_clips_are_added_up() -> None:
    whole = combine_scores([TrackScore(4, 0, 0, 0, 0, 1), TrackScore(0, 4, 4, 2, 1, 2)])
    assert whole == TrackScore(4, 4, 4, 2, 1, 3)
    assert whole.idf1 == 0.5


def test_what_lies_on_an_ignored_plate_is_neither_right_nor_wrong() -> None:
    plate, small, far = box_to_quad(0, 0, 100, 20), box_to_quad(200, 0, 240, 10), box_to_quad(300, 300, 400, 320)
    match = match_frame([(7, plate)], [small], [("a", plate), ("b", small), ("c", far)])
    assert (match.true, match.found) == ((7,), ("a", "c"))
    assert match.overlap.tolist() == [[1.0, 0.0]]


def test_counted_plate_wins_over_an_ignored_one_that_overlaps_less() -> None:
    plate, behind = box_to_quad(0, 0, 100, 20), box_to_quad(0, 8, 100, 28)
    assert match_frame([(7, plate)], [behind], [("a", plate)]).found == ("a",)
    assert match_frame([(7, behind)], [plate], [("a", plate)]).found == ()


def test_followed_plates_too_narrow_to_be_counted_are_left_out_where_nothing_counts() -> None:
    plate, narrow = box_to_quad(0, 0, 52, 12), box_to_quad(1, 0, 50, 12)
    assert match_frame([(7, plate)], [], [("a", narrow)], least_width_px=50).found == ("a",)
    assert match_frame([], [], [("a", narrow)], least_width_px=50).found == ()
    assert match_frame([], [], [("a", plate)], least_width_px=50).found == ("a",)


def test_frame_without_counted_plates_leaves_the_others() -> None:
    quad = box_to_quad(0, 0, 100, 20)
    assert match_frame([], [], [("a", quad)]).found == ("a",)
    assert match_frame([], [quad], [("a", quad)]).found == ()
    assert match_frame([(1, quad)], [], []).overlap.shape == (1, 0)


def test_random_situations_agree_with_motmetrics() -> None:
    motmetrics = pytest.importorskip("motmetrics")
    for seed in range(20):
        rng = random.Random(seed)
        accumulator = motmetrics.MOTAccumulator(auto_id=True)
        frames = []
        for _ in range(rng.randint(3, 20)):
            true = tuple(i for i in range(3) if rng.random() < 0.85)
            found = tuple(j for j in range(4) if rng.random() < 0.7)
            table = np.array([[rng.uniform(0.3, 1) if i == j or rng.random() < 0.2 else 0.0 for j in found] for i in true]).reshape(
                len(true), len(found)
            )
            frames.append(FrameMatch(true, tuple(str(j) for j in found), table))
            accumulator.update(list(true), list(found), np.where(table < 0.5, np.nan, 1 - table))
        names = ["idtp", "idfp", "idfn", "num_switches", "num_fragmentations"]
        expected = motmetrics.metrics.create().compute(accumulator, metrics=names).iloc[0]
        score = score_tracks(frames)
        assert [score.matched, score.wrong, score.missed, score.switches, score.fragments] == [int(expected[name]) for name in names], seed
