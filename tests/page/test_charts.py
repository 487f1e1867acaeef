from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("streamlit", reason="Streamlit is not installed (pip install 'openplate[page]')")

from openplate.client import Count
from openplate.page.charts import filled, of_the_day


def test_hours_of_several_days_add_up_by_the_hour_of_the_day() -> None:
    counts = of_the_day([Count("2026-05-01T07:00Z", 2), Count("2026-05-02T07:00Z", 3), Count("2026-05-02T23:00Z", 1)])
    assert len(counts) == 24
    assert {one.group: one.sightings for one in counts if one.sightings} == {"07": 5, "23": 1}


def test_hours_and_days_without_sightings_count_zero() -> None:
    since, until = datetime(2026, 5, 1, 6, 30, tzinfo=UTC), datetime(2026, 5, 1, 9, 15, tzinfo=UTC)
    hours = filled([Count("2026-05-01T07:00Z", 2)], since, until, timedelta(hours=1))
    assert [(time.hour, number) for time, number in hours] == [(6, 0), (7, 2), (8, 0), (9, 0)]
    days = filled([Count("2026-05-02", 4)], since, until + timedelta(days=2), timedelta(days=1))
    assert [(time.day, number) for time, number in days] == [(1, 0), (2, 4), (3, 0)]
