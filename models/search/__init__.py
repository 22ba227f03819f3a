"""Finds tickets, events and notices by whatever id a person has, each through an index."""

from models.search.find import search
from models.search.players import (
    PlayerTicket,
    PlayerTickets,
    list_player_tickets,
    operators_of_player,
)
from models.search.search_text import InvalidSearch, SearchText, read_search_text
from models.search.values import Match, Matches, MatchKind, SearchResult

__all__ = [
    "InvalidSearch",
    "Match",
    "MatchKind",
    "Matches",
    "PlayerTicket",
    "PlayerTickets",
    "SearchResult",
    "SearchText",
    "list_player_tickets",
    "operators_of_player",
    "read_search_text",
    "search",
]
