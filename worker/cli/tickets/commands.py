"""`slipway ticket` and `slipway tickets`: one ticket's history, and the tickets that are open."""

from enum import StrEnum
from typing import Annotated

import typer

from worker.cli.help_pages import command_group, one_command
from worker.cli.option_groups import with_option_groups
from worker.cli.options import AsJson, OneOperator
from worker.cli.tickets import finding, history, unended
from worker.cli.triage.options import PageOptions

ticket_app = one_command()
app = command_group("Tickets: those of an operator, and whatever a text is the id of.")


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
    """List or find tickets; for one ticket's history: slipway ticket ID."""


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


@app.command(
    epilog=(
        "Examples: slipway tickets find 1330556611374148608; slipway tickets find --player 4711"
        " --operator acme"
    )
)
def find(
    given: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The id.", show_default=False)
    ] = None,
    *,
    player: Annotated[
        str | None, typer.Option("--player", metavar="ID", help="Only tickets of this player.")
    ] = None,
    code: Annotated[
        str | None, typer.Option("--code", metavar="CODE", help="Only tickets with this code.")
    ] = None,
    operator: OneOperator = None,
    as_json: AsJson = False,
) -> None:
    """Find tickets, events and notices by any id, the newest 50 of each kind.

    TEXT is the id of a ticket, player, event, notice, stream entry or wallet transaction, a
    ticket's code, or an idempotency key. Exit code 1 if nothing has it.
    """
    finding.show_matches(given, player=player, code=code, operator=operator, as_json=as_json)
