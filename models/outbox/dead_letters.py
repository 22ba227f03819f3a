"""A person's resolution of a dead notice (rule 18). The caller records who made it and why."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from sqlalchemy import Connection, text

from models.lifecycle.ticket import TicketState, refused_since
from models.outbox.notice_rows import SentNotice, lock_notices, move_heads, update_notices
from models.outbox.record import decide_parked, deliver
from models.platform.errors import SlipwayError
from models.tickets.load import lock_by_id
from models.tickets.save import save_changes
from models.vocabulary import RESULTS, Action, NoticeEnd

# Without a body the partner's protocol has no such call: there is nothing to send.
READ_NOTICE = text("SELECT ticket, body = '' AS unsendable, reason FROM notice WHERE id = :id")

# The rollback of a result that the partner never received is withdrawn; what waits behind goes on.
WITHDRAW_ROLLBACK = text("""
    UPDATE notice SET ended = 'withdrawn', ended_at = :now, head = false,
           reason = 'the partner never received the result it takes back'
     WHERE ticket = :ticket AND action = 'ticket_rollback' AND generation = :generation
       AND (ended IS NULL OR ended = 'dead')""")


class Resolution(StrEnum):
    """What a person decided about a dead notice."""

    RETRY = "retry"
    SKIP_DELIVERED = "skip_delivered"  # the partner has it: success, recorded now
    SKIP_NOT_DELIVERED = "skip_not_delivered"  # the partner does not have it and never gets it
    SKIP_REPEAT = "skip_repeat"  # its original was delivered, so nothing follows (rule 22)


class NotPossible(SlipwayError):
    """This resolution is refused; the message says why, *instead* which ones are possible."""

    def __init__(self, message: str, *, instead: tuple[Resolution, ...] = ()) -> None:
        """Keep the message for people, and the other resolutions."""
        super().__init__(message)
        self.instead = instead


@dataclass(frozen=True, slots=True)
class Resolved:
    """The ticket whose notice was resolved. *due*: one of its notices is due now."""

    ticket: int
    due: bool


def resolve(
    connection: Connection, notice_id: int, resolution: Resolution, *, now: datetime
) -> Resolved:
    """Resolve a dead notice inside the caller's transaction.

    `RETRY`: it is due now, with a new retry schedule. `SKIP_DELIVERED`: as if its success were
    recorded now; a result's close delay starts. `SKIP_NOT_DELIVERED`: for results (whose rollback,
    present or future, is withdrawn, and which start no close delay), update, discard and closed;
    never for a rollback: the notices behind it would be false (H39). `SKIP_REPEAT`: for repeats,
    for which either other skip means the same (rule 22). Raises NotPossible.
    """
    row = connection.execute(READ_NOTICE, {"id": notice_id}).one_or_none()
    if row is None:
        raise NotPossible(f"there is no notice {notice_id}")
    ticket = lock_by_id(connection, [row.ticket])[row.ticket]
    notice = lock_notices(connection, [notice_id])[notice_id]
    if notice.ended is not NoticeEnd.DEAD:
        raise NotPossible(f"notice {notice_id} is not dead ({notice.ended or 'waiting'})")
    match resolution:
        case Resolution.RETRY:
            _check_sendable(ticket, unsendable=row.reason if row.unsendable else None)
            notice.revive(now=now)
        case _ if notice.repeat:
            _finish_skipped(ticket, notice)
        case Resolution.SKIP_REPEAT:
            raise NotPossible(
                f"notice {notice_id} is no repeat: say whether the partner has it",
                instead=(Resolution.SKIP_DELIVERED, Resolution.SKIP_NOT_DELIVERED),
            )
        case Resolution.SKIP_DELIVERED:
            deliver(ticket, notice, now=now)
        case Resolution.SKIP_NOT_DELIVERED:
            _skip(connection, ticket, notice, now=now)
        case _:
            assert_never(resolution)
    # Nothing new is parked here, so no window is given.
    changes = decide_parked(connection, [ticket], were_new=set(), now=now, window=timedelta(0))
    due = save_changes(connection, changes, now=now)
    update_notices(connection, [notice], now=now)
    if ticket.needs_head:
        due = move_heads(connection, {ticket.id: ticket.held_until}, now=now) or due
    return Resolved(ticket.id, due)


def _check_sendable(ticket: TicketState, *, unsendable: str | None) -> None:
    if unsendable is not None:
        raise NotPossible(unsendable, instead=(Resolution.SKIP_DELIVERED,))
    if ticket.terms.ended_at is not None:
        raise NotPossible(f"{refused_since(ticket.terms)}: it is skipped when its ticket ends")


def _skip(
    connection: Connection, ticket: TicketState, notice: SentNotice, *, now: datetime
) -> None:
    if notice.action is Action.ROLLBACK:
        raise NotPossible(
            "a rollback is never skipped: the notices behind it would be false for the partner",
            instead=(Resolution.RETRY, Resolution.SKIP_DELIVERED),
        )
    _finish_skipped(ticket, notice)
    if notice.action in RESULTS:
        ticket.untold = notice.generation  # results die at the head only, so they come in order
        withdrawn = connection.execute(
            WITHDRAW_ROLLBACK,
            {"ticket": ticket.id, "generation": notice.generation, "now": now},
        )
        ticket.unfinished -= withdrawn.rowcount


def _finish_skipped(ticket: TicketState, notice: SentNotice) -> None:
    if notice.quiet_until is not None:  # the last attempt may still be on its way (rule 15)
        ticket.held_until = max(notice.quiet_until, ticket.held_until or notice.quiet_until)
    notice.finish(NoticeEnd.SKIPPED)
    ticket.unfinished -= 1
