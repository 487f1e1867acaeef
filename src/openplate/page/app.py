"""The page as Streamlit runs it: language, sign-in and navigation around one function for each part."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from openplate.client import Client
from openplate.errors import ServiceError
from openplate.page import cameras, charts, lists, photo, register, search, session
from openplate.page.settings import MAX_MEGABYTES, from_environment
from openplate.page.texts import TEXTS, Texts

_LOOK = Path(__file__).parent / "look.css"
# A file: an icon that Streamlit knows by name would be fetched from the internet.
_ICON = Path(__file__).parent / "icon.png"


def main() -> None:
    """Draw the page once, as for every visit and click."""
    settings = from_environment()
    texts = TEXTS[session.language()]
    st.set_page_config(page_title="OpenPlate", page_icon=_ICON, layout="wide")
    st.html(_LOOK)
    st.html(f"<style>{words_css(texts)}</style>")
    try:
        client = session.signed_in(settings)
        parts: tuple[tuple[str, str, str, Callable[[Client, Texts], None]], ...] = (
            ("photo", texts.photo, ":material/photo_camera:", photo.show),
            ("cameras", texts.cameras, ":material/videocam:", cameras.show),
            ("search", texts.search, ":material/search:", search.show),
            ("lists", texts.lists, ":material/list_alt:", lists.show),
            ("register", texts.register, ":material/garage:", register.show),
            ("charts", texts.charts, ":material/bar_chart:", charts.show),
        )
        # Without a client none of them is drawn, but which one was asked for is known after signing in.
        pages = [
            st.Page(partial(_draw, show, client, texts), title=title, icon=icon, url_path=path, default=path == "photo")
            for path, title, icon, show in parts
        ]
        chosen = st.navigation(pages, position="hidden" if client is None else "top")
        if client is None:
            session.sign_in_form(settings, texts)
            return
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.title(chosen.title, anchor=False)
            session.choose_language()
            session.sign_out(texts)
        chosen.run()
    except ServiceError as error:
        session.tell(error, texts, settings.server)


def _draw(show: Callable[[Client, Texts], None], client: Client | None, texts: Texts) -> None:
    if client is not None:
        show(client, texts)


def words_css(texts: Texts) -> str:
    """Streamlit's own words, which it has in English alone, in the visitor's language: they are hidden, and others are written after them."""
    chooser = '[data-testid="stFileUploaderDropzone"]'
    camera, shutter = '[data-testid="stCameraInput"]', '[data-testid="stCameraInputButton"]'
    words = (
        (f'{chooser} button [data-testid="stMarkdownContainer"] p', texts.choose),
        ('[data-testid="stFileUploaderDropzoneInstructions"] span', texts.choose_limit.format(megabytes=MAX_MEGABYTES)),
        (f"{camera}:not(:has(img)) {shutter}", texts.take_now),
        (f"{camera}:has(img) {shutter}", texts.take_again),
        *((f'[data-testid="stDateTimeInput"] [data-type="{part}"][data-placeholder]', word) for part, word in texts.date_parts),
    )
    rules = (
        f"{where}{{font-size:0!important}}{where}::after{{content:{json.dumps(text, ensure_ascii=False)};font-size:.95rem}}" for where, text in words
    )
    return "\n".join(rules)


main()
