"""What changes whenever a ticket's history does: read every few seconds while a page is open."""

from typing import Any, Final
from unicodedata import normalize

from sqlalchemy import Connection, text

PULSE: Final = text("""
    SELECT t.id, t.changed_at, t.unfinished, t.parked, t.on_hold_at, t.close_due_at, o.disabled_at,
           o.ended_at, c.opened_at, c.closed_at,
           (SELECT max(i.id) FROM intervention i WHERE i.ticket = t.id) AS intervention,
           (SELECT ROW(count(*), sum(e.repeats), max(e.decided_at))
              FROM ticket_event e WHERE e.ticket = t.id) AS events,
           (SELECT ROW(count(*), sum(n.claims), sum(n.tries), count(n.ended), max(n.due_at),
                       count(n.lease))
              FROM notice n WHERE n.ticket = t.id) AS notices
      FROM ticket t JOIN operator o ON o.id = t.operator
      LEFT JOIN circuit c ON c.operator = o.id
     WHERE o.code = :operator AND t.ticket_id = :ticket_id""")


def read_ticket_pulse(connection: Connection, operator: str, ticket_id: str) -> tuple[Any, ...]:
    """Return a value that differs when the ticket's history does."""
    key = {"operator": operator, "ticket_id": normalize("NFC", ticket_id)}
    row = connection.execute(PULSE, key).one_or_none()
    return () if row is None else tuple(row)
