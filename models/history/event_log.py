"""Finds events for their publishers: by an id, or those that were not applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from unicodedata import normalize

from sqlalchemy import Connection, TextClause, text

from models.events.event import ARRIVALS_END
from models.history.ticket_status import TICKET_STATUS
from models.vocabulary import Outcome, Reason

FOUND_MAX: Final = 50  # of one id: it counts per ticket, so several tickets may have it (H12)
SEARCHED_MAX: Final = 10_000  # the newest of one id, of any operator
# What was not applied, or not yet. Only these have an index for a list.
LISTABLE: Final = (Outcome.PARKED, Outcome.REJECTED, Outcome.SUPERSEDED)

_ALWAYS: Final = datetime(9999, 12, 31, tzinfo=UTC)
_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)
# At the same time, events of tickets come before raw input.
_EVENT: Final = 2
_RAW: Final = 1

# Who dropped an event and why is internal.
_MESSAGE: Final = f"""
    CASE e.reason WHEN '{Reason.DROPPED}' THEN 'dropped by hand' ELSE e.message END AS message"""
_EVENT_COLUMNS: Final = f"""
    e.decided_at AS at, {_EVENT} AS kind, e.arrival AS number, o.code AS operator, t.ticket_id,
    e.event_id, e.entry_id, e.action, e.sequence, e.outcome, e.reason, {_MESSAGE}, e.occurred_at,
    e.received_at, e.park_until, e.repeats,
    {TICKET_STATUS} AS ticket_status,
    t.close_due_at AS ticket_close_due_at, t.closed_at AS ticket_closed_at"""
_RAW_COLUMNS: Final = f"""
    r.rejected_at AS at, {_RAW} AS kind, r.id AS number, r.operator, r.ticket_id,
    r.event_id, r.entry_id, NULL AS action, NULL AS sequence, 'rejected' AS outcome, r.reason,
    r.message, NULL AS occurred_at, r.received_at, NULL AS park_until, 0 AS repeats,
    NULL AS ticket_status, NULL AS ticket_close_due_at, NULL AS ticket_closed_at"""
_OF_OPERATORS = "(CAST(:operators AS text[]) IS NULL OR {} = ANY(CAST(:operators AS text[])))"

# An id does not belong to one operator (publishers number 1, 2, 3 on each ticket), so a search
# reads at most SEARCHED_MAX rows before it checks the operator. LATERAL with LIMIT makes the
# planner look each of them up by key, in the order of the index (event_id, ticket).
# Raw input has no such order: if more than SEARCHED_MAX rows have the id, any of them are searched.
_OF_ID: Final = "SELECT ticket FROM ticket_event WHERE event_id = :event_id ORDER BY ticket DESC"
_RAW_OF_ID: Final = "SELECT * FROM rejected_input WHERE event_id = :event_id"
FIND_EVENTS: Final = text(f"""
    SELECT {_EVENT_COLUMNS}
      FROM ({_OF_ID} LIMIT :searched) AS newest
     CROSS JOIN LATERAL (
           SELECT * FROM ticket
            WHERE id = newest.ticket
              AND (CAST(:operators AS text[]) IS NULL OR operator = ANY(ARRAY(
                   SELECT id FROM operator WHERE code = ANY(CAST(:operators AS text[])))))
            LIMIT 1) AS t
     CROSS JOIN LATERAL (
           SELECT * FROM ticket_event WHERE ticket = t.id AND event_id = :event_id LIMIT 1) AS e
     CROSS JOIN LATERAL (SELECT code FROM operator WHERE id = t.operator LIMIT 1) AS o
     ORDER BY newest.ticket DESC LIMIT :limit""")  # noqa: S608 - constants of this module
FIND_RAW: Final = text(f"""
    SELECT {_RAW_COLUMNS} FROM ({_RAW_OF_ID} LIMIT :searched) AS r
     WHERE {_OF_OPERATORS.format("r.operator")}
     ORDER BY r.id DESC LIMIT :limit""")  # noqa: S608 - constants of this module
EVENTS_BEYOND: Final = text(f"{_OF_ID} OFFSET :searched LIMIT 1")
RAW_BEYOND: Final = text(f"{_RAW_OF_ID} OFFSET :searched LIMIT 1")

# With a ticket id: by the keys (operator, ticket_id) and (ticket, event_id).
FIND_ON_TICKET: Final = text(f"""
    SELECT {_EVENT_COLUMNS}
      FROM operator o
     CROSS JOIN LATERAL (
           SELECT * FROM ticket WHERE operator = o.id AND ticket_id = :ticket_id LIMIT 1) AS t
     CROSS JOIN LATERAL (
           SELECT * FROM ticket_event WHERE ticket = t.id AND event_id = :event_id LIMIT 1) AS e
     WHERE {_OF_OPERATORS.format("o.code")}
     ORDER BY t.id DESC LIMIT :limit""")  # noqa: S608 - constants of this module
_RAW_OF_TICKET: Final = "SELECT * FROM rejected_input WHERE ticket_id = ANY(:ticket_ids)"
# A statement of its own for some operators: only then is the index (ticket_id, operator) used.
_RAW_OF_TICKET_OF: Final = f"{_RAW_OF_TICKET} AND operator = ANY(CAST(:operators AS text[]))"


def _raw_on_ticket(source: str) -> tuple[TextClause, TextClause]:
    """Return the statements that find an event's raw input on a ticket, and the rows beyond."""
    find = text(f"""
        SELECT {_RAW_COLUMNS} FROM ({source} LIMIT :searched) AS r
         WHERE r.event_id = :event_id ORDER BY r.id DESC LIMIT :limit""")  # noqa: S608 - constants of this module
    return find, text(f"{source} OFFSET :searched LIMIT 1")


FIND_RAW_ON_TICKET, RAW_ON_TICKET_BEYOND = _raw_on_ticket(_RAW_OF_TICKET)
FIND_RAW_ON_TICKET_OF, RAW_ON_TICKET_OF_BEYOND = _raw_on_ticket(_RAW_OF_TICKET_OF)


_IS_OF_OPERATORS: Final = """operator = ANY(ARRAY(
                   SELECT id FROM operator WHERE code = ANY(CAST(:operators AS text[]))))"""
_RAW_OF_PAGE: Final = f"""
    SELECT * FROM rejected_input
     WHERE dropped_at IS NULL AND rejected_at >= :since AND rejected_at <= :at
       AND (rejected_at, {_RAW}, id) < (:at, :kind, :number)
     ORDER BY rejected_at DESC, id DESC"""  # noqa: S608 - constants of this module


def _events_of_page(outcome: Outcome) -> str:
    """The outcome is a literal: only then does the planner use the index `ticket_event_listed`."""
    return f"""
    SELECT * FROM ticket_event
     WHERE outcome = '{outcome}' AND dropped_at IS NULL
       AND decided_at >= :since AND decided_at <= :at
       AND (decided_at, {_EVENT}, arrival) < (:at, :kind, :number)
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
        SELECT {_EVENT_COLUMNS}
          FROM ({page} LIMIT :limit) AS e
          JOIN ticket t ON t.id = e.ticket JOIN operator o ON o.id = t.operator
         ORDER BY e.decided_at DESC, e.arrival DESC"""),  # noqa: S608 - constants of this module
        text(f"""
        SELECT {_EVENT_COLUMNS}
          FROM ({page} LIMIT :searched) AS e
         CROSS JOIN LATERAL (
               SELECT * FROM ticket WHERE id = e.ticket AND {_IS_OF_OPERATORS} LIMIT 1) AS t
         CROSS JOIN LATERAL (SELECT code FROM operator WHERE id = t.operator LIMIT 1) AS o
         ORDER BY e.decided_at DESC, e.arrival DESC LIMIT :limit"""),  # noqa: S608 - constants of this module
        text(f"""
        SELECT decided_at AS at, {_EVENT} AS kind, arrival AS number
          FROM ({page} OFFSET :searched - 1 LIMIT 1) AS e"""),  # noqa: S608 - constants of this module
    )


SOURCES: Final = {outcome: _event_source(outcome) for outcome in LISTABLE}
RAW_SOURCE: Final = _LineSource(
    text(f"SELECT {_RAW_COLUMNS} FROM ({_RAW_OF_PAGE} LIMIT :limit) AS r"),  # noqa: S608 - constants of this module
    text(f"""
    SELECT {_RAW_COLUMNS} FROM ({_RAW_OF_PAGE} LIMIT :searched) AS r
     WHERE r.operator = ANY(CAST(:operators AS text[]))
     ORDER BY r.rejected_at DESC, r.id DESC LIMIT :limit"""),  # noqa: S608 - constants of this module
    text(f"""
    SELECT rejected_at AS at, {_RAW} AS kind, id AS number
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
    """Return the events with this id, the newest tickets' first; *operators*: None means all.

    If many tickets have the id, the newest *searched* are searched, and at most `FOUND_MAX`
    returned. On one ticket (*ticket_id*) an event is always found.
    """
    parameters = {
        "event_id": event_id,
        "operators": _listed(operators),
        "limit": FOUND_MAX + 1,  # one more shows whether there are others
        "searched": searched,
    }
    if ticket_id is None:
        events, cut = _some(connection, FIND_EVENTS, parameters, beyond=EVENTS_BEYOND)
        raw, raw_cut = _some(connection, FIND_RAW, parameters, beyond=RAW_BEYOND)
        return EventsById((*events, *raw), cut or raw_cut)
    normal = normalize("NFC", ticket_id)  # as ticket ids are stored; raw input is stored as it came
    parameters |= {"ticket_id": normal, "ticket_ids": [ticket_id, normal]}
    find_raw, beyond = (
        (FIND_RAW_ON_TICKET, RAW_ON_TICKET_BEYOND)
        if operators is None
        else (FIND_RAW_ON_TICKET_OF, RAW_ON_TICKET_OF_BEYOND)
    )
    events, cut = _some(connection, FIND_ON_TICKET, parameters, beyond=None)
    raw, raw_cut = _some(connection, find_raw, parameters, beyond=beyond)
    return EventsById((*events, *raw), cut or raw_cut)


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
    start = after or Place(_ALWAYS, _EVENT, ARRIVALS_END)
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
        place=Place(at=row.pop("at"), kind=row.pop("kind"), number=row.pop("number")), **row
    )


def _listed(operators: Sequence[str] | None) -> list[str] | None:
    return None if operators is None else list(operators)
