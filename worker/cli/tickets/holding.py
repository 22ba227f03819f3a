"""Holds a ticket, and releases it."""

from collections.abc import Sequence
from typing import TypeVar

import typer

from models.operators.interventions import Person
from models.triage import (
    HoldRefused,
    TicketOnHold,
    hold_ticket,
    list_on_hold,
    release_ticket,
)
from models.triage.sentences import did_hold, did_release
from worker.cli.errors import Failed
from worker.cli.output import as_text, moment, remark, show_json, show_table
from worker.cli.triage.display import as_object
from worker.cli.triage.session import Work, open_session

T = TypeVar("T")


def hold(operator: str, ticket_id: str, *, who: str, why: str, as_json: bool) -> None:
    """Put a ticket on hold and print what that stops. Raises Failed, OperatorNotFound."""
    person = Person(who, why)
    held = _run(
        lambda connection, now: hold_ticket(connection, operator, ticket_id, person=person, now=now)
    )
    if as_json:
        show_json(as_object(held))
    else:
        typer.echo(as_text(did_hold(held)))


def release(operator: str, ticket_id: str, *, who: str, why: str, as_json: bool) -> None:
    """Release a ticket and print what follows. Raises Failed, OperatorNotFound."""
    person = Person(who, why)
    released = _run(
        lambda connection, now: release_ticket(
            connection, operator, ticket_id, person=person, now=now
        )
    )
    if as_json:
        show_json(as_object(released))
    else:
        typer.echo(as_text(did_release(released)))


def _run(act: Work[T]) -> T:
    try:
        with open_session() as session:
            return session.run(act)
    except HoldRefused as refusal:
        raise Failed(str(refusal)) from None


def show_on_hold(operator: str | None, *, limit: int, as_json: bool) -> None:
    """Print the tickets on hold. Raises OperatorNotFound."""
    with open_session() as session:
        tickets = session.run(
            lambda connection, _: list_on_hold(connection, operator=operator, limit=limit + 1)
        )
    shown = tickets[:limit]
    if as_json:
        show_json([as_object(ticket) for ticket in shown])
        return
    if not tickets:
        remark("no tickets are on hold")
        return
    columns = ("since", "operator", "ticket", "status", "notices", "closes at", "held by", "reason")
    show_table(columns, [_row(ticket) for ticket in shown])
    if len(tickets) > limit:
        remark(f"there are more than {limit}; --limit shows more")


def _row(ticket: TicketOnHold) -> Sequence[str]:
    return (
        moment(ticket.on_hold_at),
        ticket.operator,
        ticket.ticket_id,
        ticket.status,
        str(ticket.unfinished),
        moment(ticket.close_due_at),
        ticket.who or "-",
        ticket.why or "-",
    )
