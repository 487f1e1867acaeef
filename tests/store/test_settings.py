"""Kept settings."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from openplate.errors import StoreError
from openplate.store import Store


def test_settings_outlive_the_process(open_store: Callable[..., Store]) -> None:
    first = open_store()
    first.settings.put("camera", "gate", {"source": "rtsp://camera/1", "fps": 5, "masks": [[0, 0.5]]})
    first.settings.put("camera", "exit", {"source": "rtsp://camera/2"})
    first.settings.put("webhook", "gate", {"url": "https://example.org/hook"})
    first.settings.put("camera", "exit", {"source": "rtsp://camera/3"})
    first.close()
    again = open_store().settings
    assert again.all("camera") == {"exit": {"source": "rtsp://camera/3"}, "gate": {"source": "rtsp://camera/1", "fps": 5, "masks": [[0, 0.5]]}}
    assert again.get("webhook", "gate") == {"url": "https://example.org/hook"}


def test_removed_setting_is_gone(store: Store) -> None:
    store.settings.put("camera", "gate", {})
    store.settings.remove("camera", "gate")
    assert store.settings.get("camera", "gate") is None
    with pytest.raises(StoreError, match="there is no camera 'gate'"):
        store.settings.remove("camera", "gate")
    with pytest.raises(StoreError, match="a camera needs a name"):
        store.settings.put("camera", " ", {})
