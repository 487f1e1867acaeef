"""A stored sighting in, a card with its plate's picture, text, lists and register entry out."""

from __future__ import annotations

import streamlit as st

from openplate.client import Client, Picture, StoredSighting
from openplate.errors import OpenPlateError
from openplate.page.coloured import badge, coloured, percent
from openplate.page.pictures import mark
from openplate.page.plain import plain
from openplate.page.reasons import sighting_reasons
from openplate.page.texts import Texts
from openplate.page.vehicle import show_vehicle, shown_time
from openplate.sources import read_image
from openplate.types import Detection, Plate, Reading

_GUESSES = 3
_KEPT = 256


def show_sighting(client: Client, sighting: StoredSighting, texts: Texts, key: str) -> None:
    """The card of a sighting; `key` tells cards of one page apart."""
    with st.container(border=True, key=f"{key}-{sighting.seq}"):
        left, right = st.columns([1, 2])
        with left:
            _show_crop(client, sighting, texts)
        with right, st.container(gap="xxsmall"):
            st.html(shown_text(sighting, texts))
            st.caption(_facts(sighting, texts))
            if sighting.reasons:
                st.caption(texts.unreadable_why.format(reason=plain(sighting_reasons(sighting.reasons, texts))))
            badges = "".join(badge(f"{one.list} {percent(one.probability)}", one.kind) for one in sighting.lists)
            if badges:
                st.html(badges)
            if sighting.vehicle is not None:
                show_vehicle(sighting.vehicle, texts)
            if sighting.pictures:
                _show_evidence(client, sighting, texts, f"{key}-evidence-{sighting.seq}")


def shown_text(sighting: StoredSighting, texts: Texts) -> str:
    """A sighting's plate as HTML: its characters in colours, or the beginning of its hash; a word says that it is unreadable."""
    best = sighting.text or (sighting.candidates[0].text if sighting.candidates else "")
    if best.startswith("h:"):
        return ("" if sighting.status == "read" else badge(texts.unreadable)) + badge(f"{texts.hashed} {best[2:10]}")
    if sighting.status == "read":
        return coloured(sighting.characters)
    guess = coloured(sighting.characters) if sighting.characters else ""
    return f'{badge(texts.unreadable)}<div class="op-guess">{guess}</div>'


def _facts(sighting: StoredSighting, texts: Texts) -> str:
    parts = [shown_time(sighting.last, seconds=True), sighting.camera]
    if sighting.country:
        parts.append(sighting.country)
    parts.append(f"{texts.confidence} {percent(sighting.confidence)}")
    if sighting.match is not None:
        parts.append(f"{texts.match} {percent(sighting.match)}")
    if sighting.direction:
        parts.append(texts.direction_of(sighting.direction))
    if sighting.parked:
        parts.append(texts.parked)
    return " · ".join(plain(part) for part in parts)


def _show_crop(client: Client, sighting: StoredSighting, texts: Texts) -> None:
    crop = next((picture for picture in sighting.pictures if picture.kind == "crop"), None)
    if crop is None:
        st.caption(texts.no_picture)
        return
    try:
        st.image(_evidence(client, crop.sha256, crop), width="stretch")
    except OpenPlateError:
        st.caption(texts.no_picture)


@st.cache_data(max_entries=_KEPT, show_spinner=False)
def _evidence(_client: Client, sha256: str, _picture: Picture) -> bytes:
    """A picture's bytes. They never change, so that they are fetched once, however often a page that shows them is drawn anew."""
    return _client.picture(_picture)


def _show_evidence(client: Client, sighting: StoredSighting, texts: Texts, key: str) -> None:
    with st.popover(texts.evidence, icon=":material/image:", on_change="rerun", key=key) as opened:
        if not opened.open:  # pictures are fetched when somebody wants to see them
            return
        for number, picture in enumerate(sighting.pictures):
            data = _evidence(client, picture.sha256, picture)
            if number == 0 and sighting.quad is not None and picture.kind == "frame":
                data = mark(read_image(data)[0].image, [_plate(sighting)])
            st.image(data, width="stretch", caption=texts.picture_crop if picture.kind == "crop" else texts.picture_frame)
        if sighting.candidates:
            st.table([{texts.text: c.text, texts.probability: percent(c.confidence)} for c in sighting.candidates[:_GUESSES]])


def _plate(sighting: StoredSighting) -> Plate:
    """The sighting as the plate of its picture, to be marked there."""
    assert sighting.quad is not None
    best = sighting.candidates[0].text if sighting.candidates else ""
    text = "" if best.startswith("h:") else best
    reading = Reading(text, sighting.confidence, sighting.characters, sighting.candidates, sighting.country, sighting.format, 1)
    return Plate(sighting.status, text if sighting.status == "read" else None, None, Detection(sighting.quad, 1.0), reading)
