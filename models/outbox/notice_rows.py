"""The rows that recording changes: notices locked and stored, heads moved, attempts inserted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Connection, text

from models.outbox.attempts import call_columns
from models.outbox.unwanted import end_unwanted
from models.outbox.values import Attempt, Claim, Dead, Delivered, RetryLater, Unanswered, Verdict
from models.vocabulary import Action, NoticeEnd

LOCK_NOTICES = text("""
    SELECT id, action, generation, repeat, lease, leased_until, due_at, postponed_at, tries,
           first_tried_at, quiet_until, perhaps_delivered, ended, head, reason, traceparent, claims,
           took_ms IS NOT NULL AS keeps_call,
           CASE action WHEN 'ticket_discard' THEN body END AS body
      FROM notice WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE""")

UPDATE_NOTICES = text("""
    UPDATE notice n
       SET lease = r.lease, leased_until = r.leased_until, due_at = r.due_at,
           postponed_at = r.postponed_at, tries = r.tries, first_tried_at = r.first_tried_at,
           quiet_until = r.quiet_until,
           perhaps_delivered = r.perhaps_delivered, ended = r.ended,
           ended_at = CASE WHEN r.ended IS NOT NULL THEN :now END, head = r.head,
           reason = r.reason, took_ms = r.took_ms, http_status = r.http_status, answer = r.answer,
           remarks = r.remarks, sent_at = r.sent_at, remote_address = r.remote_address,
           call_traceparent = r.traceparent
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               id bigint, lease uuid, leased_until timestamptz, due_at timestamptz,
               postponed_at timestamptz, tries int, first_tried_at timestamptz,
               quiet_until timestamptz, perhaps_delivered bool, ended text, head bool, reason text,
               took_ms int, http_status int, answer text, remarks jsonb, sent_at timestamptz,
               remote_address inet, traceparent text)
     WHERE n.id = r.id""")

# The oldest unfinished notice becomes the head; so does a dead letter, which blocks (H38).
MOVE_HEADS = text("""
    UPDATE notice n
       SET head = true, due_at = greatest(n.due_at, input.held_until)
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS input(ticket bigint, held_until timestamptz)
     CROSS JOIN LATERAL (
           SELECT f.id FROM notice f
            WHERE f.ticket = input.ticket AND (f.ended IS NULL OR f.ended = 'dead')
            ORDER BY f.number LIMIT 1) oldest
     WHERE n.id = oldest.id
 RETURNING n.ticket, n.unwanted, n.due_at <= :now AND n.ended IS NULL AS due""")

INSERT_ATTEMPTS = text("""
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, http_status, problem,
                                  answer, remarks, sent_at, remote_address, response_headers,
                                  traceparent, recorded_at)
    SELECT r.*, :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               notice bigint, claim int, operator int, verdict text, took_ms int, http_status int,
               problem text, answer text, remarks jsonb, sent_at timestamptz, remote_address inet,
               response_headers jsonb, traceparent text)
        ON CONFLICT (notice, claim) DO NOTHING""")


# A partner that fails for months is probed every 15 s. Of each notice the first failures are kept,
# which show how it began, and the newest: as many as a ticket's history shows.
FAILURES_FIRST: Final = 50
FAILURES_NEWEST: Final = 450
DELETED_AT_ONCE: Final = 50  # of each notice
DELETE_OLD_FAILURES = text("""
    WITH old AS MATERIALIZED (
        SELECT failure.notice, failure.claim
          FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS input(notice bigint, claim int)
         CROSS JOIN LATERAL (
               SELECT d.notice, d.claim FROM delivery_attempt d
                WHERE d.notice = input.notice AND d.claim > :first
                  AND d.claim <= input.claim - :newest AND d.verdict <> 'delivered'
                ORDER BY d.claim LIMIT :deleted_max) failure)
    DELETE FROM delivery_attempt d USING old WHERE d.notice = old.notice AND d.claim = old.claim""")


@dataclass(slots=True)
class SentNotice:
    """A locked notice while recording changes it."""

    id: int
    action: Action
    generation: int
    repeat: int  # rule 22; 0: the original
    lease: UUID | None
    leased_until: datetime | None
    due_at: datetime
    postponed_at: datetime | None  # a circuit that closed since then makes it due
    tries: int
    first_tried_at: datetime | None
    quiet_until: datetime | None
    perhaps_delivered: bool
    ended: NoticeEnd | None
    head: bool
    reason: str | None
    body: str | None  # of a discard only, which may be sent a second time
    traceparent: str | None = None
    claims: int = 0
    keeps_call: bool = False  # that delivered it: the attempt under its last claim
    call: Attempt | None = None  # such a one, to be stored
    changed: bool = False

    def finish(self, end: NoticeEnd) -> None:
        """End the notice: the next one of its ticket may go."""
        self.ended, self.head, self.changed = end, False, True
        self.lease = self.leased_until = None
        self.tries += 1

    def keep(self, attempt: Attempt) -> None:
        """Keep the call that delivers the notice, under its present lease."""
        self.call, self.keeps_call = attempt, True

    def has_kept(self, attempt: Attempt) -> bool:
        """Whether this is the attempt that the notice keeps, perhaps since an earlier recording."""
        return self.keeps_call and attempt.claim.number == self.claims

    def revive(self, *, now: datetime) -> None:
        """Make a dead letter due again, with a new retry schedule, as a person decided."""
        self.ended = self.reason = self.first_tried_at = None
        self.tries, self.due_at, self.changed = 0, max(now, self.quiet_until or now), True

    def postpone(self, verdict: Verdict, *, claim: Claim, now: datetime, counted: bool) -> None:
        """Keep the notice as head: due again later, or a dead letter until a person acts.

        *counted*: the attempt counts against its schedule, which it does not while a circuit is
        open. The time from the claim until now does not count: the database may have been down.
        """
        began = claim.first_tried_at or (claim.claimed_at if counted else None)
        self.first_tried_at = None if began is None else began + (now - claim.claimed_at)
        self.tries += counted
        self.postponed_at = now
        self.lease = self.leased_until = None
        self.changed = True
        match verdict:
            case RetryLater(pause):
                self.due_at = now + pause
            case Unanswered(pause):
                self.due_at = max(now + pause, self.quiet_until or now)
            case Dead(reason):
                self.ended, self.reason = NoticeEnd.DEAD, reason
            case Delivered():
                raise AssertionError("a delivered notice is finished, not postponed")
            case _:
                assert_never(verdict)


def lock_notices(connection: Connection, ids: Iterable[int]) -> dict[int, SentNotice]:
    """Lock and return the notices of *ids*, whose tickets are locked already (rule 19)."""
    rows = connection.execute(LOCK_NOTICES, {"ids": sorted(set(ids))})
    return {
        row.id: SentNotice(
            id=row.id,
            action=Action(row.action),
            generation=row.generation,
            repeat=row.repeat,
            lease=row.lease,
            leased_until=row.leased_until,
            due_at=row.due_at,
            postponed_at=row.postponed_at,
            tries=row.tries,
            first_tried_at=row.first_tried_at,
            quiet_until=row.quiet_until,
            perhaps_delivered=row.perhaps_delivered,
            ended=None if row.ended is None else NoticeEnd(row.ended),
            head=row.head,
            reason=row.reason,
            body=row.body,
            traceparent=row.traceparent,
            claims=row.claims,
            keeps_call=row.keeps_call,
        )
        for row in rows
    }


def update_notices(connection: Connection, notices: Iterable[SentNotice], *, now: datetime) -> None:
    """Store the notices that were finished or postponed. One that keeps a call never changes."""
    rows = [
        {
            "id": notice.id,
            "lease": notice.lease,
            "leased_until": notice.leased_until,
            "due_at": notice.due_at,
            "postponed_at": notice.postponed_at,
            "tries": notice.tries,
            "first_tried_at": notice.first_tried_at,
            "quiet_until": notice.quiet_until,
            "perhaps_delivered": notice.perhaps_delivered,
            "ended": notice.ended,
            "head": notice.head,
            "reason": notice.reason,
            **({} if notice.call is None else call_columns(notice.call)),
        }
        for notice in notices
        if notice.changed
    ]
    if rows:
        connection.execute(UPDATE_NOTICES, {"rows": to_json(rows).decode(), "now": now})


def move_heads(
    connection: Connection, tickets: Mapping[int, datetime | None], *, now: datetime
) -> bool:
    """Make the next notice of each ticket its head, and return whether one of them is due now.

    *tickets*: those that need a head (`TicketState.needs_head`), each with the time before which
    nothing is sent on it. A statement of its own, under the tickets'
    locks: the next notice may have been inserted while this transaction waited for the lock (E1).
    """
    if not tickets:
        return False
    rows = [{"ticket": ticket, "held_until": until} for ticket, until in tickets.items()]
    moved = connection.execute(MOVE_HEADS, {"rows": to_json(rows).decode(), "now": now}).all()
    unwanted = [row.ticket for row in moved if row.unwanted]
    due = any(row.due for row in moved if not row.unwanted)
    if unwanted:  # what follows those is wanted
        due |= move_heads(connection, end_unwanted(connection, unwanted, now=now), now=now)
    return due


def insert_attempts(connection: Connection, attempts: Sequence[Attempt], *, now: datetime) -> None:
    """Insert each attempt, also late ones that changed nothing; delete failures beyond a limit."""
    if not attempts:
        return
    rows = [
        {
            "notice": attempt.claim.notice,
            "claim": attempt.claim.number,
            "operator": attempt.claim.operator,
            "verdict": attempt.verdict.word,
            "problem": attempt.problem,
            "response_headers": attempt.response_headers,
            **call_columns(attempt),
        }
        for attempt in attempts
    ]
    connection.execute(INSERT_ATTEMPTS, {"rows": to_json(rows).decode(), "now": now})
    long_failing = [
        {"notice": attempt.claim.notice, "claim": attempt.claim.number}
        for attempt in attempts
        if attempt.claim.number > FAILURES_FIRST + FAILURES_NEWEST
    ]
    if long_failing:
        connection.execute(
            DELETE_OLD_FAILURES,
            {
                "rows": to_json(long_failing).decode(),
                "first": FAILURES_FIRST,
                "newest": FAILURES_NEWEST,
                "deleted_max": DELETED_AT_ONCE,
            },
        )
