"""Celery's own commands with our application: `python -m worker.celery worker|beat|flower …`.

They are those of `celery -A worker.app --quiet`, with the same options. That program loads all
commands, and every process would hold Flower, a shell and what completes lines in it: 20 MiB and a
third of a second.
"""

import sys
from collections.abc import Mapping
from typing import Final

import click
from celery import Celery
from celery.bin.base import CLIContext
from kombu.utils.imports import symbol_by_name

from models.settings.errors import InvalidSettings

_COMMANDS: Final[Mapping[str, str]] = {
    "beat": "celery.bin.beat:beat",
    "flower": "flower.command:flower",
    "worker": "celery.bin.worker:worker",
}
_WRONG_SETTINGS: Final = 2


class _CeleryCommands(click.Group):
    """Loads a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = symbol_by_name(_COMMANDS[cmd_name])  # type: ignore[no-untyped-call]  # kombu's
        return command


@click.group(cls=_CeleryCommands)
@click.pass_context
def main(context: click.Context) -> None:
    """Run one process of Slipway under Celery."""
    context.obj = CLIContext(app=_application(), no_color=True, workdir=None, quiet=True)


def _application() -> Celery:
    """Return the application; if its settings cannot be used, say so and end."""
    try:
        return symbol_by_name("worker.app:app")  # type: ignore[no-untyped-call]  # kombu's
    except InvalidSettings as refusal:
        sys.stderr.write(f"slipway: {refusal}\n")
        sys.exit(_WRONG_SETTINGS)


if __name__ == "__main__":
    main(prog_name="python -m worker.celery")
