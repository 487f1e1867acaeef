import pytest

from openplate.streams.clock import LiveClock


def test_times_follow_the_stamps_not_the_arrivals() -> None:
    clock = LiveClock()
    clock.connected(0.04)
    late = [0.0, 0.03, 0.005, 0.09]  # the network's delays
    times = [clock.time_s(900 + 0.04 * i, 50 + 0.04 * i + late[i]) for i in range(4)]
    assert times == pytest.approx([0, 0.04, 0.08, 0.12])


def test_a_new_connection_starts_where_its_first_picture_arrives() -> None:
    clock = LiveClock()
    clock.connected(0.04)
    clock.time_s(900, 50)
    clock.time_s(901, 51)
    clock.connected(0.04)
    assert [clock.time_s(3 + 0.04 * i, 61.5 + 0.04 * i) for i in range(2)] == pytest.approx([11.5, 11.54])
    assert clock.jumps == 0


def test_pictures_without_stamps_take_the_time_of_their_arrival() -> None:
    clock = LiveClock()
    clock.connected(0.04)
    assert [clock.time_s(None, 7 + i) for i in range(3)] == [0, 1, 2]


def test_a_first_picture_without_stamp_is_one_interval_before_the_second() -> None:
    clock = LiveClock()
    clock.connected(0.04)
    assert [clock.time_s(None, 7.0), clock.time_s(5.0, 7.001), clock.time_s(5.04, 7.002)] == pytest.approx([0, 0.04, 0.08])


def test_stamps_that_go_back_are_a_jump_and_time_goes_on() -> None:
    clock = LiveClock()
    clock.connected(0.04)
    times = [clock.time_s(stamp, arrival) for stamp, arrival in ((100, 0), (101, 1), (20, 2), (21, 3))]
    assert times == pytest.approx([0, 1, 2, 3])
    assert clock.jumps == 1


def test_stamps_that_run_away_are_a_jump() -> None:
    clock = LiveClock()
    clock.connected(0.04)
    times = [clock.time_s(stamp, arrival) for stamp, arrival in ((0, 0), (1, 1), (5000, 2), (5001, 3))]
    assert times == pytest.approx([0, 1, 2, 3])
    assert clock.jumps == 1


def test_a_clock_that_is_too_fast_stays_near_the_arrivals_for_days() -> None:
    clock = LiveClock()
    clock.connected(0.04)
    stamp_s = 0.0
    for i in range(500_000):
        stamp_s += 0.0404  # one percent fast: 200 s ahead in the end, were it not held
        last = clock.time_s(stamp_s, i * 0.04)
    assert abs(last - 499_999 * 0.04) < 3
    assert clock.jumps == 0


def test_two_pictures_are_never_at_the_same_time() -> None:
    clock = LiveClock()
    clock.connected(0.04)
    times = [clock.time_s(None, 5.0) for _ in range(3)]
    assert times[0] < times[1] < times[2]
