"""How a person resolved events: as values, and in the record of interventions."""

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
    """Return how the event of *row* ended; one that was not decided is unchanged."""
    for event in decided:
        if event.pending.event.event_id == row.event_id:
            return _decided(ticket, event, selected=True, was=(row.outcome, row.reason))
    return EventResolution(
        operator=ticket.terms.code,
        ticket_id=ticket.ticket_id,
        event_id=row.event_id,
        action=row.action,
        selected=True,
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
    ticket: TicketState, selected: Sequence[str], decided: Sequence[DecidedEvent]
) -> list[EventResolution]:
    """Return the parked events that could be decided because of those that were *selected*."""
    return [
        _decided(ticket, event, selected=False, was=(Outcome.PARKED.value, None))
        for event in decided
        if event.pending.event.event_id not in selected
    ]


def record_resolution(
    connection: Connection,
    ticket: int | None,
    resolution: EventResolution,
    did: str,
    *,
    person: Person,
    now: datetime,
    **facts: object,
) -> None:
    """Record who resolved the event and why, with its outcome before and after."""
    facts |= {
        "event_id": resolution.event_id,
        "action": resolution.action,
        "was": {"outcome": resolution.was_outcome, "reason": resolution.was_reason},
        "is": {"outcome": resolution.outcome, "reason": resolution.reason},
    }
    change = Change(did, operator=resolution.operator or None, ticket=ticket, facts=facts)
    record_intervention(connection, change, person=person, at=now)


def _decided(
    ticket: TicketState, decided: DecidedEvent, *, selected: bool, was: tuple[str, str | None]
) -> EventResolution:
    event, decision = decided.pending.event, decided.decision
    was_outcome, was_reason = was
    return EventResolution(
        operator=ticket.terms.code,
        ticket_id=ticket.ticket_id,
        event_id=event.event_id,
        action=event.action,
        selected=selected,
        was_outcome=was_outcome,
        was_reason=was_reason,
        outcome=decision.outcome,
        reason=decision.reason,
        message=decision.message,
        status_before=decided.before,
        status_after=decided.after,
        park_until=decided.park_until,
        notices=tuple(
            notice.action.value
            for notice in ticket.new_notices
            if notice.event_id == event.event_id and not notice.withheld
        ),
    )
