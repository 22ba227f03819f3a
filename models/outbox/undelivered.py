"""Since when a partner's oldest undelivered notice has been due.

A notice is undelivered from the moment it was due first, whatever happened since: it failed and
waits for its next attempt, the circuit is open, the rate is reached, it is being sent. A postponed
notice has another due time by now, so its creation counts; for the second sending of a discard,
the moment 30 minutes after that. A dead letter is not counted: it waits for a person
(`slipway_notices_dead`).
"""

from typing import Final

from models.outbox.record import DISCARD_AGAIN_AFTER

UNDELIVERED_MAX: Final = 10_000  # postponed notices that are read, for each operator

_SINCE: Final = f"""
           CASE WHEN n.postponed_at IS NULL THEN n.due_at
                WHEN n.action = 'ticket_discard' AND n.generation > 0 AND n.repeat = 0
                THEN n.created_at + interval '{DISCARD_AGAIN_AFTER.total_seconds():.0f} s'
                ELSE n.created_at END AS since"""

# Two reads by the indexes of the claim (`notice_due`, `notice_postponed`), each in the order of its
# index. The first notice that is due is the oldest of those never tried, or was postponed and is
# older than they are. Of the postponed ones, that which has been tried for longest has the longest
# pauses: it is among the first by the time of its last attempt, unless more than the limit fail at
# once; then one of these is found instead. Takes `o.id`, :now and :undelivered_max.
OLDEST_UNDELIVERED: Final = f"""
           SELECT min(oldest.since) AS since
             FROM ((SELECT {_SINCE} FROM notice n
                     WHERE n.operator = o.id AND n.head AND n.ended IS NULL AND n.due_at <= :now
                     ORDER BY n.due_at LIMIT 1)
                   UNION ALL
                   (SELECT min(postponed.since) FROM (
                       SELECT {_SINCE} FROM notice n
                        WHERE n.operator = o.id AND n.head AND n.ended IS NULL
                          AND n.postponed_at IS NOT NULL
                        ORDER BY n.postponed_at LIMIT :undelivered_max) postponed)) oldest"""  # noqa: S608 - constants of this module
