"""The fast path of recording: nearly all attempts are successes, recorded here in one statement.

The rule "record a success" thus exists twice (decision 0011), and both must say the same:

| the rule                               | `RECORD_SUCCESSES`         | `models.outbox.record`    |
|----------------------------------------|----------------------------|---------------------------|
| the notice is unfinished (rule 14)     | CTE `delivered`, its WHERE | `_apply`                  |
| it ends as delivered, its lease ends   | CTE `delivered`, its SET   | `SentNotice.finish`       |
| it keeps the call that delivered it    | CTE `delivered`, its SET   | `SentNotice.keep`         |
| the ticket has one notice less to send | SET `unfinished`           | `deliver`                 |
| a result starts the clock (rule 16)    | SET `close_due_at`         | `deliver`                 |
| ... but a repeat does not (rule 22)    | SET `close_due_at`         | `deliver`                 |
| a healthy circuit does not change      | CTE `degraded`             | `CircuitState.on_success` |
| the next notice becomes the head       | `move_heads`               | `move_heads`              |

Which actions the fast path takes is `affects_clock_only`, which `record.deliver` branches on too.
Whatever else differs (another lease, a pause to keep, an open circuit, a response with more to keep
than a notice has columns for) is left to `record`. A test records the same attempts both ways and
compares the rows.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import Connection, text

from models.outbox.attempts import call_columns, is_plain
from models.outbox.notice_rows import move_heads
from models.outbox.values import Attempt, Delivered
from models.platform.clock import in_seconds
from models.vocabulary import RESULTS, SENT_ONCE, Action


def affects_clock_only(action: Action) -> bool:
    """Return whether a success of *action* changes no more of its ticket than the closing clock.

    A create or reserve that is accepted opens its ticket; a discard may be sent a second time.
    """
    return action not in SENT_ONCE and action is not Action.DISCARD


_ACTIONS: Final = frozenset(action for action in Action if affects_clock_only(action))
_RESULTS: Final = ", ".join(f"'{action}'" for action in sorted(RESULTS))

# All tickets of the batch are locked before anything else happens, in one order (rule 19): the
# condition on `locked` needs them all. A statement that had to wait for a lock sees the rows as
# they were when it began, but each row it changes is read again as it is now: a notice that has
# another lease or an end by then is left alone (rule 14), and a ticket counts, has the result, and
# is on hold or not, as it is now (rules 16 and 23). Following notices may be newer than the
# statement, so another one finds them (`move_heads`, E1).
RECORD_SUCCESSES = text(f"""
    WITH input AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS r(
                   notice bigint, lease uuid, took_ms int, http_status int, answer text,
                   remarks jsonb, sent_at timestamptz, remote_address inet, traceparent text)),
    locked AS MATERIALIZED (
        SELECT id FROM ticket WHERE id = ANY (CAST(:tickets AS bigint[])) ORDER BY id
           FOR NO KEY UPDATE),
    degraded AS MATERIALIZED (
        SELECT operator FROM circuit
         WHERE operator = ANY (CAST(:operators AS int[]))
           AND (refused > 0 OR (opened_at IS NOT NULL AND closed_at IS NULL))),
    delivered AS (
        UPDATE notice n
           SET ended = 'delivered', ended_at = :now, head = false, tries = n.tries + 1,
               lease = NULL, leased_until = NULL, took_ms = input.took_ms,
               http_status = input.http_status, answer = input.answer, remarks = input.remarks,
               sent_at = input.sent_at, remote_address = input.remote_address,
               call_traceparent = input.traceparent
          FROM input
         WHERE (SELECT count(*) FROM locked) > 0
           AND n.id = input.notice AND n.lease = input.lease AND n.ended IS NULL
           AND n.quiet_until IS NULL AND n.operator <> ALL (ARRAY(SELECT operator FROM degraded))
     RETURNING n.ticket, n.action, n.generation, n.repeat)
    UPDATE ticket t
       SET unfinished = t.unfinished - 1,
           close_due_at = CASE
               WHEN delivered.action IN ({_RESULTS}) AND t.status = 'resulted'
                    AND t.generation = delivered.generation AND delivered.repeat = 0
               THEN :now + (SELECT {in_seconds("o.close_delay")} FROM operator o
                             WHERE o.id = t.operator)
               ELSE t.close_due_at END
      FROM delivered
     WHERE t.id = delivered.ticket
 RETURNING t.id, t.unfinished > 0 AND t.on_hold_at IS NULL AS needs_head, t.held_until""")  # noqa: S608 - words of the domain


@dataclass(frozen=True, slots=True)
class FastPathResult:
    """The attempts that were *recorded* and the *rest*. *due*: a following notice is due now."""

    recorded: Sequence[Attempt]
    rest: Sequence[Attempt]
    due: bool


def record_successes(
    connection: Connection,
    attempts: Sequence[Attempt],
    *,
    now: datetime,
    to_open: Collection[int],
) -> FastPathResult:
    """Record the simple successes in the caller's transaction; lock the tickets of all attempts.

    A success is simple if its notice still has the attempt's lease and no earlier call to wait for,
    if it leaves its partner's circuit as it is, if the notice can keep all that is known of it, and
    if it is the first attempt on its ticket. It is not if the batch holds a failure of the same
    operator or is to open its circuit (*to_open*).
    """
    candidates = _first_of_each_ticket(attempts, to_open)
    if not candidates:
        return FastPathResult((), attempts, due=False)
    tickets = connection.execute(
        RECORD_SUCCESSES,
        {
            "rows": to_json([_row(attempt) for attempt in candidates.values()]).decode(),
            "tickets": _array(attempt.claim.ticket for attempt in attempts),
            "operators": _array(attempt.claim.operator for attempt in candidates.values()),
            "now": now,
        },
    ).all()
    done = {ticket: candidates[ticket] for ticket, _, _ in tickets}
    followed = {ticket: held_until for ticket, needs_head, held_until in tickets if needs_head}
    due = move_heads(connection, followed, now=now)
    if len(done) == len(attempts):
        return FastPathResult(attempts, (), due=due)
    recorded = [attempt for attempt in attempts if done.get(attempt.claim.ticket) is attempt]
    rest = [attempt for attempt in attempts if done.get(attempt.claim.ticket) is not attempt]
    return FastPathResult(recorded, rest, due=due)


def _first_of_each_ticket(
    attempts: Sequence[Attempt], to_open: Collection[int]
) -> dict[int, Attempt]:
    """Return the candidates by ticket. A circuit gets all its attempts in their order."""
    excluded = {*to_open}
    first: dict[int, Attempt] = {}
    for attempt in attempts:
        first.setdefault(attempt.claim.ticket, attempt)
        if not isinstance(attempt.verdict, Delivered):
            excluded.add(attempt.claim.operator)
    return {
        ticket: attempt
        for ticket, attempt in first.items()
        if attempt.claim.action in _ACTIONS
        and attempt.claim.operator not in excluded
        and is_plain(attempt)
    }


def _array(ids: Iterable[int]) -> str:
    """Return an array as PostgreSQL reads it, in order; psycopg takes longer for each of a list."""
    return "{" + ",".join(map(str, sorted(set(ids)))) + "}"


def _row(attempt: Attempt) -> dict[str, Any]:
    return {
        "notice": attempt.claim.notice,
        "lease": attempt.claim.lease,
        **call_columns(attempt),
    }
