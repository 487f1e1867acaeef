"""The rules of deploy/: no password in a file, nobody runs as root, nothing is reachable from outside without being asked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed (pip install pyyaml)")

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "docker-compose.yml"
DOCKERFILE = DEPLOY / "Dockerfile"
UNITS = ("openplate.service", "openplate-page.service")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf8"))
    return loaded


def stages() -> dict[str, list[str]]:
    """Each stage of the Dockerfile with its instructions, those that go on over several lines joined."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in DOCKERFILE.read_text(encoding="utf8").replace("\\\n", " ").splitlines():
        start = re.fullmatch(r"FROM (\S+) AS (\S+)", line)
        if start:
            name = start[2]
            found[name] = [f"FROM {start[1]}"]
        elif line.strip() and not line.startswith("#"):
            found[name].append(line.strip())
    return found


def test_compose_has_the_service_the_page_and_postgresql(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"api", "page", "postgres"}
    assert compose["services"]["postgres"]["image"].startswith("postgres:17")


def test_every_password_comes_from_the_environment_and_has_to_be_set(compose: dict[str, Any]) -> None:
    values = [
        (name, key, value)
        for name, service in compose["services"].items()
        for key, value in service.get("environment", {}).items()
        if re.search("password|secret|key|database", key, re.IGNORECASE) or "://" in str(value)
    ]
    assert {(name, key) for name, key, _ in values} == {("api", "OPENPLATE_DATABASE"), ("postgres", "POSTGRES_PASSWORD")}
    for name, key, value in values:
        assert value.count("${OPENPLATE_DB_PASSWORD:?") == 1, f"{name}.{key}: without the variable, compose has to stop"
        rest = re.sub(r"\$\{OPENPLATE_DB_PASSWORD:\?[^}]*\}", "", value)
        assert rest in ("", "postgresql://openplate:@postgres:5432/openplate")


def test_no_service_runs_as_root_or_may_become_it(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert not {"privileged", "network_mode", "pid", "devices", "cap_add"} & set(service), name
        assert not any("docker.sock" in volume for volume in service.get("volumes", ())), name


def test_ports_are_published_on_loopback_unless_asked_otherwise_and_the_database_on_none(compose: dict[str, Any]) -> None:
    assert compose["services"]["api"]["ports"] == ["${OPENPLATE_BIND:-127.0.0.1}:8080:8080"]
    assert compose["services"]["page"]["ports"] == ["${OPENPLATE_BIND:-127.0.0.1}:8501:8501"]
    assert "ports" not in compose["services"]["postgres"]


def test_only_the_service_reaches_the_database(compose: dict[str, Any]) -> None:
    assert compose["networks"]["database"] == {"internal": True}
    reaching = {name for name, service in compose["services"].items() if "database" in service["networks"]}
    assert reaching == {"api", "postgres"}


def test_what_has_to_last_lies_in_volumes_and_the_service_waits_for_the_database(compose: dict[str, Any]) -> None:
    assert set(compose["volumes"]) == {"data", "database"}
    assert compose["services"]["api"]["volumes"] == ["data:/data"]
    assert compose["services"]["postgres"]["volumes"] == ["database:/var/lib/postgresql/data"]
    assert compose["services"]["api"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_what_compose_builds_is_a_target_of_the_dockerfile(compose: dict[str, Any]) -> None:
    for name in ("api", "page"):
        build = compose["services"][name]["build"]
        assert build == {"context": "..", "dockerfile": "deploy/Dockerfile", "target": name}
        assert name in stages()


@pytest.mark.parametrize("target", ["api", "page"])
def test_an_image_runs_as_a_numbered_user_and_says_whether_it_is_healthy(target: str) -> None:
    lines = stages()[target]
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]
    assert sum(line.startswith("HEALTHCHECK ") for line in lines) == 1
    assert 'ENTRYPOINT ["openplate"]' in lines
    assert lines.index("USER 10001:10001") < lines.index('ENTRYPOINT ["openplate"]')


def test_images_bring_only_what_they_run() -> None:
    assert "RUN /opt/openplate/bin/pip install -c constraints.txt '.[serve,video]'" in stages()["api-install"]
    assert "RUN /opt/openplate/bin/pip install -c constraints.txt '.[page]'" in stages()["page-install"]
    copied = [line for line in stages()["source"] if line.startswith("COPY ")]
    assert copied == ["COPY pyproject.toml README.md LICENSE constraints.txt ./", "COPY src src"]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf8").splitlines()
    assert ignored[1] == "*"  # everything that is not named stays outside, `.env` and data folders too


@pytest.mark.parametrize("target", ["api", "page"])
def test_the_command_of_an_image_is_one_that_openplate_knows(target: str) -> None:
    from click.testing import CliRunner

    from openplate.cli import main

    command = next(line for line in stages()[target] if line.startswith("CMD "))
    verb, *options = re.findall(r'"([^"]+)"', command)
    result = CliRunner().invoke(main, [verb, "--help"])
    assert result.exit_code == 0, result.output
    for option in options:
        if option.startswith("--"):
            assert option in result.output


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_confined_and_holds_no_secret(unit: str) -> None:
    lines = (DEPLOY / unit).read_text(encoding="utf8").splitlines()
    for rule in ("NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "Restart=on-failure"):
        assert rule in lines
    assert "User=openplate" in lines or "DynamicUser=yes" in lines
    assert not [line for line in lines if re.match("Environment=.*(DATABASE|KEY|PASSWORD)", line)]
    start = next(line for line in lines if line.startswith("ExecStart="))
    assert " --host 127.0.0.1 " in start


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_no_fault_in_a_unit(unit: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt-get install systemd)")
    text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", (DEPLOY / unit).read_text(encoding="utf8"))
    copy = tmp_path / unit
    copy.write_text(text, encoding="utf8")
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(copy)], check=False, capture_output=True, text=True, timeout=60
    )
    faults = [line for line in done.stderr.splitlines() if unit in line]
    assert not faults


def test_docker_compose_takes_the_file_with_a_password_and_refuses_it_without(tmp_path: Path) -> None:
    program = next((one for one in (["docker", "compose"], ["docker-compose"]) if _runs([*one, "version"])), None)
    if program is None:
        pytest.skip("Docker Compose is not installed (Debian: apt-get install docker-compose)")
    nothing = tmp_path / "nothing.env"  # or a file `.env` beside the other would be read
    nothing.touch()
    command = [*program, "-f", str(COMPOSE), "--env-file", str(nothing), "config"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENPLATE_")}
    good = subprocess.run(command, check=False, env=clean | {"OPENPLATE_DB_PASSWORD": "letters123"}, capture_output=True, text=True, timeout=60)
    assert good.returncode == 0, good.stderr
    resolved = yaml.safe_load(good.stdout)["services"]
    assert resolved["api"]["environment"]["OPENPLATE_DATABASE"] == "postgresql://openplate:letters123@postgres:5432/openplate"
    assert all("127.0.0.1" in str(port) for name in ("api", "page") for port in resolved[name]["ports"])
    bad = subprocess.run(command, check=False, env=clean, capture_output=True, text=True, timeout=60)
    assert bad.returncode != 0
    assert "OPENPLATE_D" in bad.stderr
    assert "set it to letters and digits" in bad.stderr


def _runs(command: list[str]) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0
