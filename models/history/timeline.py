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

# An event decided this soon after it arrived is shown as one moment.
AT_ONCE: Final = timedelta(seconds=2)
# A number, a time, or the digits of an id: `17`, `2026-11-20T10:00:00Z`, `7f3a-22b0`.
_NUMBERS: Final = re.compile(r"[0-9a-fA-F]*[0-9][0-9a-fA-FTZ:.-]*")


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event arrived, and was decided (or decided again) only later."""

    event: EventFact


@dataclass(frozen=True, slots=True)
class Repeated:
    """The last repeat of an event; no repeat counts."""

    event: EventFact


@dataclass(frozen=True, slots=True)
class NoticeQueued:
    """A notice was created."""

    notice: NoticeFact


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt to send a notice, or several in a row with the same result."""

    notice: NoticeFact
    attempt: AttemptFact  # the last of them
    number: int  # which attempt of this notice the first of them was, from 1
    times: int = 1

    def continues(self, before: "Tried") -> bool:
        """Whether this is the next attempt after *before*, with the same result."""
        return self.notice is before.notice and _result(self.attempt) == _result(before.attempt)


@dataclass(frozen=True, slots=True)
class Ended:
    """A notice ended without an attempt: skipped, withdrawn, not wanted or dead."""

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
    """Something that happened, and when (by the database's clock)."""

    at: datetime
    what: What


def timeline(history: TicketHistory) -> tuple[Moment, ...]:
    """Return everything in *history*, oldest first; at the same time, causes before effects."""
    moments = [Moment(refused.rejected_at, refused) for refused in history.refused]
    moments += [Moment(person.at, person) for person in history.interventions]
    moments += [moment for event in history.events for moment in _of_event(event)]
    if history.ticket.closed_at is not None:
        moments.append(Moment(history.ticket.closed_at, Closed()))
    moments += [moment for notice in history.notices for moment in _of_notice(notice)]
    moments.sort(key=lambda moment: moment.at)  # stable: cause before effect
    return tuple(_folded(moments))


def _folded(moments: Iterable[Moment]) -> Iterator[Moment]:
    """Yield attempts in a row with the same result as one, at the time of the first."""
    previous: Moment | None = None
    for moment in moments:
        if previous is not None:
            match previous.what, moment.what:
                case Tried() as before, Tried() as now if now.continues(before):
                    attempts = replace(before, attempt=now.attempt, times=before.times + 1)
                    previous = replace(previous, what=attempts)
                    continue
            yield previous
        previous = moment
    if previous is not None:
        yield previous


def _result(attempt: AttemptFact) -> tuple[object, ...]:
    """Return an attempt's result. Numbers are ignored: responses hold times and request ids."""
    texts = [attempt.problem or "", attempt.answer or "", str(attempt.remarks or "")]
    return attempt.verdict, attempt.http_status, *(_NUMBERS.sub("0", each) for each in texts)


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
    by_attempt = any(attempt.recorded_at == notice.ended_at for attempt in notice.attempts)
    if notice.ended_at is not None and not by_attempt:
        yield Moment(notice.ended_at, Ended(notice))
