"""Events and raw input that match a selection, a bounded stretch at a time, for jobs.

Oldest first, by the indexes `ticket_event_listed` and `rejected_input_listed`. A stretch examines a
bounded number of them, however few match.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from models.platform.bounded_count import COUNT_MAX, BoundedCount
from models.triage.queries import NEEDING_A_PERSON
from models.triage.values import Selection
from models.vocabulary import Outcome

EXAMINED_MIN: Final = 500  # in a stretch
EXAMINED_PER_ITEM: Final = 5
COUNT_EXAMINED_MAX: Final = 2 * COUNT_MAX

# With the outcome as a literal, for the partial index (`models.triage.queries`).
_EVENTS: Final = """
        SELECT e.ticket, e.event_id, e.action, e.reason, e.decided_at AS at, e.arrival AS number
          FROM ticket_event e
         WHERE e.outcome = '{outcome}' AND e.dropped_at IS NULL
           AND e.decided_at
               >= coalesce(CAST(:after_at AS timestamptz), :since, timestamptz '-infinity')
           AND (CAST(:after_at AS timestamptz) IS NULL
                OR (e.decided_at, e.arrival) > (:after_at, :after_number))
           AND e.decided_at <= coalesce(:until, timestamptz 'infinity')
         ORDER BY e.decided_at, e.arrival LIMIT :examined"""
_EVENT_MATCHES: Final = """
    ((CAST(:operator AS text) IS NULL OR o.code = :operator)
     AND (CAST(:ticket_id AS text) IS NULL OR t.ticket_id = :ticket_id)
     AND (CAST(:action AS text) IS NULL OR c.action = :action)
     AND (CAST(:reason AS text) IS NULL OR c.reason = :reason)) IS TRUE"""
_RAW: Final = """
        SELECT r.entry_id, r.operator, r.ticket_id, r.reason, r.rejected_at AS at, r.id AS number
          FROM rejected_input r
         WHERE r.dropped_at IS NULL
           AND r.rejected_at
               >= coalesce(CAST(:after_at AS timestamptz), :since, timestamptz '-infinity')
           AND (CAST(:after_at AS timestamptz) IS NULL
                OR (r.rejected_at, r.id) > (:after_at, :after_number))
           AND r.rejected_at <= coalesce(:until, timestamptz 'infinity')
         ORDER BY r.rejected_at, r.id LIMIT :examined"""
_RAW_MATCHES: Final = """
    (CAST(:action AS text) IS NULL
     AND (CAST(:operator AS text) IS NULL OR c.operator = :operator)
     AND (CAST(:ticket_id AS text) IS NULL OR c.ticket_id = :ticket_id)
     AND (CAST(:reason AS text) IS NULL OR c.reason = :reason)) IS TRUE"""
_OF_TICKETS: Final = "JOIN ticket t ON t.id = c.ticket JOIN operator o ON o.id = t.operator"

EVENTS: Final = {
    outcome: text(f"""
    WITH candidate AS MATERIALIZED ({_EVENTS.format(outcome=outcome)})
    SELECT c.at, c.number, c.ticket, c.event_id, {_EVENT_MATCHES} AS matches
      FROM candidate c {_OF_TICKETS} ORDER BY c.at, c.number""")  # noqa: S608 - constants
    for outcome in NEEDING_A_PERSON
}
RAW: Final = text(f"""
    WITH candidate AS MATERIALIZED ({_RAW})
    SELECT c.at, c.number, c.entry_id, {_RAW_MATCHES} AS matches
      FROM candidate c ORDER BY c.at, c.number""")  # noqa: S608 - constants
COUNT_EVENTS: Final = {
    outcome: text(f"""
    WITH candidate AS MATERIALIZED ({_EVENTS.format(outcome=outcome)})
    SELECT count(*) AS examined, count(*) FILTER (WHERE {_EVENT_MATCHES}) AS matching
      FROM candidate c {_OF_TICKETS}""")  # noqa: S608 - constants
    for outcome in NEEDING_A_PERSON
}
COUNT_RAW: Final = text(f"""
    WITH candidate AS MATERIALIZED ({_RAW})
    SELECT count(*) AS examined, count(*) FILTER (WHERE {_RAW_MATCHES}) AS matching
      FROM candidate c""")  # noqa: S608 - constants


class EventPlace(NamedTuple):
    """A place among events or raw input: after the one of this time and number."""

    at: datetime
    number: int


@dataclass(frozen=True, slots=True)
class EventStretch:
    """The rows that match, and where to continue. *last*: nothing comes after them.

    A row has `ticket` and `event_id`, or `entry_id` for raw input.
    """

    rows: Sequence[Any]
    place: EventPlace | None
    last: bool


def next_events(
    connection: Connection,
    outcome: Outcome,
    selection: Selection,
    *,
    after: EventPlace | None,
    limit: int,
) -> EventStretch:
    """Return the next events that match, at most *limit*, perhaps none of many examined."""
    return _next(connection, EVENTS[outcome], selection, after=after, limit=limit)


def next_raw(
    connection: Connection, selection: Selection, *, after: EventPlace | None, limit: int
) -> EventStretch:
    """Return the next raw input that matches, as `next_events` does."""
    return _next(connection, RAW, selection, after=after, limit=limit)


def count_events(connection: Connection, outcome: Outcome, selection: Selection) -> BoundedCount:
    """Count what matches, raw input among the rejected, among a bounded number of them."""
    statements = [COUNT_EVENTS[outcome]]
    if outcome is Outcome.REJECTED:
        statements.append(COUNT_RAW)
    parameters = _parameters(selection, None, COUNT_EXAMINED_MAX)
    rows = [connection.execute(statement, parameters).one() for statement in statements]
    count = BoundedCount.of(sum(row.matching for row in rows))
    all_examined = all(row.examined < COUNT_EXAMINED_MAX for row in rows)
    return count._replace(exact=count.exact and all_examined)


def _next(
    connection: Connection,
    statement: Any,  # noqa: ANN401 - SQLAlchemy's text, whose type says nothing
    selection: Selection,
    *,
    after: EventPlace | None,
    limit: int,
) -> EventStretch:
    examined = max(EXAMINED_MIN, EXAMINED_PER_ITEM * limit)
    rows = connection.execute(statement, _parameters(selection, after, examined)).all()
    more = len(rows) == examined
    matching = []
    for row in rows:
        if not row.matches:
            continue
        matching.append(row)
        if len(matching) == limit:
            is_last = not more and row is rows[-1]
            return EventStretch(matching, EventPlace(row.at, row.number), is_last)
    place = EventPlace(rows[-1].at, rows[-1].number) if rows else None
    return EventStretch(matching, place, not more)


def _parameters(selection: Selection, after: EventPlace | None, examined: int) -> dict[str, Any]:
    return {
        **selection.parameters(examined),
        "examined": examined,
        "after_at": None if after is None else after.at,
        "after_number": 0 if after is None else after.number,
    }
