"""Events that need a person, page by page and by reason, newest first. Reads only.

Rejected events and raw input are one list. A page examines a bounded stretch of it by the indexes
`ticket_event_listed` and `rejected_input_listed`, so it may hold less than was asked for, even
nothing, and still not be the last one. All events of one ticket are found by its row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple

from annotated_types import Ge, Le
from pydantic import AwareDatetime
from sqlalchemy import Connection, TextClause, text

from models.history.ticket_status import TICKET_STATUS
from models.triage.queries import NEEDING_A_PERSON
from models.triage.values import Listed, Selection
from models.vocabulary import Outcome

EXAMINED_MAX: Final = 5_000  # rows for a page
COUNTED_MAX: Final = 10_000  # rows for the overview by reason
_NUMBER_MAX: Final = 2**63 - 1
_EVENT, _RAW = 0, 1  # the sources of the list; raw input comes first at the same moment

# The outcome is a literal, for the partial index (`models.triage.queries`).
_EVENTS: Final = """
   SELECT e.decided_at AS at, 0 AS source, e.arrival AS number, e.ticket, e.event_id, e.action,
          e.reason, NULL AS operator, NULL AS ticket_id
     FROM {events} e
    WHERE e.outcome = '{outcome}' AND e.dropped_at IS NULL
      AND e.decided_at <= coalesce(CAST(:upper_at AS timestamptz), timestamptz 'infinity')
      AND e.decided_at >= coalesce(CAST(:since AS timestamptz), timestamptz '-infinity')
      AND (CAST(:upper_at AS timestamptz) IS NULL
           OR (e.decided_at, 0, e.arrival) < (:upper_at, :upper_source, :upper_number))
    ORDER BY e.decided_at DESC, e.arrival DESC LIMIT :examined"""
_INPUT: Final = """
   SELECT r.rejected_at AS at, 1 AS source, r.id AS number, NULL AS ticket, NULL AS event_id,
          NULL AS action, r.reason, r.operator, r.ticket_id
     FROM {entries} r
    WHERE r.dropped_at IS NULL
      AND r.rejected_at <= coalesce(CAST(:upper_at AS timestamptz), timestamptz 'infinity')
      AND r.rejected_at >= coalesce(CAST(:since AS timestamptz), timestamptz '-infinity')
      AND (CAST(:upper_at AS timestamptz) IS NULL
           OR (r.rejected_at, 1, r.id) < (:upper_at, :upper_source, :upper_number))
    ORDER BY r.rejected_at DESC, r.id DESC LIMIT :examined"""
# OFFSET 0: by the ticket first, or a planner that knows little walks the whole list for it.
_EVENTS_OF_TICKET: Final = """
          (SELECT * FROM ticket_event
            WHERE ticket = ANY(ARRAY(
                  SELECT t.id FROM operator o
                    JOIN ticket t ON t.operator = o.id AND t.ticket_id = :ticket_id))
           OFFSET 0)"""
_ENTRIES_OF_TICKET: Final = "(SELECT * FROM rejected_input WHERE ticket_id = :ticket_id OFFSET 0)"
_NEWEST_FIRST: Final = "at DESC, source DESC, number DESC"
_MATCHING: Final = """
   SELECT c.at, c.source, c.number, c.ticket, c.event_id, c.reason
     FROM candidate c
     LEFT JOIN ticket t ON t.id = c.ticket
     LEFT JOIN operator o ON o.id = t.operator
    WHERE (CAST(:operator AS text) IS NULL OR coalesce(o.code, c.operator) = :operator)
      AND (CAST(:ticket_id AS text) IS NULL OR coalesce(t.ticket_id, c.ticket_id) = :ticket_id)
      AND (CAST(:action AS text) IS NULL OR c.action = :action)
      AND (CAST(:reason AS text) IS NULL OR c.reason = :reason)"""
_LINE: Final = f"""
    coalesce(e.event_id, r.entry_id) AS id, m.source = 1 AS is_raw,
    coalesce(o.code, r.operator) AS operator, coalesce(t.ticket_id, r.ticket_id) AS ticket_id,
    coalesce(e.event_id, r.event_id) AS event_id, coalesce(e.entry_id, r.entry_id) AS entry_id,
    e.action, coalesce(e.reason, r.reason) AS reason, coalesce(e.message, r.message) AS message,
    e.sequence, e.occurred_at, coalesce(e.received_at, r.received_at) AS received_at, e.park_until,
    CASE WHEN t.id IS NULL THEN NULL ELSE {TICKET_STATUS} END AS status"""
_LINE_ROWS: Final = """
      LEFT JOIN ticket_event e ON m.source = 0 AND e.ticket = m.ticket AND e.event_id = m.event_id
      LEFT JOIN rejected_input r ON m.source = 1 AND r.id = m.number
      LEFT JOIN ticket t ON t.id = m.ticket
      LEFT JOIN operator o ON o.id = t.operator"""


def _candidates(outcome: Outcome, *, of_ticket: bool) -> str:
    events = _EVENTS.format(
        outcome=outcome, events=_EVENTS_OF_TICKET if of_ticket else "ticket_event"
    )
    if outcome is not Outcome.REJECTED:
        return f"({events})"
    raw = _INPUT.format(entries=_ENTRIES_OF_TICKET if of_ticket else "rejected_input")
    return f"""
        (SELECT * FROM (({events}) UNION ALL ({raw})) AS both_sources
          ORDER BY {_NEWEST_FIRST} LIMIT :examined)"""  # noqa: S608 - constants


def _page(outcome: Outcome, *, of_ticket: bool) -> TextClause:
    return text(f"""
      WITH candidate AS MATERIALIZED {_candidates(outcome, of_ticket=of_ticket)},
      seen AS (SELECT count(*) AS examined FROM candidate),
      last AS (SELECT at, source, number FROM candidate ORDER BY at, source, number LIMIT 1),
      matching AS MATERIALIZED ({_MATCHING} ORDER BY {_NEWEST_FIRST} LIMIT :limit)
    SELECT m.at, m.source, m.number, {_LINE},
           seen.examined, last.at AS last_at, last.source AS last_source, last.number AS last_number
      FROM seen
      LEFT JOIN last ON true
      LEFT JOIN matching m ON true {_LINE_ROWS}
     ORDER BY m.at DESC, m.source DESC, m.number DESC""")  # noqa: S608 - constants


def _by_reason(outcome: Outcome, *, of_ticket: bool) -> TextClause:
    return text(f"""
      WITH candidate AS MATERIALIZED {_candidates(outcome, of_ticket=of_ticket)},
      seen AS (SELECT count(*) AS examined FROM candidate),
      matching AS MATERIALIZED ({_MATCHING}),
      counted AS (
        SELECT coalesce(reason, '') AS reason, count(*) AS number FROM matching GROUP BY 1),
      newest AS (
        SELECT DISTINCT ON (coalesce(reason, '')) coalesce(reason, '') AS of_reason, m.*
          FROM matching m ORDER BY coalesce(reason, ''), {_NEWEST_FIRST})
    SELECT m.at, {_LINE}, counted.number AS counted, seen.examined
      FROM seen
      LEFT JOIN (counted JOIN newest m ON m.of_reason = counted.reason) ON true {_LINE_ROWS}
     ORDER BY counted.number DESC, m.at DESC""")  # noqa: S608 - constants


_Variant = tuple[Outcome, bool]
_VARIANTS: Final = [(outcome, narrow) for outcome in NEEDING_A_PERSON for narrow in (False, True)]
PAGES: Final[Mapping[_Variant, TextClause]] = {
    (outcome, narrow): _page(outcome, of_ticket=narrow) for outcome, narrow in _VARIANTS
}
BY_REASON: Final[Mapping[_Variant, TextClause]] = {
    (outcome, narrow): _by_reason(outcome, of_ticket=narrow) for outcome, narrow in _VARIANTS
}

_NEWEST_EVENTS: Final = """
   SELECT e.decided_at AS at FROM ticket_event e
    WHERE e.outcome = '{outcome}' AND e.dropped_at IS NULL
    ORDER BY e.decided_at DESC LIMIT :limit"""
_NEWEST_INPUT: Final = """
   SELECT r.rejected_at AS at FROM rejected_input r
    WHERE r.dropped_at IS NULL ORDER BY r.rejected_at DESC LIMIT :limit"""
_SHAPE: Final = "SELECT count(*) AS number, max(at) AS newest, min(at) AS oldest FROM"
NEWEST: Final[Mapping[Outcome, TextClause]] = {
    outcome: text(f"{_SHAPE} ({_NEWEST_EVENTS.format(outcome=outcome)}) AS newest")
    if outcome is not Outcome.REJECTED
    else text(f"""
       {_SHAPE} (({_NEWEST_EVENTS.format(outcome=outcome)}) UNION ALL ({_NEWEST_INPUT})) AS n""")
    for outcome in NEEDING_A_PERSON
}


class OpenEventPlace(NamedTuple):
    """A place in the list: after the line of this time, source and number, towards older ones."""

    at: AwareDatetime
    source: Annotated[int, Ge(_EVENT), Le(_RAW)]
    number: Annotated[int, Ge(0), Le(_NUMBER_MAX)]


@dataclass(frozen=True, slots=True)
class OpenEventPage:
    """A page of the list. *next*: where the next page begins; None: this is the last one."""

    lines: Sequence[Listed]
    next: OpenEventPlace | None
    examined: int


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many events have a reason, among those examined, and the newest of them."""

    reason: str | None
    number: int
    newest: Listed


@dataclass(frozen=True, slots=True)
class ReasonOverview:
    """The reasons, the most frequent first. *complete*: all that match were counted."""

    reasons: Sequence[ReasonCount]
    examined: int

    @property
    def complete(self) -> bool:
        """Whether nothing older was left out."""
        return self.examined < COUNTED_MAX


def list_open_events(
    connection: Connection,
    outcome: Outcome,
    selection: Selection,
    *,
    after: OpenEventPlace | None = None,
    limit: int,
) -> OpenEventPage:
    """Return the next events that match, newest first, at most *limit*.

    *outcome* is one of `NEEDING_A_PERSON`; rejected ones include raw input.
    """
    statement = PAGES[outcome, selection.ticket_id is not None]
    parameters = _parameters(selection, after, limit=limit + 1, examined=EXAMINED_MAX)
    rows = connection.execute(statement, parameters).all()
    matching = [row for row in rows if row.at is not None]
    examined: int = rows[0].examined
    if len(matching) > limit:
        end = matching[limit - 1]
        place = OpenEventPlace(end.at, end.source, end.number)
        return OpenEventPage([_line(row, outcome) for row in matching[:limit]], place, examined)
    last = rows[0]
    more = examined == EXAMINED_MAX
    place_of_last = OpenEventPlace(last.last_at, last.last_source, last.last_number)
    lines = [_line(row, outcome) for row in matching]
    return OpenEventPage(lines, place_of_last if more else None, examined)


def count_by_reason(
    connection: Connection, outcome: Outcome, selection: Selection
) -> ReasonOverview:
    """Count what matches by reason, among the newest `COUNTED_MAX` of all that have *outcome*."""
    statement = BY_REASON[outcome, selection.ticket_id is not None]
    parameters = _parameters(selection, None, limit=0, examined=COUNTED_MAX)
    rows = connection.execute(statement, parameters).all()
    reasons = [
        ReasonCount(row.reason, row.counted, _line(row, outcome))
        for row in rows
        if row.at is not None
    ]
    return ReasonOverview(reasons, rows[0].examined)


def count_open(connection: Connection, outcome: Outcome, *, most: int) -> tuple[int, object]:
    """Return how many there are, more than *most* if there are more, and a mark of the newest.

    The mark differs when one of the newest came or went.
    """
    row = connection.execute(NEWEST[outcome], {"limit": most + 1}).one()
    return row.number, (row.number, row.newest, row.oldest)


def _parameters(
    selection: Selection, after: OpenEventPlace | None, *, limit: int, examined: int
) -> dict[str, Any]:
    upper: datetime | None = selection.until if after is None else after.at
    return {
        **selection.parameters(limit),
        "upper_at": upper,
        "upper_source": _RAW if after is None else after.source,
        "upper_number": _NUMBER_MAX if after is None else after.number,
        "examined": examined,
    }


_COLUMNS: Final = tuple(name for name in Listed.__dataclass_fields__ if name != "outcome")


def _line(row: Any, outcome: Outcome) -> Listed:  # noqa: ANN401 - SQLAlchemy's row
    facts = {name: getattr(row, name) for name in _COLUMNS}
    return Listed(outcome=outcome.value, **facts)
