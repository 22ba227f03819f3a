"""`slipway ticket` and `slipway tickets`: one ticket's history, and the tickets that are open."""

from enum import StrEnum
from typing import Annotated

import typer

from models.vocabulary import Action
from worker.cli.help_pages import command_group, one_command
from worker.cli.option_groups import with_option_groups
from worker.cli.options import AsJson, By, OneOperator, person_name
from worker.cli.tickets import finding, history, holding, publishing, unended
from worker.cli.triage.options import Limit, PageOptions, RequiredWhy

ticket_app = one_command()
app = command_group("Tickets: those of an operator, and whatever a text is the id of.")

TicketId = Annotated[str, typer.Argument(metavar="ID", help="The ticket's id.")]
Whose = Annotated[str, typer.Option("--operator", metavar="CODE", help="Whose ticket.")]


class UnendedStatus(StrEnum):
    """The status of a ticket that is neither closed nor cancelled."""

    NEW = "new"
    RESERVED = "reserved"
    OPEN = "open"
    RESULTED = "resulted"


class EventByHand(StrEnum):
    """What a person may publish by hand."""

    WIN = Action.WIN.value
    LOST = Action.LOST.value
    VOID = Action.VOID.value
    REFUND = Action.REFUND.value
    ROLLBACK = Action.ROLLBACK.value


@ticket_app.command(epilog="Example: slipway ticket 1330556611374148608 --operator acme")
def ticket(
    ticket_id: TicketId,
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
    """List, find, hold and release tickets, publish by hand; one's history: slipway ticket ID."""


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


@app.command("on-hold", epilog="Example: slipway tickets on-hold --operator acme")
def on_hold(*, operator: OneOperator = None, limit: Limit = 100, as_json: AsJson = False) -> None:
    """List the tickets that are on hold, the longest first, with who holds them and why."""
    holding.show_on_hold(operator, limit=limit, as_json=as_json)


@app.command(epilog="Example: slipway tickets hold 13305566 --operator acme --why 'fraud?'")
def hold(
    ticket_id: TicketId,
    *,
    operator: Whose,
    by: By = None,
    why: RequiredWhy,
    as_json: AsJson = False,
) -> None:
    """Hold a ticket: nothing is sent to the partner and it does not close until it is released.

    Events go on being applied. A new ticket cannot be held: its create cannot wait.
    """
    holding.hold(operator, ticket_id, who=person_name(by), why=why, as_json=as_json)


@app.command(epilog="Example: slipway tickets release 13305566 --operator acme --why 'no fraud'")
def release(
    ticket_id: TicketId,
    *,
    operator: Whose,
    by: By = None,
    why: RequiredWhy,
    as_json: AsJson = False,
) -> None:
    """Release a ticket that is on hold: what fell due meanwhile is due now.

    Its notices are sent in order. It closes at once if its close delay ended meanwhile.
    """
    holding.release(operator, ticket_id, who=person_name(by), why=why, as_json=as_json)


@app.command(
    epilog="Example: slipway tickets publish 13305566 ticket_rollback --operator acme --why 'typo'"
)
def publish(
    ticket_id: TicketId,
    action: Annotated[EventByHand, typer.Argument(metavar="ACTION", help="What happened.")],
    *,
    operator: Whose,
    fact: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="An amount in the minor unit, currency or reason; may be repeated.",
        ),
    ] = None,
    correction: Annotated[
        bool, typer.Option("--correction", help="It replaces the present result.")
    ] = False,
    by: By = None,
    why: RequiredWhy,
    as_json: AsJson = False,
) -> None:
    """Publish a result or a rollback of a ticket by hand: an event with your name in it.

    It is applied at once, as if it happened now. One that the ticket would reject is not published.
    """
    publishing.publish(
        operator,
        ticket_id,
        Action(action),
        fact or (),
        correction=correction,
        who=person_name(by),
        why=why,
        as_json=as_json,
    )
