"""Webhooks, the MQTT broker, the outbox between them and the sightings, and how long things are kept."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from openplate.serve.access import TheService, require
from openplate.serve.actions import MQTT, WEBHOOK, Actions, Broker, NotSent, Wanted, Webhook, as_setting, new_secret, send_test
from openplate.serve.problems import not_found
from openplate.serve.schemas import Problem
from openplate.serve.service import Service
from openplate.serve.spelling import HOST, LINE, NAME, TOPIC, WITHOUT_NUL
from openplate.serve.upkeep import keep_for, kept_for
from openplate.store import Retention

router = APIRouter(tags=["actions"], dependencies=[require("admin")], responses={422: {"model": Problem}})
HookName = Annotated[str, Path(min_length=1, max_length=40, examples=["barrier"])]
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=100, pattern=WITHOUT_NUL)]], Field(max_length=100)]
Text = Annotated[str, Field(max_length=300, pattern=LINE)]
_EXAMPLE_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class WantedIn(BaseModel):
    """Which sightings a target gets."""

    model_config = ConfigDict(extra="forbid")

    events: list[Literal["opened", "sighting"]] = Field(
        default=["sighting"],
        min_length=1,
        max_length=2,
        description="opened: a text is sure and the vehicle is still there; sighting: the visit is over and stored with its evidence",
    )
    statuses: list[Literal["read", "unreadable"]] = Field(default=["read"], min_length=1, max_length=2)
    cameras: Names = Field(default=[], examples=[["gate"]], description="of these cameras; of all when empty")
    lists: Names = Field(default=[], examples=[["residents"]], description="only what is on one of these lists; everything when empty")


class WebhookIn(WantedIn):
    """A webhook to be added or replaced."""

    url: str = Field(max_length=2000, examples=["https://gate.example/plates"])
    secret: str | None = Field(default=None, max_length=200, description="signs the requests; left out, the old one stays or one is made")


class TargetStatus(BaseModel):
    """How sending goes."""

    fault: str | None = Field(description="why the last attempt failed; null when it did not")
    sent_last: AwareDatetime | None


class WebhookOut(BaseModel):
    """A webhook. Keep its secret: requests are signed with it, see https://www.standardwebhooks.com."""

    name: str = Field(examples=["barrier"])
    url: str = Field(examples=["https://gate.example/plates"])
    secret: str = Field(examples=[_EXAMPLE_SECRET])
    events: list[str] = Field(examples=[["sighting"]])
    statuses: list[str] = Field(examples=[["read"]])
    cameras: list[str] = Field(examples=[[]])
    lists: list[str] = Field(examples=[["residents"]])
    status: TargetStatus


class BrokerIn(WantedIn):
    """The MQTT broker that gets messages."""

    host: str = Field(min_length=1, max_length=253, pattern=HOST, examples=["10.0.0.2"])
    port: int = Field(default=1883, ge=1, le=65535)
    username: Text | None = None
    password: Text | None = Field(default=None, description="left out, the old one stays")
    tls: bool = False
    prefix: str = Field(default="openplate", min_length=1, max_length=100, pattern=TOPIC, examples=["frigate"])


class BrokerOut(BaseModel):
    """The MQTT broker, without its password."""

    host: str = Field(examples=["10.0.0.2"])
    port: int = Field(examples=[1883])
    username: str | None = Field(examples=[None])
    tls: bool = Field(examples=[False])
    prefix: str = Field(examples=["openplate"])
    events: list[str] = Field(examples=[["sighting"]])
    statuses: list[str] = Field(examples=[["read"]])
    cameras: list[str] = Field(examples=[[]])
    lists: list[str] = Field(examples=[[]])
    status: TargetStatus


class TestResult(BaseModel):
    """Whether a test message arrived, and why it did not."""

    arrived: bool = Field(examples=[True])
    fault: str | None = Field(examples=[None])


class OutboxOut(BaseModel):
    """Messages by state; dead ones were given up after three days."""

    pending: int = Field(examples=[2])
    delivered: int = Field(examples=[1480])
    dead: int = Field(examples=[0])
    oldest_pending: AwareDatetime | None


class Revived(BaseModel):
    """How many dead messages are tried for another three days."""

    revived: int = Field(examples=[12])


class RetentionModel(BaseModel):
    """Ages in days at which things are deleted; null keeps them. Lists may keep their sightings longer or shorter."""

    model_config = ConfigDict(extra="forbid")

    days: float | None = Field(default=None, ge=0, le=36500, examples=[90], description="sightings with all that belongs to them")
    picture_days: float | None = Field(default=None, ge=0, le=36500, examples=[30], description="evidence, where that has to go before")
    finished_days: float | None = Field(default=7.0, ge=0, le=36500, description="messages that were delivered or given up")


@router.get("/v1/webhooks")
def webhooks(service: TheService) -> list[WebhookOut]:
    """All webhooks, by name."""
    return [_webhook_out(service, target, one) for target, one in Actions.load(service.store).webhooks.items()]


@router.get("/v1/webhooks/{name}", responses={404: {"model": Problem}})
def webhook(service: TheService, name: HookName) -> WebhookOut:
    """One webhook."""
    return _webhook_out(service, f"{WEBHOOK}:{name}", _existing(service, name))


@router.put("/v1/webhooks/{name}")
def put_webhook(
    service: TheService,
    name: Annotated[str, Path(min_length=1, max_length=40, pattern=NAME, examples=["barrier"])],
    new: WebhookIn,
) -> WebhookOut:
    """Add a webhook, or replace it."""
    before = Actions.load(service.store).webhooks.get(f"{WEBHOOK}:{name}")
    secret = new.secret or (before.secret if before else new_secret())
    made = Webhook(new.url, secret, _wanted(new))
    service.store.settings.put(WEBHOOK, name, as_setting(made))
    service.actions.reload()
    return _webhook_out(service, f"{WEBHOOK}:{name}", made)


@router.delete("/v1/webhooks/{name}", status_code=204, responses={404: {"model": Problem}})
def remove_webhook(service: TheService, name: HookName) -> None:
    """Delete a webhook; what it has not got yet is given up."""
    _existing(service, name)
    service.store.settings.remove(WEBHOOK, name)
    service.actions.reload()


@router.post("/v1/webhooks/{name}/test", responses={404: {"model": Problem}})
def test_webhook(service: TheService, name: HookName) -> TestResult:
    """Send a message of the type `test`, now and once."""
    try:
        send_test(_existing(service, name))
    except NotSent as error:
        return TestResult(arrived=False, fault=str(error))
    return TestResult(arrived=True, fault=None)


@router.get("/v1/mqtt", responses={404: {"model": Problem}})
def broker(service: TheService) -> BrokerOut:
    """The MQTT broker that gets messages."""
    found = Actions.load(service.store).broker
    if found is None:
        raise not_found("MQTT broker set")
    return _broker_out(service, found)


@router.put("/v1/mqtt")
def put_broker(service: TheService, new: BrokerIn) -> BrokerOut:
    """Send messages to an MQTT broker from now on."""
    before = Actions.load(service.store).broker
    password = new.password if new.password is not None or before is None else before.password
    made = Broker(new.host, new.port, new.username, password, new.tls, new.prefix, _wanted(new))
    service.store.settings.put(MQTT, MQTT, as_setting(made))
    service.actions.reload()
    return _broker_out(service, made)


@router.delete("/v1/mqtt", status_code=204, responses={404: {"model": Problem}})
def remove_broker(service: TheService) -> None:
    """Send nothing to the MQTT broker any more; what it has not got yet is given up."""
    if Actions.load(service.store).broker is None:
        raise not_found("MQTT broker set")
    service.store.settings.remove(MQTT, MQTT)
    service.actions.reload()


@router.get("/v1/outbox")
def outbox(service: TheService) -> OutboxOut:
    """How many messages wait, arrived, or were given up."""
    state = service.store.outbox.state()
    return OutboxOut(pending=state.pending, delivered=state.delivered, dead=state.dead, oldest_pending=state.oldest_pending)


@router.post("/v1/outbox/revive")
def revive(service: TheService) -> Revived:
    """Try messages that were given up for another three days."""
    revived = service.store.outbox.revive()
    service.actions.reload()
    service.actions.wake()
    return Revived(revived=revived)


@router.get("/v1/retention")
def retention(service: TheService) -> RetentionModel:
    """How long things are kept."""
    kept = kept_for(service.store)
    return RetentionModel(days=kept.days, picture_days=kept.picture_days, finished_days=kept.finished_days)


@router.put("/v1/retention")
def put_retention(service: TheService, new: RetentionModel) -> RetentionModel:
    """Change how long things are kept; it counts from the next hourly run on."""
    keep_for(service.store, Retention(new.days, new.picture_days, new.finished_days))
    return new


def _wanted(new: WantedIn) -> Wanted:
    return Wanted(tuple(dict.fromkeys(new.events)), tuple(dict.fromkeys(new.statuses)), tuple(new.cameras), tuple(new.lists))


def _existing(service: Service, name: str) -> Webhook:
    found = Actions.load(service.store).webhooks.get(f"{WEBHOOK}:{name}")
    if found is None:
        raise not_found(f"webhook {name!r}")
    return found


def _status(service: Service, target: str) -> TargetStatus:
    state = service.actions.state(target)
    return TargetStatus(fault=state.fault, sent_last=state.sent_last)


def _webhook_out(service: Service, target: str, one: Webhook) -> WebhookOut:
    return WebhookOut(
        name=target.partition(":")[2],
        url=one.url,
        secret=one.secret,
        events=list(one.wanted.events),
        statuses=list(one.wanted.statuses),
        cameras=list(one.wanted.cameras),
        lists=list(one.wanted.lists),
        status=_status(service, target),
    )


def _broker_out(service: Service, one: Broker) -> BrokerOut:
    return BrokerOut(
        host=one.host,
        port=one.port,
        username=one.username,
        tls=one.tls,
        prefix=one.prefix,
        events=list(one.wanted.events),
        statuses=list(one.wanted.statuses),
        cameras=list(one.wanted.cameras),
        lists=list(one.wanted.lists),
        status=_status(service, MQTT),
    )
