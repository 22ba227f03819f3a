"""`slipway ticket` and `slipway tickets`: one ticket's history, and the tickets that are open."""

from enum import StrEnum
from typing import Annotated

import typer

from worker.cli.help_pages import command_group, one_command
from worker.cli.option_groups import with_option_groups
from worker.cli.options import AsJson, OneOperator
from worker.cli.tickets import history, unended
from worker.cli.triage.options import PageOptions

ticket_app = one_command()
app = command_group("An operator's tickets.")


class UnendedStatus(StrEnum):
    """The status of a ticket that is neither closed nor cancelled."""

    NEW = "new"
    RESERVED = "reserved"
    OPEN = "open"
    RESULTED = "resulted"


@ticket_app.command(epilog="Example: slipway ticket 1330556611374148608 --operator acme")
def ticket(
    ticket_id: Annotated[str, typer.Argument(metavar="ID", help="The ticket's id.")],
    *,
    operator: OneOperator = None,
    as_json: AsJson = False,
) -> None:
    """Show one ticket's history: why it is not closed, and everything that happened to it.

    Exit code 1 if no such ticket is known.
    """
    history.show_history(ticket_id, operator=operator, as_json=as_json)


@app.callback()
def tickets() -> None:
    """List an operator's tickets; for one ticket's history: slipway ticket ID."""


@app.command("list", epilog="Example: slipway tickets list --operator acme --status open")
@with_option_groups
def list_tickets(
    *,
    operator: Annotated[str, typer.Option("--operator", metavar="CODE", help="Whose tickets.")],
    status: Annotated[
        list[UnendedStatus] | None,
        typer.Option("--status", help="Only with this status; may be repeated."),
    ] = None,
    page: PageOptions,
) -> None:
    """List an operator's tickets that are neither closed nor cancelled, oldest first."""
    unended.show_unended(operator, status or (), page)
