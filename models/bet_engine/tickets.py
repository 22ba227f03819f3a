"""Finds an operator's tickets for the Bet Engine API, except those that are `absent`."""

from collections.abc import Sequence
from typing import Any, Final
from unicodedata import normalize

from sqlalchemy import Connection, Row, text

from models.bet_engine.access import Caller
from models.bet_engine.ticket_object import BetEngineTicket, TicketObject, ticket_object
from models.events.stored import well_typed_facts
from models.events.stream_contract import ID_CHARACTERS_MAX
from models.events.time_of_change import CHANGED_AT
from models.vocabulary import Result, Status

# An id takes precedence over a code. Codes are short and are reused: the newest ticket has it.
FIND_ID: Final = text("""
    SELECT id FROM (
        (SELECT t.id, 1 AS place FROM ticket t
          WHERE t.operator = :operator AND t.ticket_id = :identifier AND t.status <> 'absent')
        UNION ALL
        (SELECT t.id, 2 FROM ticket t
          WHERE t.operator = :operator AND t.details ->> 'ticket_code' = :identifier
            AND t.status <> 'absent'
          ORDER BY t.id DESC LIMIT 1)
    ) AS candidate ORDER BY place LIMIT 1
""")
_FACTS = f"""t.ticket_id, t.status, t.result, t.details, t.amounts, t.created_at,
           {CHANGED_AT} AS changed_at"""
READ: Final = text(f"SELECT {_FACTS} FROM ticket t WHERE t.id = :id")  # noqa: S608 - constant
# Newest first. Two statements, because each has its index: `ticket_newest`, on `-id`, and
# `ticket_of_player`.
_LISTED = """
       AND t.status <> 'absent'
       AND NOT coalesce(t.details ->> 'ticket_type' = ANY(CAST(:skip_types AS text[])), false)"""
LIST_ALL: Final = text(f"""
    SELECT {_FACTS} FROM ticket t WHERE t.operator = :operator AND - t.id < 0 {_LISTED}
     ORDER BY - t.id LIMIT :limit""")  # noqa: S608 - constant
LIST_OF_PLAYER: Final = text(f"""
    SELECT {_FACTS} FROM ticket t
     WHERE t.operator = :operator AND t.details ->> 'player_id' = :user_id
     {_LISTED}
     ORDER BY t.id DESC LIMIT :limit""")  # noqa: S608 - constant


def find_row(connection: Connection, caller: Caller, identifier: str) -> int | None:
    """Return the row id of the caller's ticket with this id or, failing that, this code."""
    if not 1 <= len(identifier) <= ID_CHARACTERS_MAX or not identifier.isprintable():
        return None  # no ticket has such an id, and PostgreSQL accepts no NUL
    normal = normalize("NFC", identifier)  # as all ids are stored
    parameters = {"operator": caller.operator, "identifier": normal}
    row_id: int | None = connection.execute(FIND_ID, parameters).scalar_one_or_none()
    return row_id


def read_ticket(connection: Connection, row_id: int, *, caller: Caller) -> TicketObject:
    """Return the ticket in this row, which is the caller's."""
    return _shown(connection.execute(READ, {"id": row_id}).one(), caller)


def find_ticket(connection: Connection, caller: Caller, identifier: str) -> TicketObject | None:
    """Return the caller's ticket with this id or code. Returns None if there is none."""
    row_id = find_row(connection, caller, identifier)
    return None if row_id is None else read_ticket(connection, row_id, caller=caller)


def list_tickets(
    connection: Connection,
    caller: Caller,
    *,
    limit: int,
    user_id: str | None = None,
    skip_types: Sequence[str] = (),
) -> list[TicketObject]:
    """List the caller's tickets, newest first: of one player, or all; without *skip_types*."""
    parameters = {
        "operator": caller.operator,
        "user_id": user_id,
        "skip_types": list(skip_types),
        "limit": limit,
    }
    rows = connection.execute(LIST_ALL if user_id is None else LIST_OF_PLAYER, parameters)
    return [_shown(row, caller) for row in rows]


def _shown(row: Row[Any], caller: Caller) -> TicketObject:
    ticket = BetEngineTicket(
        ticket_id=row.ticket_id,
        status=Status(row.status),
        result=Result(row.result),
        details=well_typed_facts(row.details),
        amounts=None if row.amounts is None else well_typed_facts(row.amounts),
        created_at=row.created_at,
        changed_at=row.changed_at,
    )
    return ticket_object(ticket, zone=caller.zone)
