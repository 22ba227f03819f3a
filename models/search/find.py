"""Finds what a text is the id of. Reads only; what it reads is bounded, whatever the text."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection, TextClause

from models.history.event_log import find_events_by_id
from models.operators.listing import unknown_operator
from models.search import statements
from models.search.search_text import SearchText, read_search_text
from models.search.values import Match, Matches, MatchKind, SearchResult

SHOWN_MAX: Final = 50  # of each kind
EVERY_KIND: Final = tuple(MatchKind)


def search(
    connection: Connection,
    text: str,
    *,
    operator: str | None = None,
    kinds: Collection[MatchKind] = EVERY_KIND,
    limit: int = SHOWN_MAX,
) -> SearchResult:
    """Return what *text* is the id of, at most *limit* (up to 50) of each of *kinds*, newest first.

    *operator* narrows it to one operator's. Raises InvalidSearch, OperatorNotFound.
    """
    wanted = read_search_text(text)
    if operator is not None:
        parameters = {"operator": operator}
        if not connection.execute(statements.KNOWN_OPERATOR, parameters).scalar_one():
            raise unknown_operator(connection, operator)
    limit = min(limit, SHOWN_MAX)
    groups = [
        _matches(connection, kind, wanted, operator=operator, limit=limit)
        for kind in EVERY_KIND
        if kind in kinds
    ]
    return SearchResult(wanted.text, tuple(group for group in groups if group.lines or group.more))


def _matches(
    connection: Connection,
    kind: MatchKind,
    wanted: SearchText,
    *,
    operator: str | None,
    limit: int,
) -> Matches:
    if kind is MatchKind.EVENT:
        return _events(connection, wanted, operator=operator, limit=limit)
    lines: list[Match] = []
    for statement, parameters in _lookups(kind, wanted):
        rows = connection.execute(
            statement, {**parameters, "operator": operator, "limit": limit + 1}
        ).mappings()
        lines += [Match(kind=kind, **row) for row in rows]
    return Matches(kind, tuple(lines[:limit]), more=len(lines) > limit)


def _lookups(kind: MatchKind, wanted: SearchText) -> list[tuple[TextClause, dict[str, Any]]]:
    """Return the statements for *kind*, each with the values to look up; none if it cannot be."""
    if kind is MatchKind.PLAYER:
        return [(statements.BY_PLAYER, {"value": form}) for form in wanted.forms]
    if kind is MatchKind.KEY:
        if wanted.key is None:
            return []
        operator, ticket_id, action, generation = wanted.key
        parts = {"ticket_id": ticket_id, "action": str(action), "generation": generation}
        return [(statements.BY_KEY, {"key_operator": operator, **parts})]
    lookups: dict[MatchKind, tuple[TextClause, str | int | None]] = {
        MatchKind.TICKET: (statements.BY_TICKET_ID, wanted.id),
        MatchKind.CODE: (statements.BY_CODE, wanted.id),
        MatchKind.INPUT: (statements.BY_ENTRY, wanted.entry_id),
        MatchKind.NOTICE: (statements.BY_NOTICE, wanted.number),
        MatchKind.TRANSACTION: (statements.BY_TRANSACTION, wanted.transaction),
    }
    statement, value = lookups[kind]
    return [] if value is None else [(statement, {"value": value})]


def _events(
    connection: Connection, wanted: SearchText, *, operator: str | None, limit: int
) -> Matches:
    """Return the events with this id, on whichever tickets, and input that was to have it."""
    if wanted.id is None:
        return Matches(MatchKind.EVENT, (), more=False)
    operators = None if operator is None else [operator]
    log = find_events_by_id(connection, wanted.id, operators=operators)
    lines = tuple(
        Match(
            kind=MatchKind.EVENT,
            at=line.at,
            operator=line.operator,
            ticket_id=line.ticket_id,
            status=line.ticket_status,
            event_id=line.event_id,
            entry_id=line.entry_id,
            action=line.action,
            outcome=str(line.outcome),
        )
        for line in log.lines
    )
    return Matches(MatchKind.EVENT, lines[:limit], more=log.more or len(lines) > limit)
