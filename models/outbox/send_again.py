"""Sends again what a partner has already taken (rule 22). The caller records who asked for it.

For each delivered notice from a chosen one to the ticket's last, one more is added: its repeat,
with the same path, body and key. The deliverer signs it like any other, with a fresh timestamp.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import Connection, Row, text

from models.lifecycle.ticket import TicketState
from models.outbox.dead_letters import NotPossible
from models.outbox.notice_rows import move_heads
from models.outbox.repeats import LeftOut, PastNotice, RepeatPlan, original_of, plan_repeats
from models.tickets.load import lock_by_id
from models.tickets.save import TicketChange, save_changes
from models.vocabulary import Action, NoticeEnd

TICKET_OF: Final = text("SELECT ticket FROM notice WHERE id = :id")
# A statement after the one that locks the tickets (rule 20).
NOTICES_OF: Final = text("""
    SELECT n.ticket, n.id, n.number, n.action, n.generation, n.repeat, n.ended, n.reason,
           n.body <> '' AS has_body
      FROM notice n WHERE n.ticket = ANY(:tickets) ORDER BY n.ticket, n.number""")
# The bytes are copied where they are stored. The first is made the head afterwards.
INSERT_REPEATS: Final = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, repeat, path, body,
                        idempotency_key, head, due_at, created_at, traceparent)
    SELECT o.ticket, o.operator, r.number, o.action, o.generation, r.repeat, o.path, o.body,
           o.idempotency_key, false, greatest(CAST(:now AS timestamptz), r.held_until), :now,
           o.traceparent
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               original bigint, number int, repeat int, held_until timestamptz)
      JOIN notice o ON o.id = r.original
     ORDER BY o.ticket, r.number""")


@dataclass(frozen=True, slots=True)
class AddedRepeat:
    """A notice that was added: *repeat* 1 is the first repeat of the one with number *original*."""

    number: int
    action: Action
    original: int
    repeat: int


@dataclass(frozen=True, slots=True)
class SentAgain:
    """What was added to a ticket. *ticket* is its row. *due*: the first is due now."""

    ticket: int
    operator: str  # code
    ticket_id: str
    repeats: tuple[AddedRepeat, ...]
    left_out: tuple[LeftOut, ...]
    due: bool


def send_again(connection: Connection, notice_id: int, *, now: datetime) -> SentAgain:
    """Add a repeat of every delivered notice of its ticket from *notice_id* on.

    A chosen repeat stands for its original. Runs inside the caller's transaction. Raises
    StillUnfinished while something of the ticket is unfinished, and NotPossible.
    """
    ticket_row = connection.execute(TICKET_OF, {"id": notice_id}).scalar_one_or_none()
    if ticket_row is None:
        raise NotPossible(f"there is no notice {notice_id}")
    tickets = lock_by_id(connection, [ticket_row])
    if ticket_row not in tickets:
        raise NotPossible(f"the ticket of notice {notice_id} was removed meanwhile")
    ticket, notices = tickets[ticket_row], _notices_of(connection, tickets)[ticket_row]
    first = original_of(notices, next(each for each in notices if each.id == notice_id))
    plan = plan_repeats(ticket, notices, first=first.number)
    if first.number in (left := {each.number: each.why for each in plan.left_out}) and (
        first.ended is not NoticeEnd.DELIVERED
    ):
        raise NotPossible(
            f"{first.action} (number {first.number}) of ticket {ticket.ticket_id} of"
            f" {ticket.terms.code} is not sent again: {left[first.number]}; choose a notice that"
            " was delivered"
        )
    return _add(connection, {ticket_row: plan}, tickets, now=now)[ticket_row]


def send_tickets_again(
    connection: Connection, firsts: Mapping[int, int], *, now: datetime
) -> dict[int, SentAgain | NotPossible]:
    """Send many tickets again, by their rows, each from the notice with the given number on.

    Runs inside the caller's transaction, with a fixed number of statements. A ticket that cannot
    be sent again is unchanged, and its result says why. One that was removed has no result.
    """
    tickets = lock_by_id(connection, firsts)
    notices = _notices_of(connection, tickets)
    plans: dict[int, RepeatPlan] = {}
    results: dict[int, SentAgain | NotPossible] = {}
    for row, ticket in tickets.items():
        try:
            plans[row] = plan_repeats(ticket, notices.get(row, ()), first=firsts[row])
        except NotPossible as refusal:
            results[row] = refusal
    return results | _add(connection, plans, tickets, now=now)


def _notices_of(
    connection: Connection, tickets: Mapping[int, TicketState]
) -> dict[int, list[PastNotice]]:
    rows = connection.execute(NOTICES_OF, {"tickets": sorted(tickets)})
    return {
        ticket: [_past_notice(row) for row in group]
        for ticket, group in groupby(rows, key=lambda row: row.ticket)
    }


def _past_notice(row: Row[Any]) -> PastNotice:
    return PastNotice(
        id=row.id,
        number=row.number,
        action=Action(row.action),
        generation=row.generation,
        repeat=row.repeat,
        ended=None if row.ended is None else NoticeEnd(row.ended),
        reason=row.reason,
        has_body=row.has_body,
    )


def _add(
    connection: Connection,
    plans: Mapping[int, RepeatPlan],
    tickets: Mapping[int, TicketState],
    *,
    now: datetime,
) -> dict[int, SentAgain]:
    """Add the planned notices behind all others of their tickets: nothing else changes there."""
    if not plans:
        return {}
    rows: list[dict[str, Any]] = []
    for ticket_row, plan in plans.items():
        ticket = tickets[ticket_row]
        ticket.notices += len(plan.repeats)
        ticket.unfinished += len(plan.repeats)
        rows += [
            {
                "original": repeat.original.id,
                "number": repeat.number,
                "repeat": repeat.repeat,
                "held_until": ticket.held_until,
            }
            for repeat in plan.repeats
        ]
    save_changes(connection, [TicketChange(tickets[row]) for row in plans], now=now)
    connection.execute(INSERT_REPEATS, {"rows": to_json(rows).decode(), "now": now})
    followed = {row: tickets[row].held_until for row in plans if tickets[row].needs_head}
    move_heads(connection, followed, now=now)
    return {row: _sent_again(tickets[row], plan, now=now) for row, plan in plans.items()}


def _sent_again(ticket: TicketState, plan: RepeatPlan, *, now: datetime) -> SentAgain:
    return SentAgain(
        ticket=ticket.id,
        operator=ticket.terms.code,
        ticket_id=ticket.ticket_id,
        repeats=tuple(
            AddedRepeat(each.number, each.original.action, each.original.number, each.repeat)
            for each in plan.repeats
        ),
        left_out=plan.left_out,
        due=ticket.needs_head and (ticket.held_until is None or ticket.held_until <= now),
    )
