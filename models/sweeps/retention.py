"""Removes what is finished and older than the retention, a bounded batch at a time.

Nothing unfinished is removed: a ticket goes when it was closed or cancelled long ago and its
partner has received everything, but not while a person holds it (rule 23). A tombstone stays of it,
so that no later event opens it again and has it paid twice (rule 29).

A ticket that nothing opened is removed too, and leaves no tombstone: its partner was never sent
anything. Its `cancelled_at` says when the last of its events was rejected; it is empty while one is
parked, and once the ticket opens. The one column serves both, so that neither needs an index on the
status: such an index would end the HOT updates of all tickets.

A batch begins where the one before ended (`Position`). One that began at the oldest would pass
what all earlier ones removed: its index entries and rows are there until PostgreSQL's next vacuum,
which another's long transaction may hold back for hours.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, TextClause, text

LOCK_CLOSED: Final = text("""
    SELECT id, closed_at AS ended_at FROM ticket
     WHERE closed_at >= :since AND closed_at < :before
       AND unfinished = 0 AND parked = 0 AND on_hold_at IS NULL
     ORDER BY closed_at LIMIT :limit FOR UPDATE SKIP LOCKED""")
LOCK_CANCELLED: Final = text("""
    SELECT id, cancelled_at AS ended_at FROM ticket
     WHERE cancelled_at >= :since AND cancelled_at < :before
       AND unfinished = 0 AND parked = 0 AND on_hold_at IS NULL
     ORDER BY cancelled_at LIMIT :limit FOR UPDATE SKIP LOCKED""")
# After the one that locks (rule 20): it sees all that was logged on the tickets. Foreign keys are
# checked at its end, when all rows that refer to a ticket are gone. A ticket may have a tombstone
# already if the release before, which knows none, opened it again during an upgrade.
REMOVE: Final = text("""
    WITH attempts AS (
        DELETE FROM delivery_attempt a USING notice n
         WHERE n.ticket = ANY(:tickets) AND a.notice = n.id),
    notices AS (DELETE FROM notice WHERE ticket = ANY(:tickets)),
    events AS (DELETE FROM ticket_event WHERE ticket = ANY(:tickets)),
    tickets AS (
        DELETE FROM ticket WHERE id = ANY(:tickets)
     RETURNING operator, ticket_id, status, coalesce(closed_at, cancelled_at) AS ended_at,
               CASE WHEN erased_at IS NOT NULL THEN true END AS erased)
    INSERT INTO tombstone AS known (operator, ticket_id, ended_at, erased)
    SELECT operator, ticket_id, ended_at, erased FROM tickets WHERE status <> 'absent'
        ON CONFLICT (operator, ticket_id) DO UPDATE
       SET ended_at = excluded.ended_at, erased = coalesce(excluded.erased, known.erased)""")

# Rows are numbered on arrival: the first by their key are the oldest; no other index is needed.
REMOVE_REJECTED = text("""
    WITH first AS MATERIALIZED (
        SELECT id, rejected_at FROM rejected_input WHERE id >= :since ORDER BY id LIMIT :limit),
    old AS MATERIALIZED (
        SELECT id FROM rejected_input
         WHERE id = ANY (ARRAY(SELECT id FROM first WHERE rejected_at < :before))
           FOR UPDATE SKIP LOCKED),
    removed AS (DELETE FROM rejected_input r USING old WHERE r.id = old.id RETURNING r.id)
    SELECT (SELECT count(*) FROM removed) AS removed,
           (SELECT coalesce(min(id) FILTER (WHERE rejected_at >= :before), max(id) + 1)
              FROM first) AS next_id""")

OLDEST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Position:
    """Up to where batches have come: all before it was removed, or passed because it had to stay.

    What was passed (unfinished, on hold, locked) is found again from a new position only.
    """

    closed: datetime = OLDEST
    cancelled: datetime = OLDEST
    rejected: int = 0


def remove_expired(
    connection: Connection, *, before: datetime, limit: int, position: Position | None = None
) -> int:
    """Remove up to *limit* of each: closed tickets, cancelled or never opened ones, rejected input.

    Only what is older than *before*. A ticket's events, notices and attempts go with it; a
    tombstone and the audit log stay. It begins at *position*, without one at the oldest, and moves
    it on, also if the transaction is rolled back. Returns the number removed; more may be left.
    """
    at = position or Position()
    closed, at.closed = _remove_tickets(connection, LOCK_CLOSED, at.closed, before, limit)
    cancelled, at.cancelled = _remove_tickets(
        connection, LOCK_CANCELLED, at.cancelled, before, limit
    )
    rejected = connection.execute(
        REMOVE_REJECTED, {"since": at.rejected, "before": before, "limit": limit}
    ).one()
    at.rejected = at.rejected if rejected.next_id is None else rejected.next_id
    return closed + cancelled + int(rejected.removed)


def _remove_tickets(
    connection: Connection, lock: TextClause, since: datetime, before: datetime, limit: int
) -> tuple[int, datetime]:
    """Return the number removed, and where the next batch begins."""
    parameters = {"since": since, "before": before, "limit": limit}
    tickets = connection.execute(lock, parameters).all()
    if tickets:
        connection.execute(REMOVE, {"tickets": [ticket.id for ticket in tickets]})
    # Fewer than asked for: all up to *before* was seen, or another sweep removed it.
    return len(tickets), tickets[-1].ended_at if len(tickets) == limit else max(since, before)
