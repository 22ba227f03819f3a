"""Finds events for their publishers: by an id, or those that were not applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from unicodedata import normalize

from sqlalchemy import Connection, TextClause, text

from models.events.event import ARRIVALS_END
from models.history.id_statements import (
    EVENT_COLUMNS,
    EVENT_KIND,
    FIND_EVENTS,
    FIND_NAMED_TICKET,
    FIND_OLD,
    FIND_ON_TICKET,
    FIND_RAW,
    FIND_RAW_OF,
    FIND_RAW_ON_TICKET,
    FIND_RAW_ON_TICKET_OF,
    FIND_TICKETS,
    OLD_BEYOND,
    RAW_BEYOND,
    RAW_COLUMNS,
    RAW_KIND,
    RAW_OF_BEYOND,
    RAW_ON_TICKET_BEYOND,
    RAW_ON_TICKET_OF_BEYOND,
)
from models.tracing.traceparent import trace_id_of
from models.vocabulary import Outcome

FOUND_MAX: Final = 50  # of one id: it counts per ticket, so several tickets may have it (H12)
SEARCHED_MAX: Final = 10_000  # rows in an order that mixes operators
# What was not applied, or not yet. Only these have an index for a list.
LISTABLE: Final = (Outcome.PARKED, Outcome.REJECTED, Outcome.SUPERSEDED)

_ALWAYS: Final = datetime(9999, 12, 31, tzinfo=UTC)
_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)

_IS_OF_OPERATORS: Final = """operator = ANY(ARRAY(
                   SELECT id FROM operator WHERE code = ANY(CAST(:operators AS text[]))))"""
_RAW_OF_PAGE: Final = f"""
    SELECT * FROM rejected_input
     WHERE dropped_at IS NULL AND rejected_at >= :since AND rejected_at <= :at
       AND (rejected_at, {RAW_KIND}, id) < (:at, :kind, :number)
     ORDER BY rejected_at DESC, id DESC"""  # noqa: S608 - constants of this module


def _events_of_page(outcome: Outcome) -> str:
    """The outcome is a literal: only then does the planner use the index `ticket_event_listed`."""
    return f"""
    SELECT * FROM ticket_event
     WHERE outcome = '{outcome}' AND dropped_at IS NULL
       AND decided_at >= :since AND decided_at <= :at
       AND (decided_at, {EVENT_KIND}, arrival) < (:at, :kind, :number)
     ORDER BY decided_at DESC, arrival DESC"""  # noqa: S608 - constants of this module


@dataclass(frozen=True, slots=True)
class _LineSource:
    """The statements for one kind of lines: of all operators, of some, the last place searched."""

    of_all: TextClause
    of_some: TextClause
    searched: TextClause


def _event_source(outcome: Outcome) -> _LineSource:
    page = _events_of_page(outcome)
    return _LineSource(
        text(f"""
        SELECT {EVENT_COLUMNS}
          FROM ({page} LIMIT :limit) AS e
          JOIN ticket t ON t.id = e.ticket JOIN operator o ON o.id = t.operator
         ORDER BY e.decided_at DESC, e.arrival DESC"""),  # noqa: S608 - constants of this module
        text(f"""
        SELECT {EVENT_COLUMNS}
          FROM ({page} LIMIT :searched) AS e
         CROSS JOIN LATERAL (
               SELECT * FROM ticket WHERE id = e.ticket AND {_IS_OF_OPERATORS} LIMIT 1) AS t
         CROSS JOIN LATERAL (SELECT code FROM operator WHERE id = t.operator LIMIT 1) AS o
         ORDER BY e.decided_at DESC, e.arrival DESC LIMIT :limit"""),  # noqa: S608 - constants of this module
        text(f"""
        SELECT decided_at AS at, {EVENT_KIND} AS kind, arrival AS number
          FROM ({page} OFFSET :searched - 1 LIMIT 1) AS e"""),  # noqa: S608 - constants of this module
    )


SOURCES: Final = {outcome: _event_source(outcome) for outcome in LISTABLE}
RAW_SOURCE: Final = _LineSource(
    text(f"SELECT {RAW_COLUMNS} FROM ({_RAW_OF_PAGE} LIMIT :limit) AS r"),  # noqa: S608 - constants of this module
    text(f"""
    SELECT {RAW_COLUMNS} FROM ({_RAW_OF_PAGE} LIMIT :searched) AS r
     WHERE r.operator = ANY(CAST(:operators AS text[]))
     ORDER BY r.rejected_at DESC, r.id DESC LIMIT :limit"""),  # noqa: S608 - constants of this module
    text(f"""
    SELECT rejected_at AS at, {RAW_KIND} AS kind, id AS number
      FROM ({_RAW_OF_PAGE} OFFSET :searched - 1 LIMIT 1) AS r"""),  # noqa: S608 - constants of this module
)


@dataclass(frozen=True, slots=True)
class Place:
    """A line's place in the list: newest first, and no two lines have the same."""

    at: datetime
    kind: int
    number: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event with its outcome, or raw input that could not become an event of a ticket.

    Raw input has the facts that could be read, and no `ticket_…`. *ticket_status* is the ticket's
    status now, like `resulted/won`.
    """

    place: Place
    operator: str | None
    ticket_id: str | None
    event_id: str | None
    entry_id: str | None
    action: str | None
    sequence: int | None
    outcome: str
    reason: str | None
    message: str | None
    occurred_at: datetime | None
    received_at: datetime
    park_until: datetime | None
    repeats: int
    trace_id: str | None  # of the trace it belongs to
    ticket_status: str | None
    ticket_close_due_at: datetime | None
    ticket_closed_at: datetime | None

    @property
    def at(self) -> datetime:
        """When it got this outcome."""
        return self.place.at


@dataclass(frozen=True, slots=True)
class EventLogPage:
    """A part of the log. *next*: the place after which the next page begins, or None at the end."""

    lines: tuple[LogLine, ...]
    next: Place | None


@dataclass(frozen=True, slots=True)
class EventsById:
    """The events with an id. *more*: there may be others, which a search with `ticket_id` finds."""

    lines: tuple[LogLine, ...]
    more: bool


def find_events_by_id(
    connection: Connection,
    event_id: str,
    *,
    operators: Sequence[str] | None,
    ticket_id: str | None = None,
    searched: int = SEARCHED_MAX,
) -> EventsById:
    """Return the events with this id, newest first; *operators*: None means all.

    At most `FOUND_MAX` are returned. Others' events with the id cost nothing, except those that
    were stored before an event's operator was: the newest *searched* of them are searched, as of
    raw input. On one ticket (*ticket_id*) an event is always found.
    """
    parameters = {
        "event_id": event_id,
        "operators": _listed(operators),
        "limit": FOUND_MAX + 1,  # one more shows whether there are others
        "searched": searched,
    }
    if ticket_id is None:
        events, cut = _some(connection, FIND_EVENTS, parameters, beyond=None)
        old, old_cut = _some(connection, FIND_OLD, parameters, beyond=OLD_BEYOND)
        newest = sorted((*events, *old), key=lambda line: line.place.number, reverse=True)
        find_raw, beyond = (
            (FIND_RAW, RAW_BEYOND) if operators is None else (FIND_RAW_OF, RAW_OF_BEYOND)
        )
        raw, raw_cut = _some(connection, find_raw, parameters, beyond=beyond)
        more = len(newest) > FOUND_MAX or cut or old_cut or raw_cut
        return EventsById((*newest[:FOUND_MAX], *raw), more)
    parameters |= _of_ticket(ticket_id)
    find_raw, beyond = (
        (FIND_RAW_ON_TICKET, RAW_ON_TICKET_BEYOND)
        if operators is None
        else (FIND_RAW_ON_TICKET_OF, RAW_ON_TICKET_OF_BEYOND)
    )
    events, cut = _some(connection, FIND_ON_TICKET, parameters, beyond=None)
    raw, raw_cut = _some(connection, find_raw, parameters, beyond=beyond)
    return EventsById((*events, *raw), cut or raw_cut)


def find_tickets_of_event(
    connection: Connection,
    event_id: str,
    *,
    operator: str | None,
    ticket_id: str | None,
    limit: int,
) -> list[int]:
    """Return the rows of the tickets with the newest events of this id, as `find_events_by_id`."""
    parameters = {
        "event_id": event_id,
        "operators": None if operator is None else [operator],
        "limit": limit,
        "searched": SEARCHED_MAX,
    }
    statements = FIND_TICKETS
    if ticket_id is not None:
        statements = FIND_NAMED_TICKET
        parameters |= _of_ticket(ticket_id)
    return [row for each in statements for row in connection.execute(each, parameters).scalars()]


def _of_ticket(ticket_id: str) -> dict[str, Any]:
    normal = normalize("NFC", ticket_id)  # as ticket ids are stored; raw input is stored as it came
    return {"ticket_id": normal, "ticket_ids": [ticket_id, normal]}


def _some(
    connection: Connection,
    statement: TextClause,
    parameters: dict[str, Any],
    *,
    beyond: TextClause | None,
) -> tuple[list[LogLine], bool]:
    """Return the first lines of *statement*, and whether there may be more."""
    lines = _lines(connection, statement, parameters)
    more = len(lines) > FOUND_MAX or (
        beyond is not None and connection.execute(beyond, parameters).first() is not None
    )
    return lines[:FOUND_MAX], more


def list_not_applied(
    connection: Connection,
    outcomes: Sequence[Outcome],
    *,
    operators: Sequence[str] | None,
    limit: int,
    since: datetime | None = None,
    after: Place | None = None,
    searched: int = SEARCHED_MAX,
) -> EventLogPage:
    """Return a page of events that were not applied, newest first, beginning after *after*.

    *outcomes* are among `LISTABLE`; `rejected` includes raw input. What a person has dropped is
    left out. *operators*: None means all. For some operators' lines at most *searched* of each
    outcome are searched, so a page may hold few lines, or none, and have a next one.
    """
    start = after or Place(_ALWAYS, EVENT_KIND, ARRIVALS_END)
    parameters = {
        "operators": _listed(operators),
        "since": since or _NEVER,
        "at": start.at,
        "kind": start.kind,
        "number": start.number,
        "limit": limit + 1,  # one more shows whether there is a next page
        "searched": searched,
    }
    sources = [SOURCES[outcome] for outcome in set(outcomes)]
    if Outcome.REJECTED in outcomes:
        sources.append(RAW_SOURCE)
    lines: list[LogLine] = []
    ends: list[Place] = []
    for source in sources:
        if operators is None:
            lines += _lines(connection, source.of_all, parameters)
            continue
        some = _lines(connection, source.of_some, parameters)
        lines += some
        if len(some) <= limit:
            last = connection.execute(source.searched, parameters).mappings()
            ends += [Place(**row) for row in last]
    return _page(lines, limit, end=max(ends, key=_order_of, default=None))


def _page(lines: Sequence[LogLine], limit: int, *, end: Place | None) -> EventLogPage:
    """Return the newest *limit* lines down to *end*, after which not everything was searched."""
    ordered = sorted(lines, key=_order, reverse=True)
    if end is not None:
        ordered = [line for line in ordered if _order(line) >= _order_of(end)]
    shown = tuple(ordered[:limit])
    return EventLogPage(shown, shown[-1].place if len(ordered) > limit else end)


def _order_of(place: Place) -> tuple[datetime, int, int]:
    return place.at, place.kind, place.number


def _order(line: LogLine) -> tuple[datetime, int, int]:
    return _order_of(line.place)


def _lines(
    connection: Connection, statement: TextClause, parameters: dict[str, Any]
) -> list[LogLine]:
    return [_line(dict(row)) for row in connection.execute(statement, parameters).mappings()]


def _line(row: dict[str, Any]) -> LogLine:
    return LogLine(
        place=Place(at=row.pop("at"), kind=row.pop("kind"), number=row.pop("number")),
        trace_id=trace_id_of(row.pop("traceparent")),
        **row,
    )


def _listed(operators: Sequence[str] | None) -> list[str] | None:
    return None if operators is None else list(operators)
