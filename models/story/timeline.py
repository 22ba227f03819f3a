"""Everything that happened to a ticket as one list in time order."""

from dataclasses import dataclass
from datetime import datetime

from models.story.values import (
    AttemptFact,
    EventFact,
    InterventionFact,
    NoticeFact,
    RefusedFact,
    Story,
)


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


What = EventFact | Owed | Tried | Ended | Closed | InterventionFact | RefusedFact


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, and when (the database's clock)."""

    at: datetime
    what: What


def timeline(story: Story) -> tuple[Moment, ...]:
    """Everything in *story*, oldest first; what happened at once, in the order cause, effect."""
    moments = [Moment(refused.rejected_at, refused) for refused in story.refused]
    moments += [Moment(event.decided_at, event) for event in story.events]
    moments += [Moment(one.at, one) for one in story.interventions]
    if story.ticket.closed_at is not None:
        moments.append(Moment(story.ticket.closed_at, Closed()))
    for notice in story.notices:
        moments.append(Moment(notice.created_at, Owed(notice)))
        moments += [
            Moment(attempt.recorded_at, Tried(notice, attempt, number))
            for number, attempt in enumerate(notice.attempts, start=1)
        ]
        told = any(attempt.recorded_at == notice.ended_at for attempt in notice.attempts)
        if notice.ended_at is not None and not told:
            moments.append(Moment(notice.ended_at, Ended(notice)))
    return tuple(sorted(moments, key=lambda moment: moment.at))  # stable: cause before effect
