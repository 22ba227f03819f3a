"""Retries or drops raw input: one stream entry in one transaction."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from models.database.errors import error_line, is_transient
from models.events.decode import read
from models.events.event import Entry, Event, Unreadable
from models.events.stream_contract import EVENT_FIELD, OPERATOR_FIELD, TYPE_FIELD
from models.intake.batch import apply_events
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.platform.durations import format_duration
from models.platform.timestamps import format_timestamp
from models.triage.queries import find_events, find_raw
from models.triage.resolutions import record_resolution
from models.triage.values import EventResolution, LoggedEvent, RawInput
from models.vocabulary import Outcome

# Rows of rejected input are locked last in a transaction (rule 19). The row must still be as it was
# read, so that nothing is resolved twice.
MARK_RESOLVED: Final = text("""
    UPDATE rejected_input SET dropped_at = :now
     WHERE entry_id = :entry_id
       AND dropped_at IS NOT DISTINCT FROM CAST(:dropped_at AS timestamptz)""")
# A window counted from its receipt, long ago, would be over already (rule 8).
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
    """Decode raw input again and apply it as an event, inside the caller's transaction.

    It leaves the lists, whatever its outcome. What happened longer than *age_max* ago stays
    refused: its ticket may have been removed since then (H16). Raises NotPossible if it still
    cannot become an event of a ticket; the caller's transaction must then be rolled back.
    """
    row = _find(connection, entry_id)
    event = _decode_again(row, now=now)
    _check_age(entry_id, event, now=now, age_max=age_max)
    try:
        result = apply_events(connection, [event], now=now, parking_window=window)
    except Exception as error:
        if is_transient(error):
            raise
        problem = error_line(error)
        raise NotPossible(f"entry {entry_id} still cannot be applied: {problem}") from error
    for refused in result.refused:
        raise NotPossible(f"entry {entry_id} is still refused: {refused.message}")
    ((event, outcome),) = [ended for ended in result.ended if ended[0].event_id == event.event_id]
    (logged,) = find_events(
        connection, event.event_id, operator=event.operator, ticket_id=event.ticket_id
    )
    ticket = logged.key.ticket
    parameters = {"ticket": ticket, "event_id": event.event_id, "until": now + window}
    if connection.execute(FRESH_WINDOW, parameters).rowcount:
        logged = replace(logged, park_until=now + window)
    resolution = _resolution(row, logged, outcome)
    record_resolution(
        connection,
        ticket,
        resolution,
        "raw_event_retried",
        person=person,
        now=now,
        entry_id=entry_id,
    )
    _mark_resolved(connection, row, now=now)
    return resolution


def drop_raw(
    connection: Connection, entry_id: str, *, now: datetime, person: Person
) -> EventResolution:
    """Drop raw input inside the caller's transaction: it leaves the lists. Raises NotPossible."""
    row = _find(connection, entry_id)
    if row.dropped_at is not None:
        raise NotPossible(f"entry {entry_id} was resolved at {format_timestamp(row.dropped_at)}")
    resolution = EventResolution(
        operator=row.operator or "",
        ticket_id=row.ticket_id or "",
        event_id=row.event_id or "",
        action="",
        selected=True,
        was_outcome=Outcome.REJECTED.value,
        was_reason=row.reason,
        outcome=Outcome.REJECTED.value,
        reason=row.reason,
        message=row.message,
        status_before="",
        status_after="",
        entry_id=entry_id,
    )
    key = {"operator": row.operator, "ticket_id": row.ticket_id}
    ticket = connection.execute(TICKET, key).scalar_one_or_none()
    record_resolution(
        connection,
        ticket,
        resolution,
        "raw_event_dropped",
        person=person,
        now=now,
        entry_id=entry_id,
    )
    _mark_resolved(connection, row, now=now)
    return resolution


def _find(connection: Connection, entry_id: str) -> RawInput:
    row = find_raw(connection, entry_id)
    if row is None:
        raise NotPossible(f"there is no raw input of a stream entry {entry_id}")
    return row


def _decode_again(row: RawInput, *, now: datetime) -> Event:
    if not row.whole:
        raise NotPossible(
            f"entry {row.entry_id} cannot be retried: it had no field `event`, or only the"
            " beginning of it could be stored; publish it again"
        )
    fields = {EVENT_FIELD: row.raw}
    if row.kind is not None:
        fields[TYPE_FIELD] = row.kind.encode()
    if row.operator is not None:  # a lottery message has it in a field of its own
        fields[OPERATOR_FIELD] = row.operator.encode()
    # A receipt in the future is only the claim of the entry's id: the entry had arrived when it was
    # refused (rule 3).
    received_at = row.received_at if row.received_at <= now else min(row.rejected_at, now)
    decoded = read(Entry(row.entry_id, fields, read_at=received_at))
    if isinstance(decoded, Unreadable):
        raise NotPossible(f"entry {row.entry_id} still cannot be read: {decoded.message}")
    return decoded


def _check_age(entry_id: str, event: Event, *, now: datetime, age_max: timedelta) -> None:
    if now - event.order_time > age_max:
        raise NotPossible(
            f"entry {entry_id} happened at {format_timestamp(event.order_time)}, more than"
            f" {format_duration(age_max)} ago (SLIPWAY_EVENT_AGE_MAX): its ticket may have been"
            " removed, and must not be created again"
        )


def _resolution(row: RawInput, logged: LoggedEvent, outcome: Outcome) -> EventResolution:
    """Return what the log now holds of the event; *outcome* may be that it is a duplicate."""
    return EventResolution(
        operator=logged.operator,
        ticket_id=logged.ticket_id,
        event_id=logged.event_id,
        action=logged.action,
        selected=True,
        was_outcome=Outcome.REJECTED.value,
        was_reason=row.reason,
        outcome=outcome.value,
        reason=logged.reason,
        message=logged.message,
        status_before=logged.status_before,
        status_after=logged.status_after,
        park_until=logged.park_until,
        notices=tuple(notice.action for notice in logged.notices if notice.is_for_partner),
        entry_id=row.entry_id,
    )


def _mark_resolved(connection: Connection, row: RawInput, *, now: datetime) -> None:
    parameters = {"entry_id": row.entry_id, "dropped_at": row.dropped_at, "now": now}
    if connection.execute(MARK_RESOLVED, parameters).rowcount != 1:
        raise NotPossible(f"another person has just resolved entry {row.entry_id}")
