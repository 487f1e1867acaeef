"""Messages: committed with their sighting, leased, retried, given up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from openplate.errors import StoreError
from openplate.store import NewDelivery, Sighting, Store
from openplate.store.outbox import GIVE_UP_S
from tests.store.conftest import NOON, sighting


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def fill(store: Store, count: int, target: str = "webhook:gate") -> None:
    store.outbox.add([NewDelivery(target, f"message {n}") for n in range(count)], NOON)


def test_message_is_written_with_its_sighting(store: Store) -> None:
    store.add(sighting(1), lambda stored: [NewDelivery("webhook:gate", f"{stored.id} {stored.text}"), NewDelivery("mqtt:main", "x")])
    first, second = store.outbox.claim()
    assert (first.target, first.payload, first.attempts) == ("webhook:gate", "s1 A123BC77", 0)
    assert second.target == "mqtt:main"
    assert first.sighting_seq == store.last_seq()


def test_sighting_stored_twice_sends_once(store: Store) -> None:
    for _ in range(2):
        store.add(sighting(1), lambda stored: [NewDelivery("webhook:gate", stored.id)])
    assert store.outbox.state().pending == 1


def test_fault_while_making_messages_stores_nothing(store: Store) -> None:
    def fault(_: Sighting) -> list[NewDelivery]:
        raise KeyError("template")

    with pytest.raises(KeyError):
        store.add(sighting(1), fault)
    assert store.get("s1") is None
    assert store.add(sighting(1)).fresh


def test_claimed_message_is_nobody_elses_until_the_lease_ends(store: Store) -> None:
    fill(store, 1)
    (mine,) = store.outbox.claim(lease_s=60, now=NOON)
    assert store.outbox.claim(now=NOON + seconds(59)) == []
    (yours,) = store.outbox.claim(lease_s=60, now=NOON + seconds(60))
    assert yours.id == mine.id
    store.outbox.delivered(mine, NOON + seconds(61))
    assert store.outbox.state().delivered == 0, "the lease has passed on"
    store.outbox.delivered(yours, NOON + seconds(61))
    assert store.outbox.state().delivered == 1
    assert store.outbox.claim(now=NOON + seconds(1000)) == []


def test_longest_due_comes_first_and_targets_can_be_told_apart(store: Store) -> None:
    store.outbox.add([NewDelivery("b", "late")], NOON + seconds(2))
    store.outbox.add([NewDelivery("a", "early"), NewDelivery("b", "early")], NOON)
    assert store.outbox.claim(now=NOON - seconds(1)) == []
    assert [(d.target, d.payload) for d in store.outbox.claim(2, now=NOON + seconds(3))] == [("a", "early"), ("b", "early")]
    assert store.outbox.claim(now=NOON + seconds(3), target="a") == []
    assert [d.payload for d in store.outbox.claim(now=NOON + seconds(3), target="b")] == ["late"]


def test_failed_message_waits_longer_each_time(store: Store) -> None:
    fill(store, 1)
    now = NOON
    for wait_s in (2, 5, 15, 60, 300, 900, 1800, 3600, 3600, 3600):
        (delivery,) = store.outbox.claim(now=now)
        assert store.outbox.failed(delivery, "connection refused", now) == "pending"
        assert store.outbox.claim(now=now + seconds(wait_s - 0.001)) == []
        now += seconds(wait_s)
    assert len(store.outbox.claim(now=now)) == 1


def test_receiver_that_is_down_for_an_hour_gets_its_message(store: Store) -> None:
    fill(store, 1)
    now, sent = NOON, None
    while sent is None:
        due = store.outbox.claim(now=now)
        if due and now >= NOON + timedelta(hours=1):
            sent = due[0]
            store.outbox.delivered(sent, now)
        elif due:
            store.outbox.failed(due[0], "connection refused", now)
        now += seconds(30)
    assert now - NOON < timedelta(hours=2)
    assert store.outbox.state().delivered == 1


def test_message_that_never_arrives_is_dead_after_three_days_and_can_be_revived(store: Store) -> None:
    fill(store, 1)
    (delivery,) = store.outbox.claim(now=NOON)
    assert store.outbox.failed(delivery, "gone", NOON + seconds(GIVE_UP_S)) == "pending"
    later = NOON + seconds(GIVE_UP_S + 3600)
    (delivery,) = store.outbox.claim(now=later)
    assert store.outbox.failed(delivery, "gone", later) == "dead"
    assert (store.outbox.state().pending, store.outbox.state().dead) == (0, 1)
    assert store.outbox.claim(now=later + timedelta(days=9)) == []
    assert store.outbox.revive("webhook:other", later) == 0
    assert store.outbox.revive("webhook:gate", later) == 1
    (again,) = store.outbox.claim(now=later)
    assert (again.payload, again.attempts) == ("message 0", 0)


def test_state_tells_the_oldest_pending(store: Store) -> None:
    assert store.outbox.state().oldest_pending is None
    fill(store, 2)
    assert store.outbox.state().oldest_pending == NOON
    assert store.outbox.state().pending == 2


def test_many_claimers_share_the_messages_without_overlap(open_store: Callable[..., Store]) -> None:
    stores = [open_store(), open_store()]
    fill(stores[0], 60)

    def take_all(number: int) -> list[int]:
        taken = []
        while claimed := stores[number % 2].outbox.claim(4, now=NOON):
            taken += [delivery.id for delivery in claimed]
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [key for part in pool.map(take_all, range(4)) for key in part]
    assert len(taken) == 60
    assert len(set(taken)) == 60


def test_unsendable_target_does_not_hold_up_the_others(store: Store) -> None:
    fill(store, 3, "webhook:dead")
    for delivery in store.outbox.claim(now=NOON):
        store.outbox.failed(delivery, "connection refused", NOON)
    fill(store, 1, "webhook:good")
    assert [d.target for d in store.outbox.claim(now=NOON + seconds(1))] == ["webhook:good"]


@pytest.mark.parametrize("wrong", [NewDelivery("", "x"), NewDelivery("a", "x\0y")])
def test_message_that_cannot_be_kept_is_refused(wrong: NewDelivery, store: Store) -> None:
    with pytest.raises(StoreError, match="a message needs a target"):
        store.outbox.add([wrong])


def test_messages_to_removed_targets_are_dead_and_the_others_stay(store: Store) -> None:
    fill(store, 2, "webhook:gate")
    fill(store, 1, "webhook:old")
    fill(store, 1, "mqtt")
    store.settings.put("webhook", "gate", {})
    store.settings.put("camera", "old", {})
    assert store.outbox.abandon({"webhook": "webhook:", "mqtt": ""}, NOON) == 2
    state = store.outbox.state()
    assert (state.pending, state.dead) == (2, 2)
    assert {one.target for one in store.outbox.claim(now=NOON)} == {"webhook:gate"}
