"""The command line: `openplate VERB THING`. Data on stdout, talk on stderr, exit code 0 only when everything worked."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

import click

from openplate import __version__
from openplate.errors import OpenPlateError

_MODULES = {
    "read": "openplate.cli.read",
    "watch": "openplate.cli.watch",
    "serve": "openplate.cli.serve",
    "page": "openplate.cli.page",
    "formats": "openplate.cli.formats",
    "doctor": "openplate.cli.doctor",
    "bench": "openplate.cli.bench",
    "evaluate": "openplate.cli.evaluate",
    "evaluate-video": "openplate.cli.evaluate_video",
    "compare": "openplate.cli.compare",
    "synthesize": "openplate.cli.synthesize",
    "data": "openplate.cli.data",
    "train": "openplate.cli.train",
    "export": "openplate.cli.export",
}
"""Verb → the module that defines a command of the same name (with _ for -), in the order of the help."""

_EXTRAS = {
    "torch": "train",
    "tqdm": "train",
    "onnx": "export",
    "onnxscript": "export",
    "PIL": "synthesize",
    "matplotlib": "evaluate",
    "rapidfuzz": "evaluate",
    "scipy": "evaluate",
    "av": "video",
    "nncf": "int8",
    "sqlalchemy": "serve",
    "alembic": "serve",
    "re2": "serve",
    "fastapi": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "pydantic": "serve",
    "paho": "serve",
    "streamlit": "page",
    "httpx": "page",
}
"""Package that is not part of a bare install → the extra that brings it."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
_NO_ROOM = (errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)
"""Faults of writing to what is open already: a full disk or quota, a file too large, a device that is gone, a stdout that is open for reading alone."""


class LazyGroup(click.Group):
    """A group that imports a verb's module when it is asked for, so that `openplate read` loads nothing of training."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, None when there is no such verb."""
        if cmd_name not in _MODULES:
            return None
        command = getattr(import_module(_MODULES[cmd_name]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments after the group's own; `--help` and `--version` print here.

        Raises:
            click.ClickException: what was printed could not be written.
        """
        with _output_told():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb; an error that is expected becomes one line on stderr and exit code 1, Ctrl-C one and exit code 130.

        Raises:
            click.ClickException: the verb failed with an `OpenPlateError`, a package of an extra is not installed, or the output could not be written.
        """
        try:
            with _output_told():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except OpenPlateError as error:
            raise click.ClickException(str(error)) from None
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in _EXTRAS:
                raise
            raise click.ClickException(f"this needs the package {package}: pip install 'openplate[{_EXTRAS[package]}]'") from None


@contextmanager
def _output_told() -> Iterator[None]:
    """Makes one line of an output that cannot be written; who closed a pipe wants no more, and hears nothing."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        _drop_stdout()
        reason = (error.strerror or str(error)).lower()
        raise click.ClickException(f"the output cannot be written: {reason}; make room, or write it elsewhere") from None


def _drop_stdout() -> None:
    """Lead what is left in stdout's buffer into nothing: the interpreter writes it when it ends, and would fail once more."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, sys.stdout.fileno())
            os.close(nothing)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, package_name="openplate", message="%(prog)s %(version)s")
def main() -> None:
    """Find, straighten and read number plates in photos and video.

    Example: openplate read photo.jpg
    """
