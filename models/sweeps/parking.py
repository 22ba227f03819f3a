"""End the wait of parked events whose window is over (rule 8)."""

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
     WHERE outcome = 'parked'
       AND park_until <= least(CAST(:horizon AS timestamptz), CAST(:now AS timestamptz))
     ORDER BY park_until LIMIT :limit""")

# Of a ticket that cannot be decided, whatever its row or its log hold: its lock first (rule 1).
LOCK = text("SELECT id FROM ticket WHERE id = :ticket FOR NO KEY UPDATE")
GIVE_UP = text("""
    UPDATE ticket_event
       SET outcome = 'rejected', reason = 'poison', message = :message, park_until = NULL,
           decided_at = :now
     WHERE ticket = :ticket AND outcome = 'parked' AND park_until <= :ended_before""")
COUNT_AGAIN = text("""
    UPDATE ticket t
       SET parked = still.parked, changed_at = :now,
           cancelled_at = CASE WHEN t.status = 'absent' AND still.parked = 0 THEN :now
                               ELSE t.cancelled_at END
      FROM (SELECT count(*) AS parked FROM ticket_event
             WHERE ticket = :ticket AND outcome = 'parked') AS still
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
    horizon: datetime,
    parking_window: timedelta,
    limit: int,
) -> int:
    """Decide once more what has waited for its whole window, then reject it; how many ended.

    Looks at *limit* events, oldest window first. Windows are judged against *horizon* too, so
    that an event which lies unread on the stream can still come in time (protocol H21).
    """
    rows = connection.execute(ENDED_WINDOWS, {"now": now, "horizon": horizon, "limit": limit})
    ids = {row.ticket for row in rows}
    times = _Times(now, min(horizon, now), parking_window)
    if not ids:
        return 0
    return together_or_one_by_one(
        connection,
        lambda: _ended(connection, ids, times),
        tickets=lambda: ids,
        alone=lambda one: _ended(connection, [one], times),
        blamed=lambda one, error: _give_up(connection, one, times, error),
    )


def _ended(connection: Connection, ids: Collection[int], times: _Times) -> int:
    """End the windows of tickets together."""
    tickets = lock_by_id(connection, ids)
    parked = parked_of(connection, tickets.values())
    turns = [
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
    save_changes(connection, turns, now=times.now)
    return sum(len(turn.decided) for turn in turns)


def _give_up(connection: Connection, ticket: int, times: _Times, error: Exception) -> int:
    """Reject what cannot be decided, or no window would end any more."""
    log.error("parked_events_given_up", exc_info=error, extra={"ticket": ticket})
    message = f"could not be decided: {type(error).__name__}"
    row = {"ticket": ticket, "now": times.now}
    connection.execute(LOCK, row)
    more = {"message": message, "ended_before": times.ended_before}
    given_up = connection.execute(GIVE_UP, {**row, **more}).rowcount
    connection.execute(COUNT_AGAIN, row)
    return given_up
