"""Counts of sightings in, charts by time, hour of the day, camera and list out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from openplate.client import Client, Count, Group, Query
from openplate.page.texts import Texts

_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_HOURLY_DAYS = 7
_COLOUR = "#2a7f8e"
_HEIGHT_PX = 240
_ROW_PX = 30
_LABEL_PX = 80
"""The widest label of a time."""


def show(client: Client, texts: Texts) -> None:
    """The part of the page with charts."""
    names = dict(texts.periods)
    period = st.segmented_control(texts.period, list(names), default="week", format_func=lambda one: names[one], required=True, key="period")
    days = _DAYS[period or "week"]
    now = datetime.now(UTC)
    query = Query(since=now - timedelta(days=days))
    hours = client.count("hour", query)
    if not hours:
        st.info(texts.no_sightings)
        return
    st.subheader(f"{texts.by_hour} ({texts.in_utc})", anchor=False)
    step: Group = "hour" if days <= _HOURLY_DAYS else "day"
    st.altair_chart(_over_time(hours if step == "hour" else client.count("day", query), query, now, step, texts))
    left, right = st.columns(2)
    with left:
        st.subheader(f"{texts.by_hour_of_day} ({texts.in_utc})", anchor=False)
        st.altair_chart(_bars(of_the_day(hours), texts.hour, texts.number, sort=None))
    with right:
        st.subheader(texts.by_camera, anchor=False)
        st.altair_chart(_lying(client.count("camera", query), texts.camera, texts.number))
        on_lists = client.count("list", query)
        st.subheader(texts.by_list, anchor=False)
        if on_lists:
            st.altair_chart(_lying(on_lists, texts.list, texts.number))
        else:
            st.caption(texts.no_sightings)


def of_the_day(hours: Sequence[Count]) -> list[Count]:
    """Counts by hour summed up by the hour of the day, from 00 to 23; hours without sightings have 0."""
    sums = dict.fromkeys(range(24), 0)
    for count in hours:
        assert count.group is not None  # every sighting has a time
        sums[datetime.fromisoformat(count.group).astimezone(UTC).hour] += count.sightings
    return [Count(f"{hour:02}", number) for hour, number in sums.items()]


def filled(counts: Sequence[Count], since: datetime, until: datetime, step: timedelta) -> list[tuple[datetime, int]]:
    """Counts with those of 0 in between, from the step of `since` to that of `until`."""
    known = {_moment(count.group): count.sightings for count in counts if count.group is not None}
    time = since.replace(minute=0, second=0, microsecond=0)
    if step >= timedelta(days=1):
        time = time.replace(hour=0)
    found = []
    while time <= until:
        found.append((time, known.get(time, 0)))
        time += step
    return found


def _moment(group: str) -> datetime:
    """The beginning of an hour or, without a time, of a day."""
    time = datetime.fromisoformat(group)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _over_time(counts: Sequence[Count], query: Query, now: datetime, step: Group, texts: Texts) -> Any:
    assert query.since is not None
    width = timedelta(hours=1) if step == "hour" else timedelta(days=1)
    rows = filled(counts, query.since, now, width)
    # Without a time zone, or the browser would turn them into its own.
    bars = [(time.replace(tzinfo=None), (time + width).replace(tzinfo=None), number) for time, number in rows]
    frame = pd.DataFrame(bars, columns=["time", "end", "number"])
    return (
        alt.Chart(frame, height=_HEIGHT_PX)
        .mark_rect(color=_COLOUR)
        .encode(
            # A label close to either end, as shortly after midnight, would reach over the chart's side.
            x=alt.X(
                "time:T", title=None, axis=alt.Axis(format="%d.%m %H:%M" if step == "hour" else "%d.%m", labelOverlap=True, labelFlush=_LABEL_PX / 2)
            ),
            x2="end:T",
            y2=alt.Y2Datum(0),
            y=alt.Y("number:Q", title=texts.number, axis=alt.Axis(tickMinStep=1)),
            tooltip=[
                alt.Tooltip("time:T", title=texts.seen, format="%Y-%m-%d %H:%M"),
                alt.Tooltip("number:Q", title=texts.number),
            ],
        )
    )


def _bars(counts: Sequence[Count], group: str, number: str, sort: str | None) -> Any:
    frame = pd.DataFrame([(count.group or "—", count.sightings) for count in counts], columns=["group", "number"])
    return (
        alt.Chart(frame, height=_HEIGHT_PX)
        .mark_bar(color=_COLOUR)
        .encode(
            x=alt.X("group:N", title=group, sort=sort, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("number:Q", title=number, axis=alt.Axis(tickMinStep=1)),
            tooltip=[alt.Tooltip("group:N", title=group), alt.Tooltip("number:Q", title=number)],
        )
    )


def _lying(counts: Sequence[Count], group: str, number: str) -> Any:
    frame = pd.DataFrame([(count.group or "—", count.sightings) for count in counts], columns=["group", "number"])
    return (
        alt.Chart(frame, height=alt.Step(_ROW_PX))
        .mark_bar(color=_COLOUR)
        .encode(
            x=alt.X("number:Q", title=number, axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("group:N", title=None, sort="-x", axis=alt.Axis(labelOverlap=False)),
            tooltip=[alt.Tooltip("group:N", title=group), alt.Tooltip("number:Q", title=number)],
        )
    )
