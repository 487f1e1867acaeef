"""Who may call: keys, roles, and the keyless service on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from openplate.serve.settings import ServeSettings
from openplate.store import Keys
from tests.serve.running import running


@dataclass(frozen=True)
class Guarded:
    """A service that demands keys, and a key of each role."""

    client: httpx.Client
    keys: Keys
    secrets: dict[str, str]

    def status(self, method: str, path: str, **headers: str) -> int:
        return self.client.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}).status_code


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with running(ServeSettings(port=0, data=tmp_path_factory.mktemp("data"), workers=1, require_keys=True)) as one:
        keys = one.service.store.keys
        with httpx.Client(base_url=one.url) as client:
            yield Guarded(client, keys, {role: keys.create(role, role).secret for role in ("read", "write", "admin")})


@pytest.mark.parametrize("path", ["/v1/read", "/v1/plate-reader/", "/v1/vision/alpr"])
def test_call_without_a_key_is_refused(guarded: Guarded, path: str) -> None:
    answer = guarded.client.post(path, content=b"x")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "an API key is needed" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_health_and_description_need_no_key(guarded: Guarded, path: str) -> None:
    assert guarded.status("GET", path) == 200


def test_every_other_call_needs_a_key(guarded: Guarded) -> None:
    open_calls = []
    for path, methods in guarded.client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            if guarded.status(method.upper(), path.replace("{", "").replace("}", "")) != 401:
                open_calls.append(f"{method} {path}")
    assert open_calls == ["get /healthz", "get /readyz"]


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "Token {}", "Bearer  {}"])
def test_key_is_taken_as_bearer_and_as_token(guarded: Guarded, header: str) -> None:
    assert guarded.status("GET", "/metrics", authorization=header.format(guarded.secrets["read"])) == 200


def test_key_is_taken_from_its_own_header(guarded: Guarded) -> None:
    assert guarded.status("GET", "/metrics", x_api_key=guarded.secrets["read"]) == 200


@pytest.mark.parametrize("header", ["Bearer", "Bearer op_00000000_x", "Basic dXNlcjpwYXNz", "Bearer \xff", "op_0_0"])
def test_wrong_key_is_refused(guarded: Guarded, header: str) -> None:
    answer = guarded.client.get("/metrics", headers=[(b"authorization", header.encode("latin-1"))])
    assert answer.status_code == 401


def test_revoked_key_is_refused_at_once(guarded: Guarded) -> None:
    made = guarded.keys.create("gone", "admin")
    assert guarded.status("GET", "/metrics", x_api_key=made.secret) == 200
    guarded.keys.revoke(made.key.id)
    assert guarded.status("GET", "/metrics", x_api_key=made.secret) == 401


@pytest.mark.parametrize(("role", "status"), [("read", 403), ("write", 403), ("admin", 422)])
def test_role_decides_what_a_key_may_do(guarded: Guarded, role: str, status: int) -> None:
    answer = guarded.client.post("/v1/cameras", json={}, headers={"X-API-Key": guarded.secrets[role]})
    assert answer.status_code == status


def test_key_of_too_small_a_role_is_told_which_it_needs(guarded: Guarded) -> None:
    answer = guarded.client.post("/v1/cameras", json={}, headers={"X-API-Key": guarded.secrets["read"]})
    assert answer.json()["detail"] == "this needs a key with the role admin, the key 'read' has the role read"


def test_secret_is_never_in_an_answer(guarded: Guarded) -> None:
    answer = guarded.client.post("/v1/cameras", json={}, headers={"X-API-Key": guarded.secrets["read"] + "x"})
    assert guarded.secrets["read"] not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:8080", "[::1]:8080"])
def test_keyless_service_answers_to_names_of_loopback(client: httpx.Client, host: str) -> None:
    assert client.get("/metrics", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8080", "", "[", "127.0.0.2"])
def test_keyless_service_does_not_answer_to_other_names(client: httpx.Client, host: str) -> None:
    assert client.get("/metrics", headers={"Host": host}).status_code in (400, 403)


def test_keyless_service_answers_to_the_address_that_it_listens_on(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with running(ServeSettings(host="127.0.0.2", port=0, data=tmp_path, workers=1)) as one:
        url = f"http://127.0.0.2:{one.port}/metrics"
        assert httpx.get(url).status_code == 200
        assert httpx.get(url, headers={"Origin": "http://127.0.0.2:8501"}).status_code == 200
        assert httpx.get(url, headers={"Host": "127.0.0.3"}).status_code == 403


@pytest.mark.parametrize(("origin", "status"), [("http://localhost:8501", 200), ("https://evil.example", 403), ("null", 403), ("http://[", 403)])
def test_keyless_service_does_not_answer_pages_of_other_sites(client: httpx.Client, origin: str, status: int) -> None:
    assert client.get("/metrics", headers={"Origin": origin}).status_code == status
