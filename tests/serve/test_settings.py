"""Settings are checked when they are made."""

from __future__ import annotations

from typing import Any

import pytest

from openplate.errors import ConfigError
from openplate.serve.settings import ServeSettings, UploadLimits


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"port": 70_000}, "port: expected 0 to 65535, got 70000"),
        ({"host": " "}, "host: expected an address"),
        ({"privacy": "secret"}, 'privacy: expected "plain" or "hash"'),
        ({"workers": 0}, "workers: expected 1 to 256, got 0"),
        ({"limits": UploadLimits(max_waiting=0)}, "max_waiting: expected more than 0, got 0"),
        ({"allow_urls": ("ftp://a/",)}, "allow-url: expected the beginning of an address"),
        ({"allow_urls": ("https://user@a/",)}, "allow-url: expected the beginning of an address"),
        ({"allow_urls": ("https:///a",)}, "allow-url: expected the beginning of an address"),
    ],
)
def test_wrong_value_is_told(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        ServeSettings(**wrong)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("host", "keyless"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("192.168.1.2", False), ("depot.example", False)],
)  # fmt: skip
def test_only_loopback_is_keyless(host: str, keyless: bool) -> None:
    assert ServeSettings(host=host).keyless is keyless


def test_keys_can_be_required_on_loopback_too() -> None:
    assert not ServeSettings(require_keys=True).keyless
