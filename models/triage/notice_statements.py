"""The statements of `models.triage.notice_lists`: for each source of notices, its index.

A statement takes at most `:share` notices of each partner in the order of their time. Where a
partner's share is full, more may come after it: what lies beyond the nearest such end (`reached`)
belongs to the next page, so that the merged list has no gap.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import TextClause, text

from models.outbox.attempts import ATTEMPTS, first_attempts
from models.vocabulary import NoticeEnd


@dataclass(frozen=True, slots=True)
class NoticeSource:
    """Where a list's notices come from. *by_operator*: each operator has a share of its own."""

    statement: TextClause
    by_operator: bool = True
    by_attempt: bool = False  # the last attempt is needed whatever is asked for


COUNT_OPERATORS: Final = text("SELECT count(*) FROM operator")

# Within the time that is asked for, and behind the page before.
_WINDOW = """{at} >= greatest(CAST(:since AS timestamptz), CAST({from_} AS timestamptz))
                  AND {at} <= least(CAST(:until AS timestamptz), CAST({to} AS timestamptz))
                  AND (CAST(:after_at AS timestamptz) IS NULL
                       OR ({at}, {id}) {beyond} (:after_at, CAST(:after_id AS bigint)))"""
_OF_EACH = """
          FROM (SELECT id FROM operator
                 WHERE (CAST(:operator AS text) IS NULL OR code = :operator) OFFSET 0) o
         CROSS JOIN LATERAL ({part}) c"""
# All but the operator and the time is decided about those that are examined.
_STATEMENT = """
    WITH candidate AS MATERIALIZED (
        SELECT c.* {candidates}),
    reached AS MATERIALIZED (
        SELECT at, id
          FROM (SELECT DISTINCT ON (part) at, id, count(*) OVER (PARTITION BY part) AS number
                  FROM candidate ORDER BY part, at {reverse}, id {reverse}) last
         WHERE number >= :share ORDER BY at {order}, id {order} LIMIT 1),
    examined AS MATERIALIZED (
        SELECT c.* FROM candidate c
         WHERE ((c.at, c.id) {within} (SELECT at, id FROM reached)) IS NOT FALSE
         ORDER BY c.at {order}, c.id {order}),
    matching AS (
        SELECT c.id, c.at FROM examined c
          LEFT JOIN LATERAL (SELECT a.claim, a.http_status, a.answer FROM {attempts} a
                              WHERE a.notice = c.id
                                AND (CAST(:by_attempt AS boolean) OR {by_attempt})
                              ORDER BY a.claim DESC LIMIT 1) a ON true
         WHERE ({matches}
           AND (CAST(:ended AS text) IS NULL OR c.ended = :ended)
           AND (CAST(:action AS text) IS NULL OR c.action = :action)
           AND (CAST(:reason AS text) IS NULL
                OR strpos(lower(c.reason), lower(CAST(:reason AS text))) > 0)
           AND (CAST(:ticket_id AS text) IS NULL
                OR (SELECT ticket_id FROM ticket WHERE id = c.ticket) = :ticket_id)
           AND (CAST(:http_status AS int) IS NULL OR a.http_status = :http_status)
           AND (CAST(:answer AS text) IS NULL
                OR strpos(lower(a.answer), lower(CAST(:answer AS text))) > 0)) IS TRUE
         ORDER BY c.at {order}, c.id {order} LIMIT :limit)
    SELECT m.id, m.at, r.at AS reached_at, r.id AS reached_id,
           (SELECT count(*) FROM examined) AS examined
      FROM (SELECT) one LEFT JOIN reached r ON true LEFT JOIN matching m ON true
     ORDER BY m.at {order}, m.id {order}"""


def _source(
    candidates: str,
    *,
    at: str,
    number: str,
    matches: str = "true",
    soonest_first: bool = False,
    by_operator: bool = True,
    by_attempt: bool = False,
) -> NoticeSource:
    ways = {"order": "DESC", "reverse": "ASC", "within": ">=", "beyond": "<"}
    ends = {"from_": "'-infinity'", "to": "coalesce(:after_at, timestamptz 'infinity')"}
    if soonest_first:
        ways = {"order": "ASC", "reverse": "DESC", "within": "<=", "beyond": ">"}
        ends = {"from_": "coalesce(:after_at, timestamptz '-infinity')", "to": "'infinity'"}
    window = _WINDOW.format(at=at, id=number, beyond=ways["beyond"], **ends)
    ordered = f"ORDER BY {at} {ways['order']}, {number} {ways['order']} LIMIT :share"
    part = candidates.format(window=window, ordered=ordered)
    statement = _STATEMENT.format(
        candidates=_OF_EACH.format(part=part) if by_operator else f"FROM ({part}) c",
        matches=matches,
        by_attempt=str(by_attempt).lower(),
        attempts=ATTEMPTS,
        **ways,
    )
    return NoticeSource(text(statement), by_operator, by_attempt)


def ended_as(end: NoticeEnd) -> NoticeSource:
    """Return the source of notices that have ended so, by the index that has these.

    The word stands in the statement: only then does PostgreSQL use the partial index.
    """
    return _source(
        f"""
               SELECT d.operator AS part, d.id, d.ticket, d.ended_at AS at, d.action, d.reason,
                      d.ended
                 FROM notice d
                WHERE d.operator = o.id AND d.ended = '{end.value}' AND {{window}} {{ordered}}""",  # noqa: S608 - a word of ours
        at="d.ended_at",
        number="d.id",
    )


# By `notice_due`: the heads, the next to be tried first.
WAITING: Final = _source(
    """
               SELECT d.operator AS part, d.id, d.ticket, d.due_at AS at, d.action, d.reason,
                      d.ended
                 FROM notice d
                WHERE d.operator = o.id AND d.head AND d.ended IS NULL AND {window} {ordered}""",
    at="d.due_at",
    number="d.id",
    soonest_first=True,
)
# By `ticket_on_hold`. Few are; each has its first unfinished notice here.
ON_HOLD: Final = _source(
    """
        SELECT 0 AS part, n.id, t.id AS ticket, t.on_hold_at AS at, n.action, n.reason, n.ended
          FROM ticket t
          JOIN operator o ON o.id = t.operator
         CROSS JOIN LATERAL (
               SELECT f.id, f.action, f.reason, f.ended FROM notice f
                WHERE f.ticket = t.id AND (f.ended IS NULL OR f.ended = 'dead')
                ORDER BY f.number LIMIT 1) n
         WHERE t.on_hold_at IS NOT NULL
           AND (CAST(:operator AS text) IS NULL OR o.code = :operator) AND {window} {ordered}""",
    at="t.on_hold_at",
    number="n.id",
    by_operator=False,
)
# A notice stands at its last attempt alone.
_LAST_TRIED: Final = first_attempts(
    "a.notice, a.claim, a.operator, a.recorded_at", "a.operator = o.id AND {window}", "{ordered}"
)
TRIED: Final = _source(
    f"""
               SELECT l.operator AS part, n.id, n.ticket, l.recorded_at AS at, n.action, n.reason,
                      n.ended, l.claim
                 FROM (SELECT * FROM {_LAST_TRIED} a {{ordered}}) l
                 JOIN notice n ON n.id = l.notice""",  # noqa: S608 - a constant
    at="a.recorded_at",
    number="a.notice",
    matches="a.claim = c.claim",
    by_attempt=True,
)

FACTS: Final = text(f"""
    SELECT n.id, o.code AS operator, t.ticket_id, n.action, n.generation, n.repeat, n.created_at,
           n.due_at, n.leased_until, n.ended, n.ended_at, n.reason, n.perhaps_delivered, n.tries,
           a.verdict, a.http_status, a.problem, a.answer, a.recorded_at AS last_tried_at,
           (SELECT count(*) FROM (
                SELECT FROM notice b
                 WHERE b.ticket = n.ticket AND b.number > n.number
                   AND (b.ended IS NULL OR b.ended = 'dead') LIMIT :behind_max) waiting) AS behind,
           c.opened_at IS NOT NULL AND c.closed_at IS NULL AS circuit_open, t.on_hold_at,
           o.disabled_at AS operator_disabled_at, o.ended_at AS operator_ended_at
      FROM notice n JOIN ticket t ON t.id = n.ticket JOIN operator o ON o.id = n.operator
      LEFT JOIN circuit c ON c.operator = o.id
      LEFT JOIN LATERAL (SELECT verdict, http_status, problem, left(answer, 2000) AS answer,
                                recorded_at
                           FROM {ATTEMPTS} a
                          WHERE a.notice = n.id ORDER BY a.claim DESC LIMIT 1) a ON true
     WHERE n.id = ANY(:ids)""")  # noqa: S608 - a constant
