from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

pytest.importorskip("pandas", reason="Streamlit is not installed (pip install 'openplate[page]')")

from openplate.page.edited import cell_time, edit_of, shown_cell_time, table

ROWS = [{"plate": "A1", "note": "x"}, {"plate": "B2", "note": ""}, {"plate": "C3", "note": ""}]


def test_added_changed_and_removed_rows_are_told_apart() -> None:
    state = {"edited_rows": {"0": {"note": "y"}}, "added_rows": [{"plate": "D4"}], "deleted_rows": [2]}
    edit = edit_of(ROWS, state)
    assert edit.changed == ((ROWS[0], {"plate": "A1", "note": "y"}),)
    assert edit.added == ({"plate": "D4"},)
    assert edit.removed == (ROWS[2],)
    assert not edit.empty


def test_a_row_that_was_changed_and_then_removed_is_removed_only() -> None:
    edit = edit_of(ROWS, {"edited_rows": {1: {"note": "y"}}, "added_rows": [], "deleted_rows": [1]})
    assert (edit.changed, edit.removed) == ((), (ROWS[1],))


def test_empty_new_rows_and_cells_that_were_set_back_are_no_edit() -> None:
    assert edit_of(ROWS, {"edited_rows": {"0": {"note": "x"}}, "added_rows": [{}, {"plate": ""}, {"plate": None}], "deleted_rows": []}).empty
    assert edit_of(ROWS, {}).empty


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("2031-03-31T18:00:00.000", datetime(2031, 3, 31, 18, tzinfo=UTC)),
        ("2031-03-31T18:00:00+03:00", datetime(2031, 3, 31, 15, tzinfo=UTC)),
        (datetime(2031, 3, 31, 18, tzinfo=UTC), datetime(2031, 3, 31, 18, tzinfo=UTC)),
        (None, None),
        ("", None),
    ],
)
def test_a_cell_of_the_editor_is_a_moment_in_utc(cell: object, time: datetime | None) -> None:
    assert cell_time(cell) == time


def test_a_moment_is_shown_in_utc_without_saying_so() -> None:
    assert shown_cell_time(datetime(2031, 3, 31, 18, tzinfo=timezone(timedelta(hours=3)))) == datetime(2031, 3, 31, 15)
    assert shown_cell_time(None) is None


def test_a_column_of_times_stays_one_when_it_is_empty() -> None:
    frame = table([{"plate": "A1", "until": None}], ("plate", "until"), ("until",))
    assert str(frame["until"].dtype).startswith("datetime64")
    assert table([], ("plate", "until"), ("until",)).shape == (0, 2)
