"""End the wait of parked events whose window is over (rule 8)."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from models.lifecycle.turn import take_turn
from models.lifecycle.words import Status
from models.tickets.lock import lock_by_id, parked_of
from models.tickets.store import Turn, store

ENDED_WINDOWS = text("""
    SELECT ticket FROM ticket_event
     WHERE outcome = 'parked'
       AND park_until <= least(CAST(:horizon AS timestamptz), CAST(:now AS timestamptz))
     ORDER BY park_until LIMIT :limit""")


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
    if not ids:
        return 0
    tickets = lock_by_id(connection, ids)
    parked = parked_of(connection, tickets.values())
    turns = [
        Turn(
            ticket,
            take_turn(
                ticket,
                parked[ticket.id],
                now=now,
                window=parking_window,
                was_new=ticket.status is Status.NEW,
                ended_before=min(horizon, now),
            ),
        )
        for ticket in tickets.values()
    ]
    store(connection, turns, now=now)
    return sum(len(turn.decided) for turn in turns)
