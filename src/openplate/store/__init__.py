"""Sightings on disk: evidence, search, lists, a register of vehicles, an outbox. `Store(folder)` is the way in; docs/store.md describes it.

Needs the extra `serve`.
"""

from openplate.store.claim import Claim
from openplate.store.evidence import Evidence
from openplate.store.keys import ApiKey, Keys, NewKey
from openplate.store.lists import Entry, Lists, NewEntry, PlateList
from openplate.store.model import (
    Count,
    Hit,
    ListMatch,
    NewDelivery,
    NewPicture,
    NewSighting,
    Page,
    Picture,
    Query,
    Sighting,
    Stored,
    Vehicle,
    VehicleMatch,
)
from openplate.store.outbox import Delivery, Outbox, OutboxState
from openplate.store.register import Fault, Import, Register
from openplate.store.retention import Forgotten, Retention
from openplate.store.settings import Settings
from openplate.store.store import Store

__all__ = [
    "ApiKey",
    "Claim",
    "Count",
    "Delivery",
    "Entry",
    "Evidence",
    "Fault",
    "Forgotten",
    "Hit",
    "Import",
    "Keys",
    "ListMatch",
    "Lists",
    "NewDelivery",
    "NewEntry",
    "NewKey",
    "NewPicture",
    "NewSighting",
    "Outbox",
    "OutboxState",
    "Page",
    "Picture",
    "PlateList",
    "Query",
    "Register",
    "Retention",
    "Settings",
    "Sighting",
    "Store",
    "Stored",
    "Vehicle",
    "VehicleMatch",
]
