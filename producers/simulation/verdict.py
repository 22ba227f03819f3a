"""Judges everything a partner received: what the demo prints and what tests assert."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from producers.simulation.sequence_rules import RESULTS, AcceptedAction, SequenceFault, judge

WORDS_MAX = 20  # violations told in words; all are counted


class Received(Protocol):
    """One request as a partner's ledger keeps it."""

    @property
    def operator(self) -> str | None:
        """The operator named in the body."""

    @property
    def ticket_id(self) -> str | None:
        """The ticket named in the body."""

    @property
    def action(self) -> str | None:
        """The action named in the body."""

    @property
    def idempotency_key(self) -> str | None:
        """The header of that name: the same for every repeat of one notice."""

    @property
    def body(self) -> bytes:
        """The exact bytes."""

    @property
    def signature_ok(self) -> bool | None:
        """None: the action needs no signature."""

    @property
    def taken(self) -> bool:
        """The partner acted upon it."""

    @property
    def repeats(self) -> bool:
        """The partner had acted upon this key before."""

    @property
    def received_at(self) -> datetime:
        """When it had come in whole."""

    @property
    def answered_at(self) -> datetime | None:
        """When its answer began to go out; None: it got none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a partner was told, counted, and what was wrong with it.

    Results, rollbacks and closings are counted once, however often they were repeated.
    """

    tickets: int
    results: int
    rollbacks: int
    closed: int
    repeats: int  # a notice the partner had taken before: allowed, delivery is at least once
    late_repeats: int  # of these, after a later notice of the ticket: allowed only after a fault
    unsigned: int  # bad signatures; never part of a ticket's sequence
    illegal: int
    early: int
    missing_close: int
    changed_repeats: int  # the same Idempotency-Key with other bytes
    words: tuple[str, ...]  # the first violations

    @property
    def legal(self) -> bool:
        """Every ticket's sequence was legal, and every repeat was the same bytes."""
        return not (self.illegal or self.early or self.missing_close or self.changed_repeats)


@dataclass(slots=True)
class _SeenNotice:
    """One statement with all its repeats."""

    action: str
    body: bytes
    first_seen_at: datetime
    taken_at: datetime | None = None
    answered_at: datetime | None = None  # of the first that was taken and answered

    def told(self) -> AcceptedAction:
        """Return it as one step: a result counts from its answer, a close from when it came.

        The answer may have been lost the first time; Slipway's clock then starts with a later
        one. A close that came too early is early even if it was refused then.
        """
        came_at = self.taken_at or self.first_seen_at
        if self.action == "ticket_closed":
            return AcceptedAction(self.action, self.first_seen_at)
        return AcceptedAction(self.action, self.answered_at or came_at)


@dataclass(slots=True)
class _SeenTicket:
    notices: dict[str, _SeenNotice] = field(default_factory=dict)
    sequence: list[_SeenNotice] = field(default_factory=list)


@dataclass(slots=True)
class _Count:
    repeats: int = 0
    late_repeats: int = 0
    unsigned: int = 0
    changed: list[str] = field(default_factory=list)
    tickets: dict[tuple[str, str], _SeenTicket] = field(default_factory=dict)


def judge_all(
    received: Iterable[Received], *, close_delay: timedelta, complete: bool = True
) -> Verdict:
    """Judge each ticket's sequence by `judge` and count over all of them.

    A ticket's sequence is the first acceptances of its notices; repeats are told apart by the
    `Idempotency-Key`, and a request without one is a statement of its own.
    """
    count = _Count()
    for number, entry in enumerate(received):
        _file(count, entry, number)
    faults: list[tuple[SequenceFault, str]] = []
    for (operator, ticket_id), ticket in count.tickets.items():
        sequence = [notice.told() for notice in ticket.sequence]
        story = ", ".join(told.action.removeprefix("ticket_") for told in sequence)
        faults += [
            (violation.fault, f"{operator}/{ticket_id}: {violation.words} [{story}]")
            for violation in judge(sequence, close_delay=close_delay, complete=complete)
        ]
    actions = [notice.action for t in count.tickets.values() for notice in t.sequence]
    kinds = [fault for fault, _ in faults]
    words = [*(words for _, words in faults), *count.changed]
    return Verdict(
        tickets=sum(1 for ticket in count.tickets.values() if ticket.sequence),
        results=sum(action in RESULTS for action in actions),
        rollbacks=actions.count("ticket_rollback"),
        closed=actions.count("ticket_closed"),
        repeats=count.repeats,
        late_repeats=count.late_repeats,
        unsigned=count.unsigned,
        illegal=kinds.count(SequenceFault.ILLEGAL),
        early=kinds.count(SequenceFault.EARLY_CLOSE),
        missing_close=kinds.count(SequenceFault.MISSING_CLOSE),
        changed_repeats=len(count.changed),
        words=tuple(words[:WORDS_MAX]),
    )


def _file(count: _Count, entry: Received, number: int) -> None:
    if entry.signature_ok is False:
        count.unsigned += 1
        return
    if entry.operator is None or entry.ticket_id is None or entry.action is None:
        return
    ticket = count.tickets.setdefault((entry.operator, entry.ticket_id), _SeenTicket())
    key = entry.idempotency_key or f"request {number}"
    notice = ticket.notices.get(key)
    if notice is None:
        notice = _SeenNotice(entry.action, entry.body, entry.received_at)
        ticket.notices[key] = notice
    elif notice.body != entry.body:
        count.changed.append(f"{key}: came again with other bytes: {entry.body[:200]!r}")
    if entry.repeats:
        count.repeats += 1
        count.late_repeats += ticket.sequence[-1] is not notice
    if not (entry.taken or entry.repeats):
        return
    if notice.taken_at is None:
        notice.taken_at = entry.received_at
        ticket.sequence.append(notice)
    if notice.answered_at is None:
        notice.answered_at = entry.answered_at


def sequences(received: Sequence[Received]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return what each (operator, ticket) took, in order, repeats left out."""
    count = _Count()
    for number, entry in enumerate(received):
        _file(count, entry, number)
    return {
        name: tuple(notice.action for notice in ticket.sequence)
        for name, ticket in count.tickets.items()
    }
