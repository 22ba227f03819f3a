"""Checks whether the actions that a partner received for a ticket are a valid sequence.

The rules are those of contracts 1.4 and 1.6. They are independent of Slipway's own state machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import assert_never

RESULTS = frozenset({"ticket_win", "ticket_lost", "ticket_void", "ticket_refund"})
ACTIONS_WITHOUT_TICKET = frozenset({"ping", "identify"})


@dataclass(frozen=True, slots=True)
class AcceptedAction:
    """One action that the partner accepted, once, and when it responded."""

    action: str
    at: datetime


class SequenceFault(StrEnum):
    """The ways in which a sequence can be wrong."""

    ILLEGAL = "illegal"  # the action does not follow from those before it
    EARLY_CLOSE = "early_close"
    MISSING_CLOSE = "missing_close"


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault in the sequence of one ticket, with a description."""

    fault: SequenceFault
    message: str


class KnownStage(Enum):
    """The stage of the ticket as the partner knows it."""

    UNKNOWN = "unknown"
    RESERVED = "reserved"
    OPEN = "open"
    SETTLED = "settled"
    CLOSED = "closed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class TicketKnowledge:
    """What the partner knows about the ticket after some actions."""

    stage: KnownStage = KnownStage.UNKNOWN
    created: bool = False  # by create or reserve, with only updates since
    settled_at: datetime | None = None


def check_sequence(
    sequence: Sequence[AcceptedAction], *, close_delay: timedelta, complete: bool = True
) -> tuple[Violation, ...]:
    """Return the violations in the actions that one partner accepted for one ticket.

    Create or reserve come first, if at all: a ticket that was paid upstream starts with its first
    result. A result needs an open ticket, a rollback a result, the next result that rollback.
    `ticket_closed` comes once and last, only after a current result and never earlier than
    *close_delay* after that result was accepted. A discard ends a ticket that had no result; it may
    be repeated. After an illegal action the check continues as if it had not been sent.

    *complete*: no more actions follow, so a current result without a close is a fault as well.
    """
    return tuple(_faults(sequence, close_delay=close_delay, complete=complete))


def _faults(
    sequence: Sequence[AcceptedAction], *, close_delay: timedelta, complete: bool
) -> Iterator[Violation]:
    knowledge = TicketKnowledge()
    for action in sequence:
        if action.action in ACTIONS_WITHOUT_TICKET:
            continue
        after = _after(knowledge, action)
        if after is None:
            message = f"{action.action} for a ticket that is {knowledge.stage.value}"
            yield Violation(SequenceFault.ILLEGAL, message)
            continue
        if after.stage is KnownStage.CLOSED and knowledge.settled_at is not None:
            waited = action.at - knowledge.settled_at
            if waited < close_delay:
                message = f"ticket_closed {waited} after the result, not {close_delay}"
                yield Violation(SequenceFault.EARLY_CLOSE, message)
        knowledge = after
    if complete and knowledge.stage is KnownStage.SETTLED:
        yield Violation(SequenceFault.MISSING_CLOSE, "no ticket_closed followed the last result")


def _after(knowledge: TicketKnowledge, action: AcceptedAction) -> TicketKnowledge | None:
    """Return what the partner knows after one more action, or None if the action is illegal."""
    match knowledge.stage:
        case KnownStage.UNKNOWN | KnownStage.RESERVED | KnownStage.OPEN:
            return _before_a_result(knowledge, action)
        case KnownStage.SETTLED:
            if action.action == "ticket_rollback":
                return TicketKnowledge(KnownStage.OPEN)
            return TicketKnowledge(KnownStage.CLOSED) if action.action == "ticket_closed" else None
        case KnownStage.DISCARDED:
            return knowledge if action.action == "ticket_discard" else None
        case KnownStage.CLOSED:
            return None
        case _:
            assert_never(knowledge.stage)


def _before_a_result(knowledge: TicketKnowledge, action: AcceptedAction) -> TicketKnowledge | None:
    is_unknown = knowledge.stage is KnownStage.UNKNOWN
    match action.action:
        case result if result in RESULTS:
            return TicketKnowledge(KnownStage.SETTLED, settled_at=action.at)
        case "ticket_create" if is_unknown:
            return TicketKnowledge(KnownStage.OPEN, created=True)
        case "ticket_reserve" if is_unknown:
            return TicketKnowledge(KnownStage.RESERVED, created=True)
        case "ticket_update":
            return replace(knowledge, stage=KnownStage.OPEN) if is_unknown else knowledge
        case "ticket_discard" if is_unknown or knowledge.created:
            return TicketKnowledge(KnownStage.DISCARDED)
        case _:
            return None
