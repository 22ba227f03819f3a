"""Take back a create or reserve that was never sent, when its ticket was discarded first."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

# One that is being sent stays: its discard waits behind it.
WITHDRAW_UNSENT = text("""
    WITH withdrawn AS (
        UPDATE notice
           SET ended = 'withdrawn', ended_at = :now, head = false,
               reason = 'discarded before it was sent'
         WHERE ticket = ANY(:tickets) AND action IN ('ticket_create', 'ticket_reserve')
           AND ended IS NULL AND claims = 0
     RETURNING ticket, number),
    counted AS (
        UPDATE ticket t SET unfinished = t.unfinished - 1
          FROM withdrawn w WHERE t.id = w.ticket)
    UPDATE notice n SET head = true
      FROM withdrawn w
     WHERE n.ticket = w.ticket AND n.number = w.number + 1""")


def withdraw_unsent(connection: Connection, tickets: Sequence[int], *, now: datetime) -> bool:
    """Withdraw the unsent create of each locked ticket. True: its discard is due in its place."""
    if not tickets:
        return False
    return connection.execute(WITHDRAW_UNSENT, {"tickets": list(tickets), "now": now}).rowcount > 0
