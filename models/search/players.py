"""Lists the tickets of a player, newest first, a page at a time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from models.search.search_text import read_search_text
from models.search.statements import OPERATORS_OF_PLAYER, PLAYER_TICKETS

PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class PlayerTicket:
    """A ticket of the player. *number*: the place of the list at which a page ends."""

    number: int
    operator: str
    ticket_id: str
    status: str
    ticket_code: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PlayerTickets:
    """A page of the list; *more*: there are older ones."""

    lines: tuple[PlayerTicket, ...]
    more: bool


def list_player_tickets(
    connection: Connection, player: str, *, before: int | None = None, limit: int = PAGE
) -> PlayerTickets:
    """Return the tickets of the player with this id, of all operators, *before* a number.

    Raises InvalidSearch.
    """
    lines: list[PlayerTicket] = []
    for form in read_search_text(player).forms:
        parameters = {"value": form, "before": before, "limit": limit + 1}
        rows = connection.execute(PLAYER_TICKETS, parameters).mappings()
        lines += [PlayerTicket(**row) for row in rows]
    lines.sort(key=lambda line: line.number, reverse=True)
    return PlayerTickets(tuple(lines[:limit]), more=len(lines) > limit)


def operators_of_player(connection: Connection, player: str) -> list[str]:
    """Return the operators with a ticket of the player with this id. Raises InvalidSearch."""
    forms = list(read_search_text(player).forms)
    return list(connection.execute(OPERATORS_OF_PLAYER, {"forms": forms}).scalars())
