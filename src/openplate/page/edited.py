"""A table before and after it was edited in, the rows that were added, changed and removed out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Edit:
    """What was done to a table. `changed` has pairs of a row before and after; `removed` the rows as they were."""

    added: tuple[Row, ...]
    changed: tuple[tuple[Row, Row], ...]
    removed: tuple[Row, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing was done."""
        return not (self.added or self.changed or self.removed)


def edit_of(before: Sequence[Row], state: Mapping[str, Any]) -> Edit:
    """What the state of Streamlit's data editor means for the rows that it was given. Rows that were added and left empty do not count.

    Args:
        before: the rows as they were given to the editor, in their order.
        state: `edited_rows` (number → changed cells), `added_rows` and `deleted_rows` (numbers).
    """
    removed = set(state.get("deleted_rows", ()))
    changed = []
    for number, cells in state.get("edited_rows", {}).items():
        row = before[int(number)]
        after = row | cells
        if int(number) not in removed and after != row:
            changed.append((row, after))
    added = tuple(dict(row) for row in state.get("added_rows", ()) if any(value not in (None, "") for value in row.values()))
    return Edit(added, tuple(changed), tuple(before[number] for number in sorted(removed)))


def cell_time(value: object) -> datetime | None:
    """The moment that a cell says, in UTC; the editor gives its changes as ISO 8601 without a time zone.

    Raises:
        ValueError: the cell holds something else.
    """
    if value is None or value == "" or value is pd.NaT:
        return None
    time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def shown_cell_time(time: datetime | None) -> datetime | None:
    """A moment as the editor takes it: in UTC, without saying so."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)


def table(rows: Sequence[Row], columns: Sequence[str], times: Sequence[str]) -> Any:
    """The rows as the editor's table, a data frame; columns of times keep their kind when they are empty."""
    frame = pd.DataFrame(list(rows), columns=list(columns))
    for name in columns:
        frame[name] = pd.to_datetime(frame[name]) if name in times else frame[name].astype("string").fillna("")
    return frame
