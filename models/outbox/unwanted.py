"""Ends notices that their partner does not want, when it would be their turn (rule 27).

One with nothing before it ends where it is made (`models.tickets.save`). The others wait like any
notice and end here, in the transaction that would make them the head: no claim ever sees them.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from models.platform.clock import in_seconds
from models.vocabulary import NOT_WANTED, RESULTS, NoticeEnd

_RESULTS: Final = ", ".join(f"'{action}'" for action in sorted(RESULTS))

# All up to the first one that is wanted. What follows from a success follows from their end: the
# same as in `models.outbox.fast_path`.
END_UNWANTED: Final = text(f"""
    WITH turn AS MATERIALIZED (
        SELECT n.id
          FROM notice n
         WHERE n.ticket = ANY(:tickets) AND n.unwanted AND n.ended IS NULL
           AND NOT EXISTS (SELECT FROM notice before
                            WHERE before.ticket = n.ticket AND before.number < n.number
                              AND NOT before.unwanted
                              AND (before.ended IS NULL OR before.ended = '{NoticeEnd.DEAD}'))
         ORDER BY n.id FOR NO KEY UPDATE),
    ended AS (
        UPDATE notice n
           SET ended = '{NoticeEnd.NOT_WANTED}', ended_at = :now, head = false, reason = :reason
          FROM turn WHERE n.id = turn.id
     RETURNING n.ticket, n.action, n.generation),
    done AS (
        SELECT ticket, count(*) AS notices,
               max(generation) FILTER (WHERE action IN ({_RESULTS})) AS result
          FROM ended GROUP BY ticket)
    UPDATE ticket t
       SET unfinished = t.unfinished - done.notices,
           close_due_at = CASE
               WHEN t.status = 'resulted' AND t.generation = done.result
               THEN greatest(CAST(:now AS timestamptz), t.held_until)
                    + (SELECT {in_seconds("o.close_delay")} FROM operator o
                        WHERE o.id = t.operator)
               ELSE t.close_due_at END
      FROM done
     WHERE t.id = done.ticket
 RETURNING t.id, t.unfinished > 0 AND t.on_hold_at IS NULL AS needs_head, t.held_until""")  # noqa: S608 - words of the domain


def end_unwanted(
    connection: Connection, tickets: Collection[int], *, now: datetime
) -> dict[int, datetime | None]:
    """End the unwanted notices whose turn it is on these locked *tickets*.

    Returns the tickets that need a head now, each with the time before which nothing is sent on it.
    """
    parameters = {"tickets": sorted(tickets), "now": now, "reason": NOT_WANTED}
    rows = connection.execute(END_UNWANTED, parameters).all()
    return {row.id: row.held_until for row in rows if row.needs_head}
