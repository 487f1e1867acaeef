"""The register of vehicles, edited in place and imported from CSV."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from openplate.client import Client, Import, Vehicle
from openplate.page import session
from openplate.page.edited import Edit, Row, cell_time, edit_of, shown_cell_time, table
from openplate.page.plain import plain
from openplate.page.reasons import row_reason
from openplate.page.texts import Texts

_COLUMNS = ("plate", "make", "model", "colour", "owner", "permit_until")
_PAGE = 100
_MINUTE = timedelta(minutes=1)
"""The table shows the last minute of a permit, not the first one without it: the day in it is then the last one that people mean."""
_AFTER, _DRAFT, _SAVED, _IMPORTED = "openplate_register_after", "openplate_register_draft", "openplate_register_saved", "openplate_imported"


def show(client: Client, texts: Texts) -> None:
    """The part of the page for the register."""
    if st.session_state.pop(_SAVED, False):
        st.toast(texts.saved, icon=":material/check:")
    wanted = st.text_input(texts.find_plate, key="register-plate").strip()
    after = st.session_state.get(_AFTER, "")
    if wanted:
        found = client.vehicle(wanted)
        vehicles = [] if found is None else [found]
        if found is None:
            st.caption(texts.not_in_register)
    else:
        vehicles = client.vehicles(after, _PAGE)
    _edit(client, vehicles, texts)
    if not wanted:
        _turn(vehicles, after, texts)
    _import(client, texts)


def _edit(client: Client, vehicles: list[Vehicle], texts: Texts) -> None:
    rows = [_row(vehicle) for vehicle in vehicles]
    st.caption(texts.edit_help)
    key = f"vehicles-{st.session_state.get(_DRAFT, 0)}-{hash(tuple(row['plate'] for row in rows))}"
    st.data_editor(
        table(rows, _COLUMNS, ("permit_until",)),
        key=key,
        num_rows="dynamic",
        hide_index=True,
        placeholder="",
        column_config={
            "plate": st.column_config.TextColumn(texts.plate, required=True),
            "make": st.column_config.TextColumn(texts.make),
            "model": st.column_config.TextColumn(texts.model),
            "colour": st.column_config.TextColumn(texts.colour),
            "owner": st.column_config.TextColumn(texts.owner),
            "permit_until": st.column_config.DatetimeColumn(texts.permit_until, help=texts.permit_help, format="YYYY-MM-DD HH:mm"),
        },
    )
    if not st.button(texts.save, type="primary", icon=":material/save:", key="save-vehicles"):
        return
    edit = edit_of(rows, st.session_state[key])
    if edit.empty:
        st.info(texts.nothing_changed)
        return
    with session.told(texts, client.server):  # what is below stays when a vehicle is refused
        _save(client, edit)
        st.session_state[_DRAFT] = st.session_state.get(_DRAFT, 0) + 1
        st.session_state[_SAVED] = True
        st.rerun()


def _save(client: Client, edit: Edit) -> None:
    kept = {client.put_vehicle(_vehicle(row)).plate for row in (*(after for _, after in edit.changed), *edit.added)}
    for row in (*(before for before, _ in edit.changed), *edit.removed):
        if row["plate"] not in kept:
            client.remove_vehicle(row["plate"])


def _turn(vehicles: list[Vehicle], after: str, texts: Texts) -> None:
    with st.container(horizontal=True):
        if after and st.button(texts.first_page):
            st.session_state.pop(_AFTER)
            st.rerun()
        if len(vehicles) == _PAGE and st.button(texts.next_page):
            st.session_state[_AFTER] = vehicles[-1].plate
            st.rerun()


def _import(client: Client, texts: Texts) -> None:
    done: Import | None = st.session_state.pop(_IMPORTED, None)
    with st.expander(texts.import_csv, icon=":material/upload_file:", expanded=done is not None):
        with st.form("import", clear_on_submit=True, border=False):
            file = st.file_uploader(texts.import_csv, type="csv", help=texts.import_help, label_visibility="collapsed", key="register-file")
            st.caption(texts.import_help)
            pressed = st.form_submit_button(texts.import_csv)
        if pressed and file is not None:
            with session.told(texts, client.server):
                st.session_state[_IMPORTED] = client.import_register(file.getvalue())
                st.session_state[_DRAFT] = st.session_state.get(_DRAFT, 0) + 1
                st.rerun()  # the table above shows what was imported
        if done is not None:
            _tell(done, texts)


def _tell(done: Import, texts: Texts) -> None:
    st.success(texts.imported.format(added=done.added, updated=done.updated, unchanged=done.unchanged))
    if done.ignored_columns:
        st.info(texts.ignored_columns.format(columns=plain(", ".join(done.ignored_columns))))
    if done.faults:
        st.warning(texts.import_faults.format(number=len(done.faults)))
        st.table([{texts.line: fault.line, texts.reason: plain(row_reason(fault.reason, texts))} for fault in done.faults[:50]])


def _row(vehicle: Vehicle) -> Row:
    row: Row = {name: getattr(vehicle, name) for name in _COLUMNS[:-1]}
    return row | {"permit_until": shown_cell_time(vehicle.permit_until and vehicle.permit_until - _MINUTE)}


def _vehicle(row: Row) -> Vehicle:
    texts = {name: str(row.get(name) or "").strip() for name in _COLUMNS[:-1]}
    last = cell_time(row.get("permit_until"))
    return Vehicle(texts["plate"], texts["make"], texts["model"], texts["colour"], texts["owner"], last and last + _MINUTE)
