"""Record what came of attempts: one transaction under the tickets' locks (rules 13 to 16).

Notice finished, head moved, clock set, create lane moved and parked events decided: together.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from models.lifecycle import answers
from models.lifecycle.ticket import Owed, TicketState
from models.lifecycle.turn import take_turn
from models.lifecycle.words import RESULTS, SENT_ONCE, Action, NoticeEnd, Status
from models.outbox.ledger import (
    SentNotice,
    insert_attempts,
    lock_notices,
    move_heads,
    update_notices,
)
from models.outbox.values import Attempt, Dead, Delivered, Recorded, Unanswered, Verdict
from models.tickets.lock import lock_by_id, parked_of
from models.tickets.store import Turn, store

DISCARD_AGAIN_AFTER = timedelta(minutes=30)  # contracts: BetStack 1.6, discard


def record(
    connection: Connection,
    attempts: Sequence[Attempt],
    *,
    now: datetime,
    partner_grace: timedelta,
    parking_window: timedelta,
) -> Recorded:
    """Record *attempts* inside the caller's transaction.

    A success counts from anyone while the notice is unfinished or dead; everything else needs the
    lease's token, so that one who was too slow changes nothing (rule 14). Create and reserve are
    never sent twice: all but success cancels their ticket (rule 10).
    """
    tickets = lock_by_id(connection, (one.claim.ticket for one in attempts))
    were_new = {ticket.id for ticket in tickets.values() if ticket.status is Status.NEW}
    notices = lock_notices(connection, (one.claim.notice for one in attempts))
    finished: dict[int, TicketState] = {}
    for attempt in attempts:
        ticket, notice = tickets[attempt.claim.ticket], notices[attempt.claim.notice]
        if _judge(ticket, notice, attempt, now=now, partner_grace=partner_grace):
            finished[ticket.id] = ticket
    followed = [ticket for ticket in finished.values() if ticket.unfinished]
    turns = decide_parked(
        connection, tickets.values(), were_new=were_new, now=now, window=parking_window
    )
    due = store(connection, turns, now=now)
    update_notices(connection, notices.values(), now=now)
    due = move_heads(connection, followed, now=now) or due
    insert_attempts(connection, attempts, now=now)
    return Recorded(Counter(type(one.verdict).__name__.lower() for one in attempts), due=due)


def decide_parked(
    connection: Connection,
    tickets: Iterable[TicketState],
    *,
    were_new: set[int],
    now: datetime,
    window: timedelta,
) -> list[Turn]:
    """Decide again what waits on tickets that have just moved (rule 5)."""
    moved = [ticket for ticket in tickets if ticket.touched]
    parked = parked_of(connection, moved)
    return [
        Turn(
            ticket,
            take_turn(
                ticket, parked[ticket.id], now=now, window=window, was_new=ticket.id in were_new
            ),
        )
        for ticket in moved
    ]


def _judge(
    ticket: TicketState,
    notice: SentNotice,
    attempt: Attempt,
    *,
    now: datetime,
    partner_grace: timedelta,
) -> bool:
    """What the attempt does to its notice and ticket. True: the notice is finished by it."""
    verdict, claim = attempt.verdict, attempt.claim
    if isinstance(verdict, Delivered):
        if notice.ended not in (None, NoticeEnd.DEAD):
            return False
        if notice.lease != claim.lease and notice.leased_until is not None:
            _hold(ticket, notice.leased_until)  # somebody else is still sending it
        deliver(ticket, notice, now=now)
        return True
    if notice.ended is not None or notice.lease != claim.lease:
        return False
    if isinstance(verdict, Unanswered) or (isinstance(verdict, Dead) and verdict.perhaps_delivered):
        notice.perhaps_delivered = True
        notice.quiet_until = now + partner_grace
    if notice.action in SENT_ONCE:
        _refuse(ticket, notice, verdict, attempt.problem or attempt.http_status)
        return True
    notice.postpone(verdict, first_tried_at=claim.claimed_at, now=now)
    return False


def deliver(ticket: TicketState, notice: SentNotice, *, now: datetime) -> None:
    """The partner has it: the notice is done, and what depends on it happens, in memory."""
    if notice.quiet_until is not None:
        _hold(ticket, notice.quiet_until)
    notice.finish(NoticeEnd.DELIVERED)
    _one_less(ticket)
    if notice.action in SENT_ONCE:
        answers.taken(ticket, notice.action)
    elif notice.action in RESULTS:
        # Rule 16: the result the ticket stands at, not one that was rolled back meanwhile.
        if ticket.status is Status.RESULTED and ticket.generation == notice.generation:
            ticket.close_due_at = now + ticket.terms.close_delay
    elif notice.action is Action.DISCARD and ticket.in_doubt:
        ticket.in_doubt = False
        again = Owed(
            Action.DISCARD,
            notice.generation + 1,
            {"reason": ticket.cancelled_by},
            event_id=None,
            not_before=now + DISCARD_AGAIN_AFTER,
        )
        ticket.owed.append(again)


def _refuse(
    ticket: TicketState, notice: SentNotice, verdict: Verdict, problem: str | int | None
) -> None:
    if notice.quiet_until is not None:
        _hold(ticket, notice.quiet_until)
    notice.finish(NoticeEnd.REFUSED)
    _one_less(ticket)
    why = "the partner refused it" if isinstance(verdict, Dead) else "no good answer came"
    if problem is not None:
        why = f"{why}: {problem}"
    answers.refused(ticket, notice.action, why=why, in_doubt=not isinstance(verdict, Dead))


def _one_less(ticket: TicketState) -> None:
    ticket.unfinished -= 1
    ticket.touched = True


def _hold(ticket: TicketState, until: datetime) -> None:
    ticket.held_until = max(until, ticket.held_until or until)
