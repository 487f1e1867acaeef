from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("streamlit", reason="Streamlit is not installed (pip install 'openplate[page]')")

from openplate import client
from openplate.cli import main
from openplate.page import settings
from openplate.page.settings import PageSettings, from_environment


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """The commands that were started in place of this process, with their environment."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def execve(path: str, command: list[str], environment: dict[str, str]) -> Any:
        assert path == sys.executable
        calls.append((command, environment))

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.delenv("OPENPLATE_KEY", raising=False)
    return calls


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["page", *arguments])


def test_the_page_starts_on_loopback_asks_nothing_and_tells_nobody(started: list[tuple[list[str], dict[str, str]]]) -> None:
    result = run("--port", "9000", "--server", "http://10.0.0.5:8080")
    assert result.exit_code == 0, result.output
    ((command, environment),) = started
    assert "--server.address=127.0.0.1" in command
    assert "--server.port=9000" in command
    assert "--server.headless=true" in command
    assert "--browser.gatherUsageStats=false" in command
    assert "--runner.magicEnabled=false" in command
    assert from_environment(environment) == PageSettings("http://10.0.0.5:8080", None, sign_in=False)


def test_on_an_address_that_others_reach_visitors_have_to_sign_in(started: list[tuple[list[str], dict[str, str]]]) -> None:
    run("--host", "0.0.0.0")
    assert from_environment(started[0][1]).sign_in is True
    run("--host", "0.0.0.0", "--anyone")
    assert from_environment(started[1][1]).sign_in is False


def test_a_key_for_everybody_is_not_opened_to_others_unasked(started: list[tuple[list[str], dict[str, str]]]) -> None:
    refused = run("--host", "192.168.1.5", "--key", "secret-key")
    assert refused.exit_code == 2
    assert "would act with this key" in refused.output
    assert "secret-key" not in refused.output
    assert started == []
    assert run("--host", "192.168.1.5", "--key", "secret-key", "--anyone").exit_code == 0
    command, environment = started[0]
    assert from_environment(environment) == PageSettings(key="secret-key")
    assert not any("secret-key" in part for part in command)  # what a process was started with can be read by others


def test_a_page_on_loopback_answers_to_loopback_names_and_those_of_its_proxy(started: list[tuple[list[str], dict[str, str]]]) -> None:
    run("--name", "plates.example")
    allowed = [part.partition("=")[2] for part in started[0][0] if part.startswith("--server.allowedHosts=")]
    assert allowed == ["localhost", "127.0.0.1", "::1", "plates.example"]


def test_page_and_client_mean_the_same_service_when_none_is_named() -> None:
    assert settings.DEFAULT_SERVER == client.DEFAULT_SERVER


@pytest.mark.parametrize("host", ["::1", "localhost", "127.0.0.2"])
def test_loopback_has_several_names(host: str, started: list[tuple[list[str], dict[str, str]]]) -> None:
    assert run("--host", host, "--key", "k").exit_code == 0
    assert started


def test_the_help_has_an_example() -> None:
    assert "Example: openplate page" in run("--help").output
