"""Since when a partner has been owed something: the oldest notice that it has not taken.

A notice is owed from the moment it was due first, whatever happened since: it failed and waits for
its next attempt, the circuit is open, the rate is reached, it is being sent. What was put off has
another due time by now, so its creation counts, and of a discard that is owed a second time its 30
minutes later. A dead notice is not among them: it waits for a person (`slipway_notices_dead`).
"""

from typing import Final

from models.outbox.record import DISCARD_AGAIN_AFTER

UNDELIVERED_MAX: Final = 10_000  # notices put off that are looked at, for each operator

_SINCE: Final = f"""
           CASE WHEN n.postponed_at IS NULL THEN n.due_at
                WHEN n.action = 'ticket_discard' AND n.generation > 0
                THEN n.created_at + interval '{DISCARD_AGAIN_AFTER.total_seconds():.0f} s'
                ELSE n.created_at END AS since"""

# Two looks by the indexes of the claim (`notice_due`, `notice_postponed`), each in the order of its
# index. The first that is due is the oldest of those never tried, or was put off and is older than
# they are. Of those put off, what has been tried for longest has the longest pauses: it is among
# the first by the time of its last attempt, unless more than the limit fail at once; then one of
# these is found instead. Takes `o.id`, :now and :owed_max.
OLDEST_UNDELIVERED: Final = f"""
           SELECT min(one.since) AS since
             FROM ((SELECT {_SINCE} FROM notice n
                     WHERE n.operator = o.id AND n.head AND n.ended IS NULL AND n.due_at <= :now
                     ORDER BY n.due_at LIMIT 1)
                   UNION ALL
                   (SELECT min(late.since) FROM (
                       SELECT {_SINCE} FROM notice n
                        WHERE n.operator = o.id AND n.head AND n.ended IS NULL
                          AND n.postponed_at IS NOT NULL
                        ORDER BY n.postponed_at LIMIT :owed_max) late)) one"""  # noqa: S608 - constants of this module
