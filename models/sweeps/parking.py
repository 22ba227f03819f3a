"""Ends the parking of events whose window is over (rule 8)."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from models.database.one_by_one import together_or_one_by_one
from models.lifecycle.advance import advance
from models.tickets.load import lock_by_id, parked_of
from models.tickets.save import TicketChange, save_changes
from models.vocabulary import Status

log = logging.getLogger(__name__)

ENDED_WINDOWS = text("""
    SELECT ticket FROM ticket_event
     WHERE outcome = 'parked' AND park_until IS NOT NULL
       AND park_until <= least(CAST(:watermark AS timestamptz), CAST(:now AS timestamptz))
     ORDER BY park_until LIMIT :limit""")

# For a ticket that cannot be decided, whatever its rows hold: its lock comes first (rule 20).
LOCK = text("SELECT id FROM ticket WHERE id = :ticket FOR NO KEY UPDATE")
REJECT_POISON = text("""
    UPDATE ticket_event
       SET outcome = 'rejected', reason = 'poison', message = :message, park_until = NULL,
           decided_at = :now
     WHERE ticket = :ticket AND outcome = 'parked' AND park_until <= :ended_before""")
RECOUNT_PARKED = text("""
    UPDATE ticket t
       SET parked = remaining.parked, changed_at = :now,
           cancelled_at = CASE WHEN t.status = 'absent' AND remaining.parked = 0 THEN :now
                               ELSE t.cancelled_at END
      FROM (SELECT count(*) AS parked FROM ticket_event
             WHERE ticket = :ticket AND outcome = 'parked') AS remaining
     WHERE t.id = :ticket""")


@dataclass(frozen=True, slots=True)
class _Times:
    now: datetime
    ended_before: datetime
    window: timedelta


def end_windows(
    connection: Connection,
    *,
    now: datetime,
    watermark: datetime,
    parking_window: timedelta,
    limit: int,
) -> int:
    """Decide each event once more whose window is over, then reject it; return how many ended.

    Reads *limit* events, oldest window first. A window does not end before *watermark* has passed
    it, so that an event which is still unread on the stream can come in time (H21).
    """
    rows = connection.execute(ENDED_WINDOWS, {"now": now, "watermark": watermark, "limit": limit})
    ids = {row.ticket for row in rows}
    times = _Times(now, min(watermark, now), parking_window)
    if not ids:
        return 0
    return together_or_one_by_one(
        connection,
        lambda: _end(connection, ids, times),
        tickets=lambda: ids,
        alone=lambda ticket: _end(connection, [ticket], times),
        blamed=lambda ticket, error: _reject_poison(connection, ticket, times, error),
    )


def _end(connection: Connection, ids: Collection[int], times: _Times) -> int:
    """End the windows of tickets together; return the number of events decided."""
    tickets = lock_by_id(connection, ids)
    parked = parked_of(connection, tickets.values())
    changes = [
        TicketChange(
            ticket,
            advance(
                ticket,
                parked[ticket.id],
                now=times.now,
                window=times.window,
                was_new=ticket.status is Status.NEW,
                ended_before=times.ended_before,
            ),
        )
        for ticket in tickets.values()
    ]
    save_changes(connection, changes, now=times.now)
    return sum(len(change.decided) for change in changes)


def _reject_poison(connection: Connection, ticket: int, times: _Times, error: Exception) -> int:
    """Reject events that cannot be decided, since their window would never end otherwise."""
    log.error("parked_events_given_up", exc_info=error, extra={"ticket": ticket})
    parameters = {
        "ticket": ticket,
        "now": times.now,
        "message": f"could not be decided: {type(error).__name__}",
        "ended_before": times.ended_before,
    }
    connection.execute(LOCK, parameters)
    rejected = connection.execute(REJECT_POISON, parameters).rowcount
    connection.execute(RECOUNT_PARKED, parameters)
    return rejected
