"""Retries or drops events that were refused or wait: one ticket, under its lock (rule 5).

A parked event is decided now. A rejected or superseded one is processed as if it had just arrived:
decided with all that waits on its ticket, and parked with a new window if it has to wait.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.events.event import ARRIVALS_END
from models.lifecycle.advance import DecidedEvent, PendingEvent, advance
from models.lifecycle.ticket import Decision, TicketState
from models.operators.interventions import Person
from models.outbox.creates import withdraw_unsent
from models.outbox.dead_letters import NotPossible
from models.platform.timestamps import format_timestamp
from models.tickets.load import lock_by_id, parked_of, pending_event
from models.tickets.save import TicketChange, save_changes
from models.triage.resolutions import decided_along, record_resolution, resolution_of
from models.triage.values import EventResolution
from models.vocabulary import Action, Outcome, Reason, Status

STORED: Final = text("""
    SELECT ticket, event_id, arrival, action, data, occurred_at, order_time, received_at, sequence,
           entry_id, park_until, outcome, reason, message, status_before, status_after, dropped_at,
           traceparent, decided_at <= (SELECT erased_at FROM ticket WHERE id = :ticket) AS is_erased
      FROM ticket_event WHERE ticket = :ticket AND event_id = ANY(:ids) ORDER BY arrival""")
REOPEN: Final = text("""
    UPDATE ticket_event
       SET order_time = coalesce(CAST(:order_time AS timestamptz), order_time), dropped_at = NULL
     WHERE ticket = :ticket AND event_id = ANY(:ids)""")
DROP: Final = text("""
    UPDATE ticket_event SET dropped_at = :now WHERE ticket = :ticket AND event_id = ANY(:ids)""")


def retry_events(
    connection: Connection,
    ticket_id: int,
    event_ids: Sequence[str],
    *,
    outcome: Outcome,
    as_now: bool = False,
    now: datetime,
    window: timedelta,
    person: Person,
) -> list[EventResolution]:
    """Decide events of a ticket again inside the caller's transaction; return how each ended.

    *outcome* is what they must still be: parked, rejected or superseded. *as_now*: as if they had
    happened now, for a true event from a slow clock (H7). What was decided along with them comes
    last. Raises NotPossible.
    """
    ticket, rows = _lock(connection, ticket_id, event_ids, outcome=outcome)
    _check_known(ticket, rows)
    was_new = ticket.status is Status.NEW
    parked = parked_of(connection, [ticket])[ticket.id]
    reopened: list[PendingEvent] = []
    order_time = _latest_time(ticket, now) if as_now else None
    if outcome is not Outcome.PARKED:
        for place, row in enumerate(rows):
            reopened.append(_reopened(row, ticket, place, order_time, park_until=now + window))
    decided = advance(ticket, [*parked, *reopened], now=now, window=window, was_new=was_new)
    ids = [row.event_id for row in rows]
    _save(connection, ticket, decided, now=now)
    if reopened:
        connection.execute(REOPEN, {"ticket": ticket.id, "ids": ids, "order_time": order_time})
    resolutions = [resolution_of(ticket, row, decided) for row in rows]
    for resolution in resolutions:
        record_resolution(
            connection,
            ticket.id,
            resolution,
            "event_retried",
            person=person,
            now=now,
            as_now=as_now,
        )
    return resolutions + decided_along(ticket, ids, decided)


def drop_events(
    connection: Connection,
    ticket_id: int,
    event_ids: Sequence[str],
    *,
    outcome: Outcome,
    now: datetime,
    window: timedelta,
    person: Person,
) -> list[EventResolution]:
    """Drop events of a ticket inside the caller's transaction.

    Parked ones end as rejected with the reason `dropped`; their sequence number is used up if it
    is the next one, and what can then be decided is decided. Rejected and superseded ones keep
    their outcome. All leave the lists and stay in the log. *outcome* and the result are those of
    `retry_events`.
    """
    ticket, rows = _lock(connection, ticket_id, event_ids, outcome=outcome)
    for row in rows:
        if row.dropped_at is not None:
            raise NotPossible(
                f"event {row.event_id} was dropped at {format_timestamp(row.dropped_at)}"
            )
    ids = [row.event_id for row in rows]
    decided: list[DecidedEvent] = []
    numbers: dict[str, int] = {}
    if outcome is Outcome.PARKED:
        was_new = ticket.status is Status.NEW
        parked = parked_of(connection, [ticket])[ticket.id]
        dropped = [pending for pending in parked if pending.event.event_id in ids]
        others = [pending for pending in parked if pending.event.event_id not in ids]
        decided = [_dropped(ticket, pending, person) for pending in dropped]
        numbers = _use_up(ticket, dropped)
        decided += advance(ticket, others, now=now, window=window, was_new=was_new)
        _save(connection, ticket, decided, now=now)
    connection.execute(DROP, {"ticket": ticket.id, "ids": ids, "now": now})
    resolutions = [
        replace(resolution_of(ticket, row, decided), gives_up=numbers.get(row.event_id))
        for row in rows
    ]
    for resolution in resolutions:
        record_resolution(
            connection, ticket.id, resolution, "event_dropped", person=person, now=now
        )
    return resolutions + decided_along(ticket, ids, decided)


def _lock(
    connection: Connection, ticket_id: int, event_ids: Sequence[str], *, outcome: Outcome
) -> tuple[TicketState, Sequence[Row[Any]]]:
    """Return the locked ticket and the stored events, which must still be what the person saw."""
    ticket = lock_by_id(connection, [ticket_id])[ticket_id]
    parameters = {"ticket": ticket_id, "ids": sorted(set(event_ids))}
    rows = connection.execute(STORED, parameters).all()
    stored = {row.event_id for row in rows}
    for event_id in event_ids:
        if event_id not in stored:
            raise NotPossible(f"there is no event {event_id} on ticket {ticket.ticket_id}")
    for row in rows:
        if row.outcome != outcome:
            raise NotPossible(
                f"event {row.event_id} of ticket {ticket.ticket_id} is {row.outcome}, "
                f"not {outcome.value}"
            )
    return ticket, rows


def _check_known(ticket: TicketState, rows: Sequence[Row[Any]]) -> None:
    """Raise NotPossible for an event of which only the money is known (rule 25).

    Its ticket may open after all; a notice with what is left would be a false one.
    """
    for row in rows:
        if row.is_erased:
            raise NotPossible(
                f"what event {row.event_id} of ticket {ticket.ticket_id} said was erased with the"
                " player's data; if it still counts, have it published again under a new event id"
            )


def _latest_time(ticket: TicketState, now: datetime) -> datetime:
    """Return now, but never a time before the current result's, which is by Redis' clock."""
    return max(now, ticket.settled_at or now, ticket.amended_at or now)


def _reopened(
    row: Row[Any],
    ticket: TicketState,
    place: int,
    order_time: datetime | None,
    *,
    park_until: datetime,
) -> PendingEvent:
    """Return the event as the latest to arrive.

    It has a window of its own, and no reason to wait yet, so that it is stored again.
    """
    stored = pending_event(row, ticket)
    event = stored.event if order_time is None else stored.event._replace(order_time=order_time)
    arrival = ARRIVALS_END + place
    return PendingEvent(event, arrival=arrival, park_until=park_until, damage=stored.damage)


def _dropped(ticket: TicketState, pending: PendingEvent, person: Person) -> DecidedEvent:
    message = f"dropped by {person.who}: {person.why}"
    decision = Decision(Outcome.REJECTED, Reason.DROPPED, message)
    return DecidedEvent(pending, decision, before=ticket.status_text, after=ticket.status_text)


def _use_up(ticket: TicketState, dropped: Sequence[PendingEvent]) -> dict[str, int]:
    """Use up the sequence numbers that are next, so that the following events need not wait."""
    used: dict[str, int] = {}
    numbered = {pending.event.sequence: pending.event.event_id for pending in dropped}
    while (number := ticket.sequence + 1) in numbered:
        used[numbered[number]] = number
        ticket.sequence = number
    return used


def _save(
    connection: Connection, ticket: TicketState, decided: Sequence[DecidedEvent], *, now: datetime
) -> None:
    save_changes(connection, [TicketChange(ticket, decided)], now=now)
    if any(notice.action is Action.DISCARD for notice in ticket.new_notices):
        withdraw_unsent(connection, [ticket.id], now=now)
