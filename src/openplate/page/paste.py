"""The clipboard's picture in, the same file in the page's uploader out: pasting takes the way that dropping takes, with its limits."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

# The uploader is React's: it reads its input's files when a `change` event bubbles up to it.
_JAVASCRIPT = """
export default function ({ data, parentElement }) {
  const hand = (file) => {
    const input = document.querySelector('[data-testid="stFileUploader"] input[type="file"]');
    if (!input || !file) return false;
    const suffix = (file.type.split('/')[1] || 'png').replace('jpeg', 'jpg');
    const carrier = new DataTransfer();
    carrier.items.add(new File([file], `clipboard-${Date.now()}.${suffix}`, { type: file.type }));
    input.files = carrier.files;
    input.dispatchEvent(new Event('change', { bubbles: true }));
    return true;
  };
  const pasted = (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith('image/'));
    if (file && hand(file)) event.preventDefault();
  };
  document.addEventListener('paste', pasted);

  // Reading the clipboard at a click needs https (or this computer); where the browser has no such call there is no button.
  const button = parentElement.querySelector('button');
  const note = parentElement.querySelector('span');
  button.textContent = data.label;
  button.hidden = !navigator.clipboard?.read;
  button.onclick = async () => {
    note.textContent = '';
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((one) => one.startsWith('image/'));
        if (type && hand(await item.getType(type))) return;
      }
    } catch { /* not allowed, or nothing that can be read: said below */ }
    note.textContent = data.none;
  };
  return () => document.removeEventListener('paste', pasted);
}
"""
_HTML = '<button type="button" hidden></button> <span role="status"></span>'
_CSS = """
button { font: inherit; padding: 0.35rem 0.8rem; border-radius: var(--st-base-radius); border: 1px solid var(--st-border-color);
  background: var(--st-secondary-background-color); color: var(--st-text-color); cursor: pointer; }
button[hidden] { display: none; }
button:hover { border-color: var(--st-primary-color); }
span { color: var(--st-text-color); font-size: 0.9rem; opacity: 0.8; }
"""


def paste_target(label: str, none: str) -> None:
    """Let Ctrl+V anywhere on the page, and a button, put the clipboard's picture into the page's uploader; `none` is said when there is none."""
    _component()(data={"label": label, "none": none}, key="paste")


@cache
def _component() -> Any:
    """Registered once: a second registration of the same name would be a fault."""
    return st.components.v2.component("openplate_paste", html=_HTML, css=_CSS, js=_JAVASCRIPT)
