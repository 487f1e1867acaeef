"""Lists of plates, edited in place."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from openplate.client import Client, Entry, NewEntry, PlateList
from openplate.page import session
from openplate.page.edited import Edit, Row, cell_time, edit_of, shown_cell_time, table
from openplate.page.plain import plain
from openplate.page.texts import Texts

_COLUMNS = ("pattern", "kind", "note", "valid_from", "valid_until")
_TIMES = ("valid_from", "valid_until")
_KINDS = ("allow", "watch", "block")
_SAVED, _CHOSEN, _DRAFT = "openplate_saved", "openplate_list", "openplate_draft"


def show(client: Client, texts: Texts) -> None:
    """The part of the page for lists."""
    found = client.lists()
    if st.session_state.pop(_SAVED, False):
        st.toast(texts.saved, icon=":material/check:")
    if found:
        names = [one.name for one in found]
        chosen = st.session_state.get(_CHOSEN)
        index = names.index(chosen) if chosen in names else 0
        name = st.selectbox(texts.list, names, index=index, format_func=lambda one: _title(found[names.index(one)], texts))
        st.session_state[_CHOSEN] = name
        _show_list(client, found[names.index(name)], texts)
    else:
        st.info(texts.no_lists)
    _create(client, texts, expanded=not found)


def _title(one: PlateList, texts: Texts) -> str:
    return f"{one.name} ({texts.kind_of(one.kind)})"


def _show_list(client: Client, shown: PlateList, texts: Texts) -> None:
    entries = client.entries(shown.name)
    rows = [_row(entry) for entry in entries]
    st.caption(texts.edit_help)
    kinds = {kind: word for kind, word in texts.entry_kinds if kind == "plate" or not session.hashed(client)}
    # Another draft is another editor: after saving it begins with what the service kept.
    key = f"entries-{shown.name}-{st.session_state.get(_DRAFT, 0)}"
    st.data_editor(
        table(rows, _COLUMNS, _TIMES),
        key=key,
        num_rows="dynamic",
        hide_index=True,
        placeholder="",
        column_config={
            "pattern": st.column_config.TextColumn(texts.pattern, help=texts.pattern_help, required=True, width="medium"),
            "kind": st.column_config.SelectboxColumn(
                texts.entry_kind, options=list(kinds), format_func=lambda one: kinds.get(str(one), str(one)), default="plate", required=True
            ),
            "note": st.column_config.TextColumn(texts.note),
            "valid_from": st.column_config.DatetimeColumn(texts.valid_from, help=texts.times_are, format="YYYY-MM-DD HH:mm"),
            "valid_until": st.column_config.DatetimeColumn(texts.valid_until, help=texts.times_are, format="YYYY-MM-DD HH:mm"),
        },
    )
    if st.button(texts.save, type="primary", icon=":material/save:", key="save-entries"):
        edit = edit_of(rows, st.session_state[key])
        if edit.empty:
            st.info(texts.nothing_changed)
        else:
            with session.told(texts, client.server):  # what is below stays when an entry is refused
                _save(client, shown, {id(row): entry for row, entry in zip(rows, entries, strict=True)}, edit)
                _again(shown.name)
    _settings(client, shown, texts)


def _save(client: Client, shown: PlateList, entries: dict[int, Entry], edit: Edit) -> None:
    """Write an edit. New entries go first: when one of them is refused, nothing is lost."""
    wanted = [*(after for _, after in edit.changed), *edit.added]
    if wanted:
        kept = client.add_entries(shown.name, [_entry(row) for row in wanted])
    else:
        kept = []
    still = {entry.id for entry in kept}
    for row in (*(before for before, _ in edit.changed), *edit.removed):
        entry = entries[id(row)]
        if entry.id not in still:
            client.remove_entry(shown.name, entry.id)


def _settings(client: Client, shown: PlateList, texts: Texts) -> None:
    with st.expander(texts.list_settings), st.form(f"list-{shown.name}"):
        left, right = st.columns(2)
        kinds = list(dict.fromkeys((*_KINDS, shown.kind)))
        kind = left.selectbox(
            texts.kind, kinds, index=kinds.index(shown.kind), format_func=texts.kind_of, accept_new_options=True, help=texts.kind_help
        )
        note = right.text_input(texts.note, shown.note)
        least = left.number_input(texts.list_min_match, 0.02, 1.0, shown.min_match, 0.01)
        days = right.number_input(texts.keep_days, 0.0, 36500.0, shown.keep_days, 1.0, help=texts.keep_days_help)
        if st.form_submit_button(texts.save):
            with session.told(texts, client.server):
                client.change_list(shown.name, replace(shown, kind=kind or shown.kind, note=note, min_match=least, keep_days=days))
                _again(shown.name)
    with st.expander(texts.delete_list):
        if st.button(texts.delete_sure.format(name=plain(shown.name)), key=f"delete-{shown.name}"):
            with session.told(texts, client.server):
                client.remove_list(shown.name)
                _again(None)


def _create(client: Client, texts: Texts, *, expanded: bool) -> None:
    with st.expander(texts.new_list, expanded=expanded, icon=":material/add:"), st.form("new-list", clear_on_submit=True):
        left, right = st.columns(2)
        name = left.text_input(texts.name, key="new-list-name").strip()
        kind = right.selectbox(texts.kind, _KINDS, format_func=texts.kind_of, accept_new_options=True, help=texts.kind_help, key="new-list-kind")
        note = st.text_input(texts.note, key="new-list-note")
        if st.form_submit_button(texts.create) and name:
            with session.told(texts, client.server):
                client.create_list(PlateList(name, kind or _KINDS[0], note))
                _again(name)


def _again(chosen: str | None) -> None:
    """Draw the page anew with what the service now holds."""
    st.session_state[_DRAFT] = st.session_state.get(_DRAFT, 0) + 1
    st.session_state[_SAVED] = True
    if chosen is None:
        st.session_state.pop(_CHOSEN, None)
    else:
        st.session_state[_CHOSEN] = chosen
    st.rerun()


def _row(entry: Entry) -> Row:
    return {
        "pattern": entry.pattern,
        "kind": entry.kind,
        "note": entry.note,
        "valid_from": shown_cell_time(entry.valid_from),
        "valid_until": shown_cell_time(entry.valid_until),
    }


def _entry(row: Row) -> NewEntry:
    return NewEntry(
        str(row.get("pattern") or "").strip(),
        row.get("kind") or "plate",
        cell_time(row.get("valid_from")),
        cell_time(row.get("valid_until")),
        str(row.get("note") or ""),
    )
