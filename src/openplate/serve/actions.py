"""What a sighting causes: webhooks (signed HTTP requests) and MQTT messages, written into the outbox with the sighting and sent from there until they arrive.

Signatures follow Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 of `id.timestamp.body`, so that its libraries check them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import httpx
from paho.mqtt.client import MQTT_ERR_SUCCESS, ConnectFlags, MQTTMessageInfo
from paho.mqtt.client import Client as MqttClient
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from prometheus_client import CollectorRegistry, Counter, Gauge

from openplate import __version__
from openplate.errors import ConfigError, OpenPlateError, StoreError
from openplate.geometry import quad_to_box
from openplate.serve.stored import StoredSighting
from openplate.store import Delivery, NewDelivery, Sighting, Store

Event = Literal["opened", "sighting"]
"""`opened`: a text is sure and the vehicle is still there; `sighting`: the visit is over and stored with its evidence."""
EVENTS: tuple[Event, ...] = ("opened", "sighting")
MQTT = "mqtt"
"""The target of messages for the broker, and the kind of its settings."""
WEBHOOK = "webhook"
"""The kind of webhooks' settings; `webhook:NAME` is the target of one."""

SEND_S = 10.0
"""An attempt takes no longer."""
LEASE_S = 20.0
_AT_ONCE = 8
_IDLE_S = 1.0
_PROBES_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""A target that does not answer gets one message after these waits; the others wait without being tried, and go at once when it is back."""
_RELOAD_S = 10.0
_ANSWER_BYTES = 64 * 1024
_NO_ANSWER = "the broker does not answer"
_LOG = logging.getLogger("openplate.serve")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sightings a target gets: of these events, statuses, cameras and lists. No cameras: of all; no lists: whether they are on one or not."""

    events: tuple[Event, ...] = ("sighting",)
    statuses: tuple[Literal["read", "unreadable"], ...] = ("read",)
    cameras: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.events or set(self.events) - set(EVENTS):
            raise ConfigError(f"events: expected some of {', '.join(EVENTS)}, got {', '.join(self.events) or 'none'}")
        if not self.statuses or set(self.statuses) - {"read", "unreadable"}:
            raise ConfigError(f"statuses: expected some of read, unreadable, got {', '.join(self.statuses) or 'none'}")

    def holds(self, event: Event, sighting: Sighting) -> bool:
        """Whether the target wants this."""
        return (
            event in self.events
            and sighting.status in self.statuses
            and (not self.cameras or sighting.camera in self.cameras)
            and (not self.lists or any(match.list in self.lists for match in sighting.lists))
        )


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of HTTP requests. `secret` signs them: `whsec_` and at least 24 random bytes in base64.

    Raises:
        ConfigError: the address is none of http or https, or the secret is not of that form.
    """

    url: str
    secret: str
    wanted: Wanted = Wanted()

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
            httpx.URL(self.url)
        except (ValueError, httpx.InvalidURL):
            fits = False
        if not fits:
            raise ConfigError("url: expected an address such as https://gate.example/plates, got something else")
        secret_bytes(self.secret)


@dataclass(frozen=True, slots=True)
class Broker:
    """An MQTT broker. Topics begin with `prefix`: `PREFIX/tracked_object_update` for sightings, `PREFIX/available` for online and offline.

    Raises:
        ConfigError: a value is out of range.
    """

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: bool = False
    prefix: str = "openplate"
    wanted: Wanted = Wanted()

    def __post_init__(self) -> None:
        if not self.host.strip() or not 1 <= self.port <= 65535:
            raise ConfigError(f"expected a broker's host and a port from 1 to 65535, got {self.host!r} and {self.port}")
        if not self.prefix or set(self.prefix) & set("+#\0") or self.prefix.startswith(("/", "$")) or self.prefix.endswith("/"):
            raise ConfigError(f"prefix: expected the beginning of a topic without + and #, such as openplate, got {self.prefix!r}")


@dataclass(frozen=True, slots=True)
class Actions:
    """All targets, by the name that messages in the outbox have."""

    webhooks: Mapping[str, Webhook]
    broker: Broker | None

    @classmethod
    def load(cls, store: Store) -> Actions:
        """The targets that a store's settings name."""
        kept = {f"{WEBHOOK}:{name}": webhook_of(value) for name, value in store.settings.all(WEBHOOK).items()}
        broker = store.settings.get(MQTT, MQTT)
        return cls(kept, None if broker is None else broker_of(broker))

    @property
    def targets(self) -> list[str]:
        """Their names."""
        return [*self.webhooks, *([MQTT] if self.broker else [])]

    def deliveries(self, event: Event, sighting: Sighting) -> list[NewDelivery]:
        """The messages that an event causes."""
        targets = [target for target, webhook in self.webhooks.items() if webhook.wanted.holds(event, sighting)]
        messages = []
        if targets:
            body = webhook_body(event, sighting)
            messages = [NewDelivery(target, body) for target in targets]
        if self.broker is not None and self.broker.wanted.holds(event, sighting):
            messages.append(NewDelivery(MQTT, mqtt_body(event, sighting)))
        return messages


def new_secret() -> str:
    """A secret for signatures."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def secret_bytes(secret: str) -> bytes:
    """The key that a secret stands for.

    Raises:
        ConfigError: it is none.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ConfigError("secret: expected whsec_ and 24 to 64 bytes in base64; leave it out to have one made")
    return key


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature` of a message."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret_bytes(secret), signed, hashlib.sha256)).decode()


def webhook_body(event: Event, sighting: Sighting) -> str:
    """The body of a webhook's request."""
    data = StoredSighting.of(sighting).as_json()
    return json.dumps({"type": event, "timestamp": _now(), "data": data}, ensure_ascii=False, separators=(",", ":"))


def mqtt_body(event: Event, sighting: Sighting) -> str:
    """The payload of an MQTT message: the keys of Frigate's plate updates, the rest of the sighting under `sighting`.

    `name` is the owner that the register knows, else the first list that the sighting is on.
    """
    owner = sighting.vehicle.vehicle.owner if sighting.vehicle else ""
    lists = [match.list for match in sighting.lists]
    body = {
        "type": "lpr",
        "id": sighting.id,
        "name": owner or (lists[0] if lists else None),
        "plate": sighting.text,
        "score": round(sighting.confidence, 4),
        "camera": sighting.camera,
        "timestamp": sighting.last.timestamp(),
        "plate_box": None if sighting.quad is None else [round(value) for value in quad_to_box(sighting.quad)],
        "event": event,
        "country": sighting.country,
        "lists": lists,
        "sighting": StoredSighting.of(sighting).as_json(),
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def webhook_of(value: Mapping[str, Any]) -> Webhook:
    """A webhook as settings keep it."""
    return Webhook(value["url"], value["secret"], wanted_of(value["wanted"]))


def broker_of(value: Mapping[str, Any]) -> Broker:
    """A broker as settings keep it."""
    known = {field.name: value[field.name] for field in fields(Broker) if field.name in value and field.name != "wanted"}
    return Broker(**known, wanted=wanted_of(value["wanted"]))


def wanted_of(value: Mapping[str, Any]) -> Wanted:
    """What a target wants, as settings keep it."""
    return Wanted(**{field.name: tuple(value[field.name]) for field in fields(Wanted) if field.name in value})


def as_setting(target: Webhook | Broker) -> dict[str, Any]:
    """A target as settings keep it."""
    return json.loads(json.dumps(asdict(target)))  # type: ignore[no-any-return]  # tuples become lists


class NotSent(Exception):
    """An attempt failed. `gone`: the target does not answer at all, so that other messages would fail too."""

    def __init__(self, message: str, gone: bool) -> None:
        super().__init__(message)
        self.gone = gone


class Transport(Protocol):
    """Sends messages to one target. `fault` says why it cannot be reached now, as far as that is known without sending anything."""

    fault: str | None

    def send(self, message_id: str, payload: str) -> None:
        """Send one message.

        Raises:
            NotSent: it did not arrive, or nobody said that it did.
        """

    def close(self) -> None:
        """Let the target go."""


class WebhookTransport:
    """Sends signed requests to a webhook. An answer from 200 to 299 says that a message arrived; redirections are not followed."""

    fault: str | None = None

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._client = httpx.Client(timeout=SEND_S, follow_redirects=False, trust_env=False)

    def send(self, message_id: str, payload: str) -> None:
        """Send one message.

        Raises:
            NotSent: the receiver cannot be reached, or answers otherwise.
        """
        body, timestamp = payload.encode(), int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": f"openplate/{__version__}",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._webhook.secret, message_id, timestamp, body),
        }
        until = time.monotonic() + SEND_S
        try:
            with self._client.stream("POST", self._webhook.url, content=body, headers=headers) as response:
                read = 0
                for part in response.iter_raw():  # the connection can be used again only when its answer was read
                    read += len(part)
                    if read > _ANSWER_BYTES or time.monotonic() > until:
                        break
                status = response.status_code
        except httpx.HTTPError as error:
            raise NotSent(f"{type(error).__name__}: {error}", gone=True) from None
        if not 200 <= status < 300:
            raise NotSent(f"the receiver answered {status}", gone=status >= 500 or status in (408, 429))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class BrokerTransport:
    """Publishes messages on a broker with QoS 1: a message arrived when the broker says so."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._connected = threading.Event()
        self.fault: str | None = None
        self._client = MqttClient(CallbackAPIVersion.VERSION2, client_id=f"openplate-{secrets.token_hex(6)}")
        if broker.username is not None:
            self._client.username_pw_set(broker.username, broker.password)
        if broker.tls:
            self._client.tls_set()
        self._client.will_set(f"{broker.prefix}/available", "offline", qos=1, retain=True)
        self._client.reconnect_delay_set(1, 30)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.connect_async(broker.host, broker.port, keepalive=30)
        self._client.loop_start()

    def send(self, message_id: str, payload: str) -> None:
        """Publish one message.

        Raises:
            NotSent: there is no connection, or the broker did not acknowledge the message.
        """
        if not self._connected.wait(SEND_S / 2):
            raise NotSent(self.fault or _NO_ANSWER, gone=True)
        info: MQTTMessageInfo = self._client.publish(f"{self._broker.prefix}/tracked_object_update", payload, qos=1)
        try:
            if info.rc == MQTT_ERR_SUCCESS:
                info.wait_for_publish(SEND_S / 2)
        except (ValueError, RuntimeError) as error:
            raise NotSent(str(error), gone=True) from None
        if not info.is_published():
            raise NotSent("the broker did not acknowledge the message", gone=True)

    def close(self) -> None:
        """Say that nobody is there any more, and disconnect."""
        if self._connected.is_set():
            info = self._client.publish(f"{self._broker.prefix}/available", "offline", qos=1, retain=True)
            try:
                info.wait_for_publish(1.0)
            except (ValueError, RuntimeError):
                pass
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: MqttClient, _: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None) -> None:
        if reason.is_failure:
            self.fault = f"the broker refused the connection: {reason}"
            return
        self.fault = None
        client.publish(f"{self._broker.prefix}/available", "online", qos=1, retain=True)
        self._connected.set()

    def _on_disconnect(self, client: MqttClient, _: object, flags: object, reason: ReasonCode, properties: Properties | None) -> None:
        if self._connected.is_set():  # otherwise it was refused, with a reason of its own
            self.fault = f"the connection to the broker was lost: {reason}"
        self._connected.clear()

    def _on_connect_fail(self, client: MqttClient, _: object) -> None:
        self.fault = _NO_ANSWER


class _Lane(threading.Thread):
    """Sends the messages of one target, one after the other, so that a target that does not answer holds up nobody else."""

    def __init__(self, store: Store, target: str, settings: Webhook | Broker, told: Counter) -> None:
        super().__init__(name=f"openplate {target}", daemon=True)
        self.settings = settings
        self.sent_last: datetime | None = None
        self._failed: str | None = None
        """Why the last attempt failed."""
        self._transport: Transport | None = None
        self._store, self._target, self._told = store, target, told
        self._news = threading.Event()
        self._stopping = threading.Event()

    @property
    def fault(self) -> str | None:
        """Why the target does not get messages, None as far as it does."""
        return (self._transport.fault if self._transport else None) or self._failed

    def wake(self) -> None:
        """There may be something to send."""
        self._news.set()

    def stop(self) -> None:
        """End after the message that is being sent."""
        self._stopping.set()
        self._news.set()

    def run(self) -> None:
        """Send until stopped."""
        try:
            transport: Transport = WebhookTransport(self.settings) if isinstance(self.settings, Webhook) else BrokerTransport(self.settings)
        except Exception as error:  # noqa: BLE001  such as certificates that cannot be read; the status of the target says so
            _LOG.exception("%s: cannot be used", self._target)
            self._failed = f"{type(error).__name__}: {error}"
            return
        self._transport = transport
        failures = 0
        answers = False
        try:
            while not self._stopping.is_set():
                self._news.clear()
                try:
                    sent = self._round(transport, _AT_ONCE if answers else 1)
                except NotSent as error:
                    self._failed = str(error)
                    self._stopping.wait(_PROBES_S[min(failures, len(_PROBES_S) - 1)])
                    failures += 1
                    answers = False
                    continue
                except OpenPlateError as error:  # the database is away: what is claimed falls due again
                    _LOG.error("%s: %s", self._target, error)
                    self._stopping.wait(5.0)
                    continue
                except Exception:  # noqa: BLE001  a fault of ours must not end the sending for good
                    _LOG.exception("%s: sending failed", self._target)
                    self._stopping.wait(5.0)
                    continue
                if sent:
                    failures, answers = 0, True
                else:
                    self._news.wait(_IDLE_S)
        finally:
            transport.close()

    def _round(self, transport: Transport, most: int) -> bool:
        """Send what is due; whether there was anything.

        Raises:
            NotSent: the target does not answer; the rest of what was claimed falls due when its lease ends.
        """
        deliveries = self._store.outbox.claim(most, LEASE_S, target=self._target)
        for delivery in deliveries:
            if self._stopping.is_set() or datetime.now(UTC) > delivery.lease_until - timedelta(seconds=SEND_S):
                break
            self._send(transport, delivery)
        return bool(deliveries)

    def _send(self, transport: Transport, delivery: Delivery) -> None:
        try:
            transport.send(message_id(delivery), delivery.payload)
        except NotSent as error:
            self._told.labels(self._target, "failed").inc()
            state = self._store.outbox.failed(delivery, str(error))
            _LOG.warning(
                "%s: message %d, attempt %d: %s%s", self._target, delivery.id, delivery.attempts + 1, error, "; given up" * (state == "dead")
            )
            if error.gone:
                raise
            self._failed = str(error)
        else:
            self._store.outbox.delivered(delivery)
            self._told.labels(self._target, "delivered").inc()
            self._failed, self.sent_last = None, datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class TargetState:
    """How sending to a target goes: why it does not work (None when it does), and when something arrived last."""

    fault: str | None
    sent_last: datetime | None


class Sender:
    """Sends what is in the outbox to the targets that the settings name. Any number of services may share one store."""

    def __init__(self, store: Store, registry: CollectorRegistry) -> None:
        self._store = store
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.Lock()
        self._reloading = threading.Lock()
        self._stopping = threading.Event()
        self._told = Counter("openplate_messages", "Attempts to send a message", ("target", "outcome"), registry=registry)
        waiting = Gauge("openplate_outbox_pending", "Messages that have not arrived yet", registry=registry)
        waiting.set_function(lambda: store.outbox.state().pending)
        oldest = Gauge("openplate_outbox_oldest_seconds", "Age of the oldest message that has not arrived yet", registry=registry)
        oldest.set_function(self._oldest_s)
        self._keeper = threading.Thread(target=self._keep, name="openplate actions", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self.reload()
        self._keeper.start()

    def stop(self) -> None:
        """End; what was not sent stays in the outbox."""
        self._stopping.set()
        with self._lock:
            lanes, self._lanes = list(self._lanes.values()), {}
        for lane in lanes:
            lane.stop()
        for lane in lanes:
            lane.join(SEND_S + 2)
        if self._keeper.ident is not None:
            self._keeper.join(SEND_S)

    def wake(self) -> None:
        """A sighting was stored: look into the outbox now."""
        with self._lock:
            for lane in self._lanes.values():
                lane.wake()

    def reload(self) -> None:
        """Take the settings as they are now: new targets get their messages, those of removed ones are given up."""
        with self._reloading:  # or one who looked earlier could end the sending to a target that another has just added
            actions = Actions.load(self._store)
            wanted: dict[str, Webhook | Broker] = dict(actions.webhooks)
            if actions.broker is not None:
                wanted[MQTT] = actions.broker
            with self._lock:
                if self._stopping.is_set():
                    return
                for target, lane in list(self._lanes.items()):
                    if wanted.get(target) != lane.settings:
                        self._lanes.pop(target).stop()
                for target, settings in wanted.items():
                    if target not in self._lanes:
                        self._lanes[target] = lane = _Lane(self._store, target, settings, self._told)
                        lane.start()
            self._store.outbox.abandon({WEBHOOK: f"{WEBHOOK}:", MQTT: ""})

    def state(self, target: str) -> TargetState:
        """How sending to a target goes."""
        with self._lock:
            lane = self._lanes.get(target)
        return TargetState(None, None) if lane is None else TargetState(lane.fault, lane.sent_last)

    def _oldest_s(self) -> float:
        written = self._store.outbox.state().oldest_pending
        return 0.0 if written is None else (datetime.now(UTC) - written).total_seconds()

    def _keep(self) -> None:
        while not self._stopping.wait(_RELOAD_S):
            try:
                self.reload()
            except StoreError as error:
                _LOG.error("actions: %s", error)
            except Exception:  # noqa: BLE001  settings of a newer version must not end the sending to the others
                _LOG.exception("actions: the settings cannot be used")


def message_id(delivery: Delivery) -> str:
    """The id of a message: the same in every attempt."""
    return f"msg_{delivery.id}_{int(delivery.created.timestamp())}"


def send_test(webhook: Webhook) -> None:
    """Send a message of the type `test` to a webhook, now and once.

    Raises:
        NotSent: it did not arrive.
    """
    transport = WebhookTransport(webhook)
    try:
        transport.send(f"msg_test_{secrets.token_hex(8)}", json.dumps({"type": "test", "timestamp": _now(), "data": {}}))
    finally:
        transport.close()


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
