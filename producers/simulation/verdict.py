"""Checks everything a partner received: the demo prints it, tests assert it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from producers.simulation.sequence_rules import (
    RESULTS,
    AcceptedAction,
    SequenceFault,
    check_sequence,
)

MESSAGES_MAX = 20  # violations listed; all are counted


class ReceivedNotice(Protocol):
    """One request in the ledger of a partner."""

    @property
    def operator(self) -> str | None:
        """The operator in the body."""

    @property
    def ticket_id(self) -> str | None:
        """The ticket in the body."""

    @property
    def action(self) -> str | None:
        """The action in the body."""

    @property
    def idempotency_key(self) -> str | None:
        """The header of this name: the same for every repeat of one notice."""

    @property
    def body(self) -> bytes:
        """The exact bytes."""

    @property
    def signature_ok(self) -> bool | None:
        """Whether the signature is valid; None if the action needs none."""

    @property
    def taken(self) -> bool:
        """Whether the partner acted on it."""

    @property
    def repeats(self) -> bool:
        """Whether the partner had acted on this key before."""

    @property
    def sent_again(self) -> bool:
        """Whether a person asked for this repeat; False where only the sender could tell."""

    @property
    def received_at(self) -> datetime:
        """When it had arrived completely."""

    @property
    def answered_at(self) -> datetime | None:
        """When its response began, or None if there was none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of what a partner received, and of what was wrong with it.

    Results, rollbacks and closings count once, however often they were repeated.
    """

    tickets: int
    results: int
    rollbacks: int
    closed: int
    repeats: (
        int  # of a notice that the partner had accepted before: allowed, delivery is at least once
    )
    # Of these, after a later notice of the ticket: only after a failure, or where a person had them
    # sent again; a ledger that knows which those are leaves them out.
    late_repeats: int
    unsigned: int  # bad signatures; never part of a ticket's sequence
    illegal: int
    early: int
    missing_close: int
    changed_repeats: int  # the same Idempotency-Key with other bytes
    violations: tuple[str, ...]  # descriptions of the first ones

    @property
    def legal(self) -> bool:
        """Whether every ticket's sequence was valid, and every repeat had the same bytes."""
        return not (self.illegal or self.early or self.missing_close or self.changed_repeats)


@dataclass(slots=True)
class _SeenNotice:
    """One notice with all its repeats."""

    action: str
    body: bytes
    first_seen_at: datetime
    taken_at: datetime | None = None
    answered_at: datetime | None = None  # of the first one that was accepted and got a response

    def accepted_action(self) -> AcceptedAction:
        """Return it as one step: a result counts from its response, a close from its arrival.

        The first response may have been lost; Slipway's delay then starts with a later one. A close
        that arrived too early is early even if it was rejected.
        """
        arrived_at = self.taken_at or self.first_seen_at
        if self.action == "ticket_closed":
            return AcceptedAction(self.action, self.first_seen_at)
        return AcceptedAction(self.action, self.answered_at or arrived_at)


@dataclass(slots=True)
class _SeenTicket:
    notices: dict[str, _SeenNotice] = field(default_factory=dict)
    sequence: list[_SeenNotice] = field(default_factory=list)


@dataclass(slots=True)
class _Counts:
    repeats: int = 0
    late_repeats: int = 0
    unsigned: int = 0
    changed: list[str] = field(default_factory=list)
    tickets: dict[tuple[str, str], _SeenTicket] = field(default_factory=dict)


def check_all_sequences(
    received: Iterable[ReceivedNotice], *, close_delay: timedelta, complete: bool = True
) -> Verdict:
    """Check each ticket's sequence with `check_sequence` and count over all of them.

    A ticket's sequence is the first acceptance of each notice. `Idempotency-Key` identifies
    repeats; a request without one is a notice of its own.
    """
    counts = _Counts()
    for number, entry in enumerate(received):
        _count(counts, entry, number)
    faults: list[tuple[SequenceFault, str]] = []
    for (operator, ticket_id), ticket in counts.tickets.items():
        sequence = [notice.accepted_action() for notice in ticket.sequence]
        history = ", ".join(action.action.removeprefix("ticket_") for action in sequence)
        faults += [
            (violation.fault, f"{operator}/{ticket_id}: {violation.message} [{history}]")
            for violation in check_sequence(sequence, close_delay=close_delay, complete=complete)
        ]
    actions = [notice.action for ticket in counts.tickets.values() for notice in ticket.sequence]
    kinds = [fault for fault, _ in faults]
    violations = [*(message for _, message in faults), *counts.changed]
    return Verdict(
        tickets=sum(1 for ticket in counts.tickets.values() if ticket.sequence),
        results=sum(action in RESULTS for action in actions),
        rollbacks=actions.count("ticket_rollback"),
        closed=actions.count("ticket_closed"),
        repeats=counts.repeats,
        late_repeats=counts.late_repeats,
        unsigned=counts.unsigned,
        illegal=kinds.count(SequenceFault.ILLEGAL),
        early=kinds.count(SequenceFault.EARLY_CLOSE),
        missing_close=kinds.count(SequenceFault.MISSING_CLOSE),
        changed_repeats=len(counts.changed),
        violations=tuple(violations[:MESSAGES_MAX]),
    )


def _count(counts: _Counts, entry: ReceivedNotice, number: int) -> None:
    if entry.signature_ok is False:
        counts.unsigned += 1
        return
    if entry.operator is None or entry.ticket_id is None or entry.action is None:
        return
    ticket = counts.tickets.setdefault((entry.operator, entry.ticket_id), _SeenTicket())
    key = entry.idempotency_key or f"request {number}"
    notice = ticket.notices.get(key)
    if notice is None:
        notice = _SeenNotice(entry.action, entry.body, entry.received_at)
        ticket.notices[key] = notice
    elif notice.body != entry.body:
        counts.changed.append(f"{key}: repeated with other bytes: {entry.body[:200]!r}")
    if entry.repeats:
        counts.repeats += 1
        counts.late_repeats += ticket.sequence[-1] is not notice and not entry.sent_again
    if not (entry.taken or entry.repeats):
        return
    if notice.taken_at is None:
        notice.taken_at = entry.received_at
        ticket.sequence.append(notice)
    if notice.answered_at is None:
        notice.answered_at = entry.answered_at


def accepted_actions(received: Sequence[ReceivedNotice]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the accepted actions of each (operator, ticket), in order, without repeats."""
    counts = _Counts()
    for number, entry in enumerate(received):
        _count(counts, entry, number)
    return {
        name: tuple(notice.action for notice in ticket.sequence)
        for name, ticket in counts.tickets.items()
    }
