"""Lists what needs a person, newest first, and chooses among it, oldest first. Reads only."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, TextClause, text

from models.triage.values import EventKey, Listed, Selection
from models.vocabulary import Outcome

NEEDING_A_PERSON: Final = (Outcome.PARKED, Outcome.REJECTED, Outcome.SUPERSEDED)

# The outcome stands in the text: only so is the partial index `ticket_event_listed` of use.
_EVENTS = """
    FROM ticket_event e JOIN ticket t ON t.id = e.ticket JOIN operator o ON o.id = t.operator
   WHERE e.outcome = '{outcome}' AND e.dropped_at IS NULL
     AND (CAST(:operator AS text) IS NULL OR o.code = :operator)
     AND (CAST(:ticket_id AS text) IS NULL OR t.ticket_id = :ticket_id)
     AND (CAST(:reason AS text) IS NULL OR e.reason = :reason)
     AND (CAST(:since AS timestamptz) IS NULL OR e.decided_at >= :since)"""
_RAW = """
    FROM rejected_input r
   WHERE r.dropped_at IS NULL
     AND (CAST(:operator AS text) IS NULL OR r.operator = :operator)
     AND (CAST(:ticket_id AS text) IS NULL OR r.ticket_id = :ticket_id)
     AND (CAST(:reason AS text) IS NULL OR r.reason = :reason)
     AND (CAST(:since AS timestamptz) IS NULL OR r.rejected_at >= :since)"""


def _of_each(select: str, order: str) -> dict[Outcome, TextClause]:
    return {
        outcome: text(f"{select} {_EVENTS.format(outcome=outcome)} {order} LIMIT :limit")
        for outcome in NEEDING_A_PERSON
    }


EVENTS: Final = _of_each(
    """
  SELECT e.decided_at AS at, e.event_id AS id, false AS is_raw, o.code AS operator, t.ticket_id,
         e.event_id, e.entry_id, e.action, e.outcome, e.reason, e.message, e.sequence,
         e.occurred_at, e.received_at, e.park_until,
         t.status || CASE t.result WHEN 'pending' THEN '' ELSE '/' || t.result END AS status""",
    "ORDER BY e.decided_at DESC, e.arrival DESC",
)
OLDEST_EVENTS: Final = _of_each(
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


def list_events(
    connection: Connection, outcome: Outcome, selection: Selection, *, limit: int
) -> list[Listed]:
    """Events of tickets that ended (or wait) as *outcome*, newest first; dropped ones apart.

    *outcome* is one of `NEEDING_A_PERSON`.
    """
    rows = connection.execute(EVENTS[outcome], selection.parameters(limit)).mappings()
    return [Listed(**row) for row in rows]


def list_raw(connection: Connection, selection: Selection, *, limit: int) -> list[Listed]:
    """Input that could not become an event, newest first; what was dealt with apart."""
    return [
        Listed(**row) for row in connection.execute(RAW, selection.parameters(limit)).mappings()
    ]


def list_rejected(connection: Connection, selection: Selection, *, limit: int) -> list[Listed]:
    """Rejected events and raw input as one list, newest first."""
    both = list_events(connection, Outcome.REJECTED, selection, limit=limit)
    both += list_raw(connection, selection, limit=limit)
    return _newest(both, limit)


def choose_events(
    connection: Connection, outcome: Outcome, selection: Selection, *, limit: int
) -> list[EventKey]:
    """The events that `list_events` lists, oldest first: the order in which to take them up."""
    rows = connection.execute(OLDEST_EVENTS[outcome], selection.parameters(limit)).mappings()
    return [EventKey(**row) for row in rows]


def choose_raw(connection: Connection, selection: Selection, *, limit: int) -> list[str]:
    """The entry ids that `list_raw` lists, oldest first."""
    return list(connection.execute(OLDEST_RAW, selection.parameters(limit)).scalars())


def _newest(listed: Iterable[Listed], limit: int) -> list[Listed]:
    return sorted(listed, key=_moment, reverse=True)[:limit]


def _moment(one: Listed) -> datetime:
    return one.at
