"""What becomes of plates in films: one sighting a visit, and none of what is no plate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from openplate.annotate import cut_plate
from openplate.sources import encode_image
from openplate.track.settings import WatchSettings
from openplate.types import Detection, Image, Plate, Quad, SightingEvent
from openplate.watch import Watcher
from tests.track.scenes import FPS, Film, Says, Shown, closed, lines, play, view

TEXT, OTHER, THIRD = "A123BC77", "B456MM99", "E789KX50"
UNSURE: Says = ["A", {"1": 0.6, "7": 0.4}, *"23BC77"]
STRANGE: Says = ["C", "A", {"F": 0.6, "E": 0.4}, *"E24"]
"""As unsure, and with a text that hardly any plate has."""


def drive(face: str, says: str, start: float = 60.0, speed: float = 4.0, y: float = 150.0) -> Callable[[int], Shown]:
    """A plate that moves to the right by `speed` px a frame."""
    return lambda number: Shown(face, says, start + speed * number, y)


def watch(film: Film, frames: int, settings: WatchSettings = WatchSettings(), first: int = 0) -> tuple[list[SightingEvent], Watcher]:  # noqa: B008
    watcher = Watcher(film, settings)
    return play(watcher, film, range(first, frames)) + watcher.close(), watcher


def only(events: list[SightingEvent]) -> SightingEvent:
    """The one event that closes something."""
    (event,) = [event for event in events if event.state == "closed"]
    return event


# --- one visit, one sighting


def test_plate_that_passes_is_one_sighting_with_its_text() -> None:
    car = drive("a", TEXT)
    events, watcher = watch(Film(lambda n: [car(n)] if n < 50 else []), 80)
    assert lines(events) == [("open", "1", TEXT), ("closed", "1", TEXT)]
    sighting = events[-1].sighting
    assert (sighting.status, sighting.direction, sighting.heading, sighting.parked) == ("read", "across", "right", False)
    assert (sighting.first_s, sighting.last_s) == (0.0, 49 / FPS)
    assert (watcher.counts.read, watcher.counts.unreadable) == (1, 0)


def test_sure_plate_is_hardly_read_again_and_detected_now_and_then() -> None:
    car = drive("a", TEXT, speed=2.0)
    film = Film(lambda n: [car(n)])
    _, watcher = watch(film, 50)
    assert len(film.read) == watcher.counts.reader_runs == watcher.counts.straightener_runs <= 3
    assert len(film.detected) == watcher.counts.detector_runs <= 9  # 2 s at one in 0.24 s


def test_detector_looks_ever_less_often_at_a_still_and_empty_picture() -> None:
    """The first time after 0.48 s, then each time a quarter longer, at most 1.92 s: 12, 15, 19, 24, 30, 37, 46, 48 and 48 frames of 0.04 s."""
    film = Film(lambda n: [])
    watch(film, 280)
    assert film.detected == [0, 12, 27, 46, 70, 100, 137, 183, 231, 279]


def test_plate_that_comes_into_a_picture_long_empty_is_detected_within_the_trigger() -> None:
    film = Film(lambda n: [Shown("a", TEXT, 300 + 4 * (n - 200), 150)] if n >= 200 else [])
    watch(film, 220)
    assert [n for n in film.detected if n > 183] == [200, 206, 212, 218]


def test_detector_looks_every_0_48_s_at_a_plate_that_stands() -> None:
    film = Film(lambda n: [Shown("a", TEXT, 300, 150)])
    watch(film, 100)
    assert film.detected == [0, *range(12, 100, 12)]


def test_how_telling_a_look_would_be_is_asked_only_where_it_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plate that stands: at its first look, after the least wait, and where something else asks for a look."""
    asked = []

    def weigh(image: Image, quad: Quad) -> float:
        asked.append(quad)
        return 0.5

    monkeypatch.setattr("openplate.watch._weigh", weigh)
    film = Film(lambda n: [Shown("a", TEXT, 300, 150)])
    watch(film, 100)
    assert len(film.read) <= len(asked) <= len(film.read) + len(film.detected)


def test_parked_plate_is_one_sighting_that_is_heard_of_again_at_the_interval() -> None:
    film = Film(lambda n: [Shown("a", TEXT, 300, 150)])
    settings = WatchSettings(parked_s=2.0, parked_update_s=4.0)
    events, _ = watch(film, 300, settings)
    assert [(e.state, e.sighting.parked, round(e.time_s)) for e in events] == [
        ("open", False, 1),
        ("update", True, 2),
        ("update", True, 6),
        ("update", True, 10),
        ("closed", True, 12),
    ]
    assert {e.sighting.id for e in events} == {"1"}
    assert events[-1].sighting.direction == "still"


def test_parked_plate_is_read_less_and_less() -> None:
    film = Film(lambda n: [Shown("a", [{"A": 0.9, "4": 0.05}, *"123BC77"], 300, 150)])
    watch(film, 500)
    first, last = (sum(low <= n / FPS < low + 10 for n, _ in film.read) for low in (0, 10))
    assert first <= 9
    assert last <= 2


@pytest.mark.parametrize(
    ("growth", "says", "least", "most"),
    [(1.0, UNSURE, 1, 3), (1.03, UNSURE, 10, 13), (1.03, TEXT, 1, 4), (1.03, "", 1, 4), (1.03, "CAFE24", 1, 4)],
    ids=["no clearer", "clearer", "sure", "nothing written", "sure of what is no plate"],
)
def test_unsure_plate_is_read_again_as_soon_as_it_is_clearer(
    monkeypatch: pytest.MonkeyPatch, growth: float, says: Says, least: int, most: int
) -> None:
    """Between looks at one that does not get clearer waits grow, and a sure one is read again where it is much clearer."""
    monkeypatch.setattr("openplate.watch._weigh", lambda image, quad: 0.05 * growth ** int(image[0, 0, 1]))
    film = Film(lambda n: [Shown("a", says, 60 + 6 * n, 150)])
    watch(film, 75)
    assert least <= sum(n >= 50 for n, _ in film.read) <= most


@pytest.mark.parametrize("moves", [True, False], ids=["moving", "standing"])
def test_short_occlusion_makes_no_second_sighting(moves: bool) -> None:
    car = drive("a", TEXT, start=100, speed=3.0 if moves else 0.0)
    wall = Shown("wall", "", 250 if moves else 100, 150, width=190, found=0)
    film = Film(
        lambda n: (
            [car(n), *([wall] if 30 <= n < 75 else [])] if not moves else [Shown("a", TEXT, car(n).x, 150, found=0 if 20 <= n < 85 else 0.9), wall]
        )
    )
    events, _ = watch(film, 140)
    assert closed(events) == [TEXT]
    assert [e.state for e in events].count("open") == 1
    assert only(events).sighting.last_s == 139 / FPS


def test_plate_that_comes_back_within_the_window_joins_its_sighting() -> None:
    away = range(40, 120)
    film = Film(lambda n: [] if n in away else [Shown("a", TEXT, 100 + 4 * n if n < 40 else 600 - 4 * (n - 120), 150)])
    events, _ = watch(film, 200, WatchSettings(rejoin_s=5.0))
    assert [(e.state, e.sighting.id) for e in events if e.state != "update"] == [("open", "1"), ("closed", "1")]
    assert (only(events).sighting.first_s, only(events).sighting.last_s) == (0.0, 199 / FPS)


@pytest.mark.parametrize(
    ("before", "after", "texts"),
    [
        (TEXT, UNSURE, [TEXT]),
        (UNSURE, TEXT, [TEXT]),
        (UNSURE, UNSURE, [None]),
        (TEXT, ["A", {"1": 0.35, "7": 0.65}, *"23BC77"], [TEXT]),
        (TEXT, ["A", {"1": 0.6, "7": 0.4}, *"28BC97"], [TEXT, None]),
        (TEXT, "A128BC77", [TEXT, "A128BC77"]),
    ],
    ids=["unsure of the same", "sure at last", "never sure", "one character differs", "two differ", "surely another one"],
)
def test_unsure_plate_that_comes_back_within_the_window_joins_its_sighting_too(before: Says, after: Says, texts: list[str | None]) -> None:
    film = Film(
        lambda n: [] if 40 <= n < 90 else [Shown("a", before, 100 + 4 * n, 150)] if n < 40 else [Shown("b", after, 600 - 4 * (n - 90), 60, width=88)]
    )
    events, _ = watch(film, 170, WatchSettings(min_confidence=0.95))
    assert closed(events) == texts
    if len(texts) == 1:
        assert (only(events).sighting.first_s, only(events).sighting.last_s) == (0.0, 169 / FPS)


def test_unsure_plate_beside_one_with_a_like_text_stays_a_sighting_of_its_own() -> None:
    film = Film(lambda n: [Shown("a", TEXT, 60 + 4 * n, 60), Shown("b", UNSURE, 60 + 4 * n, 250)])
    events, _ = watch(film, 120, WatchSettings(min_confidence=0.95))
    assert sorted(closed(events), key=str) == [TEXT, None]


def test_plate_that_comes_back_after_the_window_is_a_second_sighting() -> None:
    away = range(40, 120)
    film = Film(lambda n: [] if n in away else [Shown("a", TEXT, 100 + 4 * n if n < 40 else 600 - 4 * (n - 120), 150)])
    events, _ = watch(film, 200, WatchSettings(rejoin_s=2.0))
    assert closed(events) == [TEXT, TEXT]
    first = next(e for e in events if e.state == "closed")
    assert first.sighting.last_s == pytest.approx(39 / FPS, abs=0.05)
    assert first.time_s == pytest.approx(39 / FPS + 2.0, abs=0.1)


def test_another_plate_in_the_same_place_ends_the_sighting() -> None:
    car, next_car = drive("a", TEXT), drive("b", OTHER)
    film = Film(lambda n: [car(n) if n < 40 else next_car(n)])
    events, _ = watch(film, 90)
    assert sorted(closed(events), key=str) == [TEXT, OTHER]
    by_text = {e.sighting.text: e.sighting for e in events if e.state == "closed"}
    assert by_text[TEXT].last_s < 40 / FPS <= by_text[OTHER].first_s
    assert by_text[TEXT].frame < 40 <= by_text[OTHER].frame


def test_one_wrong_look_does_not_split_a_plate() -> None:
    car, wrong = drive("a", TEXT, speed=1.0), drive("a", OTHER, speed=1.0)
    film = Film(lambda n: [wrong(n) if 75 <= n < 76 else car(n)])
    events, _ = watch(film, 200, WatchSettings(check_s=1.0))
    assert closed(events) == [TEXT]


def test_plate_of_which_a_part_is_read_first_is_one_sighting_with_its_whole_text() -> None:
    """It comes in from behind a pole: the first looks show its beginning alone, on a narrower detection."""
    nl = ("ru", "nl")
    whole, part = "A123BC77", "A123BC"
    assert Film(lambda n: [], nl).decoder.fuse([Film(lambda n: [], nl).decoder.look(view(part))]).text == part
    car = drive("a", whole)
    film = Film(lambda n: [Shown("a", part, 60 + 4 * n, 150, width=70, aspect=3.0)] if n < 14 else [car(n)], nl)
    events, _ = watch(film, 60)
    assert closed(events) == [whole]
    assert {event.sighting.id for event in events} == {"1"}


def test_plate_of_which_a_part_is_read_later_keeps_its_text() -> None:
    car = drive("a", TEXT)
    film = Film(lambda n: [car(n)] if n < 20 else [Shown("a", TEXT[:6], 60 + 4 * n, 150)], ("ru", "nl"))
    events, _ = watch(film, 100, WatchSettings(check_s=0.4))
    assert closed(events) == [TEXT] and events[-1].sighting.looks > 6


def test_part_and_whole_that_were_followed_apart_are_one_sighting() -> None:
    """The part is lost for a second before the whole is found, in another place."""
    film = Film(
        lambda n: [Shown("a", TEXT[:6], 60 + 4 * n, 150)] if n < 20 else [Shown("b", TEXT, 300 + 4 * (n - 60), 250)] if n >= 60 else [], ("ru", "nl")
    )
    events, _ = watch(film, 110)
    assert closed(events) == [TEXT]


def test_far_plate_that_becomes_readable_later_is_one_sighting() -> None:
    far = [{"A": 0.4, "4": 0.4}, {"1": 0.5, "7": 0.4}, *"23BC77"]
    film = Film(lambda n: [Shown("a", TEXT if n >= 60 else far, 100 + 3 * n, 150, width=60 + n / 2)])
    events, _ = watch(film, 120)
    assert closed(events) == [TEXT]
    assert only(events).sighting.first_s == 0.0


# --- two plates


def test_near_cars_that_cross_keep_their_texts() -> None:
    def script(n: int) -> list[Shown]:
        behind, before = Shown("a", TEXT, 80 + 4 * n, 150), Shown("b", OTHER, 560 - 4 * n, 156)
        hidden = abs(behind.x - before.x) < 96
        return [Shown("a", TEXT, behind.x, 150, found=0 if hidden else 0.9), before]

    film = Film(script)
    events, _watcher = watch(film, 120)
    assert sorted(closed(events), key=str) == [TEXT, OTHER]
    for event in events:
        sighting = event.sighting
        true_x = 80 + 4 * sighting.frame if sighting.text == TEXT else 560 - 4 * sighting.frame
        assert abs(float(sighting.quad[:, 0].mean()) - true_x) < 5
    assert {sighting.last_s for sighting in (e.sighting for e in events if e.state == "closed")} == {119 / FPS}


def test_cars_side_by_side_are_two_sightings() -> None:
    film = Film(lambda n: [Shown("a", TEXT, 100 + 4 * n, 150), Shown("b", OTHER, 100 + 4 * n, 180)])
    events, _ = watch(film, 80)
    assert sorted(closed(events), key=str) == [TEXT, OTHER]


def test_text_that_is_seen_twice_at_once_is_one_sighting() -> None:
    film = Film(lambda n: [Shown("a", TEXT, 100 + 3 * n, 150), Shown("overlay", TEXT, 500, 40)])
    events, watcher = watch(film, 100)
    assert closed(events) == [TEXT]
    assert dict(watcher.counts.rejected) == {"duplicate": 1}
    assert only(events).sighting.quad[0, 1] > 100


# --- what is no plate


@pytest.mark.parametrize(
    ("says", "reason"),
    [("CAFE24", "static"), (OTHER, None)],
    ids=["only the loosest format", "a plate of the country"],
)
def test_text_that_never_moves_must_fit_a_tight_format(says: str, reason: str | None) -> None:
    film = Film(lambda n: [Shown("sign", says, 300, 150)])
    events, _ = watch(film, 150)
    sighting = only(events).sighting
    assert sighting.status == ("read" if reason is None else "unreadable")
    assert sighting.reasons == (() if reason is None else (reason,))
    assert (sighting.reading.text, sighting.text) == (says, says if reason is None else None)


def test_text_of_the_loosest_format_is_a_sighting_when_it_moves() -> None:
    car = drive("a", "CAFE24")
    events, _ = watch(Film(lambda n: [car(n)]), 80)
    assert closed(events) == ["CAFE24"]


def test_clock_in_the_picture_is_no_sighting() -> None:
    def script(n: int) -> list[Shown]:
        second = int(n / FPS)
        return [Shown(f"clock{second}", f"A{100 + 7 * second}BC7{second % 7}", 500, 30)]

    events, _ = watch(Film(script), 250)
    assert closed(events) == [None]
    assert "disagreeing" in only(events).sighting.reasons


def test_flickering_detections_of_a_still_text_are_no_movement() -> None:
    film = Film(lambda n: [Shown("sign", "CAFE24", 300, 150, width=96)])
    given = film.detect

    def flicker(image: np.ndarray) -> list[Detection]:
        (found,) = given(image)
        number = len(film.detected)
        return [Detection(found.quad + np.float32(24 if number % 4 < 2 else 0) * np.array([1, 0], np.float32), 0.9)]

    film.detect = flicker  # type: ignore[method-assign]
    film.straighten = lambda image, quad: (setattr(film, "_looking", (0, film.script(0)[0])), quad)[1]  # type: ignore[method-assign]
    events, _ = watch(film, 250)
    assert closed(events) == [None]
    assert only(events).sighting.direction == "still"


def test_faint_detections_without_text_are_counted_and_not_reported() -> None:
    film = Film(lambda n: [Shown("a", "", 300 + n, 150, found=0.4)])
    events, watcher = watch(film, 60)
    assert events == []
    assert dict(watcher.counts.rejected) == {"no_plate": 1}
    assert watcher.tracks == ()


def test_clear_detections_without_text_are_one_unreadable_sighting() -> None:
    film = Film(lambda n: [Shown("a", "", 300 + n, 150, found=0.8)])
    events, watcher = watch(film, 60)
    assert lines(events) == [("closed", "1", None)]
    assert only(events).sighting.reasons == ("no_text",)
    assert watcher.counts.unreadable == 1


@pytest.mark.parametrize(("found", "width", "dropped"), [(0.68, 96, {"no_plate": 1}), (0.8, 96, {}), (0.68, 48, {})], ids=["large", "clear", "small"])
def test_things_large_enough_to_read_in_which_there_is_no_text_are_no_plates(found: float, width: float, dropped: dict[str, int]) -> None:
    film = Film(lambda n: [Shown("a", "", 300 + n, 150, width=width, found=found)])
    events, watcher = watch(film, 60)
    assert {reason: n for reason, n in watcher.counts.rejected if reason == "no_plate"} == dropped
    assert [event.sighting.status for event in events] == ([] if dropped else ["unreadable"])


@pytest.mark.parametrize(
    ("says", "found", "moves", "status"),
    [
        ("CAFE24", 0.68, 1, None),
        ("CAFE24", 0.8, 1, "unreadable"),
        (UNSURE, 0.68, 1, "unreadable"),
        (STRANGE, 0.6, 0, None),
        (UNSURE, 0.6, 0, "unreadable"),
        (UNSURE, 0.45, 0, None),
        (UNSURE, 0.7, 0, "unreadable"),
    ],
    ids=["sign", "clear", "plate of the country", "overlay", "faint parked plate", "too faint", "parked plate"],
)
def test_unread_text_that_no_plate_here_has_or_that_never_moves_is_no_plate(says: Says, found: float, moves: int, status: str | None) -> None:
    film = Film(lambda n: [Shown("a", says, 300 + moves * n, 150, found=found)])
    events, watcher = watch(film, 60, WatchSettings(min_confidence=0.9999))
    assert [event.sighting.status for event in events] == ([status] if status else [])
    assert dict(watcher.counts.rejected).get("no_plate", 0) == (status is None)


@pytest.mark.parametrize(
    ("says", "found", "moves", "reported"),
    [
        ("", 0.7, 0, False),
        ("", 0.8, 0, True),
        ("", 0.6, 1, True),
        (STRANGE, 0.6, 0, False),
        (STRANGE, 0.7, 0, True),
        (STRANGE, 0.6, 1, True),
    ],
    ids=["nothing", "nothing, clear", "nothing, moving", "unsure", "unsure, clearer", "unsure, moving"],
)
def test_small_thing_that_never_moves_and_is_not_read_must_be_detected_well(says: Says, found: float, moves: int, reported: bool) -> None:
    film = Film(lambda n: [Shown("a", says, 300 + moves * n, 150, width=44, found=found)])  # 11 px high
    events, watcher = watch(film, 60, WatchSettings(min_confidence=0.9999))
    assert [event.sighting.status for event in events] == (["unreadable"] if reported else [])
    assert dict(watcher.counts.rejected).get("no_plate", 0) == (not reported)


@pytest.mark.parametrize(("moves", "reported"), [(0, False), (1, True)], ids=["stands", "moves"])
def test_thing_without_text_that_stands_and_is_large_enough_to_read_is_no_plate_however_clear(moves: int, reported: bool) -> None:
    events, watcher = watch(Film(lambda n: [Shown("a", "", 300 + moves * n, 150, width=64, found=0.95)]), 60)  # 16 px high
    assert [event.sighting.status for event in events] == (["unreadable"] if reported else [])
    assert dict(watcher.counts.rejected).get("no_plate", 0) == (not reported)


@pytest.mark.parametrize(("found", "moves", "reported"), [(0.78, 0, False), (0.82, 0, True), (0.78, 1, True)], ids=["sign", "clearer", "moving"])
def test_sign_that_is_surely_read_is_no_plate_where_it_stands_and_is_not_very_clear(found: float, moves: int, reported: bool) -> None:
    film = Film(lambda n: [Shown("a", "CAFE24", 300 + moves * n, 150, found=found)])
    events, watcher = watch(film, 60, WatchSettings(min_confidence=0.9999))
    assert [event.sighting.status for event in events] == (["unreadable"] if reported else [])
    assert dict(watcher.counts.rejected).get("no_plate", 0) == (not reported)


@pytest.mark.parametrize(("moves", "reported"), [(0, False), (1, True)], ids=["stands", "moves"])
def test_text_that_no_plate_anywhere_has_is_no_plate_where_it_stands_however_clear(moves: int, reported: bool) -> None:
    film = Film(lambda n: [Shown("clock", "202011221030", 300 + moves * n, 150, found=0.95)])
    events, watcher = watch(film, 60)
    assert [event.sighting.reasons for event in events] == ([("no_format",)] if reported else [])
    assert dict(watcher.counts.rejected).get("no_plate", 0) == (not reported)


def test_without_a_hint_any_tight_format_makes_a_plate() -> None:
    for says, status in (("京A12345", "unreadable"), ("PARKING", None)):
        film = Film(lambda n, says=says: [Shown("a", says, 300 + n, 150, found=0.68)], country=())
        events, _ = watch(film, 60, WatchSettings(min_confidence=0.9999))
        assert [event.sighting.status for event in events] == ([status] if status else [])


def test_thing_too_large_to_hide_its_text_is_no_plate_however_clear() -> None:
    for width, reported in ((115, True), (130, False)):  # 28.75 and 32.5 px high
        events, _ = watch(Film(lambda n, width=width: [Shown("a", "", 300 + n, 150, width=width, found=0.9)]), 60)
        assert bool(events) == reported


def test_clear_plate_without_text_is_followed_in_sight() -> None:
    for found, shown in ((0.8, 1), (0.68, 0)):
        film = Film(lambda n, found=found: [Shown("a", "", 300 + n, 150, width=60, found=found)])
        watcher = Watcher(film)
        play(watcher, film, range(40))
        assert len(watcher.tracks) == shown
        assert [track.id for track in watcher.followed] == ["1"], "what is not believed so far is followed all the same"


@pytest.mark.parametrize(
    ("speed", "early", "late", "reported"),
    [(1, 0.55, 0.72, True), (1, 0.4, 0.72, True), (1, 0.55, 0.68, False), (0, 0.55, 0.72, False)],
    ids=["clear", "clear, very faint on average", "faint", "never moves"],
)
def test_plate_that_is_faint_from_afar_and_clear_at_last_is_a_plate_without_a_text(speed: int, early: float, late: float, reported: bool) -> None:
    film = Film(lambda n: [Shown("a", "", 200 + speed * n, 150, width=60, found=early if n < 72 else late)])
    events, watcher = watch(film, 100)
    assert [event.sighting.status for event in events] == (["unreadable"] if reported else [])
    assert dict(watcher.counts.rejected).get("no_plate", 0) == (not reported)


def test_sighting_that_goes_on_under_another_id_is_told() -> None:
    """Out of sight for two seconds, it comes back in another place; its text tells that it is the same."""
    joined: dict[str, str] = {}
    film = Film(lambda n: [Shown("a", TEXT, 60 + 4 * n, 150)] if n < 40 else [Shown("a", TEXT, 40 + 4 * (n - 90), 60)] if n >= 90 else [])
    watcher = Watcher(film, joined=joined.__setitem__)
    events = play(watcher, film, range(140)) + watcher.close()
    assert closed(events) == [TEXT]
    assert joined == {"2": "1"}


def test_foreign_plate_that_was_clear_stays_the_same_sighting_when_it_is_faint() -> None:
    """Read clearly, out of sight for two seconds, and back in another place, far from clear: one visit. Faint beside a clear one: its double."""
    comes_back = Film(
        lambda n: (
            [Shown("a", "京A12345", 60 + 4 * n, 150)] if n < 40 else [Shown("a", "京A12345", 40 + 4 * (n - 90), 60, found=0.6)] if n >= 90 else []
        )
    )
    events, _ = watch(comes_back, 140)
    assert closed(events) == ["京A12345"]
    both = Film(lambda n: [Shown("a", "京A12345", 60 + 4 * n, 60), *([Shown("a", "京A12345", 60 + 4 * n, 250, found=0.6)] if n > 20 else [])])
    events, watcher = watch(both, 90)
    assert closed(events) == ["京A12345"]
    assert dict(watcher.counts.rejected) == {"duplicate": 1}


def test_what_was_reported_as_read_is_not_taken_back_when_it_grows_faint() -> None:
    film = Film(lambda n: [Shown("a", "京A12345", 60 + 4 * n, 150, found=0.8 if n < 15 else 0.5)])
    events, _ = watch(film, 90)
    assert [event.state for event in events if event.sighting.text is None] == []
    assert closed(events) == ["京A12345"]


def test_poorer_looks_at_the_same_text_do_not_take_it_back() -> None:
    sure: Says = ["A", {"1": 0.95, "7": 0.04}, *"23BC77"]
    poor: Says = ["A", {"1": 0.52, "7": 0.48}, *"23BC77"]
    film = Film(lambda n: [Shown("a", sure if n < 12 else poor, 100 + 4 * n, 150, width=96 if n < 12 else 80)])
    events, _ = watch(film, 120)
    assert closed(events) == [TEXT]
    assert [event.sighting.status for event in events] == ["read"] * len(events)
    other: Says = ["A", {"7": 0.97, "1": 0.02}, *"23BC77"]
    events, _ = watch(Film(lambda n: [Shown("a", sure if n < 12 else other, 100 + 4 * n, 150)]), 120)
    assert closed(events) != [TEXT], "looks that say something else do"


def test_text_that_no_plate_here_has_is_believed_where_it_is_clearly_detected() -> None:
    for found, width, status in ((0.8, 96, "read"), (0.6, 96, None), (0.6, 48, "unreadable")):
        film = Film(lambda n, found=found, width=width: [Shown("a", "京A12345", 200 + 3 * n, 150, width=width, found=found)])
        events, _ = watch(film, 50)
        ended = [event.sighting for event in events if event.state == "closed"]
        assert [sighting.status for sighting in ended] == ([status] if status else [])
        assert [sighting.reasons[0] for sighting in ended if sighting.reasons] == (["unexpected"] if status == "unreadable" else [])


def test_plate_seen_for_a_moment_and_not_read_is_a_glimpse() -> None:
    film = Film(lambda n: [Shown("a", "", 300, 150)] if n < 5 else [])
    events, watcher = watch(film, 60)
    assert (events, dict(watcher.counts.rejected)) == ([], {"glimpse": 1})


@pytest.mark.parametrize(("share", "status"), [(0.995, "read"), (0.97, "unreadable")])
def test_one_look_is_enough_only_when_it_is_very_sure(share: float, status: str) -> None:
    says = [{"A": share, "B": 1 - share}, *"123BC77"]
    film = Film(lambda n: [Shown("a", says, 100 + 30 * n, 150)] if n < 12 else [])
    events, _ = watch(film, 30, WatchSettings(very_sure=0.98, detect_s=0.1, idle_s=0.1, glimpse_s=0.0, looks=1))
    assert only(events).sighting.status == status
    assert only(events).sighting.reasons == (() if status == "read" else ("one_look",))


# --- fusing


def test_many_poor_looks_make_one_good_text() -> None:
    """Each look leaves one place open, another one each time; together all places are sure."""

    def script(n: int) -> list[Shown]:
        says: list[str | dict[str, float]] = [*TEXT]
        open_place = (n // 3) % 3 + 1
        says[open_place] = {says[open_place]: 0.5, "8": 0.5}  # type: ignore[dict-item]
        return [Shown("a", says, 80 + 4 * n, 150)]

    film = Film(script)
    events, _ = watch(film, 100)
    alone = [film.decoder.decode([view(script(n)[0].says)]).confidence for n, _ in film.read]
    assert max(alone) == pytest.approx(0.5, abs=0.01)
    assert closed(events) == [TEXT]
    assert only(events).sighting.reading.confidence > 0.95


def test_looks_that_disagree_close_as_unreadable_with_their_candidates() -> None:
    texts = ["A111AA77", "B222BB77", "C333CC77", "E444EE77", "H555HH77", "K666KK77", "M777MM77", "O888OO77"]

    def script(n: int) -> list[Shown]:
        says = [{character: 0.85} for character in texts[n % 8]]
        return [Shown("a", says, 80 + 4 * n, 150)]

    events, _ = watch(Film(script), 100)
    sighting = only(events).sighting
    assert (sighting.status, sighting.text) == ("unreadable", None)
    assert "disagreeing" in sighting.reasons
    assert len(sighting.reading.candidates) >= 2


# --- settings


def test_masked_outside_and_wrongly_sized_detections_are_counted() -> None:
    film = Film(lambda n: [Shown("a", TEXT, 100, 60), Shown("b", OTHER, 500, 300), Shown("c", THIRD, 320, 180, width=40)])
    settings = WatchSettings(masks=(((0, 0), (0.5, 0), (0.5, 0.3), (0, 0.3)),), zones=(((0, 0), (0.7, 0), (0.7, 1), (0, 1)),), min_width_px=60)
    events, watcher = watch(film, 30, settings)
    assert events == []
    runs = watcher.counts.detector_runs
    assert dict(watcher.counts.rejected) == {"masked": runs, "outside": runs, "size": runs}
    assert film.read == []


@pytest.mark.parametrize(("speed", "start", "crossed"), [(4.0, 60.0, "out"), (-4.0, 580.0, "in"), (0.5, 60.0, None)])
def test_line_that_is_crossed_is_told_with_its_direction(speed: float, start: float, crossed: str | None) -> None:
    """The line goes down the middle of the picture: seen along it, the left of the picture is on its right."""
    car = drive("a", TEXT, start=start, speed=speed)
    events, watcher = watch(Film(lambda n: [car(n)]), 100, WatchSettings(line=((0.5, 0.0), (0.5, 1.0))))
    assert only(events).sighting.crossed == crossed
    assert (watcher.counts.crossed_in, watcher.counts.crossed_out) == (int(crossed == "in"), int(crossed == "out"))


def test_plate_that_grows_approaches_and_one_that_shrinks_recedes() -> None:
    def script(n: int) -> list[Shown]:
        return [Shown("a", TEXT, 150 + n, 60 + n, width=70 + n / 2), Shown("b", OTHER, 500, 300 - n, width=120 - n / 2)]

    events, _ = watch(Film(script), 100)
    told = {e.sighting.text: (e.sighting.direction, e.sighting.heading) for e in events if e.state == "closed"}
    assert told == {TEXT: ("approaching", "down-right"), OTHER: ("receding", "up")}


# --- evidence


def test_text_quad_crop_and_frame_are_of_one_frame() -> None:
    car = drive("a", TEXT)
    film = Film(lambda n: [car(n)])
    events, _ = watch(film, 60, WatchSettings(keep_frames=True))
    for event in events:
        sighting = event.sighting
        frame = film.frame(sighting.frame)
        assert sighting.frame_s == frame.time_s
        assert abs(float(sighting.quad[:, 0].mean()) - car(sighting.frame).x) < 3
        plate = Plate("read", TEXT, None, Detection(sighting.quad, 1.0), sighting.reading)
        assert sighting.crop is not None
        assert np.array_equal(sighting.crop, cut_plate(frame.image, plate))
        assert sighting.picture == encode_image(frame.image, ".jpg", 90)


def test_plate_that_the_edge_cuts_is_not_read() -> None:
    film = Film(lambda n: [Shown("a", TEXT, 30, 150)])
    events, _ = watch(film, 30)
    assert film.read == []
    assert events == []


# --- times


def test_frames_without_times_are_taken_for_25_a_second() -> None:
    car = drive("a", TEXT)
    film = Film(lambda n: [car(n)])
    watcher = Watcher(film)
    events = []
    for n in range(60):
        frame = film.frame(n)
        events += watcher.feed(type(frame)(frame.image, frame.source, n))
    events += watcher.close()
    assert events[-1].sighting.last_s == pytest.approx(59 / 25)


def test_time_that_goes_back_ends_nothing() -> None:
    car = drive("a", TEXT, speed=2.0)
    film = Film(lambda n: [car(n)])
    watcher = Watcher(film)
    events = [e for n in range(100) for e in watcher.feed(film.frame(n, time_s=n / FPS if n < 50 else (n - 50) / FPS))] + watcher.close()
    assert closed(events) == [TEXT]
    times = [e.time_s for e in events]
    assert times == sorted(times)


def test_source_that_was_away_for_long_starts_new_sightings() -> None:
    film = Film(lambda n: [Shown("a" if n < 50 else "b", TEXT if n < 50 else OTHER, 300 + n, 150)])
    watcher = Watcher(film)
    events = [e for n in range(100) for e in watcher.feed(film.frame(n, time_s=n / FPS + (300 if n >= 50 else 0)))] + watcher.close()
    assert closed(events) == [TEXT, OTHER]


# --- bounded, and the same each time


def test_nothing_grows_with_the_length_of_the_film() -> None:
    car = [drive(str(k), "", start=40 + 100 * k, speed=0.0, y=60.0 * (k + 1)) for k in range(5)]
    film = Film(lambda n: [car[(n // 7) % 5](n), Shown("p", [{"A": 0.6, "B": 0.4}, *"123BC77"], 500, 300)])
    watcher = Watcher(film, WatchSettings(rejoin_s=1.0, lost_s=0.3, follow_s=0.5))
    held = []
    for n in range(350):
        watcher.feed(film.frame(n))
        held.append(_held(watcher))
    assert max(held[280:]) <= 1.2 * max(held[70:140])


def _held(watcher: Watcher) -> int:
    """How many visits, looks and places are kept."""
    visits = watcher._tracker._visits
    return len(visits) + sum(len(v.looks) + len(v.path.motion._recent) + len(v.path.motion._first) for v in visits)


def test_same_film_gives_the_same_events_again() -> None:
    def told() -> list[object]:
        film = Film(lambda n: [Shown("a", TEXT, 80 + 4 * n, 150), Shown("b", OTHER, 560 - 4 * n, 190)])
        events, watcher = watch(film, 100)
        return [(e.state, e.time_s, e.sighting.text, e.sighting.reading, e.sighting.frame) for e in events] + [watcher.counts]

    assert told() == told()
