"""Removes what was sent and answered once its partner's time for that is over (rule 28).

The time of `operator.keep_bodies` runs from the ticket's end. A ticket whose bodies are needed then
(a notice of it is unfinished or dead, a person holds it, nothing has opened it yet) is looked at
again a day later, so that a batch costs what it handles, however many of those there are.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from models.outbox.contents import (
    ATTEMPT_IS_FULL,
    EMPTY_ATTEMPT,
    EMPTY_NOTICE,
    NOTICE_IS_FULL,
    OF_TICKETS,
)
from models.platform.clock import in_seconds

LOOKED_AT_AGAIN: Final = timedelta(days=1)  # or after the partner's time, if that is shorter

# Of a ticket `t`, as the index `ticket_with_bodies` has it.
_ENDED: Final = "greatest(t.closed_at, t.cancelled_at, t.bodies_kept_from)"
_HAS_BODIES: Final = """t.bodies_removed_at IS NULL
               AND (t.closed_at IS NOT NULL OR t.cancelled_at IS NOT NULL)"""
_NEEDED: Final = """(t.status NOT IN ('closed', 'cancelled') OR t.unfinished > 0 OR t.parked > 0
               OR t.on_hold_at IS NOT NULL)"""
# Every partner with such a term has a share of the batch, so that none waits for another's backlog.
LOCK_OVERDUE: Final = text(f"""
    WITH term AS MATERIALIZED (
        SELECT id, {in_seconds("keep_bodies")} AS keep, count(*) OVER () AS terms
          FROM operator WHERE keep_bodies IS NOT NULL)
    SELECT overdue.id
      FROM term CROSS JOIN LATERAL (
           SELECT t.id FROM ticket t
            WHERE t.operator = term.id AND {_HAS_BODIES} AND {_ENDED} < :now - term.keep
            ORDER BY {_ENDED} LIMIT greatest(:limit / term.terms, 1)
              FOR NO KEY UPDATE SKIP LOCKED) overdue""")  # noqa: S608 - constants of this module
# A statement after the one that locks (rule 20): what was sent again and finished in between is
# seen, and so is a term that was taken back. It says less than the index's condition, which would
# tempt the planner away from the keys.
MARK: Final = text(f"""
    UPDATE ticket t
       SET bodies_removed_at = CASE WHEN NOT {_NEEDED} THEN :now END,
           bodies_kept_from = CASE WHEN {_NEEDED}
               THEN :now - {in_seconds("o.keep_bodies")}
                    + least({in_seconds("o.keep_bodies")}, :looked_at_again)
               ELSE t.bodies_kept_from END
      FROM operator o
     WHERE t.id = ANY(:tickets) AND o.id = t.operator
       AND t.bodies_removed_at IS NULL AND {_ENDED} < :now - {in_seconds("o.keep_bodies")}
 RETURNING t.id, t.bodies_removed_at IS NOT NULL AS is_removed""")  # noqa: S608 - as above
EMPTY_NOTICES: Final = text(f"""
    UPDATE notice n SET {EMPTY_NOTICE}
     WHERE n.ticket = ANY(:tickets) AND {NOTICE_IS_FULL}""")  # noqa: S608 - constants
EMPTY_ATTEMPTS: Final = text(f"""
    UPDATE delivery_attempt a SET {EMPTY_ATTEMPT}
     WHERE {OF_TICKETS} AND {ATTEMPT_IS_FULL}""")  # noqa: S608 - constants


def remove_bodies(connection: Connection, *, now: datetime, limit: int) -> int:
    """Remove what was sent and answered of tickets whose time is over; return how many tickets.

    About *limit* are looked at. *now* is of the database's clock. One that is locked, or needed,
    has its turn later.
    """
    locked = connection.execute(LOCK_OVERDUE, {"now": now, "limit": limit}).scalars().all()
    if not locked:
        return 0
    marked = connection.execute(
        MARK, {"tickets": locked, "now": now, "looked_at_again": LOOKED_AT_AGAIN}
    ).all()
    removed = [row.id for row in marked if row.is_removed]
    if removed:  # in the order of the locks (rule 19)
        connection.execute(EMPTY_NOTICES, {"tickets": removed})
        connection.execute(EMPTY_ATTEMPTS, {"tickets": removed})
    return len(removed)
