"""Removes what is finished and older than the retention, a bounded batch at a time.

Nothing unfinished is removed: a ticket goes when it was closed or cancelled long ago and its
partner has received everything, but not while a person holds it (rule 23). An event older than
`SLIPWAY_EVENT_AGE_MAX` is refused on entry, so that a replay cannot create a removed ticket again
and pay it twice (H16). A fresh event about a removed ticket looks the same as one about a new
ticket: see PROMISES.md.

A ticket that nothing opened is removed too. Its `cancelled_at` says when the last of its events was
rejected; it is empty while one is parked, and once the ticket opens. The one column serves both, so
that neither needs an index on the status: such an index would end the HOT updates of all tickets.
"""

from datetime import datetime

from sqlalchemy import Connection, text

# One statement: foreign keys are checked at its end, when all rows that refer to a ticket are gone.
_REMOVE = """,
    attempts AS (
        DELETE FROM delivery_attempt a USING notice n, old
         WHERE n.ticket = old.id AND a.notice = n.id),
    notices AS (DELETE FROM notice n USING old WHERE n.ticket = old.id),
    events AS (DELETE FROM ticket_event e USING old WHERE e.ticket = old.id),
    tickets AS (DELETE FROM ticket t USING old WHERE t.id = old.id RETURNING t.id)
    SELECT count(*) FROM tickets"""
REMOVE_CLOSED = text(f"""
    WITH old AS MATERIALIZED (
        SELECT id FROM ticket
         WHERE closed_at < :before AND unfinished = 0 AND parked = 0 AND on_hold_at IS NULL
         ORDER BY closed_at LIMIT :limit FOR UPDATE SKIP LOCKED){_REMOVE}""")  # noqa: S608 - a constant
REMOVE_CANCELLED = text(f"""
    WITH old AS MATERIALIZED (
        SELECT id FROM ticket
         WHERE cancelled_at < :before AND unfinished = 0 AND parked = 0 AND on_hold_at IS NULL
         ORDER BY cancelled_at LIMIT :limit FOR UPDATE SKIP LOCKED){_REMOVE}""")  # noqa: S608 - a constant

# Rows are numbered on arrival: the first by their key are the oldest; no other index is needed.
REMOVE_REJECTED = text("""
    WITH first AS MATERIALIZED (
        SELECT id, rejected_at FROM rejected_input ORDER BY id LIMIT :limit),
    old AS MATERIALIZED (
        SELECT id FROM rejected_input
         WHERE id = ANY (ARRAY(SELECT id FROM first WHERE rejected_at < :before))
           FOR UPDATE SKIP LOCKED),
    removed AS (DELETE FROM rejected_input r USING old WHERE r.id = old.id RETURNING r.id)
    SELECT count(*) FROM removed""")


def remove_expired(connection: Connection, *, before: datetime, limit: int) -> int:
    """Remove up to *limit* of each: closed tickets, cancelled or never opened ones, rejected input.

    Only what is older than *before*. A ticket's events, notices and attempts go with it; the audit
    log stays. Returns the number removed; more may be left.
    """
    parameters = {"before": before, "limit": limit}
    return sum(
        connection.execute(statement, parameters).scalar_one()
        for statement in (REMOVE_CLOSED, REMOVE_CANCELLED, REMOVE_REJECTED)
    )
