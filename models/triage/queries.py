"""Finds and lists events that need a person, and raw input that could not become one. Reads only.

Lists are newest first; what a change applies to is chosen oldest first.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Row, TextClause, text

from models.history.event_log import find_tickets_of_event
from models.history.load import whole
from models.history.statements import EVENT_FACTS
from models.history.ticket_status import TICKET_STATUS
from models.history.values import CausedNotice
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
FIND_EVENTS: Final = text(f"""
    SELECT {EVENT_FACTS}, e.ticket, e.entry_id, o.code AS operator, t.ticket_id, t.details,
           {TICKET_STATUS} AS status
      FROM ticket_event e JOIN ticket t ON t.id = e.ticket JOIN operator o ON o.id = t.operator
     WHERE e.event_id = :event_id AND e.ticket = ANY(:tickets)
     ORDER BY e.arrival DESC LIMIT :limit""")  # noqa: S608 - constants
CAUSED: Final = text("""
    SELECT number, action, generation, ended, unwanted FROM notice
     WHERE ticket = :ticket AND event_id = :event_id ORDER BY number""")
FIND_RAW: Final = text("""
    SELECT entry_id, kind, reason, message, operator, ticket_id, event_id, received_at, rejected_at,
           dropped_at, whole, raw
      FROM rejected_input WHERE entry_id = :entry_id""")
FIND_RAW_BY_EVENT_ID: Final = text("""
    SELECT entry_id FROM rejected_input WHERE event_id = :event_id ORDER BY id DESC LIMIT :limit""")


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
    parameters = {"event_id": event_id, "tickets": list(tickets), "limit": FOUND_MAX}
    events = connection.execute(FIND_EVENTS, parameters).all()
    return [_logged_event(connection, event) for event in events]


def find_raw(connection: Connection, entry_id: str) -> RawInput | None:
    """Return the raw input of a stream entry. Returns None if there is none."""
    rejected = connection.execute(FIND_RAW, {"entry_id": entry_id}).mappings().one_or_none()
    return None if rejected is None else RawInput(**rejected)


def find_raw_by_event_id(connection: Connection, event_id: str) -> list[str]:
    """Return the stream entries of raw input whose event was to have this id, newest first."""
    parameters = {"event_id": event_id, "limit": FOUND_MAX}
    return list(connection.execute(FIND_RAW_BY_EVENT_ID, parameters).scalars())


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


def _logged_event(connection: Connection, event: Row[Any]) -> LoggedEvent:
    key = {"ticket": event.ticket, "event_id": event.event_id}
    return LoggedEvent(
        operator=event.operator,
        ticket_id=event.ticket_id,
        event_id=event.event_id,
        action=event.action,
        outcome=event.outcome,
        reason=event.reason,
        message=event.message,
        status_before=event.status_before,
        status_after=event.status_after,
        notices=tuple(map(CausedNotice.of, connection.execute(CAUSED, key))),
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
        status=event.status,
        data=whole(event, event),
        key=EventKey(
            ticket=event.ticket,
            event_id=event.event_id,
            operator=event.operator,
            ticket_id=event.ticket_id,
            action=event.action,
        ),
    )
