"""Reads raw input again and applies it, or lets it go: one stream entry, one transaction."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from models.database.errors import error_line, is_transient
from models.events.decode import read
from models.events.event import Entry, Event, Unreadable
from models.events.stream_contract import EVENT_FIELD, OPERATOR_FIELD, TYPE_FIELD
from models.intake.batch import apply_chunk
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.platform.durations import format_duration
from models.platform.timestamps import format_timestamp
from models.triage.queries import find_events, find_raw
from models.triage.resolutions import record_resolution
from models.triage.values import EventResolution, LoggedEvent, RawInput
from models.vocabulary import Outcome

# Raw rows come last in a transaction (rule 19). Not done twice: the row must be as it was read.
DEALT_WITH: Final = text("""
    UPDATE rejected_input SET dropped_at = :now
     WHERE entry_id = :entry_id
       AND dropped_at IS NOT DISTINCT FROM CAST(:dropped_at AS timestamptz)""")
# Its receipt is long past, and with it a window that would begin there (rule 8).
FRESH_WINDOW: Final = text("""
    UPDATE ticket_event SET park_until = :until
     WHERE ticket = :ticket AND event_id = :event_id AND outcome = 'parked'
       AND park_until < :until""")
TICKET: Final = text("""
    SELECT t.id FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE o.code = :operator AND t.ticket_id = :ticket_id""")


def retry_raw(
    connection: Connection,
    entry_id: str,
    *,
    age_max: timedelta,
    now: datetime,
    window: timedelta,
    person: Person,
) -> EventResolution:
    """Read raw input again and apply it as an event, inside the caller's transaction.

    It leaves the lists, whatever its ticket makes of it. What happened longer than *age_max* ago
    stays refused: its ticket may have been removed since (protocol H16). Raises NotPossible when
    it still cannot become an event of a ticket; the caller's transaction must then be rolled back.
    """
    row = _find(connection, entry_id)
    event = _read_again(row, now=now)
    if now - event.order_time > age_max:
        raise NotPossible(
            f"entry {entry_id} happened at {format_timestamp(event.order_time)}, more than"
            f" {format_duration(age_max)} ago (SLIPWAY_EVENT_AGE_MAX): its ticket may have been"
            " removed, and must not come to life again"
        )
    try:
        result = apply_chunk(connection, [event], now=now, parking_window=window)
    except Exception as error:
        if is_transient(error):
            raise
        problem = error_line(error)
        raise NotPossible(f"entry {entry_id} still cannot be applied: {problem}") from error
    for refused in result.refused:
        raise NotPossible(f"entry {entry_id} is still refused: {refused.message}")
    ((event, outcome),) = [one for one in result.ended if one[0].event_id == event.event_id]
    (logged,) = find_events(
        connection, event.event_id, operator=event.operator, ticket_id=event.ticket_id
    )
    ticket = logged.key.ticket
    again = {"ticket": ticket, "event_id": event.event_id, "until": now + window}
    if connection.execute(FRESH_WINDOW, again).rowcount:
        logged = replace(logged, park_until=now + window)
    end = _end(row, logged, outcome)
    record_resolution(
        connection, ticket, end, "raw_event_retried", person=person, now=now, entry_id=entry_id
    )
    _mark_resolved(connection, row, now=now)
    return end


def drop_raw(
    connection: Connection, entry_id: str, *, now: datetime, person: Person
) -> EventResolution:
    """Let raw input go inside the caller's transaction: it leaves the lists. Raises NotPossible."""
    row = _find(connection, entry_id)
    if row.dropped_at is not None:
        raise NotPossible(f"entry {entry_id} was dealt with at {format_timestamp(row.dropped_at)}")
    end = EventResolution(
        operator=row.operator or "",
        ticket_id=row.ticket_id or "",
        event_id=row.event_id or "",
        action="",
        asked=True,
        was_outcome=Outcome.REJECTED.value,
        was_reason=row.reason,
        outcome=Outcome.REJECTED.value,
        reason=row.reason,
        message=row.message,
        status_before="",
        status_after="",
        entry_id=entry_id,
    )
    named = {"operator": row.operator, "ticket_id": row.ticket_id}
    ticket = connection.execute(TICKET, named).scalar_one_or_none()
    record_resolution(
        connection, ticket, end, "raw_event_dropped", person=person, now=now, entry_id=entry_id
    )
    _mark_resolved(connection, row, now=now)
    return end


def _find(connection: Connection, entry_id: str) -> RawInput:
    row = find_raw(connection, entry_id)
    if row is None:
        raise NotPossible(f"nothing is kept raw of a stream entry {entry_id}")
    return row


def _read_again(row: RawInput, *, now: datetime) -> Event:
    if not row.whole:
        raise NotPossible(
            f"entry {row.entry_id} cannot be retried: of its field `event` "
            "there was none, or only the beginning could be kept; publish it again"
        )
    fields = {EVENT_FIELD: row.raw}
    if row.kind is not None:
        fields[TYPE_FIELD] = row.kind.encode()
    if row.operator is not None:  # a lottery's stands beside its message
        fields[OPERATOR_FIELD] = row.operator.encode()
    # A receipt in the future was the id's claim: it was there when it was refused (rule 3).
    entered = row.received_at if row.received_at <= now else min(row.rejected_at, now)
    found = read(Entry(row.entry_id, fields, read_at=entered))
    if isinstance(found, Unreadable):
        raise NotPossible(f"entry {row.entry_id} still cannot be read: {found.message}")
    return found


def _end(row: RawInput, logged: LoggedEvent, outcome: Outcome) -> EventResolution:
    """What the log says of the event now; *outcome* is a duplicate where it was there before."""
    return EventResolution(
        operator=logged.operator,
        ticket_id=logged.ticket_id,
        event_id=logged.event_id,
        action=logged.action,
        asked=True,
        was_outcome=Outcome.REJECTED.value,
        was_reason=row.reason,
        outcome=outcome.value,
        reason=logged.reason,
        message=logged.message,
        status_before=logged.status_before,
        status_after=logged.status_after,
        park_until=logged.park_until,
        notices=tuple(one.action for one in logged.notices if one.ended != "withdrawn"),
        entry_id=row.entry_id,
    )


def _mark_resolved(connection: Connection, row: RawInput, *, now: datetime) -> None:
    asked = {"entry_id": row.entry_id, "dropped_at": row.dropped_at, "now": now}
    if connection.execute(DEALT_WITH, asked).rowcount != 1:
        raise NotPossible(f"somebody else has just dealt with entry {row.entry_id}")
