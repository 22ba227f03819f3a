"""Everything that happened to a ticket as one list in time order."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from models.story.values import (
    AttemptFact,
    EventFact,
    InterventionFact,
    NoticeFact,
    RefusedFact,
    Story,
)

# An event that was decided so soon after it came is one moment for people.
AT_ONCE: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event came, and was decided (or decided again) only later."""

    event: EventFact


@dataclass(frozen=True, slots=True)
class Repeated:
    """The last of the times an event came again; none of them counted."""

    event: EventFact


@dataclass(frozen=True, slots=True)
class Owed:
    """A notice came to be."""

    notice: NoticeFact


@dataclass(frozen=True, slots=True)
class Tried:
    """A notice was sent, or could not be."""

    notice: NoticeFact
    attempt: AttemptFact
    number: int  # which attempt of this notice, from 1


@dataclass(frozen=True, slots=True)
class Ended:
    """A notice ended otherwise than by an attempt: skipped, withdrawn, dead."""

    notice: NoticeFact


@dataclass(frozen=True, slots=True)
class Closed:
    """The ticket was closed."""


What = (
    Arrived | EventFact | Repeated | Owed | Tried | Ended | Closed | InterventionFact | RefusedFact
)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, and when (the database's clock)."""

    at: datetime
    what: What


def timeline(story: Story) -> tuple[Moment, ...]:
    """Everything in *story*, oldest first; what happened at once, in the order cause, effect."""
    moments = [Moment(refused.rejected_at, refused) for refused in story.refused]
    moments += [Moment(one.at, one) for one in story.interventions]
    moments += [moment for event in story.events for moment in _of_event(event)]
    if story.ticket.closed_at is not None:
        moments.append(Moment(story.ticket.closed_at, Closed()))
    moments += [moment for notice in story.notices for moment in _of_notice(notice)]
    return tuple(sorted(moments, key=lambda moment: moment.at))  # stable: cause before effect


def _of_event(event: EventFact) -> Iterator[Moment]:
    if event.decided_at - event.received_at > AT_ONCE:
        yield Moment(event.received_at, Arrived(event))
    yield Moment(event.decided_at, event)
    if event.repeated_at is not None:
        yield Moment(event.repeated_at, Repeated(event))


def _of_notice(notice: NoticeFact) -> Iterator[Moment]:
    yield Moment(notice.created_at, Owed(notice))
    for number, attempt in enumerate(notice.attempts, start=1):
        yield Moment(attempt.recorded_at, Tried(notice, attempt, number))
    told = any(attempt.recorded_at == notice.ended_at for attempt in notice.attempts)
    if notice.ended_at is not None and not told:
        yield Moment(notice.ended_at, Ended(notice))
