"""Prints a ticket's history for support staff."""

from collections.abc import Iterator

import typer

from models.history import (
    TicketFact,
    TicketHistory,
    load_histories,
    timeline,
    why_not_closed,
)
from models.history.facts_in_words import in_words
from models.history.words import line_of
from models.platform.clock import DatabaseClock
from models.platform.durations import format_duration
from models.tickets.tombstones import why_removed
from worker.cli.database import transaction
from worker.cli.errors import Failed
from worker.cli.output import as_text, moment, remark, show_json, show_table
from worker.cli.triage.display import as_object


def show_history(ticket_id: str, *, operator: str | None, as_json: bool) -> None:
    """Print the history of every ticket with this id. Raises Failed if there is none."""
    with transaction() as connection:
        histories = load_histories(connection, ticket_id, operator=operator)
        now = DatabaseClock().now(connection)
        removed = None if histories else why_removed(connection, ticket_id, operator=operator)
    if removed is not None:
        raise Failed(removed)
    if not histories:
        whose = "" if operator is None else f" of operator {operator}"
        raise Failed(
            f"no ticket {ticket_id}{whose} is known; input that was refused before it could become"
            " an event is listed by `slipway events rejected list`"
        )
    if as_json:
        show_json([_document(history, why_not_closed(history, now=now)) for history in histories])
        return
    for number, history in enumerate(histories):
        if number:
            typer.echo()
        _show(history, why_not_closed(history, now=now))
        if history.cut:
            remark("there is more than is shown here; --json shows no more either")


def _document(history: TicketHistory, explanation: str) -> dict[str, object]:
    return {"sentence": explanation, **as_object(history)}


def _show(history: TicketHistory, explanation: str) -> None:
    ticket = history.ticket
    typer.echo(f"Ticket {ticket.ticket_id} of {ticket.operator}: {as_text(explanation)}")
    typer.echo(", ".join(_state(ticket)))
    if facts := [*in_words({**ticket.details, **ticket.amounts})]:
        typer.echo(as_text(", ".join(facts)))
    typer.echo()
    currency = ticket.details.get("currency")
    rows = [(moment(entry.at), *line_of(entry.what, currency)) for entry in timeline(history)]
    show_table(("when", "what", "which", "how it ended", "details"), rows)


def _state(ticket: TicketFact) -> Iterator[str]:
    yield f"status {ticket.status}"
    yield f"result {ticket.result}"
    yield f"generation {ticket.generation}"
    yield f"close delay {format_duration(ticket.close_delay)}"
    if ticket.on_hold_at is not None:
        yield f"on hold since {moment(ticket.on_hold_at)}"
    if ticket.close_due_at is not None:
        yield f"closes at {moment(ticket.close_due_at)}"
    if ticket.closed_at is not None:
        yield f"closed at {moment(ticket.closed_at)}"
    if ticket.erased_at is not None:
        yield f"its player was erased at {moment(ticket.erased_at)}"
    if ticket.bodies_removed is not None:
        yield f"bodies and answers {ticket.bodies_removed.words}"
