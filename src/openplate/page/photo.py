"""A picture that is dropped, pasted, chosen or photographed in; its plates, marked, cut out and explained, out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import streamlit as st

from openplate.client import Client
from openplate.errors import OpenPlateError, ServiceError
from openplate.page.coloured import coloured, percent
from openplate.page.paste import paste_target
from openplate.page.pictures import cut, mark
from openplate.page.plain import plain
from openplate.page.reasons import plate_reason
from openplate.page.session import refused
from openplate.page.settings import MAX_MEGABYTES
from openplate.page.texts import Texts
from openplate.page.vehicle import show_vehicle
from openplate.sources import read_image
from openplate.types import PhotoResult, Plate

_TYPES = ["image/jpeg", "image/png", "image/webp", "image/bmp", "image/tiff", "image/gif"]
"""Named one by one: iPhones then turn their own format into JPEG."""
_SHOWN = 5
_READ = "openplate_photo"


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read last: kept, for the page is drawn anew with every click."""

    digest: str
    results: list[PhotoResult]
    picture: bytes
    plates: list[tuple[Plate, bytes]]
    """With what is cut out."""
    places: list[bytes]
    """Cut out where there may be a plate, without a text."""


def show(client: Client, texts: Texts) -> None:
    """The part of the page for pictures."""
    uploaded = st.file_uploader(texts.drop, type=_TYPES, max_upload_size=MAX_MEGABYTES, help=texts.drop_help, key="picture")
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    with left:
        countries = st.text_input(texts.countries, help=texts.countries_help, placeholder="RU, DE", key="countries")
    with middle:
        taking = st.toggle(texts.take, help=texts.take_help, key="taking")
    with right:
        paste_target(texts.paste, texts.paste_none)
    taken = st.camera_input(texts.take, label_visibility="collapsed", resolution="1080p", key="taken") if taking else None
    file = taken or uploaded
    if file is None:
        return
    read = _read(client, file.name, file.getvalue(), tuple(code.strip() for code in countries.split(",") if code.strip()), texts)
    if read is not None:
        _show(client, read, texts)


def _read(client: Client, name: str, data: bytes, countries: tuple[str, ...], texts: Texts) -> _Read | None:
    digest = hashlib.sha256(data + ",".join(countries).encode()).hexdigest()
    known: _Read | None = st.session_state.get(_READ)
    if known is not None and known.digest == digest:
        return known
    try:
        with st.spinner(texts.reading):
            results = client.read(data, country=countries)
            picture, plates, places = _pictures(data, results[0])
    except ServiceError as error:
        if error.status not in (413, 422, 503):
            raise
        _refused(name, error.status, str(error), texts)
        return None
    except OpenPlateError as error:
        _refused(name, 422, str(error), texts)
        return None
    st.session_state[_READ] = read = _Read(digest, results, picture, plates, places)
    return read


def _refused(name: str, status: int, words: str, texts: Texts) -> None:
    """Tell why a file was refused: the service knows it as a picture alone, the visitor by its name."""
    refused(status, words.removeprefix("picture: "), texts, of=name if words.startswith("picture: ") else "")


def _pictures(data: bytes, result: PhotoResult) -> tuple[bytes, list[tuple[Plate, bytes]], list[bytes]]:
    """The picture with everything marked that was found, its plates, and what has no text."""
    image = read_image(data)[0].image
    plates = [(plate, cut(image, plate)) for plate in result.plates if plate.reading.text]
    return mark(image, result.plates), plates, [cut(image, plate) for plate in result.plates if not plate.reading.text]


def _show(client: Client, read: _Read, texts: Texts) -> None:
    result = read.results[0]
    times = result.milliseconds
    st.image(read.picture, width="stretch")
    engine = f"{result.engine.name} {result.engine.precision}"
    total = times.decode + times.detect + times.rectify + times.read
    st.caption(texts.milliseconds.format(width=result.width, height=result.height, total=total, engine=engine))
    if len(read.results) > 1:
        st.info(texts.only_first_frame.format(number=len(read.results)))
    number = len(read.plates)
    st.subheader(texts.no_plates if not number else texts.one_plate if number == 1 else texts.more_plates.format(number=number), anchor=False)
    if number:
        st.caption(texts.characters_help)
    for index, (plate, crop) in enumerate(read.plates):
        with st.container(border=True, key=f"plate-{index}"):
            _show_plate(client, plate, crop, texts)
    if read.places:
        with st.expander(texts.without_text.format(number=len(read.places))):
            st.caption(texts.without_text_why)
            st.image(read.places, width=160)


def _show_plate(client: Client, plate: Plate, crop: bytes, texts: Texts) -> None:
    reading = plate.reading
    left, right = st.columns([1, 2])
    left.image(crop, width="stretch")
    with right, st.container(gap="xxsmall"):
        if plate.text is None:
            st.markdown(f":orange-badge[{texts.unreadable}]")
            if plate.reason:
                st.caption(texts.unreadable_why.format(reason=plain(plate_reason(plate.reason, texts))))
        if reading.characters:
            st.html(coloured(reading.characters))
        where = f"{reading.country} · {reading.format}" if reading.country else "—"
        st.markdown(f"{texts.confidence} **{percent(reading.confidence)}** · {where}")
        if plate.text is not None:
            show_vehicle(client.vehicle(plate.text), texts)
        others = reading.candidates[:_SHOWN]
        if others:
            with st.expander(texts.candidates, expanded=plate.text is None):
                rows = [{texts.text: c.text, texts.probability: percent(c.confidence), texts.format: c.format or "—"} for c in others]
                st.table(rows)
