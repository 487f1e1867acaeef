from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

pytest.importorskip("streamlit", reason="Streamlit is not installed (pip install 'openplate[page]')")

from openplate.client import Vehicle
from openplate.page.register import _row, _vehicle
from openplate.page.vehicle import shown_until


@pytest.mark.parametrize(
    ("until", "shown"),
    [
        (datetime(2027, 4, 1, tzinfo=UTC), "2027-03-31"),
        (datetime(2027, 4, 1, 3, tzinfo=timezone(timedelta(hours=3))), "2027-03-31"),
        (datetime(2027, 3, 31, 15, tzinfo=UTC), "2027-03-31 15:00"),
    ],
)
def test_permit_is_shown_with_its_last_day(until: datetime, shown: str) -> None:
    assert shown_until(until) == shown


def test_table_shows_the_last_minute_of_a_permit_and_gives_the_same_permit_back() -> None:
    vehicle = Vehicle("A1", permit_until=datetime(2027, 4, 1, tzinfo=UTC))
    row = _row(vehicle)
    assert row["permit_until"] == datetime(2027, 3, 31, 23, 59)
    assert _vehicle(row) == vehicle
    assert _vehicle(_row(Vehicle("A1"))) == Vehicle("A1")
