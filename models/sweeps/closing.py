"""Closes the tickets whose close delay is over (rule 17), in one set-based statement per batch."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import Connection, TextClause, text

from models.database.one_by_one import together_or_one_by_one
from models.notices.short_body import PLAIN_BODY, SHORT, SINCE
from models.tickets.row import known
from models.vocabulary import RESULT_OF

# All that decides is in the ticket's own row (H41). The body is built here as `models.notices.pam`
# builds it, the key as `models.notices.key` does; tests compare them.
_IS_DUE: Final = """t.close_due_at IS NOT NULL AND t.parked = 0 AND t.status = 'resulted'
           AND t.on_hold_at IS NULL
           AND t.close_due_at
               <= least(CAST(:watermark AS timestamptz), CAST(:now AS timestamptz))"""
_DUE: Final = f"""
        SELECT t.id FROM ticket t
         WHERE {_IS_DUE}
         ORDER BY t.close_due_at LIMIT :limit"""  # noqa: S608 - a constant
DUE: Final = text(_DUE)
_ACTION_OF_RESULT: Final = " ".join(
    f"WHEN '{result}' THEN '{action}'" for action, result in RESULT_OF.items()
)
_IS_NOTIFIED: Final = """(o.protocol = 'pam' AND o.ended_at IS NULL
               AND (o.wants IS NULL
                    OR 'ticket_closed' = ANY (string_to_array(replace(o.wants, ' ', ''), ','))))"""
# By `notice_identity`.
_TRACE_OF_RESULT: Final = f"""SELECT n.traceparent FROM notice n
                 WHERE n.ticket = c.id AND n.action = CASE c.result {_ACTION_OF_RESULT} END
                   AND n.generation = c.generation AND n.repeat = 0"""  # noqa: S608 - a constant
_BODY: Final = PLAIN_BODY.format(action="'ticket_closed'", code="c.code", ticket_id="c.ticket_id")
_CLOSE: Final = f""",
    closed AS (
        UPDATE ticket t
           SET status = 'closed', closed_at = :now, close_due_at = NULL,
               notices = t.notices + CASE WHEN {_IS_NOTIFIED} THEN 1 ELSE 0 END,
               unfinished = t.unfinished + CASE WHEN {_IS_NOTIFIED} THEN 1 ELSE 0 END
          FROM due, operator o
         WHERE t.id = due.id AND o.id = t.operator
     RETURNING t.id, t.operator, t.ticket_id, t.notices, t.unfinished, t.generation,
               t.result, t.held_until, o.code, {_IS_NOTIFIED} AS is_notified),
    new_notice AS (
        INSERT INTO notice (ticket, operator, number, action, generation, body,
                            idempotency_key, head, due_at, created_at, traceparent)
        SELECT c.id, c.operator, c.notices, 'ticket_closed', c.generation,
               CASE WHEN {known(SINCE)} THEN '{SHORT}' ELSE {_BODY} END,
               CASE WHEN strpos(c.code || c.ticket_id, '/') > 0
                    THEN concat_ws(' ', c.code, c.ticket_id, 'ticket_closed', c.generation) END,
               c.unfinished = 1, greatest(CAST(:now AS timestamptz), c.held_until), :now,
               ({_TRACE_OF_RESULT})
          FROM closed c WHERE c.is_notified
     RETURNING id, traceparent)
    SELECT (SELECT count(*) FROM closed) AS closed,
           (SELECT jsonb_agg(jsonb_build_object('id', id, 'traceparent', traceparent))
              FROM new_notice WHERE traceparent IS NOT NULL) AS traced"""  # noqa: S608 - a constant
CLOSE_DUE: Final = text(f"WITH due AS MATERIALIZED ({_DUE} FOR NO KEY UPDATE SKIP LOCKED){_CLOSE}")
CLOSE_ONE: Final = text(f"""
    WITH due AS MATERIALIZED (
        SELECT t.id FROM ticket t WHERE t.id = :ticket AND {_IS_DUE}
           FOR NO KEY UPDATE SKIP LOCKED){_CLOSE}""")  # noqa: S608 - a constant


# Of the few closings whose trace is recorded.
NAME_TRACES: Final = text("""
    UPDATE notice n SET traceparent = r.traceparent
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, traceparent text)
     WHERE n.id = r.id""")

BeginTrace = Callable[[str], str | None]


def close_due(
    connection: Connection,
    *,
    now: datetime,
    watermark: datetime,
    limit: int,
    begin_trace: BeginTrace | None = None,
) -> int:
    """Close at most *limit* tickets that were due before *watermark*, and return the number closed.

    *watermark* is before the oldest unapplied event; it and *now* are times of the database's
    clock, as the due time is. A ticket that is locked, or that cannot be closed, is left for the
    next round. A seamless wallet gets no notice: its protocol has no such call (contracts 2.0).
    Nor does a partner once the partnership has ended (rule 24), or that does not want one (27).
    *begin_trace* returns the trace of a closing for that of its result; None, or without it: the
    notice belongs to the result's.
    """
    times = {"now": now, "watermark": watermark}

    def close(statement: TextClause, **more: int) -> int:
        row = connection.execute(statement, {**times, **more}).one()
        if begin_trace is not None and row.traced:
            _name_traces(connection, row.traced, begin_trace)
        closed: int = row.closed
        return closed

    return together_or_one_by_one(
        connection,
        lambda: close(CLOSE_DUE, limit=limit),
        tickets=lambda: connection.execute(DUE, {**times, "limit": limit}).scalars().all(),
        alone=lambda ticket: close(CLOSE_ONE, ticket=ticket),
    )


def _name_traces(
    connection: Connection, traced: Iterable[Mapping[str, Any]], begin_trace: BeginTrace
) -> None:
    rows = [
        {"id": notice["id"], "traceparent": own}
        for notice in traced
        if (own := begin_trace(notice["traceparent"])) is not None
    ]
    if rows:
        connection.execute(NAME_TRACES, {"rows": to_json(rows).decode()})
