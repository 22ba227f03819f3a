"""Inserts new tickets as they are after their first events: one version of a row instead of two.

They are inserted in key order and before any other ticket is locked (rule 19, E5). A transaction
that inserts the same ticket at the same time waits for this one, then finds that it exists.
"""

from collections.abc import Iterable
from datetime import datetime

from psycopg.errors import UniqueViolation
from pydantic_core import to_json
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from models.lifecycle.ticket import TicketState
from models.tickets.copy import CopyIn
from models.tickets.row import INSERTED, inserted_row

TicketKey = tuple[int, str]

# Without a lock: a ticket that is found is locked later, one that is not may exist by then.
NEW = text("""
    SELECT key.operator, key.ticket_id, nextval('ticket_id_seq') AS id
      FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS key(operator int, ticket_id text)
     WHERE NOT EXISTS (SELECT FROM ticket t
                        WHERE t.operator = key.operator AND t.ticket_id = key.ticket_id)""")

TICKETS = CopyIn("ticket", INSERTED)


def new_among(connection: Connection, keys: Iterable[TicketKey]) -> dict[TicketKey, int]:
    """Return those of *keys* that have no ticket yet, each with the id it is to get."""
    listed = [{"operator": key[0], "ticket_id": key[1]} for key in sorted(set(keys))]
    rows = connection.execute(NEW, {"keys": to_json(listed).decode()})
    return {(row.operator, row.ticket_id): row.id for row in rows}


class TicketExists(Exception):
    """Another transaction has inserted the same ticket since `new_among` looked."""


def insert_tickets(
    connection: Connection, tickets: Iterable[TicketState], *, now: datetime
) -> None:
    """Insert *tickets* under the ids they have. Raises TicketExists; then none is inserted."""
    ordered = sorted(tickets, key=lambda ticket: (ticket.terms.operator, ticket.ticket_id))
    try:
        with connection.begin_nested():
            TICKETS.write(connection, [inserted_row(ticket, now) for ticket in ordered])
    except DBAPIError as error:
        if isinstance(error.orig, UniqueViolation):
            raise TicketExists from error
        raise
