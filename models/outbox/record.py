"""Record attempts: one transaction under the tickets' locks (rule 13 to rule 16).

The notice is finished, the head moves, the clock is set, the create lane moves and parked events
are decided, all together. The partner's circuit gets each attempt before it counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection

from models.lifecycle.advance import advance
from models.lifecycle.effects import accept_create, refuse_create
from models.lifecycle.ticket import NewNotice, TicketState
from models.outbox.attempts import is_plain
from models.outbox.circuit import CircuitState, load_circuits, store_circuits
from models.outbox.contents import without_contents
from models.outbox.fast_path import affects_clock_only, record_successes
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
from models.tickets.save import TicketChange, is_current_result, save_changes
from models.vocabulary import SENT_ONCE, Action, NoticeEnd, Status

DISCARD_AGAIN_AFTER = timedelta(minutes=30)  # contracts 1.6, discard
_NO_CIRCUIT: Final[Mapping[int, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RecordPolicy:
    """What holds for every recording of a deliverer: made once, from the settings."""

    partner_grace: timedelta  # the pause on a ticket after an attempt without a response (rule 15)
    parking_window: timedelta


def record(
    connection: Connection,
    attempts: Sequence[Attempt],
    *,
    policy: RecordPolicy,
    now: datetime,
    to_open: Mapping[int, str] = _NO_CIRCUIT,
) -> Recorded:
    """Record *attempts* inside the caller's transaction.

    A success counts from any deliverer while the notice is unfinished or dead; everything else
    needs the lease's token, so that a deliverer that was too slow changes nothing (rule 14). Create
    and reserve are never sent twice: anything but a success cancels their ticket (rule 10).
    *to_open*: operators of these attempts whose circuit the deliverer opens, each with the reason.
    """
    fast = record_successes(connection, attempts, now=now, to_open=to_open)
    if not fast.rest:
        return Recorded(fast.recorded, due=fast.due)
    rest = record_each(connection, fast.rest, policy=policy, now=now, to_open=to_open)
    return replace(rest, attempts=[*fast.recorded, *rest.attempts], due=fast.due or rest.due)


def record_each(
    connection: Connection,
    attempts: Sequence[Attempt],
    *,
    policy: RecordPolicy,
    now: datetime,
    to_open: Mapping[int, str] = _NO_CIRCUIT,
) -> Recorded:
    """Record as `record` does, deciding about every attempt in Python, whatever it is."""
    tickets = lock_by_id(connection, (attempt.claim.ticket for attempt in attempts))
    were_new = {ticket.id for ticket in tickets.values() if ticket.status is Status.NEW}
    notices = lock_notices(connection, (attempt.claim.notice for attempt in attempts))
    circuits = load_circuits(connection, attempts, to_open=to_open)
    were_open = {operator for operator, circuit in circuits.items() if circuit.is_open}
    for operator, reason in to_open.items():
        circuits[operator].open(reason, now=now)
    finished: dict[int, TicketState] = {}
    counted: list[Attempt] = []
    for attempt in attempts:
        ticket, notice = tickets[attempt.claim.ticket], notices[attempt.claim.notice]
        circuit = circuits[attempt.claim.operator]
        counted.append(_update_circuit(circuit, notice, attempt, now=now))
        uses_up = not circuit.is_open and attempt.token_trouble is None
        if _has_lease(attempt, notice) and is_plain(attempt):
            notice.keep(_without_removed_text(ticket, attempt))
        if _apply(ticket, notice, counted[-1], policy=policy, now=now, uses_up=uses_up):
            finished[ticket.id] = ticket
    followed = {ticket.id: ticket.held_until for ticket in finished.values() if ticket.needs_head}
    changes = decide_parked(
        connection, tickets.values(), were_new=were_new, now=now, window=policy.parking_window
    )
    due = save_changes(connection, changes, now=now)
    update_notices(connection, notices.values(), now=now)
    due = move_heads(connection, followed, now=now) or due
    insert_attempts(connection, _to_insert(counted, tickets, notices), now=now)
    store_circuits(connection, circuits.values())
    return Recorded(
        counted, due=due, circuit_changes=_circuit_changes(attempts, circuits, were_open)
    )


def _to_insert(
    attempts: Sequence[Attempt],
    tickets: Mapping[int, TicketState],
    notices: Mapping[int, SentNotice],
) -> list[Attempt]:
    """Return the attempts that their notices do not keep, or kept when recorded before."""
    return [
        _without_removed_text(tickets[attempt.claim.ticket], attempt)
        for attempt in attempts
        if not notices[attempt.claim.notice].has_kept(attempt)
    ]


def _without_removed_text(ticket: TicketState, attempt: Attempt) -> Attempt:
    """Return *attempt*; a late one without what was erased or removed meanwhile (rules 25, 28).

    A deliverer that was frozen or lost its lease may record after everything has ended.
    """
    if ticket.erased:
        return replace(without_contents(attempt), problem=None)
    return without_contents(attempt) if ticket.bodies_removed else attempt


def decide_parked(
    connection: Connection,
    tickets: Iterable[TicketState],
    *,
    were_new: set[int],
    now: datetime,
    window: timedelta,
) -> list[TicketChange]:
    """Decide again what is parked on the tickets that have just changed (rule 5)."""
    changed = [ticket for ticket in tickets if ticket.changed]
    parked = parked_of(connection, changed)
    return [
        TicketChange(
            ticket,
            advance(
                ticket, parked[ticket.id], now=now, window=window, was_new=ticket.id in were_new
            ),
        )
        for ticket in changed
    ]


def _update_circuit(
    circuit: CircuitState, notice: SentNotice, attempt: Attempt, *, now: datetime
) -> Attempt:
    """Pass the attempt to its circuit, and return it as it counts.

    A failure without the lease's token changes nothing, not even a circuit.
    """
    if isinstance(attempt.verdict, Delivered):
        circuit.on_success(attempt, now=now)
    elif _has_lease(attempt, notice):
        return circuit.on_failure(attempt, now=now)
    return attempt


def _circuit_changes(
    attempts: Sequence[Attempt], circuits: Mapping[int, CircuitState], were_open: set[int]
) -> list[CircuitChange]:
    codes = {attempt.claim.operator: attempt.claim.operator_code for attempt in attempts}
    return [
        CircuitChange(codes[operator], circuit.reason if circuit.is_open else None)
        for operator, circuit in circuits.items()
        if circuit.is_open != (operator in were_open)
    ]


def _has_lease(attempt: Attempt, notice: SentNotice) -> bool:
    return notice.ended is None and notice.lease == attempt.claim.lease


def _apply(
    ticket: TicketState,
    notice: SentNotice,
    attempt: Attempt,
    *,
    policy: RecordPolicy,
    now: datetime,
    uses_up: bool,
) -> bool:
    """Change the notice and its ticket by the attempt; return whether that finished the notice."""
    verdict, claim = attempt.verdict, attempt.claim
    if isinstance(verdict, Delivered):
        if notice.ended not in (None, NoticeEnd.DEAD):
            return False
        if notice.lease != claim.lease and notice.leased_until is not None:
            _hold(ticket, notice.leased_until)  # another deliverer is still sending it
        deliver(ticket, notice, now=now)
        return True
    if not _has_lease(attempt, notice):
        return False
    if isinstance(verdict, Unanswered) or (isinstance(verdict, Dead) and verdict.perhaps_delivered):
        notice.perhaps_delivered = True
        notice.quiet_until = now + policy.partner_grace
    if notice.action in SENT_ONCE:
        _refuse(ticket, notice, attempt)
        return True
    notice.postpone(verdict, claim=claim, now=now, counted=uses_up)
    return False


def deliver(ticket: TicketState, notice: SentNotice, *, now: datetime) -> None:
    """Mark the notice as delivered and apply what follows from that, in memory.

    The fast path does the same in SQL for the actions that affect the clock only. From a repeat
    nothing follows: its original did all that (rule 22).
    """
    if notice.quiet_until is not None:
        _hold(ticket, notice.quiet_until)
    notice.finish(NoticeEnd.DELIVERED)
    ticket.unfinished -= 1
    if notice.repeat:
        return
    if not affects_clock_only(notice.action):
        _deliver_create_or_discard(ticket, notice, now=now)
    elif is_current_result(ticket, notice.action, notice.generation):
        ticket.close_due_at = now + ticket.terms.close_delay


def _deliver_create_or_discard(ticket: TicketState, notice: SentNotice, *, now: datetime) -> None:
    if notice.action in SENT_ONCE:
        accept_create(ticket, notice.action)
    elif ticket.in_doubt:
        ticket.in_doubt = False
        second_discard = NewNotice(
            Action.DISCARD,
            notice.generation + 1,
            {},
            event_id=None,
            body=notice.body,  # the same call again (contracts 1.6)
            not_before=now + DISCARD_AGAIN_AFTER,
            traceparent=notice.traceparent,
        )
        ticket.new_notices.append(second_discard)


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
    # If nothing was sent, one discard takes back all there is.
    unsent = isinstance(attempt.verdict, RetryLater) and attempt.http_status is None
    refuse_create(
        ticket,
        notice.action,
        why=why,
        in_doubt=not refused and not unsent,
        traceparent=notice.traceparent,
    )


def _hold(ticket: TicketState, until: datetime) -> None:
    ticket.held_until = max(until, ticket.held_until or until)
