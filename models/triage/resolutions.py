"""What became of events by a person's word, in memory and in the record of interventions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from models.lifecycle.advance import DecidedEvent
from models.lifecycle.ticket import TicketState
from models.operators.interventions import Change, Person, record_intervention
from models.triage.values import EventResolution
from models.vocabulary import Outcome


def resolution_of(
    ticket: TicketState, row: Row[Any], decided: Sequence[DecidedEvent]
) -> EventResolution:
    """How the event of *row* ended; one that was not decided is as it was."""
    for one in decided:
        if one.pending.event.event_id == row.event_id:
            return _ended(ticket, one, asked=True, was=(row.outcome, row.reason))
    return EventResolution(
        operator=ticket.terms.code,
        ticket_id=ticket.ticket_id,
        event_id=row.event_id,
        action=row.action,
        asked=True,
        was_outcome=row.outcome,
        was_reason=row.reason,
        outcome=row.outcome,
        reason=row.reason,
        message=row.message,
        status_before=row.status_before,
        status_after=row.status_after,
        park_until=row.park_until,
    )


def decided_along(
    ticket: TicketState, asked: Sequence[str], decided: Sequence[DecidedEvent]
) -> list[EventResolution]:
    """Parked events that could be decided because of those that were asked for."""
    return [
        _ended(ticket, one, asked=False, was=(Outcome.PARKED.value, None))
        for one in decided
        if one.pending.event.event_id not in asked
    ]


def _ended(
    ticket: TicketState, one: DecidedEvent, *, asked: bool, was: tuple[str, str | None]
) -> EventResolution:
    event, decision = one.pending.event, one.decision
    told = [
        owed for owed in ticket.new_notices if owed.event_id == event.event_id and not owed.withheld
    ]
    return EventResolution(
        operator=ticket.terms.code,
        ticket_id=ticket.ticket_id,
        event_id=event.event_id,
        action=event.action,
        asked=asked,
        was_outcome=was[0],
        was_reason=was[1],
        outcome=decision.outcome,
        reason=decision.reason,
        message=decision.message,
        status_before=one.before,
        status_after=one.after,
        park_until=one.park_until,
        notices=tuple(owed.action.value for owed in told),
    )


def record_resolution(
    connection: Connection,
    ticket: int | None,
    end: EventResolution,
    did: str,
    *,
    person: Person,
    now: datetime,
    **facts: object,
) -> None:
    """Who and why, with the end the event had before."""
    facts |= {
        "event_id": end.event_id,
        "action": end.action,
        "was": {"outcome": end.was_outcome, "reason": end.was_reason},
        "is": {"outcome": end.outcome, "reason": end.reason},
    }
    change = Change(did, operator=end.operator or None, ticket=ticket, facts=facts)
    record_intervention(connection, change, person=person, at=now)
