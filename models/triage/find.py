"""Finds one event by its id, or raw input by its entry's, with all that is known. Reads only."""

from typing import Any, Final

from sqlalchemy import Connection, RowMapping, text

from models.events.stored import stored_object
from models.history.values import CausedNotice
from models.triage.values import EventKey, LoggedEvent, RawInput

FOUND_MAX: Final = 20  # one id may have been used on several tickets (protocol H12)

FIND: Final = text("""
    SELECT o.code AS operator, t.ticket_id, e.event_id, e.action, e.outcome, e.reason, e.message,
           e.status_before, e.status_after, e.occurred_at, e.order_time, e.received_at,
           e.decided_at, e.park_until, e.sequence, e.entry_id, e.repeats, e.repeated_at,
           e.dropped_at, e.data, e.ticket,
           t.status || CASE t.result WHEN 'pending' THEN '' ELSE '/' || t.result END AS status
      FROM ticket_event e JOIN ticket t ON t.id = e.ticket JOIN operator o ON o.id = t.operator
     WHERE e.event_id = :event_id
       AND (CAST(:operator AS text) IS NULL OR o.code = :operator)
       AND (CAST(:ticket_id AS text) IS NULL OR t.ticket_id = :ticket_id)
     ORDER BY e.arrival DESC LIMIT :limit""")
CAUSED: Final = text("""
    SELECT number, action, generation, ended FROM notice
     WHERE ticket = :ticket AND event_id = :event_id ORDER BY number""")
FIND_RAW: Final = text("""
    SELECT entry_id, kind, reason, message, operator, ticket_id, event_id, received_at,
           rejected_at, dropped_at, whole, raw
      FROM rejected_input WHERE entry_id = :entry_id""")
NAMING: Final = text("""
    SELECT entry_id FROM rejected_input WHERE event_id = :event_id ORDER BY id DESC LIMIT :limit""")


def find_events(
    connection: Connection,
    event_id: str,
    *,
    operator: str | None = None,
    ticket_id: str | None = None,
) -> list[LoggedEvent]:
    """The events of this id, newest first: an id counts per ticket, so there may be several."""
    asked = {
        "event_id": event_id,
        "operator": operator,
        "ticket_id": ticket_id,
        "limit": FOUND_MAX,
    }
    rows = connection.execute(FIND, asked).mappings().all()
    return [_event(connection, row) for row in rows]


def find_raw(connection: Connection, entry_id: str) -> RawInput | None:
    """The raw input of a stream entry; None where there is none."""
    row = connection.execute(FIND_RAW, {"entry_id": entry_id}).mappings().one_or_none()
    return None if row is None else RawInput(**row)


def find_raw_by_event_id(connection: Connection, event_id: str) -> list[str]:
    """The stream entries kept raw whose event was to have this id, newest first."""
    asked = {"event_id": event_id, "limit": FOUND_MAX}
    return list(connection.execute(NAMING, asked).scalars())


def _event(connection: Connection, row: RowMapping) -> LoggedEvent:
    facts: dict[str, Any] = {**row, "data": stored_object(row["data"])}
    ticket = facts.pop("ticket")
    asked = {"ticket": ticket, "event_id": row["event_id"]}
    caused = connection.execute(CAUSED, asked).mappings()
    key = EventKey(ticket, row["event_id"], row["operator"], row["ticket_id"], row["action"])
    return LoggedEvent(notices=tuple(CausedNotice(**one) for one in caused), key=key, **facts)
