"""Ends the tickets of an operator whose partnership has ended (rule 24), a batch at a time.

A ticket that has a result closes, another one is cancelled, one that nothing opened stays absent.
What is not delivered is skipped, what is parked is rejected. So nothing of it can happen any more,
and retention removes it like any other. All of a ticket happens in one transaction under its lock;
what is done is found no more, so a batch can be repeated, and the next one starts anywhere.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from models.lifecycle.machine import TRANSITIONS, Trigger
from models.vocabulary import PARTNER_ENDED, NoticeEnd, Outcome, Reason

MESSAGE: Final = "the partnership with its operator ended while it was parked"
CANCELLED_BY: Final = "the end of the partnership with its operator"

# By the indexes of unended tickets, of heads, of dead notices and of tickets on hold, which have no
# head: a ticket that ended before may have notices to skip. Nothing here costs more than the batch,
# however many are left. The row comparison and OFFSET 0 keep the planner from scans in the order of
# the ids, and of all tickets of the operator; few tickets are on hold.
_CANDIDATES: Final = """
    (SELECT t.id FROM ticket t
      WHERE (t.operator, t.id) > (:operator, :after) AND t.operator <= :operator
        AND t.closed_at IS NULL AND t.cancelled_at IS NULL
      ORDER BY t.operator, t.id LIMIT :limit)
    UNION
    (SELECT n.ticket FROM notice n
      WHERE n.operator = :operator AND n.head AND n.ended IS NULL LIMIT :limit)
    UNION
    (SELECT n.ticket FROM notice n
      WHERE n.operator = :operator AND n.ended = 'dead' LIMIT :limit)
    UNION
    (SELECT held.id
       FROM (SELECT t.id, t.operator FROM ticket t WHERE t.on_hold_at IS NOT NULL
              ORDER BY t.on_hold_at OFFSET 0) held
      WHERE held.operator = :operator LIMIT :limit)"""
FIND: Final = text(f"SELECT id FROM ({_CANDIDATES}) candidate ORDER BY id LIMIT :limit")  # noqa: S608 - a constant
# A batch waits for no lock: a ticket that another transaction has is found again by the next one.
LOCK: Final = text("""
    SELECT t.id, t.parked > 0 AS has_parked FROM ticket t WHERE t.id = ANY(:ids)
     ORDER BY t.id FOR NO KEY UPDATE SKIP LOCKED""")

REJECT_PARKED: Final = text(f"""
    UPDATE ticket_event e
       SET outcome = '{Outcome.REJECTED}', reason = '{Reason.OPERATOR_ENDED}', message = :message,
           status_before = standing.status, status_after = standing.status, park_until = NULL,
           decided_at = :now
      FROM (SELECT id, CASE t.result WHEN 'pending' THEN t.status
                            ELSE t.status || '/' || t.result END AS status
              FROM ticket t WHERE t.id = ANY(:ids)) standing
     WHERE e.ticket = standing.id AND e.ticket = ANY(:ids) AND e.outcome = '{Outcome.PARKED}'""")  # noqa: S608 - words of the domain

# A call may be under way: its notice has a lease, and its partner perhaps the notice.
SKIP_NOTICES: Final = text(f"""
    WITH unfinished AS MATERIALIZED (
        SELECT id FROM notice
         WHERE ticket = ANY(:ids) AND (ended IS NULL OR ended = '{NoticeEnd.DEAD}')
         ORDER BY id FOR NO KEY UPDATE)
    UPDATE notice n
       SET ended = '{NoticeEnd.SKIPPED}', ended_at = :now, reason = '{PARTNER_ENDED}', head = false,
           perhaps_delivered = n.perhaps_delivered OR n.lease IS NOT NULL,
           lease = NULL, leased_until = NULL
      FROM unfinished WHERE n.id = unfinished.id""")  # noqa: S608 - words of the domain

_ENDS: Final = {
    source.value: target.value
    for (source, trigger), (target, _) in TRANSITIONS.items()
    if trigger is Trigger.PARTNER_ENDED
}
_CASES: Final = " ".join(f"WHEN '{source}' THEN '{end}'" for source, end in _ENDS.items())
_STATUS: Final = f"CASE t.status {_CASES} ELSE t.status END"
# An absent one has `cancelled_at` too: from then on retention counts. No hold outlasts the end.
END_TICKETS: Final = text(f"""
    UPDATE ticket t
       SET status = {_STATUS}, changed_at = :now, parked = 0, unfinished = 0, close_due_at = NULL,
           on_hold_at = NULL,
           closed_at = CASE WHEN {_STATUS} = 'closed' THEN coalesce(t.closed_at, :now) END,
           cancelled_at = CASE WHEN {_STATUS} <> 'closed' THEN coalesce(t.cancelled_at, :now) END,
           cancelled_by = CASE WHEN {_STATUS} = 'cancelled'
                               THEN coalesce(t.cancelled_by, :cancelled_by) END
     WHERE t.id = ANY(:ids)""")  # noqa: S608 - words of the domain

END_PARTNERSHIP: Final = "end_partnership"  # the kind of job that ends an operator's tickets

FIND_OPERATOR: Final = text(
    "SELECT id, ended_at IS NOT NULL AS has_ended FROM operator WHERE code = :code"
)
COUNT_LEFT: Final = text(f"SELECT count(*) FROM ({_CANDIDATES}) candidate")  # noqa: S608 - a constant
# Without those whose job is at work. Jobs that have not ended are few, and have an index.
ENDED: Final = text(f"""
    SELECT o.id FROM operator o
     WHERE o.ended_at IS NOT NULL
       AND o.code <> ALL (ARRAY(SELECT j.arguments ->> 'operator' FROM job j
                                 WHERE j.ended_at IS NULL AND j.kind = '{END_PARTNERSHIP}'))
     ORDER BY o.id""")  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class FoundOperator:
    """An operator, and whether its partnership has ended."""

    id: int
    has_ended: bool


@dataclass(frozen=True, slots=True)
class EndedTickets:
    """What a batch ended. *last*: the last ticket it found; None: there was none to find."""

    tickets: int
    notices: int
    events: int
    last: int | None


def end_tickets(
    connection: Connection, operator: int, *, now: datetime, limit: int, after: int = 0
) -> EndedTickets:
    """End at most *limit* tickets of an ended operator in the caller's transaction.

    *after*: the id of the last ticket that was found before, so that no scan begins at what is
    done. The caller begins again at 0 until nothing is found: another transaction may have had a
    ticket, or made one before it could know of the end.
    """
    parameters = {"operator": operator, "after": after, "limit": limit}
    candidates = connection.execute(FIND, parameters).scalars().all()
    if not candidates:
        return EndedTickets(0, 0, 0, None)
    rows = connection.execute(LOCK, {"ids": candidates}).all()
    ids = [row.id for row in rows]
    if not ids:
        return EndedTickets(0, 0, 0, candidates[-1])
    events = 0
    if any(row.has_parked for row in rows):
        events = connection.execute(
            REJECT_PARKED, {"ids": ids, "now": now, "message": MESSAGE}
        ).rowcount
    notices = connection.execute(SKIP_NOTICES, {"ids": ids, "now": now}).rowcount
    connection.execute(END_TICKETS, {"ids": ids, "now": now, "cancelled_by": CANCELLED_BY})
    return EndedTickets(len(ids), notices, events, candidates[-1])


def find_ended_operator(connection: Connection, code: str) -> FoundOperator | None:
    """Return the operator with this code, if there is one, and whether its partnership ended."""
    row = connection.execute(FIND_OPERATOR, {"code": code}).one_or_none()
    return None if row is None else FoundOperator(row.id, row.has_ended)


def count_left(connection: Connection, operator: int, *, limit: int) -> int:
    """Return how many tickets are to be ended: exact below *limit*, else at least that many."""
    parameters = {"operator": operator, "after": 0, "limit": limit}
    left: int = connection.execute(COUNT_LEFT, parameters).scalar_one()
    return left


def end_leftover_tickets(connection: Connection, *, now: datetime, limit: int) -> int:
    """End at most *limit* tickets of each ended operator without a job at work; return how many.

    For the sweep, in each round: a batch that began before the end was committed may make a ticket
    after the job has found none, or a person has stopped the job. Costs three looks into an index
    for each ended operator.
    """
    operators = connection.execute(ENDED).scalars().all()
    return sum(
        end_tickets(connection, operator, now=now, limit=limit).tickets for operator in operators
    )
