"""Takes up or drops events that were refused or wait: one ticket, under its lock (rule 5).

A parked event is decided now. A rejected or superseded one is taken up as if it had just arrived:
decided with all that waits on its ticket, and parked with a fresh window where it has to wait.
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

# Beyond every arrival number of the log: taken up again, it is the latest to come.

STORED: Final = text("""
    SELECT ticket, event_id, arrival, action, data, occurred_at, order_time, received_at, sequence,
           entry_id, park_until, outcome, reason, message, status_before, status_after, dropped_at
      FROM ticket_event WHERE ticket = :ticket AND event_id = ANY(:ids) ORDER BY arrival""")
TAKE_UP: Final = text("""
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
    """Decide events of a ticket again inside the caller's transaction; how each ended.

    *outcome* is what they must still be: parked, rejected or superseded. *as_now*: as if they had
    happened now, for a true statement from a slow clock (protocol H7). What was decided along
    with them comes last. Raises NotPossible.
    """
    ticket, rows = _take(connection, ticket_id, event_ids, outcome=outcome)
    was_new = ticket.status is Status.NEW
    left = parked_of(connection, [ticket])[ticket.id]
    taken: list[PendingEvent] = []
    order_time = _newest(ticket, now) if as_now else None
    if outcome is not Outcome.PARKED:
        for place, row in enumerate(rows):
            taken.append(_taken_up(row, ticket, place, order_time, park_until=now + window))
    decided = advance(ticket, [*left, *taken], now=now, window=window, was_new=was_new)
    asked = [row.event_id for row in rows]
    _store(connection, ticket, decided, now=now)
    if taken:
        connection.execute(TAKE_UP, {"ticket": ticket.id, "ids": asked, "order_time": order_time})
    ends = [resolution_of(ticket, row, decided) for row in rows]
    for end in ends:
        record_resolution(
            connection, ticket.id, end, "event_retried", person=person, now=now, as_now=as_now
        )
    return ends + decided_along(ticket, asked, decided)


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
    """Deal with events of a ticket by letting them go, inside the caller's transaction.

    Parked ones end as rejected with the reason `dropped`; a number whose turn it was is used up,
    and what can then be decided is decided. Rejected and superseded ones keep their end. All
    leave the lists and stay in the log. *outcome* and the result: see `retry_events`.
    """
    ticket, rows = _take(connection, ticket_id, event_ids, outcome=outcome)
    for row in rows:
        if row.dropped_at is not None:
            raise NotPossible(
                f"event {row.event_id} was dropped at {format_timestamp(row.dropped_at)}"
            )
    asked = [row.event_id for row in rows]
    decided: list[DecidedEvent] = []
    numbers: dict[str, int] = {}
    if outcome is Outcome.PARKED:
        was_new = ticket.status is Status.NEW
        left = parked_of(connection, [ticket])[ticket.id]
        decided = [_dropped(ticket, one, person) for one in left if one.event.event_id in asked]
        numbers = _use_up(ticket, [one.pending for one in decided])
        left = [one for one in left if one.event.event_id not in asked]
        decided += advance(ticket, left, now=now, window=window, was_new=was_new)
        _store(connection, ticket, decided, now=now)
    connection.execute(DROP, {"ticket": ticket.id, "ids": asked, "now": now})
    ends = [
        replace(resolution_of(ticket, row, decided), gives_up=numbers.get(row.event_id))
        for row in rows
    ]
    for end in ends:
        record_resolution(connection, ticket.id, end, "event_dropped", person=person, now=now)
    return ends + decided_along(ticket, asked, decided)


def _take(
    connection: Connection, ticket_id: int, event_ids: Sequence[str], *, outcome: Outcome
) -> tuple[TicketState, Sequence[Row[Any]]]:
    """The locked ticket and the stored events, which must still be what the person saw."""
    ticket = lock_by_id(connection, [ticket_id])[ticket_id]
    asked = {"ticket": ticket_id, "ids": sorted(set(event_ids))}
    rows = connection.execute(STORED, asked).all()
    found = {row.event_id for row in rows}
    for missing in (one for one in event_ids if one not in found):
        raise NotPossible(f"there is no event {missing} on ticket {ticket.ticket_id}")
    for row in rows:
        if row.outcome != outcome:
            raise NotPossible(
                f"event {row.event_id} of ticket {ticket.ticket_id} is {row.outcome}, "
                f"not {outcome.value}"
            )
    return ticket, rows


def _newest(ticket: TicketState, now: datetime) -> datetime:
    """Now, and never before the statements in force: these carry Redis' clock."""
    return max(now, ticket.settled_at or now, ticket.amended_at or now)


def _taken_up(
    row: Row[Any],
    ticket: TicketState,
    place: int,
    order_time: datetime | None,
    *,
    park_until: datetime,
) -> PendingEvent:
    """As it waits now: with a window of its own, and for no reason yet, so that it is stored."""
    stored = pending_event(row, ticket)
    event = stored.event if order_time is None else stored.event._replace(order_time=order_time)
    latest = ARRIVALS_END + place
    return PendingEvent(event, arrival=latest, park_until=park_until, damage=stored.damage)


def _dropped(ticket: TicketState, one: PendingEvent, person: Person) -> DecidedEvent:
    words = f"dropped by {person.who}: {person.why}"
    decision = Decision(Outcome.REJECTED, Reason.DROPPED, words)
    return DecidedEvent(one, decision, ticket.standing, ticket.standing)


def _use_up(ticket: TicketState, dropped: Sequence[PendingEvent]) -> dict[str, int]:
    """The numbers whose turn it was go with their events, so that the next ones need not wait."""
    used: dict[str, int] = {}
    numbered = {one.event.sequence: one.event.event_id for one in dropped}
    while (number := ticket.sequence + 1) in numbered:
        used[numbered[number]] = number
        ticket.sequence = number
    return used


def _store(
    connection: Connection, ticket: TicketState, decided: Sequence[DecidedEvent], *, now: datetime
) -> None:
    save_changes(connection, [TicketChange(ticket, decided)], now=now)
    if any(owed.action is Action.DISCARD for owed in ticket.new_notices):
        withdraw_unsent(connection, [ticket.id], now=now)
