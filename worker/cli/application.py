"""The command `slipway`: its front page, and where each of its commands is defined."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer

from models.platform.version import version
from worker.cli.help_pages import WIDTH_MAX
from worker.cli.lazy import LazyCommand, LazyGroup


class Slipway(LazyGroup):
    """The commands of the front page, in its order."""

    table: ClassVar[Mapping[str, LazyCommand]] = {
        "demo": LazyCommand(
            "worker.cli.demo.command:app",
            "Watch tickets live: real servers, all processes, simulated backends and partners.",
        ),
        "up": LazyCommand(
            "worker.cli.up.command:app",
            "Run every process of the Procfile until Ctrl-C or SIGTERM: `release` first, then the"
            " rest.",
        ),
        "migrate": LazyCommand(
            "worker.cli.migrate:app",
            "Create or upgrade the database schema, while everything runs.",
        ),
        "operators": LazyCommand(
            "worker.cli.operators.commands:app",
            "Manage operators: the partners' accounts.",
        ),
        "publishers": LazyCommand(
            "worker.cli.publishers.commands:app",
            "Manage keys for the gateway's /events and /tickets.",
        ),
        "users": LazyCommand(
            "worker.cli.users.commands:app",
            "Manage users: the people who sign in to the console.",
        ),
        "tokens": LazyCommand(
            "worker.cli.tokens.commands:app",
            "Manage tokens: programs that use the operations API.",
        ),
        "publish": LazyCommand(
            "worker.cli.publish.command:app",
            "Publish the events of FILE to the stream, in order.",
        ),
        "import": LazyCommand(
            "worker.cli.ticket_import.command:app",
            "Import tickets that another system began.",
        ),
        "partner": LazyCommand(
            "worker.cli.partner.command:app",
            "Run a simulated partner: verify every signature, answer 200, and print each request.",
        ),
        "ticket": LazyCommand(
            "worker.cli.tickets.commands:ticket_app",
            "Show one ticket's history: why it is not closed, and everything that happened to it.",
        ),
        "tickets": LazyCommand(
            "worker.cli.tickets.commands:app",
            "List an operator's tickets, or find what a text is the id of.",
        ),
        "players": LazyCommand(
            "worker.cli.players.commands:app",
            "Erase what identifies a player, and see how far that is.",
        ),
        "events": LazyCommand(
            "worker.cli.events.commands:app",
            "List and resolve events that need a person.",
        ),
        "notices": LazyCommand(
            "worker.cli.notices.commands:app",
            "List and resolve notices that need a person.",
        ),
        "jobs": LazyCommand(
            "worker.cli.jobs.commands:app",
            "List, follow and stop long acts that the sweep carries on.",
        ),
        "simulate": LazyCommand(
            "worker.cli.simulate.command:app",
            "Run simulated tickets through the real apply, claim and close code, and check each.",
        ),
        "doctor": LazyCommand(
            "worker.cli.doctor.command:app",
            "Check settings, servers, partners and processes, and suggest what to fix.",
        ),
        "lifecycle": LazyCommand(
            "worker.cli.lifecycle:app",
            "Print the ticket's states and what moves it from one to the next.",
        ),
    }


app = typer.Typer(
    cls=Slipway,
    help=(
        "Slipway moves betting tickets through their life: it applies the events that backends"
        " publish, sends the partner signed notices in order, and closes each ticket after its"
        " delay."
    ),
    epilog=(
        "Exit codes: 0 done, or the answer is yes; 1 failed, or the answer is no; 2 wrong usage or"
        " set-up. Settings are environment variables: models/SETTINGS.md. Start with: slipway demo"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH_MAX},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - Typer calls it with the option's value
    if wanted:
        typer.echo(f"slipway {version()}")
        raise typer.Exit


@app.callback()
def slipway(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Carry the options that stand before any command."""
