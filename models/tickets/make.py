"""Make tickets nobody knew, as they stand after their first events: one version of a row, not two.

They are made in key order and before any other is locked (rule 19, protocol E5). Whoever makes the
same ticket at the same time waits for us, then finds it made.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, text

from models.lifecycle.ticket import TicketState

Key = tuple[int, str]

# Unlocked: what is found here is locked later, and what is not may be there by then.
FIND = text("""
    SELECT t.operator, t.ticket_id
      FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS key(operator int, ticket_id text)
      JOIN ticket t ON t.operator = key.operator AND t.ticket_id = key.ticket_id""")

INSERT_TICKETS = text("""
    INSERT INTO ticket (operator, ticket_id, status, result, generation, settled_at, amounts,
                        amended_at, parked, sequence, notices, unfinished, cancelled_by, draw,
                        details, cancelled_at, created_at, changed_at)
    SELECT r.*, CASE r.status WHEN 'cancelled' THEN CAST(:now AS timestamptz) END, :now, :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               operator int, ticket_id text, status text, result text, generation int,
               settled_at timestamptz, amounts jsonb, amended_at timestamptz, parked int,
               sequence int, notices int, unfinished int, cancelled_by text, draw text,
               details jsonb)
     ORDER BY r.operator, r.ticket_id COLLATE "C"
        ON CONFLICT (operator, ticket_id) DO NOTHING
 RETURNING operator, ticket_id, id""")


def known_among(connection: Connection, keys: Iterable[Key]) -> set[Key]:
    """Those of *keys* whose ticket is there. Nothing is locked."""
    listed = [{"operator": key[0], "ticket_id": key[1]} for key in sorted(set(keys))]
    rows = connection.execute(FIND, {"keys": to_json(listed).decode()})
    return {(operator, ticket_id) for operator, ticket_id in rows}


def make_tickets(
    connection: Connection, tickets: Sequence[TicketState], *, now: datetime
) -> dict[Key, int]:
    """Make *tickets*, all but those that somebody else has made meanwhile; the ids of the made."""
    if not tickets:
        return {}
    rows = to_json([_row(ticket) for ticket in tickets]).decode()
    made = connection.execute(INSERT_TICKETS, {"rows": rows, "now": now})
    return {(operator, ticket_id): id_ for operator, ticket_id, id_ in made}


def _row(ticket: TicketState) -> dict[str, Any]:
    """All that first events can set; in plain words, as enums cost `to_json` 2 µs each."""
    return {
        "operator": ticket.terms.operator,
        "ticket_id": ticket.ticket_id,
        "status": str(ticket.status),
        "result": str(ticket.result),
        "generation": ticket.generation,
        "settled_at": ticket.settled_at,
        "amounts": ticket.amounts,
        "amended_at": ticket.amended_at,
        "parked": ticket.parked,
        "sequence": ticket.sequence,
        "notices": ticket.notices,
        "unfinished": ticket.unfinished,
        "cancelled_by": ticket.cancelled_by,
        "draw": ticket.draw,
        "details": ticket.facts,
    }
