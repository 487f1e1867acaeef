"""What to look for in, sightings with their pictures out."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from openplate.client import Client, How, Order, Query, Status, StoredSighting
from openplate.page import session
from openplate.page.sighting import show_sighting
from openplate.page.texts import Texts

_PAGE = 12
_QUERY, _FOUND, _NEXT = "openplate_query", "openplate_found", "openplate_next"


def show(client: Client, texts: Texts) -> None:
    """The part of the page that searches; before the first search it shows the newest sightings."""
    asked = _form(client, texts)
    if asked is not None or _QUERY not in st.session_state:
        query = asked or Query()
        page = client.search(query, size=_PAGE)
        st.session_state[_QUERY], st.session_state[_FOUND], st.session_state[_NEXT] = query, list(page.sightings), page.next
    query, found = st.session_state[_QUERY], st.session_state[_FOUND]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        more = "+" if st.session_state[_NEXT] else ""
        title = texts.newest if query == Query() else texts.found.format(number=f"{len(found)}{more}")
        st.subheader(title if found else texts.no_sightings, anchor=False)
        if found:
            st.download_button(
                texts.download_csv, lambda: client.export_csv(query), "sightings.csv", "text/csv", on_click="ignore", icon=":material/download:"
            )
    _show_found(client, found, texts)
    if st.session_state[_NEXT] and st.button(texts.more, width="stretch", key="more"):
        page = client.search(query, cursor=st.session_state[_NEXT], size=_PAGE)
        st.session_state[_FOUND], st.session_state[_NEXT] = found + list(page.sightings), page.next
        st.rerun()


def _show_found(client: Client, found: list[StoredSighting], texts: Texts) -> None:
    for first in range(0, len(found), 2):  # row by row: on a phone, where columns follow one another, the order stays right
        for column, sighting in zip(st.columns(2), found[first : first + 2], strict=False):
            with column:
                show_sighting(client, sighting, texts, "found")


def _form(client: Client, texts: Texts) -> Query | None:
    """The query when it was just asked, None otherwise. Where plates are hashed, only whole plates can be searched for."""
    hashed = session.hashed(client)
    hows: dict[How, str] = {
        "contains": texts.how_contains, "exact": texts.how_exact, "wildcard": texts.how_wildcard, "fuzzy": texts.how_fuzzy
    }  # fmt: skip
    if hashed:
        hows = {"exact": texts.how_exact}
    orders: dict[Order, str] = {"time": texts.order_time} if hashed else {"time": texts.order_time, "match": texts.order_match}
    statuses: dict[Status | None, str] = {None: texts.any_status, "read": texts.read, "unreadable": texts.half_read}
    with st.form("search"):
        left, right = st.columns([2, 1])
        plate = left.text_input(texts.plate, help=texts.plate_help_hashed if hashed else texts.plate_help, key="search-plate").strip()
        how = right.selectbox(texts.how, list(hows), format_func=lambda one: hows[one], key="search-how")
        with st.expander(texts.filters):
            # Row by row: on a phone, where columns follow one another, what belongs together stays together.
            left, right = st.columns(2)
            since = left.datetime_input(texts.since, value=None, format=texts.date_format, help=texts.times_are, key="search-since")
            until = right.datetime_input(texts.until, value=None, format=texts.date_format, help=texts.times_are, key="search-until")
            left, middle, right = st.columns(3)
            cameras = left.multiselect(texts.camera, _cameras(client), help=texts.camera_help, placeholder=texts.any_camera, key="search-cameras")
            lists = middle.multiselect(texts.list, [one.name for one in client.lists()], placeholder=texts.any_list, key="search-lists")
            country = right.text_input(texts.country, placeholder=texts.any_country, key="search-country")
            left, right = st.columns(2)
            status = left.selectbox(texts.status, list(statuses), format_func=lambda one: statuses[one], key="search-status")
            confidence = right.slider(texts.min_confidence, 0.0, 1.0, 0.0, 0.01, key="search-confidence")
            left, right = st.columns(2)
            order = left.selectbox(texts.order, list(orders), format_func=lambda one: orders[one], key="search-order")
            edits = 1 if hashed else right.selectbox(texts.edits, [0, 1, 2], index=1, help=texts.how_fuzzy, key="search-edits")
        pressed = st.form_submit_button(texts.find, type="primary", icon=":material/search:")
    if not pressed:
        return None
    fuzzy = bool(plate) and how == "fuzzy"
    return Query(
        plate=plate or None,
        how=how,
        edits=edits,
        since=_utc(since),
        until=_utc(until),
        cameras=tuple(cameras),
        countries=tuple(code.strip() for code in country.split(",") if code.strip()),
        lists=tuple(lists),
        min_confidence=confidence,
        status=status,
        order="match" if fuzzy and order == "match" else "time",
    )


def _cameras(client: Client) -> list[str]:
    """The cameras that have sightings."""
    return sorted({count.group for count in client.count("camera") if count.group})


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)
