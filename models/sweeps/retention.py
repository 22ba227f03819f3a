"""Remove what is finished and older than the retention, a bounded batch at a time.

Never an unfinished one: a ticket goes when it was closed or cancelled long ago and its partner has
been told everything. An event that is older than `SLIPWAY_EVENT_AGE_MAX` is refused at the door, so
that a replay cannot bring a removed ticket back to life and pay it again (protocol H16). A fresh
statement about a removed ticket cannot be told from one about a new ticket: see PROMISES.md.

A ticket that nothing opened goes too. Its `cancelled_at` says when the last of its events was
rejected; it is empty while one is parked, and once the ticket opens. That column serves both, so
that neither needs an index on the status: such an index would end the HOT updates of all tickets.
"""

from datetime import datetime

from sqlalchemy import Connection, text

# One statement: foreign keys are checked at its end, when all that refers to a ticket is gone.
_REMOVE = """,
    attempts AS (
        DELETE FROM delivery_attempt a USING notice n, old
         WHERE n.ticket = old.id AND a.notice = n.id),
    notices AS (DELETE FROM notice n USING old WHERE n.ticket = old.id),
    events AS (DELETE FROM ticket_event e USING old WHERE e.ticket = old.id),
    tickets AS (DELETE FROM ticket t USING old WHERE t.id = old.id RETURNING t.id)
    SELECT count(*) FROM tickets"""
FORGET_CLOSED = text(f"""
    WITH old AS MATERIALIZED (
        SELECT id FROM ticket
         WHERE closed_at < :before AND unfinished = 0 AND parked = 0
         ORDER BY closed_at LIMIT :limit FOR UPDATE SKIP LOCKED){_REMOVE}""")  # noqa: S608 - a constant
FORGET_CANCELLED = text(f"""
    WITH old AS MATERIALIZED (
        SELECT id FROM ticket
         WHERE cancelled_at < :before AND unfinished = 0 AND parked = 0
         ORDER BY cancelled_at LIMIT :limit FOR UPDATE SKIP LOCKED){_REMOVE}""")  # noqa: S608 - a constant

# Numbered as they came: the first rows by their key are the oldest, and no other index is needed.
FORGET_REJECTED = text("""
    WITH first AS MATERIALIZED (
        SELECT id, rejected_at FROM rejected_input ORDER BY id LIMIT :limit),
    old AS MATERIALIZED (
        SELECT id FROM rejected_input
         WHERE id = ANY (ARRAY(SELECT id FROM first WHERE rejected_at < :before))
           FOR UPDATE SKIP LOCKED),
    removed AS (DELETE FROM rejected_input r USING old WHERE r.id = old.id RETURNING r.id)
    SELECT count(*) FROM removed""")


def remove_expired(connection: Connection, *, before: datetime, limit: int) -> int:
    """Remove up to *limit* each of closed, of cancelled or never opened tickets, and of rejects.

    Only what is older than *before*. With a ticket go its events, notices and attempts; what people
    did by hand is kept. How many were removed; more may be left.
    """
    given = {"before": before, "limit": limit}
    return sum(
        connection.execute(statement, given).scalar_one()
        for statement in (FORGET_CLOSED, FORGET_CANCELLED, FORGET_REJECTED)
    )
