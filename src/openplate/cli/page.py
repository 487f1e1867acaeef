"""`openplate page`: the web page for people, which shows what a running service knows and does."""

from __future__ import annotations

import ipaddress
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from openplate.page.settings import DEFAULT_SERVER, MAX_MEGABYTES, PageSettings

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_LOOK = ("--theme.primaryColor=#2a7f8e", "--theme.baseRadius=6px")
_QUIET = (
    "--server.headless=true",  # no question for an e-mail address, no browser that opens by itself
    "--browser.gatherUsageStats=false",
    "--server.fileWatcherType=none",
    "--runner.magicEnabled=false",  # or expressions on lines of their own would be shown
    "--client.toolbarMode=minimal",
    "--client.showErrorDetails=none",
)


@click.command()
@click.option("--server", default=DEFAULT_SERVER, show_default=True, metavar="URL", help="Address of the service.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--key", envvar="OPENPLATE_KEY", show_envvar=True, metavar="KEY", help="API key that the page uses for everybody who opens it.")
@click.option(
    "--name",
    "names",
    multiple=True,
    envvar="OPENPLATE_PAGE_NAME",
    show_envvar=True,
    metavar="NAME",
    help="Name of a proxy under which the page is opened, e.g. plates.example. Repeatable.",
)
@click.option("--anyone", is_flag=True, help="Let everybody who reaches the page use it without an API key of their own, also from other computers.")
def page(server: str, host: str, port: int, key: str | None, names: tuple[str, ...], anyone: bool) -> None:
    """Show the web page. Where the service needs API keys and none is given here, visitors sign in with theirs.

    On another address than a loopback one every visitor has to sign in, unless --anyone is given.

    Example: openplate page --server http://127.0.0.1:8080
    """
    if find_spec("streamlit") is None:
        raise ModuleNotFoundError("streamlit", name="streamlit")
    open_to_others = not _loopback(host)
    if key and open_to_others and not anyone:
        raise click.UsageError(
            f"everybody who reaches {host}:{port} would act with this key; leave --key out, and visitors sign in with theirs, or add --anyone"
        )
    settings = PageSettings(server, key or None, sign_in=open_to_others and not anyone)
    script = Path(__file__).parents[1] / "page" / "app.py"
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.address={host}", f"--server.port={port}"]
    command += [f"--server.maxUploadSize={MAX_MEGABYTES}", *_QUIET, *_LOOK]
    # Without it a web page whose name was made to point here could use this one as if it were its own.
    allowed = names if open_to_others else (*_LOOPBACK_NAMES, host, *names)
    command += [f"--server.allowedHosts={name}" for name in dict.fromkeys(allowed)]
    click.echo(f"page at http://{f'[{host}]' if ':' in host else host}:{port}, service at {server}", err=True)
    # Takes this process's place: signals reach the page itself.
    os.execve(sys.executable, command, os.environ | settings.as_environment())


def _loopback(host: str) -> bool:
    """Whether nobody but this computer can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
