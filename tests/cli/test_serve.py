"""`openplate serve` and its keys: what starts, what is refused, and that a signal ends it in order."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from openplate.cli import main
from openplate.cli.serve import store_options
from openplate.serve.settings import ServeSettings
from openplate.store import Store


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["serve", *map(str, arguments)])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    port = free_port()
    command = [sys.executable, "-m", "openplate", "serve", "--data", str(folder), "--port", str(port), "--workers", "1", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                httpx.get(f"{url}/healthz")
                break
            except httpx.TransportError:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.1)
        yield url, process
    finally:
        process.kill()
        process.communicate()


def test_address_beyond_loopback_without_a_key_is_refused(tmp_path: Path) -> None:
    result = run("--host", "0.0.0.0", "--data", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: 0.0.0.0 can be reached from other computers, but there is no API key; "
        f"make one first: openplate serve keys add admin --role admin --data {tmp_path}\n"
    )


def test_hint_names_the_store_that_lacks_a_key(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/other.sqlite"
    given = ["--data", str(tmp_path / "my data"), "--database", database, "--privacy", "hash"]
    result = run("--host", "0.0.0.0", *given)
    hint = result.stderr.partition("make one first: openplate ")[2].rstrip("\n")
    assert hint == f"serve keys add admin --role admin --data '{tmp_path}/my data' --database {database} --privacy hash"
    made = CliRunner().invoke(main, shlex.split(hint))
    assert made.exit_code == 0, made.stderr
    with Store(tmp_path / "my data", database, "hash") as store:
        assert [key.name for key in store.keys.all()] == ["admin"]


def test_hint_shows_no_password_and_nothing_that_the_environment_says(tmp_path: Path) -> None:
    settings = ServeSettings(data=tmp_path, database="postgresql://me:secret@db/plates", privacy="hash")
    assert store_options(settings, {}) == f" --data {tmp_path} --database 'postgresql://me:***@db/plates' --privacy hash"
    known = {"OPENPLATE_DATA": str(tmp_path), "OPENPLATE_DATABASE": "postgresql://me:secret@db/plates", "OPENPLATE_PRIVACY": "hash"}
    assert store_options(settings, known) == ""


def test_revoked_keys_do_not_count(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.keys.revoke(store.keys.create("gone", "admin").key.id)
    assert run("--host", "0.0.0.0", "--data", tmp_path).exit_code == 1


def test_required_keys_are_missed_on_loopback_too(tmp_path: Path) -> None:
    result = run("--require-keys", "--data", tmp_path)
    assert (result.exit_code, "API keys are required, but there is no API key" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--country", "xx"], "country 'xx' is not known"),
        (["--engine", "abacus"], "engine 'abacus' is not known"),
        (["--allow-url", "ftp://x"], "allow-url: expected the beginning of an address"),
        (["--database", "oracle://x"], "oracle"),
    ],
)
def test_wrong_option_is_told_in_a_line_without_a_traceback(tmp_path: Path, options: list[str], told: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "openplate", "serve", "--data", str(tmp_path), "--port", str(free_port()), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert told in result.stderr and "Traceback" not in result.stderr


def test_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "openplate", "serve", "--data", str(tmp_path), "--port", str(port), "--workers", "1"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert result.stderr == f"Error: 127.0.0.1 port {port} cannot be listened on: address already in use; choose another --host or --port\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_service_answers_until_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path) as (url, process):
        assert httpx.get(f"{url}/readyz").json()["status"] == "ready"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (out, process.returncode) == ("", 0)
    assert f"OpenPlate serves {url};" in err and "GET /readyz" in err and "Application shutdown complete" in err and "Traceback" not in err
    assert (tmp_path / "openplate.sqlite").exists()


def test_made_key_is_printed_alone_on_stdout_and_opens_the_service(tmp_path: Path) -> None:
    made = run("keys", "add", "gate camera", "--role", "write", "--data", tmp_path)
    assert re.fullmatch(r"op_[0-9a-f]{8}_[\w-]{43}\n", made.stdout)
    assert "key 1 'gate camera' with the role write" in made.stderr
    with started(tmp_path, "--require-keys") as (url, _):
        assert httpx.get(f"{url}/metrics").status_code == 401
        assert httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {made.stdout.strip()}"}).status_code == 200


def test_keys_are_listed_without_their_secrets(tmp_path: Path) -> None:
    secret = run("keys", "add", "page", "--data", tmp_path).stdout.strip()
    run("keys", "add", "old", "--role", "admin", "--data", tmp_path)
    run("keys", "revoke", 2, "--data", tmp_path)
    listed = run("--data", tmp_path, "keys", "list")
    assert [line.split()[:2] for line in listed.stdout.splitlines()] == [["1", "read"], ["2", "admin"]]
    assert "never used" in listed.stdout.splitlines()[0] and "revoked" in listed.stdout.splitlines()[1]
    objects = json.loads(run("keys", "list", "--json", "--data", tmp_path).stdout)
    assert [(one["id"], one["name"], one["role"], one["revoked"] is None) for one in objects] == [
        (1, "page", "read", True),
        (2, "old", "admin", False),
    ]
    assert secret not in listed.stdout and objects[0]["prefix"] == secret[:11]


def test_key_that_there_is_not_cannot_be_revoked(tmp_path: Path) -> None:
    result = run("keys", "revoke", 7, "--data", tmp_path)
    assert (result.exit_code, result.stderr) == (1, "Error: there is no key with id 7\n")


def test_own_data_folder_of_a_keys_command_comes_before_that_of_serve(tmp_path: Path) -> None:
    run("--data", tmp_path / "a", "keys", "add", "one", "--data", tmp_path / "b")
    assert not (tmp_path / "a").exists()
    with Store(tmp_path / "b") as store:
        assert [key.name for key in store.keys.all()] == ["one"]


@pytest.mark.parametrize("arguments", [[], ["keys"], ["keys", "add"], ["keys", "list"], ["keys", "revoke"]])
def test_every_help_has_an_example(arguments: list[str]) -> None:
    assert "Example: openplate serve" in run(*arguments, "--help").stdout


def test_other_verbs_do_not_load_the_service() -> None:
    code = "import sys; from openplate.cli import main; main(['--help'], standalone_mode=False); print({'fastapi', 'uvicorn', 'httpx'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.endswith("set()\n")
