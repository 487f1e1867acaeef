"""What to look for in, sightings with their pictures out."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from openplate.client import Client, How, Query, Status, StoredSighting
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
    """The query when it was just asked, None otherwise."""
    hows: dict[How, str] = {
        "contains": texts.how_contains, "exact": texts.how_exact, "wildcard": texts.how_wildcard, "fuzzy": texts.how_fuzzy
    }  # fmt: skip
    statuses: dict[Status | None, str] = {None: texts.any, "read": texts.read, "unreadable": texts.half_read}
    with st.form("search"):
        left, right = st.columns([2, 1])
        plate = left.text_input(texts.plate, help=texts.plate_help, key="search-plate").strip()
        how = right.selectbox(texts.how, list(hows), format_func=lambda one: hows[one], key="search-how")
        with st.expander(texts.filters):
            first, second, third = st.columns(3)
            since = first.datetime_input(texts.since, value=None, help=texts.times_are, key="search-since")
            until = second.datetime_input(texts.until, value=None, help=texts.times_are, key="search-until")
            confidence = third.slider(texts.min_confidence, 0.0, 1.0, 0.0, 0.01, key="search-confidence")
            cameras = first.multiselect(texts.camera, _cameras(client), help=texts.camera_help, placeholder=texts.any, key="search-cameras")
            lists = second.multiselect(texts.list, [one.name for one in client.lists()], placeholder=texts.any, key="search-lists")
            country = third.text_input(texts.country, placeholder=texts.any, key="search-country")
            status = first.selectbox(texts.status, list(statuses), format_func=lambda one: statuses[one], key="search-status")
            order = second.selectbox(
                texts.order, ["time", "match"], format_func=lambda one: texts.order_time if one == "time" else texts.order_match, key="search-order"
            )
            edits = third.selectbox(texts.edits, [0, 1, 2], index=1, help=texts.how_fuzzy, key="search-edits")
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
