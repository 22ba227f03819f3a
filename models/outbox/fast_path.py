"""Record what nearly all attempts are, in one statement: the partner took a notice that is ours.

What is decided here is decided by `models.outbox.record` as well, for everything else; a test has
both record the same attempts and compares what they leave.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import Connection, text

from models.outbox.notice_rows import move_heads
from models.outbox.values import Attempt, Delivered
from models.platform.clock import in_seconds
from models.vocabulary import RESULTS, SENT_ONCE, Action

# A create that is taken opens its ticket, a discard may be owed a second time: not plain.
_PLAIN_ACTIONS: Final = frozenset(Action) - SENT_ONCE - {Action.DISCARD}
_RESULTS: Final = ", ".join(f"'{action}'" for action in sorted(RESULTS))

# All tickets of the batch are locked before anything else happens, in one order (rule 19): the
# condition on `locked` needs them all. Whoever had to wait for one sees its rows as they were when
# the statement began, but each row that is changed is looked at again as it is now: a notice that
# has another lease or an end by then is left alone (rule 14), and a ticket counts, and stands, as
# it does now (rule 16). Followers may be newer than the statement: they are somebody else's
# (`move_heads`, protocol E1).
RECORD_SUCCESSES = text(f"""
    WITH given AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
                   notice bigint, claim int, operator int, lease uuid, took_ms int,
                   http_status int, answer text, remarks jsonb)),
    locked AS MATERIALIZED (
        SELECT id FROM ticket WHERE id = ANY(:tickets) ORDER BY id FOR NO KEY UPDATE),
    unwell AS MATERIALIZED (
        SELECT operator FROM circuit
         WHERE operator = ANY(:operators)
           AND (refused > 0 OR (opened_at IS NOT NULL AND closed_at IS NULL))),
    told AS (
        UPDATE notice n
           SET ended = 'delivered', ended_at = :now, head = false, tries = n.tries + 1,
               lease = NULL, leased_until = NULL
          FROM given g
         WHERE (SELECT count(*) FROM locked) > 0
           AND n.id = g.notice AND n.lease = g.lease AND n.ended IS NULL
           AND n.quiet_until IS NULL AND n.operator <> ALL (ARRAY(SELECT operator FROM unwell))
     RETURNING n.ticket, n.action, n.generation, g.*),
    kept AS (
        INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, http_status,
                                      answer, remarks, recorded_at)
        SELECT notice, claim, operator, 'delivered', took_ms, http_status, answer, remarks, :now
          FROM told
            ON CONFLICT (notice, claim) DO NOTHING)
    UPDATE ticket t
       SET unfinished = t.unfinished - 1, changed_at = :now,
           close_due_at = CASE
               WHEN told.action IN ({_RESULTS}) AND t.status = 'resulted'
                    AND t.generation = told.generation
               THEN :now + (SELECT {in_seconds("o.close_delay")} FROM operator o
                             WHERE o.id = t.operator)
               ELSE t.close_due_at END
      FROM told
     WHERE t.id = told.ticket
 RETURNING t.id, t.unfinished, t.held_until""")  # noqa: S608 - words of the domain


@dataclass(frozen=True, slots=True)
class FastPathResult:
    """The attempts that were *recorded* and the *rest*. *due*: a follower is due now."""

    recorded: Sequence[Attempt]
    rest: Sequence[Attempt]
    due: bool


def record_successes(
    connection: Connection,
    attempts: Sequence[Attempt],
    *,
    now: datetime,
    given_up: Collection[int],
) -> FastPathResult:
    """Record the plain ones of *attempts* inside the caller's transaction; lock all their tickets.

    Plain is the success of a notice that still has the attempt's lease, with no earlier call to
    wait for; at a partner whose circuit it leaves as it is, and of whom nothing else is to be
    recorded; the first of its ticket.
    """
    chosen = _candidates(attempts, given_up)
    if not chosen:
        return FastPathResult((), attempts, due=False)
    told = connection.execute(
        RECORD_SUCCESSES,
        {
            "rows": to_json([_row(one) for one in chosen.values()]).decode(),
            "tickets": sorted({one.claim.ticket for one in attempts}),
            "operators": sorted({one.claim.operator for one in chosen.values()}),
            "now": now,
        },
    ).all()
    done = {ticket for ticket, _, _ in told}
    followed = {ticket: held_until for ticket, unfinished, held_until in told if unfinished}
    recorded: list[Attempt] = []
    rest: list[Attempt] = []
    for one in attempts:
        ticket = one.claim.ticket
        (recorded if ticket in done and chosen[ticket] is one else rest).append(one)
    return FastPathResult(recorded, rest, due=move_heads(connection, followed, now=now))


def _candidates(attempts: Sequence[Attempt], given_up: Collection[int]) -> dict[int, Attempt]:
    """The first of each ticket that may be plain. What a circuit hears, it hears in order."""
    apart = {*given_up}
    apart.update(one.claim.operator for one in attempts if not isinstance(one.verdict, Delivered))
    chosen: dict[int, Attempt] = {}
    for one in attempts:
        if one.claim.action in _PLAIN_ACTIONS and one.claim.operator not in apart:
            chosen.setdefault(one.claim.ticket, one)
    return chosen


def _row(one: Attempt) -> dict[str, Any]:
    return {
        "notice": one.claim.notice,
        "claim": one.claim.number,
        "operator": one.claim.operator,
        "lease": one.claim.lease,
        "took_ms": round(one.took.total_seconds() * 1000),
        "http_status": one.http_status,
        "answer": one.answer,
        "remarks": one.remarks,
    }
