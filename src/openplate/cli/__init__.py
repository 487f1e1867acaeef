"""The command line: `openplate VERB THING`. Data on stdout, talk on stderr, exit code 0 only when everything worked."""

from __future__ import annotations

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

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb; an error that is expected becomes one line on stderr and exit code 1.

        Raises:
            click.ClickException: the verb failed with an `OpenPlateError`, or a package of an extra is not installed.
        """
        try:
            return super().invoke(ctx)
        except OpenPlateError as error:
            raise click.ClickException(str(error)) from None
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in _EXTRAS:
                raise
            raise click.ClickException(f"this needs the package {package}: pip install 'openplate[{_EXTRAS[package]}]'") from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, package_name="openplate", message="%(prog)s %(version)s")
def main() -> None:
    """Find, straighten and read number plates in photos."""
