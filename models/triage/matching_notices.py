"""Dead notices that match a selection, a bounded stretch at a time, for jobs.

Operator by operator and oldest first, by the index `notice_dead`. A stretch examines a bounded
number of dead notices, however few of them match: what it costs depends on neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from models.outbox.attempts import ATTEMPTS
from models.platform.bounded_count import COUNT_MAX, BoundedCount
from models.triage.values import Selection

EXAMINED_MIN: Final = 500  # in a stretch
EXAMINED_PER_ITEM: Final = 5
COUNT_EXAMINED_MAX: Final = 2 * COUNT_MAX

# All but the operator and the time is decided outside, about those that are examined.
_MATCHES: Final = """
    ((CAST(:action AS text) IS NULL OR c.action = :action)
     AND (CAST(:reason AS text) IS NULL
          OR strpos(lower(c.reason), lower(CAST(:reason AS text))) > 0)
     AND (CAST(:ticket_id AS text) IS NULL
          OR (SELECT ticket_id FROM ticket WHERE id = c.ticket) = :ticket_id)
     AND (CAST(:http_status AS int) IS NULL OR a.http_status = :http_status)
     AND (CAST(:answer AS text) IS NULL
          OR strpos(lower(a.answer), lower(CAST(:answer AS text))) > 0)) IS TRUE"""
_LAST_ATTEMPT: Final = f"""
      LEFT JOIN LATERAL (SELECT a.http_status, a.answer FROM {ATTEMPTS} a
                          WHERE a.notice = c.id AND CAST(:by_attempt AS boolean)
                          ORDER BY a.claim DESC LIMIT 1) a ON true"""  # noqa: S608 - a constant
STRETCH: Final = text(f"""
    WITH candidate AS MATERIALIZED (
        SELECT n.*
          FROM (SELECT id FROM operator
                 WHERE (CAST(:operator AS text) IS NULL OR code = :operator)
                   AND id >= :after_operator
                 ORDER BY id OFFSET 0) o
         CROSS JOIN LATERAL (
               SELECT d.id, d.operator, d.ticket, d.ended_at, d.action, d.reason FROM notice d
                WHERE d.operator = o.id AND d.ended = 'dead'
                  AND d.ended_at >= CASE WHEN o.id = :after_operator
                                         THEN CAST(:after_at AS timestamptz)
                                         ELSE coalesce(:since, timestamptz '-infinity') END
                  AND (o.id > :after_operator OR (d.ended_at, d.id) > (:after_at, :after_id))
                  AND d.ended_at <= coalesce(:until, timestamptz 'infinity')
                ORDER BY d.ended_at, d.id LIMIT :examined) n
         ORDER BY o.id, n.ended_at, n.id LIMIT :examined)
    SELECT c.id, c.ticket, c.operator, c.ended_at, {_MATCHES} AS matches
      FROM candidate c {_LAST_ATTEMPT}
     ORDER BY c.operator, c.ended_at, c.id""")  # noqa: S608 - constants
COUNT: Final = text(f"""
    WITH candidate AS MATERIALIZED (
        SELECT n.*
          FROM (SELECT id FROM operator
                 WHERE (CAST(:operator AS text) IS NULL OR code = :operator) OFFSET 0) o
         CROSS JOIN LATERAL (
               SELECT d.id, d.ticket, d.action, d.reason FROM notice d
                WHERE d.operator = o.id AND d.ended = 'dead'
                  AND d.ended_at >= coalesce(:since, timestamptz '-infinity')
                  AND d.ended_at <= coalesce(:until, timestamptz 'infinity')
                OFFSET 0) n
         LIMIT :examined)
    SELECT (SELECT count(*) FROM candidate) AS examined,
           (SELECT count(*) FROM (
                SELECT FROM candidate c {_LAST_ATTEMPT}
                 WHERE {_MATCHES} LIMIT :limit) matching) AS matching""")  # noqa: S608 - constants


class DeadPlace(NamedTuple):
    """A place among the dead notices: after this one."""

    operator: int
    at: datetime
    number: int  # its id


@dataclass(frozen=True, slots=True)
class DeadStretch:
    """The notices that match, and where to continue. *last*: nothing comes after them."""

    notices: Sequence[int]
    place: DeadPlace | None
    last: bool


def next_dead(
    connection: Connection, selection: Selection, *, after: DeadPlace | None, limit: int
) -> DeadStretch:
    """Return the next dead notices that match, at most *limit*, perhaps none of many examined."""
    examined = max(EXAMINED_MIN, EXAMINED_PER_ITEM * limit)
    operator, at, number = after or (0, None, 0)
    parameters = {
        **selection.parameters(limit),
        "examined": examined,
        "after_operator": operator,
        "after_at": at,
        "after_id": number,
    }
    rows = connection.execute(STRETCH, parameters).all()
    return _stretch(rows, limit, more=len(rows) == examined)


def count_dead(connection: Connection, selection: Selection) -> BoundedCount:
    """Count the dead notices that match, among a bounded number of them."""
    parameters = {**selection.parameters(COUNT_MAX + 1), "examined": COUNT_EXAMINED_MAX}
    row = connection.execute(COUNT, parameters).one()
    count = BoundedCount.of(row.matching)
    return count._replace(exact=count.exact and row.examined < COUNT_EXAMINED_MAX)


def _stretch(rows: Sequence[Any], limit: int, *, more: bool) -> DeadStretch:
    matching: list[int] = []
    for row in rows:
        if not row.matches:
            continue
        matching.append(row.id)
        if len(matching) == limit:
            is_last = not more and row is rows[-1]
            return DeadStretch(matching, DeadPlace(row.operator, row.ended_at, row.id), is_last)
    end = rows[-1] if rows else None
    place = None if end is None else DeadPlace(end.operator, end.ended_at, end.id)
    return DeadStretch(matching, place, not more)
