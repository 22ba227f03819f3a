"""Make tickets nobody knew, as they stand after their first events: one version of a row, not two.

They are made in key order and before any other is locked (rule 19, protocol E5). Whoever makes the
same ticket at the same time waits for us, then finds it made.
"""

from collections.abc import Iterable
from datetime import datetime

from psycopg.errors import UniqueViolation
from pydantic_core import to_json
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from models.lifecycle.ticket import TicketState
from models.tickets.copy import CopyIn, Row, document

Key = tuple[int, str]

# Unlocked: what is found here is locked later, and what is not may be there by then.
NEW = text("""
    SELECT key.operator, key.ticket_id, nextval('ticket_id_seq')
      FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS key(operator int, ticket_id text)
     WHERE NOT EXISTS (SELECT FROM ticket t
                        WHERE t.operator = key.operator AND t.ticket_id = key.ticket_id)""")

# All that first events can set.
TICKETS = CopyIn(
    "ticket",
    {
        "id": "int8",
        "operator": "int4",
        "ticket_id": "varchar",
        "status": "text",
        "result": "text",
        "generation": "int4",
        "settled_at": "timestamptz",
        "amounts": "jsonb",
        "amended_at": "timestamptz",
        "parked": "int4",
        "sequence": "int4",
        "notices": "int4",
        "unfinished": "int4",
        "cancelled_by": "varchar",
        "cancelled_at": "timestamptz",
        "draw": "varchar",
        "details": "jsonb",
        "created_at": "timestamptz",
        "changed_at": "timestamptz",
    },
)


def new_among(connection: Connection, keys: Iterable[Key]) -> dict[Key, int]:
    """Those of *keys* whose ticket is not there, each with the id it is to have."""
    listed = [{"operator": key[0], "ticket_id": key[1]} for key in sorted(set(keys))]
    rows = connection.execute(NEW, {"keys": to_json(listed).decode()}).all()
    return {(operator, ticket_id): id_ for operator, ticket_id, id_ in rows}


class TicketExists(Exception):
    """Somebody else has made the same ticket since `new_among` looked."""


def make_tickets(connection: Connection, tickets: Iterable[TicketState], *, now: datetime) -> None:
    """Make *tickets*, under the ids they have. Raises TicketExists; then none of them is made."""
    ordered = sorted(tickets, key=lambda one: (one.terms.operator, one.ticket_id))
    try:
        with connection.begin_nested():
            TICKETS.write(connection, [_row(one, now) for one in ordered])
    except DBAPIError as error:
        if isinstance(error.orig, UniqueViolation):
            raise TicketExists from error
        raise


def _row(ticket: TicketState, now: datetime) -> Row:
    return (
        ticket.id,
        ticket.terms.operator,
        ticket.ticket_id,
        ticket.status,
        ticket.result,
        ticket.generation,
        ticket.settled_at,
        None if ticket.amounts is None else document(ticket.amounts),
        ticket.amended_at,
        ticket.parked,
        ticket.sequence,
        ticket.notices,
        ticket.unfinished,
        ticket.cancelled_by,
        now if ticket.is_over else None,
        ticket.draw,
        document(ticket.facts),
        now,
        now,
    )
