"""Cameras and what they see now, with their last sightings; adding, starting, stopping, changing and removing them."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from openplate.client import Camera, Client, NewCamera, Query
from openplate.errors import ServiceError
from openplate.page import session
from openplate.page.coloured import badge
from openplate.page.plain import plain
from openplate.page.sighting import show_sighting, shown_text
from openplate.page.texts import Texts
from openplate.page.vehicle import shown_time

_REFRESH_S = 3
_LAST_OF_ONE = 3
_LAST = 6


def show(client: Client, texts: Texts) -> None:
    """The part of the page for cameras: what is live draws itself anew every few seconds."""
    live = st.fragment(run_every=_REFRESH_S)(_live)
    live(client, texts)
    _manage(client, client.cameras(), texts)


def _live(client: Client, texts: Texts) -> None:
    with session.told(texts, client.server):
        cameras = client.cameras()
        if not cameras:
            st.info(texts.no_cameras)
        for first in range(0, len(cameras), 2):
            for column, camera in zip(st.columns(2), cameras[first : first + 2], strict=False):
                with column, st.container(border=True, key=f"camera-{camera.name}"):
                    _show_camera(client, camera, texts)
        st.subheader(texts.last_sightings, anchor=False)
        found = client.search(size=_LAST).sightings
        if not found:
            st.caption(texts.no_sightings)
        for first in range(0, len(found), 2):
            for column, sighting in zip(st.columns(2), found[first : first + 2], strict=False):
                with column:
                    show_sighting(client, sighting, texts, "last")


def _show_camera(client: Client, camera: Camera, texts: Texts) -> None:
    status = camera.status
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        tone = "red" if status.error else "green" if status.state == "running" else "gray"
        st.markdown(f"**{plain(camera.name)}** :{tone}-badge[{texts.faulty if status.error else texts.state_of(status.state)}]")
        if camera.wanted:
            if st.button(texts.stop, icon=":material/stop:", key=f"stop-{camera.name}"):
                client.stop_camera(camera.name)
                st.rerun(scope="fragment")
        elif st.button(texts.start, icon=":material/play_arrow:", key=f"start-{camera.name}"):
            client.start_camera(camera.name)
            st.rerun(scope="fragment")
    picture = client.snapshot(camera.name, marked=True) if status.last_frame is not None else None
    if picture is None:
        st.caption(texts.no_frame)
    else:
        st.image(picture, width="stretch")
    facts = [f"{texts.fps} {status.fps:.1f}", f"{texts.dropped} {status.dropped}", f"{texts.restarts} {status.restarts}"]
    if status.last_frame is not None:
        facts.append(f"{texts.last_frame} {shown_time(status.last_frame, seconds=True)}")
    st.caption(plain(" · ".join(facts)))
    if status.error:
        st.caption(plain(texts.last_error.format(error=status.error)))
    for sighting in client.search(Query(cameras=(camera.name,)), size=_LAST_OF_ONE).sightings:
        text = shown_text(sighting, texts) if sighting.status == "read" else badge(texts.unreadable)
        st.html(f'<div class="op-line"><span class="op-quiet">{_when(sighting.last)}</span>{text}</div>')


def _when(time: datetime) -> str:
    """The time of a moment of today, the day of an earlier one."""
    moment = time.astimezone(UTC)
    return f"{moment:%H:%M:%S}" if moment.date() == datetime.now(UTC).date() else f"{moment:%d.%m %H:%M}"


def _manage(client: Client, cameras: list[Camera], texts: Texts) -> None:
    if cameras:
        with st.expander(texts.manage):
            name = st.selectbox(texts.camera, [camera.name for camera in cameras], key="managed")
            camera = next(one for one in cameras if one.name == name)
            with st.form(f"change-{name}"):
                source = st.text_input(texts.source, placeholder=camera.source, help=texts.source_help, key=f"source-{name}").strip()
                country = st.text_input(texts.countries, ", ".join(camera.country), help=texts.countries_help, key=f"country-{name}")
                if st.form_submit_button(texts.change):
                    with session.told(texts, client.server):
                        # An address is shown without its password, and therefore only sent when another one was typed in.
                        client.change_camera(camera.name, {"country": _codes(country)} | ({"source": source} if source else {}))
                        st.rerun()
            if st.button(texts.remove_sure.format(name=camera.name), key=f"remove-{name}"):
                with session.told(texts, client.server):
                    client.remove_camera(camera.name)
                    st.rerun()
    with st.expander(texts.add_camera, icon=":material/add:", expanded=not cameras), st.form("add-camera"):
        name = st.text_input(texts.name, help=texts.only_name, key="add-camera-name").strip()
        source = st.text_input(texts.source, help=texts.source_help, key="add-camera-source").strip()
        country = st.text_input(texts.countries, help=texts.countries_help, placeholder="RU, DE", key="add-camera-country")
        start = st.checkbox(texts.start_at_once, value=True, key="add-camera-start")
        if st.form_submit_button(texts.add_camera, type="primary") and name and source:
            _add(client, NewCamera(name, source, tuple(_codes(country)), start=start), texts)


def _add(client: Client, new: NewCamera, texts: Texts) -> None:
    try:
        client.add_camera(new)
    except ServiceError as error:
        if error.status not in (409, 422):
            raise
        if error.status == 409 and "already" in str(error):
            st.error(texts.exists)
        else:
            session.refused(error.status, str(error), texts)
        return
    st.rerun()


def _codes(typed: str) -> list[str]:
    return [code.strip() for code in typed.split(",") if code.strip()]
