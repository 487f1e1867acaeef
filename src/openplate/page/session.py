"""A visitor's language, key and client of the service, and what the visitor is told when the service does not do as asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import streamlit as st

from openplate.client import Client
from openplate.errors import ServiceError
from openplate.page.plain import plain
from openplate.page.reasons import refusal_reason
from openplate.page.settings import PageSettings
from openplate.page.texts import TEXTS, Language, Texts, preferred

_FORM_PX = 480
_LANGUAGE, _KEY, _CLIENT, _PRIVACY = "openplate_language", "openplate_key", "openplate_client", "openplate_privacy"


def language() -> Language:
    """The visitor's language: the one that was chosen, else the one in the address (`?lang=ru`), else the browser's."""
    if _LANGUAGE not in st.session_state:
        asked = st.query_params.get("lang")
        st.session_state[_LANGUAGE] = asked if asked in TEXTS else preferred(st.context.locale)
    return cast(Language, st.session_state[_LANGUAGE])


def choose_language() -> None:
    """The switch between the languages."""
    language()
    choice = st.segmented_control(
        TEXTS[language()].language, list(TEXTS), default=language(), format_func=lambda one: one.upper(), label_visibility="collapsed", key="language"
    )
    if choice and choice != language():
        st.session_state[_LANGUAGE] = choice
        st.rerun()


def signed_in(settings: PageSettings) -> Client | None:
    """The visitor's client; None as long as a key is needed and none that the service knows was given."""
    if _CLIENT in st.session_state:
        return cast(Client, st.session_state[_CLIENT])
    if not settings.sign_in:
        client = Client(settings.server, settings.key)
        try:
            client.check()
        except ServiceError as error:
            client.close()
            if error.status != 401 or settings.key:
                raise
        else:
            st.session_state[_CLIENT] = client
            return client
    return None


def hashed(client: Client) -> bool:
    """Whether the service keeps hashes in place of plates. That never changes; the service is asked once a visit."""
    if _PRIVACY not in st.session_state:
        st.session_state[_PRIVACY] = client.privacy()
    return bool(st.session_state[_PRIVACY] == "hash")


def sign_in_form(settings: PageSettings, texts: Texts) -> None:
    """The form in which visitors give their key."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title(texts.sign_in, anchor=False)
        choose_language()
    st.write(texts.sign_in_why)
    with st.form("sign-in", width=_FORM_PX):
        key = st.text_input(texts.key, type="password", help=texts.key_help, autocomplete="current-password").strip()
        pressed = st.form_submit_button(texts.sign_in, type="primary")
    if not (pressed and key):
        return
    client = Client(settings.server, key)
    try:
        client.check()
    except ServiceError as error:
        client.close()
        if error.status != 401:
            raise
        st.error(texts.key_unknown)
        return
    st.session_state[_CLIENT] = client
    st.session_state[_KEY] = True
    st.rerun()


def sign_out(texts: Texts) -> None:
    """A button for those who signed in."""
    if st.session_state.get(_KEY) and st.button(texts.sign_out, type="tertiary"):
        forget()
        st.rerun()


def forget() -> None:
    """End the visitor's session with the service."""
    client = st.session_state.pop(_CLIENT, None)
    st.session_state.pop(_KEY, None)
    st.session_state.pop(_PRIVACY, None)
    if client is not None:
        client.close()


@contextmanager
def told(texts: Texts, server: str) -> Iterator[None]:
    """Tell the visitor what the service refused, instead of failing."""
    try:
        yield
    except ServiceError as error:
        tell(error, texts, server)


def tell(error: ServiceError, texts: Texts, server: str) -> None:
    """Say what went wrong, in the visitor's language where the reason is not the service's own."""
    if error.status is None:
        st.error(texts.no_service.format(server=plain(server)))
        st.markdown(texts.no_service_help)
        st.button(texts.again, key="again")
    elif error.status == 401:
        forget()
        st.error(texts.key_unknown)
        st.button(texts.sign_in, key="sign-in-again")
    elif error.status == 403:
        st.error(_with_words(texts.not_allowed, refusal_reason(str(error), texts)))
    else:
        refused(error.status, str(error), texts)


def refused(status: int, words: str, texts: Texts, of: str = "") -> None:
    """Say of which kind a refusal is in the visitor's language, and below it the reason; `of` names the file that was refused."""
    reason = refusal_reason(words, texts)
    st.error(_with_words(texts.failed.format(reason=texts.refusal_of(status)), f"{of}: {reason}" if of else reason))


def _with_words(sentence: str, words: str) -> str:
    return f"{sentence}\n\n:small[{plain(' '.join(words.split()))}]"
