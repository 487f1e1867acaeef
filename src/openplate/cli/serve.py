"""`openplate serve`: an HTTP service until it is stopped, its address and its log on stderr; `openplate serve keys`: the service's API keys."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast

import click

from openplate.cli.codes import country_codes
from openplate.errors import ConfigError

if TYPE_CHECKING:
    from openplate.serve.settings import ServeSettings
    from openplate.store import Store

P = ParamSpec("P")
R = TypeVar("R")
_FOLDER = click.Path(file_okay=False, path_type=Path)
_DATA = Path("data")


def _store_options(command: Callable[P, R]) -> Callable[P, R]:
    """The options that say which store is meant; a command's own come before those of `serve`."""
    for option in (
        click.option("--privacy", type=click.Choice(["plain", "hash"]), envvar="OPENPLATE_PRIVACY", help="Keep plates, or salted hashes of them."),
        click.option("--database", metavar="URL", envvar="OPENPLATE_DATABASE", help="PostgreSQL or another SQLite file than the data folder's."),
        click.option("--data", type=_FOLDER, metavar="DIR", envvar="OPENPLATE_DATA", help="The data folder.  [default: data]"),
    ):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; any but loopback demands API keys.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@_store_options
@click.option("--require-keys", is_flag=True, help="Demand API keys on loopback too, e.g. behind a proxy.")
@click.option("--no-cameras", is_flag=True, help="Answer calls alone; another service of the database watches the cameras.")
@click.option("--workers", type=click.IntRange(1, 256), help="Photos read at the same time.  [default: the processor's cores, 8 at most]")
@click.option("--max-upload-mb", type=click.IntRange(1, 4096), default=32, show_default=True, help="Of one request.")
@click.option("--max-pixels", type=click.IntRange(min=64), default=50_000_000, show_default=True, help="Of one picture file.")
@click.option("--max-waiting", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Pictures that may wait; more get 503.")
@click.option("--allow-url", "allow_urls", multiple=True, metavar="URL", help="Fetch pictures that clients name, if they lie below URL. Repeatable.")
@click.option("--country", callback=country_codes, metavar="CODES", help="Countries to expect, e.g. ru,kz; clients can ask otherwise.")
@click.option("--only", callback=country_codes, metavar="CODES", help="Countries to allow, e.g. ru; clients can ask otherwise.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="Below it a plate is unreadable; clients can ask otherwise.")
@click.option("--engine", metavar="NAME", help="auto, openvino or onnxruntime.")
@click.option("--device", metavar="NAME", help="cpu, cuda, gpu, ...")
@click.option("--precision", metavar="NAME", help="auto, fp32 or bf16.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of each worker's engine.  [default: 1]")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True)
@click.pass_context
def serve(
    ctx: click.Context,
    host: str,
    port: int,
    data: Path | None,
    database: str | None,
    privacy: Literal["plain", "hash"] | None,
    require_keys: bool,
    no_cameras: bool,
    workers: int | None,
    max_upload_mb: int,
    max_pixels: int,
    max_waiting: int,
    allow_urls: tuple[str, ...],
    country: tuple[str, ...] | None,
    only: tuple[str, ...] | None,
    min_confidence: float | None,
    engine: str | None,
    device: str | None,
    precision: str | None,
    threads: int | None,
    log_level: str,
) -> None:
    """Serve photos, cameras, sightings and lists over HTTP.

    The database and the evidence are in the data folder. The interactive description of all calls is at /docs.

    \b
    Example: openplate serve --data /var/lib/openplate
    Example: openplate serve keys add page --role write
    """
    if ctx.invoked_subcommand is not None:
        return
    from openplate.pipeline import Options
    from openplate.serve.settings import ServeSettings, UploadLimits

    given = {"min_confidence": min_confidence, "engine": engine, "device": device, "precision": precision, "threads": threads}
    options = Options(country=country or (), only=only or (), **cast(Any, {name: value for name, value in given.items() if value is not None}))
    settings = ServeSettings(
        host=host,
        port=port,
        data=data or _DATA,
        database=database,
        privacy=privacy or "plain",
        require_keys=require_keys,
        cameras=not no_cameras,
        options=options,
        limits=UploadLimits(max_body_bytes=max_upload_mb * 2**20, max_pixels=max_pixels, max_waiting=max_waiting),
        allow_urls=allow_urls,
        **cast(Any, {} if workers is None else {"workers": workers}),
    )
    ctx.exit(run(settings, log_level))


def run(settings: ServeSettings, log_level: str) -> int:
    """Serve until a signal comes; the exit code.

    Raises:
        ConfigError: an address other than loopback, and no API key.
        OpenPlateError: the store cannot be opened, the networks cannot be loaded, or the address cannot be listened on.
    """
    from openplate.serve.app import create_app
    from openplate.serve.server import Server, listen
    from openplate.serve.service import Service, open_store
    from openplate.sources import silence_codecs

    with open_store(settings) as store:
        if not settings.keyless and not any(key.revoked is None for key in store.keys.all()):
            why = "API keys are required" if settings.on_loopback else f"{settings.host} can be reached from other computers"
            where = store_options(settings, os.environ)
            raise ConfigError(f"{why}, but there is no API key; make one first: openplate serve keys add admin --role admin{where}")
    silence_codecs()
    with listen(settings) as connections:  # what is wrong with the address shows before the networks are loaded
        # OpenVINO gives the thread that loads networks a signal stack of 11 kB, in which a handler may not find room: the main thread stays without.
        with ThreadPoolExecutor(1) as other:
            service = other.submit(Service, settings).result()
        server = Server(create_app(settings, service), settings, log_level)
        host, port = connections.getsockname()[:2]
        click.echo(f"OpenPlate serves http://{f'[{host}]' if ':' in host else host}:{port}; Ctrl-C ends it", err=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # uvicorn raises again, when it has stopped, the signal that stopped it
        server.run([connections])
    return 0 if server.started else 1


def store_options(settings: ServeSettings, environment: Mapping[str, str]) -> str:
    """The options that name the settings' store to a command, without a database's password; none where the default or the environment says the same."""
    database = settings.database and _PASSWORD.sub(r"\1***@", settings.database)
    options = (
        ("--data", "OPENPLATE_DATA", str(settings.data), str(settings.data), str(_DATA)),
        ("--database", "OPENPLATE_DATABASE", settings.database, database, None),
        ("--privacy", "OPENPLATE_PRIVACY", settings.privacy, settings.privacy, "plain"),
    )
    parts = [f" {name} {shlex.quote(str(shown))}" for name, variable, value, shown, default in options if value != environment.get(variable, default)]
    return "".join(parts)


_PASSWORD = re.compile(r"(://[^/@:]*:)[^/@]*@")


@serve.group()
def keys() -> None:
    """Make, list and revoke API keys.

    Example: openplate serve keys add gate --role write
    """


@keys.command()
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["read", "write", "admin"]), default="read", show_default=True, help="Each may do what those before it may."
)
@_store_options
@click.pass_context
def add(ctx: click.Context, name: str, role: Literal["read", "write", "admin"], data: Path | None, database: str | None, privacy: str | None) -> None:
    """Make an API key and print its secret, which is shown this once.

    Example: openplate serve keys add page --role write
    """
    with _open(ctx) as store:
        made = store.keys.create(name, role)
    click.echo(f"key {made.key.id} {name!r} with the role {role}; send it as 'Authorization: Bearer KEY'; it is not shown again:", err=True)
    click.echo(made.secret)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@_store_options
@click.pass_context
def list_keys(ctx: click.Context, as_json: bool, data: Path | None, database: str | None, privacy: str | None) -> None:
    """List the API keys, the revoked ones too.

    Example: openplate serve keys list
    """
    with _open(ctx) as store:
        found = store.keys.all()
    if as_json:
        objects = [
            {"id": key.id, "name": key.name, "role": key.role, "prefix": key.prefix}
            | {when: time and time.isoformat() for when, time in (("created", key.created), ("last_used", key.last_used), ("revoked", key.revoked))}
            for key in found
        ]
        click.echo(json.dumps(objects, ensure_ascii=False, indent=1))
        return
    for key in found:
        used = f"used {key.last_used:%Y-%m-%d %H:%M}" if key.last_used else "never used"
        state = f"revoked {key.revoked:%Y-%m-%d %H:%M}" if key.revoked else used
        click.echo(f"{key.id:>4}  {key.role:<5}  {key.prefix}…  {key.name}  ({state})")


@keys.command()
@click.argument("key_id", type=int, metavar="ID")
@_store_options
@click.pass_context
def revoke(ctx: click.Context, key_id: int, data: Path | None, database: str | None, privacy: str | None) -> None:
    """Refuse the key with this ID from now on.

    Example: openplate serve keys revoke 3
    """
    with _open(ctx) as store:
        store.keys.revoke(key_id)
    click.echo(f"key {key_id} is refused from now on", err=True)


def _open(ctx: click.Context) -> Store:
    """The store that the command's options name, or else those of `serve`."""
    from openplate.serve.service import open_store
    from openplate.serve.settings import ServeSettings

    above = ctx.find_root().invoked_subcommand and ctx.parent and ctx.parent.parent
    outer = above.params if above else {}
    chosen = {name: ctx.params.get(name) or outer.get(name) for name in ("data", "database", "privacy")}
    return open_store(ServeSettings(**cast(Any, {name: value for name, value in chosen.items() if value is not None})))
