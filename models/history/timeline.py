"""Everything that happened to a ticket as one list in time order."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from models.history.values import (
    AttemptFact,
    EventFact,
    InterventionFact,
    NoticeFact,
    RefusedFact,
    TicketHistory,
)

# An event that was decided so soon after it came is one moment for people.
AT_ONCE: Final = timedelta(seconds=2)
# A number, a time, or the digits of an id: `17`, `2026-11-20T10:00:00Z`, `7f3a-22b0`.
_NUMBERS: Final = re.compile(r"[0-9a-fA-F]*[0-9][0-9a-fA-FTZ:.-]*")


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event came, and was decided (or decided again) only later."""

    event: EventFact


@dataclass(frozen=True, slots=True)
class Repeated:
    """The last of the times an event came again; none of them counted."""

    event: EventFact


@dataclass(frozen=True, slots=True)
class NoticeQueued:
    """A notice came to be."""

    notice: NoticeFact


@dataclass(frozen=True, slots=True)
class Tried:
    """A notice was sent, or could not be; or several times in a row, and met the same each time."""

    notice: NoticeFact
    attempt: AttemptFact  # the last of them
    number: int  # which attempt of this notice the first of them was, from 1
    times: int = 1

    def continues(self, before: "Tried") -> bool:
        """Whether it is the next attempt after *before*, and met the same."""
        return self.notice is before.notice and _met(self.attempt) == _met(before.attempt)


@dataclass(frozen=True, slots=True)
class Ended:
    """A notice ended otherwise than by an attempt: skipped, withdrawn, dead."""

    notice: NoticeFact


@dataclass(frozen=True, slots=True)
class Closed:
    """The ticket was closed."""


What = (
    Arrived
    | EventFact
    | Repeated
    | NoticeQueued
    | Tried
    | Ended
    | Closed
    | InterventionFact
    | RefusedFact
)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, and when (the database's clock)."""

    at: datetime
    what: What


def timeline(story: TicketHistory) -> tuple[Moment, ...]:
    """Everything in *story*, oldest first; what happened at once, in the order cause, effect."""
    moments = [Moment(refused.rejected_at, refused) for refused in story.refused]
    moments += [Moment(one.at, one) for one in story.interventions]
    moments += [moment for event in story.events for moment in _of_event(event)]
    if story.ticket.closed_at is not None:
        moments.append(Moment(story.ticket.closed_at, Closed()))
    moments += [moment for notice in story.notices for moment in _of_notice(notice)]
    moments.sort(key=lambda moment: moment.at)  # stable: cause before effect
    return tuple(_folded(moments))


def _folded(moments: Iterable[Moment]) -> Iterator[Moment]:
    """Attempts in a row that met the same as one, at the time of the first."""
    held: Moment | None = None
    for one in moments:
        if held is not None:
            match held.what, one.what:
                case Tried() as before, Tried() as now if now.continues(before):
                    many = replace(before, attempt=now.attempt, times=before.times + 1)
                    held = replace(held, what=many)
                    continue
            yield held
        held = one
    if held is not None:
        yield held


def _met(attempt: AttemptFact) -> tuple[object, ...]:
    """What an attempt met. Numbers aside: answers hold times, and ids of requests."""
    words = [attempt.problem or "", attempt.answer or "", str(attempt.remarks or "")]
    return attempt.verdict, attempt.http_status, *(_NUMBERS.sub("0", one) for one in words)


def _of_event(event: EventFact) -> Iterator[Moment]:
    if event.decided_at - event.received_at > AT_ONCE:
        yield Moment(event.received_at, Arrived(event))
    yield Moment(event.decided_at, event)
    if event.repeated_at is not None:
        yield Moment(event.repeated_at, Repeated(event))


def _of_notice(notice: NoticeFact) -> Iterator[Moment]:
    yield Moment(notice.created_at, NoticeQueued(notice))
    for number, attempt in enumerate(notice.attempts, start=1):
        yield Moment(attempt.recorded_at, Tried(notice, attempt, number))
    told = any(attempt.recorded_at == notice.ended_at for attempt in notice.attempts)
    if notice.ended_at is not None and not told:
        yield Moment(notice.ended_at, Ended(notice))
