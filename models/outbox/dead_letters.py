"""A person's resolution of a dead notice (rule 18). The caller records who made it and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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

TICKETS_OF = text("SELECT id, ticket FROM notice WHERE id = ANY(:ids)")
# Without a body the partner's protocol has no such call: there is nothing to send.
READ_NOTICES = text("""
    SELECT id, body = '' AS unsendable, ended_at FROM notice WHERE id = ANY(:ids)""")

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


class ChangedMeanwhile(NotPossible):
    """It is no longer as the person saw it; nothing was done."""


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
    resolved = resolve_all(connection, [notice_id], resolution, now=now)
    for refusal in resolved.refused.values():
        raise refusal
    return Resolved(resolved.tickets[notice_id], resolved.due)


@dataclass(slots=True)
class ResolvedNotices:
    """What was resolved, with the ticket of each, and what was refused.

    *due*: one of the tickets' notices is due now.
    """

    tickets: dict[int, int] = field(default_factory=dict)
    refused: dict[int, NotPossible] = field(default_factory=dict)
    due: bool = False


def resolve_all(
    connection: Connection,
    notice_ids: Iterable[int],
    resolution: Resolution,
    *,
    now: datetime,
    dead_until: datetime | None = None,
) -> ResolvedNotices:
    """Resolve dead notices as `resolve` does, in a handful of statements.

    *dead_until*: a notice that has died since then is left unchanged.
    """
    ids = list(dict.fromkeys(notice_ids))
    rows = connection.execute(TICKETS_OF, {"ids": ids})
    ticket_of: dict[int, int] = {row.id: row.ticket for row in rows}
    resolved = ResolvedNotices()
    for notice_id in ids:
        if notice_id not in ticket_of:
            resolved.refused[notice_id] = NotPossible(f"there is no notice {notice_id}")
    lock_by_id(connection, ticket_of.values())  # all in one order; below, each ticket by turns
    left = [(notice_id, ticket_of[notice_id]) for notice_id in ids if notice_id in ticket_of]
    while left:
        of_ticket: dict[int, int] = {}
        for notice_id, ticket in left:
            of_ticket.setdefault(ticket, notice_id)
        _resolve_each(connection, of_ticket, resolution, resolved, now=now, dead_until=dead_until)
        left = [(notice, ticket) for notice, ticket in left if of_ticket[ticket] != notice]
    return resolved


def _resolve_each(
    connection: Connection,
    of_ticket: Mapping[int, int],
    resolution: Resolution,
    resolved: ResolvedNotices,
    *,
    now: datetime,
    dead_until: datetime | None,
) -> None:
    """Resolve one notice of each ticket, and add to *resolved* how that went."""
    ids = list(of_ticket.values())
    tickets = lock_by_id(connection, of_ticket)
    rows = {row.id: row for row in connection.execute(READ_NOTICES, {"ids": ids})}
    notices = lock_notices(connection, ids)
    changed: list[TicketState] = []
    for ticket_id, notice_id in of_ticket.items():
        ticket, notice, row = tickets[ticket_id], notices[notice_id], rows[notice_id]
        try:
            _require_dead(notice, row.ended_at, dead_until)
            _apply(connection, ticket, notice, resolution, is_sendable=not row.unsendable, now=now)
        except NotPossible as refusal:
            resolved.refused[notice_id] = refusal
            continue
        resolved.tickets[notice_id] = ticket_id
        changed.append(ticket)
    # Nothing new is parked here, so no window is given.
    changes = decide_parked(connection, changed, were_new=set(), now=now, window=timedelta(0))
    due = save_changes(connection, changes, now=now)
    update_notices(connection, notices.values(), now=now)
    headless = {ticket.id: ticket.held_until for ticket in changed if ticket.needs_head}
    resolved.due |= move_heads(connection, headless, now=now) or due


def _require_dead(
    notice: SentNotice, ended_at: datetime | None, dead_until: datetime | None
) -> None:
    if notice.ended is not NoticeEnd.DEAD:
        raise ChangedMeanwhile(f"notice {notice.id} is not dead ({notice.ended or 'waiting'})")
    if dead_until is not None and ended_at is not None and ended_at > dead_until:
        raise ChangedMeanwhile(f"notice {notice.id} has been tried again and has died again")


def _apply(
    connection: Connection,
    ticket: TicketState,
    notice: SentNotice,
    resolution: Resolution,
    *,
    is_sendable: bool,
    now: datetime,
) -> None:
    """Change ticket and notice, in memory. Raises NotPossible before it changes anything."""
    match resolution:
        case Resolution.RETRY:
            _check_sendable(ticket, unsendable=None if is_sendable else str(notice.reason))
            notice.revive(now=now)
        case _ if notice.repeat:
            _finish_skipped(ticket, notice)
        case Resolution.SKIP_REPEAT:
            raise NotPossible(
                f"notice {notice.id} is no repeat: say whether the partner has it",
                instead=(Resolution.SKIP_DELIVERED, Resolution.SKIP_NOT_DELIVERED),
            )
        case Resolution.SKIP_DELIVERED:
            deliver(ticket, notice, now=now)
        case Resolution.SKIP_NOT_DELIVERED:
            _skip(connection, ticket, notice, now=now)
        case _:
            assert_never(resolution)


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
        # Results die at the head only, so they come in order; a later one may not be wanted.
        ticket.untold = max(ticket.untold or 0, notice.generation)
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
