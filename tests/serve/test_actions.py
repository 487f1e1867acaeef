"""Webhooks and MQTT: who gets what, signed how, and that nothing is lost while a receiver is away."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from openplate.errors import ConfigError
from openplate.serve import actions
from openplate.serve.actions import MQTT, WEBHOOK, Actions, Broker, Event, Sender, Wanted, Webhook, as_setting, new_secret, sign
from openplate.store import Sighting, Store
from tests.serve.brokers import Mosquitto, heard
from tests.serve.parade import Receiver, bench, wait_for
from tests.serve.running import Running
from tests.store.conftest import NOON, sighting


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "data") as one:
        yield one


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def sender(store: Store, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    """A sender that probes a target every 0.2 s, whose failed messages fall due after 0.1 s."""
    monkeypatch.setattr(actions, "_PROBES_S", (0.2,))
    monkeypatch.setattr(actions, "LEASE_S", 10.5)
    monkeypatch.setattr("openplate.store.outbox.BACK_OFF_S", (0.1,))
    one = Sender(store, registry)
    yield one
    one.stop()


def hook(store: Store, name: str, url: str, wanted: Wanted = Wanted()) -> Webhook:  # noqa: B008  it is frozen
    made = Webhook(url, new_secret(), wanted)
    store.settings.put(WEBHOOK, name, as_setting(made))
    return made


def add(store: Store, number: int, plate: str | None = "A123BC77", camera: str = "gate") -> None:
    known = Actions.load(store)
    store.add(sighting(number, plate, camera=camera), lambda one: known.deliveries("sighting", one))


def stored(store: Store, number: int, plate: str | None = "A123BC77") -> Sighting:
    return store.add(sighting(number, plate)).sighting


def test_signature_is_that_of_standard_webhooks() -> None:
    # The example of the specification's libraries.
    signature = sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_webhook_that_is_added_while_targets_are_looked_up_gets_its_first_message(
    store: Store, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Actions.load

    def load_and_let_another_add(some: Store) -> Actions:
        monkeypatch.setattr(Actions, "load", load)
        known = load(some)
        hook(some, "late", "http://127.0.0.1:9/")
        add(some, 1)
        return known

    monkeypatch.setattr(Actions, "load", load_and_let_another_add)
    sender.reload()
    assert (store.outbox.state().pending, store.outbox.state().dead) == (1, 0)


def test_receiver_can_check_what_it_gets(store: Store, sender: Sender) -> None:
    with Receiver() as receiver:
        made = hook(store, "gate", receiver.url)
        add(store, 1)
        sender.start()
        wait_for(lambda: len(receiver.requests) == 1, 10, "the message")
        headers, body = receiver.requests[0]
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(made.secret.removeprefix("whsec_"))
        assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
        value = json.loads(body)
        assert (value["type"], value["data"]["id"], value["data"]["text"], value["data"]["last"]) == (
            "sighting",
            "s1",
            "A123BC77",
            "2026-05-01T12:01:00Z",
        )
        wait_for(lambda: store.outbox.state().delivered == 1, 10, "the note that it arrived")


def test_nothing_is_lost_while_the_receiver_is_away_and_all_arrives_soon_after(store: Store, sender: Sender, registry: CollectorRegistry) -> None:
    with Receiver() as receiver:
        receiver.open = False
        hook(store, "gate", receiver.url)
        sender.start()
        for number in range(20):
            add(store, number)
        wait_for(lambda: receiver.refused >= 3, 10, "attempts")
        assert (store.outbox.state().pending, sender.state("webhook:gate").fault) == (20, "the receiver answered 503")
        assert registry.get_sample_value("openplate_outbox_pending") == 20
        assert (registry.get_sample_value("openplate_outbox_oldest_seconds") or 0) > 0
        receiver.open = True
        wait_for(lambda: len(receiver.told) == 20, 30, "the messages")
        wait_for(lambda: store.outbox.state().delivered == 20, 10, "the notes that they arrived")
        assert sender.state("webhook:gate").fault is None
        assert receiver.refused < 20, "a receiver that is away is probed, not flooded"


def test_receiver_that_nobody_answers_for_does_not_hold_up_others(store: Store, sender: Sender) -> None:
    with Receiver() as receiver:
        hook(store, "nobody", f"http://127.0.0.1:{bench.free_port()}/")
        hook(store, "gate", receiver.url)
        add(store, 1)
        sender.start()
        wait_for(lambda: receiver.told["s1"] == 1, 10, "the message")
        wait_for(lambda: "ConnectError" in (sender.state("webhook:nobody").fault or ""), 10, "the fault")
        assert store.outbox.state().pending == 1


def test_sender_that_is_killed_leaves_its_messages_to_the_next_one(store: Store, sender: Sender) -> None:
    with Receiver() as receiver:
        hook(store, "gate", receiver.url)
        add(store, 1)
        (claimed,) = store.outbox.claim(lease_s=0.5, target="webhook:gate")  # and never heard of again
        sender.start()
        wait_for(lambda: receiver.told["s1"] == 1, 10, "the message")
        assert claimed.attempts == 0


def test_messages_of_a_removed_webhook_are_given_up(store: Store, sender: Sender) -> None:
    hook(store, "gate", f"http://127.0.0.1:{bench.free_port()}/")
    add(store, 1)
    store.settings.remove(WEBHOOK, "gate")
    sender.start()
    assert (store.outbox.state().pending, store.outbox.state().dead) == (0, 1)


@pytest.mark.parametrize(
    ("wanted", "event", "plate", "sent"),
    [
        (Wanted(), "sighting", "A123BC77", True),
        (Wanted(), "opened", "A123BC77", False),
        (Wanted(("opened",)), "opened", "A123BC77", True),
        (Wanted(), "sighting", None, False),
        (Wanted(statuses=("unreadable",)), "sighting", None, True),
        (Wanted(cameras=("yard",)), "sighting", "A123BC77", False),
        (Wanted(lists=("residents",)), "sighting", "A123BC77", True),
        (Wanted(lists=("residents",)), "sighting", "B777BB99", False),
    ],
)
def test_target_gets_what_it_wants(store: Store, wanted: Wanted, event: Event, plate: str | None, sent: bool) -> None:
    from openplate.store import NewEntry

    store.lists.create("residents", "allow")
    store.lists.add("residents", [NewEntry("A123BC77")])
    hook(store, "gate", "http://127.0.0.1/", wanted)
    assert bool(Actions.load(store).deliveries(event, stored(store, 1, plate))) is sent


@pytest.mark.parametrize("url", ["ftp://gate/", "https://", "http://a:99999/", "gate", "http://[::1"])
def test_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="url"):
        Webhook(url, new_secret())


@pytest.mark.parametrize("secret", ["", "secret", "whsec_", "whsec_AAAA", "whsec_*" * 10])
def test_weak_secret_is_refused(secret: str) -> None:
    with pytest.raises(ConfigError, match="secret"):
        Webhook("http://127.0.0.1/", secret)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    one = Mosquitto(tmp_path, bench.free_port())
    one.start()
    yield one
    one.stop()


def test_broker_hands_on_a_message_with_frigates_keys(store: Store, sender: Sender, mosquitto: Mosquitto) -> None:
    store.register.import_csv(b"plate,owner\nA123BC77,flat 12\n")
    store.settings.put(MQTT, MQTT, as_setting(Broker("127.0.0.1", mosquitto.port, prefix="frigate")))
    with heard(mosquitto.port, "frigate/#") as messages:
        sender.start()
        add(store, 1)
        sender.wake()
        wait_for(lambda: any(topic == "frigate/tracked_object_update" for topic, _ in messages), 15, "the message")
        assert ("frigate/available", "online") in messages
        (value,) = [value for topic, value in messages if topic == "frigate/tracked_object_update"]
        expected: dict[str, Any] = {
            "type": "lpr", "id": "s1", "name": "flat 12", "plate": "A123BC77", "score": 0.9, "camera": "gate",
            "timestamp": NOON.timestamp() + 60, "plate_box": None, "event": "sighting", "country": "RU", "lists": [],
        }  # fmt: skip
        assert {key: value[key] for key in expected} == expected
        assert value["sighting"]["vehicle"]["owner"] == "flat 12"
        wait_for(lambda: store.outbox.state().delivered == 1, 10, "the note that it arrived")
        sender.stop()
        wait_for(lambda: messages[-1] == ("frigate/available", "offline"), 10, "the word that nobody is there")


def test_messages_wait_for_a_broker_that_is_away(store: Store, sender: Sender, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "SEND_S", 1.0)
    mosquitto.stop()
    store.settings.put(MQTT, MQTT, as_setting(Broker("127.0.0.1", mosquitto.port)))
    for number in range(3):
        add(store, number)
    sender.start()
    wait_for(lambda: sender.state(MQTT).fault is not None, 10, "the fault")
    assert store.outbox.state().pending == 3
    mosquitto.start()
    with heard(mosquitto.port, "openplate/tracked_object_update") as messages:
        wait_for(lambda: {value["id"] for _, value in messages} == {"s0", "s1", "s2"}, 30, "the messages")


def test_webhook_is_set_tested_and_removed_over_http(depot: Running, clerk: httpx.Client) -> None:
    with Receiver() as receiver:
        made = clerk.put("/v1/webhooks/yard", json={"url": receiver.url, "cameras": ["yard"]})
        assert made.status_code == 200, made.text
        secret = made.json()["secret"]
        changed = clerk.put("/v1/webhooks/yard", json={"url": receiver.url, "cameras": ["yard"], "events": ["opened", "sighting"]}).json()
        assert (changed["secret"], changed["events"]) == (secret, ["opened", "sighting"])
        assert clerk.post("/v1/webhooks/yard/test").json() == {"arrived": True, "fault": None}
        assert json.loads(receiver.requests[0][1])["type"] == "test"
        store = depot.service.store
        known = Actions.load(store)
        new = replace(sighting(1, camera="yard"), id="yard-1")
        store.announce(new, lambda one: known.deliveries("opened", one))
        store.add(new, lambda one: known.deliveries("sighting", one))
        depot.service.actions.wake()
        wait_for(lambda: receiver.told["yard-1"] == 2, 10, "both messages")
        assert [json.loads(body)["type"] for _, body in receiver.requests] == ["test", "opened", "sighting"]
        receiver.open = False
        assert clerk.post("/v1/webhooks/yard/test").json() == {"arrived": False, "fault": "the receiver answered 503"}
        assert clerk.delete("/v1/webhooks/yard").status_code == 204
        assert clerk.post("/v1/webhooks/yard/test").status_code == 404
        assert clerk.put("/v1/webhooks/yard", json={"url": "file:///etc/passwd"}).status_code == 422


def test_broker_that_goes_away_is_told_before_a_message_fails(store: Store, sender: Sender, mosquitto: Mosquitto) -> None:
    store.settings.put(MQTT, MQTT, as_setting(Broker("127.0.0.1", mosquitto.port)))
    with heard(mosquitto.port, "openplate/available") as messages:
        sender.start()
        wait_for(lambda: ("openplate/available", "online") in messages, 10, "the connection")
        assert sender.state(MQTT).fault is None
    mosquitto.stop()
    wait_for(lambda: sender.state(MQTT).fault is not None, 10, "the fault")
    assert str(sender.state(MQTT).fault).startswith(("the connection to the broker was lost", "the broker does not answer"))
    mosquitto.start()
    wait_for(lambda: sender.state(MQTT).fault is None, 20, "the broker to be back")


def test_broker_that_never_answered_is_told_without_a_message(store: Store, sender: Sender) -> None:
    store.settings.put(MQTT, MQTT, as_setting(Broker("127.0.0.1", bench.free_port())))
    sender.start()
    wait_for(lambda: sender.state(MQTT).fault is not None, 10, "the fault")
    assert sender.state(MQTT).fault == "the broker does not answer"


def test_broker_is_set_and_its_password_is_never_shown(clerk: httpx.Client) -> None:
    assert clerk.get("/v1/mqtt").status_code == 404
    made = clerk.put("/v1/mqtt", json={"host": "127.0.0.1", "port": bench.free_port(), "username": "gate", "password": "hidden"})
    assert made.status_code == 200
    assert "hidden" not in made.text + clerk.get("/v1/mqtt").text
    assert clerk.delete("/v1/mqtt").status_code == 204
    assert clerk.delete("/v1/mqtt").status_code == 404
