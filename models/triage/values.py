"""What triage lists, finds and changes. Values only; times are aware and in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from sqlalchemy import Row

from models.history.values import AttemptFact, CausedNotice
from models.outbox.dead_letters import Resolution
from models.platform.timestamps import format_timestamp
from models.vocabulary import Outcome, Reason


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects what needs a person: all that matches every value given."""

    operator: str | None = None  # code
    ticket_id: str | None = None
    action: str | None = None
    reason: str | None = None  # of an event: the word; of a dead notice: part of the text
    since: datetime | None = None  # when it ended so, or was parked
    until: datetime | None = None
    # Of a dead notice's last attempt: its status, and part of its answer's text.
    http_status: int | None = None
    answer: str | None = None

    @property
    def narrows(self) -> bool:
        """Whether more is asked for than an operator and times, which indexes answer."""
        rest = (self.ticket_id, self.action, self.reason)
        return self.by_attempt or any(value is not None for value in rest)

    @property
    def by_attempt(self) -> bool:
        """Whether the last attempt of each notice has to be read."""
        return self.http_status is not None or self.answer is not None

    def of_attempt(self, *, http_status: int | None, answer: str | None) -> "Selection":
        """Return this selection, narrowed by a dead notice's last attempt."""
        return replace(self, http_status=http_status, answer=answer)

    @property
    def arguments(self) -> dict[str, Any]:
        """The values given, as a job's arguments."""
        chosen = {
            "operator": self.operator,
            "ticket_id": self.ticket_id,
            "action": self.action,
            "reason": self.reason,
            "since": self.since and format_timestamp(self.since),
            "until": self.until and format_timestamp(self.until),
            "http_status": self.http_status,
            "answer": self.answer,
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def parameters(self, limit: int) -> dict[str, Any]:
        """Return the parameters of a list's statement."""
        return {
            "operator": self.operator,
            "ticket_id": self.ticket_id,
            "action": self.action,
            "reason": self.reason,
            "since": self.since,
            "until": self.until,
            "http_status": self.http_status,
            "answer": self.answer,
            "by_attempt": self.by_attempt,
            "limit": limit,
        }


@dataclass(frozen=True, slots=True)
class ResolvedTogether:
    """How many of several were resolved, refused (by reason) or no longer there to resolve.

    *due*: a notice is due now.
    """

    resolved: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    unchanged: int = 0
    due: bool = False


@dataclass(frozen=True, slots=True)
class EventKey:
    """The key of an event in the log; *operator* and *ticket_id* name its ticket for people."""

    ticket: int
    event_id: str
    operator: str
    ticket_id: str
    action: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of a list: an event of a ticket, or raw input (then some facts are missing).

    *id* is what the commands take: the event's id, or the stream entry's for raw input. *status*
    is the ticket's, now.
    """

    at: datetime  # when it ended so, or was parked
    id: str
    is_raw: bool
    operator: str | None
    ticket_id: str | None
    event_id: str | None
    entry_id: str | None
    action: str | None
    outcome: str
    reason: str | None
    message: str | None
    sequence: int | None
    occurred_at: datetime | None
    received_at: datetime
    park_until: datetime | None
    status: str | None

    @property
    def is_harmless(self) -> bool:
        """Whether it only repeats the ticket's current result."""
        return self.reason == Reason.OLDER_SAME


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """Everything the log knows about one event."""

    operator: str
    ticket_id: str
    event_id: str
    action: str
    outcome: str
    reason: str | None
    message: str | None
    status_before: str  # the ticket's: `open`, `resulted/won`
    status_after: str
    notices: tuple[CausedNotice, ...]
    occurred_at: datetime | None
    order_time: datetime
    received_at: datetime
    decided_at: datetime
    park_until: datetime | None
    sequence: int | None
    entry_id: str | None
    repeats: int
    repeated_at: datetime | None
    dropped_at: datetime | None
    trace_id: str | None  # of the trace it belongs to
    status: str  # the ticket's, now
    data: Mapping[str, Any]
    key: EventKey


@dataclass(frozen=True, slots=True)
class RawInput:
    """Input that was refused before it became an event. *whole*: it can be read again."""

    entry_id: str
    kind: str | None
    reason: str
    message: str
    operator: str | None
    ticket_id: str | None
    event_id: str | None
    received_at: datetime
    rejected_at: datetime
    dropped_at: datetime | None
    whole: bool
    raw: bytes


@dataclass(frozen=True, slots=True)
class EventResolution:
    """How a person resolved an event. *selected*: by the person, not decided along with one."""

    operator: str
    ticket_id: str
    event_id: str
    action: str
    selected: bool
    was_outcome: str
    was_reason: str | None
    outcome: str
    reason: str | None
    message: str | None
    status_before: str
    status_after: str
    park_until: datetime | None = None
    notices: tuple[str, ...] = ()  # the actions that the partner will be sent because of it
    gives_up: int | None = None  # the sequence number that is used up with it (rule 9)
    entry_id: str | None = None  # of raw input; what could not be read from it is empty

    @property
    def got_through(self) -> bool:
        """Whether it counts now, or at least waits."""
        if self.was_outcome == self.outcome:
            return False
        return self.outcome not in {Outcome.REJECTED, Outcome.SUPERSEDED}


@dataclass(frozen=True, slots=True)
class DeadNotice:
    """A dead notice, and what it holds up."""

    id: int
    operator: str
    ticket_id: str
    action: str
    generation: int
    number: int  # its place in the ticket's order
    dead_since: datetime
    reason: str | None
    perhaps_delivered: bool
    tries: int
    http_status: int | None  # of the last attempt; so is the answer
    answer: str | None
    behind: int  # notices of the ticket that wait behind it
    operator_disabled_at: datetime | None
    repeat: int = 0  # rule 22; 0: the original


@dataclass(frozen=True, slots=True)
class NoticeKey:
    """The key of a dead notice, and what names it for people."""

    id: int
    operator: str
    ticket_id: str
    action: str
    repeat: int = 0  # rule 22; 0: the original


class NoticePlace(NamedTuple):
    """A place in a list of notices: after this one."""

    at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class WaitingNotice:
    """A notice that waits behind a dead one; *ended* is set if it is dead too."""

    id: int
    number: int
    action: str
    generation: int
    ended: str | None

    @classmethod
    def of(cls, notice: Row[Any]) -> Self:
        """Return what is shown of *notice*."""
        return cls(
            id=notice.id,
            number=notice.number,
            action=notice.action,
            generation=notice.generation,
            ended=notice.ended,
        )


@dataclass(frozen=True, slots=True)
class DeadNoticeHistory:
    """A dead notice with its body, its attempts and what waits behind it."""

    notice: DeadNotice
    event_id: str | None
    created_at: datetime
    path: str
    body: str
    status: str  # the ticket's, now
    attempts: tuple[AttemptFact, ...]
    waiting: tuple[WaitingNotice, ...]


@dataclass(frozen=True, slots=True)
class ResolvedNotice:
    """How a person resolved a dead notice, and the state of its ticket after that.

    *is_current_result*: the notice carries the ticket's current result. *withdrawn*: its rollback
    was withdrawn too. *next_action*: the notice that is sent to the partner next.
    """

    id: int
    operator: str
    ticket_id: str
    action: str
    generation: int
    resolution: Resolution
    perhaps_delivered: bool
    status: str
    is_current_result: bool
    withdrawn: bool
    close_due_at: datetime | None
    close_delay: timedelta
    next_action: str | None
    next_generation: int | None
    next_dead: bool
    operator_disabled: bool
    on_hold: bool  # the ticket: nothing is sent until its release
