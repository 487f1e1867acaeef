"""A register entry in, a line about it out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day

import streamlit as st

from openplate.client import Vehicle
from openplate.page.texts import Texts

MIDNIGHT = time_of_day()


def show_vehicle(vehicle: Vehicle | None, texts: Texts) -> None:
    """What the register says of a vehicle, or that it says nothing."""
    if vehicle is None:
        st.caption(texts.not_in_register)
        return
    parts = [part for part in (f"{vehicle.make} {vehicle.model}".strip(), vehicle.colour, vehicle.owner) if part]
    st.text(f"{texts.in_register}: {', '.join(parts) or vehicle.plate}")
    if vehicle.permit_until is not None:
        when = shown_until(vehicle.permit_until)
        if vehicle.permit_until <= datetime.now(UTC):
            st.markdown(f":red-badge[{texts.permit_over.format(when=when)}]")
        else:
            st.caption(f"{texts.permit_until} {when}")


def shown_until(time: datetime) -> str:
    """The end of a permit as the page writes it: its last day where it ends with a day in UTC, else the moment."""
    moment = time.astimezone(UTC)
    return f"{moment - timedelta(days=1):%Y-%m-%d}" if moment.time() == MIDNIGHT else shown_time(moment)


def shown_time(time: datetime, *, seconds: bool = False) -> str:
    """A moment as the page writes it, in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")
