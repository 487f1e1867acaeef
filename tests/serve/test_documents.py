"""docs/service.md says what is so: its limits, its options and its calls are those of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx

from openplate.cli.serve import serve
from openplate.serve.app import create_app
from openplate.serve.problems import title_of
from openplate.serve.routes.read import ReadOptions
from openplate.serve.settings import ServeSettings, UploadLimits

TEXT = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf8")


def limit(row: str) -> str:
    found = re.search(rf"^\| {re.escape(row)} \| ([^|]+) \|", TEXT, re.MULTILINE)
    assert found is not None, row
    return found[1]


def test_limits_are_the_defaults() -> None:
    limits = UploadLimits()
    assert limit("a request's body").startswith(f"{limits.max_body_bytes // 2**20} MB")
    assert limit("files of a request") == str(limits.max_files)
    assert limit("pixels of a file, over all frames").startswith(f"{limits.max_pixels // 10**6} million")
    assert limit("frames of a file") == str(limits.max_frames)
    assert limit("pictures that wait").startswith(str(limits.max_waiting))
    assert limit("bodies in memory, over all requests") == f"{limits.max_buffered_bytes // 2**20} MB"
    assert limit("time without a byte of a body; for a whole body") == f"{limits.stall_timeout_s:.0f} s; {limits.body_timeout_s:.0f} s"
    assert limit("time for a request's headers") == f"{limits.header_timeout_s:.0f} s"


def test_options_of_reading_are_those_of_the_table() -> None:
    table = TEXT.partition("| option | meaning |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(ReadOptions.model_fields)


def test_named_options_of_the_command_are_there() -> None:
    options = {name for parameter in serve.params for name in parameter.opts}
    others = {"--data-binary", "--role", "--json", "--memory", "--width", "--rounds", "--seconds", "--help"}
    assert {name for name in re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)} <= options | others


def test_named_calls_are_there() -> None:
    paths = create_app(ServeSettings()).openapi()["paths"]
    named = re.findall(r"`(GET|POST) (/[\w/-]+)`", TEXT)
    assert len(named) >= 6
    assert [call for call in named if call[0].lower() not in paths.get(call[1], {})] == []


def test_upload_defaults_of_the_command_are_those_of_the_settings() -> None:
    defaults = {parameter.name: parameter.default for parameter in serve.params}
    limits = UploadLimits()
    assert (defaults["max_upload_mb"], defaults["max_pixels"], defaults["max_waiting"]) == (32, limits.max_pixels, limits.max_waiting)
    assert limits.max_body_bytes == 32 * 2**20
    assert (defaults["host"], defaults["port"]) == (ServeSettings().host, ServeSettings().port)


def test_problems_of_the_document_are_those_of_the_service(client: httpx.Client) -> None:
    cut, misspelt = (json.loads(one) for one in re.findall(r"```json\n(.+?)```", TEXT, re.DOTALL))
    assert cut["title"] == title_of(cut["status"])
    assert client.post("/v1/read?cuntry=ru", content=b"x").json() == misspelt
