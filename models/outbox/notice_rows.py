"""The rows behind `record`: notices locked and changed, heads moved on, attempts kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Connection, text

from models.outbox.values import Attempt, Claim, Dead, Delivered, RetryLater, Unanswered, Verdict
from models.vocabulary import Action, NoticeEnd

LOCK_NOTICES = text("""
    SELECT id, action, generation, lease, leased_until, due_at, postponed_at, tries,
           first_tried_at, quiet_until, perhaps_delivered, ended, head, reason,
           CASE action WHEN 'ticket_discard' THEN body END AS body
      FROM notice WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE""")

UPDATE_NOTICES = text("""
    UPDATE notice n
       SET lease = r.lease, leased_until = r.leased_until, due_at = r.due_at,
           postponed_at = r.postponed_at, tries = r.tries, first_tried_at = r.first_tried_at,
           quiet_until = r.quiet_until,
           perhaps_delivered = r.perhaps_delivered, ended = r.ended,
           ended_at = CASE WHEN r.ended IS NOT NULL THEN :now END, head = r.head, reason = r.reason
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               id bigint, lease uuid, leased_until timestamptz, due_at timestamptz,
               postponed_at timestamptz, tries int, first_tried_at timestamptz,
               quiet_until timestamptz, perhaps_delivered bool, ended text, head bool, reason text)
     WHERE n.id = r.id""")

# The oldest notice that is not done becomes the head; a dead one does too, and blocks (H38).
MOVE_HEADS = text("""
    UPDATE notice n
       SET head = true, due_at = greatest(n.due_at, r.held_until)
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(ticket bigint, held_until timestamptz)
     CROSS JOIN LATERAL (
           SELECT f.id FROM notice f
            WHERE f.ticket = r.ticket AND (f.ended IS NULL OR f.ended = 'dead')
            ORDER BY f.number LIMIT 1) oldest
     WHERE n.id = oldest.id
 RETURNING n.due_at <= :now AND n.ended IS NULL AS due""")

INSERT_ATTEMPTS = text("""
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, http_status, problem,
                                  answer, remarks, recorded_at)
    SELECT r.*, :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               notice bigint, claim int, operator int, verdict text, took_ms int, http_status int,
               problem text, answer text, remarks jsonb)
        ON CONFLICT (notice, claim) DO NOTHING""")


# A partner that is dead for months is probed every 15 s. Of each notice the first failures stay,
# which say how it began, and the newest: as many as a ticket's story shows.
FAILURES_FIRST: Final = 50
FAILURES_NEWEST: Final = 450
THINNED_AT_ONCE: Final = 50  # of each notice
THIN_OUT = text("""
    WITH old AS MATERIALIZED (
        SELECT a.notice, a.claim
          FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(notice bigint, claim int)
         CROSS JOIN LATERAL (
               SELECT d.notice, d.claim FROM delivery_attempt d
                WHERE d.notice = r.notice AND d.claim > :first AND d.claim <= r.claim - :newest
                  AND d.verdict <> 'delivered'
                ORDER BY d.claim LIMIT :most) a)
    DELETE FROM delivery_attempt d USING old WHERE d.notice = old.notice AND d.claim = old.claim""")


@dataclass(slots=True)
class SentNotice:
    """A locked notice, as recording changes it."""

    id: int
    action: Action
    generation: int
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
    body: str | None  # of a discard, which may be owed again
    changed: bool = False

    def finish(self, end: NoticeEnd) -> None:
        """It is done: its follower may go."""
        self.ended, self.head, self.changed = end, False, True
        self.lease = self.leased_until = None
        self.tries += 1

    def revive(self, *, now: datetime) -> None:
        """From dead to due: a person wants it tried again, with a schedule of its own."""
        self.ended = self.reason = self.first_tried_at = None
        self.tries, self.due_at, self.changed = 0, max(now, self.quiet_until or now), True

    def postpone(self, verdict: Verdict, *, claim: Claim, now: datetime, counted: bool) -> None:
        """It stays the head: due again later, or dead until a person acts.

        *counted*: an attempt of its schedule is used up; not so while a circuit is open. The time
        from the claim until now does not count: the database may have been away meanwhile.
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
                raise AssertionError("what was delivered is finished, not postponed")
            case _:
                assert_never(verdict)


def lock_notices(connection: Connection, ids: Iterable[int]) -> dict[int, SentNotice]:
    """The notices of *ids*, locked; their tickets are locked already (rule 19)."""
    rows = connection.execute(LOCK_NOTICES, {"ids": sorted(set(ids))})
    return {
        row.id: SentNotice(
            row.id,
            Action(row.action),
            row.generation,
            row.lease,
            row.leased_until,
            row.due_at,
            row.postponed_at,
            row.tries,
            row.first_tried_at,
            row.quiet_until,
            row.perhaps_delivered,
            None if row.ended is None else NoticeEnd(row.ended),
            row.head,
            row.reason,
            row.body,
        )
        for row in rows
    }


def update_notices(connection: Connection, notices: Iterable[SentNotice], *, now: datetime) -> None:
    """Store the notices that were finished or postponed."""
    rows = [
        {
            "id": one.id,
            "lease": one.lease,
            "leased_until": one.leased_until,
            "due_at": one.due_at,
            "postponed_at": one.postponed_at,
            "tries": one.tries,
            "first_tried_at": one.first_tried_at,
            "quiet_until": one.quiet_until,
            "perhaps_delivered": one.perhaps_delivered,
            "ended": one.ended,
            "head": one.head,
            "reason": one.reason,
        }
        for one in notices
        if one.changed
    ]
    if rows:
        connection.execute(UPDATE_NOTICES, {"rows": to_json(rows).decode(), "now": now})


def move_heads(
    connection: Connection, tickets: Mapping[int, datetime | None], *, now: datetime
) -> bool:
    """Make the next notice of each ticket its head; *tickets* with the time they are held until.

    True: one of them is due now. A statement of its own, under the tickets' locks: the next notice
    may have been written while the lock was waited for (protocol E1).
    """
    if not tickets:
        return False
    rows = [{"ticket": ticket, "held_until": until} for ticket, until in tickets.items()]
    moved = connection.execute(MOVE_HEADS, {"rows": to_json(rows).decode(), "now": now})
    return any(row.due for row in moved.all())


def insert_attempts(connection: Connection, attempts: Sequence[Attempt], *, now: datetime) -> None:
    """Keep each attempt, also the late ones that changed nothing; thin out what failed long ago."""
    rows = [
        {
            "notice": one.claim.notice,
            "claim": one.claim.number,
            "operator": one.claim.operator,
            "verdict": one.verdict.word,
            "took_ms": round(one.took.total_seconds() * 1000),
            "http_status": one.http_status,
            "problem": one.problem,
            "answer": one.answer,
            "remarks": one.remarks,
        }
        for one in attempts
    ]
    connection.execute(INSERT_ATTEMPTS, {"rows": to_json(rows).decode(), "now": now})
    many = [
        {"notice": one.claim.notice, "claim": one.claim.number}
        for one in attempts
        if one.claim.number > FAILURES_FIRST + FAILURES_NEWEST
    ]
    if many:
        connection.execute(
            THIN_OUT,
            {
                "rows": to_json(many).decode(),
                "first": FAILURES_FIRST,
                "newest": FAILURES_NEWEST,
                "most": THINNED_AT_ONCE,
            },
        )
