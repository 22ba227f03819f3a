"""Record what came of attempts: one transaction under the tickets' locks (rules 13 to 16).

Notice finished, head moved, clock set, create lane moved and parked events decided: together. The
partner's circuit hears of each attempt before it counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection

from models.lifecycle.advance import advance
from models.lifecycle.effects import accept_create, refuse_create
from models.lifecycle.ticket import NewNotice, TicketState
from models.outbox.circuit import CircuitState, load_circuits, store_circuits
from models.outbox.fast_path import record_successes
from models.outbox.notice_rows import (
    SentNotice,
    insert_attempts,
    lock_notices,
    move_heads,
    update_notices,
)
from models.outbox.values import (
    Attempt,
    CircuitChange,
    Dead,
    Delivered,
    Recorded,
    RetryLater,
    Unanswered,
)
from models.tickets.load import lock_by_id, parked_of
from models.tickets.save import TicketChange, save_changes
from models.vocabulary import RESULTS, SENT_ONCE, Action, NoticeEnd, Status

DISCARD_AGAIN_AFTER = timedelta(minutes=30)  # contracts: BetStack 1.6, discard
_NOBODY: Final[Mapping[int, str]] = MappingProxyType({})


def record(
    connection: Connection,
    attempts: Sequence[Attempt],
    *,
    now: datetime,
    partner_grace: timedelta,
    parking_window: timedelta,
    given_up: Mapping[int, str] = _NOBODY,
) -> Recorded:
    """Record *attempts* inside the caller's transaction.

    A success counts from anyone while the notice is unfinished or dead; everything else needs the
    lease's token, so that one who was too slow changes nothing (rule 14). Create and reserve are
    never sent twice: all but success cancels their ticket (rule 10). *given_up*: operators of
    these attempts whose circuit the deliverer wants open, each with its reason.
    """
    plain = record_successes(connection, attempts, now=now, given_up=given_up)
    if not plain.rest:
        return Recorded(plain.recorded, due=plain.due)
    rest = record_each(
        connection,
        plain.rest,
        now=now,
        partner_grace=partner_grace,
        parking_window=parking_window,
        given_up=given_up,
    )
    return replace(rest, attempts=[*plain.recorded, *rest.attempts], due=plain.due or rest.due)


def record_each(
    connection: Connection,
    attempts: Sequence[Attempt],
    *,
    now: datetime,
    partner_grace: timedelta,
    parking_window: timedelta,
    given_up: Mapping[int, str] = _NOBODY,
) -> Recorded:
    """Do as `record` does, deciding about each attempt by itself, whatever it is."""
    tickets = lock_by_id(connection, (one.claim.ticket for one in attempts))
    were_new = {ticket.id for ticket in tickets.values() if ticket.status is Status.NEW}
    notices = lock_notices(connection, (one.claim.notice for one in attempts))
    circuits = load_circuits(connection, attempts, given_up=given_up)
    were_open = {operator for operator, circuit in circuits.items() if circuit.is_open}
    for operator, reason in given_up.items():
        circuits[operator].open(reason, now=now)
    finished: dict[int, TicketState] = {}
    counted: list[Attempt] = []
    for attempt in attempts:
        ticket, notice = tickets[attempt.claim.ticket], notices[attempt.claim.notice]
        circuit = circuits[attempt.claim.operator]
        counted.append(_heard(circuit, notice, attempt, now=now))
        if _judge(
            ticket,
            notice,
            counted[-1],
            now=now,
            partner_grace=partner_grace,
            uses_up=not circuit.is_open,
        ):
            finished[ticket.id] = ticket
    followed = {one.id: one.held_until for one in finished.values() if one.unfinished}
    turns = decide_parked(
        connection, tickets.values(), were_new=were_new, now=now, window=parking_window
    )
    due = save_changes(connection, turns, now=now)
    update_notices(connection, notices.values(), now=now)
    due = move_heads(connection, followed, now=now) or due
    insert_attempts(connection, counted, now=now)
    store_circuits(connection, circuits.values())
    return Recorded(counted, due=due, turned=_turned(attempts, circuits, were_open))


def decide_parked(
    connection: Connection,
    tickets: Iterable[TicketState],
    *,
    were_new: set[int],
    now: datetime,
    window: timedelta,
) -> list[TicketChange]:
    """Decide again what waits on tickets that have just moved (rule 5)."""
    moved = [ticket for ticket in tickets if ticket.changed]
    parked = parked_of(connection, moved)
    return [
        TicketChange(
            ticket,
            advance(
                ticket, parked[ticket.id], now=now, window=window, was_new=ticket.id in were_new
            ),
        )
        for ticket in moved
    ]


def _heard(
    circuit: CircuitState, notice: SentNotice, attempt: Attempt, *, now: datetime
) -> Attempt:
    """Let the circuit hear of the attempt, and give it back as it counts.

    A failure without the token changes nothing, no circuit either.
    """
    if isinstance(attempt.verdict, Delivered):
        circuit.on_success(attempt, now=now)
    elif _is_held(notice, attempt):
        return circuit.on_failure(attempt, now=now)
    return attempt


def _turned(
    attempts: Sequence[Attempt], circuits: Mapping[int, CircuitState], were_open: set[int]
) -> list[CircuitChange]:
    """The circuits that were opened or closed."""
    codes = {one.claim.operator: one.claim.operator_code for one in attempts}
    return [
        CircuitChange(codes[operator], circuit.reason if circuit.is_open else None)
        for operator, circuit in circuits.items()
        if circuit.is_open != (operator in were_open)
    ]


def _is_held(notice: SentNotice, attempt: Attempt) -> bool:
    return notice.ended is None and notice.lease == attempt.claim.lease


def _judge(
    ticket: TicketState,
    notice: SentNotice,
    attempt: Attempt,
    *,
    now: datetime,
    partner_grace: timedelta,
    uses_up: bool,
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
    if not _is_held(notice, attempt):
        return False
    if isinstance(verdict, Unanswered) or (isinstance(verdict, Dead) and verdict.perhaps_delivered):
        notice.perhaps_delivered = True
        notice.quiet_until = now + partner_grace
    if notice.action in SENT_ONCE:
        _refuse(ticket, notice, attempt)
        return True
    notice.postpone(verdict, claim=claim, now=now, counted=uses_up)
    return False


def deliver(ticket: TicketState, notice: SentNotice, *, now: datetime) -> None:
    """The partner has it: the notice is done, and what depends on it happens, in memory."""
    if notice.quiet_until is not None:
        _hold(ticket, notice.quiet_until)
    notice.finish(NoticeEnd.DELIVERED)
    ticket.unfinished -= 1
    if notice.action in SENT_ONCE:
        accept_create(ticket, notice.action)
    elif notice.action in RESULTS:
        # Rule 16: the result the ticket stands at, not one that was rolled back meanwhile.
        if ticket.status is Status.RESULTED and ticket.generation == notice.generation:
            ticket.close_due_at = now + ticket.terms.close_delay
    elif notice.action is Action.DISCARD and ticket.in_doubt:
        ticket.in_doubt = False
        again = NewNotice(
            Action.DISCARD,
            notice.generation + 1,
            {},
            event_id=None,
            body=notice.body,  # the same call again (contracts: BetStack 1.6)
            not_before=now + DISCARD_AGAIN_AFTER,
        )
        ticket.new_notices.append(again)


def _refuse(ticket: TicketState, notice: SentNotice, attempt: Attempt) -> None:
    if notice.quiet_until is not None:
        _hold(ticket, notice.quiet_until)
    notice.finish(NoticeEnd.REFUSED)
    ticket.unfinished -= 1
    refused = isinstance(attempt.verdict, Dead)
    why = "the partner refused it" if refused else "no good answer came"
    problem = attempt.problem or attempt.http_status
    if problem is not None:
        why = f"{why}: {problem}"
    # Where nothing was sent, there is nothing that one discard would not take back.
    unsent = isinstance(attempt.verdict, RetryLater) and attempt.http_status is None
    refuse_create(ticket, notice.action, why=why, in_doubt=not refused and not unsent)


def _hold(ticket: TicketState, until: datetime) -> None:
    ticket.held_until = max(until, ticket.held_until or until)
