"""Finds and lists events that need a person, and raw input that could not become one. Reads only.

Lists are newest first; what a change applies to is chosen oldest first.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import Final

from sqlalchemy import Connection, TextClause, text
from sqlmodel import Session, col, select

from models.history.event_log import find_tickets_of_event
from models.history.load import WITHOUT_CONTENTS, whole
from models.history.ticket_status import TICKET_STATUS, ticket_status
from models.history.values import CausedNotice
from models.tables import Notice, Operator, RejectedInput, Ticket, TicketEvent
from models.tracing.traceparent import trace_id_of
from models.triage.values import EventKey, Listed, LoggedEvent, RawInput, Selection
from models.vocabulary import Outcome

FOUND_MAX: Final = 20  # one id may have been used on several tickets (H12)
NEEDING_A_PERSON: Final = (Outcome.PARKED, Outcome.REJECTED, Outcome.SUPERSEDED)

# SQL text with the outcome as a literal: only then does PostgreSQL use the partial index
# `ticket_event_listed`.
_EVENTS = """
    FROM ticket_event e JOIN ticket t ON t.id = e.ticket JOIN operator o ON o.id = t.operator
   WHERE e.outcome = '{outcome}' AND e.dropped_at IS NULL
     AND (CAST(:operator AS text) IS NULL OR o.code = :operator)
     AND (CAST(:ticket_id AS text) IS NULL OR t.ticket_id = :ticket_id)
     AND (CAST(:action AS text) IS NULL OR e.action = :action)
     AND (CAST(:reason AS text) IS NULL OR e.reason = :reason)
     AND (CAST(:since AS timestamptz) IS NULL OR e.decided_at >= :since)
     AND (CAST(:until AS timestamptz) IS NULL OR e.decided_at <= :until)"""
# Its action could not be read, or is not one: a selection by action has none of it.
_RAW = """
    FROM rejected_input r
   WHERE r.dropped_at IS NULL
     AND (CAST(:operator AS text) IS NULL OR r.operator = :operator)
     AND (CAST(:ticket_id AS text) IS NULL OR r.ticket_id = :ticket_id)
     AND CAST(:action AS text) IS NULL
     AND (CAST(:reason AS text) IS NULL OR r.reason = :reason)
     AND (CAST(:since AS timestamptz) IS NULL OR r.rejected_at >= :since)
     AND (CAST(:until AS timestamptz) IS NULL OR r.rejected_at <= :until)"""


def _for_each_outcome(columns: str, order: str) -> dict[Outcome, TextClause]:
    return {
        outcome: text(f"{columns} {_EVENTS.format(outcome=outcome)} {order} LIMIT :limit")
        for outcome in NEEDING_A_PERSON
    }


EVENTS: Final = _for_each_outcome(
    f"""
  SELECT e.decided_at AS at, e.event_id AS id, false AS is_raw, o.code AS operator, t.ticket_id,
         e.event_id, e.entry_id, e.action, e.outcome, e.reason, e.message, e.sequence,
         e.occurred_at, e.received_at, e.park_until, {TICKET_STATUS} AS status""",
    "ORDER BY e.decided_at DESC, e.arrival DESC",
)
OLDEST_EVENTS: Final = _for_each_outcome(
    """
  SELECT e.ticket, e.event_id, o.code AS operator, t.ticket_id, e.action""",
    "ORDER BY e.decided_at, e.arrival",
)
RAW: Final = text(f"""
  SELECT r.rejected_at AS at, r.entry_id AS id, true AS is_raw, r.operator, r.ticket_id, r.event_id,
         r.entry_id, NULL AS action, 'rejected' AS outcome, r.reason, r.message, NULL AS sequence,
         NULL AS occurred_at, r.received_at, NULL AS park_until, NULL AS status
    {_RAW} ORDER BY r.rejected_at DESC, r.id DESC LIMIT :limit""")
OLDEST_RAW: Final = text(f"""
  SELECT r.entry_id
    {_RAW} ORDER BY r.rejected_at, r.id LIMIT :limit""")


def find_events(
    connection: Connection,
    event_id: str,
    *,
    operator: str | None = None,
    ticket_id: str | None = None,
) -> list[LoggedEvent]:
    """Return the events with this id, newest first; it may be on several tickets."""
    tickets = find_tickets_of_event(
        connection, event_id, operator=operator, ticket_id=ticket_id, limit=FOUND_MAX
    )
    statement = (
        select(TicketEvent, Ticket, Operator.code)
        .join(Ticket, col(Ticket.id) == TicketEvent.ticket)
        .join(Operator, col(Operator.id) == Ticket.operator)
        .where(TicketEvent.event_id == event_id)
        .where(col(TicketEvent.ticket).in_(tickets))
        .order_by(col(TicketEvent.arrival).desc())
        .limit(FOUND_MAX)
    )
    with Session(connection) as session:
        return [_logged_event(session, *row) for row in session.exec(statement).all()]


def find_raw(connection: Connection, entry_id: str) -> RawInput | None:
    """Return the raw input of a stream entry. Returns None if there is none."""
    with Session(connection) as session:
        statement = select(RejectedInput).where(RejectedInput.entry_id == entry_id)
        rejected = session.exec(statement).one_or_none()
    if rejected is None:
        return None
    assert rejected.rejected_at is not None, "a stored row has it"
    return RawInput(
        entry_id=rejected.entry_id,
        kind=rejected.kind,
        reason=rejected.reason,
        message=rejected.message,
        operator=rejected.operator,
        ticket_id=rejected.ticket_id,
        event_id=rejected.event_id,
        received_at=rejected.received_at,
        rejected_at=rejected.rejected_at,
        dropped_at=rejected.dropped_at,
        whole=rejected.whole,
        raw=rejected.raw,
    )


def find_raw_by_event_id(connection: Connection, event_id: str) -> list[str]:
    """Return the stream entries of raw input whose event was to have this id, newest first."""
    statement = (
        select(RejectedInput.entry_id)
        .where(RejectedInput.event_id == event_id)
        .order_by(col(RejectedInput.id).desc())
        .limit(FOUND_MAX)
    )
    with Session(connection) as session:
        return list(session.exec(statement).all())


def list_events(
    connection: Connection, outcome: Outcome, selection: Selection, *, limit: int
) -> list[Listed]:
    """List events of tickets that ended (or wait) as *outcome*, newest first, but dropped ones.

    *outcome* is one of `NEEDING_A_PERSON`.
    """
    rows = connection.execute(EVENTS[outcome], selection.parameters(limit)).mappings()
    return [Listed(**row) for row in rows]


def list_raw(connection: Connection, selection: Selection, *, limit: int) -> list[Listed]:
    """List input that could not become an event, newest first, but what was resolved."""
    rows = connection.execute(RAW, selection.parameters(limit)).mappings()
    return [Listed(**row) for row in rows]


def list_rejected(connection: Connection, selection: Selection, *, limit: int) -> list[Listed]:
    """List rejected events and raw input together, newest first."""
    events = list_events(connection, Outcome.REJECTED, selection, limit=limit)
    return _newest([*events, *list_raw(connection, selection, limit=limit)], limit)


def choose_events(
    connection: Connection, outcome: Outcome, selection: Selection, *, limit: int
) -> list[EventKey]:
    """Return the events that `list_events` lists, oldest first: the order to process them in."""
    rows = connection.execute(OLDEST_EVENTS[outcome], selection.parameters(limit)).mappings()
    return [EventKey(**row) for row in rows]


def choose_raw(connection: Connection, selection: Selection, *, limit: int) -> list[str]:
    """Return the entry ids that `list_raw` lists, oldest first."""
    return list(connection.execute(OLDEST_RAW, selection.parameters(limit)).scalars())


def _newest(listed: Iterable[Listed], limit: int) -> list[Listed]:
    return sorted(listed, key=attrgetter("at"), reverse=True)[:limit]


def _logged_event(
    session: Session, event: TicketEvent, ticket: Ticket, operator: str
) -> LoggedEvent:
    notices = session.exec(
        select(Notice)
        .options(*WITHOUT_CONTENTS)
        .where(Notice.ticket == event.ticket)
        .where(Notice.event_id == event.event_id)
        .order_by(col(Notice.number))
    )
    return LoggedEvent(
        operator=operator,
        ticket_id=ticket.ticket_id,
        event_id=event.event_id,
        action=event.action,
        outcome=event.outcome,
        reason=event.reason,
        message=event.message,
        status_before=event.status_before,
        status_after=event.status_after,
        notices=tuple(map(CausedNotice.of, notices)),
        occurred_at=event.occurred_at,
        order_time=event.order_time,
        received_at=event.received_at,
        decided_at=event.decided_at,
        park_until=event.park_until,
        sequence=event.sequence,
        entry_id=event.entry_id,
        repeats=event.repeats,
        repeated_at=event.repeated_at,
        dropped_at=event.dropped_at,
        trace_id=trace_id_of(event.traceparent),
        status=ticket_status(ticket),
        data=whole(event, ticket, operator),
        key=EventKey(
            ticket=event.ticket,
            event_id=event.event_id,
            operator=operator,
            ticket_id=ticket.ticket_id,
            action=event.action,
        ),
    )
