"""Judges whether what a partner was told is a legal life of a ticket.

Source: contracts 1.4, 1.6. A second opinion: it knows nothing of the state machine that
Slipway itself goes by.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import assert_never

RESULTS = frozenset({"ticket_win", "ticket_lost", "ticket_void", "ticket_refund"})
NOT_ABOUT_A_TICKET = frozenset({"ping", "identify"})


@dataclass(frozen=True, slots=True)
class AcceptedAction:
    """One action that the partner took as true, once, and when it said so."""

    action: str
    at: datetime


class SequenceFault(StrEnum):
    """How a sequence can be wrong."""

    ILLEGAL = "illegal"  # the action does not follow from those before it
    EARLY_CLOSE = "early_close"
    MISSING_CLOSE = "missing_close"


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault in the sequence of one ticket, and what it is in words."""

    fault: SequenceFault
    words: str


class BeliefStage(Enum):
    """How far the partner believes the ticket to be."""

    UNHEARD_OF = "not heard of before"
    RESERVED = "reserved"
    OPEN = "open"
    SETTLED = "settled"
    CLOSED = "closed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Belief:
    """What the partner knows after some actions."""

    stage: BeliefStage = BeliefStage.UNHEARD_OF
    created: bool = False  # by create or reserve, and nothing but updates since
    settled_at: datetime | None = None


def judge(
    sequence: Sequence[AcceptedAction], *, close_delay: timedelta, complete: bool = True
) -> tuple[Violation, ...]:
    """List what is wrong in the actions that one partner took for one ticket; () is a legal life.

    Create or reserve come first, if at all: a ticket that was paid upstream starts with its first
    result. A result comes only to an open ticket, a rollback only after a result, the next result
    only after that rollback. `ticket_closed` comes once and last, only after a standing result
    and never earlier than *close_delay* after that result was taken. A discard ends a ticket
    that had no result; it may be repeated. After an illegal action the judgement goes on
    as if it had not been told.

    *complete*: the story is over, so that a standing result without a close is a fault too.
    """
    return tuple(_faults(sequence, close_delay=close_delay, complete=complete))


def _faults(
    sequence: Sequence[AcceptedAction], *, close_delay: timedelta, complete: bool
) -> Iterator[Violation]:
    belief = Belief()
    for told in sequence:
        if told.action in NOT_ABOUT_A_TICKET:
            continue
        after = _after(belief, told)
        if after is None:
            words = f"{told.action} to a ticket that is {belief.stage.value}"
            yield Violation(SequenceFault.ILLEGAL, words)
            continue
        if after.stage is BeliefStage.CLOSED and belief.settled_at is not None:
            waited = told.at - belief.settled_at
            if waited < close_delay:
                words = f"ticket_closed {waited} after the result, not {close_delay}"
                yield Violation(SequenceFault.EARLY_CLOSE, words)
        belief = after
    if complete and belief.stage is BeliefStage.SETTLED:
        yield Violation(
            SequenceFault.MISSING_CLOSE, "the last result was never followed by ticket_closed"
        )


def _after(belief: Belief, told: AcceptedAction) -> Belief | None:
    """Return what the partner believes after one more action; None: it can't be true."""
    match belief.stage:
        case BeliefStage.UNHEARD_OF | BeliefStage.RESERVED | BeliefStage.OPEN:
            return _before_a_result(belief, told)
        case BeliefStage.SETTLED:
            if told.action == "ticket_rollback":
                return Belief(BeliefStage.OPEN)
            return Belief(BeliefStage.CLOSED) if told.action == "ticket_closed" else None
        case BeliefStage.DISCARDED:
            return belief if told.action == "ticket_discard" else None
        case BeliefStage.CLOSED:
            return None
        case _:
            assert_never(belief.stage)


def _before_a_result(belief: Belief, told: AcceptedAction) -> Belief | None:
    unheard_of = belief.stage is BeliefStage.UNHEARD_OF
    match told.action:
        case action if action in RESULTS:
            return Belief(BeliefStage.SETTLED, settled_at=told.at)
        case "ticket_create" if unheard_of:
            return Belief(BeliefStage.OPEN, created=True)
        case "ticket_reserve" if unheard_of:
            return Belief(BeliefStage.RESERVED, created=True)
        case "ticket_update":
            return replace(belief, stage=BeliefStage.OPEN) if unheard_of else belief
        case "ticket_discard" if unheard_of or belief.created:
            return Belief(BeliefStage.DISCARDED)
        case _:
            return None
