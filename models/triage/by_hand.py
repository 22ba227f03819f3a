"""A person publishes a result or a rollback of a ticket by hand (rule 26).

It is an ordinary event with the person's name in it, applied by the same function as one from the
stream, in the transaction that records who published it and why. It does not take the way over the
stream, because there the person could only learn later, and perhaps never, whether it was added and
what became of it, and nothing could compare the ticket with what the person saw.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from unicodedata import normalize
from uuid import uuid4

from sqlalchemy import Connection

from models.events.event import Entry, Event
from models.events.published import validate_event
from models.events.refusal import Refusal
from models.intake.batch import apply_events
from models.lifecycle.ticket import TicketState
from models.operators.interventions import Change, Person, record_intervention
from models.operators.listing import unknown_operator
from models.outbox.dead_letters import NotPossible
from models.platform.errors import InvalidError
from models.tickets.load import lock_by_id
from models.tickets.tombstones import why_removed
from models.triage.hold import FIND
from models.triage.queries import find_events
from models.triage.values import LoggedEvent
from models.vocabulary import RESULTS, Action, Outcome, Reason, Status

BY_HAND: Final = tuple(
    action for action in Action if action in RESULTS or action is Action.ROLLBACK
)
"""What a person may publish by hand."""

PUBLISHED_BY: Final = "published_by"  # a field of the event's data, never sent on
EVENT_PUBLISHED: Final = "event_published"  # the intervention
_ENDS: Final = {Outcome.APPLIED, Outcome.CONFIRMED, Outcome.PARKED, Outcome.DUPLICATE}


class InvalidStatement(InvalidError):
    """What a person wants to publish is no valid event; the message says why."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a person states. *facts*: amounts in the minor unit, currency, `reason`.

    Under the same *event_id* it counts once (rule 2).
    """

    action: Action
    facts: Mapping[str, Any] = field(default_factory=dict)
    correction: bool = False
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """How the event ended: applied, confirmed (the current result again), parked or duplicate."""

    operator: str
    ticket_id: str
    event_id: str
    action: str
    outcome: str
    reason: str | None
    message: str | None
    status_before: str
    status_after: str
    park_until: datetime | None
    notices: tuple[str, ...]  # the actions that the partner will be sent because of it


def publish_by_hand(
    connection: Connection,
    operator: str,
    ticket_id: str,
    statement: Statement,
    *,
    person: Person,
    now: datetime,
    window: timedelta,
) -> PublishedEvent:
    """Apply *statement* inside the caller's transaction, and record who published it and why.

    It happens now, so it is newer than all that was decided on the ticket. Raises InvalidStatement,
    OperatorNotFound, and NotPossible if the ticket would reject it; the caller's transaction must
    then be rolled back.
    """
    ticket = _lock(connection, operator, ticket_id)
    event = _event(ticket, statement, person=person, now=now)
    result = apply_events(connection, [event], now=now, parking_window=window)
    for refused in result.refused:
        raise NotPossible(f"{event.action} would be refused: {refused.message}")
    ((_, outcome),) = [ended for ended in result.ended if ended[0].event_id == event.event_id]
    (logged,) = find_events(
        connection, event.event_id, operator=operator, ticket_id=ticket.ticket_id
    )
    if outcome not in _ENDS:
        why = logged.message or logged.reason
        raise NotPossible(f"{event.action} would be {outcome.value}: {why}")
    if outcome is not Outcome.DUPLICATE:
        facts = {"event_id": event.event_id, "action": event.action, "outcome": logged.outcome}
        change = Change(EVENT_PUBLISHED, operator=operator, ticket=ticket.id, facts=facts)
        record_intervention(connection, change, person=person, at=now)
    return _published(logged, outcome)


def _lock(connection: Connection, operator: str, ticket_id: str) -> TicketState:
    key = {"operator": operator, "ticket_id": normalize("NFC", ticket_id)}
    row = connection.execute(FIND, key).one_or_none()
    if row is None:
        raise unknown_operator(connection, operator)
    ticket = lock_by_id(connection, [row.ticket]).get(row.ticket) if row.ticket else None
    if ticket is None and (why := why_removed(connection, ticket_id, operator=operator)):
        raise NotPossible(f"{Reason.TICKET_REMOVED}: {why}")
    if ticket is None or ticket.status is Status.ABSENT:
        raise NotPossible(
            f"no ticket {ticket_id} of {operator} has been opened: by hand, only results and"
            " rollbacks of known tickets are published"
        )
    return ticket


def _event(ticket: TicketState, statement: Statement, *, person: Person, now: datetime) -> Event:
    """Return the event as every channel would have validated it. Raises InvalidStatement."""
    if statement.action not in BY_HAND:
        raise InvalidStatement(
            f"{statement.action} is not published by hand; possible are {', '.join(BY_HAND)}"
        )
    data: dict[str, Any] = {"operator": ticket.terms.code, "ticket_id": ticket.ticket_id}
    data |= {name: fact for name, fact in statement.facts.items() if fact is not None}
    data |= {"correction": True} if statement.correction else {}
    document = {
        "event_id": statement.event_id or str(uuid4()),
        "action": statement.action.value,
        "data": data | {PUBLISHED_BY: person.who},
    }
    entry = Entry(f"{int(now.timestamp() * 1000)}-0", {}, read_at=now)
    try:
        event = validate_event(document, entry)
    except Refusal as refusal:
        raise InvalidStatement(str(refusal)) from None
    # The current result's time is by Redis' clock, which may be ahead of this one (rule 3).
    latest = max(now, ticket.settled_at or now, ticket.amended_at or now)
    return event._replace(
        order_time=latest, received_at=now, entry_id=None, read_at=None, entry=None
    )


def _published(logged: LoggedEvent, outcome: Outcome) -> PublishedEvent:
    return PublishedEvent(
        operator=logged.operator,
        ticket_id=logged.ticket_id,
        event_id=logged.event_id,
        action=logged.action,
        outcome=outcome.value,
        reason=logged.reason,
        message=logged.message,
        status_before=logged.status_before,
        status_after=logged.status_after,
        park_until=logged.park_until,
        notices=tuple(notice.action for notice in logged.notices if notice.is_for_partner),
    )
